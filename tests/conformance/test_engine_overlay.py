"""The real engine keeps the contract on a network across machines, on a worker that does not know it before; and what that network is."""

import asyncio
import secrets
from contextlib import aclosing, closing
from dataclasses import dataclass, replace
from http.client import HTTPConnection

import pytest

from flowbuild.client.runner import Assignment, Lease
from flowbuild.cluster.swarm import Swarm
from flowbuild.core.ids import StepKey, network_name
from flowbuild.core.model import Position, Step
from flowbuild.core.states import Outcome, Reason
from flowbuild.engine import binds
from flowbuild.engine.base import SERVICE_LABEL, Attachment, Labels
from flowbuild.engine.compose import ComposeEngine
from flowbuild.runner.plan import make_plan
from flowbuild.runner.tools import RunnerPlaces
from flowbuild.spec import compose
from flowbuild.testing.engine_suite import EngineSuite, Names, quiet, service
from flowbuild.testing.images import BUSYBOX

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.xdist_group("lab")]
SUBNETS = {"r1": "10.224.1.0/25", "r2": "10.224.2.0/25"}  # by run


@dataclass(frozen=True, slots=True)
class AcrossNames(Names):
    """Names of units whose services join the network of their run, as `runner.plan` has it."""

    def spec(self, services, *main, step="unit", run="r1"):
        spec = Names.spec(self, services, *main, step=step, run=run)
        network = Attachment(network_name(self.run(run)), ("anything",))
        alone = [key for key, each in services.items() if each.get("network_mode", "none") == "none"]
        plain = [services[key].get("labels", {}).get(SERVICE_LABEL, key) for key in alone]
        return replace(spec, attachments=dict.fromkeys(plain, (network,)))

    def run(self, name):
        return f"{self.instance}-{name}"


@pytest.fixture
async def names(lab):
    """Names of a test whose networks exist; at its end nothing uses them any more."""
    names = AcrossNames(f"flowtest{secrets.token_hex(4)}")
    networks = {network_name(names.run(run)): subnet for run, subnet in SUBNETS.items()}
    async with Swarm(lab["n1"].host) as cluster:
        for network, subnet in networks.items():
            await cluster.ensure_network(network, {"flow.cluster": names.instance}, subnet)
        yield names
        async with asyncio.timeout(60):  # managers hear a moment later that nothing uses them any more
            for network in networks:
                async with aclosing(cluster.changes()) as changes:
                    async for _ in changes:
                        if await cluster.remove_network(network):
                            break


@pytest.fixture
async def again(lab):
    engines = []

    def make(node="n2"):
        engines.append(ComposeEngine(host=lab[node].host, patience=5, answer_seconds=10))
        return engines[-1]

    yield make
    await asyncio.gather(*(engine.close() for engine in engines))


@pytest.fixture
async def engine(again, names):
    engine, anchors = again(), f"{names.instance}a"
    for run in SUBNETS:
        network, labels = network_name(names.run(run)), Labels(anchors, run)
        await asyncio.gather(engine.anchor(network, labels), engine.anchor(network, labels))
    yield engine
    await engine.sweep(names.instance)
    await engine.sweep(anchors)


class TestOnAWorker(EngineSuite):
    pass


async def test_a_network_that_cannot_be_joined_is_not_the_fault_of_the_step(lab, engine, names):
    unit = await engine.create(names.spec({"a": service()}), quiet)
    await engine.sweep(f"{names.instance}a")  # the anchors
    removing = ("network", "rm", network_name(names.run("r1")))
    lab.until(lambda: _works(lambda: lab["n1"].docker(*removing)), "the network is gone")
    verdict = await engine.start(unit)
    assert (verdict.outcome, verdict.reason) == (Outcome.ERRORED, Reason.INFRA_LOST)
    assert network_name(names.run("r1")) in verdict.message
    await engine.remove(unit)


def _works(call):
    try:
        call()
    except RuntimeError:
        return False
    return True


SERVE = "exec httpd -f -p 80 -h /workspace"
STAY = "exec sleep 600"
GET = "printf 'GET /who HTTP/1.0\\r\\n\\r\\n'"


