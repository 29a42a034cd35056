"""What several runners are told, each of its own: attempts, orders, ends of runs; and what becomes of silent ones."""

import asyncio
import uuid
from contextlib import suppress

import pytest

from flowbuild.auth.tokens import TokenKind, kind_of
from flowbuild.client.base import StartRequest
from flowbuild.client.runner import (
    EXCLUSIVE_SECONDS,
    LEASE_SECONDS,
    AttemptResult,
    Beat,
    Held,
    Lease,
    Report,
    Stop,
)
from flowbuild.core.access import Action, allowed
from flowbuild.core.errors import LeaseLost, Unauthenticated
from flowbuild.core.states import Outcome
from flowbuild.orchestrator.watch import LATE, Watch
from flowbuild.services.attempt_tokens import AttemptTokens
from flowbuild.services.audit import Actor
from flowbuild.services.leases import MARGIN, Leases
from flowbuild.services.overlays import LEFTOVERS
from flowbuild.services.placing import Cluster, Placing, Standing
from flowbuild.services.registration import Registration
from flowbuild.services.runners import RunnerService
from flowbuild.services.waiting import WaitService, WaitsFor
from flowbuild.store.runners import RunnerRow
from flowbuild.testing.home import LIMIT, Home, step

ONE, TWO = "one/1", "two/1"
SERVED = {
    "a": step(health=True, more={"background": True, "success": ["b"], "retry": {"max": 1, "on": ["infra_lost"]}}),
    "b": step(),
}
DONE = AttemptResult(Outcome.SUCCEEDED, exit_code=0)


class Server:
    """The services of a server with two runners of one Swarm, `one` and `two`, that are the test; its time stands still."""

    def __init__(self, local):
        self.local = local
        self.now = 1000.0
        self.runners = RunnerService(
            database=local.database,
            decisions=local.decisions,
            signals=local.signals,
            assignments=local.runners._assignments,
            logbook=local.logbook,
            cache=local.runners._cache,
            owner=local.ownership.token,
            clock=self.clock,
            placing=Placing(
                owner=local.ownership.token,
                serves=True,
                capacity=2,
                cluster=Cluster(lambda _node: Standing(), lambda _tx, _key: True),
            ),
        )
        self.leases = Leases(
            database=local.database, decisions=local.decisions, owner=local.ownership.token, clock=self.clock
        )

    def clock(self):
        return self.now

    async def start(self):
        return await asyncio.to_thread(
            self.local.runs.start, StartRequest(str(self.local.project_directory)), by=Actor("ada")
        )

    async def claim(self, runner, key=""):
        return await self.runners.claim(runner, request_key=key or uuid.uuid4().hex, wait=0)

    async def beat(self, runner, *held, forgetting=()):
        return await self.runners.heartbeat(runner, Report(tuple(held), tuple(forgetting)), wait=0)

    async def step(self, run, key="a"):
        view = await self.local.client().get(run)
        return next(step for step in view.steps if step.key == key)

    async def cancel(self, run, *, force=False):
        await asyncio.to_thread(self.local.runs.cancel, run, by=Actor("ada"), force=force)

    async def end(self, run):
        """Do what the effect FinishRun does."""
        await asyncio.to_thread(self.runners.run_ended, run)

    async def expire(self):
        return await asyncio.to_thread(self.leases.expire)


@pytest.fixture
def steps():
    return {"a": step()}


@pytest.fixture
async def server(tmp_path, steps):
    home = Home(tmp_path)
    home.write(steps)
    local = await asyncio.to_thread(home.local, drive=True, serve=True)
    local.project_directory = home.project

    def add():
        with local.database.write() as tx:
            for name in ("one", "two"):
                tx.runners.add(RunnerRow(name, name, name, 1, "active", 1.0))
            tx.runners.embed("local", 1.0, capacity=2, facts={})

    await asyncio.to_thread(add)
    yield Server(local)
    local.ownership.release()
    local.close()


