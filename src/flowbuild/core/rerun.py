"""A new run that takes over a part of an old one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from flowbuild.core.errors import InvalidRequest, NotFound
from flowbuild.core.expr import suggest
from flowbuild.core.graph import ancestors, descendants
from flowbuild.core.ids import RunId, StepKey
from flowbuild.core.joins import Decision, decide_join
from flowbuild.core.run import Run, StepRun
from flowbuild.core.states import EdgeState, Outcome, StepState


def create_rerun(
    old: Run,
    run_id: RunId,
    from_steps: Collection[StepKey] = (),
    *,
    variables: Mapping[str, str] | None = None,
    fresh: bool = False,
    now: float,
) -> Run:
    """Return a run of the same pipeline that does `from_steps` and all that follows from them again; none: everything.

    The rest is taken over: outcome, result, variables, and the edges as they were settled. Also done again is what has
    nothing to take over (steps that were cancelled or had not ended, and what follows from them) and background steps
    before a step that is done again, because their services ended with the old run; what only followed from those is
    still taken over. `variables` are set on the input of the first steps that are done again. The results of
    `from_steps`, with `fresh` of all steps, are not taken from the step cache.

    Raises NotFound for an unknown step, and InvalidRequest for one that cannot run because of what is taken over.
    """
    _check_names(old, from_steps)
    again = _done_again(old, from_steps)
    served = _served(old, again)
    steps = {}
    for key in old.pipeline.by_key:
        step = old.steps[key]
        if key in served:
            steps[key] = StepRun(key, overrides=step.overrides)
        elif key in again:
            first = all(old.pipeline.edges[i].source not in again for i in old.pipeline.incoming[key])
            reused = any(old.pipeline.edges[i].source not in again | served for i in old.pipeline.incoming[key])
            overrides = {**step.overrides, **(variables or {})} if first or reused else {}
            steps[key] = StepRun(key, overrides=overrides, fresh=fresh or key in from_steps)
        else:
            ended = replace(step, state=StepState.DONE, returning=False, served_from=None)
            steps[key] = replace(ended, reused=True, cached=False)
    edges = tuple(
        EdgeState.PENDING
        if edge.source in again or (edge.source in served and edge.target in again | served)
        else state
        for edge, state in zip(old.pipeline.edges, old.edges, strict=True)
    )
    run = Run(
        id=run_id,
        pipeline=old.pipeline,
        context=old.context,
        initial_commit=old.initial_commit,
        steps=steps,
        edges=edges,
        variables=old.variables,
        created_at=now,
        rerun_of=old.id,
    )
    for key in from_steps:
        _check_can_run(run, key)
    return run


def failed_steps(run: Run) -> tuple[StepKey, ...]:
    """Return the `from_steps` of a rerun of what went wrong: failed (and not allowed to), errored, cancelled."""
    return tuple(
        step.key
        for step in run.pipeline.steps
        if run.steps[step.key].outcome in (Outcome.ERRORED, Outcome.CANCELLED)
        or (run.steps[step.key].outcome is Outcome.FAILED and not step.allow_failure)
    )


def _check_names(old: Run, from_steps: Collection[StepKey]) -> None:
    for key in from_steps:
        if key not in old.steps:
            raise NotFound(f"the pipeline has no step {key!r}", hint=suggest(key, old.steps))


def _done_again(old: Run, from_steps: Collection[StepKey]) -> frozenset[StepKey]:
    if not from_steps:
        return frozenset(old.steps)
    unfinished = {
        key
        for key, step in old.steps.items()
        if step.outcome is Outcome.CANCELLED or step.state not in (StepState.DONE, StepState.SERVING)
    }
    first = unfinished.union(from_steps)
    return descendants(old.pipeline, first) | first


def _served(old: Run, again: frozenset[StepKey]) -> frozenset[StepKey]:
    """Return the background steps before one that is done again: their services are needed again."""
    return frozenset(
        key
        for key in ancestors(old.pipeline, again) - again
        if old.pipeline.by_key[key].background and old.steps[key].outcome is Outcome.SUCCEEDED
    )


def _check_can_run(run: Run, key: StepKey) -> None:
    positions = run.pipeline.incoming[key]
    states = [(run.pipeline.edges[i].kind, run.edges[i]) for i in positions]
    if decide_join(run.pipeline.by_key[key].join, states) is Decision.SKIP:
        sources = dict.fromkeys(run.pipeline.edges[i].source for i in positions if run.edges[i] is EdgeState.DEAD)
        told = ", ".join(f"{source} ({run.steps[source].outcome})" for source in sources)
        raise InvalidRequest(
            f"{key} cannot run: no way led to it in run {run.rerun_of} after {told}",
            hint=f"rerun from {next(iter(sources))} instead",
        )
