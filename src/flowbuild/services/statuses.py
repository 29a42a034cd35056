"""Keeps forges informed about runs: what to tell next, and what was told. Blocking: call from threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from flowbuild.core.errors import ForgeError
from flowbuild.core.run import Run
from flowbuild.core.states import Outcome, RunState, StepState
from flowbuild.forges.client import Status, StatusState, Target
from flowbuild.services.decisions import Clock
from flowbuild.services.hooks import HookService
from flowbuild.services.notices import STATUS
from flowbuild.store.database import Database
from flowbuild.store.notices import Notice
from flowbuild.store.runs import RunRow

log = structlog.get_logger()
AT_ONCE = 20  # statuses that are sent side by side
CLAIM = 60.0  # seconds in which nobody else sends the same status
TRIES = 12  # about two hours; then it is left until the run changes again
PAUSE, PAUSE_MOST = 2.0, 1800.0
_STATES = {
    RunState.SUCCEEDED: StatusState.SUCCEEDED,
    RunState.FAILED: StatusState.FAILED,
    RunState.ERRORED: StatusState.ERRORED,
    RunState.CANCELLED: StatusState.CANCELLED,
}


@dataclass(frozen=True, slots=True)
class Telling:
    """A status that is to be sent, and the notice that asks for it, which is claimed."""

    notice: Notice
    target: Target
    token: str
    status: Status
    final: bool


class StatusService:
    """Statuses of commits. `link` returns the page of a run."""

    def __init__(self, *, database: Database, hooks: HookService, link: Callable[[RunRow], str], clock: Clock) -> None:
        self._database = database
        self._hooks = hooks
        self._link = link
        self._clock = clock

    def due(self) -> tuple[Sequence[Telling], float | None]:
        """Claim what is to be told now; return it, and when to look again. What changed nothing is not told."""
        now = self._clock()
        with self._database.write() as tx:
            due = tx.notices.due(STATUS, now, AT_ONCE)
            claimed = [notice for notice in due if tx.notices.claim(notice, now, now + CLAIM)]
        found = [self._telling(notice) for notice in claimed]
        with self._database.read() as tx:
            next_at = tx.notices.next_at(STATUS)
        return [telling for telling in found if telling is not None], next_at

    def told(self, telling: Telling) -> None:
        """Store that a status was sent; after the last one of a run nothing is left to do."""
        payload = {**telling.notice.payload, "told": _text(telling.status)}
        with self._database.write() as tx:
            if telling.final:
                tx.notices.finished(telling.notice)
            else:
                tx.notices.told(telling.notice, payload)

    def failed(self, telling: Telling, error: ForgeError) -> None:
        """Store that a status could not be sent; it is tried again later unless that would be of no use."""
        tries = telling.notice.tries + 1
        again = not error.lasting and tries < TRIES
        log.warning("status_failed", run=telling.notice.run, tries=tries, again=again, error=error.message)
        pause = min(PAUSE * 2.0 ** (tries - 1), PAUSE_MOST)
        with self._database.write() as tx:
            if again or telling.notice.run is not None:
                next_at = self._clock() + pause if again else None
                tx.notices.failed(telling.notice, error.message, next_at)
            else:  # nothing happens any more that it could be told after
                tx.notices.finished(telling.notice)

    def _telling(self, notice: Notice) -> Telling | None:
        with self._database.read() as tx:
            row = tx.runs.get(notice.run) if notice.run else None
            hook = tx.hooks.get(notice.payload["hook"])
        if hook is None or not hook.sealed_token:
            with self._database.write() as tx:
                tx.notices.done(notice.id)
            return None
        status = status_of(row, self._link(row)) if row else _stored(notice)
        final = row is None or row.run.state.final
        if notice.payload.get("told") == _text(status):
            with self._database.write() as tx:
                if final:
                    tx.notices.finished(notice)
                else:
                    tx.notices.told(notice, notice.payload)
            return None
        target = Target(hook.kind, hook.api_url, notice.payload["repository"], notice.payload["commit"])
        return Telling(notice, target, self._hooks.token(hook), status, final)


def _stored(notice: Notice) -> Status:
    stored = notice.payload["status"]
    return Status(**{**stored, "state": StatusState(stored["state"])})


def status_of(row: RunRow, url: str) -> Status:
    """Return how it stands with the commit of a run."""
    run = row.run
    state = _STATES.get(run.state)
    if state is None:
        state = StatusState.RUNNING if run.started_at is not None else StatusState.WAITING
    return Status(state, f"flow/{run.pipeline.name}", f"run {row.number} {_words(run, state)}", url)


def _words(run: Run, state: StatusState) -> str:
    bad = [key for key, step in run.steps.items() if step.outcome in (Outcome.FAILED, Outcome.ERRORED)]
    if state in (StatusState.FAILED, StatusState.ERRORED) and bad:
        return f"{state}: {', '.join(bad)}"
    if state is StatusState.RUNNING:
        waits = [key for key, step in run.steps.items() if step.state is StepState.WAITING]
        return f"waits: {', '.join(waits)}" if waits else "is running"
    return "waits for its turn" if state is StatusState.WAITING else str(state)


def _text(status: Status) -> str:
    return f"{status.state} {status.description}"
