from functools import partial

import pytest

from flowbuild.testing import site
from flowbuild.testing.home import Home


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


@pytest.fixture
def public():
    """The names of public projects; a test may add to it."""
    return set()


@pytest.fixture
def open_site(home, public):
    return partial(site.open_site, home, public)
