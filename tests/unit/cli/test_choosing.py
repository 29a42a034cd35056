"""Which server a command talks to."""

import pytest

from flowbuild.cli.choosing import Choice
from flowbuild.cli.logins import Login, Logins
from flowbuild.core.errors import InvalidRequest


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("FLOW_SERVER", "FLOW_PROJECT", "FLOW_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def asked():
    """What was asked for: a directory here, or address, token and project elsewhere."""
    return []


@pytest.fixture
def choose(asked):
    def connect(directory, **_options):
        asked.append(directory)

    def dial(*where):
        asked.append(where)

    return lambda **said: Choice(connect, dial, **said)


def test_nothing_said_means_this_machine_whoever_is_logged_in(choose, asked, monkeypatch):
    Logins().put(Login("https://flow.example", "token"))
    choose()(".")
    monkeypatch.setenv("FLOW_PROJECT", "shop")  # a step has it
    choose()(".")
    assert asked == [".", "."]


def test_a_project_is_one_of_the_latest_login(choose, asked):
    with pytest.raises(InvalidRequest, match="which server"):
        choose(project="shop", far=True)(".")
    Logins().put(Login("https://old.example", "old"))
    Logins().put(Login("https://flow.example", "token"))
    choose(project="shop", far=True)(".")
    assert asked == [("https://flow.example", "token", "shop")]


def test_a_server_that_is_named(choose, asked, monkeypatch):
    monkeypatch.setenv("FLOW_SERVER", "https://other.example/")
    monkeypatch.setenv("FLOW_PROJECT", "shop")
    monkeypatch.setenv("FLOW_TOKEN", "from the environment")
    choose()(".")
    choose(server="https://named.example")(".")
    assert asked == [(f"https://{name}.example", "from the environment", "shop") for name in ("other", "named")]
