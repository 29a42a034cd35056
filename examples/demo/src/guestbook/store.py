"""The entries in PostgreSQL; the address is in DATABASE_URL."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2


@contextmanager
def cursor() -> Iterator[psycopg2.extensions.cursor]:
    """One transaction."""
    connection = psycopg2.connect(os.environ["DATABASE_URL"])
    try:
        with connection, connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


def create_tables() -> None:
    with cursor() as sql:
        sql.execute("create table if not exists entries (id serial primary key, line text not null)")


def add(line: str) -> None:
    with cursor() as sql:
        sql.execute("insert into entries (line) values (%s)", [line])


def lines() -> list[str]:
    """All lines, the oldest first."""
    with cursor() as sql:
        sql.execute("select line from entries order by id")
        return [line for (line,) in sql.fetchall()]