async def test_an_attempt_is_one_runners_alone(server):
    run = await server.start()
    lease = (await server.claim(ONE, "k")).lease
    assert await server.claim(TWO) is None
    assert (await server.claim(ONE, "k")).lease == lease  # the answer was lost
    assert await server.claim(TWO, "k") is None  # a guessed key opens nothing
    await asyncio.to_thread(server.runners.require_holder, "one", lease)
    for name, wrong in (("two", lease), ("one", Lease(run, "a", 1, 2)), ("one", Lease(run, "b", 1, 1))):
        with pytest.raises(LeaseLost):
            await asyncio.to_thread(server.runners.require_holder, name, wrong)


async def test_the_next_life_of_a_runner_takes_over_and_no_other_runner_does(server):
    await server.start()
    lease = (await server.claim(ONE)).lease
    await server.runners.launched(lease, {})
    assert await server.claim(TWO) is None
    assert await asyncio.to_thread(server.runners.inherited, "one/2") == [(lease, True)]
    assert await asyncio.to_thread(server.runners.inherited, "two/2") == []
    found = await server.claim("one/2", "k")
    assert (found.lease, found.state) == (lease, "launched")
    assert (await server.claim("one/2", "k")).lease == lease
    assert await server.claim("one/2") is None


@pytest.mark.parametrize("state", ["draining", "revoked"])
async def test_who_is_drained_gets_nothing_new(server, state):
    await server.start()
    set_state = server.local.database.write

    def change(to):
        with set_state() as tx:
            tx.runners.set_state("one", to)

    await asyncio.to_thread(change, state)
    assert await server.claim(ONE) is None
    assert await server.claim("nobody/1") is None
    await asyncio.to_thread(change, "active")
    lease = (await server.claim(ONE)).lease
    await asyncio.to_thread(change, state)
    assert (await server.claim("one/2")).lease == lease  # it finishes what it has


async def test_an_order_is_told_until_it_is_obeyed(server):
    run = await server.start()
    lease = (await server.claim(ONE)).lease
    assert await server.beat(ONE, Held(lease)) == Beat()
    await server.cancel(run)
    gentle, forced = Beat((Stop(lease, force=False),)), Beat((Stop(lease, force=True),))
    assert await server.beat(ONE, Held(lease)) == gentle
    assert await server.beat(ONE, Held(lease)) == gentle  # the answer was lost
    assert await server.beat(ONE, Held(lease, "graceful")) == Beat()
    assert await server.beat(TWO) == Beat()
    await server.cancel(run, force=True)
    assert await server.beat(ONE, Held(lease, "graceful")) == forced
    assert await server.beat(ONE, Held(lease, "force")) == Beat()


async def test_an_order_overtakes_the_assignment(server):
    run = await server.start()
    lease = (await server.claim(ONE)).lease
    await server.cancel(run)
    assert await server.beat(ONE) == Beat((Stop(lease, force=False),))
    assert await server.beat(ONE) == Beat()  # it was told once; when it was lost, the next report shows that
    assert await server.beat(ONE, Held(lease)) == Beat((Stop(lease, force=False),))


async def test_a_heartbeat_waits_for_an_order(server):
    run = await server.start()
    lease = (await server.claim(ONE)).lease
    beating = asyncio.create_task(server.runners.heartbeat(ONE, Report((Held(lease),)), wait=LIMIT))
    await server.cancel(run)
    assert (await beating).stops == (Stop(lease, force=False),)


async def test_what_is_not_the_runners_is_stopped(server):
    await server.start()
    lease = (await server.claim(ONE)).lease
    assert await server.beat(TWO, Held(lease, "graceful")) == Beat((Stop(lease, force=True),))
    await server.runners.finish(lease, DONE)
    assert await server.beat(ONE, Held(lease)) == Beat((Stop(lease, force=True),))
    assert await server.beat(ONE, Held(lease, "force")) == Beat()


