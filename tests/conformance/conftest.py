"""A laboratory for the tests of what needs a Swarm; see testing.lab."""

import pytest

from flowbuild.testing.images import BUSYBOX, ensure_busybox
from flowbuild.testing.lab import Lab


@pytest.fixture(scope="module")
def lab():
    """A manager and a worker."""
    ensure_busybox()
    with Lab() as lab:
        lab.up(managers=1, workers=1)
        lab.load(BUSYBOX)
        yield lab
