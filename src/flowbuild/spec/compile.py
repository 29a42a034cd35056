"""From a document to pipelines: every check that needs more than one place of the file, then `core.model` values."""

from __future__ import annotations

import functools

from pydantic_core import PydanticCustomError

from flowbuild.core import expr
from flowbuild.core.model import Pipeline, Position
from flowbuild.spec import caching, interpolate, lint, problems
from flowbuild.spec import steps as step_reader
from flowbuild.spec import written as written_reader
from flowbuild.spec.assemble import assemble
from flowbuild.spec.definitions import Definition, Definitions
from flowbuild.spec.expressions import Expressions, Inside
from flowbuild.spec.findings import Finding, has_errors
from flowbuild.spec.format import FileHeader, PipelineHeader
from flowbuild.spec.problems import Checked
from flowbuild.spec.scalars import check_pipeline_name
from flowbuild.spec.source import Repository
from flowbuild.spec.steps import Steps, link_path
from flowbuild.spec.words import shown
from flowbuild.spec.written import Written
from flowbuild.spec.yamlpos import Document, Path

MAX_FINDINGS = 200  # of one file; nobody reads more


def compile(  # noqa: A001 - the verb of the field; read as compile.compile
    document: Document, repository: Repository, *, trusted: bool = True
) -> tuple[dict[str, Pipeline], list[Finding]]:
    """Return the pipelines of a document that have no errors, and every problem of all of them.

    `repository` gives the files that `action` and compose files refer to. `trusted` is the class of who wrote the file:
    what compose files of others may not do is decided by `spec.compose`.
    """
    compiled, findings = compile_file(document, repository, trusted=trusted)
    return {written.name: pipeline for written, pipeline in compiled if pipeline is not None}, findings


def compile_file(
    document: Document, repository: Repository, *, trusted: bool = True
) -> tuple[list[tuple[Written, Pipeline | None]], list[Finding]]:
    """Do what `compile` does, and keep what was written beside every pipeline; None for one with errors."""
    pipelines, findings = written_reader.read(document)
    findings += _header_findings(document)
    definitions = Definitions(repository, trusted=trusted)
    expressions = Expressions()
    compiled: list[tuple[Written, Pipeline | None]] = []
    for written in pipelines:
        pipeline, found = _Compiler(written, definitions, expressions).run()
        compiled.append((written, pipeline))
        findings += found
        if len(findings) > MAX_FINDINGS:
            break
    unique = list(dict.fromkeys(findings))
    if len(unique) > MAX_FINDINGS:
        place = unique[MAX_FINDINGS].position
        message = f"{len(unique) - MAX_FINDINGS} or more further problems"
        unique = [*unique[:MAX_FINDINGS], Finding("too_many_findings", place, message, "correct the first ones")]
    return compiled, unique


def _header_findings(document: Document) -> list[Finding]:
    """Return what is wrong with what the file says about all pipelines, also when each of them has its own."""
    data = document.data if isinstance(document.data, dict) else {}
    head = {key: data[key] for key in written_reader.FOR_ALL if key in data}
    return problems.check(FileHeader, head, lambda path, key: document.position(path, key=key)).findings


