"""What a runner is told about an attempt: definition, input, variables, declared secrets, facts for conditions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from flowbuild.client.runner import Assignment, Lease, Network
from flowbuild.core.context import StepsView, expression_context
from flowbuild.core.errors import InvalidRequest
from flowbuild.core.ids import RunId, summary_path
from flowbuild.core.model import EdgeKind, Pipeline, Step
from flowbuild.core.placement import MEMBERS
from flowbuild.core.redact import check_secrets
from flowbuild.core.run import Run
from flowbuild.core.sources import Trust
from flowbuild.core.states import Outcome, StepState
from flowbuild.store.attempts import AttemptKey, AttemptRow
from flowbuild.store.runs import RunRow


@dataclass(frozen=True, slots=True)
class Given:
    """Values of secrets that a step declared, by name; why it does not get others; what is in the way of beginning it.

    A name that is in neither had a value that is not known any more: what the step prints cannot be masked.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    withheld: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""


class SecretSource(Protocol):
    """Where secrets of runs come from: what was given with them, or what is kept in their projects. Blocking."""

    def put(self, run: RunId, pipeline: Pipeline, values: Mapping[str, str]) -> None:
        """Take the values that were given with a new run; raises InvalidRequest."""
        ...

    def of(self, stored: RunRow, step: Step, launched_at: float | None) -> Given:
        """Return what a step gets, or got when it was launched at that time. Raises StoreError."""
        ...


class SecretBox:
    """A `SecretSource`: values of open runs, in memory only. They are never stored."""

    def __init__(self) -> None:
        self._values: dict[RunId, Mapping[str, str]] = {}

    def put(self, run: RunId, pipeline: Pipeline, values: Mapping[str, str]) -> None:
        """Keep the values that the pipeline declares; raises InvalidRequest for those that are missing or unusable."""
        declared = sorted({name for step in pipeline.steps for name in step.secrets})
        missing = [name for name in declared if name not in values]
        if missing:
            raise InvalidRequest(
                f"no value for the secret(s) {', '.join(missing)}",
                hint=f"give --secret {missing[0]} (from the environment), --secret {missing[0]}=VALUE or --secret-file FILE",
            )
        kept = {name: values[name] for name in declared}
        check_secrets(kept)
        self._values[run] = kept

    def of(self, stored: RunRow, step: Step, launched_at: float | None) -> Given:  # noqa: ARG002 (they never change)
        """Return the values that a step declared; none for a run whose values are gone."""
        values = self._values.get(stored.run.id, {})
        return Given({name: values[name] for name in step.secrets if name in values})


class Assignments:
    """Makes assignments.

    `source_objects` tells the object directories of a run's source by its directory, `versions` those of secrets.
    """

    def __init__(
        self,
        secrets: SecretSource,
        source_objects: Callable[[str], Sequence[str]],
        versions: Callable[[Mapping[str, str]], Mapping[str, str]],
    ) -> None:
        self._secrets = secrets
        self._source_objects = source_objects
        self._versions = versions

    def make(self, stored: RunRow, row: AttemptRow) -> Assignment:
        """Return the assignment of a claimed attempt, and what will probably follow it."""
        network: Network = "overlay" if stored.network == MEMBERS else ""
        made = [self._assignment(stored, each) for each in (row, *_upcoming(stored.run, row))]
        first, *upcoming = (replace(each, network=network) for each in made)
        return replace(first, upcoming=tuple(upcoming))

    def for_debug(
        self,
        stored: RunRow,
        key: AttemptKey,
        commit: str,
        variables: Mapping[str, str],
        secrets: Mapping[str, str],
    ) -> Assignment:
        """Return an assignment to look at an attempt, not to do it: the step on any commit; raises InvalidRequest."""
        row = AttemptRow(key, "upcoming", commit, 0.0, details={"variables": variables})
        declared = stored.run.pipeline.step(key.step).secrets
        known = {name: secrets[name] for name in declared if name in secrets}
        check_secrets(known)
        return self._assignment(stored, row, Given(known))

    def _assignment(self, stored: RunRow, row: AttemptRow, given: Given | None = None) -> Assignment:
        run, key = stored.run, row.key
        step, state = run.pipeline.step(key.step), run.steps[key.step]
        variables = state.input_variables if row.state != "upcoming" else row.details["variables"]
        given = given or self._secrets.of(stored, step, row.started_at)
        return Assignment(
            lease=Lease(key.run, key.step, key.attempt, key.epoch),
            state=row.state,
            step=step,
            repository=stored.repository,
            input_commit=row.input_commit,
            source_objects=tuple(self._source_objects(stored.directory)) if run.pipeline.checkout else (),
            variables=variables,
            secrets=given.values,
            secret_versions=self._versions(given.values) if step.cache is not None and given.values else {},
            withheld=given.withheld,
            problem=given.problem,
            trusted=stored.trust != Trust.UNTRUSTED,
            environment=flow_environment(stored, step, row),
            facts=expression_context(
                run.context, variables=variables, matrix=step.matrix, steps=StepsView(run.pipeline, run.steps)
            ),
            trailers=attempt_trailers(stored, row),
            stop=row.stop,
        )


