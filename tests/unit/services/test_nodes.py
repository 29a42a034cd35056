"""What is known of the machines of a cluster, and who is told when that changes."""

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest

from flowbuild.cluster.base import Node
from flowbuild.core.errors import NoManager
from flowbuild.services.decisions import QUEUE
from flowbuild.services.news import runner_topic
from flowbuild.services.nodes import NODES, NodeBook
from flowbuild.services.signals import Signals
from flowbuild.store.runners import RunnerRow
from flowbuild.testing.fake_cluster import FakeCluster

N1, N2 = Node("n1", "one", "manager"), Node("n2", "two")


@pytest.fixture
def cluster():
    return FakeCluster(N1, N2)


@pytest.fixture
def signals():
    return Signals()


@asynccontextmanager
async def kept(cluster, database, signals):
    """A book that is kept, after its first look; `slept` gets how long it waits after a failure."""
    book = NodeBook(cluster=cluster, database=database, signals=signals, sleep=(slept := Slept()))
    book.slept = slept
    token = signals.token(NODES)
    task = asyncio.create_task(book.run())
    try:
        if not cluster.broken:
            await signals.wait(NODES, token)
        yield book
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class Slept:
    def __init__(self):
        self.begun, self.over = asyncio.Event(), asyncio.Event()

    async def __call__(self, _seconds):
        self.begun.set()
        await self.over.wait()
        self.over.clear()


async def test_a_node_is_known_by_its_id(cluster, database, signals):
    async with kept(cluster, database, signals) as book:
        assert (book.of("n1"), book.of("n2"), book.of("n3")) == (N1, N2, None)


async def test_who_is_told_of_a_change(cluster, database, signals):
    def register():
        with database.write() as tx:
            for name, node in (("builder", "n2"), ("other", "n1"), ("outside", "")):
                tx.runners.add(RunnerRow(name, name, name, 1, "active", 0.0, facts={"node": node}))

    await asyncio.to_thread(register)
    async with kept(cluster, database, signals) as book:
        with signals.follow(QUEUE, NODES, runner_topic("")) as following:
            drained = cluster.put(N2, availability="drain")
            assert await following.changed() == {QUEUE, NODES, runner_topic("builder")}
            assert book.of("n2") == drained
            cluster.changed()  # nothing is different: a network may have fallen free
            assert await following.changed() == {NODES}


async def test_what_was_known_stays_while_nobody_answers(cluster, database, signals):
    async with kept(cluster, database, signals) as book:
        cluster.broken = "the Swarm has no leader"
        cluster.changed()
        await book.slept.begun.wait()
        assert book.of("n1") == N1
        cluster.broken = ""
        token, drained = signals.token(NODES), cluster.put(N1, availability="drain")
        book.slept.over.set()
        await signals.wait(NODES, token)
        assert book.of("n1") == drained


async def test_only_what_does_not_come_right_by_itself_is_an_error_at_the_start(
    cluster, database, signals, monkeypatch
):
    book = NodeBook(cluster=cluster, database=database, signals=signals)
    cluster.broken = "the Swarm has no leader"
    await book.begin()
    assert book.of("n1") is None
    cluster.broken = ""
    await book.begin()
    assert book.of("n1") == N1

    async def nodes():
        raise NoManager("no manager")

    monkeypatch.setattr(cluster, "nodes", nodes)
    with pytest.raises(NoManager):
        await book.begin()
