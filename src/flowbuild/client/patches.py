"""What differs between two views of a run, so that who follows a run of 300 steps is not sent all of them at each event."""

from __future__ import annotations

from dataclasses import dataclass, replace

from flowbuild.client.base import EdgeView, RunView, StepView


@dataclass(frozen=True, slots=True)
class RunPatch:
    """A view with only those steps and edges that are new or differ; the others are as in the view before."""

    run: RunView


def make_patch(before: RunView | None, after: RunView) -> RunPatch:
    """Return what turns `before` into `after`; all of it without a `before`."""
    if before is None:
        return RunPatch(after)
    old_steps, old_edges = _by_key(before), frozenset(before.edges)
    steps = tuple(step for step in after.steps if old_steps.get(step.key) != step)
    return RunPatch(replace(after, steps=steps, edges=tuple(edge for edge in after.edges if edge not in old_edges)))


def apply_patch(before: RunView | None, patch: RunPatch) -> RunView:
    """Return the view that a patch was made from, given the one it was made against.

    The graph of a run never changes: steps and edges stay in their places.
    """
    if before is None:
        return patch.run
    steps = _by_key(patch.run)
    edges = {_ends(edge): edge for edge in patch.run.edges}
    return replace(
        patch.run,
        steps=tuple(steps.get(step.key, step) for step in before.steps),
        edges=tuple(edges.get(_ends(edge), edge) for edge in before.edges),
    )


def _by_key(view: RunView) -> dict[str, StepView]:
    return {step.key: step for step in view.steps}


def _ends(edge: EdgeView) -> tuple[str, str, str, str | None]:
    return edge.source, edge.target, edge.kind, edge.condition
