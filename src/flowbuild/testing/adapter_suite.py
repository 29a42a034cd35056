"""What every chat network must do: a class of tests, run on each implementation of `bot.adapters.base.Adapter`.

A subclass gives the fixture `network`, the side of people: a `Network`.
"""

# ruff: noqa: S101, D102  a module of tests without pytest: their names say what they check

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from flowbuild.bot.adapters.base import Adapter, Incoming
from flowbuild.bot.adapters.fitting import JOINER
from flowbuild.bot.memory import Memory
from flowbuild.bot.messages import Block, Button, Choices, Code, Message, Span, Table, Text, Tone, line
from flowbuild.core.errors import ChatError

URL = "https://ci.example/runs/7"
# What somebody may write into the subject of a commit, or a step may print.
HOSTILE = (
    "<script>alert(1)</script> <b>b</b> *b* _i_ ~s~ `c` [l](https://evil.example) <https://evil.example|ok> "
    "https://evil.example evil.example @room @everyone @channel @here <!channel> <!here> <@U0ANN> @ann_of_test @ann:flow.test "
    '<a href="https://matrix.to/#/@ann:flow.test">ann</a> &lt;b&gt; &amp; "q" #general /cancel \\ | > end'
)
FACELESS = "\x00\x07\x1b[31mred\x1b[0m\u202e\u200b\r"


@dataclass(frozen=True, slots=True)
class Shown:
    """Something that the bot said, as people see it: `text` is what they read, `code` what of it is in letters of one width."""

    remote: str
    text: str
    code: str = ""
    links: Sequence[str] = ()
    mentions: Sequence[str] = ()  # who is called by it; "everybody"
    thread: str = ""
    edited: bool = False
    buttons: Sequence[str] = ()


class Network(Protocol):
    """People on a network, in a room with the bot and another bot, and in one with the bot alone."""

    room: str
    private: str
    person: str
    nowhere: str  # a room that is none
    has_buttons: bool
    called: str  # the name of the bot

    def adapter(self, memory: Memory) -> Adapter:
        """Return the bot in a new life."""
        ...

    async def say(self, room: str, text: str, *, thread: str = "") -> str:
        """Say something to the bot, in the way one does it there; return its id."""
        ...

    async def murmur(self, room: str, text: str) -> None:
        """Say something that is not for the bot."""
        ...

    async def another_bot_says(self, room: str, text: str) -> None:
        """Let another bot say something to the bot."""
        ...

    async def press(self, room: str, remote: str, label: str) -> None:
        """Press a button."""
        ...

    async def shown(self, room: str) -> Sequence[Shown]:
        """Return what the bot said in a room, the oldest first, as it is now."""
        ...

    async def stop(self) -> None:
        """Take the network away."""
        ...

    async def start(self) -> None:
        """Bring it back."""
        ...

    async def limit(self) -> None:
        """Let the bot say only a few things at once from now on."""
        ...


@dataclass(slots=True)
class Ear:
    """What an adapter hears."""

    heard: asyncio.Queue[Incoming] = field(default_factory=asyncio.Queue)

    async def texts(self, count: int) -> list[str]:
        return [(await self.heard.get()).text for _ in range(count)]


@asynccontextmanager
async def life(network: Network, home: Path) -> AsyncIterator[tuple[Adapter, Ear]]:
    """Let the bot live and listen; it remembers in `home`."""
    memory = Memory(home / "memory")
    adapter, ear = network.adapter(memory), Ear()

    async def listen() -> None:
        async for each in adapter.incoming():
            ear.heard.put_nowait(each)

    listening = asyncio.create_task(listen())
    ready = asyncio.create_task(adapter.listening.wait())
    try:
        await asyncio.wait({listening, ready}, return_when=asyncio.FIRST_COMPLETED)
        if listening.done():
            listening.result()
        yield adapter, ear
    finally:
        for task in (listening, ready):
            task.cancel()
        await asyncio.gather(listening, ready, return_exceptions=True)
        await adapter.close()
        memory.close()


