"""Use cases of deliveries: receive one, look at them, approve one, let one be looked at again. Blocking."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flowbuild.core.errors import Conflict, FlowError, InvalidRequest, NotFound
from flowbuild.forges import forge_of
from flowbuild.forges.base import Headers
from flowbuild.services.audit import Actor, note
from flowbuild.services.decisions import Clock
from flowbuild.services.hooks import HookService, forge_for
from flowbuild.services.ids import new_id
from flowbuild.services.news import deliveries_topic
from flowbuild.services.signals import Signals
from flowbuild.services.together import Together
from flowbuild.spec.words import printable
from flowbuild.store.database import Database, Transaction
from flowbuild.store.deliveries import FAILED, IGNORED, RECEIVED, WAITING, DeliveryRow
from flowbuild.store.hooks import HookRow

INTAKE = "intake"  # topic: deliveries wait
MAX_BODY = 5 * 1024 * 1024
_MAX_HEADERS, _MAX_HEADER = 60, 1000  # how many are kept, and characters of one
_SECRETS = frozenset({"x-gitlab-token", "x-flow-token", "x-forwarded-authorization", "x-api-key"})
_KEPT = frozenset({"content-type", "user-agent", "idempotency-key"})


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a sender is told: the id of the delivery here; `duplicate`: it was here before. `note`: why nothing follows."""

    id: str
    duplicate: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Sent:
    """What somebody sent to the webhook `name` of a project."""

    project: str
    name: str
    headers: Headers
    body: bytes


class DeliveryService:
    """What webhooks deliver, until it is turned into runs (`services.intake`)."""

    def __init__(self, *, database: Database, hooks: HookService, signals: Signals, clock: Clock) -> None:
        self._database = database
        self._hooks = hooks
        self._signals = signals
        self._clock = clock
        self._together = Together(self.receive_all)
        self._nobody = secrets.token_urlsafe(32)  # signs what no webhook waits for

    async def take(self, sent: Sent) -> Receipt:
        """Receive a delivery along with those that come at the same time; does not block. Raises as `receive` does."""
        return await self._together.do(sent)

    def receive(self, project: str, name: str, headers: Headers, body: bytes) -> Receipt:
        """Verify, read and store a delivery; when this returns, it is on the disk.

        Raises Unauthenticated, also where there is no such webhook: strangers learn no names of projects; InvalidRequest when
        it is not what the forge documents.
        """
        (answer,) = self.receive_all([Sent(project, name, headers, body)])
        if isinstance(answer, FlowError):
            raise answer
        return answer

    def receive_all(self, all_sent: Sequence[Sent]) -> Sequence[Receipt | FlowError]:
        """Receive deliveries in one transaction; for each return what is told about it, or what is wrong with it."""
        hooks = self._hooks.find_all({(sent.project, sent.name) for sent in all_sent})
        read: list[DeliveryRow | FlowError] = []
        for sent in all_sent:
            try:
                read.append(self._read(sent, hooks[sent.project, sent.name]))
            except FlowError as error:
                read.append(error)
        rows = [row for row in read if not isinstance(row, FlowError)]
        known: Mapping[str, str] = {}
        if rows:
            with self._database.write() as tx:
                known = tx.deliveries.add_all(rows)
        self._announce(all_sent, read, known)
        return [row if isinstance(row, FlowError) else _receipt(row, known.get(row.id)) for row in read]

    def _announce(
        self, all_sent: Sequence[Sent], read: Sequence[DeliveryRow | FlowError], known: Mapping[str, str]
    ) -> None:
        """Wake who looks at deliveries that were just stored."""
        topics: set[str] = set()
        for sent, row in zip(all_sent, read, strict=True):
            if not isinstance(row, FlowError) and row.id not in known:
                topics.add(deliveries_topic(sent.project))
                topics |= {INTAKE} if row.state == RECEIVED else set()
        if topics:
            self._signals.notify(*topics)

    def _read(self, sent: Sent, found: tuple[HookRow, str] | NotFound) -> DeliveryRow:
        """Verify and read a delivery; raises what is wrong with it."""
        headers, body = sent.headers, sent.body
        if len(body) > MAX_BODY:
            raise InvalidRequest(f"the body of the delivery has more than {MAX_BODY >> 20} MiB")
        if isinstance(found, NotFound):
            forge_of("github", sent.name).verify(headers, body, self._nobody)
            raise found
        hook, secret = found
        forge, now = forge_for(hook), self._clock()
        forge.verify(headers, body, secret)
        parsed = forge.parse(headers, body)
        identifier = new_id(now)
        return DeliveryRow(
            id=identifier,
            hook=hook.id,
            delivery=forge.delivery(headers, body) or f"new:{identifier}",
            event=printable(forge.event(headers))[:64],
            received_at=now,
            headers=_kept(headers),
            body=body,
            state=RECEIVED if parsed.events else IGNORED,
            result={} if parsed.events else {"note": parsed.note},
            next_at=now,
        )

    def page(self, project: str, before: str | None, limit: int) -> Sequence[DeliveryRow]:
        """Return deliveries of a project, the newest first; see `store.deliveries`."""
        with self._database.read() as tx:
            return tx.deliveries.page(project, before, limit)

    def get(self, project: str, identifier: str) -> DeliveryRow:
        """Return a delivery with headers and body; raises NotFound."""
        with self._database.read() as tx:
            return _get(tx, project, identifier)

    def approve(self, actor: Actor, project: str, identifier: str, commit: str) -> None:
        """Allow the runs that a delivery from outside asks for, at the commit that was looked at.

        Raises NotFound; Conflict when it does not wait, or is about another commit.
        """
        with self._database.write() as tx:
            row = _get(tx, project, identifier)
            if row.state != WAITING:
                raise Conflict(f"the delivery does not wait for approval: it is {row.state}")
            if row.result.get("commit") != commit:
                raise Conflict("the delivery is about another commit", hint="look at that one: it was pushed meanwhile")
            now = self._clock()
            tx.deliveries.approve(identifier, actor.name, now)
            tx.deliveries.again(identifier, now)
            detail = {"commit": commit, **row.result}
            note(tx, now, actor, "delivery.approve", f"delivery:{identifier}", project=project, detail=detail)
        self._signals.notify(INTAKE, deliveries_topic(project))

    def again(self, actor: Actor, project: str, identifier: str) -> None:
        """Look at a delivery again that failed or from which nothing followed. Raises NotFound, Conflict."""
        with self._database.write() as tx:
            row = _get(tx, project, identifier)
            if row.state not in (FAILED, IGNORED):
                hint = "start the pipeline by hand, or rerun its run"
                raise Conflict(f"the delivery cannot be taken again: it is {row.state}", hint=hint)
            if not row.kept:
                raise Conflict("the delivery is too old: its body was dropped")
            tx.deliveries.again(identifier, self._clock())
            note(tx, self._clock(), actor, "delivery.again", f"delivery:{identifier}", project=project)
        self._signals.notify(INTAKE, deliveries_topic(project))


