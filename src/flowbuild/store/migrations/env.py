"""Alembic's entry point; the engine comes from Database.migrate.

All of an upgrade is one transaction, on SQLite too: a program that dies in it leaves the schema as it was, and of two
that start together the second one finds nothing left to do.
"""

from alembic import context

from flowbuild.store.chat_tables import metadata
from flowbuild.store.sharing import serialise

with context.config.attributes["engine"].connect() as connection:
    if connection.dialect.name == "sqlite":  # the driver begins nothing by itself (see store.database)
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    serialise(connection, "migrations")
    # Configured after the beginning: alembic leaves a transaction alone that it finds.
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("COMMIT")
    connection.commit()
