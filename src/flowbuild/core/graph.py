"""Questions about the graph of a pipeline. Nothing recurses: a chain may be longer than Python's stack is deep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from flowbuild.core.ids import StepKey
from flowbuild.core.model import Pipeline


def descendants(pipeline: Pipeline, steps: Iterable[StepKey]) -> frozenset[StepKey]:
    """Return every step that can be reached from one of `steps` by at least one edge."""
    return _reach(steps, {key: [pipeline.edges[i].target for i in out] for key, out in pipeline.outgoing.items()})


def ancestors(pipeline: Pipeline, steps: Iterable[StepKey]) -> frozenset[StepKey]:
    """Return every step from which one of `steps` can be reached by at least one edge."""
    return _reach(steps, {key: [pipeline.edges[i].source for i in into] for key, into in pipeline.incoming.items()})


def _reach(steps: Iterable[StepKey], neighbours: Mapping[StepKey, Sequence[StepKey]]) -> frozenset[StepKey]:
    found: set[StepKey] = set()
    todo = list(steps)
    while todo:
        fresh = set(neighbours[todo.pop()]) - found
        found |= fresh
        todo += fresh
    return frozenset(found)
