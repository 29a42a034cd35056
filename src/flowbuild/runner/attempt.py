"""One attempt from its claim to its result: checkout, pull, create, run, commit, push; clean-up stays off this path."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from typing import Any, TypeVar

import structlog

from flowbuild.client.runner import Assignment, AttemptResult, Order
from flowbuild.core.errors import FlowError, SystemFailed, UserError
from flowbuild.core.ids import CommitId
from flowbuild.core.states import Outcome, Reason
from flowbuild.engine.base import Unit, Verdict
from flowbuild.runner.cached import recorded_result
from flowbuild.runner.ends import Ended, classify, ended_by, result_of
from flowbuild.runner.logship import LogShip
from flowbuild.runner.plan import Plan, make_plan
from flowbuild.runner.reports import Reports
from flowbuild.runner.tools import Tools
from flowbuild.workspace.repo import RunRepository
from flowbuild.workspace.slots import Committed, Slot

log = structlog.get_logger()
GRACE_SECONDS = 10.0  # between SIGTERM and SIGKILL
DRAIN_SECONDS = 60.0  # without any more output of containers that have ended
LOOK_SECONDS = 5.0  # for the end of containers that ran on while nobody looked
T = TypeVar("T")


class Attempt:
    """Works on one assignment. `run` is awaited once; `stop` may come at any time, also before.

    `free` is called when its containers have ended: others need not wait until the result is stored and handed in. When
    they only serve other steps from now on it is called, too, and `rest`: those steps would wait for ever for a place that
    services have until the run is over.
    """

    def __init__(
        self, assignment: Assignment, tools: Tools, free: Callable[[], None], rest: Callable[[], None]
    ) -> None:
        self.assignment = assignment
        self.free = free
        self.rest = rest
        self._tools = tools
        self._lease = assignment.lease
        self._claimed = time.monotonic()
        self._phases: dict[str, float] = {}
        self._stopping = asyncio.Event()
        self._force = asyncio.Event()
        self._lost = ""  # why it is given up
        self._slot: Slot | None = None
        self._unit: Unit | None = None
        self._reports = Reports(assignment, tools)
        self._log = LogShip(tools.client, assignment.lease, assignment.secrets, lambda: self.stop(force=True))
        if assignment.stop:
            self.stop(force=assignment.stop == "force")

    @property
    def stopping(self) -> Order:
        """Return the order to stop that it obeys: one of client.runner.STOPS."""
        return "force" if self._force.is_set() else "graceful" if self._stopping.is_set() else ""

    def stop(self, *, force: bool) -> None:
        """End the attempt: gracefully, or at once."""
        self._stopping.set()
        if force:
            self._force.set()

    def give_up(self, message: str) -> None:
        """End the attempt, which nobody asked for: the machine goes away. It counts as lost, not as cancelled."""
        self._lost = message
        self.stop(force=False)

    async def repeat(self) -> None:
        """Tell the server again how far this is: it may have come back from a backup that was made before it was told."""
        await self._reports.repeat()

    async def run(self) -> None:
        """Do the work and hand in the result. Cancelling this leaves the containers for the next life of the runner."""
        spool, lease = self._tools.spool, self._lease
        result = await asyncio.to_thread(spool.get, lease) if spool.holds(lease) else None
        if result is None:
            result = await self._result()
            await asyncio.to_thread(self._keep, result)
            if self._unit is not None:
                self._tools.clean(self._tools.engine.remove(self._unit))
        try:
            await self._reports.finish(result)
        except UserError:  # the lease is lost: nobody waits for the result any more
            await asyncio.to_thread(spool.drop, lease)
            raise
        await asyncio.to_thread(spool.drop, lease)

    def _keep(self, result: AttemptResult) -> None:
        """Make the result survive us; only then may the next step have the directory."""
        try:
            self._tools.spool.put(self._lease, result)
        except OSError as error:  # a full disk: the result is as good as long as we live
            log.error("spool_failed", run=self._lease.run, step=self._lease.step, error=str(error))
        if self._slot is not None:
            self._tools.slots.release(self._slot)

    async def _result(self) -> AttemptResult:
        result = await self._worked()
        services = {name: replace(each, error=self._log.told(each.error)) for name, each in result.services.items()}
        return replace(result, message=self._log.told(result.message), services=services, phases=self._phases)

    async def _worked(self) -> AttemptResult:
        try:
            return await self._work()
        except Exception as error:  # noqa: BLE001 (whatever happens in one attempt, the others go on)
            outcome, reason, message = classify(error)
            with suppress(FlowError, OSError):  # it may be the log that does not work
                await self._log.note(message)
            return AttemptResult(outcome, reason, message)

    async def _work(self) -> AttemptResult:
        since = await self._log.open()
        adopted = self.assignment.state == "launched"
        if self._stopping.is_set() and not adopted:
            return self._given_up()
        if self.assignment.problem and not adopted:
            raise SystemFailed(self.assignment.problem)
        plan = make_plan(self.assignment, self._tools.places)
        with self._phase("fetch"):
            repository = await self._tools.repositories.fetch(self.assignment)
            plan = plan.borrowing(await self._tools.repositories.history(self.assignment))
        for note in plan.notes:
            await self._log.note(note)
        async with self._beside(self._images(plan, adopted=adopted)) as images:
            if not adopted and (found := await self._recorded(plan, repository, images)) is not None:
                return found
            with self._phase("checkout"):
                await self._tell("checkout")
                slot = self._slot = await asyncio.to_thread(self._acquire, repository, plan, adopted=adopted)
            work = self._make_unit(plan, images, adopted=adopted)
            unit = await (work if adopted else self._unless_stopped(work))
        if unit is None and not adopted:
            return self._given_up()
        if unit is None:
            return AttemptResult(Outcome.ERRORED, Reason.INFRA_LOST, "the containers of the attempt are gone")
        self._unit = unit
        return await self._run_unit(unit, repository, slot, since)

    def _acquire(self, repository: RunRepository, plan: Plan, *, adopted: bool) -> Slot:
        slots, run, trusted = self._tools.slots, self._lease.run, self.assignment.trusted
        make = slots.adopt if adopted else slots.acquire
        return make(repository, run, CommitId(self.assignment.input_commit), plan.directory, trusted=trusted)

    async def _images(self, plan: Plan, *, adopted: bool) -> Mapping[str, str]:
        """Make the network of the run and the images ready; containers that exist already have theirs."""
        engine = self._tools.engine
        known = None if adopted else self._tools.prepared.images(plan.project)
        if known is not None:
            return known  # and the step during which it was prepared has the network
        await (engine.anchor if plan.across else engine.network)(plan.network, plan.run_labels)
        return {} if adopted else await engine.images(plan.images, self._progress)

    async def _recorded(
        self, plan: Plan, repository: RunRepository, images: Awaitable[Mapping[str, str]]
    ) -> AttemptResult | None:
        """Return what stands for running the step, if its result may be taken from the step cache."""
        if self.assignment.step.cache is None:
            return None
        with self._phase("cache"):
            await self._tell("cache")
            return await self._unless_stopped(
                recorded_result(plan, repository, images, self._tools.client, self._log.note)
            )

    @asynccontextmanager
    async def _beside(self, work: Coroutine[Any, Any, T]) -> AsyncIterator[asyncio.Task[T]]:
        """Do work at the same time as the body, which awaits it when it needs the result."""
        task = asyncio.create_task(work)
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _unless_stopped(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Do work that nobody needs once the attempt is told to stop; None then."""
        working, stopping = asyncio.create_task(work), asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return None if self._stopping.is_set() else working.result()
        finally:
            for task in (working, stopping):
                task.cancel()
            await asyncio.gather(working, stopping, return_exceptions=True)

    async def _make_unit(self, plan: Plan, images: Awaitable[Mapping[str, str]], *, adopted: bool) -> Unit | None:
        engine = self._tools.engine
        with self._phase("pull"):
            await self._tell("pull")
            plan = replace(plan, digests=await images)
        if adopted:
            return await engine.adopt(await asyncio.to_thread(plan.spec))
        with self._phase("create"):
            await self._tell("create")
            spec = await asyncio.to_thread(plan.spec)
            self._unit = Unit(spec, {}, {})  # from here on there may be something to remove
            unit = await self._tools.prepared.take(spec)
            return unit or await engine.create(spec, self._progress)

    async def _run_unit(
        self, unit: Unit, repository: RunRepository, slot: Slot, since: Mapping[str, int]
    ) -> AttemptResult:
        engine = self._tools.engine
        logs = asyncio.create_task(self._keep_output(unit, since))
        try:
            with self._phase("run"):
                await self._tell("run")
                compose = self._log.masked(unit.spec.compose)
                await self._reports.launched(compose, known=unit.started)
                self._tools.prepare(self.assignment.upcoming)
                ended, committed = await self._until_over(unit, repository, slot)
                if not ended.over:
                    await engine.stop(unit, grace=GRACE_SECONDS, force=self._force.is_set())
            self.free()
            await self._log.drain(logs, DRAIN_SECONDS)
        except TimeoutError:
            await self._log.note("the last output of the containers did not arrive; the log is incomplete")
        finally:
            logs.cancel()
            await asyncio.gather(logs, return_exceptions=True)
        return result_of(ended, committed or await self._commit(repository, slot, ended), unit)

    async def _keep_output(self, unit: Unit, since: Mapping[str, int]) -> None:
        """Ship the output, unless it may hold secrets that cannot be masked: the program that knew their values died."""
        known = {*self.assignment.secrets, *self.assignment.withheld}
        unknown = [name for name in self.assignment.step.secrets if name not in known]
        if unknown:
            names = ", ".join(unknown)
            await self._log.note(
                f"the rest of the output is not kept: the secret(s) {names} in it cannot be masked any more"
            )
            return
        await self._log.follow(self._tools.engine.logs(unit, since))

    async def _until_over(self, unit: Unit, repository: RunRepository, slot: Slot) -> tuple[Ended, Committed | None]:
        """Run until nothing of the unit matters any more; what was committed on the way, if anything."""
        background = self.assignment.step.background
        if background and unit.started and await asyncio.to_thread(self._was_healthy, repository):
            return await self._serve(unit, repository, slot)
        ended = await self._until_ended(unit, background=background)
        return await self._serve(unit, repository, slot) if ended is None else (ended, None)

    def _was_healthy(self, repository: RunRepository) -> bool:
        """Whether an earlier life of this runner found the background step healthy: it has committed that."""
        commit = repository.attempt_result(self._lease.step, self._lease.attempt, self._lease.epoch)
        return commit is not None and repository.commit(commit).trailers.get("Flow-Outcome") == Outcome.SUCCEEDED

    async def _until_ended(self, unit: Unit, *, background: bool) -> Ended | None:
        """Run until the main services ended; None when a background step is up and healthy."""
        verdict = await self._bounded(
            unit, lambda: self._start_and_wait(unit, background=background), self._time_left(unit)
        )
        return verdict if isinstance(verdict, Ended) or verdict is None else ended_by(verdict)

    def _time_left(self, unit: Unit) -> float | None:
        """Return the seconds that the step has: what an earlier life of the runner left of them, and time to look at that."""
        timeout, ago = self.assignment.step.timeout, self.assignment.launched_ago
        if timeout is None or ago is None or not unit.started:
            return timeout
        return max(timeout - ago - (time.monotonic() - self._claimed), LOOK_SECONDS)

    async def _start_and_wait(self, unit: Unit, *, background: bool) -> Verdict | None:
        engine = self._tools.engine
        if not unit.started:
            verdict = await engine.start(unit)
            if verdict is not None:
                return verdict
        return await (engine.wait_healthy(unit) if background else engine.wait(unit))

    async def _serve(self, unit: Unit, repository: RunRepository, slot: Slot) -> tuple[Ended, Committed]:
        """A background step is up: report it, then keep it until it is told to stop or ends by itself.

        Its result is the workspace at the time it became healthy; what it writes later belongs to no step.
        """
        healthy = Ended(Outcome.SUCCEEDED)
        committed = await self._commit(repository, slot, healthy)
        result = replace(result_of(healthy, committed, unit), phases=self._phases)

        await self._reports.healthy(result)
        self.free()
        self.rest()
        await self._tell("serving")
        ended = await self._bounded(unit, lambda: self._tools.engine.wait(unit), None)
        if isinstance(ended, Verdict):
            return ended_by(ended), committed
        return self._told_to_end() if self._lost else healthy, committed  # told to stop: the run is over

    async def _bounded(
        self, unit: Unit, work: Callable[[], Coroutine[Any, Any, Verdict | None]], seconds: float | None
    ) -> Verdict | Ended | None:
        """Do work on a unit; stop the unit when the time is over or the attempt is told to stop (before: start nothing)."""
        if self._stopping.is_set():
            await self._stop_unit(unit)
            return self._told_to_end()
        working = asyncio.create_task(work())
        stopping = asyncio.create_task(self._stopping.wait())
        done, _ = await asyncio.wait({working, stopping}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        try:
            if working in done:
                return working.result()
            await self._stop_unit(unit)
            if stopping in done:
                return self._told_to_end()
            return Ended(
                Outcome.FAILED,
                Reason.TIMEOUT,
                f"the step took longer than its timeout of {self.assignment.step.timeout:g} s",
            )
        finally:
            for task in (working, stopping):
                task.cancel()
            await asyncio.gather(working, stopping, return_exceptions=True)

    def _told_to_end(self) -> Ended:
        return Ended(Outcome.ERRORED, Reason.INFRA_LOST, self._lost) if self._lost else Ended(Outcome.CANCELLED)

    def _given_up(self) -> AttemptResult:
        ended = self._told_to_end()
        return AttemptResult(ended.outcome, ended.reason, ended.message)

    async def _stop_unit(self, unit: Unit) -> None:
        """Stop gracefully; a second order (force) while this waits kills at once."""
        engine = self._tools.engine
        await self._tell("stopping")
        gentle = asyncio.create_task(engine.stop(unit, grace=GRACE_SECONDS, force=self._force.is_set()))
        forced = asyncio.create_task(self._force.wait())
        await asyncio.wait({gentle, forced}, return_when=asyncio.FIRST_COMPLETED)
        forced.cancel()
        if not gentle.done():
            gentle.cancel()
            await asyncio.gather(gentle, return_exceptions=True)
            await engine.stop(unit, grace=0, force=True)
            return
        await gentle

    async def _commit(self, repository: RunRepository, slot: Slot, ended: Ended) -> Committed:
        lease = self._lease
        key = (lease.step, lease.attempt, lease.epoch)
        with self._phase("commit"):
            await self._tell("commit")
            before = await asyncio.to_thread(repository.attempt_result, *key)
            if before is not None:  # an earlier life of this runner got as far as this
                committed = Committed(before, repository.variables(before), (), {}, 0, 0)
            else:
                committed = await self._tools.rights.commit(
                    slot, repository, message=f"{lease.step}: {ended.outcome}", trailers=self._trailers(ended)
                )
        with self._phase("push"):
            await self._tools.repositories.push(self.assignment, repository, committed.commit)
        for path in committed.dropped:
            await self._log.note(f"not carried to the next step: {path}")
        return committed

    def _trailers(self, ended: Ended) -> dict[str, str]:
        return {
            **self.assignment.trailers,
            "Flow-Outcome": str(ended.outcome),
            "Flow-Exit-Code": "" if ended.exit_code is None else str(ended.exit_code),
            "Flow-Finished": f"{time.time():.3f}",
            "Flow-Node": self._tools.node,
        }

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self._phases[name] = self._phases.get(name, 0.0) + time.monotonic() - began

    async def _tell(self, phase: str) -> None:
        await self._tools.client.phase(self._lease, phase)

    def _progress(self, line: str) -> None:
        self._tools.clean(self._log.note(line))
