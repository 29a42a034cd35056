"""How attempts end: every kind of end, with the real server around the runner and an engine without containers."""

import asyncio
import shutil
import threading

import pytest

from flowbuild.core.errors import EngineError
from flowbuild.engine.base import EngineUnreachable, Labels
from flowbuild.testing.engine import DummyEngine, HeldEngine, Machine
from flowbuild.testing.home import LIMIT, Home, service, step
from flowbuild.testing.images import BUSYBOX
from flowbuild.workspace.slots import Slots

FOREVER = 100_000


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


async def run_of(home, steps, **options):
    home.write(steps)
    async with home.life(**options) as life:
        view = await life.finished((await life.start(home)).id)
    assert home.leftovers() == []
    return {found.key: found for found in view.steps}, view


def end(found):
    return str(found.outcome), found.reason and str(found.reason), found.exit_code


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ({}, ("succeeded", None, 0)),
        ({"exit": 7}, ("failed", "exit_code", 7)),
        ({"oom": 1}, ("failed", "oom", 137)),
        ({"lost": 1}, ("errored", "infra_lost", None)),
        ({"error": "no room"}, ("errored", "engine_error", None)),
        ({"sleep": FOREVER, "more": {"timeout": "1s"}}, ("failed", "timeout", None)),
        ({"sleep": FOREVER, "stubborn": 1, "more": {"timeout": "1s"}}, ("failed", "timeout", None)),
        (
            {"sleep": FOREVER, "health": True, "unhealthy": 1, "more": {"background": True}},
            ("failed", "unhealthy", None),
        ),
        ({"exit": 3, "health": True, "more": {"background": True}}, None),
    ],
)
async def test_ends(home, script, expected):
    steps, view = await run_of(home, {"a": step(log="out\n", **script)})
    if expected is None:  # a background step that ends at once is healthy for a moment, or never
        assert end(steps["a"])[0] in ("succeeded", "failed")
        return
    assert end(steps["a"]) == expected
    assert view.state == expected[0]
    assert {"checkout", "pull", "create", "run", "commit", "push"} <= set(steps["a"].attempts[0].phases)


async def test_services_take_no_place_from_the_steps_that_use_them(home):
    """Also when there are more of them than twice the places."""
    home.capacity = 1
    names = ["x", "y", "z"]
    served = {name: step(health=True, sleep=FOREVER, then="last", more={"background": True}) for name in names}
    home.write({"first": step(then=" ".join(names)), **served, "last": step()})
    async with home.life() as life:
        run = await life.finished((await life.start(home)).id)
    assert [(each.outcome, len(each.attempts)) for each in run.steps] == [("succeeded", 1)] * 5


async def test_a_background_step_that_ends_late_stays_succeeded(home):
    home.write({"a": step(health=True, sleep=1, exit=3, then="b", more={"background": True}), "b": step(sleep=2)})
    may_end = {1: asyncio.Event(), 2: asyncio.Event()}  # by how long they sleep: first the one, then the other
    engine = DummyEngine(home.machine, sleep=lambda seconds: may_end[seconds].wait() if seconds else asyncio.sleep(0))
    async with home.life(engine=engine) as life:
        run = (await life.start(home)).id
        await life.until(run, "b", "running")
        may_end[1].set()
        await life.until(run, "a", "done")
        may_end[2].set()
        view = await life.finished(run)
    assert [str(found.outcome) for found in view.steps] == ["succeeded", "succeeded"]
    assert view.steps[0].exit_code == 3


async def test_an_image_that_is_not_there(tmp_path):
    steps, view = await run_of(Home(tmp_path, Machine(missing_images=frozenset({BUSYBOX}))), {"a": step()})
    assert end(steps["a"])[:2] == ("errored", "image_unavailable")
    assert BUSYBOX in steps["a"].message
    assert view.state == "errored"


class Broken(DummyEngine):
    """An engine of which one call does not work, with any error."""

    call, error = "", EngineError("the engine is ill", hint="call a doctor")

    def __getattribute__(self, name):
        if name == object.__getattribute__(self, "call"):
            raise object.__getattribute__(self, "error")
        return object.__getattribute__(self, name)


