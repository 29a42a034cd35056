"""One turn of the machine: a run while an event is applied to it. The only mutable thing in `core`, gone afterwards."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flowbuild.core.commands import Command
from flowbuild.core.context import StepsView, expression_context
from flowbuild.core.expr import compile as compile_expression
from flowbuild.core.ids import StepKey
from flowbuild.core.model import Step
from flowbuild.core.run import Run, StepRun
from flowbuild.core.states import EdgeState, Outcome, Reason, RunState, StepState

SETTLED = frozenset({StepState.SERVING, StepState.DONE})


class Turn:
    """Working copy of a run. `decide` makes one per event and turns it into the next run and the commands."""

    def __init__(self, run: Run, now: float) -> None:
        self.before = run
        self.pipeline = run.pipeline
        self.now = now
        self.state = run.state
        self.steps: dict[StepKey, StepRun] = dict(run.steps)
        self.edges: list[EdgeState] = list(run.edges)
        self.commands: list[Command] = []
        self.broken: dict[StepKey, str] = {}  # steps with an edge whose condition cannot be evaluated: the message
        self._changes: dict[str, Any] = {}
        self._unchecked: deque[StepKey] = deque()
        self._waiting: set[StepKey] = set()  # the same, to find one without a search

    def definition(self, key: StepKey) -> Step:
        """Return what the pipeline says about the step."""
        return self.pipeline.by_key[key]

    def update(self, key: StepKey, **changes: Any) -> None:
        """Change fields of a step."""
        self.steps[key] = replace(self.steps[key], **changes)

    def update_run(self, **changes: Any) -> None:
        """Change fields of the run other than steps and edges."""
        self._changes.update(changes)
        self.state = changes.get("state", self.state)

    def emit(self, command: Command) -> None:
        """Ask for an effect."""
        self.commands.append(command)

    def recheck(self, key: StepKey) -> None:
        """Remember that the join of the step may have become decided."""
        if key not in self._waiting:
            self._waiting.add(key)
            self._unchecked.append(key)

    def next_unchecked(self) -> StepKey | None:
        """Take the next step whose join is to be looked at; a queue, because a cascade may be longer than the stack."""
        if not self._unchecked:
            return None
        key = self._unchecked.popleft()
        self._waiting.discard(key)
        return key

    def test(self, condition: str, key: StepKey, variables: Mapping[str, str]) -> bool:
        """Evaluate a condition for a step; raises ExpressionError."""
        context = expression_context(
            self.before.context,
            variables=variables,
            matrix=self.definition(key).matrix,
            steps=StepsView(self.pipeline, self.steps),
        )
        return compile_expression(condition).test(context)

    def settled(self) -> bool:
        """Whether no step has anything left to do; background steps may still be up."""
        return all(step.state in SETTLED for step in self.steps.values())

    def cancel_reason(self) -> Reason | None:
        """Return why the run is being cancelled."""
        reason: Reason | None = self._changes.get("cancel_reason", self.before.cancel_reason)
        return reason

    def outcome(self) -> RunState:
        """Return how the run ends when all of its steps have ended. Failed before errored before cancelled.

        A cancel that came too late to keep any step from its end cancelled nothing.
        """
        ended = {
            step.outcome
            for key, step in self.steps.items()
            if not (step.outcome is Outcome.FAILED and self.definition(key).allow_failure)
        }
        if Outcome.FAILED in ended or self.cancel_reason() is Reason.RUN_TIMEOUT:
            return RunState.FAILED
        if Outcome.ERRORED in ended:
            return RunState.ERRORED
        if Outcome.CANCELLED in ended:
            return RunState.CANCELLED
        return RunState.SUCCEEDED

    def result(self) -> Run:
        """Return the run after the event; the same object when nothing changed."""
        edges = tuple(self.edges)
        if not self._changes and edges == self.before.edges and self.steps == self.before.steps:
            return self.before
        return replace(self.before, steps=self.steps, edges=edges, **self._changes)
