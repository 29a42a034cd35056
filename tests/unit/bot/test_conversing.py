"""Every message is answered once, also when the program dies over it, or the network goes away."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from flowbuild.bot.adapters import pauses
from flowbuild.bot.adapters.base import Incoming
from flowbuild.bot.conversing import Conversations
from flowbuild.bot.memory import Memory
from flowbuild.bot.messages import Message
from flowbuild.core.errors import ChatError
from flowbuild.testing.fake_network import FakeNetwork

AWAY = ChatError("away", lasting=False)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(pauses, "FIRST", 0.001)


class Echo:
    """A command core that says what it was told; it works on `slow` until it is let go, and breaks at `break`."""

    def __init__(self):
        self.asked, self.go = [], asyncio.Event()

    async def handle(self, incoming):
        self.asked.append(incoming)
        if incoming.text == "slow":
            await self.go.wait()
        if incoming.text == "break":
            raise RuntimeError("a fault")
        return [Message(f"{incoming.text} to you")]


def told(text, number=1, room="team", sender="ann", **more):
    return Incoming(f"e{number}", sender, room, text, more.pop("direct", False), **more)


@asynccontextmanager
async def life(tmp_path, network, brain):
    memory = Memory(tmp_path / "memory")
    working = asyncio.create_task(Conversations(network, brain, memory).run())
    try:
        yield working
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        memory.close()


async def until(met):
    async with asyncio.timeout(60):
        while not met():  # noqa: ASYNC110 (one turn of the loop after the other)
            await asyncio.sleep(0)


async def test_answers_are_in_the_thread_of_the_question(tmp_path):
    network, brain = FakeNetwork(), Echo()
    async with life(tmp_path, network, brain):
        network.heard.put_nowait(told("a"))
        network.heard.put_nowait(told("b", 2, thread="t"))
        network.heard.put_nowait(told("c", 3, room="private", direct=True))
        await until(lambda: len(network.said) == 3)
    assert {(each.room, each.title, each.thread) for each in network.said} == {
        ("team", "a to you", "e1"),
        ("team", "b to you", "t"),
        ("private", "c to you", ""),
    }


async def test_the_same_message_is_answered_once_in_all_lives(tmp_path):
    network, brain = FakeNetwork(), Echo()
    for _ in range(2):
        async with life(tmp_path, network, brain):
            for _ in range(2):
                network.heard.put_nowait(told("a"))
            network.heard.put_nowait(told("last", 2 + len(network.said)))
            await until(lambda: network.said and network.said[-1].title == "last to you")
    assert [each.text for each in brain.asked].count("a") == 1


async def test_one_after_the_other_in_a_room_and_rooms_at_the_same_time(tmp_path):
    network, brain = FakeNetwork(), Echo()
    async with life(tmp_path, network, brain):
        for number, (text, room) in enumerate([("slow", "team"), ("second", "team"), ("other", "elsewhere")]):
            network.heard.put_nowait(told(text, number, room))
        await until(lambda: network.said)
        assert [each.title for each in network.said] == ["other to you"]
        brain.go.set()
        await until(lambda: len(network.said) == 3)
    assert [each.title for each in network.said] == ["other to you", "slow to you", "second to you"]


async def test_what_was_begun_when_the_program_died_is_told_and_not_done_again(tmp_path, monkeypatch):
    monkeypatch.setattr("flowbuild.bot.conversing.LAST_SECONDS", 0)
    network, brain = FakeNetwork(), Echo()
    async with life(tmp_path, network, brain):
        network.heard.put_nowait(told("slow"))
        network.heard.put_nowait(told("behind it", 2))
        await until(lambda: brain.asked and network.heard.empty())
        await until(lambda: len(asyncio.all_tasks()) >= 4)
    assert not network.said
    async with life(tmp_path, network, brain):
        await until(lambda: len(network.said) == 2)
    first, second = network.said
    assert "Please look" in first.title
    assert "slow" in first.texts[0]
    assert second.title == "behind it to you"
    assert [each.text for each in brain.asked] == ["slow", "behind it"]
    async with life(tmp_path, network, brain):
        network.heard.put_nowait(told("next", 3))
        await until(lambda: len(network.said) == 3)


async def test_an_answer_waits_for_the_network(tmp_path):
    network, brain = FakeNetwork(errors=[AWAY, AWAY, AWAY]), Echo()
    async with life(tmp_path, network, brain):
        network.heard.put_nowait(told("a"))
        await until(lambda: network.said)
    assert network.said[0].title == "a to you"


async def test_what_is_wrong_with_one_message_does_not_stop_the_others(tmp_path):
    network, brain = FakeNetwork(errors=[ChatError("no such room", lasting=True)]), Echo()
    async with life(tmp_path, network, brain):
        for number, text in enumerate(["break", "refused", "good"]):
            network.heard.put_nowait(told(text, number))
        await until(lambda: network.said)
    assert [each.title for each in network.said] == ["good to you"]


async def test_a_network_that_does_not_let_the_bot_in_ends_it(tmp_path):
    network, brain = FakeNetwork(), Echo()
    async with life(tmp_path, network, brain) as working:
        network.heard.put_nowait(ChatError("wrong token", lasting=True))
        with pytest.raises(ChatError, match="wrong token"):
            await working
