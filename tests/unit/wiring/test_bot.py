"""`flow bot` says what it needs, and becomes what the options say."""

import builtins

import pytest

from flowbuild.bot.memory import Memory
from flowbuild.core.errors import InvalidRequest, SystemFailed
from flowbuild.settings import Settings
from flowbuild.testing.program import Program
from flowbuild.wiring.bot import Clients, check, connect

ALL = {
    "server": "https://flow.example",
    "bot_token": "flowb_hush",
    "matrix_homeserver": "https://matrix.example",
    "matrix_token": "syt_hush",
    "slack_token": "xoxb-hush",
    "slack_app_token": "xapp-hush",
    "telegram_token": "1:hush",
}


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({}, "FLOW_SERVER, FLOW_BOT_NETWORK, FLOW_BOT_TOKEN"),
        ({**ALL, "bot_network": "matrix", "matrix_token": ""}, "FLOW_MATRIX_USER, FLOW_MATRIX_PASSWORD"),
        ({**ALL, "bot_network": "matrix", "matrix_homeserver": ""}, "FLOW_MATRIX_HOMESERVER"),
        ({**ALL, "bot_network": "slack", "slack_app_token": ""}, "FLOW_SLACK_APP_TOKEN"),
        ({**ALL, "bot_network": "telegram", "telegram_token": "", "server": ""}, "FLOW_SERVER, FLOW_TELEGRAM_TOKEN"),
    ],
)
def test_all_that_is_missing_is_named(given, missing):
    with pytest.raises(InvalidRequest) as raised:
        check(Settings(**given))
    assert raised.value.message == f"the bot needs {missing}"
    assert "docs/bot-" in raised.value.hint


@pytest.mark.parametrize("network", ["matrix", "slack", "telegram"])
async def test_each_network_has_its_adapter(network, tmp_path):
    settings = Settings(**ALL, bot_network=network)
    check(settings)
    memory = Memory(tmp_path / "memory")
    adapter = connect(settings, memory, lambda _room, _sender: False)
    assert adapter.network == network
    await adapter.close()
    memory.close()
    assert "hush" not in repr(settings)


def test_a_library_that_is_not_there_is_named(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **options):
        if name.startswith("flowbuild.bot.adapters.slack"):
            raise ModuleNotFoundError("No module named 'slack_sdk'", name="slack_sdk")
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    memory = Memory(tmp_path / "memory")
    with pytest.raises(SystemFailed, match="slack_sdk") as raised:
        connect(Settings(**ALL, bot_network="slack"), memory, lambda _room, _sender: False)
    assert "[slack]" in raised.value.hint
    memory.close()


async def test_clients_of_many_people_share_connections():
    clients = Clients("https://flow.example", "flowb_hush")
    assert clients("@ann:x") is clients("@ann:x")
    assert clients("@ann:x") is not clients("@bob:x")
    with pytest.raises(InvalidRequest):
        clients("two\nlines")
    for number in range(2000):
        clients(str(number))
    assert len(clients._known) == 1000
    await clients.close()


def test_the_program_says_what_it_needs(tmp_path):
    output = Program(tmp_path, tmp_path, {"FLOW_BOT_NETWORK": "slack"}).call("bot")
    assert output.code == 2
    assert "the bot needs FLOW_SERVER, FLOW_BOT_TOKEN, FLOW_SLACK_TOKEN, FLOW_SLACK_APP_TOKEN" in output.stderr
    assert "docs/bot-slack.md" in output.stderr