class Field:
    """Steps of runs on the nodes of the laboratory, as a runner makes them."""

    def __init__(self, lab, names, again, top):
        self._lab, self._names, self._top, self._again = lab, names, top, again
        self._engines, self._units = {}, []

    async def up(self, node, run, step, services, network="overlay"):
        """Start a step and return its containers by service; what it serves says who it is."""
        engine = self._engines.setdefault(node, self._again(node))
        text = compose_file(services)
        model, findings = compose.load(text=text.encode(), file="c.yml", read={}.get, trusted=True)
        assert model is not None, findings
        made = Step(StepKey(step), step, Position("c.yml", 1, 1), compose=model)
        lease = Lease(self._names.run(run), step, 1, 1)
        work = Assignment(lease, "leased", made, "", "", (), {}, {}, {}, {}, {}, network=network)
        plan = make_plan(work, RunnerPlaces(self._top / node, self._names.instance))
        workspace = plan.directory / "workspace"
        workspace.mkdir(parents=True)
        (plan.directory / "variables").mkdir()
        (workspace / "Dockerfile").write_text(f"FROM {BUSYBOX}\n")
        (workspace / "who").write_text(f"{run}-{step}\n")
        if not plan.across:
            await engine.network(plan.network, plan.run_labels)
        unit = await engine.create(plan.spec(), quiet)
        self._units.append((engine, unit))
        assert await engine.start(unit) is None
        return {service: (node, container) for service, container in unit.containers.items()}

    async def down(self):
        for engine, unit in self._units:
            await engine.stop(unit, grace=0, force=True)
            await engine.remove(unit)
        for engine in self._engines.values():
            await engine.sweep(self._names.instance)

    def shell(self, place, script):
        """Return what a script in a container prints; empty also when it fails."""
        node, container = place
        return self._lab[node].docker("exec", container, "sh", "-c", f"{{ {script}; }} 2>/dev/null || true").strip()

    def resolved(self, place, name):
        """Return the address of a name, as a container knows it."""
        return self.shell(place, f"nslookup -type=a {name} 127.0.0.11 | sed -n '/^Name/,$s/^Address: //p' | head -n 1")

    def asked(self, place, address, port=80):
        """Return what is served at an address, empty when it cannot be reached."""
        return self.shell(place, f"{GET} | nc -w 2 {address} {port} | tail -n 1 | grep .")

    def addresses(self, place):
        """Return all addresses of a container, but that of itself."""
        script = "ip -4 -o address show | grep -v ' lo ' | sed 's/.*inet //; s#/.*##'"
        return self.shell(place, script).split()


def compose_file(services):
    lines = [
        f"  {name}: {{{where}, command: [sh, -c, {command!r}]{more}}}"
        for name, (where, command, more) in services.items()
    ]
    return "\n".join(["services:", *lines])


IMAGE, BUILD = f"image: {BUSYBOX}", "build: ."


@pytest.fixture
async def field(lab, names, again, tmp_path):
    field = Field(lab, names, again, tmp_path)
    yield field
    await field.down()


async def test_names_of_a_run_are_known_on_all_nodes_and_to_no_other_run(field):
    # Of two services: made by compose, also on a network of their own.
    side = {"db": (IMAGE, SERVE, ""), "side": (IMAGE, STAY, ", depends_on: [db]")}
    first = await field.up("n2", "r1", "first", side)
    second = await field.up("n1", "r1", "second", side)
    alone = await field.up("n2", "r1", "alone", {"web": (IMAGE, SERVE, "")})  # made without compose
    built = await field.up("n2", "r1", "built", {"web": (BUILD, SERVE, "")})  # made by compose, with no other network
    other = await field.up("n2", "r2", "first", side)
    local = await field.up("n2", "r3", "first", side, network="")

    serving = {"db.first": "r1-first", "db.second": "r1-second", "web.alone": "r1-alone", "web.built": "r1-built"}
    for place in (*first.values(), *second.values(), alone["web"], built["web"]):
        found = {name: field.asked(place, field.resolved(place, name)) for name in serving}
        assert found == serving
    assert field.asked(first["side"], field.resolved(first["side"], "db")) == "r1-first"  # its own, by its plain name
    assert field.resolved(alone["web"], "db") == ""

    # Not only by name: no address of a run can be reached from another one, on the same node either, in no direction.
    for mine, others in (
        (other["side"], (first["db"], second["db"], local["db"])),
        (first["side"], (other["db"], local["db"])),
    ):
        for place in others:
            for address in field.addresses(place):
                assert field.asked(mine, address) == ""
    others = [*field.addresses(first["db"]), *field.addresses(other["db"])]
    assert len(others) == 4
    assert [field.asked(local["side"], address) for address in others] == [""] * 4
    assert field.resolved(other["side"], "db.second") == ""
    assert field.asked(other["side"], field.resolved(other["side"], "db.first")) == "r2-first"  # the control: its own


