"""Runs and the log of their events. The snapshot of a run always equals the replay of its events."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, func, literal, select, union

from flowbuild.core.errors import NotFound
from flowbuild.core.events import Event
from flowbuild.core.ids import RunId
from flowbuild.core.run import Run
from flowbuild.core.sources import Trust
from flowbuild.core.states import RunState
from flowbuild.store import dispatches, run_lists
from flowbuild.store.codec import (
    dump_event,
    dump_mapping,
    dump_pipeline,
    dump_run,
    load_event,
    load_mapping,
    load_pipeline,
    load_run,
)
from flowbuild.store.kinds import sort_anew
from flowbuild.store.run_lists import OPEN_STATES, RunFigure, RunFilter, RunLine
from flowbuild.store.server_tables import leftovers, notices
from flowbuild.store.sharing import lock_run, locking, serialise
from flowbuild.store.tables import events, outbox, runs

_TELLING = (RunState.SUCCEEDED, RunState.FAILED, RunState.ERRORED)
PART_OF_ID = re.compile(r"[0-9A-Za-z]{1,26}")


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run and what the rules need not know about it. Paths are absolute.

    `served`: it was begun by a server, so that any server may go on with it; else only who has the secrets that came with it.
    `actor` began it; how far that is trusted, `trust`, is one of `core.sources.Trust`; `cause` is what else is shown of why.
    `network`: where it is, as in `core.placement`.
    """

    run: Run
    number: int
    project: str
    owner: str
    directory: str
    dirty: bool
    repository: str
    last_seq: int = 0
    served: bool = False
    actor: str = ""
    trust: str = "trusted"
    cause: Mapping[str, Any] = field(default_factory=dict)
    network: str = ""


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event of a run; `seq` counts from 1."""

    seq: int
    at: float
    event: Event


def beginning(project: str) -> str:
    """Return what transactions serialise that begin a run of a project, or decide whether one may begin."""
    return f"number of {project}"


class Runs:
    """The `runs` and `events` tables. A run that is read in order to be changed (`writing`) is locked until the end."""

    def __init__(self, connection: Connection, *, writing: bool) -> None:
        self._connection = connection
        self._writing = writing

    def next_number(self, project: str) -> int:
        """Return the number that the project's next run gets."""
        serialise(self._connection, beginning(project))
        query = select(func.max(runs.c.number)).where(runs.c.project == project)
        return int(self._connection.execute(query).scalar() or 0) + 1

    def add(self, row: RunRow) -> None:
        """Insert a new run."""
        run = row.run
        self._connection.execute(
            runs.insert().values(
                id=run.id,
                number=row.number,
                project=row.project,
                pipeline=run.pipeline.name,
                state=run.state,
                owner=row.owner,
                served=int(row.served),
                directory=row.directory,
                dirty=int(row.dirty),
                repository=row.repository,
                definition=dump_pipeline(run.pipeline),
                snapshot=dump_run(run),
                last_seq=0,
                rerun_of=run.rerun_of,
                created_at=run.created_at,
                event=run.context.event,
                branch=run.context.branch[:512],
                commit=run.context.commit,
                actor=row.actor[:128],
                trust=row.trust,
                cause=dump_mapping(dict(row.cause)),
                priority=run.pipeline.priority if row.trust != Trust.UNTRUSTED else min(0, run.pipeline.priority),
                network=row.network,
            )
        )

    def get(self, run: RunId) -> RunRow:
        """Return a run; raises NotFound."""
        query = select(runs).where(runs.c.id == run)
        row = self._connection.execute(locking(query) if self._writing else query).mappings().first()
        if row is None:
            raise NotFound(f"there is no run {run}")
        return _row(row)

    def lock(self, run: RunId, *, wait: bool = True) -> bool:
        """Let nobody else decide about a run until this transaction ends: before anything that belongs to it is changed.

        False when there is no such run or, without `wait`, another transaction has it.
        """
        return lock_run(self._connection, run, wait=wait)

    def owner(self, run: RunId) -> str:
        """Return which process drives a run, or did so last; empty when there is no such run."""
        return self._connection.execute(select(runs.c.owner).where(runs.c.id == run)).scalar() or ""

    def is_served(self, run: RunId) -> bool:
        """Whether a run was begun by a server."""
        return bool(self._connection.execute(select(runs.c.served).where(runs.c.id == run)).scalar())

    def project(self, run: RunId) -> str:
        """Return the project of a run; raises NotFound."""
        found = self._connection.execute(select(runs.c.project).where(runs.c.id == run)).scalar()
        if found is None:
            raise NotFound(f"there is no run {run}")
        return str(found)

    def number(self, run: RunId) -> int | None:
        """Return the number of a run within its project; None when it is gone."""
        return self._connection.execute(select(runs.c.number).where(runs.c.id == run)).scalar()

    def ids(self) -> frozenset[str]:
        """Return the ids of all runs."""
        return frozenset(self._connection.execute(select(runs.c.id)).scalars())

    def find(self, project: str | None, text: str, *, within: bool = False) -> RunId:
        """Return the id of a run named by `last`, number (within the project), id or unique beginning of an id.

        Ids are of all projects; `within`: of this one alone.
        """
        query = select(runs.c.id).order_by(runs.c.created_at.desc(), runs.c.id.desc()).limit(2)
        scoped = query if project is None else query.where(runs.c.project == project)
        if text == "last":
            found = self._connection.execute(scoped).scalars().all()[:1]
        elif text.isascii() and text.isdigit() and len(text) < 10:
            found = self._connection.execute(scoped.where(runs.c.number == int(text))).scalars().all()
        else:
            fitting = (scoped if within else query).where(_begins(text.upper()))
            found = self._connection.execute(fitting).scalars().all() if PART_OF_ID.fullmatch(text) else []
        if not found:
            raise NotFound(f"there is no run {text!r} here", hint="flow runs lists them; --all shows every project's")
        if len(found) > 1:
            raise NotFound(f"more than one run is called {text!r}", hint="give the run's id; flow runs --all shows it")
        return RunId(found[0])

    def projects(self) -> dict[str, str]:
        """Return the project of the newest run of each source directory."""
        query = select(runs.c.directory, runs.c.project, func.max(runs.c.created_at)).group_by(
            runs.c.directory, runs.c.project
        )
        rows = sorted(self._connection.execute(query), key=lambda row: (row[2], row[1]))
        return {directory: project for directory, project, _ in rows}

    def newest(self, project: str | None, limit: int) -> Sequence[RunRow]:
        """Return runs, the newest first."""
        query = select(runs).order_by(runs.c.created_at.desc(), runs.c.id.desc()).limit(limit)
        if project is not None:
            query = query.where(runs.c.project == project)
        return [_row(row) for row in self._connection.execute(query).mappings()]

    def page(self, wanted: RunFilter, before: RunId | None, limit: int) -> Sequence[RunLine]:
        """Return runs for a list, the newest first, those older than `before`."""
        query = run_lists.page(wanted, before, limit)
        return [run_lists.line(row) for row in self._connection.execute(query).mappings()]

    def lines(self, ids: Collection[RunId]) -> Sequence[RunLine]:
        """Return some runs for a list, the newest first; those that are no more are not in it."""
        query = run_lists.lines(runs.c.id.in_(sorted(ids)))
        return [run_lists.line(row) for row in self._connection.execute(query).mappings()]

    def statistics(self, project: str, pipeline: str, limit: int, *, branch: str = "") -> Sequence[RunFigure]:
        """Return how the latest runs of a pipeline (of one branch) ended, the newest first; of those that have."""
        query = run_lists.figures(project, pipeline, branch, limit)
        return [run_lists.figure(row) for row in self._connection.execute(query).mappings()]

    def ended_before(self, row: RunRow) -> RunState | None:
        """Return how the run of the same pipeline and branch ended that was the last one before; one that was cancelled says nothing."""
        c, run = runs.c, row.run
        same = [
            c.project == row.project,
            c.pipeline.concat("") == run.pipeline.name,
            c.branch == run.context.branch[:512],
        ]
        before = [c.id < run.id, c.finished_at <= run.finished_at, c.state.in_(_TELLING)]
        query = select(c.state).where(*same, *before).order_by(c.id.desc()).limit(1)
        found = self._connection.execute(query).scalar() if run.context.branch else None
        return None if found is None else RunState(found)

    def owners(self, *, served: bool | None = None) -> Sequence[str]:
        """Return who owns runs that are not final, or have effects that are not yet carried out; `served` as in `open_runs`."""
        open_ = select(runs.c.owner).where(runs.c.state.in_(OPEN_STATES), *_served(served))
        with_effects = select(runs.c.owner).join(outbox, outbox.c.run_id == runs.c.id).where(*_served(served))
        return list(self._connection.execute(union(open_, with_effects)).scalars())

    def open_runs(self, owner: str, *, served: bool | None = None) -> Sequence[RunId]:
        """Return the runs of an owner that are not final, the oldest first; only those that are `served`, or not, if it is said."""
        mine = (runs.c.owner == owner, runs.c.state.in_(OPEN_STATES), *_served(served))
        query = select(runs.c.id).where(*mine).order_by(runs.c.created_at)
        return [RunId(identifier) for identifier in self._connection.execute(query).scalars()]

    def open_lines(self, project: str) -> Sequence[RunLine]:
        """Return the runs of a project that are not final, the newest first."""
        query = run_lists.lines(runs.c.project == project, runs.c.state.in_(OPEN_STATES))
        return [run_lists.line(row) for row in self._connection.execute(query).mappings()]

    def unfinished(self, owner: str, *, served: bool | None = None) -> Sequence[RunId]:
        """Return the final runs of an owner whose last effects are not yet carried out; `served` as in `open_runs`."""
        mine = (runs.c.owner == owner, runs.c.state.not_in(OPEN_STATES), *_served(served))
        query = select(runs.c.id).where(*mine, _with_effects()).order_by(runs.c.id)
        return [RunId(identifier) for identifier in self._connection.execute(query).scalars()]

    def take_over(self, run: RunId, old_owner: str, new_owner: str) -> bool:
        """Become the owner of a run; False when somebody else was faster."""
        statement = runs.update().where(runs.c.id == run, runs.c.owner == old_owner).values(owner=new_owner)
        taken = self._connection.execute(statement).rowcount == 1
        if taken:
            sort_anew(self._connection, run)
        return taken

    def move(self, old: str, new: str) -> None:
        """Let the places below a directory be below another one."""
        for column in (runs.c.repository, runs.c.directory):
            moved = literal(new) + func.substr(column, len(old) + 1)
            below = column.startswith(f"{old}/", autoescape=True)
            self._connection.execute(runs.update().where(below).values({column: moved}))

    def removable(self, project: str) -> Sequence[RunLine]:
        """Return the runs of a project of which nothing is left to do: final, carried out, told, cleared away."""
        query = run_lists.lines(runs.c.project == project, _over())
        return [run_lists.line(row) for row in self._connection.execute(query).mappings()]

    def remove(self, run: RunId) -> bool:
        """Delete a run and all rows about it; False when something about it is still to be done."""
        return self._connection.execute(runs.delete().where(runs.c.id == run, _over())).rowcount == 1

    def save(self, run: Run, happened: Sequence[tuple[float, Event]], last_seq: int) -> int:
        """Store the state of a run after further events; return the new last sequence number."""
        rows = [
            {"run_id": run.id, "seq": last_seq + number, "at": at, "body": dump_event(event)}
            for number, (at, event) in enumerate(happened, 1)
        ]
        if rows:
            self._connection.execute(events.insert(), rows)
        new_seq = last_seq + len(rows)
        self._connection.execute(
            runs.update()
            .where(runs.c.id == run.id)
            .values(state=run.state, snapshot=dump_run(run), last_seq=new_seq, finished_at=run.finished_at)
        )
        return new_seq

    def events(self, run: RunId, after: int = 0, until: int | None = None) -> Sequence[EventRow]:
        """Return the events of a run after a sequence number, up to and with another one."""
        query = select(events).where(events.c.run_id == run, events.c.seq > after).order_by(events.c.seq)
        if until is not None:
            query = query.where(events.c.seq <= until)
        return [EventRow(row.seq, row.at, load_event(row.body)) for row in self._connection.execute(query)]


