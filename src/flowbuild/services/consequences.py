"""What follows from one delivery: runs that begin or are cancelled, and what its forge is told. Blocking."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from flowbuild.core.errors import NotFound, UserError
from flowbuild.core.ids import RunId
from flowbuild.core.match import Verdict, held_back
from flowbuild.core.sources import PullRequestChange, SourceEvent, SourceKind, Trust
from flowbuild.core.states import Reason
from flowbuild.forges import GENERIC
from flowbuild.forges.client import Status, StatusState
from flowbuild.services.decisions import Clock
from flowbuild.services.missed import known_already, ref_of, said
from flowbuild.services.notices import commit_notice, status_notice
from flowbuild.services.reactions import Reaction, Reactions, describe
from flowbuild.spec.findings import InvalidFile
from flowbuild.spec.words import printable
from flowbuild.store.database import Database, Transaction
from flowbuild.store.deliveries import DONE, IGNORED, WAITING, DeliveryRow
from flowbuild.store.hooks import HookRow
from flowbuild.store.notices import Notice

APPROVAL = 24 * 3600.0  # seconds that an approval is good for
FINDINGS = 20  # of a pipeline file that are kept with a delivery
CONTEXT = "flow"  # of statuses that belong to no pipeline
Cancel = Callable[[RunId, str, Reason], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What followed from a delivery: its new state, what people are told of it, and what the forge is to be told.

    `heads`: where branches, tags and pull requests are now, by the names of `store.source_heads`; `repository`: what the
    forge calls it.
    """

    state: str
    result: Mapping[str, Any]
    notices: Sequence[Notice] = ()
    heads: Mapping[str, str] = field(default_factory=dict)
    repository: str = ""


@dataclass(frozen=True, slots=True)
class _Followed:
    """What followed from one event of a delivery. `acted`: runs began or were cancelled; `waits`: for approval."""

    told: Mapping[str, Any]
    acted: bool = False
    waits: bool = False
    notices: Sequence[Notice] = ()


