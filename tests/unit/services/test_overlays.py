"""Networks of runs across machines: made once, collected when nothing of the run is left, whatever fails on the way."""

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest

from flowbuild.cluster.base import Network
from flowbuild.core.errors import ClusterError
from flowbuild.core.ids import RunId, network_name
from flowbuild.core.states import RunState
from flowbuild.services.decisions import ORDERS, QUEUE
from flowbuild.services.nodes import NODES
from flowbuild.services.overlays import LEFTOVERS, Overlays
from flowbuild.services.signals import Signals
from flowbuild.store.tables import runs
from flowbuild.testing.fake_cluster import FakeCluster
from flowbuild.testing.store_suite import ONE, TWO, add, make_run

MINE = {"flow.cluster": "me"}


@pytest.fixture
def cluster():
    return FakeCluster()


@pytest.fixture
def signals():
    return Signals()


@pytest.fixture
def overlays(cluster, database, signals):
    return made(cluster, database, signals)


def made(cluster, database, signals, pool="10.224.0.0/23"):
    return Overlays(cluster=cluster, database=database, signals=signals, instance="me", pool=pool, prefix=25)


def threaded(work):
    """Databases block."""

    async def call(*arguments):
        return await asyncio.to_thread(work, *arguments)

    return call


@threaded
def store(database, run=ONE):
    add(database, make_run(run))


@threaded
def take(overlays, database, run):
    with database.write() as tx:
        tx.leftovers.add("builder", run)
        return overlays.take(tx, run)


async def begin(overlays, database, run=ONE):
    """Store a run and give it addresses; return whether there were any."""
    await store(database, run)
    return await take(overlays, database, run)


@threaded
def end(database, run=ONE):
    with database.write() as tx:
        tx._connection.execute(runs.update().where(runs.c.id == run).values(state=RunState.SUCCEEDED))


@threaded
def forget(database, run=ONE):
    with database.write() as tx:
        tx.leftovers.forget("builder", run)


@threaded
def row(overlays, run=ONE):
    return overlays._row(run)


