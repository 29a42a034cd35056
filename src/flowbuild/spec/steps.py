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
from flowbuild.spec.problems import Checked
from flowbuild.spec.words import did_you_mean, kind, shown
from flowbuild.spec.written import Written
from flowbuild.spec.yamlpos import Path

MAX_STEPS = 1000  # after matrices are expanded
MAX_EDGES = 20_000


@dataclass(frozen=True, slots=True)
class Steps:
    """Checked steps. `checks` holds what was found of each; `complete` says that nothing was, so the graph can be judged."""

    checks: dict[str, Checked[StepSpec]]
    variants: dict[str, dict[StepKey, matrix.Values]] = field(default_factory=dict)  # by name: key -> matrix values
    links: tuple[lint.Link, ...] = ()
    complete: bool = False

    def right(self) -> dict[str, StepSpec]:
        """Return what is right of the steps, by name."""
        return {name: check.model for name, check in self.checks.items() if check.model is not None}

    def axes(self, name: str) -> frozenset[str] | None:
        """Return the names that `matrix.…` has in a step; None when its matrix is wrong."""
        if self.checks[name].lost("matrix"):
            return None
        spec = self.checks[name].model
        return matrix.names(spec.matrix) if spec and spec.matrix else frozenset()

    def known(self) -> frozenset[str] | None:
        """Return what may follow `steps.` in an expression: names, and keys of matrix steps; None when not all are known."""
        if not all(self.variants.get(name) for name in self.checks):
            return None
        return frozenset(self.checks) | {key for variants in self.variants.values() for key in variants}

    def name_of(self, name_or_key: str) -> str:
        """Return the name of the step that a name or a key means."""
        if name_or_key in self.checks:
            return name_or_key
        return next(name for name, variants in self.variants.items() if name_or_key in variants)

    def edge_spec(self, link: lint.Link) -> EdgeSpec:
        """Return the edge as it is written."""
        return _edge_specs(self.checks[link.source], link.kind)[link.index]


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
    checks: dict[str, Checked[StepSpec]] = {}
    for name, data in raw.items():
        base: Path = ("steps", name)
        checks[name] = problems.check(StepSpec, data, functools.partial(_place, written, base))
        findings += [*checks[name].findings, *_definition(checks[name], written.place(base, key=True))]
        if not STEP_NAME.fullmatch(name):
            hint = "up to 48 letters, digits, `-` and `_`, beginning with a letter or a digit"
            message = f"{shown(name)} is not a name of a step"
            findings.append(Finding("bad_name", written.place(base, key=True), message, hint))
    variants = _variants(written, checks, findings)
    if sum(map(len, variants.values())) > MAX_STEPS:
        return Steps({}), [*findings, _too_many_steps(written)]
    links = _links(written, checks, variants, findings)
    return Steps(checks, variants, links, complete=not findings), findings


def _definition(check: Checked[StepSpec], place: Position) -> list[Finding]:
    """Return what is wrong when a step does not have exactly one compose definition."""
    spec = check.model
    if spec is None or (spec.action is None) != (spec.compose is None) or check.lost("action") or check.lost("compose"):
        return []
    what = "both `action` and `compose`" if spec.action else "neither `action` nor `compose`"
    return [Finding("step_definition", place, f"the step has {what}", "give exactly one of them")]


def edges(steps: Steps) -> list[Edge]:
    """Return the edges between keys: to every variant of a matrix step, from every variant of one."""
    result = []
    for link in steps.links:
        condition = steps.edge_spec(link).condition
        name = steps.edge_spec(link).step
        targets = steps.variants[name] if name in steps.checks else (StepKey(name),)
        for source in steps.variants[link.source]:
            result += [Edge(source, target, link.kind, condition) for target in targets]
    return result


def edge_count(steps: Steps) -> int:
    """Return how many edges `edges` would make."""
    return sum(len(steps.variants[link.source]) * len(steps.variants[link.target]) for link in steps.links)


def graph_findings(written: Written, steps: Steps) -> list[Finding]:
    """Return what is wrong with the graph as a whole: cycles, steps that never run, joins without a meaning.

    Only cycles are looked for when edges may be missing.
    """
    names = list(steps.checks)
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
    if findings or not steps.complete:
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
    written: Written, checks: Mapping[str, Checked[StepSpec]], findings: list[Finding]
) -> dict[str, dict[StepKey, matrix.Values]]:
    """Return the keys of every step with their matrix values; none for a step whose matrix is wrong."""
    variants: dict[str, dict[StepKey, matrix.Values]] = {}
    taken = dict.fromkeys(checks, "the step of that name")
    for name, check in checks.items():
        variants[name] = {}
        spec = check.model
        if check.lost("matrix"):
            continue
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
    checks: Mapping[str, Checked[StepSpec]],
    variants: Mapping[str, Mapping[StepKey, matrix.Values]],
    findings: list[Finding],
) -> tuple[lint.Link, ...]:
    """Return the edges by name, after looking up what they name."""
    by_key = {str(key): name for name, keys in variants.items() for key in keys}
    unknown = tuple(f"{name}-" for name, keys in variants.items() if not keys)  # how keys of a wrong matrix begin
    links: list[lint.Link] = []
    for source, check in checks.items():
        for edge_kind in EdgeKind:
            seen: set[str] = set()
            for index, item in _edge_specs(check, edge_kind).items():
                target = item.step if item.step in checks else by_key.get(item.step, "")
                link = lint.Link(source, target, edge_kind, index)
                if not link.target:
                    if written.unnamed or item.step.startswith(unknown):
                        continue
                    message = f"there is no step {shown(item.step)}"
                    hint = did_you_mean(item.step, checks)
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


def _edge_specs(check: Checked[StepSpec], edge_kind: EdgeKind) -> dict[int, EdgeSpec]:
    """Return the edges of a step by their index in the file."""
    items: list[EdgeSpec] = getattr(check.model, edge_kind.value) if check.model is not None else []
    gone = {path[1] for path in check.dropped if path[:1] == (edge_kind.value,) and isinstance(path[-1], int)}
    indexes = (index for index in range(len(items) + len(gone)) if index not in gone)
    return dict(zip(indexes, items, strict=True))


def _place(written: Written, base: Path, path: Path, key: bool) -> Position:  # noqa: FBT001 - a problems.Place
    """Return the place of a part of a step; of its name when the step as a whole is meant."""
    return written.place((*base, *path), key or not path)


def _name_path(link: lint.Link) -> Path:
    return (*link_path(link), "step")


def _too_many_steps(written: Written) -> Finding:
    hint = "split the pipeline; one can start another with `after`"
    return Finding("too_many", written.place(("steps",), key=True), f"more than {MAX_STEPS} steps", hint)
