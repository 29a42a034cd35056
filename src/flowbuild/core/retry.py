"""Whether a step is tried again after an attempt."""

from __future__ import annotations

from flowbuild.core.model import Step
from flowbuild.core.states import Outcome, Reason

MAX_EPOCH = 3  # how often an attempt that was never launched is offered before it counts as lost


def retry_delay(step: Step, attempt: int, outcome: Outcome, reason: Reason | None) -> float | None:
    """Return the seconds to wait before the next attempt, None when there is none.

    A step that acts on an environment is never repeated after its runner was lost: what it did there is not known.
    """
    if outcome not in (Outcome.FAILED, Outcome.ERRORED) or attempt > step.retry.max:
        return None
    if step.environment is not None and reason is Reason.INFRA_LOST:
        return None
    if outcome in step.retry.on or reason in step.retry.on:
        return step.retry.delay
    return None
