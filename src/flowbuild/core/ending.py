"""How a run ends: by itself, cancelled, or because something never answers."""

from __future__ import annotations

from flowbuild.core.commands import FinishRun, SetTimer, StopAttempt
from flowbuild.core.ids import StepKey
from flowbuild.core.states import Outcome, Reason, RunState, StepState
from flowbuild.core.steps import end
from flowbuild.core.turn import SETTLED, Turn

GRACE = 90.0  # seconds after a stop was asked for until the server ends what does not answer

RUN_TIMEOUT_TIMER = "run-timeout"
CANCEL_TIMER = "cancel-grace"
STOP_TIMER = "stop-grace"


def cancel(turn: Turn, reason: Reason, *, force: bool) -> None:
    """End everything: what does not run at once, what runs by being stopped. Steps that ended keep their outcome.

    When only background steps are left nothing is cancelled: they are being stopped, and the run has its outcome.
    """
    if turn.state is RunState.CANCELLING or turn.settled():
        if force and not turn.before.cancel_forced:
            turn.update_run(cancel_forced=True)
            _stop(turn, force=True)
        return
    turn.update_run(state=RunState.CANCELLING, cancel_reason=reason, cancel_forced=force)
    _stop(turn, force=force)
    for key in turn.pipeline.by_key:
        if turn.steps[key].state not in SETTLED and turn.steps[key].state is not StepState.RUNNING:
            end(turn, key, Outcome.CANCELLED, reason)
    if _up(turn):
        turn.emit(SetTimer(CANCEL_TIMER, turn.now + GRACE))


def cancel_grace_over(turn: Turn) -> None:
    """Some attempts never answered: end them here."""
    if turn.state is RunState.CANCELLING:
        _give_up(turn)


def stop_grace_over(turn: Turn) -> None:
    """Some background steps never answered: end them here."""
    if turn.settled():
        _give_up(turn)


def conclude(turn: Turn) -> None:
    """Stop background steps once all others have ended; finish the run once nothing is left."""
    if not turn.settled():
        return
    if not _up(turn):
        turn.update_run(state=turn.outcome(), finished_at=turn.now)
        turn.emit(FinishRun())
    elif turn.state is RunState.RUNNING and any(step.state not in SETTLED for step in turn.before.steps.values()):
        _stop(turn, force=False)
        turn.emit(SetTimer(STOP_TIMER, turn.now + GRACE))


def _up(turn: Turn) -> list[StepKey]:
    return [key for key in turn.pipeline.by_key if turn.steps[key].state in (StepState.RUNNING, StepState.SERVING)]


def _stop(turn: Turn, *, force: bool) -> None:
    """Stop what runs, and withdraw what is offered: a runner may have taken it without having said so."""
    for key in turn.pipeline.by_key:  # file order, however the steps were stored
        step = turn.steps[key]
        if step.state in (StepState.QUEUED, StepState.RUNNING, StepState.SERVING):
            turn.emit(StopAttempt(key, step.attempt, step.epoch, force=force))


def _give_up(turn: Turn) -> None:
    message = f"its runner did not answer within {GRACE:.0f} s after it was asked to stop"
    _stop(turn, force=True)
    for key in _up(turn):
        if turn.steps[key].state is StepState.SERVING:
            end(turn, key, Outcome.SUCCEEDED, message=message)
        else:
            end(turn, key, Outcome.CANCELLED, turn.cancel_reason(), message)
