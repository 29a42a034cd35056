"""The steps of one pipeline as they are written: checked one by one, expanded by their matrix, connected by edges."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic_core import PydanticCustomError

from flowbuild.core.ids import STEP_NAME, StepKey
from flowbuild.core.model import Edge, EdgeKind, Join, Position
from flowbuild.spec import lint, matrix, problems
from flowbuild.spec.findings import Finding, Severity
from flowbuild.spec.format import EdgeSpec, StepSpec
from flowbuild.spec.words import did_you_mean, kind, shown
from flowbuild.spec.written import Written
from flowbuild.spec.yamlpos import Path

MAX_STEPS = 1000  # after matrices are expanded
MAX_EDGES = 20_000


@dataclass(frozen=True, slots=True)
class Steps:
    """Checked steps. `specs` holds None for a step that is wrong, so that its name is still known."""

    specs: dict[str, StepSpec | None]
    variants: dict[str, dict[StepKey, matrix.Values]] = field(default_factory=dict)  # by name: key -> matrix values
    links: tuple[lint.Link, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every step is right, so that the graph can be judged."""
        return all(spec is not None for spec in self.specs.values())

    def right(self) -> dict[str, StepSpec]:
        """Return the steps that are right, by name."""
        return {name: spec for name, spec in self.specs.items() if spec is not None}

    def axes(self, name: str) -> frozenset[str]:
        """Return the names that `matrix.…` has in a step."""
        spec = self.specs[name]
        return matrix.names(spec.matrix) if spec and spec.matrix else frozenset()

    def known(self) -> frozenset[str]:
        """Return what may follow `steps.` in an expression: names, and keys of matrix steps."""
        return frozenset(self.specs) | {key for variants in self.variants.values() for key in variants}

    def name_of(self, name_or_key: str) -> str:
        """Return the name of the step that a name or a key means."""
        if name_or_key in self.specs:
            return name_or_key
        return next(name for name, variants in self.variants.items() if name_or_key in variants)

    def edge_spec(self, link: lint.Link) -> EdgeSpec:
        """Return the edge as it is written."""
        spec = self.specs[link.source]
        items: list[EdgeSpec] = getattr(spec, link.kind.value)
        return items[link.index]


def link_path(link: lint.Link) -> Path:
    """Return where an edge stands in the pipeline."""
    return ("steps", link.source, link.kind.value, link.index)


def read(written: Written) -> tuple[Steps, list[Finding]]:
    """Check every step of a pipeline and connect them."""
    raw = written.data.get("steps")
    where: Path = ("steps",)
    if raw is None and "steps" not in written.data:
        message = f"the pipeline {shown(written.name)} has no `steps`"
        return Steps({}), [Finding("missing_key", written.position, message)]
    if not isinstance(raw, dict) or not raw:
        got = "an empty one" if raw == {} else kind(raw)
        return Steps({}), [Finding("wrong_type", written.place(where), f"expected a mapping of steps, got {got}")]
    if len(raw) > MAX_STEPS:
        return Steps({}), [_too_many_steps(written)]
    findings: list[Finding] = []
    specs: dict[str, StepSpec | None] = {}
    for name, data in raw.items():
        base: Path = ("steps", name)
        specs[name], found = problems.check(StepSpec, data, functools.partial(_place, written, base))
        findings += found
        if not STEP_NAME.fullmatch(name):
            hint = "up to 48 letters, digits, `-` and `_`, beginning with a letter or a digit"
            message = f"{shown(name)} is not a name of a step"
            findings.append(Finding("bad_name", written.place(base, key=True), message, hint))
            specs[name] = None
    variants = _variants(written, specs, findings)
    if sum(map(len, variants.values())) > MAX_STEPS:
        return Steps({}), [*findings, _too_many_steps(written)]
    return Steps(specs, variants, _links(written, specs, variants, findings)), findings


def edges(steps: Steps) -> list[Edge]:
    """Return the edges between keys: to every variant of a matrix step, from every variant of one."""
    result = []
    for link in steps.links:
        condition = steps.edge_spec(link).condition
        name = steps.edge_spec(link).step
        targets = steps.variants[name] if name in steps.specs else (StepKey(name),)
        for source in steps.variants[link.source]:
            result += [Edge(source, target, link.kind, condition) for target in targets]
    return result


def edge_count(steps: Steps) -> int:
    """Return how many edges `edges` would make."""
    return sum(len(steps.variants[link.source]) * len(steps.variants[link.target]) for link in steps.links)


