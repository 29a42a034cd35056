"""Alembic's entry point; the engine comes from Database.migrate.

All of an upgrade is one transaction, also for SQLite: a program that dies in it leaves the schema as it was, and of two
that start together the second one finds nothing left to do.
"""

from alembic import context

from flowbuild.store.tables import metadata

with context.config.attributes["engine"].connect() as connection:
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    if connection.dialect.name == "sqlite":  # the driver begins nothing by itself (see store.database)
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            context.run_migrations()
        except BaseException:
            connection.exec_driver_sql("ROLLBACK")
            raise
        connection.exec_driver_sql("COMMIT")
    else:
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()
