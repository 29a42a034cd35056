"""A server's home directory and a machine elsewhere."""

import pytest

from flowbuild.testing.far import FarMachine
from flowbuild.testing.home import Home


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "server")


@pytest.fixture
def far(tmp_path):
    return FarMachine(tmp_path / "far")
