"""A pipeline as the rest of the product sees it: checked, expanded, positions attached. Values only.

`spec.compile` makes these from a pipeline file; `core.machine` runs them. Durations are seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

from flowbuild.core.ids import StepKey


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file of the repository; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class EdgeKind(StrEnum):
    """After which outcome of its source an edge is taken."""

    SUCCESS = "success"
    FAIL = "fail"
    ALWAYS = "always"


class Join(StrEnum):
    """When a step with several incoming edges runs.

    ALL: every incoming success edge was taken, or any fail/always edge was. ANY: at least one edge was taken, once all
    are settled. FIRST: as soon as one edge is taken.
    """

    ALL = "all"
    ANY = "any"
    FIRST = "first"


@dataclass(frozen=True, slots=True)
class Edge:
    """`target` may run after `source`; `condition` is CEL, evaluated when the source has ended."""

    source: StepKey
    target: StepKey
    kind: EdgeKind
    condition: str | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """Up to `max` further attempts when the outcome or the reason of one is in `on`, `delay` seconds apart."""

    max: int = 0
    on: frozenset[str] = frozenset({"errored"})
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Environment:
    """A place that a step acts on: exclusive lock by name, approval by one of `approve` (roles or users)."""

    name: str
    approve: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cache:
    """What the result of a step depends on besides its definition: patterns of workspace paths and names of variables.

    None: on all of them.
    """

    inputs: tuple[str, ...] | None = None
    variables: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a pipeline, already expanded from its matrix.

    `compose` is the checked canonical compose model (see `spec.compose`), `action` the path it came from, or None when
    it stood in the pipeline file. `name` is the name in the file, `key` adds the matrix values.
    """

    key: StepKey
    name: str
    position: Position
    action: str | None = None
    compose: Mapping[str, Any] = field(default_factory=dict)
    main: tuple[str, ...] = ()
    matrix: Mapping[str, str] = field(default_factory=dict)
    join: Join = Join.ALL
    condition: str | None = None
    retry: Retry = Retry()
    timeout: float | None = None
    allow_failure: bool = False
    background: bool = False
    secrets: tuple[str, ...] = ()
    environment: Environment | None = None
    cache: Cache | None = None
    definition_hash: str = ""


class InputType(StrEnum):
    """Type of a pipeline input."""

    STRING = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    CHOICE = "choice"


@dataclass(frozen=True, slots=True)
class Input:
    """A typed parameter of a pipeline; required when `default` is None."""

    name: str
    type: InputType = InputType.STRING
    options: tuple[str, ...] = ()
    default: str | int | float | bool | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class Concurrency:
    """At most `limit` runs of the group at once; used by the server."""

    group: str
    limit: int = 1
    cancel_running: bool = False


class MergePolicy(StrEnum):
    """What becomes of a path that several parents of a step changed differently.

    FAIL: conflict. OURS / THEIRS: the first / last parent in file order. UNION: lines of all sides. TEXT: three-way
    line merge, conflict when the same lines changed. LAST, FIRST, APPEND, MAX are for variables.
    """

    FAIL = "fail"
    OURS = "ours"
    THEIRS = "theirs"
    UNION = "union"
    TEXT = "text"
    FIRST = "first"
    LAST = "last"
    APPEND = "append"
    MAX = "max"


@dataclass(frozen=True, slots=True)
class MergeRule:
    """Policy for the paths that match a glob, relative to the workspace; or for a variable."""

    pattern: str
    policy: MergePolicy


@dataclass(frozen=True)  # without slots: the indexes below are computed once and live as long as the pipeline
class Pipeline:
    """A whole pipeline. `steps` and `edges` are in file order; `triggers` is the checked `on:` mapping, `notify` its list.

    `priority`: of runs that wait for machines, among those of the same project.
    """

    name: str
    position: Position
    steps: tuple[Step, ...]
    edges: tuple[Edge, ...]
    inputs: tuple[Input, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    triggers: Mapping[str, Any] = field(default_factory=dict)
    concurrency: Concurrency | None = None
    timeout: float | None = None
    checkout: bool = True
    merge: tuple[MergeRule, ...] = ()
    merge_variables: tuple[MergeRule, ...] = ()
    notify: tuple[Mapping[str, Any], ...] = ()
    description: str = ""
    priority: int = 0

    def step(self, key: str) -> Step:
        """Return the step with that key; raises KeyError."""
        return self.by_key[StepKey(key)]

    @cached_property
    def by_key(self) -> Mapping[StepKey, Step]:
        """Return the steps by key, in file order."""
        return {step.key: step for step in self.steps}

    @cached_property
    def incoming(self) -> Mapping[StepKey, tuple[int, ...]]:
        """Return the positions in `edges` of the edges into each step, by the place of their source in the file."""
        place = {step.key: index for index, step in enumerate(self.steps)}
        positions = sorted(range(len(self.edges)), key=lambda index: place[self.edges[index].source])
        return self._group(positions, [edge.target for edge in self.edges])

    @cached_property
    def outgoing(self) -> Mapping[StepKey, tuple[int, ...]]:
        """Return the positions in `edges` of the edges out of each step, in file order."""
        return self._group(range(len(self.edges)), [edge.source for edge in self.edges])

    def _group(self, positions: Iterable[int], keys: Sequence[StepKey]) -> Mapping[StepKey, tuple[int, ...]]:
        groups: dict[StepKey, list[int]] = {step.key: [] for step in self.steps}
        for position in positions:
            groups[keys[position]].append(position)
        return {key: tuple(group) for key, group in groups.items()}
