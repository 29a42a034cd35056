"""Which runner gets what: constraints, reservations, networks of runs, shares; and what people are told when none does."""

from __future__ import annotations

import asyncio
import random
import uuid
from dataclasses import replace
from time import time

import pytest

from flowbuild.client.base import StartRequest
from flowbuild.client.runner import AttemptResult
from flowbuild.core.placement import MEMBERS, UNDECIDED
from flowbuild.core.scheduling import HOLD
from flowbuild.core.states import Outcome
from flowbuild.services.audit import Actor
from flowbuild.services.placing import Cluster, Placing, Standing
from flowbuild.services.runners import RunnerService
from flowbuild.services.waiting import WaitService, WaitsFor
from flowbuild.store.runners import RunnerRow
from flowbuild.testing.home import Home, step

DONE = AttemptResult(Outcome.SUCCEEDED, exit_code=0)
GIB = 1 << 30


def asks(*constraints, cpus=0.0, memory=0, gpus=0, **more):
    """Return a step that asks something of its machine."""
    made = step(more=more)
    generic = [{"discrete_resource_spec": {"kind": "GPU", "value": gpus}}] if gpus else []
    reserved = {"cpus": cpus, "memory": memory, "generic_resources": generic}
    made["compose"]["services"]["main"]["deploy"] = {
        "placement": {"constraints": list(constraints)},
        "resources": {"reservations": {key: value for key, value in reserved.items() if value}},
    }
    return made


class Server:
    """A server over a home; its runners are the test, its time stands still, its cluster says what it is told to."""

    def __init__(self, home):
        self.home = home
        self.local = home.local(drive=True, serve=True)
        self.now = time()
        self.nodes = {}  # standings by node
        self.addresses = True
        self.joined = []
        local = self.local
        cluster = Cluster(self.nodes.get, self.join)
        self.placing = Placing(owner=local.ownership.token, serves=True, capacity=0, cluster=cluster)
        self.runners = RunnerService(
            database=local.database,
            decisions=local.decisions,
            signals=local.signals,
            assignments=local.runners._assignments,
            logbook=local.logbook,
            cache=local.runners._cache,
            owner=local.ownership.token,
            clock=lambda: self.now,
            placing=self.placing,
        )

    def join(self, _tx, key):
        self.joined.append(key.run)
        return self.addresses

    def add(self, name, *, capacity=9, labels=None, **facts):
        row = RunnerRow(name, name, name, capacity, "active", 1.0, labels or {}, {"node": "", **facts})
        with self.local.database.write() as tx:
            tx.runners.add(row)
            tx.runners.seen(name, self.now)

    def start(self, **options):
        request = StartRequest(str(self.home.project), **options)
        return self.local.runs.start(request, by=Actor("ada"))

    async def claim(self, name):
        """Return the step that a runner gets, with its lease kept in `leases`."""
        found = await self.runners.claim(f"{name}/1", request_key=uuid.uuid4().hex, wait=0)
        return found and found.lease

    async def why(self, run, key):
        service = WaitService(self.local.database, self.local.looking, self.placing, lambda: self.now)
        return await asyncio.to_thread(service.why, run, key)

    def reserved(self):
        with self.local.database.read() as tx:
            return self.placing.machines(tx, self.now)


@pytest.fixture
async def serve(tmp_path):
    """Return a server whose only pipeline has these steps."""
    made = []

    async def serve(steps, **options):
        home = Home(tmp_path)
        home.write(steps, **options)
        made.append(await asyncio.to_thread(Server, home))
        return made[0]

    yield serve
    for server in made:
        server.local.ownership.release()
        server.local.close()


MACHINES = {
    "arm": {"hostname": "pi", "os": "linux", "arch": "aarch64", "engine_labels": {"zone": "a"}},
    "intel": {"hostname": "box", "os": "linux", "arch": "x86_64", "labels": {"disk": "ssd"}},
    "node": {"hostname": "n1", "os": "linux", "arch": "x86_64", "node": "4x6z", "role": "worker"},
}


