"""Questions about the graph of a pipeline, asked before it runs: cycles, order, steps that can never run.

Works on the names of the file (a matrix step is one node). Nothing recurses: pipelines may have a thousand steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from flowbuild.core.model import EdgeKind, Join

MAX_CYCLES = 10  # reported at once


@dataclass(frozen=True, slots=True)
class Link:
    """An edge as it is written: the item `index` of `source`'s key `kind` names `target`."""

    source: str
    target: str
    kind: EdgeKind
    index: int


def cycles(names: Sequence[str], links: Sequence[Link]) -> Iterator[tuple[Link, ...]]:
    """Yield cycles as the links that make them, until none is left; each is broken at its last link to find the next."""
    left = list(links)
    for _ in range(MAX_CYCLES):
        found = _cycle(names, left)
        if found is None:
            return
        yield found
        left.remove(found[-1])


def _cycle(names: Sequence[str], links: Sequence[Link]) -> tuple[Link, ...] | None:
    """Return the first cycle of a depth-first search."""
    out: dict[str, list[Link]] = {name: [] for name in names}
    for each in links:
        out[each.source].append(each)
    done: set[str] = set()
    for start in names:
        if start in done:
            continue
        trail: list[Link] = []  # the links that led here
        on_trail = {start: 0}  # how many links of the trail lead to a step
        pending = [iter(out[start])]
        while pending:
            link = next(pending[-1], None)
            if link is None:
                pending.pop()
                ended = trail.pop().target if trail else start
                del on_trail[ended]
                done.add(ended)
            elif link.target in on_trail:
                return (*trail[on_trail[link.target] :], link)
            elif link.target not in done:
                trail.append(link)
                on_trail[link.target] = len(trail)
                pending.append(iter(out[link.target]))
    return None


def order(names: Sequence[str], links: Sequence[Link]) -> list[str]:
    """Return the names so that every source stands before its targets; the graph must have no cycle."""
    waiting = dict.fromkeys(names, 0)
    out: dict[str, list[str]] = {name: [] for name in names}
    for link in links:
        waiting[link.target] += 1
        out[link.source].append(link.target)
    ready = [name for name in names if not waiting[name]]
    for name in ready:  # grows while it is walked
        for target in out[name]:
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    return ready


def ancestors(names: Sequence[str], links: Sequence[Link]) -> dict[str, frozenset[str]]:
    """Return for every step the steps that have ended, or were skipped, before it; the graph must have no cycle."""
    before: dict[str, frozenset[str]] = {}
    sources: dict[str, set[str]] = {name: set() for name in names}
    for link in links:
        sources[link.target].add(link.source)
    for name in order(names, links):
        before[name] = frozenset(sources[name]).union(*(before[source] for source in sources[name]))
    return before


Fact = tuple[str, EdgeKind]  # a step that must have succeeded, or failed


def never_run(
    names: Sequence[str], links: Sequence[Link], joins: Mapping[str, Join], tolerant: frozenset[str]
) -> list[str]:
    """Return steps that cannot run because what leads to them excludes each other.

    For every step the facts that hold whenever it runs are collected: an edge asks for an outcome of its source and for
    all that the source asks for. Facts that contradict (`a` succeeded and `a` failed) close that way; a step with no way
    left never runs. `tolerant` are steps about which nothing is assumed. Only the first step of a dead path is returned.
    """
    incoming: dict[str, list[Link]] = {name: [] for name in names}
    for link in links:
        incoming[link.target].append(link)
    facts: dict[str, frozenset[Fact] | None] = {}  # None: never runs
    found = []
    for name in order(names, links):
        ways = [_together(way, facts, tolerant) for way in _ways(incoming[name], joins[name])]
        open_ways = [way for way in ways if way is not None]
        facts[name] = frozenset.intersection(*open_ways) if open_ways else None
        if not open_ways and all(facts[link.source] is not None for link in incoming[name]):
            found.append(name)
    return found


def _ways(incoming: Sequence[Link], join: Join) -> list[list[Link]]:
    """Return the sets of edges of which one must be taken as a whole for the step to run."""
    if join is not Join.ALL or not incoming:
        return [[link] for link in incoming] or [[]]
    success = [link for link in incoming if link.kind is EdgeKind.SUCCESS]
    return [*([success] if success else []), *([link] for link in incoming if link.kind is not EdgeKind.SUCCESS)]


def _together(
    way: Sequence[Link], facts: Mapping[str, frozenset[Fact] | None], tolerant: frozenset[str]
) -> frozenset[Fact] | None:
    """Return what holds when all of these edges are taken, None when that cannot be."""
    needed: set[Fact] = set()
    for link in way:
        of_source = facts[link.source]
        if of_source is None:
            return None
        needed |= of_source
        if link.kind is not EdgeKind.ALWAYS and link.source not in tolerant:
            needed.add((link.source, link.kind))
    if any((step, EdgeKind.FAIL) in needed for step, kind in needed if kind is EdgeKind.SUCCESS):
        return None
    return frozenset(needed)