@pytest.mark.parametrize("call", ["network", "images", "create", "start", "wait", "logs", "stop"])
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (EngineError("the engine is ill"), "engine_error"),
        (EngineUnreachable("the engine is gone"), "infra_lost"),
        (OSError(28, "No space left"), "workspace_error"),
        (ValueError("a bug"), "engine_error"),
    ],
)
async def test_an_engine_that_does_not_work(home, call, error, reason):
    engine = Broken(home.machine)
    engine.call, engine.error = call, error
    services = {"main": service(), "side": service(sleep=FOREVER)}  # something is left to be stopped
    steps, _ = await run_of(home, {"a": {"compose": {"services": services}, "main": ["main"]}}, engine=engine)
    assert end(steps["a"])[0] == "errored"
    assert steps["a"].reason == reason
    assert str(error.args[-1]) in steps["a"].message


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (EngineError("the engine is ill"), 2),
        (EngineUnreachable("the engine is gone"), 1),
    ],  # the control; what it did is not known
)
async def test_a_step_that_acts_is_not_repeated_when_its_engine_went_away(home, error, attempts):
    engine = Broken(home.machine)
    engine.call, engine.error = "start", error
    acting = step(more={"environment": {"name": "prod"}, "retry": {"max": 1, "on": ["errored"]}})
    steps, _ = await run_of(home, {"a": acting}, engine=engine)
    assert (steps["a"].outcome, len(steps["a"].attempts)) == ("errored", attempts)


async def test_a_message_of_any_length_is_kept_short(home):
    steps, _ = await run_of(home, {"a": step(error="begin " + "x" * 100_000 + " end")})
    assert len(steps["a"].message) < 1100
    assert "begin x" in steps["a"].message
    assert "x end" in steps["a"].message


async def test_a_compose_file_that_is_refused_only_now(home):
    bind = {"services": {"main": {**service(), "volumes": ["./made:/made"]}}}
    first = step(write="made/../link=x", then="b")
    steps, _ = await run_of(home, {"a": first, "b": {"compose": bind}})
    assert end(steps["b"])[0] == "succeeded"


async def test_a_file_in_the_way_of_a_mount_is_the_fault_of_the_step(home):
    bind = {"services": {"main": {**service(), "volumes": ["./file/below:/made"]}}}
    steps, _ = await run_of(home, {"a": step(write="file=x", then="b"), "b": {"compose": bind}, "c": step()})
    assert end(steps["b"])[:2] == ("failed", "refused")
    assert "file/below" in steps["b"].message
    assert end(steps["c"])[0] == "succeeded"


async def test_a_workspace_that_is_gone(home):
    home.write({"a": step(sleep=FOREVER)})
    async with home.life() as life:
        run = await life.start(home)
        await life.until(run.id, "a", "run")
        shutil.rmtree(home.data / "work" / run.id)
        await life.client.cancel(run.id)
        view = await life.finished(run.id)
    assert end(view.steps[0])[:2] == ("errored", "workspace_error")
    assert home.leftovers() == []


class Slow(DummyEngine):
    """An engine of which one call takes for ever; it tells when it is called."""

    def __init__(self, home, call):
        super().__init__(home.machine)
        self.called = asyncio.Event()
        setattr(self, call, self.never)

    async def never(self, *_arguments):
        self.called.set()
        await asyncio.Event().wait()


@pytest.mark.parametrize("call", ["network", "images", "create"])
async def test_cancelled_while_it_is_made_ready(home, call):
    home.write({"a": step()})
    engine = Slow(home, call)
    async with home.life(engine=engine) as life:
        run = await life.start(home)
        await engine.called.wait()
        await life.client.cancel(run.id)
        view = await life.finished(run.id)
    assert (view.state, end(view.steps[0])[0]) == ("cancelled", "cancelled")
    assert home.leftovers() == []


@pytest.mark.parametrize("force", [False, True])
async def test_cancelled_while_it_runs(home, force):
    home.write({"a": step(sleep=FOREVER, then="b"), "b": step()})
    async with home.life() as life:
        run = await life.start(home)
        await life.until(run.id, "a", "run")
        await life.client.cancel(run.id, force=force)
        view = await life.finished(run.id)
    assert [end(found)[0] for found in view.steps] == ["cancelled", "cancelled"]
    assert home.leftovers() == []


async def test_the_second_time_kills_what_does_not_listen(home):
    home.write({"a": step(sleep=FOREVER, stubborn=1)})
    engine = DummyEngine(home.machine)  # in real time: the grace is longer than the test
    async with home.life(engine=engine) as life:
        run = await life.start(home)
        await life.until(run.id, "a", "run")
        await life.client.cancel(run.id)
        await life.until(run.id, "a", "stopping")
        await life.client.cancel(run.id, force=True)
        view = await life.finished(run.id)
    assert end(view.steps[0])[0] == "cancelled"


