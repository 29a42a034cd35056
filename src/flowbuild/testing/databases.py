"""Databases for tests that are up to date from the beginning: migrations take as long as most tests."""

from __future__ import annotations

import tempfile
import threading
from contextlib import closing
from functools import cache
from pathlib import Path

from flowbuild.store.database import Database

_filling = threading.Lock()


def new_sqlite(path: Path) -> Database:
    """Return a new database in a file that does not exist or is empty."""
    fill(path)
    return Database(f"sqlite:///{path}")


def fill(path: Path) -> None:
    """Make an empty file, or none, what the migrations make of it; leave any other alone."""
    with _filling:
        if not path.exists() or not path.stat().st_size:
            path.write_bytes(_template())


@cache
def _template() -> bytes:
    """Return the file that the migrations make: they run once in each process of the tests."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "flow.db"
        with closing(Database(f"sqlite:///{path}")) as database:
            database.migrate()
        return path.read_bytes()
