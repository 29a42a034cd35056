"""The calls of clients (`client.base.FlowClient`), in process."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from flowbuild.client.base import LogChunk, RunUpdate, RunView, StartRequest, StepDiff
from flowbuild.core.errors import NotFound
from flowbuild.core.ids import RunId
from flowbuild.core.states import StepState
from flowbuild.services.audit import Actor
from flowbuild.services.decisions import Clock, log_topic, phase_topic, run_topic
from flowbuild.services.looking import LogLook, Looking
from flowbuild.services.phases import Began, now_in
from flowbuild.services.removal import Removal
from flowbuild.services.runners import RunnerService
from flowbuild.services.runs import RunService
from flowbuild.services.signals import Signals
from flowbuild.services.views import with_phases
from flowbuild.store.runs import EventRow
from flowbuild.workspace.git import clone

# What another process does is not notified here, unless both are servers over one database: look this often, in seconds.
FOREIGN_INTERVAL = 0.5


_Passing = dict[tuple[str, str], dict[str, Any]]


def _passing(view: RunView, phases: Mapping[str, Began]) -> _Passing:
    """Return what is so at the moment and not stored, by type and step: phases, and who holds what is waited for."""
    found: _Passing = {}
    for step in view.steps:
        if step.key in phases and step.state is not StepState.DONE:  # a phase is forgotten only after its end is stored
            found["attempt_phase", step.key] = {"phase": now_in(phases[step.key])}
        if step.holder is not None:
            found["lock_waiting", step.key] = {"holder": dataclasses.asdict(step.holder)}
    return found


T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class LogPlace:
    """A place in a log: `attempt` None is the latest, `offset` counts bytes, without `service` it is the output of all."""

    run: RunId
    step: str
    attempt: int | None = None
    offset: int = 0
    service: str = ""


# Looks at a log from a place on and returns what it has there, and that in some form. The number changes with the log.
Look = Callable[[LogPlace, int], Awaitable[tuple[LogLook, T]]]


class LocalClient:
    """A client of the services of this process, acting as `actor` in the project `project`."""

    def __init__(
        self,
        *,
        runs: RunService,
        looking: Looking,
        runners: RunnerService,
        removal: Removal,
        signals: Signals,
        dead_owners: Callable[[], Sequence[str]],
        wake: Callable[[RunId], None],
        hears: Callable[[RunId], bool],
        project: str | None,
        actor: Actor,
        clock: Clock,
    ) -> None:
        self._runs = runs
        self._looking = looking
        self._runners = runners
        self._removal = removal
        self._signals = signals
        self._dead_owners = dead_owners
        self._wake = wake
        self._hears = hears
        self._project = project
        self._actor = actor
        self._clock = clock

    async def start(self, request: StartRequest) -> RunView:
        """See FlowClient."""
        return await self._view(await asyncio.to_thread(self._runs.start, request, by=self._actor))

    async def find(self, project: str, run: str) -> RunView:
        """Return a run of a project by number, id, beginning of an id, or `last`.

        Raises NotFound, in the same words for that of another project as for one that does not exist.
        """
        return await self._view(await asyncio.to_thread(self._looking.find, project, run, within=True))

    async def get(self, run: str) -> RunView:
        """See FlowClient."""
        return await self._view(await self._find(run))

    async def runs(self, *, everything: bool = False, limit: int = 20) -> Sequence[RunView]:
        """See FlowClient."""
        return await asyncio.to_thread(self._looking.newest, None if everything else self._project, limit)

    async def watch(self, run: str, after: int = 0) -> AsyncIterator[RunUpdate]:
        """See FlowClient. Updates of the types `attempt_phase`, `lock_waiting` and `run_interrupted` are not stored."""
        run_id = await self._find(run)
        interval, view = await self._interval(run_id), await self._view(run_id)
        told, looked = _Passing(), -1  # `looked`: token of the run's topic at the last look into the database
        while True:
            token, stored = self._signals.token(phase_topic(run_id)), self._signals.token(run_topic(run_id))
            phases = dict(self._runners.phases(run_id))
            events: Sequence[EventRow] = ()
            if stored == looked:  # only phases changed, and those are not stored
                view = with_phases(view, phases)
            else:
                events, view = await asyncio.to_thread(self._looking.since, run_id, after, phases)
            looked = stored
            for row in events:
                after = row.seq
                yield RunUpdate(row.seq, row.at, dataclasses.asdict(row.event), view)
            now = _passing(view, phases)
            for (kind, step), fact in now.items():
                if told.get((kind, step)) != fact:
                    yield RunUpdate(after, self._clock(), {"type": kind, "step": step, **fact}, view)
            told = now
            if view.interrupted:
                yield RunUpdate(after, self._clock(), {"type": "run_interrupted"}, view)
            if view.state.final or view.interrupted:
                return
            if not await self._signals.wait(phase_topic(run_id), token, interval):
                looked = -1

    async def logs(
        self,
        run: str,
        step: str,
        *,
        attempt: int | None = None,
        offset: int = 0,
        service: str = "",
        follow: bool = False,
    ) -> AsyncIterator[LogChunk]:
        """See FlowClient."""
        place = LogPlace(await self._find(run), step, attempt, offset, service)
        async for chunks in self.log_parts(place, self._look, follow=follow):
            for chunk in chunks:
                yield chunk

    async def log_parts(self, place: LogPlace, look: Look[T], *, follow: bool) -> AsyncIterator[T]:
        """Yield what `look` makes of the parts of a log; it is called again whenever there may be more."""
        interval, topic = await self._interval(place.run), log_topic(place.run, place.step)
        while True:
            token = self._signals.token(topic)
            found, part = await look(place, token)
            if found.offset > place.offset:
                yield part
                # From here on this attempt, also when the step is tried again.
                place = dataclasses.replace(place, attempt=found.attempt, offset=found.offset)
            else:
                if found.ended or found.interrupted or not follow:
                    return
                await self._signals.wait(topic, token, interval)

    async def cancel(self, run: str, *, force: bool = False) -> None:
        """See FlowClient."""
        await self._steer(run, lambda found: self._runs.cancel(found, by=self._actor, force=force))

    async def approve(self, run: str, step: str, *, comment: str = "") -> None:
        """See FlowClient."""
        await self._steer(run, lambda found: self._runs.approve(found, step, by=self._actor, comment=comment))

    async def reject(self, run: str, step: str, *, comment: str = "") -> None:
        """See FlowClient."""
        await self._steer(run, lambda found: self._runs.reject(found, step, by=self._actor, comment=comment))

    async def delete(self, run: str) -> None:
        """See FlowClient."""
        await asyncio.to_thread(self._removal.delete, self._actor, await self._find(run))

    async def rerun(
        self,
        run: str,
        *,
        from_steps: Sequence[str] = (),
        variables: Mapping[str, str],
        secrets: Mapping[str, str],
        failed: bool = False,
        fresh: bool = False,
    ) -> RunView:
        """See FlowClient."""
        old = await self._find(run)
        rerun = functools.partial(self._runs.rerun, by=self._actor, failed=failed, fresh=fresh)
        new = await asyncio.to_thread(rerun, old, from_steps, variables, secrets)
        return await self._view(new)

    async def resume(self, run: str, *, secrets: Mapping[str, str]) -> RunView:
        """See FlowClient. An empty name means the newest interrupted run of the project."""
        dead = await asyncio.to_thread(self._dead_owners)
        found = (
            await self._find(run) if run else await asyncio.to_thread(self._looking.interrupted, self._project, dead)
        )
        if found is None:
            raise NotFound("no run was interrupted here", hint="flow runs lists the runs")
        await asyncio.to_thread(self._runs.resume, found, secrets, dead)
        return await self._view(found)

    async def diff(self, run: str, step: str, other: str | None = None, *, patch: bool = False) -> StepDiff:
        """See FlowClient."""
        return await asyncio.to_thread(self._looking.diff, await self._find(run), step, other, patch=patch)

    async def clone(self, run: str, directory: str) -> RunView:
        """See FlowClient."""
        view = await self._view(await self._find(run))
        await asyncio.to_thread(clone, Path(view.repository), Path(directory))
        return view

    async def _interval(self, run: RunId) -> float | None:
        """Return how often to look at a run unasked: never at one of which we hear."""
        return None if await asyncio.to_thread(self._hears, run) else FOREIGN_INTERVAL

    async def _look(self, place: LogPlace, _token: int) -> tuple[LogLook, Sequence[LogChunk]]:
        found = await asyncio.to_thread(self._looking.log, *dataclasses.astuple(place))
        return found, found.chunks

    async def _find(self, run: str) -> RunId:
        return await asyncio.to_thread(self._looking.find, self._project, run)

    async def _view(self, run: RunId) -> RunView:
        return await asyncio.to_thread(self._looking.run, run, self._runners.phases(run))

    async def _steer(self, run: str, verb: Callable[[RunId], None]) -> None:
        found = await self._find(run)
        await asyncio.to_thread(verb, found)
        await asyncio.to_thread(self._wake, found)