async def test_cancelled_before_a_runner_has_it(tmp_path):
    home = Home(tmp_path, capacity=1)
    home.write({"a": step(sleep=FOREVER), "b": step()})
    async with home.life() as life:
        run = await life.start(home)
        await life.until(run.id, "a", "run")
        await life.client.cancel(run.id)
        view = await life.finished(run.id)
    assert [end(found)[0] for found in view.steps] == ["cancelled", "cancelled"]
    assert view.steps[1].attempts[0].started_at is None


async def test_a_lost_lease_ends_the_containers(home):
    home.write({"a": step()})
    engine = HeldEngine(home.machine)
    async with home.life(engine=engine) as life:
        run = await life.start(home)
        await life.until(run.id, "a", "run")

        def fence():
            with life.local.database.write() as tx:
                (row,) = tx.attempts.of_run(run.id)
                from flowbuild.store.tables import attempts

                tx._connection.execute(attempts.update().values(epoch=row.key.epoch + 1, state="done"))

        await asyncio.to_thread(fence)
        engine.release.set()
        async with asyncio.timeout(LIMIT):
            while home.machine.units:
                await home.machine.change()
        assert (await life.client.get(run.id)).steps[0].result_commit is None
        await life.client.cancel(run.id, force=True)


async def test_foreign_objects_are_left_alone(home):
    home.machine.networks["theirs"] = Labels("somebody else", "r")
    home.write({"a": step()})
    async with home.life() as life:
        await life.finished((await life.start(home)).id)
    assert home.leftovers() == ["network theirs"]


class Counting(DummyEngine):
    """An engine that remembers what it was asked."""

    def __init__(self, home):
        super().__init__(home.machine, sleep=lambda seconds: asyncio.sleep(seconds / 100))
        self.asked = []

    async def images(self, images, progress):
        self.asked.append("images")
        return await super().images(images, progress)

    async def network(self, name, labels):
        self.asked.append("network")
        await super().network(name, labels)

    async def stop(self, unit, **options):
        self.asked.append("stop")
        await super().stop(unit, **options)


async def test_nobody_waits_for_what_is_known(home):
    """Nothing is stopped that has ended, and what was looked up while the step before ran is not looked up again."""
    engine = Counting(home)
    steps, _ = await run_of(home, {"a": step(sleep=1, then="b"), "b": step()}, engine=engine)
    assert end(steps["b"])[0] == "succeeded"
    assert engine.asked == ["network", "images", "images"]


async def test_what_still_runs_is_stopped(home):
    engine = Counting(home)
    services = {"main": service(), "side": service(sleep=FOREVER)}
    await run_of(home, {"a": {"compose": {"services": services}, "main": ["main"]}}, engine=engine)
    assert engine.asked.count("stop") == 1


async def test_a_step_begins_while_the_one_before_is_stored(home, monkeypatch):
    """Only containers that run count for how many attempts run at once."""
    home.capacity = 1
    begun = threading.Event()
    commit = Slots.commit

    class Telling(DummyEngine):
        async def start(self, unit):
            if unit.spec.labels.step == "b":
                begun.set()
            return await super().start(unit)

    def waiting(self, slot, *arguments, **options):
        if slot.path.name.startswith("a."):
            assert begun.wait(LIMIT)
        return commit(self, slot, *arguments, **options)

    monkeypatch.setattr(Slots, "commit", waiting)
    steps, _ = await run_of(home, {"a": step(), "b": step()}, engine=Telling(home.machine))
    assert [end(steps[key])[0] for key in "ab"] == ["succeeded", "succeeded"]


async def test_no_more_at_once_than_the_capacity(home):
    home.capacity = 2
    most = []

    class Counted(DummyEngine):
        async def start(self, unit):
            most.append(sum(found.running for found in await self.found(unit.spec.labels.instance)))
            return await super().start(unit)

    engine = Counted(home.machine, sleep=lambda seconds: asyncio.sleep(seconds / 100))
    await run_of(home, {f"s{number}": step(sleep=number % 3) for number in range(9)}, engine=engine)
    assert max(most) <= 1, "besides the one that is being started"