def graph_findings(written: Written, steps: Steps) -> list[Finding]:
    """Return what is wrong with the graph as a whole: cycles, steps that never run, joins without a meaning."""
    names = list(steps.specs)
    findings = []
    for cycle in lint.cycles(names, steps.links):
        way = " → ".join([cycle[0].source, *(link.target for link in cycle)])
        place = written.place(link_path(cycle[-1]))
        message = f"the steps run in a circle: {way}" if len(cycle) > 1 else f"the step leads to itself: {way}"
        findings.append(Finding("cycle", place, message, "remove one of these edges; to try again use `retry`"))
    if edge_count(steps) > MAX_EDGES:
        message = f"more than {MAX_EDGES} edges after matrices are expanded"
        hint = "put a step between two matrices"
        findings.append(Finding("too_many", written.place(("steps",), key=True), message, hint))
    if findings:
        return findings
    specs = steps.right()
    joins = {name: Join(spec.join) for name, spec in specs.items()}
    tolerant = frozenset(name for name, spec in specs.items() if spec.allow_failure or spec.matrix)
    for name in lint.never_run(names, steps.links, joins, tolerant):
        message = f"the step {shown(name)} can never run: the edges that lead to it exclude each other"
        hint = "with `join: any` one taken edge is enough"
        findings.append(Finding("unreachable_step", written.place(("steps", name), key=True), message, hint))
    with_edges = {link.target for link in steps.links}
    for name, join in joins.items():
        if join is not Join.ALL and name not in with_edges:
            place = written.place(("steps", name, "join"), key=True)
            message = f"`join: {join}` of a step that no edge leads to: it starts the run"
            findings.append(Finding("unused_join", place, message, "name it in another step", Severity.WARNING))
    return findings


def _variants(
    written: Written, specs: Mapping[str, StepSpec | None], findings: list[Finding]
) -> dict[str, dict[StepKey, matrix.Values]]:
    """Return the keys of every step with their matrix values."""
    variants: dict[str, dict[StepKey, matrix.Values]] = {}
    taken = dict.fromkeys(specs, "the step of that name")
    for name, spec in specs.items():
        variants[name] = {}
        where: Path = ("steps", name, "matrix")
        if spec is None or spec.matrix is None:
            variants[name][StepKey(name)] = {}
            continue
        try:
            combinations = matrix.combinations(spec.matrix)
        except PydanticCustomError as error:
            context = error.context or {}
            place = written.place((*where, *([context["at"]] if context["at"] else ())), key=True)
            findings.append(Finding(error.type, place, context["message"], context["hint"]))
            continue
        for values in combinations:
            key = matrix.key(name, values)
            if key in taken:
                message = f"two steps would be called {shown(key)}: {_pairs(values)} and {taken[key]}"
                hint = "rename the step, or remove the value that stands twice"
                findings.append(Finding("duplicate_matrix_key", written.place(where, key=True), message, hint))
            taken[key] = _pairs(values)
            variants[name][StepKey(key)] = values
    return variants


def _pairs(values: matrix.Values) -> str:
    return ", ".join(f"{axis}={shown(value)}" for axis, value in values.items())


def _links(
    written: Written,
    specs: Mapping[str, StepSpec | None],
    variants: Mapping[str, Mapping[StepKey, matrix.Values]],
    findings: list[Finding],
) -> tuple[lint.Link, ...]:
    """Return the edges by name, after looking up what they name."""
    by_key = {str(key): name for name, keys in variants.items() for key in keys}
    links: list[lint.Link] = []
    for source, spec in specs.items():
        for edge_kind in EdgeKind if spec is not None else ():
            seen: set[str] = set()
            items: list[EdgeSpec] = getattr(spec, edge_kind.value)
            for index, item in enumerate(items):
                link = lint.Link(
                    source, item.step if item.step in specs else by_key.get(item.step, ""), edge_kind, index
                )
                if not link.target:
                    message = f"there is no step {shown(item.step)}"
                    hint = did_you_mean(item.step, specs)
                    findings.append(Finding("unknown_step", written.place(_name_path(link)), message, hint))
                elif item.step in seen:
                    message = f"the edge to {shown(item.step)} stands here a second time"
                    findings.append(
                        Finding("duplicate_edge", written.place(link_path(link)), message, "remove one of the two")
                    )
                else:
                    links.append(link)
                seen.add(item.step)
    return tuple(links)


def _place(written: Written, base: Path, path: Path, key: bool) -> Position:  # noqa: FBT001 - a problems.Place
    """Return the place of a part of a step; of its name when the step as a whole is meant."""
    return written.place((*base, *path), key or not path)


def _name_path(link: lint.Link) -> Path:
    return (*link_path(link), "step")


def _too_many_steps(written: Written) -> Finding:
    hint = "split the pipeline; one can start another with `after`"
    return Finding("too_many", written.place(("steps",), key=True), f"more than {MAX_STEPS} steps", hint)
