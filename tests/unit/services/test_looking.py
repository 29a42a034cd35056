"""What a look at a run shows while the run goes on."""

import asyncio

import pytest

from flowbuild.client.runner import Lease
from flowbuild.services import client
from flowbuild.services.audit import Actor
from flowbuild.services.looking import Looking
from flowbuild.store.runs import Runs
from flowbuild.testing.engine import DummyEngine
from flowbuild.testing.home import LIMIT, Home, step


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


async def test_events_never_run_ahead_of_the_view(home, monkeypatch):
    """Whoever follows a run learns how it ended from the last update, whatever happens while he looks."""
    home.write({"a": step(log="so far\n", sleep=100_000)})
    async with home.life() as life:
        run = (await life.start(home)).id
        await life.speaks(run, "a")  # from here on nothing happens by itself
        original = Runs.get
        interfered = []

        def get(self, identifier, *args):
            row = original(self, identifier, *args)
            if not interfered:  # between the reading of the run and that of its events
                interfered.append(identifier)
                life.local.runs.cancel(identifier, by=Actor("somebody"), force=True)
            return row

        monkeypatch.setattr(Runs, "get", get)
        events, view = await asyncio.to_thread(life.local.looking.since, run, 0, {})
        monkeypatch.undo()
        assert interfered == [run]
        assert view.state == "running"
        assert "cancel_requested" not in [row.event.type for row in events]
        later, view = await asyncio.to_thread(life.local.looking.since, run, events[-1].seq, {})
        assert later[0].event.type == "cancel_requested"
        assert view.state != "running"
        assert (await life.finished(run)).state == "cancelled"


async def test_who_watches_learns_that_nobody_drives_the_run(home, monkeypatch):
    """By the lock of its driver, not by looking again and again."""
    monkeypatch.setattr(client, "FOREIGN_INTERVAL", 100_000)
    home.write({"done": step(log="first\n", then="a"), "a": step(log="so far\n", sleep=100_000)})
    async with home.looking() as other:
        waiting, loop, mind = asyncio.Event(), asyncio.get_running_loop(), other.local.ownership.mind
        monkeypatch.setattr(
            other.local.ownership, "mind", lambda *all_: (mind(*all_), loop.call_soon_threadsafe(waiting.set))
        )
        async with home.life() as life:
            run = (await life.start(home)).id
            await life.speaks(run, "a")
            watching = asyncio.create_task(other.updates(run))
            following = asyncio.create_task(other.log(run, "a", follow=True))
            await waiting.wait()
        updates = await watching
        async with asyncio.timeout(LIMIT):
            assert (await following).endswith(b"so far\n")
        assert updates[-1].event == {"type": "run_interrupted"}
        assert (updates[-1].run.state, updates[-1].run.interrupted) == ("running", True)
        assert [found.interrupted for found in await other.client.runs()] == [True]
        assert (await other.updates(run))[-1].run.interrupted  # also who comes later
        assert (await other.log(run, "done", follow=True)).endswith(b"first\n")
    async with home.life() as life:
        view = await life.client.resume("", secrets={})
        assert not view.interrupted
        await life.client.cancel(run, force=True)
        assert not (await life.finished(run)).interrupted


async def test_a_run_that_ends_as_its_program_does_was_not_interrupted(home):
    """Its driver is gone only after the run was read: what was read says nothing any more."""
    home.write({"a": step(sleep=100_000)})
    looked = asyncio.Event()

    class Slow(DummyEngine):
        """Stops nothing until all was looked at: else the run may have ended before."""

        async def stop(self, unit, **options):
            await looked.wait()
            await super().stop(unit, **options)

    async with home.life(engine=Slow(home.machine)) as life:
        run = (await life.start(home)).id
        await life.until(run, "a", "running")

        def gone(_owner, _served):
            life.local.runs.cancel(run, by=Actor("somebody"), force=True)
            with life.local.database.write() as tx:
                assert tx.runs.take_over(run, life.local.ownership.token, "another")
            return False

        looking = Looking(life.local.database, life.local.logbook, gone)
        assert not (await asyncio.to_thread(looking.run, run, {})).interrupted
        with_nobody = Looking(life.local.database, life.local.logbook, lambda _owner, _served: False)
        assert (await asyncio.to_thread(with_nobody.run, run, {})).interrupted  # the negative control
        await asyncio.to_thread(take_back, life, run)
        looked.set()
        await life.finished(run)


