"""How we connect to SQLite and to PostgreSQL."""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry

from flowbuild.core.errors import StoreError

# What holds unless the URL says otherwise. A transaction that hangs, or that waits for one, gives up as on SQLite after 30 s.
POSTGRES = {
    "application_name": "flow-build-server",
    "connect_timeout": "10",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "25000",
    "options": "-c lock_timeout=30s -c idle_in_transaction_session_timeout=30s",
}
CONNECTIONS = 40  # at most; a server has as many threads for requests
HINT_URL = "FLOW_DATABASE is like postgresql://USER:PASSWORD@HOST:5432/NAME"


def make_engine(text: str) -> Engine:
    """Return the engine for a URL; raises StoreError when it is none."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        raise StoreError("the address of the database is not a URL", hint=HINT_URL) from error
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        event.listen(engine, "connect", _configure_sqlite)
        return engine
    if url.drivername not in ("postgresql", "postgres"):
        raise StoreError(f"{url.drivername} is not a kind of database that can be used", hint=HINT_URL)
    engine = create_engine(
        _with_defaults(url).set(drivername="postgresql+psycopg"),
        pool_size=CONNECTIONS // 4,
        max_overflow=CONNECTIONS - CONNECTIONS // 4,
        pool_pre_ping=True,  # of the connections that broke with a restart of the database none is handed out
    )
    event.listen(engine, "connect", _configure_postgres)
    return engine


def address(url: URL) -> str:
    """Return what libpq takes for the URL of an engine for PostgreSQL, without the limits of transactions."""
    from psycopg.conninfo import make_conninfo  # noqa: PLC0415 (loaded only by who uses PostgreSQL)

    options: dict[str, Any] = {key: value for key, value in url.query.items() if value != POSTGRES["options"]}
    return make_conninfo(**url.translate_connect_args(username="user", database="dbname"), **options)


def _with_defaults(url: URL) -> URL:
    return url.update_query_dict({key: value for key, value in POSTGRES.items() if key not in url.query})


def _configure_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    for pragma in ("busy_timeout=30000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _configure_postgres(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    """Store texts with NUL, which a step may print into a message of ours, without it: PostgreSQL refuses them."""
    from psycopg.types.string import StrDumperUnknown  # noqa: PLC0415 (loaded only by who uses PostgreSQL)

    class WithoutNul(StrDumperUnknown):
        def dump(self, obj: str) -> bytes:
            return obj.replace("\0", "\N{REPLACEMENT CHARACTER}").encode()

    connection.adapters.register_dumper(str, WithoutNul)