def is_repeatable(row: DeliveryRow) -> bool:
    """Whether something may follow from a delivery when it is looked at again: it failed, or what was in its way may be gone."""
    if not row.kept or row.state not in (FAILED, IGNORED):
        return False
    return row.state == FAILED or any(_may_change(event) for event in row.result.get("events", ()))


def _may_change(event: Mapping[str, Any]) -> bool:
    """Whether another look at an event of a delivery may find something else.

    What the pipelines at its commit do not want, they will never want; one that was held would have begun. Without a commit
    it is about a branch, which moves on.
    """
    if "why" in event:
        return False
    parts = (event, *event.get("pipelines", ()))
    return not event.get("commit") or any("problem" in part or "held" in part for part in parts)


def _receipt(row: DeliveryRow, known: str | None) -> Receipt:
    if known is not None:
        return Receipt(known, duplicate=True, note="this delivery was here before")
    return Receipt(row.id, note=row.result.get("note", ""))


def _get(tx: Transaction, project: str, identifier: str) -> DeliveryRow:
    row = tx.deliveries.get(identifier)
    if row is None or row.project != project:
        raise NotFound(f"{project} has no delivery {identifier}")
    return row


def _kept(headers: Headers) -> Mapping[str, str]:
    """Return the headers that say something and are no secrets."""
    wanted = [
        name
        for name in headers
        if (name in _KEPT or name.startswith(("x-", "webhook-"))) and name not in _SECRETS and len(name) < 100
    ]
    return {name: printable(headers[name][:_MAX_HEADER]) for name in sorted(wanted)[:_MAX_HEADERS]}
