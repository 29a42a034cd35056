"""A database of their own."""

import pytest

from flowbuild.testing.databases import new_sqlite


@pytest.fixture
def database(tmp_path):
    database = new_sqlite(tmp_path / "flow.db")
    yield database
    database.close()