async def test_what_is_outside_is_reached_as_from_a_network_of_one_machine(lab, field):
    published = await field.up("n2", "r1", "published", {"web": (IMAGE, SERVE, ", ports: ['8088:80']")})
    local = await field.up("n2", "r3", "local", {"web": (IMAGE, STAY, "")}, network="")
    for place in (published["web"], local["web"]):
        reached = field.shell(place, f"nc -w 2 {lab['n1'].address} 2377 </dev/null && echo yes")
        assert reached == "yes", place  # another machine
        assert field.shell(place, f"nc -w 2 {lab['n1'].address} 2378 </dev/null && echo yes") == ""  # the control
    with closing(HTTPConnection("127.0.0.1", lab.forward("n2", 8088).port, timeout=30)) as connection:
        connection.request("GET", "/who")
        assert connection.getresponse().read() == b"r1-published\n"


async def test_others_are_paused_while_one_joins_whose_mounts_they_could_redirect(field, monkeypatch):
    paused, pause = [], binds.paused

    def told(api, containers):
        paused.append(list(containers))
        return pause(api, containers)

    monkeypatch.setattr(binds, "paused", told)
    part = ", volumes: ['./sub:/sub'], depends_on: [db]"
    both = await field.up("n2", "r1", "mounts", {"db": (IMAGE, SERVE, ""), "side": (IMAGE, STAY, part)})
    assert paused == [[both["db"][1]]]
    assert field.asked(both["side"], field.resolved(both["side"], "db.mounts")) == "r1-mounts"  # it goes on


async def test_a_long_name_and_healthchecks(field):
    step = "s" * 48 + "-1"
    health = ", healthcheck: {test: [CMD, 'true'], interval: 200ms}"
    both = {"db": (IMAGE, STAY, health), "web": (IMAGE, STAY, ", depends_on: {db: {condition: service_healthy}}")}
    long = await field.up("n2", "r1", step, {"a" * 30: (BUILD, STAY, "")})
    waited = await field.up("n2", "r1", "waited", both)
    assert field.resolved(waited["web"], f"{'a' * 30}.{step}") == field.addresses(long["a" * 30])[0]


async def test_an_anchor_is_one_container_that_goes_with_its_run_and_its_runner(engine, names):
    network, labels = network_name(names.run("r1")), Labels(names.instance, "anchored")
    await asyncio.gather(engine.anchor(network, labels), engine.anchor(network, labels))
    # The fixture made one already: that of another runner on this machine, which does not take ours along.
    assert len((await engine.sweep(f"{names.instance}a", run="r1")).containers) == 1
    assert (await engine.sweep(names.instance, run="r1")).containers == ()
    assert len((await engine.sweep(names.instance, run="anchored")).containers) == 1


async def test_an_anchor_joins_while_the_last_ones_leave(lab, again, names):
    """On engine 20.10 many that join then are refused, and the network could never be removed again (see `names`)."""
    engine = again()
    networks = [network_name(names.run(run)) for run in SUBNETS]
    runners = [Labels(f"{names.instance}{each}", "any") for each in "abcd"]

    async def anchored(labels, moment=0.0):
        await asyncio.sleep(moment)
        await asyncio.gather(*(engine.anchor(network, labels) for network in networks))

    for turn in range(5):
        await asyncio.gather(*map(anchored, runners[:2]))
        leave = [engine.sweep(labels.instance) for labels in runners[:2]]
        await asyncio.gather(*leave, anchored(runners[2], turn * 0.05), anchored(runners[3], 0.1 + turn * 0.05))
        mine = [f"--filter=label=flow.instance={labels.instance}" for labels in runners[2:]]
        anchors = [lab["n2"].docker("ps", "--quiet", one).split() for one in mine]
        address = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
        found = [lab["n2"].docker("inspect", "--format", address, *each).split() for each in anchors]
        assert [len(each) for each in found] == [2, 2], found
        runners.reverse()
    await asyncio.gather(*(engine.sweep(labels.instance) for labels in runners))
