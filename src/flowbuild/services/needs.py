"""What a step of a run asks of a machine."""

from __future__ import annotations

from typing import Any

from flowbuild.core.context import StepsView, expression_context
from flowbuild.core.expr import ExpressionError
from flowbuild.core.ids import StepKey
from flowbuild.core.placement import ANYWHERE, Needs
from flowbuild.core.run import Run
from flowbuild.spec import compose, interpolate

_KEYS = ("deploy", "mem_reservation")


def needs_of(run: Run, key: StepKey) -> Needs:
    """Return what a step asks, with its expressions and variables as they are now.

    When that says nothing it may run anywhere: the runner that gets it tells people what is wrong.
    """
    step, variables = run.pipeline.step(key), run.steps[key].input_variables
    services: dict[str, dict[str, Any]] = {
        name: {key: service[key] for key in _KEYS if key in service}
        for name, service in step.compose.get("services", {}).items()
    }
    facts = expression_context(
        run.context, variables=variables, matrix=step.matrix, steps=StepsView(run.pipeline, run.steps)
    )
    try:
        rendered = interpolate.render_tree(services, facts, quote=compose.escape)
        return compose.needs({"services": rendered}, variables)
    except (ExpressionError, ValueError):
        return ANYWHERE
