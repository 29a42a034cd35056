"""What runners report about attempts. Reports of another attempt or epoch than the current one are ignored (fenced)."""

from __future__ import annotations

from typing import Any

from flowbuild.core.commands import AcceptResult, SetTimer, StopAttempt
from flowbuild.core.events import (
    AttemptFinished,
    AttemptHealthy,
    AttemptLaunched,
    AttemptLost,
    AttemptStarted,
    Restored,
)
from flowbuild.core.ids import StepKey
from flowbuild.core.retry import MAX_EPOCH, retry_delay
from flowbuild.core.run import StepRun
from flowbuild.core.states import Outcome, Reason, RunState, StepState
from flowbuild.core.steps import end, enqueue, offer, release_lock, settle
from flowbuild.core.turn import Turn

# Seconds after its timeout until a silent attempt is given up. The runner enforces the timeout, then it stops what runs,
# takes the last output and stores the workspace, before it reports the end.
DEADLINE_MARGIN = 300.0
_ACTIVE = (StepState.QUEUED, StepState.RUNNING)  # the report "started" may be late or missing


_Report = AttemptStarted | AttemptLaunched | AttemptHealthy | AttemptFinished | AttemptLost


def _current(turn: Turn, event: _Report, *states: StepState) -> StepRun | None:
    """Return the step that the event is about, None when the event is stale or does not fit its state."""
    step = turn.steps.get(event.step)
    if step is None or step.state not in states or (event.attempt, event.epoch) != (step.attempt, step.epoch):
        return None
    return step


def started(turn: Turn, event: AttemptStarted) -> None:
    """A runner works on the attempt."""
    step = _current(turn, event, StepState.QUEUED, StepState.SERVING)
    if step is None:
        return
    if step.state is StepState.QUEUED:
        turn.update(step.key, state=StepState.RUNNING, started_at=turn.now)
    elif step.started_at is None:
        turn.update(step.key, started_at=turn.now)


def launched(turn: Turn, event: AttemptLaunched) -> None:
    """Containers of the attempt may run: watch over it when its time is limited. Making them ready takes what it takes."""
    step = _current(turn, event, *_ACTIVE, StepState.SERVING)
    if step is None or step.launched_at is not None:
        return
    turn.update(step.key, started_at=turn.now if step.started_at is None else step.started_at, launched_at=turn.now)
    if step.state is StepState.SERVING:
        return  # nothing waits for it
    turn.update(step.key, state=StepState.RUNNING)
    timeout = turn.definition(step.key).timeout
    if timeout is not None:
        turn.emit(SetTimer(_deadline_timer(step), turn.now + timeout + DEADLINE_MARGIN))


def healthy(turn: Turn, event: AttemptHealthy) -> None:
    """A background step is up: it succeeded, and stays until the run ends. Or it is up again."""
    step = _current(turn, event, *_ACTIVE, StepState.SERVING)
    if step is None or not turn.definition(step.key).background:
        return
    if step.state is StepState.SERVING:
        if step.returning:
            words = f"attempt {step.attempt} serves since attempt {step.attempt - 1} was lost"
            turn.update(step.key, returning=False, message=words)
        return
    result = _accept(turn, step, event)
    # Kept until the end of the run, the lock would stop other steps of the same run for ever.
    release_lock(turn, step.key)
    turn.update(step.key, state=StepState.SERVING, outcome=Outcome.SUCCEEDED, served_from=step.variables, **result)
    settle(turn, step.key)


def finished(turn: Turn, event: AttemptFinished) -> None:
    """An attempt ended: retry, or the step has ended."""
    step = _current(turn, event, *_ACTIVE, StepState.SERVING)
    if step is None or event.outcome is Outcome.SKIPPED:  # steps are skipped by the machine, never by a runner
        return
    if step.state is StepState.SERVING:
        _served(turn, step, event.outcome, event.reason, event.message, exit_code=event.exit_code)
        return
    result = _accept(turn, step, event)
    result |= {"exit_code": event.exit_code, "cached": event.cached}
    _ended(turn, step, event.outcome, event.reason, event.message, **result)


def lost(turn: Turn, event: AttemptLost) -> None:
    """The runner is gone. Unless containers could run, or the step is exclusive, it is offered again under a new epoch."""
    step = _current(turn, event, *_ACTIVE, StepState.SERVING)
    if step is None:
        return
    serves = step.state is StepState.SERVING
    wanted = step.returning and _is_needed(turn) if serves else turn.state is not RunState.CANCELLING
    untouched = step.launched_at is None and turn.definition(step.key).environment is None
    first, following = turn.before.first_epoch, max(step.epoch + 1, turn.before.first_epoch)
    if wanted and untouched and following < first + MAX_EPOCH:
        turn.update(step.key, state=step.state if serves else StepState.QUEUED, started_at=None)
        offer(turn, step.key, step.attempt, following)
        return
    _gone(turn, step, event.message or "the runner of this attempt is gone")


