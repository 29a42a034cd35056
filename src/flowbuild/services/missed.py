"""What nobody told: a look at the remote found it, and it is dealt with as a delivery that had come.

So it stands in the line of its project, begins each pipeline once, waits for approval, is told to the forge and shown to
people as any other. Which of the two came first does not matter: the other one recognises it. See `services.consequences`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from pydantic import TypeAdapter

from flowbuild.core.sources import SourceEvent, SourceKind
from flowbuild.forges.base import Parsed
from flowbuild.services.decisions import Clock
from flowbuild.services.deliveries import INTAKE
from flowbuild.services.hooks import forge_for
from flowbuild.services.ids import new_id
from flowbuild.services.news import deliveries_topic
from flowbuild.services.reactions import describe
from flowbuild.services.signals import Signals
from flowbuild.store.database import Database, Transaction
from flowbuild.store.deliveries import DeliveryRow
from flowbuild.store.hooks import HookRow
from flowbuild.store.run_lists import RunFilter
from flowbuild.store.source_heads import Head
from flowbuild.workspace.mirror import HEADS, TAGS

EVENT = "look"  # the word for it where other deliveries have the forge's
_MARK = "missed:"  # begins the identity of such a delivery; those of forges begin otherwise
_SAME = 100  # runs at one commit that are looked at
_event: TypeAdapter[SourceEvent] = TypeAdapter(SourceEvent)


class Missed:
    """Stores what was missed."""

    def __init__(self, database: Database, signals: Signals, clock: Clock) -> None:
        self._database = database
        self._signals = signals
        self._clock = clock

    def store(self, hook: HookRow, ref: str, event: SourceEvent, before: Head | None) -> None:
        """Store an event that was found, as a delivery of a webhook; the same one twice is one. `before`: what was known."""
        now = self._clock()
        what = f"{ref}\0{event.commit}\0{before.seen_at if before else 0}"
        row = DeliveryRow(
            id=new_id(now),
            hook=hook.id,
            delivery=_MARK + hashlib.sha256(what.encode()).hexdigest(),
            event=EVENT,
            received_at=now,
            headers={"user-agent": "flow-build-server"},
            body=_event.dump_json(event),
            next_at=now,
        )
        with self._database.write() as tx:
            new = tx.deliveries.add(row)
        if new:
            self._signals.notify(INTAKE, deliveries_topic(hook.project))


def is_missed(row: DeliveryRow) -> bool:
    """Whether a delivery was made of what a look found."""
    return row.delivery.startswith(_MARK)


def said(row: DeliveryRow, hook: HookRow) -> Parsed:
    """Return what a delivery says; raises InvalidRequest."""
    if is_missed(row):
        return Parsed((_event.validate_json(row.body),))
    return forge_for(hook).parse(row.headers, row.body)


def ref_of(event: SourceEvent, hook: str) -> str:
    """Return under which name it is kept where a branch, tag or pull request was last; empty for other events."""
    if event.pull_request is not None:
        return request_ref(hook, event.pull_request.number)
    match event.kind:
        case SourceKind.PUSH:
            return HEADS + event.branch
        case SourceKind.TAG:
            return TAGS + event.tag
    return ""


def request_ref(hook: str, number: int | str) -> str:
    """Return that name for a pull request at the forge of a webhook."""
    return f"pull/{hook}/{number}"


def same_commit(one: str, other: str) -> bool:
    """Whether two ids mean one commit: some forges shorten them. Two empty ones are the same, too."""
    return one.startswith(other) or other.startswith(one) if one and other else one == other


def known_already(tx: Transaction, row: DeliveryRow, event: SourceEvent, head: Head | None) -> str:
    """Return why nothing follows from an event any more; empty when something does.

    Of what a look found: because a delivery told it meanwhile, or begun runs at the same commit earlier. Of a delivery:
    because it was found before.
    """
    settled = bool(row.approved_at) or "events" in row.result  # people want it to be looked at again
    if settled:
        return ""
    if not is_missed(row):
        found = head is not None and head.found and same_commit(head.commit, event.commit)
        return f"delivery {head.found} was made of it before it was told" if head and found else ""
    if head is not None and head.found != row.id and same_commit(head.commit, event.commit):
        return "a delivery has told it meanwhile"
    return "there are runs of it" if _has_runs(tx, row, event) else ""


def _has_runs(tx: Transaction, row: DeliveryRow, event: SourceEvent) -> bool:
    """Whether runs began because of the same thing, apart from those that began because of this delivery."""
    if not event.commit:
        return False
    wanted = RunFilter(projects=frozenset({row.project}), event=str(event.kind), commit=event.commit)
    mine: Mapping[str, object] = {key: describe(event).get(key) for key in ("branch", "tag", "pull_request")}
    causes = [line.cause for line in tx.runs.page(wanted, None, _SAME)]
    return any(
        cause.get("delivery") != row.id and all(cause.get(key) == value for key, value in mine.items())
        for cause in causes
    )
