"""What conditions see of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flowbuild.core.ids import StepKey
from flowbuild.core.model import Pipeline
from flowbuild.core.run import RunContext, StepRun
from flowbuild.core.states import Outcome

# Of the steps that a matrix makes of one, the name in the file stands for the worst.
_WORST_FIRST = (None, Outcome.FAILED, Outcome.ERRORED, Outcome.CANCELLED, Outcome.SUCCEEDED, Outcome.SKIPPED)


@dataclass(frozen=True, slots=True)
class StepsView(Mapping[str, Mapping[str, Any]]):
    """`steps` in an expression: outcome ("" before the end) and exit_code (null) by step key, or by name in the file."""

    pipeline: Pipeline
    steps: Mapping[StepKey, StepRun]

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        step = self.steps.get(StepKey(name)) or self._worst(name)
        if step is None:
            raise KeyError(name)
        return {"outcome": str(step.outcome or ""), "exit_code": step.exit_code}

    def __iter__(self) -> Iterator[str]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def _worst(self, name: str) -> StepRun | None:
        expanded = [self.steps[step.key] for step in self.pipeline.steps if step.name == name]
        return min(expanded, key=lambda step: _WORST_FIRST.index(step.outcome), default=None)


def expression_context(
    context: RunContext, *, variables: Mapping[str, str], matrix: Mapping[str, str], steps: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return the names that `expr` knows. Whole numbers become integers: CEL does not mix 3.0 * 2."""
    inputs = {
        name: int(value) if isinstance(value, float) and value.is_integer() else value
        for name, value in context.inputs.items()
    }
    return {
        "branch": context.branch,
        "tag": context.tag,
        "commit": context.commit,
        "event": context.event,
        "inputs": inputs,
        "variables": variables,
        "matrix": matrix,
        "steps": steps,
    }
