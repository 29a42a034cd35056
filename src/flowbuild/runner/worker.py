"""The runner: claims attempts while it has free slots, keeps their leases, obeys orders to stop, re-adopts after a restart.

Start/stop contract: `run` is awaited once; cancelling it stops claiming and leaves containers as they are, so that the
next life of the runner finds them; `close` comes last, when nothing runs any more.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import replace

import structlog

from flowbuild.client.runner import Assignment, Beat, Lease, RunnerClient
from flowbuild.core.errors import Conflict, FlowError
from flowbuild.engine.base import Engine
from flowbuild.runner.attempt import Attempt
from flowbuild.runner.plan import make_plan
from flowbuild.runner.prepared import Prepared
from flowbuild.runner.rights import Rights
from flowbuild.runner.spool import Spool
from flowbuild.runner.tools import Cleaner, Once, Repositories, RunnerPlaces, Tools
from flowbuild.workspace.slots import Slots

log = structlog.get_logger()

CLAIM_WAIT = 30.0  # seconds of one long poll
BEAT_WAIT = 10.0  # seconds between heartbeats when there are no orders
RETRY_SECONDS = 1.0


class Worker:
    """A runner named `name` whose containers belong to at most `capacity` attempts at once."""

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
    ) -> None:
        self._name = name
        self._client = client
        self._engine = engine
        self._places = places
        self._clean = Cleaner(_report)
        self._prepared = Prepared(engine, self._clean)
        self._slots = slots
        self._spool = spool
        self._repositories = Repositories()
        self._running: dict[Lease, Attempt] = {}
        self._early: dict[Lease, bool] = {}  # orders to stop what has not arrived yet: whether to force
        self._gone: set[str] = set()  # runs of which nothing may be made any more
        self._free = asyncio.Semaphore(capacity)  # for attempts until their containers have ended
        self._room = asyncio.Semaphore(2 * capacity)  # for attempts until their results are handed in, too
        self._rights = Rights(engine, slots, places.instance)
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
            node=name,
        )

    async def run(self) -> None:
        """Work until cancelled."""
        self._clean(self._rights.tidy())
        async with asyncio.TaskGroup() as group:
            group.create_task(self._obey())
            while True:
                await self._room.acquire()
                await self._free.acquire()
                self._begin(group, await self._claim())

    async def close(self) -> None:
        """Remove what was prepared in vain and wait for all clean-up; nothing may run any more."""
        await self._clean.drain()
        await self._prepared.drop_all()
        await self._clean.drain()

    async def _claim(self) -> Assignment:
        while True:
            try:
                found = await self._client.claim(self._name, request_key=uuid.uuid4().hex, wait=CLAIM_WAIT)
            except FlowError as error:
                log.error("claim_failed", error=error.message)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if found is not None:
                return found

    def _begin(self, group: asyncio.TaskGroup, assignment: Assignment) -> None:
        attempt = Attempt(assignment, self._tools, Once(self._free.release))
        self._running[assignment.lease] = attempt
        if assignment.lease in self._early:
            attempt.stop(force=self._early.pop(assignment.lease))
        group.create_task(self._work(attempt))

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
            attempt.free()
            self._room.release()

    async def _obey(self) -> None:
        while True:
            try:
                beat = await self._client.heartbeat(self._name, wait=BEAT_WAIT)
            except FlowError as error:
                log.error("heartbeat_failed", error=error.message)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            await self._follow(beat)

    async def _follow(self, beat: Beat) -> None:
        for order in beat.stops:
            attempt = self._running.get(order.lease)
            if attempt is not None:
                attempt.stop(force=order.force)
            else:  # its assignment is on its way to us
                self._early[order.lease] = order.force
        for run in beat.ended_runs:
            self._clean(self._forget(run))

    async def _forget(self, run: str) -> None:
        """Free all that a run has here: prepared units, network, directories."""
        self._gone.add(run)
        try:
            await self._prepared.drop_run(run)
            sweeping = self._engine.sweep(
                self._places.instance, run=run
            )  # takes a while: engines are slow with networks
            dropping = asyncio.to_thread(self._drop_files, run)
            results = await asyncio.gather(sweeping, dropping, return_exceptions=True)
        finally:
            self._clean(self._rights.tidy())
            self._repositories.forget(run)
            await self._client.forgotten(self._name, run)
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
            spec = await asyncio.to_thread(replace(plan, digests=images).predict)
            if run in self._gone:  # it ended meanwhile, and took its directories along
                await asyncio.to_thread(self._slots.drop_run, run)
            else:
                self._prepared.begin(spec, images)
        except FlowError as error:
            log.info("prepare_failed", step=assignment.lease.step, error=error.message)


def _report(error: BaseException) -> None:
    log.error("clean_up_failed", error=str(error))