class _Compiler:
    """Compiles one pipeline and collects its problems."""

    def __init__(self, written: Written, definitions: Definitions, expressions: Expressions) -> None:
        self._written = written
        self._definitions = definitions
        self._expressions = expressions
        self._findings: list[Finding] = []
        expressions.findings = self._findings

    def run(self) -> tuple[Pipeline | None, list[Finding]]:
        written = self._written
        self._name()
        head = {key: value for key, value in written.data.items() if key != "steps"}
        checked = problems.check(PipelineHeader, head, written.place, besides=written.own_keys)
        self._findings += checked.findings
        header = checked.model
        steps, found = step_reader.read(written)
        if "steps" in written.data or "steps" not in checked.meant:
            self._findings += found
        self._scope = _Scope(checked, steps, self._graph(steps))
        if header is not None:
            self._header_texts(header)
            self._findings += caching.findings(written, steps, checkout=header.checkout, before=self._scope.before)
        self._step_texts(steps)
        definitions = self._load_definitions(steps)
        if header is None or has_errors(self._findings):
            return None, self._findings
        return assemble(written, header, steps, definitions), self._findings

    def _name(self) -> None:
        try:
            check_pipeline_name(self._written.name)
        except PydanticCustomError as error:
            context = error.context or {}
            self._findings.append(Finding(error.type, self._written.position, context["message"], context["hint"]))

    def _graph(self, steps: Steps) -> dict[str, frozenset[str]] | None:
        """Check the graph; return what comes before every step, None when the graph cannot be judged."""
        found = step_reader.graph_findings(self._written, steps)
        self._findings += found
        return None if has_errors(found) or not steps.complete else lint.ancestors(list(steps.checks), steps.links)

    def _header_texts(self, header: PipelineHeader) -> None:
        """Check `${{ … }}` where nothing has run yet."""
        names = self._scope.at_start()
        for name, text in header.variables.items():
            self._template(text, names, ("variables", name))
        if header.concurrency is not None:
            self._template(header.concurrency.group, names, ("concurrency", "group"))

    def _step_texts(self, steps: Steps) -> None:
        """Check every `if` and the names of environments."""
        for name, spec in steps.right().items():
            base: Path = ("steps", name)
            self._condition(spec.condition, name, (*base, "if"))
            if spec.environment is not None:
                path: Path = (*base, "environment", "name")
                expressions = self._template(spec.environment.name, self._scope.of_step(name), path)
                self._order(expressions, name, self._written.inside(path, 1, 1))
        for link in steps.links:
            self._condition(steps.edge_spec(link).condition, link.source, (*link_path(link), "if"), ended=True)

    def _condition(self, text: str | None, name: str, path: Path, *, ended: bool = False) -> None:
        """Check an `if` that is evaluated before the step begins, or when it has ended."""
        if text is None:
            return
        inside = functools.partial(self._written.inside, path)
        expression = self._expressions.condition(text, self._scope.of_step(name), inside)
        if expression is not None:
            self._order((expression,), name, inside(1, 1), ended=ended)

    def _template(self, text: str, names: expr.Names, path: Path) -> tuple[expr.Expression, ...]:
        return self._expressions.template(text, names, functools.partial(self._written.inside, path))

    def _order(
        self, expressions: tuple[expr.Expression, ...], name: str, place: Position, *, ended: bool = False
    ) -> None:
        """Refuse to read the outcome of a step that may not have ended: the result would depend on speed."""
        before = self._scope.before(name)
        if before is None:
            return
        read = {member for expression in expressions for member in expression.members.get("steps", ())}
        for member in sorted(read):
            step = self._scope.steps.name_of(member)
            if step not in before and not (ended and step == name):
                message = f"the step {shown(member)} need not have ended when this is evaluated"
                hint = "read only steps that lead here"
                self._findings.append(Finding("condition_order", place, message, hint))

    def _load_definitions(self, steps: Steps) -> dict[str, Definition]:
        """Load the compose definitions of all steps that are right so far, and check the texts in them."""
        loaded: dict[str, Definition] = {}
        for name, spec in steps.right().items():
            definition, found = self._definitions.load(self._written, name, spec)
            self._findings += found
            if definition is not None:
                loaded[name] = definition
                self._definition_texts(name, definition)
        return loaded

    def _definition_texts(self, name: str, definition: Definition) -> None:
        for path, text in interpolate.texts(definition.model):
            inside: Inside = functools.partial(definition.inside, path)
            if interpolate.in_program(path):
                message = "an expression may not become part of a program"
                hint = "use an environment variable or a build argument"
                self._findings.append(Finding("interpolation", inside(1, 1), message, hint))
                continue
            expressions = self._expressions.template(text, self._scope.of_step(name), inside)
            self._order(expressions, name, inside(1, 1))


class _Scope:
    """Which names expressions may use at a place of the pipeline."""

    def __init__(
        self, header: Checked[PipelineHeader], steps: Steps, ancestors: dict[str, frozenset[str]] | None
    ) -> None:
        self.steps = steps
        self._ancestors = ancestors
        complete = header.model is not None and not header.lost("inputs")
        self._inputs = frozenset(header.model.inputs) if header.model is not None and complete else None
        self._names: dict[frozenset[str] | None, expr.Names] = {}
        self._known = steps.known()

    def at_start(self) -> expr.Names:
        """Return the names before anything has run."""
        return expr.Names(inputs=self._inputs, variables=(), steps=(), matrix=())

    def of_step(self, name: str) -> expr.Names:
        """Return the names in a step; the same object for the same names, so that expressions are compiled once."""
        axes = self.steps.axes(name)
        if axes not in self._names:
            self._names[axes] = expr.Names(inputs=self._inputs, steps=self._known, matrix=axes)
        return self._names[axes]

    def before(self, name: str) -> frozenset[str] | None:
        """Return the steps that come before a step; None when the graph cannot be judged."""
        return None if self._ancestors is None else self._ancestors[name]
