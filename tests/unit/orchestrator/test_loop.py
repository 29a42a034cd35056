"""Effects that fail, timers, runs side by side."""

import asyncio
import threading
import time

import pytest
import structlog

from flowbuild.core.commands import AcquireLock, ReleaseLock
from flowbuild.core.errors import StoreError, WorkspaceError
from flowbuild.orchestrator import loop
from flowbuild.orchestrator.effects import Effects
from flowbuild.testing.engine import HeldEngine
from flowbuild.testing.home import Home, step
from flowbuild.workspace import repo
from flowbuild.workspace.repo import RunRepository

JOINED = {
    "a": step(write="a=1", then="c"),
    "b": step(write="b=1", then="c"),
    "c": step(write="c=1"),
    "d": step(write="d=1"),
}


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(loop, "RETRY_SECONDS", 0.001)


def breaking(monkeypatch, owner, name, error, *, times, when=lambda *_: True):
    """Let a method fail that many times; return how often it was called in vain."""
    original, failed = getattr(owner, name), []

    def method(self, *args, **kwargs):
        if len(failed) < times and when(*args):
            failed.append(args)
            raise error
        return original(self, *args, **kwargs)

    monkeypatch.setattr(owner, name, method)
    return failed


async def run(home, steps=JOINED, **options):
    home.write(steps, **options)
    async with home.life() as life:
        view = await life.finished((await life.start(home)).id)
    return view, {found.key: found for found in view.steps}


@pytest.mark.parametrize("error", [OSError(5, "I/O error"), StoreError("away"), ValueError("a bug")])
async def test_what_fails_for_a_while_is_done_in_the_end(home, monkeypatch, impatient, error):
    failed = breaking(monkeypatch, RunRepository, "accept", error, times=3)
    view, steps = await run(home)
    assert view.state == "succeeded"
    assert len(failed) == 3
    repository = RunRepository.open(home.data / "runs" / view.id / "repository.git")
    assert repository.refs.read("refs/heads/step/c") == steps["c"].result_commit


async def test_an_input_that_can_never_be_made_is_our_fault(home, monkeypatch, impatient):
    failed = breaking(monkeypatch, RunRepository, "merge", OSError(5, "I/O error"), times=10**6)
    view, steps = await run(home)
    assert (view.state, str(steps["c"].outcome), str(steps["c"].reason)) == ("errored", "errored", "workspace_error")
    assert "I/O error" in steps["c"].message
    assert len(failed) >= loop.TRIES
    assert home.leftovers() == []


async def test_a_merge_that_says_why_fails_at_once(home, monkeypatch):
    breaking(monkeypatch, RunRepository, "merge", WorkspaceError("damaged"), times=10**6)
    _, steps = await run(home)
    assert (str(steps["c"].reason), steps["c"].message) == ("workspace_error", "damaged")


async def test_a_result_that_is_never_accepted_does_not_hold_the_run_up(home, monkeypatch, impatient):
    breaking(monkeypatch, RunRepository, "accept", OSError(28, "No space left"), times=10**6)
    with structlog.testing.capture_logs() as logs:
        monkeypatch.setattr("flowbuild.wiring.local.open_journal", lambda path, _level: path.open("a"))
        view, steps = await run(home)
    assert view.state == "succeeded"
    assert home.leftovers() == []
    told = [entry for entry in logs if entry["event"] == "result_not_shown"]
    assert {entry["commit"] for entry in told} == {found.result_commit for found in steps.values()}


async def test_a_run_in_trouble_leaves_the_others_alone(home, monkeypatch):
    home.write(JOINED)
    async with home.life() as life:
        ill = await life.start(home)
        never = breaking(
            monkeypatch, Effects, "carry_out", OSError("x"), times=10**6, when=lambda run, _: run == ill.id
        )
        well = await life.start(home)
        assert (await life.finished(well.id)).state == "succeeded"
        assert never
        monkeypatch.undo()
        assert (await life.finished(ill.id)).state == "succeeded"


async def test_a_database_that_is_away_comes_back(home, monkeypatch, impatient):
    failed = breaking(monkeypatch, loop.Orchestrator, "_look", StoreError("away"), times=5)
    view, _ = await run(home)
    assert view.state == "succeeded"
    assert len(failed) == 5


async def test_waits_grow(home, monkeypatch):
    waits = []

    async def sleep(seconds):
        waits.append(seconds)

    made = loop.Orchestrator.__init__

    def init(self, **options):
        made(self, **options, sleep=sleep)

    monkeypatch.setattr(loop.Orchestrator, "__init__", init)
    breaking(monkeypatch, RunRepository, "accept", OSError("x"), times=4)
    await run(home, {"a": step(write="a=1")})
    assert waits == [1.0, 2.0, 4.0, 8.0]


async def test_a_retry_waits_for_its_timer(home):
    flaky = step(exit=1, more={"retry": {"max": 1, "on": ["failed"], "delay": "1s"}})
    _, steps = await run(home, {"a": flaky})
    first, second = steps["a"].attempts
    assert 1.0 <= second.queued_at - first.finished_at < 3.0