def _begins(text: str) -> ColumnElement[bool]:
    """Return the condition that an id has a beginning, as a range: for LIKE no database has an index everywhere."""
    return runs.c.id.between(text.ljust(26, "0"), text.ljust(26, "Z"))


def _over() -> ColumnElement[bool]:
    """Return the condition that nothing has to be done about a run any more."""
    waiting = [outbox.c.run_id, leftovers.c.run_id]
    untold = select(notices.c.run_id).where(notices.c.next_at.is_not(None), notices.c.run_id.is_not(None))
    told = runs.c.id.not_in(untold), runs.c.id.not_in(dispatches.untold())
    return and_(runs.c.state.not_in(OPEN_STATES), *told, *(runs.c.id.not_in(select(column)) for column in waiting))


def _served(wanted: bool | None) -> tuple[ColumnElement[bool], ...]:  # noqa: FBT001 (a value of a column)
    return () if wanted is None else (runs.c.served == int(wanted),)


def _with_effects() -> ColumnElement[bool]:
    return runs.c.id.in_(select(outbox.c.run_id))


def _row(row: RowMapping) -> RunRow:
    return RunRow(
        run=load_run(row["snapshot"], load_pipeline(row["definition"])),
        number=row["number"],
        project=row["project"],
        owner=row["owner"],
        directory=row["directory"],
        dirty=bool(row["dirty"]),
        repository=row["repository"],
        last_seq=row["last_seq"],
        served=bool(row["served"]),
        actor=row["actor"],
        trust=row["trust"],
        cause=load_mapping(row["cause"]),
        network=row["network"],
    )