@asynccontextmanager
async def collecting(overlays):
    task = asyncio.create_task(overlays.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_run_without_addresses_has_its_networks_on_machines(overlays, cluster, database):
    await store(database)
    await overlays.ready(ONE)
    assert await row(overlays) is None
    assert cluster.asked == []


async def test_a_network_is_there_before_anything_joins_it(overlays, cluster, database):
    assert await begin(overlays, database)
    assert await row(overlays) is not None
    await asyncio.gather(*(overlays.ready(ONE) for _ in range(3)))
    (network,) = cluster.made.values()
    assert (network.name, network.labels) == (network_name(ONE), {**MINE, "flow.run": ONE})
    cluster.made.clear()  # somebody removed it
    await overlays.ready(ONE)
    assert list(cluster.made) == [network.name]
    cluster.broken = "the Swarm has no leader"
    with pytest.raises(ClusterError, match="no leader"):
        await overlays.ready(ONE)


async def test_addresses_that_others_have_are_exchanged(overlays, cluster, database):
    await begin(overlays, database)
    before = await row(overlays)
    cluster.made["foreign"] = Network("foreign", before.subnet)
    await asyncio.gather(*(overlays.ready(ONE) for _ in range(3)))  # also when several find out
    after = await row(overlays)
    assert after.subnet != before.subnet
    assert cluster.made[network_name(ONE)].subnet == after.subnet


async def test_a_pool_that_others_have_is_told(cluster, database, signals):
    overlays = made(cluster, database, signals, pool="10.224.0.0/25")
    await begin(overlays, database)
    cluster.made["foreign"] = Network("foreign", "10.0.0.0/8")
    with pytest.raises(ClusterError, match=r"no addresses are left in 10\.224\.0\.0/25"):
        await overlays.ready(ONE)
    assert await row(overlays) is not None  # it waits, it does not go on without


async def test_who_waits_for_addresses_is_told_when_there_are_some(cluster, database, signals):
    overlays = made(cluster, database, signals, pool="10.224.0.0/25")
    assert await begin(overlays, database, ONE)
    assert not await begin(overlays, database, TWO)
    await overlays.ready(ONE)
    async with collecting(overlays):
        token = signals.token(QUEUE)
        await end(database)
        signals.notify(ORDERS)  # it is over, but its containers are not gone
        await forget(database)
        signals.notify(LEFTOVERS)
        await signals.wait(QUEUE, token)
    assert cluster.made == {}
    assert await take(overlays, database, TWO)


async def test_a_network_that_a_dead_node_holds_is_tried_again(overlays, cluster, database, signals, monkeypatch):
    await begin(overlays, database)
    await overlays.ready(ONE)
    await end(database)
    await forget(database)
    cluster.used.add(network_name(ONE))
    tried, remove = asyncio.Queue(), cluster.remove_network

    async def told(name):
        gone = await remove(name)
        tried.put_nowait(gone)
        return gone

    monkeypatch.setattr(cluster, "remove_network", told)
    async with collecting(overlays):  # a start of the server
        assert not await tried.get()
        assert await row(overlays) is not None  # nobody gets its addresses
        signals.notify(NODES)
        assert not await tried.get()
        cluster.used.clear()
        token = signals.token(QUEUE)
        signals.notify(NODES)
        assert await tried.get()
        await signals.wait(QUEUE, token)
        signals.notify(NODES, NODES)
    assert tried.empty()  # nothing is left to try
    assert await row(overlays) is None


async def test_what_the_database_does_not_know_goes_at_the_start(overlays, cluster, database, signals):
    await begin(overlays, database)
    await overlays.ready(ONE)
    strange = {
        "flow-lost": Network("flow-lost", "10.230.0.0/25", {**MINE, "flow.run": "lost"}),
        "flow-other": Network("flow-other", "10.224.0.0/24", {"flow.cluster": "another", "flow.run": "lost"}),
        "ingress": Network("ingress", "10.0.0.0/24"),
    }
    cluster.made |= strange
    await begin(overlays, database, TWO)
    await end(database, TWO)
    await forget(database, TWO)
    token = signals.token(QUEUE)
    async with collecting(overlays):
        await signals.wait(QUEUE, token)  # TWO is collected after the comparison
    assert set(cluster.made) == {network_name(ONE), "flow-other", "ingress"}
    assert await take(overlays, database, TWO)
    assert (await row(overlays, TWO)).subnet.startswith("10.224.1.")  # half of the pool is another's


async def test_a_manager_that_is_away_is_asked_again(cluster, database, signals):
    slept = asyncio.Queue()

    async def sleep(seconds):
        slept.put_nowait(seconds)
        if len(pauses) == 2:
            cluster.broken = ""
        await asyncio.sleep(0)

    overlays = Overlays(
        cluster=cluster, database=database, signals=signals, instance="me", pool="10.224.0.0/16", prefix=25, sleep=sleep
    )
    await begin(overlays, database)
    await overlays.ready(ONE)
    await end(database)
    await forget(database)
    cluster.broken, pauses, token = "the Swarm has no leader", [], signals.token(QUEUE)
    async with collecting(overlays):
        while len(pauses) < 3 and cluster.broken:
            pauses.append(await slept.get())
        await signals.wait(QUEUE, token)
    assert pauses[:2] == [1.0, 2.0]
    assert cluster.made == {}


async def test_a_hundred_networks_leave_nothing_behind(cluster, database, signals):
    overlays = made(cluster, database, signals, pool="10.224.0.0/18")  # 128 of them
    many = [RunId(f"01AAAAAAAAAAAAAAAAAAAAAA{number:02}") for number in range(100)]
    for run in many:
        assert await begin(overlays, database, run)
    await asyncio.gather(*map(overlays.ready, many))
    assert len({network.subnet for network in cluster.made.values()}) == 100
    async with collecting(overlays):
        for run in many:
            await end(database, run)
            await forget(database, run)
            signals.notify(LEFTOVERS)
        while True:
            token = signals.token(QUEUE)
            if not await asyncio.to_thread(overlays._known):
                break
            await signals.wait(QUEUE, token)
    assert cluster.made == {}
