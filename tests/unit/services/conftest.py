"""A clock that tests set, and a database of their own."""

import pytest

from flowbuild.testing.databases import new_sqlite


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def database(tmp_path):
    database = new_sqlite(tmp_path / "flow.db")
    yield database
    database.close()
