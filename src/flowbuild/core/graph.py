"""Questions about the graph of a pipeline. Nothing recurses: a chain may be longer than Python's stack is deep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from flowbuild.core.ids import StepKey
from flowbuild.core.model import Pipeline


def find_cycle(successors: Mapping[StepKey, Sequence[StepKey]]) -> tuple[StepKey, ...] | None:
    """Return the first cycle as a path whose last step is its first again ("a", "b", "a"), or None.

    `successors` names every step, in file order; the search follows that order, so the answer is always the same.
    """
    done: set[StepKey] = set()
    for start in successors:
        path: list[StepKey] = []
        on_path: set[StepKey] = set()
        todo = [iter((start,))]
        while todo:
            step = next(todo[-1], None)
            if step is None:
                todo.pop()
                if path:
                    done.add(path[-1])
                    on_path.discard(path.pop())
            elif step in on_path:
                return (*path[path.index(step) :], step)
            elif step not in done:
                path.append(step)
                on_path.add(step)
                todo.append(iter(successors[step]))
    return None


def layers(pipeline: Pipeline) -> tuple[tuple[StepKey, ...], ...]:
    """Return the steps in layers: each step stands in the first layer after all of its sources. Needs no cycles."""
    depth: dict[StepKey, int] = {}
    waiting = {key: len(edges) for key, edges in pipeline.incoming.items()}
    ready = [key for key, count in waiting.items() if count == 0]
    for key in ready:  # grows while it is walked
        sources = (pipeline.edges[position].source for position in pipeline.incoming[key])
        depth[key] = 1 + max((depth[source] for source in sources), default=-1)
        for position in pipeline.outgoing[key]:
            target = pipeline.edges[position].target
            waiting[target] -= 1
            if waiting[target] == 0:
                ready.append(target)
    rows: list[list[StepKey]] = [[] for _ in range(1 + max(depth.values(), default=-1))]
    for step in pipeline.steps:
        rows[depth[step.key]].append(step.key)
    return tuple(map(tuple, rows))


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
