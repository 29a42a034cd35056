"""The whole database as one file, taken while others write, and put back."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from sqlalchemy import URL, make_url

from flowbuild.core.errors import Conflict, StoreError

SQLITE, POSTGRES = "flow.db", "flow.pgdump"
_SECONDS = 3600.0


def dump(url: str, target: Path) -> Path:
    """Write the database, as it is at one moment, to a file in `target`; return it. Writers do not wait for it.

    Raises StoreError. SQLite copies itself, for PostgreSQL it takes pg_dump of the same version or a newer one.
    """
    where = make_url(url)
    if where.get_backend_name() != "sqlite":
        file = target / POSTGRES
        _run("pg_dump", where, "--format=custom", "--no-owner", f"--file={file}")
        return file
    file = target / SQLITE
    file.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(f"file:{where.database}?mode=ro", uri=True, timeout=30)) as connection:
            connection.execute("VACUUM INTO ?", (str(file),))
    except sqlite3.Error as error:
        raise StoreError(f"the database cannot be copied: {error}") from error
    return file


def load(source: Path, url: str) -> None:
    """Put the database of a backup in its place, where there is none. Raises Conflict when there is, StoreError."""
    where = make_url(url)
    if where.get_backend_name() != "sqlite":
        if not (source / POSTGRES).is_file():
            raise StoreError(f"{source} holds no dump of PostgreSQL", hint="it was made of a server with SQLite")
        _run(
            "pg_restore",
            where,
            "--exit-on-error",
            "--no-owner",
            "--single-transaction",
            str(source / POSTGRES),
            into=True,
        )
        return
    if not (source / SQLITE).is_file():
        raise StoreError(f"{source} holds no database of SQLite", hint="it was made of a server with PostgreSQL")
    target = Path(where.database or "")
    if target.exists() and target.stat().st_size:
        raise Conflict(f"{target} exists already", hint="restore into an empty directory")
    shutil.copyfile(source / SQLITE, target)
    target.chmod(0o600)


def check(source: Path) -> None:
    """Raise StoreError unless the database in a backup is whole; of PostgreSQL only its table of contents is read."""
    if (source / SQLITE).is_file():
        try:
            with closing(sqlite3.connect(f"file:{source / SQLITE}?mode=ro", uri=True)) as connection:
                (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        except sqlite3.Error as error:
            raise StoreError(f"the database in {source} is damaged: {error}") from error
        if found != "ok":
            raise StoreError(f"the database in {source} is damaged: {found}")
        return
    _run("pg_restore", None, "--list", str(source / POSTGRES))


def _run(program: str, where: URL | None, *arguments: str, into: bool = False) -> None:
    """Run a program of PostgreSQL; address and password go by the environment, where nobody else sees them."""
    if shutil.which(program) is None:
        raise StoreError(f"{program} is not installed", hint="install the package postgresql-client")
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "LC_ALL") if name in os.environ}
    if where is not None:
        known = {
            "PGHOST": where.host or where.query.get("host"),
            "PGPORT": where.port,
            "PGUSER": where.username,
            "PGPASSWORD": where.password,
            "PGDATABASE": where.database,
        }
        environment |= {name: str(value) for name, value in known.items() if value}
    command = [program, *([f"--dbname={where.database}"] if into and where is not None else []), *arguments]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise StoreError(f"{program} did not come to an end within {_SECONDS:.0f} s") from error
    if done.returncode:
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise StoreError(f"{program} failed: {words[-1] if words else done.returncode}")
