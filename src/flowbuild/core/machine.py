"""The state machine of a run: every rule about what happens next, without a clock and without I/O.

`decide` applies one event to a run and says what is to be done. It is total: an event that does not fit (stale,
repeated, about something unknown) changes nothing. Replaying the events of a run gives the same run and the same
commands. The rules as tables: docs/state-machine.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from flowbuild.core import attempts, ending
from flowbuild.core.commands import AcquireLock, Command, SetTimer
from flowbuild.core.events import (
    Approved,
    AttemptFinished,
    AttemptHealthy,
    AttemptLaunched,
    AttemptLost,
    AttemptStarted,
    CancelRequested,
    Event,
    InputConflict,
    InputFailed,
    InputReady,
    LockGranted,
    Rejected,
    Restored,
    RunStarted,
    TimerFired,
)
from flowbuild.core.ids import CommitId, RunId, StepKey
from flowbuild.core.model import Pipeline
from flowbuild.core.run import Run, RunContext, StepRun
from flowbuild.core.states import EdgeState, Outcome, Reason, StepState
from flowbuild.core.steps import advance, approved, end, enqueue, input_known, probed
from flowbuild.core.turn import Turn

SHOWN_CONFLICTS = 5  # paths named in the message of a merge conflict


def create_run(
    run_id: RunId,
    pipeline: Pipeline,
    *,
    context: RunContext,
    initial_commit: CommitId,
    variables: Mapping[str, str] | None = None,
    fresh: bool = False,
    now: float,
) -> Run:
    """Return a run that waits for RunStarted.

    `initial_commit` is the input of the first steps and holds `variables` (default: those of the pipeline). Names of
    environments are used as they are: the caller has filled in their `${{ … }}`. `fresh`: no result is taken from the
    step cache.
    """
    return Run(
        id=run_id,
        pipeline=pipeline,
        context=context,
        initial_commit=initial_commit,
        steps={step.key: StepRun(step.key, fresh=fresh) for step in pipeline.steps},
        edges=(EdgeState.PENDING,) * len(pipeline.edges),
        variables=dict(pipeline.variables if variables is None else variables),
        created_at=now,
    )


def decide(run: Run, event: Event, now: float) -> tuple[Run, tuple[Command, ...]]:
    """Return the run after the event, and what is to be done. `now` is in seconds since the epoch."""
    if run.state.final:
        return run, ()
    turn = Turn(run, now)
    _apply(turn, event)
    advance(turn)
    after = turn.result()
    if after is run:
        return run, tuple(turn.commands)
    ending.conclude(turn)
    return turn.result(), tuple(turn.commands)


def _apply(turn: Turn, event: Event) -> None:
    match event:
        case RunStarted():
            _start(turn)
        case AttemptStarted():
            attempts.started(turn, event)
        case AttemptLaunched():
            attempts.launched(turn, event)
        case AttemptHealthy():
            attempts.healthy(turn, event)
        case AttemptFinished():
            attempts.finished(turn, event)
        case AttemptLost():
            attempts.lost(turn, event)
        case Restored():
            attempts.restored(turn, event)
        case InputReady():
            if _is(turn, event.step, StepState.PREPARING):
                input_known(turn, event.step, event.commit, event.variables)
        case InputConflict():
            _input_conflict(turn, event)
        case InputFailed():
            if _is(turn, event.step, StepState.PREPARING):
                end(turn, event.step, Outcome.ERRORED, Reason.WORKSPACE_ERROR, event.message)
        case LockGranted():
            if _is(turn, event.step, StepState.WAITING) and approved(turn, turn.steps[event.step]):
                enqueue(turn, event.step)
        case Approved():
            _approve(turn, event)
        case Rejected():
            _reject(turn, event)
        case TimerFired():
            _timer(turn, event.name)
        case CancelRequested():
            ending.cancel(turn, event.reason, force=event.force)
        case _:
            assert_never(event)


def _is(turn: Turn, key: StepKey, state: StepState) -> bool:
    return key in turn.steps and turn.steps[key].state is state


def _start(turn: Turn) -> None:
    if turn.before.started_at is not None:
        return
    turn.update_run(started_at=turn.now)
    if turn.pipeline.timeout is not None:
        turn.emit(SetTimer(ending.RUN_TIMEOUT_TIMER, turn.now + turn.pipeline.timeout))
    for key in turn.pipeline.by_key:
        turn.recheck(key)


def _input_conflict(turn: Turn, event: InputConflict) -> None:
    """Fail the step: while its input is made, or early, when the waiting could only end in the same conflict."""
    early = _is(turn, event.step, StepState.PENDING) and probed(turn, event.step)
    if not early and not _is(turn, event.step, StepState.PREPARING):
        return
    shown = [f"{c.path} ({c.kind}) of {' and '.join(c.steps)}" for c in event.conflicts[:SHOWN_CONFLICTS]]
    more = len(event.conflicts) - len(shown)
    message = "the results of its parents conflict: " + ", ".join(shown) + (f" and {more} more" if more else "")
    end(turn, event.step, Outcome.FAILED, Reason.MERGE_CONFLICT, message)


def _approve(turn: Turn, event: Approved) -> None:
    if not _is(turn, event.step, StepState.WAITING) or approved(turn, turn.steps[event.step]):
        return
    environment = turn.definition(event.step).environment
    turn.update(event.step, approved_by=event.by or "unknown")
    if environment is not None:
        turn.emit(AcquireLock(event.step, environment.name))


def _reject(turn: Turn, event: Rejected) -> None:
    """A person says no; also after a yes, as long as the step waits for its lock."""
    environment = turn.definition(event.step).environment if event.step in turn.steps else None
    if environment is None or not environment.approve or not _is(turn, event.step, StepState.WAITING):
        return
    comment = f": {event.comment}" if event.comment else ""
    end(turn, event.step, Outcome.FAILED, Reason.REJECTED, f"{event.by} refused{comment}")


def patience(run: Run, timer: str) -> float:
    """Return how many seconds a timer gives something silent to answer; 0 for one that has another meaning.

    Whoever takes over a run begins with that anew: while nobody drove the run nothing could answer.
    """
    match timer.split("/"):
        case [ending.CANCEL_TIMER] | [ending.STOP_TIMER]:
            return ending.GRACE
        case ["deadline", key, _, _] if key in run.steps:
            return attempts.DEADLINE_MARGIN + (run.pipeline.step(key).timeout or 0.0)
    return 0.0


def _timer(turn: Turn, name: str) -> None:
    match name.split("/"):
        case [ending.RUN_TIMEOUT_TIMER]:
            ending.cancel(turn, Reason.RUN_TIMEOUT, force=False)
        case [ending.CANCEL_TIMER]:
            ending.cancel_grace_over(turn)
        case [ending.STOP_TIMER]:
            ending.stop_grace_over(turn)
        case ["deadline", key, _, _]:
            attempts.deadline(turn, StepKey(key), name)
        case ["backoff", key, _]:
            attempts.backoff_over(turn, StepKey(key), name)