async def test_the_end_of_a_run_is_told_until_it_is_forgotten_to_each_that_worked_on_it(server):
    run = await server.start()
    lease = (await server.claim(ONE)).lease
    await server.runners.finish(lease, DONE)
    assert await server.beat(ONE) == Beat()
    await server.end(run)
    told = Beat(ended_runs=(run,))
    assert await server.beat(ONE) == told
    assert await server.beat(ONE) == told  # the answer was lost
    assert await server.beat(ONE, forgetting=[run]) == Beat()
    assert await server.beat("one/2") == told  # the next life knows nothing of it
    assert await server.beat(TWO) == Beat()
    await server.runners.forgotten(ONE, run)
    assert await server.beat(ONE) == Beat()


async def test_a_run_is_settled_without_waiting_for_other_machines(server):
    run = await server.start()
    await server.runners.finish((await server.claim(ONE)).lease, DONE)
    settled = asyncio.create_task(server.runners.settled(run))
    await server.end(run)
    async with asyncio.timeout(LIMIT):
        await settled


async def test_a_run_is_settled_when_the_embedded_runner_has_cleared_away(server):
    run = await server.start()
    await server.runners.finish((await server.claim("local/1")).lease, DONE)
    settled = asyncio.create_task(server.runners.settled(run))
    await server.end(run)
    assert await server.beat("local/1") == Beat(ended_runs=(run,))
    assert not settled.done()
    await server.runners.forgotten("local/1", run)
    async with asyncio.timeout(LIMIT):
        await settled


async def test_a_result_is_taken_once(server):
    await server.start()
    lease = (await server.claim(ONE)).lease
    await server.runners.finish(lease, DONE)
    await server.runners.finish(lease, DONE)  # the answer was lost
    with pytest.raises(LeaseLost):
        await server.runners.finish(lease, AttemptResult(Outcome.FAILED))


async def test_a_silent_runner_loses_what_was_not_launched_to_another(server):
    run = await server.start()
    old = (await server.claim(ONE)).lease
    assert await server.expire() == 1000.0 + LEASE_SECONDS + MARGIN
    server.now += LEASE_SECONDS
    await server.beat(ONE, Held(old))
    server.now += LEASE_SECONDS + MARGIN - 1
    assert await server.expire() == server.now + 1
    assert await server.claim(TWO) is None
    server.now += 1
    assert await server.expire() is None
    new = (await server.claim(TWO)).lease
    assert new == Lease(run, "a", 1, 2)
    with pytest.raises(LeaseLost):
        await server.runners.launched(old, {})
    with pytest.raises(LeaseLost):
        await server.runners.finish(old, DONE)
    assert await server.beat(ONE, Held(old)) == Beat((Stop(old, force=True),))
    await server.runners.finish(new, DONE)
    assert (await server.step(run)).outcome == "succeeded"


async def test_a_silent_runner_loses_what_runs(server):
    run = await server.start()
    lease = (await server.claim(ONE)).lease
    await server.runners.launched(lease, {})
    server.now += LEASE_SECONDS + MARGIN
    assert await server.expire() is None
    found = await server.step(run)
    assert (found.outcome, found.reason, len(found.attempts)) == ("errored", "infra_lost", 1)
    assert "runner one was not heard of for 75 s" in found.message
    with pytest.raises(LeaseLost):
        await server.runners.finish(lease, DONE)
    assert await server.claim(TWO) is None


