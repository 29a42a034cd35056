"""What holds for all tests, and what is dear to make."""

import signal

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes, or data for it, says something about the machine and nothing about the program.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
# Who is started in the background ignores Ctrl-C, and so would the programs that tests start and press it for.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish(session):
    """Refuse to begin when groups are not kept together: their tests would share nothing but the machine, and take twice as long."""
    grouped = [item for item in session.items if item.get_closest_marker("xdist_group") is not None]
    scattered = [item.nodeid for item in grouped if "@" not in item.nodeid]
    if getattr(session.config.option, "loadgroup", False) and scattered:
        raise pytest.UsageError(f"pytest-xdist does not know the group of {scattered[0]} and {len(scattered) - 1} more")


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server; each test takes a database of its own in it."""
    from flowbuild.testing.postgres import running

    with running() as server:
        yield server
