"""Environments: who acted on them, who acts now, and who waits to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Row, Select, func, select

from flowbuild.core.ids import RunId, StepKey
from flowbuild.core.states import Outcome
from flowbuild.store.sharing import insert_once
from flowbuild.store.tables import attempts, deployments, locks, runs


@dataclass(frozen=True, slots=True)
class Deployment:
    """A step that got an environment for itself, at a time. `outcome`: None until its last attempt has ended."""

    environment: str
    run: RunId
    number: int
    pipeline: str
    step: StepKey
    branch: str
    commit: str
    actor: str
    at: float
    outcome: Outcome | None


@dataclass(frozen=True, slots=True)
class InLine:
    """A step in the line of an environment; the first one holds it."""

    line: str
    run: RunId
    number: int
    pipeline: str
    step: StepKey


class Deployments:
    """The `deployments` table, and the lines of `locks` with their runs."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def began(self, run: RunId, step: StepKey, environment: str, now: float) -> None:
        """Remember that a step has an environment for itself; once."""
        values = {"run_id": run, "step": step, "environment": environment, "at": now}
        insert_once(self._connection, deployments, values)

    def environments(self, project: str) -> Sequence[str]:
        """Return the environments that runs of a project acted on."""
        query = select(deployments.c.environment).join(runs, runs.c.id == deployments.c.run_id)
        query = query.where(runs.c.project == project).distinct().order_by(deployments.c.environment)
        return list(self._connection.execute(query).scalars())

    def latest(self, project: str, environment: str, *, succeeded: bool = False) -> Deployment | None:
        """Return the latest of a project, or the latest that succeeded."""
        query = _query().where(runs.c.project == project, deployments.c.environment == environment)
        if succeeded:
            query = query.where(attempts.c.outcome == Outcome.SUCCEEDED)
        row = self._connection.execute(query.order_by(deployments.c.at.desc()).limit(1)).first()
        return None if row is None else _deployment(row)

    def lines(self, project: str) -> Sequence[InLine]:
        """Return who stands in line for the environments of a project, line by line in their order."""
        query = (
            select(locks.c.name, locks.c.step, runs.c.id, runs.c.number, runs.c.pipeline)
            .join(runs, runs.c.id == locks.c.run_id)
            .where(runs.c.project == project)
            .order_by(locks.c.name, locks.c.position)
        )
        return [
            InLine(row.name, RunId(row.id), row.number, row.pipeline, StepKey(row.step))
            for row in self._connection.execute(query)
        ]


def _query() -> Select[tuple[object, ...]]:
    """Select deployments with their runs and the last attempts of their steps."""
    tries = attempts.alias("tries")
    last = (
        select(func.max(tries.c.attempt))
        .where(tries.c.run_id == deployments.c.run_id, tries.c.step == deployments.c.step)
        .scalar_subquery()
    )
    return (
        select(
            deployments, runs.c.number, runs.c.pipeline, runs.c.branch, runs.c.commit, runs.c.actor, attempts.c.outcome
        )
        .join(runs, runs.c.id == deployments.c.run_id)
        .join(
            attempts,
            (attempts.c.run_id == deployments.c.run_id)
            & (attempts.c.step == deployments.c.step)
            & (attempts.c.attempt == last),
        )
    )


def _deployment(row: Row[tuple[object, ...]]) -> Deployment:
    return Deployment(
        environment=row.environment,
        run=RunId(row.run_id),
        number=row.number,
        pipeline=row.pipeline,
        step=StepKey(row.step),
        branch=row.branch,
        commit=row.commit,
        actor=row.actor,
        at=row.at,
        outcome=None if row.outcome is None else Outcome(row.outcome),
    )
