"""Layout of a graph on lines of a terminal: one row per step, edges as rails in a gutter left of the names.

Every target has one rail ("lane") that opens at its first source and runs down into it, so a fan-in needs no extra
space: each further source joins the lane with a branch. A step hands its own column to one of its targets, so a chain
is a straight line. All positions are columns of the gutter; nothing here knows about characters or colours.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from flowbuild.core.model import EdgeKind
from flowbuild.core.states import EdgeState

UP, DOWN, LEFT, RIGHT = 1, 2, 4, 8


class EdgeLike(Protocol):
    """What the layout needs to know of an edge."""

    @property
    def source(self) -> str:
        """Return the key of the step it leaves."""
        ...

    @property
    def target(self) -> str:
        """Return the key of the step it enters."""
        ...

    @property
    def kind(self) -> EdgeKind:
        """Return after which outcome it is taken."""
        ...

    @property
    def state(self) -> EdgeState:
        """Return whether it was taken."""
        ...


@dataclass(frozen=True, slots=True)
class Rail:
    """A piece of line: in which directions it goes, and what kind of edges use it."""

    ways: int
    kind: EdgeKind
    state: EdgeState


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the gutter: rails by column, the step that stands on it (if any) and where."""

    rails: dict[int, Rail]
    key: str | None = None
    column: int = 0
    below: dict[int, Rail] = field(default_factory=dict)  # what passes under a step, for lines that belong to it


def order(keys: Sequence[str], edges: Sequence[EdgeLike]) -> list[str]:
    """Return the keys with sources before targets, otherwise in the given order; a cycle is broken at its first step."""
    position = {key: at for at, key in enumerate(keys)}
    pairs = {(e.source, e.target) for e in edges if e.source in position and e.target in position}
    targets: dict[str, list[str]] = {}
    missing = dict.fromkeys(keys, 0)
    for source, target in pairs:
        targets.setdefault(source, []).append(target)
        missing[target] += 1
    ready = [position[key] for key in missing if not missing[key]]
    heapq.heapify(ready)
    ordered: dict[str, None] = {}
    while len(ordered) < len(position):
        if not ready:
            ready = [min(at for key, at in position.items() if key not in ordered)]
        key = keys[heapq.heappop(ready)]
        if key in ordered:
            continue
        ordered[key] = None
        for target in targets.get(key, ()):
            missing[target] -= 1
            if not missing[target] and target not in ordered:
                heapq.heappush(ready, position[target])
    return list(ordered)


class Layout:
    """Rows of a graph. `compact` leaves out rows that only continue lines."""

    def __init__(self, keys: Sequence[str], edges: Sequence[EdgeLike], *, compact: bool = False) -> None:
        self.rows: list[Row] = []
        self._compact = compact
        self._lanes: dict[int, str] = {}  # target by column
        self._joined: dict[str, list[EdgeLike]] = {}  # edges that are in the lane of a target so far
        ordered = order(keys, edges)
        rank = {key: at for at, key in enumerate(ordered)}
        for key in ordered:
            leaving = [e for e in edges if e.source == key and rank.get(e.target, -1) > rank[key]]
            self._step(key, leaving)

    @property
    def width(self) -> int:
        """Return the number of columns."""
        return max((column for row in self.rows for column in (*row.rails, row.column)), default=0) + 1

    def _step(self, key: str, leaving: Sequence[EdgeLike]) -> None:
        column = next((at for at, target in self._lanes.items() if target == key), None)
        if column is None:
            column = self._free(0)
        self._lanes.pop(column, None)
        passing = self._passing()
        below = dict(passing)
        if leaving:
            below[column] = _rail(UP | DOWN, leaving)
        self.rows.append(Row(passing, key, column, below))
        # The first target without a lane goes on in this column; success before the rest, so the main path is straight.
        heirs = [e for e in leaving if e.target not in self._lanes.values()]
        heir = min(heirs, key=lambda e: e.kind is not EdgeKind.SUCCESS).target if heirs else None
        if heir is not None:
            self._join(heir, column, [e for e in leaving if e.target == heir])
        self._branches(column, [e for e in leaving if e.target != heir], has_heir=heir is not None)

    def _branches(self, column: int, leaving: Sequence[EdgeLike], *, has_heir: bool) -> None:
        """Add a row for each kind and state of the remaining edges: one row, one meaning."""
        groups: dict[tuple[EdgeKind, EdgeState], list[EdgeLike]] = {}
        for edge in sorted(leaving, key=lambda e: (e.kind is EdgeKind.FAIL, e.kind)):
            groups.setdefault((edge.kind, edge.state), []).append(edge)
        if not groups and has_heir and not self._compact:
            self.rows.append(Row(self._passing()))
        left = len(groups)
        for group in groups.values():
            left -= 1
            rails = self._passing()
            reached: dict[int, int] = {}
            for target in dict.fromkeys(edge.target for edge in group):
                at = next((c for c, key in self._lanes.items() if key == target), None)
                ways = UP | DOWN if at is not None else DOWN
                at = self._free(column + 1) if at is None else at
                self._join(target, at, [e for e in group if e.target == target])
                reached[at] = ways
            self._draw(rails, column, reached, group[0], down=has_heir or left > 0)
            self.rows.append(Row(rails, column=column))

    def _draw(
        self, rails: dict[int, Rail], column: int, reached: dict[int, int], edge: EdgeLike, *, down: bool
    ) -> None:
        """Draw one branch row: lines that only cross stay whole, so a join is never confused with a crossing."""
        first, last = min(column, *reached), max(column, *reached)
        for at in range(first, last + 1):
            ways = (LEFT if at > first else 0) | (RIGHT if at < last else 0)
            if at == column:
                ways |= UP | (DOWN if down else 0)
            elif at in reached:
                ways |= reached[at]
            elif at in rails:
                continue
            rails[at] = Rail(ways, edge.kind, edge.state)

    def _join(self, target: str, column: int, edges: Sequence[EdgeLike]) -> None:
        self._lanes[column] = target
        self._joined.setdefault(target, []).extend(edges)

    def _passing(self) -> dict[int, Rail]:
        return {column: _rail(UP | DOWN, self._joined[target]) for column, target in self._lanes.items()}

    def _free(self, start: int) -> int:
        while start in self._lanes:
            start += 1
        return start


def _rail(ways: int, edges: Sequence[EdgeLike]) -> Rail:
    """Return a rail that several edges share: as certain as its most certain edge, success before the other kinds."""
    kinds = {edge.kind for edge in edges}
    states = {edge.state for edge in edges}
    kind = next(iter(kinds)) if len(kinds) == 1 else EdgeKind.SUCCESS
    state = next(s for s in (EdgeState.TAKEN, EdgeState.PENDING, EdgeState.DEAD) if s in states)
    return Rail(ways, kind, state)
