"""Use cases of deliveries: receive one, look at them, approve one, let one be looked at again. Blocking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flowbuild.core.errors import Conflict, InvalidRequest, NotFound
from flowbuild.forges.base import Headers
from flowbuild.services.audit import Actor, note
from flowbuild.services.decisions import Clock
from flowbuild.services.hooks import HookService, forge_for
from flowbuild.services.ids import new_id
from flowbuild.services.signals import Signals
from flowbuild.services.together import Together
from flowbuild.spec.words import printable
from flowbuild.store.database import Database, Transaction
from flowbuild.store.deliveries import FAILED, IGNORED, RECEIVED, WAITING, DeliveryRow

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


class DeliveryService:
    """What webhooks deliver, until it is turned into runs (`services.intake`)."""

    def __init__(self, *, database: Database, hooks: HookService, signals: Signals, clock: Clock) -> None:
        self._database = database
        self._hooks = hooks
        self._signals = signals
        self._clock = clock
        self._storing = Together(self._store)

    def receive(self, project: str, name: str, headers: Headers, body: bytes) -> Receipt:
        """Verify, read and store a delivery; when this returns, it is on the disk.

        Raises NotFound, Unauthenticated; InvalidRequest when it is not what the forge documents.
        """
        if len(body) > MAX_BODY:
            raise InvalidRequest(f"the body of the delivery has more than {MAX_BODY >> 20} MiB")
        hook = self._hooks.find(project, name)
        forge, now = forge_for(hook), self._clock()
        forge.verify(headers, body, self._hooks.secret(hook))
        parsed = forge.parse(headers, body)
        identifier = new_id(now)
        row = DeliveryRow(
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
        known = self._storing.do(row)
        if known is not None:
            return Receipt(known, duplicate=True, note="this delivery was here before")
        if parsed.events:
            self._signals.notify(INTAKE)
        return Receipt(identifier, note=parsed.note)

    def _store(self, rows: Sequence[DeliveryRow]) -> Sequence[str | None]:
        """Store deliveries; return the ids of those that were here before, None for each that is new."""
        with self._database.write() as tx:
            return [None if tx.deliveries.add(row) else tx.deliveries.known(row.hook, row.delivery) for row in rows]

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
        self._signals.notify(INTAKE)

    def again(self, actor: Actor, project: str, identifier: str) -> None:
        """Look at a delivery again that failed or from which nothing followed. Raises NotFound, Conflict."""
        with self._database.write() as tx:
            row = _get(tx, project, identifier)
            if row.state not in (FAILED, IGNORED):
                hint = "start the pipeline by hand, or rerun its run"
                raise Conflict(f"the delivery cannot be taken again: it is {row.state}", hint=hint)
            if not row.headers:
                raise Conflict("the delivery is too old: its body was dropped")
            tx.deliveries.again(identifier, self._clock())
            note(tx, self._clock(), actor, "delivery.again", f"delivery:{identifier}", project=project)
        self._signals.notify(INTAKE)


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