@pytest.mark.parametrize("steps", [SERVED])
async def test_a_silent_runner_loses_a_service_to_another(server):
    run = await server.start()
    old = await server.claim(ONE)

    def up(port):
        return AttemptResult(Outcome.SUCCEEDED, commit=old.input_commit, variables={"PORT": port})

    await server.runners.launched(old.lease, {})
    await server.runners.healthy(old.lease, up("80"))
    user = await server.claim(TWO)
    await server.runners.launched(user.lease, {})
    server.now += LEASE_SECONDS
    await server.beat(TWO, Held(user.lease))
    server.now += MARGIN
    await server.expire()

    lost = await server.step(run)
    assert (lost.state, lost.outcome, lost.returning) == ("serving", "succeeded", True)
    assert "attempt 1 is gone (runner one was not heard of for 75 s); attempt 2 follows" in lost.message
    waits = WaitService(server.local.database, server.local.looking, server.runners._placing, server.clock)
    why = await asyncio.to_thread(waits.why, run, "a")
    assert (why.waits_for, why.details["obstacles"]["one"]) == (WaitsFor.MACHINE, "is not heard of")
    with pytest.raises(LeaseLost):
        await server.runners.healthy(old.lease, DONE)

    new = await server.claim(TWO)
    assert (new.lease, new.input_commit) == (Lease(run, "a", 2, 1), old.input_commit)
    assert (user.variables, new.variables) == ({"PORT": "80"}, old.variables)
    await server.runners.launched(new.lease, {})
    for _ in range(2):  # the answer was lost
        await server.runners.healthy(new.lease, up("81"))
    back = await server.step(run)
    assert (back.state, back.returning, [each.outcome for each in back.attempts]) == (
        "serving",
        False,
        ["errored", None],
    )
    assert (await server.step(run, "b")).state == "running"  # and heard nothing of it
    await server.runners.finish(user.lease, DONE)
    assert [each.lease for each in (await server.beat(TWO, Held(new.lease))).stops] == [new.lease]
    await server.runners.finish(new.lease, AttemptResult(Outcome.CANCELLED))
    assert (await server.local.client().get(run)).state == "succeeded"


@pytest.mark.parametrize("steps", [SERVED])
async def test_a_service_that_still_waits_for_a_runner_is_let_go_at_the_end(server):
    run = await server.start()
    old = await server.claim(ONE)
    await server.runners.launched(old.lease, {})
    await server.runners.healthy(old.lease, DONE)
    user = await server.claim(TWO)
    server.now += LEASE_SECONDS
    await server.beat(TWO, Held(user.lease))
    server.now += MARGIN
    await server.expire()
    await server.runners.finish(user.lease, DONE)
    assert await server.claim(TWO) is None
    found = await server.local.client().get(run)
    assert (found.state, [step.outcome for step in found.steps]) == ("succeeded", ["succeeded", "succeeded"])


async def test_a_revoked_runner_loses_what_it_has_at_once(server):
    run = await server.start()
    lease = (await server.claim(ONE)).lease
    await server.runners.launched(lease, {})
    assert await server.expire() is not None
    local = server.local
    registration = Registration(local.database, local.signals, server.clock)
    await asyncio.to_thread(registration.revoke, "one", Actor("ada"))
    assert (await server.beat(ONE, Held(lease))).stops == ()  # it was let in before, and is answered now
    assert await server.expire() is None
    found = await server.step(run)
    assert (found.reason, found.message) == ("infra_lost", "runner one was revoked")


async def test_nobody_waits_until_a_revoked_runner_has_cleared_away(server):
    """It cannot say so any more; the network of the run, and its addresses, would be kept for ever."""
    run = await server.start()
    first, other = await server.claim(ONE), await server.claim(TWO)
    assert (first is None) != (other is None)

    def has():
        with server.local.database.read() as tx:
            return tx.leftovers.has("one", run), tx.leftovers.has("two", run)

    def begins(name):
        with server.local.database.write() as tx:
            tx.leftovers.add(name, run)

    assert await asyncio.to_thread(has) == (True, False)
    await asyncio.to_thread(begins, "two")
    token = server.local.signals.token(LEFTOVERS)
    registration = Registration(server.local.database, server.local.signals, server.clock)
    await asyncio.to_thread(registration.revoke, "one", Actor("ada"))
    assert await asyncio.to_thread(has) == (False, True)
    assert server.local.signals.token(LEFTOVERS) != token


async def test_the_embedded_runner_is_never_given_up(server):
    await server.start()
    lease = (await server.claim("local/1")).lease
    server.now += 10 * LEASE_SECONDS
    assert await server.expire() is None
    await server.runners.finish(lease, DONE)


