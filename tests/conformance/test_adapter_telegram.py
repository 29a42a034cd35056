"""Telegram keeps the contract of chat networks: against a local server that follows its documented protocol."""

import pytest

from flowbuild.bot.adapters.telegram import TelegramAdapter, TelegramOptions
from flowbuild.bot.memory import Memory
from flowbuild.bot.messages import Button, Message
from flowbuild.testing.adapter_suite import AdapterSuite, Shown, life, refused, said
from flowbuild.testing.telegram import BOT, GROUP, OTHER_BOT, PRIVATE, STRANGER, TOKEN, Refused, Telegram, parse


class TelegramSide:
    """See Network."""

    room, private, person, nowhere, has_buttons = str(GROUP), str(PRIVATE), str(PRIVATE), "-999", True
    called = "@flow_test_bot"

    def __init__(self):
        self.telegram = Telegram()
        self.start, self.stop = self.telegram.start, self.telegram.stop

    def adapter(self, memory, **options):
        return TelegramAdapter(TelegramOptions(TOKEN, api=self.telegram.api), memory, **options)

    async def say(self, room, text, *, thread=""):
        reply = int(thread.rpartition("/")[2]) if thread else 0
        addressed = f"@{BOT['username']} {text}" if room == self.room else text
        return f"{room}/{await self.telegram.say(int(room), addressed, reply=reply)}"

    async def murmur(self, room, text):
        await self.telegram.say(int(room), text)
        await self.telegram.say(int(room), f"/run@other_bot {text}")
        await self.telegram.say(int(room), f"@{BOT['username']}ish {text}")

    async def another_bot_says(self, room, text):
        await self.telegram.say(int(room), f"@{BOT['username']} {text}", user=OTHER_BOT)

    async def press(self, room, remote, label):
        await self.telegram.press(int(room), int(remote), label)

    async def shown(self, room):
        return [_shown(room, each) for each in self.telegram.sent if each.chat == int(room)]

    async def limit(self):
        self.telegram.left = 5


def _shown(room, sent):
    links, mentions, code = [], [], ""
    for kind, text, leads in sent.entities:
        if kind in {"code", "pre"}:
            code += text
        elif kind == "mention":
            mentions.append(text)
        elif kind == "a" and leads.startswith("tg://user?id="):
            mentions.append(leads.partition("=")[2])
        elif kind != "b":
            links.append(leads)
    thread = f"{room}/{sent.reply}" if sent.reply else ""
    return Shown(
        str(sent.id),
        sent.text.strip(),
        code,
        links,
        mentions,
        thread,
        sent.edited,
        [each["text"] for each in sent.buttons],
    )


@pytest.fixture
async def network():
    side = TelegramSide()
    await side.start()
    yield side
    await side.stop()


class TestTelegram(AdapterSuite):
    pass


async def test_what_got_through_unheard_is_said_again(network, tmp_path):
    """The network has no keys and no history for bots: twice is better than never."""
    async with life(network, tmp_path) as (adapter, _):
        network.telegram.fail_next = True
        assert not (await refused(adapter.send(network.room, said("perhaps twice"), key="k"))).lasting
        await adapter.send(network.room, said("perhaps twice"), key="k")
        await adapter.send(network.room, said("perhaps twice"), key="k")
    assert len(await network.shown(network.room)) == 2


async def test_commands_are_meant_for_the_bot(network, tmp_path):
    async with life(network, tmp_path) as (_, ear):
        for text in ("/run shop branch=main", f"/status@{BOT['username']}", "/flow why 7", "/start"):
            await network.telegram.say(GROUP, text)
        assert await ear.texts(4) == ["run shop branch=main", "status", "why 7", "help"]


async def test_a_group_that_moved_is_found(network, tmp_path):
    network.telegram.moved[GROUP] = -100500
    async with life(network, tmp_path) as (adapter, _):
        remote = await adapter.send(network.room, said("here"), key="1")
        await adapter.edit(network.room, remote, said("there"), key="2")
    assert [each.text for each in await network.shown("-100500")] == ["there"]


async def test_strangers_cannot_be_told_anything(network, tmp_path):
    async with life(network, tmp_path) as (adapter, _):
        room = await adapter.direct_room(str(STRANGER))
        error = await refused(adapter.send(room, said("hello"), key="1"))
        assert error.lasting
        assert "initiate" in error.message


async def test_a_button_that_was_pressed_stops_its_clock(network, tmp_path):
    async with life(network, tmp_path) as (adapter, ear):
        remote = await adapter.send(network.room, Message("?", buttons=[Button("Yes", "approve 7")]), key="1")
        await network.press(network.room, remote, "Yes")
        await ear.heard.get()
        assert len(network.telegram.answered) == 1


async def test_a_wrong_token_is_a_lasting_error_that_does_not_name_it(network, tmp_path):
    memory = Memory(tmp_path / "memory")
    adapter = TelegramAdapter(TelegramOptions("1:wrong", api=network.telegram.api), memory)
    error = await refused(anext(aiter(adapter.incoming())))
    assert error.lasting
    assert "token" in error.hint
    assert "1:wrong" not in f"{error}"
    await adapter.close()
    memory.close()


async def test_a_webhook_stands_in_the_way(network, tmp_path):
    network.telegram.webhook = True
    memory = Memory(tmp_path / "memory")
    adapter = network.adapter(memory)
    error = await refused(anext(aiter(adapter.incoming())))
    assert error.lasting
    assert "deleteWebhook" in error.hint
    await adapter.close()
    memory.close()


async def test_topics_are_rooms(network, tmp_path):
    async with life(network, tmp_path) as (adapter, ear):
        more = {"message_thread_id": 42, "is_topic_message": True}
        await network.telegram.say(GROUP, f"@{BOT['username']} status", reply=42, **more)
        heard = await ear.heard.get()
        assert (heard.room, heard.thread) == (f"{GROUP}/42", "")
        await adapter.send(heard.room, said("ok"), key="1", thread=heard.id)


@pytest.mark.parametrize("html", ["<script>x</script>", "a < b", "<b>x", "<b><code>x</b></code>"])
def test_the_server_of_the_tests_refuses_what_telegram_refuses(html):
    with pytest.raises(Refused, match="can't parse"):
        parse(html)


def test_the_server_of_the_tests_finds_what_telegram_finds():
    text, entities = parse("@some_name https://x.example /go <code>@some_name</code> x.example &lt;")
    assert text.endswith("x.example <")
    assert [kind for kind, _, _ in entities] == ["mention", "url", "bot_command", "code", "url"]
