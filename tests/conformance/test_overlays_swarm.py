"""Networks of runs on a real Swarm: many of them leave nothing behind, and one that a lost machine holds goes later."""

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest

from flowbuild.cluster.swarm import Swarm
from flowbuild.core.ids import RunId, network_name
from flowbuild.core.states import RunState
from flowbuild.services.decisions import QUEUE
from flowbuild.services.nodes import NODES, NodeBook
from flowbuild.services.overlays import LEFTOVERS, Overlays
from flowbuild.services.signals import Signals
from flowbuild.store.tables import runs
from flowbuild.testing.databases import new_sqlite
from flowbuild.testing.images import BUSYBOX, ensure_busybox
from flowbuild.testing.lab import Lab
from flowbuild.testing.store_suite import add, make_run

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.xdist_group("lab")]
MANY = [RunId(f"01AAAAAAAAAAAAAAAAAAAAA{number:03}") for number in range(100)]


@pytest.fixture(scope="module")
def lab():
    """A manager and two workers."""
    ensure_busybox()
    with Lab() as lab:
        lab.up(managers=1, workers=2, heartbeat=1)
        lab.load(BUSYBOX, nodes=["n2", "n3"])
        yield lab


class Server:
    """What a server does about its cluster; runs are rows of its database."""

    def __init__(self, cluster, path):
        self.cluster, self.signals = cluster, Signals()
        self.database = new_sqlite(path / "flow.db")
        self.nodes = NodeBook(cluster=cluster, database=self.database, signals=self.signals)
        self.overlays = Overlays(
            cluster=cluster,
            database=self.database,
            signals=self.signals,
            instance="lab",
            pool="10.224.0.0/16",
            prefix=25,
        )

    @asynccontextmanager
    async def working(self):
        tasks = [asyncio.create_task(each.run()) for each in (self.nodes, self.overlays)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*tasks)

    async def begin(self, *begun):
        """Store runs and make their networks."""

        def store():
            for run in begun:
                add(self.database, make_run(run))
                with self.database.write() as tx:
                    tx.leftovers.add("builder", run)
                    assert self.overlays.take(tx, run)

        await asyncio.to_thread(store)
        await asyncio.gather(*map(self.overlays.ready, begun))

    async def end(self, *ended):
        """Let runs be over, with nothing left of them as far as runners know."""

        def store():
            with self.database.write() as tx:
                for run in ended:
                    query = runs.update().where(runs.c.id == run).values(state=RunState.FAILED)
                    tx._connection.execute(query)
                    tx.leftovers.forget("builder", run)

        await asyncio.to_thread(store)
        self.signals.notify(LEFTOVERS)

    async def until(self, topic, holds):
        """Return when something holds, looking each time that a topic changes."""
        while True:
            token = self.signals.token(topic)
            if await holds():
                return
            await self.signals.wait(topic, token)

    async def collected(self, *names):
        """Whether networks are gone, in the database and in the Swarm."""
        if await asyncio.to_thread(self.overlays._known):
            return False
        return not {network.name for network in await self.cluster.networks({})}.intersection(names)


@pytest.fixture
async def server(lab, tmp_path):
    async with Swarm(lab["n1"].host) as cluster:
        server = Server(cluster, tmp_path)
        yield server
        server.database.close()


def overlays_of(node):
    return node.docker("network", "ls", "--filter", "driver=overlay", "--format", "{{.Name}}").split()


async def test_a_hundred_networks_leave_nothing_behind(lab, server):
    await server.begin(*MANY)
    made = await server.cluster.networks({"flow.cluster": "lab"})
    assert [network.name for network in made] == sorted(map(network_name, MANY))
    assert len({network.subnet for network in made}) == len(MANY)
    for run in MANY[:3]:  # some were used
        lab["n2"].docker("run", "--rm", "--network", network_name(run), BUSYBOX, "true")
    async with server.working():
        await server.end(*MANY)
        await server.until(QUEUE, server.collected)
    assert await server.cluster.networks({"flow.cluster": "lab"}) == []
    assert {name: overlays_of(node) for name, node in lab.nodes.items()} == {name: ["ingress"] for name in lab.nodes}


async def test_what_a_server_that_died_had_made_goes_with_its_next_life(lab, server, tmp_path):
    await server.begin(*MANY[:3])
    (tmp_path / "restored").mkdir()
    restored = Server(server.cluster, tmp_path / "restored")  # from a backup that does not know them
    await restored.begin(MANY[3])
    await restored.end(MANY[3])
    async with restored.working():
        await restored.until(QUEUE, restored.collected)
    assert await server.cluster.networks({"flow.cluster": "lab"}) == []
    restored.database.close()


@pytest.mark.parametrize("back", [True, False])
async def test_a_network_that_a_lost_machine_holds_goes_later(lab, server, back):
    (run, node, name) = (MANY[0], lab["n3"], network_name(MANY[0]))
    await server.begin(run)
    node.docker("run", "--detach", "--name", "user", "--network", name, BUSYBOX, "sleep", "600")
    async with server.working():
        identity = node.docker("info", "--format", "{{.Swarm.NodeID}}").strip()
        node.off()

        async def is_down():
            found = server.nodes.of(identity)
            return found is not None and found.state == "down"

        await server.until(NODES, is_down)
        await server.end(run)
        assert not await server.cluster.remove_network(name)  # the control
        assert name in [network.name for network in await server.cluster.networks({})]
        if back:
            await asyncio.to_thread(node.on)
            await asyncio.to_thread(node.docker, "rm", "--force", "user")
        else:
            lab["n1"].docker("node", "rm", "--force", identity)
        await server.until(QUEUE, server.collected)
    assert server.nodes.of(identity) is None or back