async def test_the_token_of_an_attempt_dies_with_it(server):
    run = await server.start()
    lease = (await server.claim(ONE)).lease
    tokens = AttemptTokens(server.local.database)
    token = await asyncio.to_thread(tokens.make, lease)
    assert kind_of(token) is TokenKind.ATTEMPT
    principal = await asyncio.to_thread(tokens.principal, token)
    assert (principal.kind, principal.id, principal.name) == ("attempt", run, "refs/attempts/a/1/1")
    assert allowed(principal, Action.WORKSPACE_WRITE, principal.project)
    again = AttemptTokens(server.local.database)  # after a restart of the server
    assert await asyncio.to_thread(again.principal, token) == principal
    for wrong in (await asyncio.to_thread(tokens.make, Lease(run, "a", 1, 2)), "", "\ud800", token[:-1]):
        with pytest.raises(Unauthenticated):
            await asyncio.to_thread(tokens.principal, wrong)
    await server.runners.finish(lease, DONE)
    with pytest.raises(Unauthenticated):
        await asyncio.to_thread(tokens.principal, token)


async def test_who_takes_over_a_run_gives_its_runners_time(server):
    run = await server.start()
    await server.claim(ONE)
    local, old = server.local, server.local.ownership.token

    def take_over():
        with local.database.write() as tx:
            tx.runs.take_over(run, old, "dead")
        assert [taken for taken in local.runs.inherit(["dead"]) if taken == run] == [run]
        with local.database.read() as tx:
            return tx.attempts.next_overdue(old)

    assert await asyncio.to_thread(take_over) > server.now + LEASE_SECONDS + MARGIN  # by the real clock, long after


class TestExclusive:
    @pytest.fixture
    def steps(self):
        return {"a": step(more={"environment": "qa"})}

    async def test_its_lease_is_longer_and_it_is_never_offered_again(self, server):
        run = await server.start()
        await server.claim(ONE)
        server.now += EXCLUSIVE_SECONDS + MARGIN - 1
        assert await server.expire() == server.now + 1
        server.now += 1
        assert await server.expire() is None
        assert (await server.step(run)).reason == "infra_lost"


class TestWatch:
    """The loop over the leases, woken by hand."""

    @pytest.fixture
    async def watching(self, server):
        looks = asyncio.Queue()
        expire = server.leases.expire

        def told():
            due = expire()
            loop.call_soon_threadsafe(looks.put_nowait, due)
            return due

        loop = asyncio.get_running_loop()
        server.leases.expire = told
        watch = Watch(leases=server.leases, signals=server.local.signals, clock=server.clock)
        task = asyncio.create_task(watch.run())
        yield looks
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def test_it_looks_when_something_is_claimed(self, server, watching):
        assert await watching.get() is None
        await server.start()
        await server.claim(ONE)
        assert await watching.get() == 1000.0 + LEASE_SECONDS + MARGIN

    async def test_a_start_gives_everybody_time(self, server, watching):
        """What ran out while nobody listened begins anew."""
        await watching.get()
        run = await server.start()
        await server.claim(ONE)
        await watching.get()
        server.now += 10 * LEASE_SECONDS
        watch = Watch(leases=server.leases, signals=server.local.signals, clock=server.clock)
        task = asyncio.create_task(watch.run())
        assert await watching.get() == server.now + LEASE_SECONDS + MARGIN
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert (await server.step(run)).state == "running"

    async def test_who_overslept_gives_everybody_time(self, server, watching):
        await watching.get()
        run = await server.start()
        await server.claim(ONE)
        due = await watching.get()
        server.now = due + LATE + 1  # the machine slept; something wakes the loop
        server.local.signals.notify("leases")
        assert await watching.get() == server.now + LEASE_SECONDS + MARGIN
        server.now += LEASE_SECONDS + MARGIN  # the control: in time
        server.local.signals.notify("leases")
        assert await watching.get() is None
        await server.claim(TWO)
        assert (await server.step(run)).attempts[-1].epoch == 2

    async def test_a_database_that_was_away_says_nothing_about_runners(self, server, watching):
        await watching.get()
        await server.start()
        await server.claim(ONE)
        await watching.get()
        told = server.leases.expire

        def away():
            server.leases.expire = told
            server.now += 10 * LEASE_SECONDS
            raise OSError("away")

        server.leases.expire = away
        server.local.signals.notify("leases")
        assert await watching.get() == server.now + LEASE_SECONDS + MARGIN
