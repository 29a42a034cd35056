"""Stored rows to what clients see."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from flowbuild.client.base import AttemptView, EdgeView, HolderView, RunView, StepView
from flowbuild.client.runner import ServiceResult
from flowbuild.core.cache import Origin
from flowbuild.core.ids import EMBEDDED, runner_name
from flowbuild.core.model import Step
from flowbuild.core.run import Run, StepRun
from flowbuild.core.states import StepState
from flowbuild.services.phases import Began, now_in
from flowbuild.store.attempts import AttemptRow
from flowbuild.store.runs import RunRow


def run_view(
    row: RunRow,
    attempts: Sequence[AttemptRow],
    phases: Mapping[str, Began],
    *,
    rerun_number: int | None,
    interrupted: bool,
    holders: Mapping[str, HolderView],
) -> RunView:
    """Return the view of a run. By step key: what running steps do now, who holds what waiting steps wait for."""
    by_step: defaultdict[str, list[AttemptRow]] = defaultdict(list)
    for attempt in attempts:
        by_step[attempt.key.step].append(attempt)
    run, definitions = row.run, {step.key: step for step in row.run.pipeline.steps}
    return RunView(
        id=run.id,
        number=row.number,
        project=row.project,
        pipeline=run.pipeline.name,
        state=run.state,
        interrupted=interrupted,
        created_at=run.created_at,
        finished_at=run.finished_at,
        branch=run.context.branch,
        commit=run.context.commit,
        dirty=row.dirty,
        event=run.context.event,
        actor=row.actor,
        trust=row.trust,
        cause=row.cause,
        inputs=run.context.inputs,
        variables={**run.variables, **_changed(run)},
        rerun_of=rerun_number,
        repository=row.repository,
        steps=tuple(
            _step_view(definition, run.steps[key], by_step[key], phases, holders.get(key))
            for key, definition in definitions.items()
        ),
        edges=tuple(
            EdgeView(edge.source, edge.target, edge.kind, state, edge.condition)
            for edge, state in zip(run.pipeline.edges, run.edges, strict=True)
        ),
    )


def _changed(run: Run) -> dict[str, str]:
    """Return the variables that a rerun set to something else."""
    return {name: value for step in run.steps.values() for name, value in step.overrides.items()}


def with_phases(view: RunView, phases: Mapping[str, Began]) -> RunView:
    """Return a view in which only what the running steps do has changed."""
    steps = tuple(
        replace(step, attempts=tuple(_in_phase(attempt, phases.get(step.key, {})) for attempt in step.attempts))
        for step in view.steps
    )
    return replace(view, steps=steps)


def _in_phase(attempt: AttemptView, began: Began) -> AttemptView:
    return replace(attempt, phase=now_in(began), phase_began=began) if attempt.state == "running" else attempt


def _step_view(
    definition: Step,
    step: StepRun,
    attempts: Sequence[AttemptRow],
    phases: Mapping[str, Began],
    holder: HolderView | None,
) -> StepView:
    environment = definition.environment
    waits = step.state is StepState.WAITING and environment is not None and not step.approved_by
    return StepView(
        key=step.key,
        name=definition.name,
        state=step.state,
        outcome=step.outcome,
        reason=step.reason,
        message=step.message,
        exit_code=step.exit_code,
        allow_failure=definition.allow_failure,
        background=definition.background,
        join=definition.join,
        reused=step.reused,
        cached=step.cached,
        returning=step.returning,
        approve=environment.approve if waits and environment is not None else (),
        holder=holder,
        main=definition.main,
        environment=environment.name if environment is not None else "",
        started_at=step.started_at,
        finished_at=step.finished_at,
        input_commit=step.input_commit,
        result_commit=step.result_commit,
        attempts=tuple(_attempt_view(attempt, phases.get(step.key, {})) for attempt in attempts),
    )


def _attempt_view(row: AttemptRow, began: Began) -> AttemptView:
    details, runner = row.details, runner_name(row.runner)
    view = AttemptView(
        attempt=row.key.attempt,
        epoch=row.key.epoch,
        state="running" if row.state in ("leased", "launched") else row.state,
        outcome=row.outcome,
        reason=row.reason,
        message=row.message,
        exit_code=row.exit_code,
        queued_at=row.queued_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        phases=details.get("phases", {}),
        node="" if runner == EMBEDDED else runner,
        input_commit=row.input_commit,
        commit=row.commit,
        changes=details.get("changes", {}),
        images=details.get("images", {}),
        services={name: ServiceResult(**each) for name, each in details.get("services", {}).items()},
        cached=Origin(**details["cached"]) if "cached" in details else None,
    )
    return _in_phase(view, began)
