"""Who watches a run is told once how it ended, whatever was away meanwhile: the bot, the server, the network."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from flowbuild.bot import seen
from flowbuild.bot.adapters import pauses
from flowbuild.bot.memory import Memory
from flowbuild.bot.watching import MOST_OF_ONE, Watching
from flowbuild.bot.words import Refused
from flowbuild.client.base import RunUpdate
from flowbuild.core.errors import ChatError, NotFound, ServerUnreachable
from flowbuild.testing import scripted

AWAY = ServerUnreachable("the server cannot be reached")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(pauses, "FIRST", 0.001)


def running(**more):
    return seen.run(scripted.run(4, "running", **more))


def ended():
    return seen.run(scripted.run(4, "failed"))


def waits(*keys):
    return running(steps=[scripted.step(key, None, approve=["ann"]) for key in keys])


class Server:
    """Answers who watches with one of these lists of views after the other: an error ends a list, `open` keeps it from ending."""

    def __init__(self, *answers):
        self.answers, self.asked, self.go = list(answers), [], asyncio.Event()

    async def watch(self, run):
        self.asked.append(run)
        for each in self.answers.pop(0) if self.answers else ():
            if isinstance(each, Exception):
                raise each
            if each == "open":
                await self.go.wait()
            else:
                yield RunUpdate(1, 1000.0, {}, each)


class Chat:
    """What was told, and the lives of a bot that tell it."""

    def __init__(self, path):
        self.path, self.told, self.error = path, [], None

    async def say(self, room, thread, message, key):
        self.told.append((room, thread, message.title, key))
        if self.error is not None:
            raise self.error

    @asynccontextmanager
    async def life(self, server):
        memory = Memory(self.path)
        watching = Watching(self.say, lambda: 2000.0, memory.table("watches"))
        watching.resume(lambda _sender: server)
        try:
            yield watching
        finally:
            await watching.close()
            memory.close()

    @property
    def titles(self):
        return [title for _, _, title, _ in self.told]


@pytest.fixture
def chat(tmp_path):
    return Chat(tmp_path / "memory")


async def test_the_next_life_of_the_bot_tells_it(chat):
    async with chat.life(Server([running(), "open"])) as watching:
        watching.begin(Server([running(), "open"]), "ann", "room", "t1", running())
        await asyncio.sleep(0)
    assert chat.told == []
    server = Server([ended()])
    async with chat.life(server) as watching:
        await watching.idle()
    assert [told[:3] for told in chat.told] == [("room", "t1", "shop/release #4 failed")]
    assert server.asked == [ended().id]
    async with chat.life(server) as watching:
        await watching.idle()
    assert len(chat.told) == 1


async def test_killed_while_it_tells_it_tells_the_same_again(chat):
    chat.error = asyncio.CancelledError()
    async with chat.life(Server()) as watching:
        watching.begin(Server([ended()]), "ann", "room", "", running())
        await watching.idle()
    chat.error = None
    async with chat.life(Server([ended()])) as watching:
        await watching.idle()
    first, second = chat.told
    assert first == second  # also by its key: the network says it once


async def test_a_room_that_is_gone_is_not_tried_in_each_life_again(chat):
    chat.error = ChatError("the room is gone", lasting=True)
    for server in (Server(), Server([ended()])):
        async with chat.life(server) as watching:
            if not chat.told:
                watching.begin(Server([ended()]), "ann", "room", "", running())
            await watching.idle()
    assert len(chat.told) == 1


async def test_a_server_that_is_away_is_waited_for(chat):
    server = Server([AWAY], [running(), AWAY], [ended()])
    async with chat.life(Server()) as watching:
        watching.begin(server, "ann", "room", "", running())
        await watching.idle()
    assert chat.titles == ["shop/release #4 failed"]


async def test_in_a_terminal_nothing_is_waited_for(chat):
    watching = Watching(chat.say, lambda: 2000.0)
    watching.begin(Server([AWAY]), "ann", "room", "", running())
    await watching.idle()
    assert chat.titles == ["I cannot watch shop/release #4 any more"]


async def test_what_may_not_be_seen_any_more_is_told_and_forgotten(chat):
    async with chat.life(Server()) as watching:
        watching.begin(Server([running(), NotFound("there is no such run")]), "ann", "room", "", running())
        await watching.idle()
    async with chat.life(Server([ended()])) as watching:
        await watching.idle()
    assert chat.titles == ["I cannot watch shop/release #4 any more"]


async def test_a_step_that_waited_already_is_no_news_in_the_next_life_either(chat):
    async with chat.life(Server()) as watching:
        watching.begin(Server([waits("qa"), "open"]), "ann", "room", "", waits("qa"))
        await asyncio.sleep(0)
    async with chat.life(Server([waits("qa"), waits("qa", "prod"), "open"])) as watching:
        await watching.idle()
    (told,) = chat.told
    assert told[2] == "shop/release #4 waits for approval"
    async with chat.life(Server()) as watching:
        watching.begin(Server([waits("qa"), ended()]), "ann", "room", "", waits("qa"))
        await watching.idle()
    assert chat.titles[1:] == ["shop/release #4 failed"]


async def test_asked_twice_it_is_told_once_and_there_is_an_end_to_it(chat):
    async with chat.life(Server()) as watching:
        server = Server(*[["open"]] * MOST_OF_ONE)
        for number in (0, *range(MOST_OF_ONE)):
            watching.begin(server, "ann", f"room {number}", "", running())
        with pytest.raises(Refused):
            watching.begin(server, "ann", "one more", "", running())
        await asyncio.sleep(0)
        assert len(server.asked) == MOST_OF_ONE
