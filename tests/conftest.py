"""What holds for all tests, and what is dear to make."""

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes, or data for it, says something about the machine and nothing about the program.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server; each test takes a database of its own in it."""
    from flowbuild.testing.postgres import running

    with running() as server:
        yield server