@pytest.mark.parametrize(
    ("constraints", "fitting"),
    [
        ((), {"arm", "intel", "node"}),
        (("node.hostname == BOX",), {"intel"}),
        (("node.platform.arch == arm64",), {"arm"}),
        (("node.platform.arch != arm64",), {"intel", "node"}),
        (("node.platform.os == windows",), set()),
        (("node.labels.disk == ssd",), {"intel"}),
        (("node.labels.disk != ssd",), {"arm", "node"}),
        (("engine.labels.zone == a",), {"arm"}),
        (("node.id == 4x6z",), {"node"}),
        (("node.role == manager",), {"node"}),  # promoted since its runner began
        (("node.labels.tier == front",), {"node"}),  # the cluster says so
        (("node.labels.tier == front", "engine.labels.zone == a"), set()),
    ],
)
async def test_constraints_decide_who_gets_a_step(serve, constraints, fitting):
    server = await serve({"a": asks(*constraints)})
    server.nodes["4x6z"] = Standing(role="manager", labels={"tier": "front"})
    for name, facts in MACHINES.items():
        await asyncio.to_thread(server.add, name, **facts)
    got = set()
    for name in MACHINES:
        run = await asyncio.to_thread(server.start)
        if (lease := await server.claim(name)) is not None:
            got.add(name)
            await server.runners.finish(lease, DONE)
        else:
            waiting = await server.why(run, "a")
            assert (waiting.waits_for, name in waiting.details["obstacles"]) == (
                WaitsFor.RUNNER if fitting else WaitsFor.MACHINE,
                True,
            )
            await asyncio.to_thread(server.local.runs.cancel, run, by=Actor("ada"), force=True)
    assert got == fitting


async def test_a_matrix_and_a_variable_say_where(serve):
    placed = asks("node.hostname == ${{ matrix.host }}", "node.labels.tier == $TIER", matrix={"host": ["a", "b"]})
    server = await serve({"a": placed}, variables={"TIER": "back"})
    await asyncio.to_thread(server.add, "one", hostname="b", labels={"tier": "back"})
    await asyncio.to_thread(server.start)
    assert (await server.claim("one")).step == "a-b"
    assert await server.claim("one") is None


async def test_no_machine_gives_more_than_it_has(serve):
    """Steps of all sizes over two machines that take what they can, in an order that changes from run to run."""
    sizes = {"s": (0.5, GIB), "m": (1.5, 2 * GIB), "l": (4, 6 * GIB), "g": (0.1, 0)}
    fan = {
        f"{kind}{n}": asks(cpus=c, memory=m, gpus=int(kind == "g")) for kind, (c, m) in sizes.items() for n in range(6)
    }
    server = await serve(fan)
    await asyncio.to_thread(server.add, "one", cpus=4, memory=8 * GIB, generic={"GPU": 2})
    await asyncio.to_thread(server.add, "two", cpus=2, memory=4 * GIB)
    await asyncio.to_thread(server.start)
    chance, held, done, full = random.Random(7), [], set(), set()
    while len(done) < len(fan):
        names = ["one", "two"]
        chance.shuffle(names)
        got = [lease for name in names if (lease := await server.claim(name)) is not None]
        held += got
        for name, machine in (await asyncio.to_thread(server.reserved)).items():
            for kind in ("cpus", "memory", "GPU"):
                assert machine.reserved.of(kind) <= machine.total.of(kind) + 1e-9, (name, kind)
                full |= {(name, kind)} if machine.reserved.of(kind) == machine.total.of(kind) > 0 else set()
        if not got:
            assert held
            lease = held.pop(chance.randrange(len(held)))
            await server.runners.finish(lease, DONE)
            done.add(lease.step)
            server.now += HOLD / 3
    assert {("one", "cpus"), ("one", "GPU")} <= full  # and they give all that they have


async def test_what_waits_for_room_is_told_so_and_what_fits_nowhere(serve):
    server = await serve({"a": asks(cpus=3), "b": asks(cpus=2, gpus=1), "c": asks("node.labels.x == y")})
    await asyncio.to_thread(server.add, "one", cpus=4, generic={"GPU": 1})
    run = await asyncio.to_thread(server.start)
    lease = await server.claim("one")
    room, nobody = await server.why(run, "b"), await server.why(run, "c")
    assert lease.step == "a"
    assert (room.waits_for, room.message) == (WaitsFor.MACHINE, "it waits for room: one: 3 cpus of 4 cpus are reserved")
    assert nobody.message == "no runner can have it: one: not node.labels.x == y"
    server.now += 1000
    assert (await server.why(run, "b")).message == "no runner is connected"


