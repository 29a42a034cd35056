"""How the containers of an attempt ended, and what an error means for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from flowbuild.client.runner import AttemptResult, ServiceResult
from flowbuild.core.errors import Conflict, EngineError, FlowError, SystemFailed
from flowbuild.core.states import Outcome, Reason
from flowbuild.engine.base import BuildFailed, EngineUnreachable, ImageUnavailable, Unit, Verdict
from flowbuild.workspace.slots import Committed, WorkspaceGone

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Ended:
    """How the run phase ended, before the workspace is committed. `over`: nothing of the unit runs any more."""

    outcome: Outcome
    reason: Reason | None = None
    message: str = ""
    exit_code: int | None = None
    over: bool = False
    services: Mapping[str, ServiceResult] = field(default_factory=dict)


def ended_by(verdict: Verdict) -> Ended:
    """Return the end that a verdict tells."""
    services = {
        one.service: ServiceResult(one.status, one.exit_code, one.oom_killed, one.error) for one in verdict.services
    }
    return Ended(verdict.outcome, verdict.reason, verdict.message, verdict.exit_code, verdict.over, services)


def result_of(ended: Ended, committed: Committed, unit: Unit) -> AttemptResult:
    """Return what the server is told of an end whose workspace was committed."""
    return AttemptResult(
        ended.outcome,
        ended.reason,
        ended.message,
        ended.exit_code,
        committed.commit,
        committed.variables,
        changes=committed.changed,
        images=unit.images,
        services=ended.services,
    )


def classify(error: Exception) -> tuple[Outcome, Reason, str]:
    """Tell the user's fault from ours; our own bugs count as the engine's."""
    if not isinstance(error, FlowError):
        if isinstance(error, OSError):
            return Outcome.ERRORED, Reason.WORKSPACE_ERROR, f"the machine refused: {error}"
        log.error("attempt_broke", exc_info=error)
        return Outcome.ERRORED, Reason.ENGINE_ERROR, f"internal error: {error!r}; flow.log tells more"
    message = f"{error.message} ({error.hint})" if error.hint else error.message
    if isinstance(error, BuildFailed):
        return Outcome.FAILED, Reason.EXIT_CODE, message
    if isinstance(error, ImageUnavailable):
        return Outcome.ERRORED, Reason.IMAGE_UNAVAILABLE, message
    if isinstance(error, EngineUnreachable | WorkspaceGone):  # containers may have run, and what they did is not known
        return Outcome.ERRORED, Reason.INFRA_LOST, message
    if isinstance(error, EngineError):
        return Outcome.ERRORED, Reason.ENGINE_ERROR, message
    if isinstance(error, SystemFailed | Conflict):  # a conflict: something of ours is not as it should be
        return Outcome.ERRORED, Reason.WORKSPACE_ERROR, message
    return Outcome.FAILED, Reason.REFUSED, message
