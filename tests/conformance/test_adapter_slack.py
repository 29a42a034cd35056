"""Slack keeps the contract of chat networks: against a local server that follows its documented protocol."""

import asyncio
import re

import pytest

from flowbuild.bot.adapters.slack import SlackAdapter, SlackOptions
from flowbuild.bot.adapters.slack_blocks import plain_of
from flowbuild.bot.memory import Memory
from flowbuild.testing.adapter_suite import AdapterSuite, Shown, life, refused, said
from flowbuild.testing.slack import APP_TOKEN, BOT, BOT_TOKEN, TEAM, Slack

ANN = "U0ANN"


class SlackSide:
    """See Network."""

    room, private, person, nowhere, has_buttons = "C0TEAM", "D0ANN", f"{TEAM}:U0ANN", "C0NONE", True
    called = "@flow"

    def __init__(self):
        self.slack = Slack()
        self.start, self.stop = self.slack.start, self.slack.stop

    def adapter(self, memory, **options):
        return SlackAdapter(SlackOptions(BOT_TOKEN, APP_TOKEN, api=self.slack.api), memory, **options)

    async def say(self, room, text, *, thread=""):
        wire = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        more = {"thread_ts": thread.rpartition("/")[2]} if thread else {}
        ts = await self.slack.say(room, ANN, f"<@{BOT}> {wire}" if room == self.room else wire, **more)
        return f"{room}/{ts}"

    async def murmur(self, room, text):
        await self.slack.say(room, ANN, text)
        await self.slack.say(room, ANN, f"<@{BOT}> {text}", subtype="message_changed")

    async def another_bot_says(self, room, text):
        await self.slack.say(room, "U0BOB", f"<@{BOT}> {text}", bot_id="B0OTHER")

    async def press(self, room, remote, label):
        await self.slack.press(room, ANN, remote, label)

    async def shown(self, room):
        return [_shown(room, each) for each in self.slack.channels[room].messages if each["user"] == BOT]

    async def limit(self):
        self.slack.left = 5


def _shown(room, message):
    rich = message["blocks"][0]
    pieces = list(_pieces(rich, code=False))
    fallback = message["text"]
    called = [f"{TEAM}:{piece['user_id']}" for piece, _ in pieces if piece["type"] == "user"]
    # The text of the notification is markup: whoever is called there is called.
    wrapped = re.findall(r"<([^>]*)>", fallback)
    assert wrapped == [f"@{each.rpartition(':')[2]}" for each in called]
    return Shown(
        message["ts"],
        "".join(piece.get("text", "") for piece, _ in pieces).strip(),
        "".join(piece["text"] for piece, code in pieces if code or piece.get("style", {}).get("code")),
        [piece["url"] for piece, _ in pieces if piece["type"] == "link"],
        called,
        f"{room}/{message['thread_ts']}" if "thread_ts" in message else "",
        "edited" in message,
        [each["text"]["text"] for block in message["blocks"][1:] for each in block["elements"]],
    )


def _pieces(block, *, code):
    for each in block["elements"]:
        if "elements" in each:
            yield from _pieces(each, code=each["type"] == "rich_text_preformatted")
            yield {"type": "text", "text": "\n"}, False
        else:
            yield each, code


@pytest.fixture
async def network():
    side = SlackSide()
    await side.start()
    yield side
    await side.stop()


class TestSlack(AdapterSuite):
    pass


async def test_what_got_through_unheard_is_found_by_its_key(network, tmp_path):
    async with life(network, tmp_path) as (adapter, _):
        network.slack.fail_next = "after"
        assert not (await refused(adapter.send(network.room, said("once"), key="k"))).lasting
    async with life(network, tmp_path) as (adapter, _):
        remote = await adapter.send(network.room, said("once"), key="k")
    assert [(each.remote, each.text) for each in await network.shown(network.room)] == [(remote, "once")]


async def test_what_got_through_unheard_in_a_thread_is_found(network, tmp_path):
    async with life(network, tmp_path) as (adapter, _):
        root = await adapter.send(network.room, said("root"), key="r")
        network.slack.fail_next = "after"
        await refused(adapter.send(network.room, said("once"), key="k", thread=root))
        await adapter.send(network.room, said("once"), key="k", thread=root)
    assert len(await network.shown(network.room)) == 2


