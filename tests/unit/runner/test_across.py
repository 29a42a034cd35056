"""Runs whose network is one across machines: the runner makes none, its units join that of the server."""

import asyncio
from dataclasses import replace

import pytest

from flowbuild.client import wire
from flowbuild.client.runner import Assignment, Lease
from flowbuild.core.ids import RunId, StepKey, network_name
from flowbuild.core.model import Position, Step
from flowbuild.engine.base import Attachment
from flowbuild.services import assignments
from flowbuild.services.debugging import Place
from flowbuild.testing.engine import DummyEngine
from flowbuild.testing.home import Home, service, step

PLAIN = Assignment(
    Lease("01A", "a", 1, 1), "leased", Step(StepKey("a"), "a", Position("p", 1, 1)), "", "", (), {}, {}, {}, {}, {}
)


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


@pytest.fixture
def made(monkeypatch):
    """Units that are created, and networks that are made."""
    units, networks = [], []
    create, network = DummyEngine.create, DummyEngine.network

    async def created(self, spec, progress):
        units.append(spec)
        return await create(self, spec, progress)

    async def networked(self, name, labels):
        networks.append(name)
        await network(self, name, labels)

    monkeypatch.setattr(DummyEngine, "create", created)
    monkeypatch.setattr(DummyEngine, "network", networked)
    return units, networks


@pytest.mark.parametrize("across", [True, False])
async def test_units_join_the_network_of_the_server(home, made, monkeypatch, across):
    if across:
        monkeypatch.setattr(assignments, "MEMBERS", "")  # which is what the network of this run is said to be
    more = {"compose": {"services": {"main": service(), "db": service(), "out": {**service(), "network_mode": "none"}}}}
    home.write({"a": step(then="b"), "b": step(more=more)})  # b is prepared while a runs
    async with home.life() as life:
        view = await life.finished((await life.start(home)).id)
        place = Place(RunId(view.id), "b", None, output=False)
        shell = await asyncio.to_thread(life.local.debugging.scene, place, {})
    assert shell.assignment.network == ""  # on this machine, whatever the run had
    assert view.state == "succeeded"
    assert home.leftovers() == []
    units, networks = made
    network = network_name(view.id)
    if not across:
        assert set(networks) == {network}
        assert all(not unit.attachments and unit.compose["networks"]["flow.run"]["name"] == network for unit in units)
        return
    assert networks == []
    joined = {unit.labels.step: unit.attachments for unit in units}
    assert joined == {
        "a": {"main": (Attachment(network, ("main.a",)),)},
        "b": {name: (Attachment(network, (f"{name}.b",)),) for name in ("main", "db")},
    }
    assert not any(network in str(unit.compose["networks"]) for unit in units)


def test_runners_elsewhere_are_told():
    across = replace(PLAIN, network="overlay", upcoming=(replace(PLAIN, network="overlay"),))
    told = wire.load_assignment(wire.dump_assignment(across))
    assert (told.network, told.upcoming[0].network) == ("overlay", "overlay")
    assert (
        wire.load_assignment(wire.dump_assignment(PLAIN).replace(b'"network":"",', b"")).network == ""
    )  # an older server
    with pytest.raises(ValueError, match="network"):
        wire.load_assignment(wire.dump_assignment(PLAIN).replace(b'"network":""', b'"network":"host"'))