class Consequences:
    """Draws them. What was done already is not done again. `cancel` ends a run; `link` returns the page of a delivery."""

    def __init__(
        self,
        *,
        database: Database,
        reactions: Reactions,
        cancel: Cancel,
        link: Callable[[DeliveryRow], str],
        clock: Clock,
    ) -> None:
        self._database = database
        self._reactions = reactions
        self._cancel = cancel
        self._link = link
        self._clock = clock

    def of(self, row: DeliveryRow, hook: HookRow) -> Outcome:
        """Return what follows from a delivery, having done it. Raises SystemFailed: then try again."""
        parsed = said(row, hook)
        found = [self._of_event(row, hook, index, event) for index, event in enumerate(parsed.events)]
        result: dict[str, Any] = {"events": [each.told for each in found]}
        notices = [notice for each in found for notice in each.notices]
        heads = {ref: _head(event) for event in parsed.events if (ref := _moved(event, hook))}
        repository = next((event.repository for event in parsed.events), "")
        for event, each in zip(parsed.events, found, strict=True):
            if each.waits:
                return Outcome(
                    WAITING, result | {"commit": event.commit, **_request(event)}, notices, heads, repository
                )
        state = DONE if any(each.acted for each in found) else IGNORED
        return Outcome(state, result | {"note": parsed.note}, notices, heads, repository)

    def _of_event(self, row: DeliveryRow, hook: HookRow, index: int, event: SourceEvent) -> _Followed:
        if reason := self._known_already(row, hook, event):
            return _Followed({**describe(event), "why": reason})
        if event.pull_request is not None:
            self._supersede(row, event.pull_request.number)
        try:
            verdicts = self._reactions.judge(row.project, event)
            starts = any(verdict.starts for verdict in verdicts)
            trust = self._reactions.trust(row.project, event) if starts else None
        except UserError as error:
            return self._refused(row, hook, index, event, error)
        if reason := held_back(event):
            cancelled = self._withdraw(row, event)
            told = {**describe(event), "why": reason} | ({"cancelled": cancelled} if cancelled else {})
            return _Followed(told, acted=bool(cancelled))
        told = {**describe(event), "pipelines": [_shown(verdict) for verdict in verdicts]}
        if trust is Trust.UNTRUSTED:
            if event.kind in (SourceKind.PUSH, SourceKind.TAG):
                return _Followed({**describe(event), "why": "the commit is on no branch any more"})
            if row.approved_at is None or self._clock() - row.approved_at > APPROVAL:
                status = self._status(row, StatusState.WAITING, "waits until somebody has approved this commit")
                return _Followed(told, waits=True, notices=self._notices(row, hook, index, event, status))
        return self._begun(row, hook, index, event, verdicts)

    def _known_already(self, row: DeliveryRow, hook: HookRow, event: SourceEvent) -> str:
        with self._database.read() as tx:
            head = tx.source_heads.get(hook.project_id, ref_of(event, hook.name))
            return known_already(tx, row, event, head)

    def _begun(
        self, row: DeliveryRow, hook: HookRow, index: int, event: SourceEvent, verdicts: Sequence[Verdict]
    ) -> _Followed:
        about = {**describe(event), "delivery": row.id, "hook": hook.name, "forge": hook.kind}
        if row.approved_by:
            about["approved_by"] = row.approved_by
        done = self._reactions.begin(row.project, event, verdicts, f"{row.id}/{index}", about)
        runs = [reaction.run for reaction in done if reaction.run]
        notices = [status_notice(run, hook, event, self._clock()) for run in runs if _informed(hook)]
        status = self._verdict(row, done)
        if status is not None:
            notices += self._notices(row, hook, index, event, status)
        told = {**describe(event), "pipelines": [reaction.told() for reaction in done]}
        return _Followed(told, acted=bool(runs), notices=notices)

    def _refused(self, row: DeliveryRow, hook: HookRow, index: int, event: SourceEvent, error: UserError) -> _Followed:
        """Return what follows when the pipelines at the commit cannot be used, or the commit is not there."""
        if isinstance(error, NotFound) and event.commit:  # the forge does not know the commit any more, either
            return _Followed({**describe(event), "why": error.message})
        told: dict[str, Any] = {**describe(event), "problem": error.message}
        words = error.message
        if isinstance(error, InvalidFile):
            errors = [finding for finding in error.findings if finding.severity == "error"]
            words = printable(f"{errors[0].position}: {errors[0].message}")
            told["findings"] = [finding.to_dict() for finding in error.findings[:FINDINGS]]
        return _Followed(
            told, notices=self._notices(row, hook, index, event, self._status(row, StatusState.FAILED, words))
        )

    def _verdict(self, row: DeliveryRow, done: Sequence[Reaction]) -> Status | None:
        """Return what the forge is to be told besides the runs: that one could not begin, or that what was told is over."""
        problems = [f"{reaction.pipeline}: {reaction.problem}" for reaction in done if reaction.problem]
        if problems:
            return self._status(row, StatusState.FAILED, problems[0])
        if row.approved_by:
            return self._status(row, StatusState.SUCCEEDED, f"approved by {row.approved_by}")
        return self._status(row, StatusState.SUCCEEDED, "looked at again") if _had_problems(row) else None

    def _status(self, row: DeliveryRow, state: StatusState, words: str) -> Status:
        return Status(state, CONTEXT, words, self._link(row))

    def _notices(
        self, row: DeliveryRow, hook: HookRow, index: int, event: SourceEvent, status: Status
    ) -> Sequence[Notice]:
        """Return the notice of a status that takes the place of what was to be told of this event before."""
        if not _informed(hook) or not event.commit:
            return ()
        identifier = hashlib.sha256(f"{row.id}/{index}".encode()).hexdigest()[:26]
        return (commit_notice(identifier, hook, event, status, self._clock()),)

    def _supersede(self, row: DeliveryRow, number: int) -> None:
        """What older deliveries of the same pull request wait for is of no use any more."""
        with self._database.write() as tx:
            for older in tx.deliveries.waiting(row.hook):
                if older.result.get("pull_request") == number and older.received_at < row.received_at:
                    _settle_older(tx, older)

    def _withdraw(self, row: DeliveryRow, event: SourceEvent) -> list[RunId]:
        """Cancel the runs of a pull request that was closed, unless the project wants them to go on; return them."""
        request = event.pull_request
        if request is None or request.change is not PullRequestChange.CLOSED:
            return []
        with self._database.read() as tx:
            wanted = tx.projects.get(row.project).settings.cancel_closed
            lines = tx.runs.open_lines(row.project) if wanted else ()
        of_request = {"hook": row.hook_name, "pull_request": request.number}
        found = [line.id for line in lines if of_request.items() <= dict(line.cause).items()]
        for run in found:
            with suppress(NotFound):
                self._cancel(run, f"pull request {request.number}", Reason.WITHDRAWN)
        return found


def _informed(hook: HookRow) -> bool:
    """Whether the forge of a webhook is told about commits."""
    return bool(hook.sealed_token) and hook.kind != GENERIC


def _moved(event: SourceEvent, hook: HookRow) -> str:
    """Return the name of what an event has moved; empty when it moved nothing."""
    request = event.pull_request
    return "" if request and request.change is PullRequestChange.OTHER else ref_of(event, hook.name)


def _head(event: SourceEvent) -> str:
    """Return where an event leaves its branch, tag or pull request; empty when that is gone."""
    closed = event.pull_request is not None and event.pull_request.change is PullRequestChange.CLOSED
    return "" if event.deleted or closed else event.commit


def _had_problems(row: DeliveryRow) -> bool:
    """Whether a delivery was looked at before, and something could not begin."""
    events = row.result.get("events", ())
    return any("problem" in each for event in events for each in (event, *event.get("pipelines", ())))


def _settle_older(tx: Transaction, older: DeliveryRow) -> None:
    tx.deliveries.settle(older.id, IGNORED, {**older.result, "note": "a later delivery took its place"})


def _request(event: SourceEvent) -> dict[str, Any]:
    return {"pull_request": event.pull_request.number} if event.pull_request else {}


def _shown(verdict: Verdict) -> dict[str, Any]:
    return {"pipeline": verdict.pipeline, "why": verdict.why, "starts": verdict.starts}