def take_back(life, run):
    with life.local.database.write() as tx:
        assert tx.runs.take_over(run, "another", life.local.ownership.token)
    life.local.decisions.announce(run)


async def test_who_waits_for_an_environment_learns_who_holds_it_and_that_it_died(home, monkeypatch):
    monkeypatch.setattr(client, "FOREIGN_INTERVAL", 100_000)
    home.write({"deploy": step(sleep=100_000, more={"environment": {"name": "qa"}})})
    told = []

    async def watch(life, run, *, until):
        async with asyncio.timeout(LIMIT):
            async for update in life.client.watch(run):
                if update.event["type"] == "lock_waiting":
                    told.append(update.event["holder"])
                    assert update.run.steps[0].holder.number == told[-1]["number"]
                    if told[-1]["interrupted"] is until:
                        return

    async with home.life() as second:
        async with home.life() as first:
            one = (await first.start(home)).id
            await first.until(one, "deploy", "run")
            two = (await second.start(home)).id
            await watch(second, two, until=False)
            later = asyncio.create_task(watch(second, two, until=True))
            while len(told) < 2:
                await second.until(two, "deploy", "waiting")
        await later
        about = {"environment": "qa", "run": one, "number": 1, "project": "project", "step": "deploy"}
        assert told == [about | {"interrupted": interrupted} for interrupted in (False, False, True)]
        async with home.life(abandon=True) as third:
            assert [view.id for view in third.abandoned] == [one]
            assert (await second.until(two, "deploy", "run")).steps[0].holder is None
            await second.client.cancel(two, force=True)
            await second.finished(two)
    assert home.leftovers() == []


def _running(unit):
    return any(container.state and container.state.status == "running" for container in unit.values())


async def test_a_change_of_phase_needs_no_look_into_the_database(home, monkeypatch):
    home.write({"a": step(sleep=100_000)})
    async with home.life() as life:
        run = (await life.start(home)).id
        async with asyncio.timeout(LIMIT):
            while not any(_running(unit) for _, unit in home.machine.units.values()):
                await home.machine.change()
        # Whatever is stored of a running step has been told to those who wait by now; they look at it once more.
        await life.local.runners.phase(Lease(run, "a", 1, 1), "one")
        watching = life.client.watch(run)
        while (await anext(watching)).event.get("phase") != "one":
            pass
        monkeypatch.setattr(life.local.looking, "since", lambda *_: pytest.fail("nothing that is stored changed"))
        await life.local.runners.phase(Lease(run, "a", 1, 1), "another")
        update = await anext(watching)
        assert update.event == {"type": "attempt_phase", "step": "a", "phase": "another"}
        (attempt,) = update.run.steps[0].attempts
        assert attempt.phase == "another"
        assert list(attempt.phase_began)[-3:] == ["run", "one", "another"], "what it did before is known, too"
        assert sorted(attempt.phase_began.values()) == list(attempt.phase_began.values())
        monkeypatch.undo()
        assert (await life.client.get(run)).steps[0].attempts[0].phase_began == attempt.phase_began
        await life.client.cancel(run, force=True)
        last = [update.run async for update in watching][-1]
        assert (last.state, last.steps[0].attempts[0].phase, last.steps[0].attempts[0].phase_began) == (
            "cancelled",
            "",
            {},
        )


async def test_a_run_of_this_program_is_not_looked_at_unasked(home, monkeypatch):
    home.write({"a": step(log="x\n", sleep=100_000)})
    async with home.life() as life, home.looking() as other:
        run = (await life.start(home)).id
        for program, often in ((life, None), (other, client.FOREIGN_INTERVAL)):
            waits, wait = asyncio.Queue(), program.local.signals.wait

            async def told(topic, token, timeout=None, waits=waits, wait=wait):  # noqa: ASYNC109 (as it is)
                waits.put_nowait((topic.partition(":")[0], timeout))
                return await wait(topic, token, timeout)

            for kind, look in (("log", program.log(run, "a", follow=True)), ("phase", program.updates(run))):
                with monkeypatch.context() as patch:
                    patch.setattr(program.local.signals, "wait", told)
                    looking = asyncio.create_task(look)
                    while (wanted := await waits.get())[0] != kind:  # the runner waits, too
                        pass
                    assert wanted == (kind, often)
                    looking.cancel()
        await life.client.cancel(run, force=True)
        await life.finished(run)