def flow_environment(stored: RunRow, step: Step, row: AttemptRow) -> dict[str, str]:
    """Return the FLOW_* variables of a step's services."""
    run, context = stored.run, stored.run.context
    failed = [key for key, other in run.steps.items() if other.outcome in (Outcome.FAILED, Outcome.ERRORED)]
    values = {
        "FLOW": "true",
        "FLOW_RUN_ID": run.id,
        "FLOW_RUN_NUMBER": str(stored.number),
        "FLOW_PROJECT": stored.project.rpartition("/")[2],
        "FLOW_PIPELINE": run.pipeline.name,
        "FLOW_STEP": step.key,
        "FLOW_ATTEMPT": str(row.key.attempt),
        "FLOW_BRANCH": context.branch,
        "FLOW_TAG": context.tag,
        "FLOW_COMMIT": context.commit,
        "FLOW_EVENT": context.event,
        "FLOW_FAILED_STEPS": ",".join(failed),
        "FLOW_SUMMARY": f"/workspace/{summary_path(step.key)}",
    }
    values |= {f"FLOW_MATRIX_{name.upper()}": value for name, value in step.matrix.items()}
    values |= {f"FLOW_INPUT_{name.upper()}": _text(value) for name, value in context.inputs.items()}
    return values


def _text(value: str | float | bool) -> str:  # noqa: FBT001 (a value of an input, not a switch)
    return str(value).lower() if isinstance(value, bool) else str(value)


def attempt_trailers(stored: RunRow, row: AttemptRow) -> dict[str, str]:
    """Return what every commit of an attempt says about it, however it comes about."""
    step = stored.run.pipeline.step(row.key.step)
    return {
        "Flow-Run": stored.run.id,
        "Flow-Step": step.key,
        "Flow-Attempt": str(row.key.attempt),
        "Flow-Epoch": str(row.key.epoch),
        "Flow-Input": row.input_commit,
        "Flow-Definition": step.definition_hash,
    }


def _upcoming(run: Run, row: AttemptRow) -> list[AttemptRow]:
    """Return the attempts that follow if this one succeeds, changes no variable, and nothing else decides them."""
    incoming = Counter(edge.target for edge in run.pipeline.edges if edge.kind is not EdgeKind.FAIL)
    found = []
    for edge in run.pipeline.edges:
        if edge.source != row.key.step or edge.kind is EdgeKind.FAIL or edge.condition is not None:
            continue
        target, state = run.pipeline.step(edge.target), run.steps[edge.target]
        if incoming[edge.target] == 1 and state.state is StepState.PENDING and target.environment is None:
            key = AttemptKey(row.key.run, target.key, state.attempt + 1, 1)
            variables = {"variables": run.steps[row.key.step].variables}
            found.append(AttemptRow(key, "upcoming", row.input_commit, row.queued_at, details=variables))
    return found