async def test_a_run_that_takes_too_long_is_ended(home):
    view, steps = await run(home, {"a": step(sleep=100_000)}, timeout="1s")
    assert (view.state, str(steps["a"].outcome)) == ("failed", "cancelled")
    assert 1.0 <= view.finished_at - view.created_at < 10.0


@pytest.mark.parametrize(("many", "left"), [(3, 3), (1000, 7)])
async def test_small_packs_are_put_together(home, monkeypatch, many, left):
    monkeypatch.setattr(repo, "MANY_PACKS", many)
    chain = {
        f"s{number}": step(write=f"f{number}=1", then=f"s{number + 1}" if number < 5 else "") for number in range(6)
    }
    view, _ = await run(home, chain)
    packs = home.data / "runs" / view.id / "repository.git" / "objects" / "pack"
    assert view.state == "succeeded"
    assert len(list(packs.glob("pack-*.pack"))) <= left
    assert (len(list(packs.glob("pack-*.pack"))) < 7) == (many == 3)
    RunRepository.open(packs.parent.parent).changes(None, view.steps[-1].result_commit)


async def test_a_repository_that_cannot_be_put_in_order_holds_nothing_up(home, monkeypatch):
    failed = breaking(monkeypatch, RunRepository, "tidy", OSError(28, "No space left"), times=10**6)
    view, steps = await run(home)
    assert view.state == "succeeded"
    assert len(failed) == len(steps)


async def test_what_was_done_while_one_looked_is_not_done_again(home, monkeypatch):
    """The list of what is pending may be older than the end of the effects that were under way."""
    original, accept, accepted = loop.Orchestrator._look, RunRepository.accept, []

    def look(self):
        found = original(self)
        while found[0] and self._busy:
            time.sleep(0.001)
        return found

    def count(self, step, *arguments, **options):
        accepted.append(step)
        return accept(self, step, *arguments, **options)

    monkeypatch.setattr(loop.Orchestrator, "_look", look)
    monkeypatch.setattr(RunRepository, "accept", count)
    view, steps = await run(home)
    assert (view.state, sorted(accepted)) == ("succeeded", sorted(steps))


async def test_the_end_of_the_program_waits_for_effects_under_way(home, monkeypatch):
    """Else they are done and not forgotten, and the next life does them again, with nobody there to wait for it."""
    slow, original = threading.Event(), loop.Orchestrator._carry_out_all

    def carry_out_all(self, run, commands):
        if any(command.type == "finish_run" for _, command in commands):
            self._effects._run_ended(run)  # the program may end from here on, and before the rest is done
            slow.wait(0.5)
        return original(self, run, commands)

    monkeypatch.setattr(loop.Orchestrator, "_carry_out_all", carry_out_all)
    await run(home, {"a": step(write="a=1")})
    async with home.looking() as life:
        assert await asyncio.to_thread(life.local.dead_owners) == []


@pytest.mark.parametrize("programs", [1, 2])
async def test_locks_are_handed_over(home, programs):
    """Also between programs, without waiting for anybody to look."""
    gate = {"environment": {"name": "qa"}}
    home.write({"deploy": step(sleep=20, more=gate)})
    async with home.life() as first, home.life() as second:
        drivers = [first, second] if programs == 2 else [first, first]
        one = await drivers[0].start(home)
        await first.until(one.id, "deploy", "running")
        two = await drivers[1].start(home)
        await asyncio.gather(drivers[0].finished(one.id), drivers[1].finished(two.id))
        views = [(await first.client.get(found.id)).steps[0].attempts[0] for found in (one, two)]
    assert views[0].finished_at <= views[1].queued_at < views[0].finished_at + 5
    assert home.leftovers() == []


async def test_a_lock_goes_on_although_nothing_else_of_its_run_does(home, monkeypatch):
    """It is given back in the decision itself: whatever happens to the effects, and to the program, afterwards."""
    home.write({"deploy": step(more={"environment": {"name": "qa"}})})
    engine = HeldEngine(home.machine)
    async with home.life(engine=engine) as life:
        one = await life.start(home)
        await life.until(one.id, "deploy", "running")
        two = await life.start(home)
        await life.until(two.id, "deploy", "waiting")
        breaking(monkeypatch, Effects, "carry_out", OSError("x"), times=10**6, when=lambda run, _: run == one.id)
        engine.release.set()
        assert (await life.finished(two.id)).state == "succeeded"
        monkeypatch.undo()
        await life.finished(one.id)


async def test_locks_that_an_earlier_version_left_in_the_outbox(home):
    home.write({"a": step(more={"environment": {"name": "qa", "approve": ["me"]}})})
    async with home.life() as life:
        run = (await life.start(home)).id
        await life.until(run, "a", "waiting")
        effects = Effects(life.local.database, life.local.decisions, lambda _run: None)

        def holder(command):
            effects.carry_out(run, command)
            with life.local.database.read() as tx:
                return tx.locks.holder("qa")

        assert await asyncio.to_thread(holder, AcquireLock("a", "qa")) == (run, "a")
        assert await asyncio.to_thread(holder, ReleaseLock("a", "qa")) is None
        await life.client.approve(run, "a")
        assert (await life.finished(run)).state == "succeeded"
