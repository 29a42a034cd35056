"""Schedules of pipelines, as the file at the head of the default branch writes them, and when each is due."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, and_, select

from flowbuild.core.ids import RunId
from flowbuild.store.server_tables import projects, schedules


@dataclass(frozen=True, slots=True)
class ScheduleKey:
    """Names a schedule: the pipeline of a project, and the position in its list from 0."""

    project_id: str
    pipeline: str
    position: int


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """A schedule. `branch` is empty for the default one; `next_at` is None when it never comes again.

    `last_at` is when it was due last, `last_run` what began then, `error` why nothing did.
    """

    key: ScheduleKey
    cron: str
    timezone: str
    branch: str
    misfire: str
    next_at: float | None
    paused_at: float | None = None
    last_at: float | None = None
    last_run: RunId | None = None
    error: str = ""
    project: str = ""


class Schedules:
    """The `schedules` table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of_project(self, project_id: str) -> Sequence[ScheduleRow]:
        """Return the schedules of a project, by pipeline and position."""
        query = _query().where(schedules.c.project_id == project_id)
        query = query.order_by(schedules.c.pipeline, schedules.c.position)
        return [_row(row) for row in self._connection.execute(query).mappings()]

    def get(self, key: ScheduleKey) -> ScheduleRow | None:
        """Return a schedule."""
        row = self._connection.execute(_query().where(_same(key))).mappings().first()
        return None if row is None else _row(row)

    def replace(self, project_id: str, rows: Iterable[ScheduleRow]) -> None:
        """Let these be all schedules of a project."""
        self._connection.execute(schedules.delete().where(schedules.c.project_id == project_id))
        for row in rows:
            self._connection.execute(
                schedules.insert().values(
                    project_id=project_id,
                    pipeline=row.key.pipeline,
                    position=row.key.position,
                    cron=row.cron,
                    timezone=row.timezone,
                    branch=row.branch,
                    misfire=row.misfire,
                    next_at=row.next_at,
                    paused_at=row.paused_at,
                    last_at=row.last_at,
                    last_run=row.last_run,
                    error=row.error,
                )
            )

    def due(self, now: float) -> Sequence[ScheduleRow]:
        """Return the schedules that are due, the earliest first; those that are paused are not."""
        query = _query().where(_waiting(), schedules.c.next_at <= now).order_by(schedules.c.next_at)
        return [_row(row) for row in self._connection.execute(query).mappings()]

    def waiting(self) -> Sequence[ScheduleRow]:
        """Return all schedules that will be due some time; those that are paused will not."""
        return [_row(row) for row in self._connection.execute(_query().where(_waiting())).mappings()]

    def advance(
        self, row: ScheduleRow, next_at: float | None, *, last_at: float | None, run: RunId | None, error: str
    ) -> bool:
        """Wait for the next time; False when somebody else did so already, or the schedule changed."""
        values: dict[str, object] = {"next_at": next_at}
        if last_at is not None:
            values |= {"last_at": last_at, "last_run": run, "error": error}
        mine = _same(row.key) & (schedules.c.next_at == row.next_at)
        return self._connection.execute(schedules.update().where(mine).values(**values)).rowcount == 1

    def pause(self, key: ScheduleKey, at: float | None, next_at: float | None) -> None:
        """Pause a schedule since a time, or with None go on, with the next time given."""
        self._connection.execute(schedules.update().where(_same(key)).values(paused_at=at, next_at=next_at))


def _waiting() -> ColumnElement[bool]:
    c = schedules.c
    return and_(c.paused_at.is_(None), c.next_at.is_not(None), projects.c.archived_at.is_(None))


def _same(key: ScheduleKey) -> ColumnElement[bool]:
    c = schedules.c
    return and_(c.project_id == key.project_id, c.pipeline == key.pipeline, c.position == key.position)


def _query() -> Select[tuple[object, ...]]:
    return select(schedules, projects.c.name.label("project")).join(projects, projects.c.id == schedules.c.project_id)


def _row(row: RowMapping) -> ScheduleRow:
    return ScheduleRow(
        key=ScheduleKey(row["project_id"], row["pipeline"], row["position"]),
        cron=row["cron"],
        timezone=row["timezone"],
        branch=row["branch"],
        misfire=row["misfire"],
        next_at=row["next_at"],
        paused_at=row["paused_at"],
        last_at=row["last_at"],
        last_run=None if row["last_run"] is None else RunId(row["last_run"]),
        error=row["error"],
        project=row["project"],
    )