def restored(turn: Turn, event: Restored) -> None:
    """Offer what nobody is known to have under epochs that were never given, so that two that work never take each other's lease."""
    if event.epoch <= turn.before.first_epoch:
        return
    turn.update_run(first_epoch=event.epoch)
    for step in tuple(turn.steps.values()):
        if step.state is StepState.QUEUED or (step.returning and step.started_at is None):
            offer(turn, step.key, step.attempt, event.epoch)


def deadline(turn: Turn, key: StepKey, timer: str) -> None:
    """An attempt is silent although its time is over: stop it on first contact and count it as lost."""
    step = turn.steps.get(key)
    if step is None or step.state is not StepState.RUNNING or timer != _deadline_timer(step):
        return
    turn.emit(StopAttempt(key, step.attempt, step.epoch, force=True))
    _gone(turn, step, "the runner did not report the end of the step after its timeout")


def backoff_over(turn: Turn, key: StepKey, timer: str) -> None:
    """The delay before the next attempt is over."""
    step = turn.steps.get(key)
    if step is not None and step.state is StepState.BACKOFF and timer == _backoff_timer(step):
        enqueue(turn, key)


def _deadline_timer(step: StepRun) -> str:
    return f"deadline/{step.key}/{step.attempt}/{step.epoch}"


def _backoff_timer(step: StepRun) -> str:
    return f"backoff/{step.key}/{step.attempt}"


def _gone(turn: Turn, step: StepRun, message: str) -> None:
    if step.state is StepState.SERVING:
        _served(turn, step, Outcome.ERRORED, Reason.INFRA_LOST, message)
    elif turn.state is RunState.CANCELLING:
        end(turn, step.key, Outcome.CANCELLED, turn.cancel_reason(), message)
    else:
        _ended(turn, step, Outcome.ERRORED, Reason.INFRA_LOST, message)


def _ended(turn: Turn, step: StepRun, outcome: Outcome, reason: Reason | None, message: str, **result: Any) -> None:
    if outcome is Outcome.CANCELLED:
        reason = reason or turn.cancel_reason()  # the runner was told to stop, not why
    delay = retry_delay(turn.definition(step.key), step.attempt, outcome, reason)
    if delay is None or turn.state is RunState.CANCELLING:
        end(turn, step.key, outcome, reason, message, **result)
        return
    result["variables"] = step.variables  # the next attempt starts from the input again
    turn.update(step.key, state=StepState.BACKOFF, reason=reason, message=message, **result)
    if delay > 0:
        turn.emit(SetTimer(_backoff_timer(step), turn.now + delay))
    else:
        enqueue(turn, step.key)


def _served(
    turn: Turn, step: StepRun, outcome: Outcome, reason: Reason | None, message: str, *, exit_code: int | None = None
) -> None:
    """What served has ended. The step has succeeded; while others may need its service the policy may bring that back.

    What was up and failed is not begun again: that is what `restart` of its compose services is for. Later steps started
    from the result that it had when it was healthy, so that one stays.
    """
    brings = outcome is Outcome.ERRORED or step.returning
    if (
        brings
        and _is_needed(turn)
        and retry_delay(turn.definition(step.key), step.attempt, outcome, reason) is not None
    ):
        # At once, whatever the delay: steps that need the service run already.
        words = f"attempt {step.attempt} is gone ({message or reason or outcome}); attempt {step.attempt + 1} follows"
        turn.update(step.key, returning=True, message=words, started_at=None, launched_at=None)
        offer(turn, step.key, step.attempt + 1, turn.before.first_epoch)
        return
    end(turn, step.key, Outcome.SUCCEEDED, message=message, exit_code=exit_code)


def _is_needed(turn: Turn) -> bool:
    """Whether a step may still need what others serve."""
    return turn.state is RunState.RUNNING and not turn.settled()


def _accept(turn: Turn, step: StepRun, event: AttemptHealthy | AttemptFinished) -> dict[str, Any]:
    """Accept the result of an attempt, also of a failed one, and return the fields that tell of it."""
    if event.commit is None:
        return {}
    turn.emit(AcceptResult(step.key, step.attempt, step.epoch, event.commit))
    return {"result_commit": event.commit, "variables": event.variables}