async def test_who_waits_gets_what_fits_when_a_reservation_ends(serve):
    server = await serve({"a": asks(cpus=3), "b": asks(cpus=2)})
    await asyncio.to_thread(server.add, "one", cpus=4)
    await asyncio.to_thread(server.start)
    lease = await server.claim("one")
    waiting = asyncio.create_task(server.runners.claim("one/1", request_key="w", wait=60))
    await asyncio.sleep(0)
    await server.runners.finish(lease, DONE)
    async with asyncio.timeout(60):
        assert (await waiting).lease.step == "b"


async def test_a_run_with_services_for_others_stays_where_they_can_be_reached(serve):
    server = await serve({"db": step(health=True, more={"background": True}), "other": step()})
    server.nodes |= {"1": Standing(), "2": Standing()}
    for name, node in {"one": "1", "two": "2", "alone": ""}.items():
        await asyncio.to_thread(server.add, name, node=node)
    first = await asyncio.to_thread(server.start)
    assert await asyncio.to_thread(network_of, server, first) == UNDECIDED
    assert await server.claim("one")
    assert await asyncio.to_thread(network_of, server, first) == MEMBERS
    assert server.joined == [first]
    assert await server.claim("alone") is None
    assert (await server.why(first, "other")).details["obstacles"] == {"alone": "is not in the network of the run"}
    assert await server.claim("two")
    second = await asyncio.to_thread(server.start)
    assert await server.claim("alone")
    assert await asyncio.to_thread(network_of, server, second) == "alone"
    assert await server.claim("one") is None
    assert await server.claim("alone")
    assert server.joined == [first]


async def test_without_addresses_a_run_waits_or_goes_where_it_needs_none(serve):
    server = await serve({"db": step(health=True, more={"background": True}), "other": step()})
    server.nodes["1"], server.addresses = Standing(), False
    await asyncio.to_thread(server.add, "one", node="1")
    run = await asyncio.to_thread(server.start)
    assert await server.claim("one") is None
    assert await asyncio.to_thread(network_of, server, run) == UNDECIDED
    server.addresses = True
    assert await server.claim("one")


async def test_the_cluster_says_who_gets_work(serve):
    server = await serve({"a": step()})
    await asyncio.to_thread(server.add, "one", node="1")
    server.nodes["1"] = Standing(taking=False, draining=True)
    run = await asyncio.to_thread(server.start)
    assert await server.claim("one") is None
    assert (await server.why(run, "a")).details["obstacles"] == {"one": "is drained by the cluster"}
    server.nodes["1"] = replace(server.nodes["1"], taking=True)
    assert await server.claim("one")


async def test_what_follows_goes_to_who_has_the_workspace(serve):
    server = await serve({"a": step(then="b"), "b": step()})
    for name in ("one", "two"):
        await asyncio.to_thread(server.add, name)
    await asyncio.to_thread(server.start)
    first = await server.runners.claim("two/1", request_key="k", wait=0)
    asking = {
        name: asyncio.create_task(server.runners.claim(f"{name}/1", request_key=name, wait=60))
        for name in ("one", "two")
    }
    while len(server.runners._polls._waiting) < len(asking):  # nobody tells when a claim begins to wait
        await asyncio.wait(asking.values(), timeout=0.01)
    await server.runners.finish(first.lease, replace(DONE, commit=first.input_commit))
    async with asyncio.timeout(60):
        assert (await asking["two"]).lease.step == "b"
    asking["one"].cancel()
    await asyncio.gather(asking["one"], return_exceptions=True)


async def test_a_fan_out_spreads_over_those_who_ask(serve):
    server = await serve({f"s{number}": step() for number in range(6)})
    for name in ("one", "two", "three"):
        await asyncio.to_thread(server.add, name, capacity=4)
    await asyncio.to_thread(server.start)

    async def work(name):
        got = []
        while (found := await server.runners.claim(f"{name}/1", request_key=uuid.uuid4().hex, wait=0.5)) is not None:
            got.append(found.lease.step)
        return got

    shares = await asyncio.gather(*map(work, ("one", "two", "three")))
    assert sorted(len(got) for got in shares) == [2, 2, 2]


async def test_within_a_project_priority_counts(serve):
    server = await serve({"a": step()})
    await asyncio.to_thread(server.add, "one")
    late = await asyncio.to_thread(server.start)
    server.home.write_again({"a": step()}, priority=7)
    urgent = await asyncio.to_thread(server.start)
    assert (await server.claim("one")).run == urgent
    assert (await server.claim("one")).run == late


def network_of(server, run):
    with server.local.database.read() as tx:
        return tx.runs.get(run).network
