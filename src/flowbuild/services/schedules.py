"""Use cases of schedules: take them over from a pipeline file, list, pause, and begin what is due. Blocking."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from flowbuild.core.errors import NotFound, UserError
from flowbuild.core.ids import RunId
from flowbuild.core.model import Pipeline
from flowbuild.core.schedule import Misfire, describe, due, fire_times, next_times
from flowbuild.core.sources import SourceEvent, SourceKind
from flowbuild.services.audit import Actor, note
from flowbuild.services.decisions import Clock
from flowbuild.services.news import schedules_topic
from flowbuild.services.signals import Signals
from flowbuild.services.starter import Cause, Starter, start_key
from flowbuild.store.database import Database
from flowbuild.store.schedules import ScheduleKey, ScheduleRow

log = structlog.get_logger()
SCHEDULES = "schedules"  # topic: schedules changed
SHOWN = 5  # times to come that are shown
PAUSE, PAUSE_MOST = 1.0, 60.0  # seconds until a run that could not begin for a reason of ours is tried again


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """A schedule as people see it: in words, and its next times (none while it is paused)."""

    row: ScheduleRow
    words: str
    times: Sequence[float]


class ScheduleService:
    """Schedules of all projects. A time is due in the database until its run has begun, so that no kill loses it."""

    def __init__(
        self,
        *,
        database: Database,
        starter: Starter,
        signals: Signals,
        clock: Clock,
        default_branch: Callable[[str], str],
    ) -> None:
        self._database = database
        self._default_branch = default_branch
        self._starter = starter
        self._signals = signals
        self._clock = clock
        self._held: dict[ScheduleKey, tuple[float, int]] = {}  # those that failed: until when, and how often

    def moved(self, project: str, branch: str) -> None:
        """Look what schedules there are now when the default branch of a project moved; raises SystemFailed."""
        if branch == self._default_branch(project):
            self.refresh(project)

    def refresh(self, project: str) -> None:
        """Take over the schedules at the head of the default branch. With a file that cannot be used they stay as they are."""
        try:
            pipelines = self._starter.pipelines(project, SourceEvent(SourceKind.SCHEDULE))
        except UserError as error:
            log.warning("schedules_unknown", project=project, error=error.message)
        else:
            self.take_over(project, pipelines)

    def take_over(self, project: str, pipelines: Iterable[Pipeline]) -> None:
        """Let the schedules of a project be those that its pipelines have now; what did not change goes on as it was.

        Raises NotFound.
        """
        now = self._clock()
        with self._database.write() as tx:
            identifier = tx.projects.get(project).id
            known = {_same(row): row for row in tx.schedules.of_project(identifier)}
            fresh = list(_written(identifier, pipelines, now))
            rows = [replace(known.get(_same(row), row), key=row.key, misfire=row.misfire) for row in fresh]
            tx.schedules.replace(identifier, rows)
        self._signals.notify(SCHEDULES, schedules_topic(project))

    def list(self, project: str) -> Sequence[ScheduleView]:
        """Return the schedules of a project with their next times; raises NotFound."""
        with self._database.read() as tx:
            rows = tx.schedules.of_project(tx.projects.get(project).id)
        return [self._view(row) for row in rows]

    def pause(self, actor: Actor, project: str, pipeline: str, position: int, *, paused: bool) -> ScheduleView:
        """Pause a schedule, or let it go on: what would have been due meanwhile is not made up for. Raises NotFound."""
        now = self._clock()
        with self._database.write() as tx:
            key = ScheduleKey(tx.projects.get(project).id, pipeline, position)
            row = tx.schedules.get(key)
            if row is None:
                raise NotFound(f"{pipeline} of {project} has no schedule {position}")
            if paused == (row.paused_at is None):
                row = replace(row, paused_at=now if paused else None, next_at=_first(row, now))
                tx.schedules.pause(key, row.paused_at, row.next_at)
                action, object_ = "schedule.pause" if paused else "schedule.resume", f"schedule:{pipeline}/{position}"
                note(tx, now, actor, action, object_, project=project, detail={"cron": row.cron})
        self._signals.notify(SCHEDULES, schedules_topic(project))
        return self._view(row)

    def due(self) -> Mapping[str, float]:
        """Return the projects that have schedules, and when the first of each is due. Raises StoreError."""
        with self._database.read() as tx:
            rows = tx.schedules.waiting()
        for key in set(self._held) - {row.key for row in rows}:
            self._held.pop(key, None)
        found: dict[str, float] = {}
        for row in rows:
            at = max(row.next_at or 0.0, self._held_until(row.key))
            found[row.project] = min(at, found.get(row.project, at))
        return found

    def run(self, project: str) -> None:
        """Begin what is due of a project. Raises StoreError."""
        now = self._clock()
        with self._database.read() as tx:
            rows = [row for row in tx.schedules.due(now) if row.project == project]
        for row in rows:
            if now >= self._held_until(row.key):
                self._run(row)

    def _held_until(self, key: ScheduleKey) -> float:
        return self._held.get(key, (0.0, 0))[0]

    def _run(self, row: ScheduleRow) -> None:
        """Begin the runs of a schedule that are due, then wait for its next time."""
        assert row.next_at is not None  # noqa: S101 (the query asks for it)
        found = due(row.cron, row.timezone, next_at=row.next_at, now=self._clock(), misfire=Misfire(row.misfire))
        run, error = None, ""
        for time in found.times:
            try:
                run, error = self._start(row, time), ""
            except UserError as problem:
                error = problem.message
            except Exception as problem:  # noqa: BLE001 (it may get better; until then the others go on)
                self._hold(row.key, problem)
                return
        with self._database.write() as tx:
            last_at = found.times[-1] if found.times else None
            tx.schedules.advance(row, found.next_at, last_at=last_at, run=run, error=error)
        self._signals.notify(schedules_topic(row.project))
        self._held.pop(row.key, None)

    def _start(self, row: ScheduleRow, time: float) -> RunId | None:
        event = SourceEvent(SourceKind.SCHEDULE, branch=row.branch, pipeline=row.key.pipeline)
        key = start_key("schedule", row.key.project_id, *_same(row), time)
        about = {"event": str(event.kind), "cron": row.cron, "timezone": row.timezone, "due_at": time}
        return self._starter.start(row.project, row.key.pipeline, event, {}, Cause(key, about))

    def _hold(self, key: ScheduleKey, problem: Exception) -> None:
        tries = self._held.get(key, (0.0, 0))[1] + 1
        self._held[key] = (self._clock() + min(PAUSE * 2.0 ** (tries - 1), PAUSE_MOST), tries)
        log.error("schedule_failed", project=key.project_id, pipeline=key.pipeline, tries=tries, exc_info=problem)

    def _view(self, row: ScheduleRow) -> ScheduleView:
        times = [] if row.paused_at is not None else next_times(row.cron, row.timezone, self._clock(), SHOWN)
        return ScheduleView(row, describe(row.cron, row.timezone), times)


def _written(project_id: str, pipelines: Iterable[Pipeline], now: float) -> Iterable[ScheduleRow]:
    for pipeline in pipelines:
        for position, written in enumerate(pipeline.triggers.get("schedule", ())):
            row = ScheduleRow(
                key=ScheduleKey(project_id, pipeline.name, position),
                cron=written["cron"],
                timezone=written["timezone"],
                branch=written["branch"] or "",
                misfire=written["misfire"],
                next_at=None,
            )
            yield replace(row, next_at=_first(row, now))


def _first(row: ScheduleRow, now: float) -> float | None:
    return next(iter(fire_times(row.cron, row.timezone, now)), None)


def _same(row: ScheduleRow) -> tuple[str, str, str, str]:
    """Return what makes two schedules the same one, wherever it stands in its list."""
    return row.key.pipeline, row.cron, row.timezone, row.branch