async def test_what_never_arrived_is_not_looked_for(network, tmp_path):
    async with life(network, tmp_path) as (adapter, _):
        await refused(adapter.send(network.nowhere, said("once"), key="k"))
        assert "k" not in adapter._begun
    await network.stop()
    memory = Memory(tmp_path / "memory")
    adapter = network.adapter(memory)  # without a connection from before, on which it would not know
    await refused(adapter.send(network.room, said("once"), key="k"))
    assert "k" not in adapter._begun
    await adapter.close()
    memory.close()


async def test_an_envelope_is_acknowledged_once_it_was_taken(network, tmp_path):
    memory = Memory(tmp_path / "memory")
    adapter = network.adapter(memory)
    incoming = adapter.incoming()
    first = asyncio.ensure_future(anext(incoming))
    await adapter.listening.wait()
    await network.slack.say(network.private, ANN, "one")
    assert (await first).text == "one"
    assert not network.slack.acknowledged.is_set()
    second = asyncio.ensure_future(anext(incoming))
    await network.slack.acknowledged.wait()
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    await adapter.close()
    memory.close()


async def test_a_connection_that_slack_renews_loses_nothing(network, tmp_path):
    async with life(network, tmp_path) as (_, ear):
        await network.say(network.room, "1")
        await network.slack.disconnect()
        await network.say(network.room, "2")
        root = await network.say(network.room, "3")
        await network.say(network.room, "4", thread=root)
        assert await ear.texts(4) == ["1", "2", "3", "4"]


async def test_it_does_not_hear_itself(network, tmp_path):
    async with life(network, tmp_path) as (adapter, ear):
        await adapter.send(network.private, said("mine"), key="k")
        await network.slack.say(network.private, BOT, "mine as well")
        await network.slack.disconnect()  # all of it is in the history, too
        await network.say(network.private, "yours")
        assert await ear.texts(1) == ["yours"]


async def test_what_is_not_for_it_is_acknowledged(network, tmp_path):
    async with life(network, tmp_path) as (_, ear):
        reaction = {"type": "reaction_added", "user": ANN, "item": {"type": "message", "channel": network.private}}
        await network.slack.emit("events_api", {"type": "event_callback", "event": reaction})
        await network.slack.emit("slash_commands", {"command": "/flow", "text": "status", "user_id": ANN})
        await network.slack.emit("interactive", {"type": "block_actions", "actions": [{"action_id": "other"}]})
        await network.say(network.private, "hello")
        assert await ear.texts(1) == ["hello"]
        await network.slack.all_acknowledged()


async def test_what_failed_comes_again(network, tmp_path, monkeypatch):
    tried = asyncio.Event()

    async def fail(_):
        tried.set()
        raise RuntimeError("planted")

    async with life(network, tmp_path) as (adapter, ear):
        with monkeypatch.context() as broken:
            broken.setattr(adapter, "_name", fail)
            await network.say(network.private, "one")
            await tried.wait()
        await network.slack.disconnect()
        assert await ear.texts(1) == ["one"]


async def test_what_is_refused_says_what_to_do(network, tmp_path):
    memory = Memory(tmp_path / "memory")
    options = SlackOptions("xoxb-wrong", APP_TOKEN, api=network.slack.api)
    adapter = SlackAdapter(options, memory)
    error = await refused(anext(aiter(adapter.incoming())))
    assert error.lasting
    assert "token" in error.hint
    assert "xoxb-wrong" not in f"{error}{options}"
    await adapter.close()
    memory.close()


async def test_a_message_that_is_gone_cannot_be_edited(network, tmp_path):
    async with life(network, tmp_path) as (adapter, _):
        error = await refused(adapter.edit(network.room, "1.000000", said("x"), key="1"))
        assert error.lasting
        assert "message_not_found" in error.message


@pytest.mark.parametrize(
    ("wire", "typed"),
    [
        ("run <http://shop.example|shop.example> k=&lt;b&gt; &amp;amp;", "run shop.example k=<b> &amp;"),
        ("see <https://ci.example/7>", "see https://ci.example/7"),
        ("<!here> <#C1|team> <@U2> <@U2|ann>", "@here #team @U2 @ann"),
        ("a < b", "a < b"),
    ],
)
def test_what_slack_makes_of_text_is_undone(wire, typed):
    assert plain_of(wire) == typed