def said(text: str) -> Message:
    """Return a message of one line."""
    return Message(text)


def bare(text: str) -> str:
    """Return a text as it looks: without what has no width."""
    return text.replace(JOINER, "")


async def refused(work: object) -> ChatError:
    """Return the error that some work must raise."""
    try:
        await work  # type: ignore[misc]
    except ChatError as error:
        return error
    raise AssertionError("no ChatError")


class AdapterSuite:
    """The tests. `page`: what the network gives of a room at once."""

    page = 100

    async def test_what_is_said_arrives(self, network: Network, tmp_path: Path) -> None:
        async with life(network, tmp_path) as (adapter, ear):
            identity = await network.say(network.room, "run shop branch=main")
            heard = await ear.heard.get()
            assert (heard.id, heard.sender, heard.room) == (identity, network.person, network.room)
            assert (heard.text, heard.direct, heard.thread) == ("run shop branch=main", False, "")
            assert heard.sender_name
            assert adapter.called == network.called
            await network.say(network.private, "why 7")
            heard = await ear.heard.get()
            assert (heard.text, heard.direct, heard.room) == ("why 7", True, network.private)
            hostile = "<b>x</b> & *y* 'z' \"q\""
            await network.say(network.private, hostile)
            assert (await ear.heard.get()).text == hostile

    async def test_what_others_talk_about_is_not_for_the_bot(self, network: Network, tmp_path: Path) -> None:
        async with life(network, tmp_path) as (adapter, ear):
            await network.murmur(network.room, "run for your lives")
            await network.another_bot_says(network.room, "run shop")
            await adapter.send(network.room, said("run shop"), key="own")
            await adapter.send(network.private, said("run shop"), key="own in private")
            await network.say(network.room, "last")
            assert await ear.texts(1) == ["last"]

    async def test_an_answer_is_in_a_thread(self, network: Network, tmp_path: Path) -> None:
        async with life(network, tmp_path) as (adapter, ear):
            identity = await network.say(network.room, "status")
            await ear.heard.get()
            remote = await adapter.send(network.room, said("all is well"), key="1", thread=identity)
            (shown,) = await network.shown(network.room)
            assert (shown.text, shown.remote, shown.thread) == ("all is well", remote, identity)
            await network.say(network.room, "and now?", thread=identity)
            heard = await ear.heard.get()
            assert (heard.text, heard.thread) == ("and now?", identity)

    async def test_what_was_said_can_be_another_thing(self, network: Network, tmp_path: Path) -> None:
        async with life(network, tmp_path) as (adapter, _):
            remote = await adapter.send(network.room, Message("run 7 started", Tone.BUSY), key="1")
            failed = Message("run 7 failed", Tone.BAD, url=URL, blocks=[Code(["boom"])])
            for _ in range(2):  # the second finds that it is so already
                await adapter.edit(network.room, remote, failed, key="2")
            await adapter.edit(network.room, remote, failed, key="3")
            (shown,) = await network.shown(network.room)
            assert (shown.remote, shown.edited, list(shown.mentions)) == (remote, True, [])
            assert "run 7 failed" in shown.text
            assert "boom" in shown.code
            assert "started" not in shown.text

    async def test_the_same_key_is_said_once(self, network: Network, tmp_path: Path) -> None:
        async with life(network, tmp_path) as (adapter, _):
            first = await adapter.send(network.room, said("once"), key="k")
            assert await adapter.send(network.room, said("once"), key="k") == first
        async with life(network, tmp_path) as (adapter, _):
            assert await adapter.send(network.room, said("once"), key="k") == first
            await adapter.send(network.room, said("twice"), key="other")
        assert [each.text for each in await network.shown(network.room)] == ["once", "twice"]

    async def test_what_was_said_before_the_first_start_is_over(self, network: Network, tmp_path: Path) -> None:
        await network.say(network.room, "old")
        await network.say(network.private, "old")
        async with life(network, tmp_path) as (_, ear):
            await network.say(network.room, "new")
            assert await ear.texts(1) == ["new"]

    async def test_nothing_is_lost_between_two_lives_and_nothing_comes_twice(
        self, network: Network, tmp_path: Path
    ) -> None:
        async with life(network, tmp_path) as (_, ear):
            await network.say(network.room, "0")
            assert await ear.texts(1) == ["0"]
        numbers = [str(number) for number in range(1, self.page + 11)]
        for number in numbers:
            await network.say(network.room, number)
        async with life(network, tmp_path) as (_, ear):
            assert await ear.texts(len(numbers)) == numbers
            await network.say(network.private, "later")
            assert await ear.texts(1) == ["later"]
        async with life(network, tmp_path) as (_, ear):
            await network.say(network.private, "last")
            assert await ear.texts(1) == ["last"]

    async def test_what_nobody_took_comes_again(self, network: Network, tmp_path: Path) -> None:
        memory = Memory(tmp_path / "memory")
        adapter = network.adapter(memory)
        incoming = aiter(adapter.incoming())
        first = asyncio.ensure_future(anext(incoming))
        await adapter.listening.wait()
        await network.say(network.room, "one")
        assert (await first).text == "one"  # and the program dies before it could write it down
        await adapter.close()
        memory.close()
        async with life(network, tmp_path) as (_, ear):
            assert await ear.texts(1) == ["one"]

    async def test_the_network_may_go_and_come_back(self, network: Network, tmp_path: Path) -> None:
        async with life(network, tmp_path) as (adapter, ear):
            await network.say(network.room, "before")
            remote = await adapter.send(network.room, said("here"), key="1")
            await network.stop()
            error = await refused(adapter.send(network.room, said("away"), key="2"))
            assert not error.lasting
            assert not (await refused(adapter.edit(network.room, remote, said("there"), key="3"))).lasting
            await network.start()
            await network.say(network.room, "after")
            assert await ear.texts(2) == ["before", "after"]
            await adapter.send(network.room, said("away"), key="2")
            await adapter.edit(network.room, remote, said("there"), key="3")
        assert [each.text for each in await network.shown(network.room)] == ["there", "away"]

    async def test_a_room_that_is_none_is_a_lasting_error(self, network: Network, tmp_path: Path) -> None:
        async with life(network, tmp_path) as (adapter, _):
            error = await refused(adapter.send(network.nowhere, said("hello"), key="1"))
            assert error.lasting
            assert error.message

    async def test_somebody_is_told_in_private(self, network: Network, tmp_path: Path) -> None:
        async with life(network, tmp_path) as (adapter, _):
            room = await adapter.direct_room(network.person)
            assert await adapter.direct_room(network.person) == room
            assert room != network.room
            await adapter.send(room, said("for you"), key="1")
        async with life(network, tmp_path) as (adapter, _):
            assert await adapter.direct_room(network.person) == room
        assert [each.text for each in await network.shown(room)] == ["for you"]

    async def test_who_is_mentioned_is_called_and_nobody_else(self, network: Network, tmp_path: Path) -> None:
        async with life(network, tmp_path) as (adapter, _):
            await adapter.send(network.room, Message("run 7 failed", Tone.BAD, mention=[network.person]), key="1")
            await adapter.send(network.room, Message("run 8 failed", Tone.BAD), key="2")
        called, quiet = await network.shown(network.room)
        assert list(called.mentions) == [network.person]
        assert list(quiet.mentions) == []

    async def test_what_strangers_wrote_is_text(self, network: Network, tmp_path: Path) -> None:
        blocks: list[Block] = [
            line(HOSTILE + FACELESS, Span(HOSTILE, strong=True)),
            line(Span(HOSTILE, code=True)),
            Code([HOSTILE, FACELESS + "end of lines", "</code></pre><b>out</b>", "```"]),
            Table([HOSTILE, "state"], [[HOSTILE, FACELESS]]),
            Choices([HOSTILE]),
        ]
        message = Message(HOSTILE, blocks=blocks, buttons=[Button(HOSTILE[:60], "cancel 7")])
        async with life(network, tmp_path) as (adapter, _):
            remote = await adapter.send(network.room, message, key="1")
            (sent,) = await network.shown(network.room)
            await adapter.edit(network.room, remote, message, key="2")
        (edited,) = await network.shown(network.room)
        for shown in (sent, edited):
            assert bare(shown.text).count(HOSTILE) >= 6, shown.text
            assert (list(shown.links), list(shown.mentions)) == ([], [])
            assert shown.code.count(HOSTILE) >= 3
            assert "</code></pre><b>out</b>" in shown.code
            assert not set("\x00\x07\x1b\u202e\u200b\r") & set(shown.text)

    async def test_links_lead_where_we_say(self, network: Network, tmp_path: Path) -> None:
        blocks = [line("see ", Span("the log", url=f"{URL}?a=1&b=2"))]
        async with life(network, tmp_path) as (adapter, _):
            await adapter.send(network.room, Message("run 7", url=URL, blocks=blocks), key="1")
        (shown,) = await network.shown(network.room)
        assert list(shown.links) == [URL, f"{URL}?a=1&b=2"]

    async def test_what_is_too_long_is_cut_and_says_where_the_rest_is(self, network: Network, tmp_path: Path) -> None:
        lines = [f"{number:05} <&> {'x' * 90}" for number in range(1000)]  # 100 kB
        many = [Code(lines[:2]), Code(["y" * 100_000])]
        async with life(network, tmp_path) as (adapter, _):
            await adapter.send(network.room, Message("log", url=URL, blocks=[Code(lines)]), key="1")
            await adapter.send(network.room, Message("log", url=URL, blocks=many), key="2")
            await adapter.send(network.room, Message("t" * 100_000, url=URL), key="3")
            blocks = [Text([Span("w " * 50_000)])]
            remote = await adapter.send(network.room, Message("text", url=URL, blocks=blocks), key="4")
            await adapter.edit(network.room, remote, Message("text", url=URL, blocks=[Code(lines)]), key="5")
            rows = [[str(number), "z" * 90] for number in range(1000)]
            await adapter.send(network.room, Message("rows", url=URL, blocks=[Table(["n", "what"], rows)]), key="6")
        shown = await network.shown(network.room)
        assert len(shown) == 5
        for each in (shown[0], shown[1], shown[3], shown[4]):
            assert "cut here" in each.text
            assert URL in each.links
        assert shown[0].code.startswith("00000 <&> xxx")
        assert shown[3].code.startswith("00000 <&> xxx")
        assert "y" * 500 in shown[1].code

    async def test_limits_of_the_network_are_heard(self, network: Network, tmp_path: Path) -> None:
        async with life(network, tmp_path) as (adapter, _):
            await network.limit()
            errors = []
            for number in range(30):
                try:
                    await adapter.send(network.room, said(str(number)), key=str(number))
                except ChatError as error:
                    errors.append(error)
                    break
            assert [error.lasting for error in errors] == [False]
            assert 0 < errors[0].again_after < 60

    async def test_buttons_say_their_command(self, network: Network, tmp_path: Path) -> None:
        command = "retry 7 from a-step-with-a-rather-long-name-that-goes-on-and-on-and-on"
        message = Message("run 7 failed", buttons=[Button("Retry", command), Button("Cancel", "cancel 7", danger=True)])
        async with life(network, tmp_path) as (adapter, ear):
            remote = await adapter.send(network.room, message, key="1")
            (shown,) = await network.shown(network.room)
            if not network.has_buttons:
                assert command in shown.text
                return
            assert list(shown.buttons) == ["Retry", "Cancel"]
            await network.press(network.room, remote, "Retry")
            heard = await ear.heard.get()
            assert (heard.text, heard.sender, heard.room) == (command, network.person, network.room)
            assert not heard.direct
        async with life(network, tmp_path) as (_, ear):  # buttons outlive the program
            await network.press(network.room, remote, "Cancel")
            assert await ear.texts(1) == ["cancel 7"]
