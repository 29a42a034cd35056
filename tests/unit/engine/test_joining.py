"""Containers that do not get into the network of their run at once: after a restart of the engine, and when others just leave."""

from types import SimpleNamespace

import pytest

from flowbuild.engine import anchor, startup
from flowbuild.engine.api import EngineRefused
from flowbuild.engine.base import Labels

LEFT = "network e355q5wh8awtwwolg78495u93 not found"
NOT_YET = "attaching to network failed, make sure your network options are correct: context deadline exceeded"


class Engine:
    """Refuses to start a container with each of these messages, then starts it."""

    def __init__(self, *refusals):
        self.refusals = list(refusals)
        self.asked = 0

    async def call(self, *_words, **_options):
        self.asked += 1
        if self.refusals:
            raise EngineRefused(500, self.refusals.pop(0))


@pytest.mark.parametrize(
    ("refusals", "asked", "refused"),
    [
        ([], 1, {}),
        ([NOT_YET, NOT_YET], 3, {}),
        ([NOT_YET] * 9, 3, {"a": NOT_YET}),
        (["no such device"], 1, {"a": "no such device"}),
        ([NOT_YET, "no such device"], 2, {"a": "no such device"}),
    ],
)
async def test_it_is_tried_again(refusals, asked, refused):
    engine, begun, found = Engine(*refusals), [], {}
    await startup._start_one(engine, SimpleNamespace(containers={"a": "id"}), "a", begun.append, found)
    assert (engine.asked, found) == (asked, refused)
    assert begun == ([] if refused else ["a"])


class Machine:
    """An engine that, some seconds later, refuses to let a container in with each of these messages; what it was told to do."""

    def __init__(self, found, *refusals):
        self.found, self.refusals, self.told, self.now = found, list(refusals), [], 0.0

    async def inspect(self, _name):
        return self.found

    async def call(self, method, path, **_options):
        self.told.append((method, path.rpartition("/")[2]))
        if path == "networks/net/connect" and self.refusals:
            self.now += 20.0 if self.refusals[0] == NOT_YET else 0.5
            raise EngineRefused(404, self.refusals.pop(0))


def container(*, running=True, address="10.0.0.2"):
    return {"State": {"Running": running}, "NetworkSettings": {"Networks": {"net": {"IPAddress": address}}}}


NEW = ["create", "disconnect", "start"]


@pytest.mark.parametrize(
    ("found", "refusals", "told"),
    [
        (None, [], [*NEW, "connect"]),
        (None, [LEFT, LEFT], [*NEW, *["connect"] * 3]),
        (None, [LEFT] * 9, [*NEW, *["connect"] * 6]),
        (None, [LEFT, NOT_YET], [*NEW, *["connect"] * 3]),
        (
            None,
            [NOT_YET] * 9,
            [*NEW, *["connect"] * 3],
        ),  # managers are away: what a step needs is tried no longer than a minute
        (None, ["no such device"], [*NEW, "connect"]),
        (container(), [], []),
        (container(address=""), [], ["connect"]),  # an earlier life came as far as that
        (container(running=False), [], [*NEW, "connect"]),  # the engine was restarted
    ],
)
async def test_an_anchor_asks_again_while_it_runs(monkeypatch, found, refusals, told):
    async def own_container(_api):
        return {"Image": "ours"}

    monkeypatch.setattr(anchor, "own_container", own_container)
    machine = Machine(found, *refusals)
    monkeypatch.setattr(anchor, "time", SimpleNamespace(monotonic=lambda: machine.now))
    await anchor.Anchors(machine).drop("net", Labels("instance", "run"))
    assert [word for method, word in machine.told if method == "POST"] == told
