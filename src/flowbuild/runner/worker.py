"""The runner: claims attempts while it has free slots, keeps their leases, obeys orders to stop, re-adopts after a restart.

Start/stop contract: `run` is awaited once and returns when the runner was drained; cancelling it stops claiming and leaves
containers as they are, so that the next life of the runner finds them; `close` comes last, when nothing runs any more.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import structlog

from flowbuild.client.runner import EXCLUSIVE_SECONDS, Assignment, Beat, Held, Lease, MachineLoad, Report, RunnerClient
from flowbuild.core.errors import Conflict, FlowError, Unauthenticated
from flowbuild.core.ids import runner_name
from flowbuild.engine.base import Engine
from flowbuild.runner.attempt import Attempt
from flowbuild.runner.patience import Patience, PatientClient
from flowbuild.runner.plan import make_plan
from flowbuild.runner.prepared import Prepared
from flowbuild.runner.rights import Rights
from flowbuild.runner.spool import Spool
from flowbuild.runner.tools import Cleaner, NearRepositories, Once, Repositories, RunnerPlaces, Tools
from flowbuild.workspace.slots import Slots

log = structlog.get_logger()

CLAIM_WAIT = 30.0  # seconds of one long poll
BEAT_WAIT = 10.0  # seconds between heartbeats when there are no orders
RETRY_SECONDS = 1.0
ENGINE_WAIT = 10.0  # seconds between two words about an engine that does not answer
ASK_WAIT = 2.0  # for the server to hear of it when the cluster drains this machine
ASK_SECONDS = 10.0  # for the answer: until this life ends the next one cannot begin
STOP_SECONDS = 60.0  # before a lease on something exclusive is over, what was started under it must be gone


class Worker:
    """A runner named `name` (NAME/LIFE) whose containers belong to at most `capacity` attempts at once, besides those that serve.

    `repositories`: None when the server is on the same machine. `patience`: seconds for which a database that is away and a full
    disk are waited for. `picky`: it takes nothing while its engine does not answer. `alive` is called at least once in a minute as long as everything goes on here, whatever the server does; `load` tells
    how loaded the machine is.
    """

    def __init__(
        self,
        *,
        name: str,
        client: RunnerClient,
        engine: Engine,
        places: RunnerPlaces,
        spool: Spool,
        slots: Slots,
        capacity: int,
        repositories: Repositories | None = None,
        patience: float = 0.0,
        picky: bool = False,
        alive: Callable[[], None] = lambda: None,
        load: Callable[[], MachineLoad | None] = lambda: None,
    ) -> None:
        self._name = name
        self._alive = alive
        self._picky = picky
        self._load = load
        waiting = Patience(patience)
        self._client = client = PatientClient(client, waiting) if repositories is None else client
        self._engine = engine
        self._places = places
        self._clean = Cleaner(_report)
        self._prepared = Prepared(engine, self._clean)
        self._slots = slots
        self._spool = spool
        self._repositories = repositories or NearRepositories(waiting)
        self._running: dict[Lease, Attempt] = {}
        self._working: dict[Lease, asyncio.Task[None]] = {}
        self._early: dict[Lease, bool] = {}  # orders to stop what has not arrived yet: whether to force
        self._gone: set[str] = set()  # runs of which nothing may be made any more
        self._forgetting: set[str] = set()  # those of them whose directories and networks are being removed
        self.refused: Unauthenticated | None = None  # why it left, when the server did not want it any more
        self._draining = False
        self._drained = asyncio.Event()
        self._heard = _boot_time()  # when a heartbeat was sent that was answered
        self._free = asyncio.Semaphore(capacity)  # for attempts until their containers have ended
        self._room = asyncio.Semaphore(2 * capacity)  # for attempts until their results are handed in, too
        self._rights = Rights(engine, slots, places.instance, waiting)
        self._tools = Tools(
            client=client,
            engine=engine,
            slots=slots,
            rights=self._rights,
            spool=spool,
            repositories=self._repositories,
            prepared=self._prepared,
            places=places,
            clean=self._clean,
            prepare=self._prepare,
            node=runner_name(name),
        )

    async def run(self) -> None:
        """Work until the server wants no more of it and all is done, or until cancelled."""
        self._clean(self._rights.tidy())
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._obey()), group.create_task(self._claim_all(group))]
            await self._drained.wait()
            for task in tasks:
                task.cancel()

    async def is_to_finish(self) -> bool:
        """Ask, when this program is told to end, whether its machine is being drained: what it has is to be finished first."""
        held = {lease: Held(lease, attempt.stopping) for lease, attempt in self._running.items()}
        report = Report(tuple(held.values()), tuple(self._forgetting))
        try:
            async with asyncio.timeout(ASK_SECONDS):
                beat = await self._client.heartbeat(self._name, report, wait=ASK_WAIT)
        except (FlowError, TimeoutError) as error:
            log.warning("heartbeat_failed", error=str(error) or f"no answer in {ASK_SECONDS:.0f} s")
            return False
        self._follow(beat, held)
        return beat.draining

    def give_up(self, message: str) -> None:
        """End all that it works on; it counts as lost."""
        for attempt in self._running.values():
            attempt.give_up(message)

    @property
    def drained(self) -> bool:
        """Whether the server wants no more of this runner, and all is done."""
        return self._drained.is_set()

    async def close(self) -> None:
        """Remove what was prepared in vain and wait for all clean-up; nothing may run any more."""
        await self._clean.drain()
        await self._prepared.drop_all()
        await self._clean.drain()

    async def _claim_all(self, group: asyncio.TaskGroup) -> None:
        while True:
            await self._room.acquire()
            await self._free.acquire()
            self._begin(group, await self._claim())

    async def _claim(self) -> Assignment:
        while True:
            if self._picky:
                await self._until_engine_answers()
            key, found = uuid.uuid4().hex, None
            while True:  # with the same key: an answer may have been lost
                try:
                    found = await self._client.claim(self._name, request_key=key, wait=CLAIM_WAIT)
                    break
                except FlowError as error:
                    log.error("claim_failed", error=error.message)
                    await asyncio.sleep(RETRY_SECONDS)
            if found is not None:
                return found

    async def _until_engine_answers(self) -> None:
        """What is taken without an engine is lost at once; a machine would lose everything that waits, as fast as it can ask."""
        while not await self._engine.returned(ENGINE_WAIT):
            log.error("engine_away")

    def _begin(self, group: asyncio.TaskGroup, assignment: Assignment) -> None:
        known = self._running.get(assignment.lease)
        if known is not None:  # the server comes from a backup, and does not know that this life has it already
            if assignment.stop:
                known.stop(force=assignment.stop == "force")
            self._free.release()
            self._room.release()
            return
        attempt = Attempt(assignment, self._tools, Once(self._free.release), Once(self._room.release))
        self._running[assignment.lease] = attempt
        if assignment.lease in self._early:
            attempt.stop(force=self._early.pop(assignment.lease))
        self._working[assignment.lease] = group.create_task(self._work(attempt))

    async def _work(self, attempt: Attempt) -> None:
        lease = attempt.assignment.lease
        try:
            await attempt.run()
        except Conflict:
            log.warning("lease_lost", run=lease.run, step=lease.step, attempt=lease.attempt)
        except FlowError as error:
            log.error("attempt_failed", run=lease.run, step=lease.step, error=error.message)
        finally:
            self._running.pop(lease, None)
            self._working.pop(lease, None)
            self._repositories.release(lease)
            attempt.free()
            attempt.rest()
            self._look_whether_drained()

    async def _obey(self) -> None:
        away = False  # a server that was away may know less than before
        while True:
            self._alive()
            sent = _boot_time()
            held = {lease: Held(lease, attempt.stopping) for lease, attempt in self._running.items()}
            report = Report(tuple(held.values()), tuple(self._forgetting), self._load())
            try:
                beat = await self._client.heartbeat(self._name, report, wait=BEAT_WAIT)
            except Unauthenticated as error:
                self._leave(error)
                await asyncio.sleep(RETRY_SECONDS)
            except FlowError as error:
                log.error("heartbeat_failed", error=error.message)
                away = True
                self._let_go()
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self._heard = sent
                self._follow(beat, held)
                if away:
                    self._repeat()
                away = False

    def _repeat(self) -> None:
        for attempt in self._running.values():
            self._clean(attempt.repeat())

    def _leave(self, error: Unauthenticated) -> None:
        """End everything: the server does not know us any more, so nobody answers for what runs here."""
        log.error("not_known", error=error.message)
        self.refused, self._draining = error, True
        for attempt in self._running.values():
            attempt.stop(force=True)
        self._look_whether_drained()

    def _let_go(self) -> None:
        """Stop what is exclusive before others may take it over: nobody has heard of us for so long."""
        if _boot_time() - self._heard > EXCLUSIVE_SECONDS - STOP_SECONDS:
            for attempt in self._running.values():
                if attempt.assignment.step.environment is not None:
                    attempt.stop(force=True)

    def _follow(self, beat: Beat, held: Collection[Lease]) -> None:
        for order in beat.stops:
            attempt = self._running.get(order.lease)
            if attempt is not None:
                attempt.stop(force=order.force)
            elif order.lease not in held:  # its assignment is on its way to us; others have ended meanwhile
                self._early[order.lease] = order.force
        for run in beat.ended_runs:
            if run not in self._forgetting:
                self._forgetting.add(run)
                self._clean(self._forget(run))
        self._draining = beat.draining
        self._look_whether_drained()

    def _look_whether_drained(self) -> None:
        if self._draining and not self._running:
            self._drained.set()

    async def _forget(self, run: str) -> None:
        """Free all that a run has here: prepared units, network, directories. Until that is heard we are told again.

        What lost its lease may still be ending, and writes down what it left: it comes first.
        """
        self._gone.add(run)
        try:
            if ending := [task for lease, task in self._working.items() if lease.run == run]:
                await asyncio.wait(ending)
            await self._prepared.drop_run(run)
            sweeping = self._engine.sweep(
                self._places.instance, run=run
            )  # takes a while: engines are slow with networks
            dropping = asyncio.to_thread(self._drop_files, run)
            results = await asyncio.gather(sweeping, dropping, return_exceptions=True)
        finally:
            self._clean(self._rights.tidy())
            await self._repositories.forget(run)
            try:
                await self._client.forgotten(self._name, run)
            except FlowError:
                await asyncio.sleep(RETRY_SECONDS)
                raise
            finally:
                self._forgetting.discard(run)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    def _drop_files(self, run: str) -> None:
        self._slots.drop_run(run)
        self._spool.drop_run(run)

    def _prepare(self, upcoming: Sequence[Assignment]) -> None:
        for assignment in upcoming:
            self._clean(self._prepare_one(assignment))

    async def _prepare_one(self, assignment: Assignment) -> None:
        """Do what a coming attempt will need: its images, and its containers when its file depends on nothing unknown."""
        try:
            plan = make_plan(assignment, self._places)
            images = await self._engine.images(plan.images, lambda _line: None)
            run = assignment.lease.run
            if not plan.predictable or run in self._gone:
                return
            plan = replace(plan.borrowing(await self._repositories.history(assignment)), digests=images)
            spec = await asyncio.to_thread(plan.predict)
            if run in self._gone:  # it ended meanwhile, and took its directories along
                await asyncio.to_thread(self._slots.drop_run, run)
                await self._repositories.forget(run)
            else:
                self._prepared.begin(spec, images)
        except FlowError as error:
            log.info("prepare_failed", step=assignment.lease.step, error=error.message)


def _boot_time() -> float:
    """Return seconds that also pass while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _report(error: BaseException) -> None:
    log.error("clean_up_failed", error=str(error))
