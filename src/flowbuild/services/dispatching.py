"""What is to be sent to channels now, and what became of it. Blocking: call from threads.

Who sends takes parcels (`due`), sends each, and settles it (`sent` or `failed`). A parcel is claimed for CLAIM seconds: when it is
not settled until then it is handed out again, with the same id and the same items. So everything is sent at least
once; receivers that know ids see it once. A later parcel of a message is not handed out before the earlier one is settled.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import structlog

from flowbuild.core.chat import provider_of
from flowbuild.core.errors import Conflict, NotFound, VaultError
from flowbuild.core.notifying import FAILURES, News
from flowbuild.core.plain import shown
from flowbuild.services.audit import Actor, note
from flowbuild.services.decisions import Clock
from flowbuild.services.projects import Sealer
from flowbuild.services.signals import Signals
from flowbuild.services.threads import in_thread
from flowbuild.store.channels import ChannelRow
from flowbuild.store.database import Database, Transaction
from flowbuild.store.dispatches import FAILED, SENT, TEST, DispatchRow

log = structlog.get_logger()
DISPATCH = "dispatch"  # topic: there is something to send, or to look at again
CLAIM = 60.0  # seconds in which nobody else sends the same parcel
PAUSE, PAUSE_MOST = 2.0, 1800.0  # seconds between tries
LONGEST = 1000  # characters of an error or an answer that are kept
PATIENCE = 4 * 86400.0  # seconds after which what cannot be sent is given up; it stays in the log as failed


class ChannelKind(StrEnum):
    """By what way people are told. The chat networks are called as in `bots.network`."""

    EMAIL = "email"
    WEBHOOK = "webhook"
    MATRIX = "matrix"
    SLACK = "slack"
    TELEGRAM = "telegram"


CHATS = (ChannelKind.MATRIX, ChannelKind.SLACK, ChannelKind.TELEGRAM)


@dataclass(frozen=True, slots=True)
class Item:
    """Something to tell, and the events of the same message that were told before it, the oldest first.

    `remote`: what the network calls the message that is to be edited; "" there is none yet.
    """

    message: str
    news: News
    earlier: Sequence[News] = ()
    remote: str = ""


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is sent to a channel at once: one item, or with `digest` all that was collected, the oldest first.

    `id` is the same at every try: the Message-ID, the delivery id, the key of an adapter. `target`: addresses separated by
    commas, a URL, a room; for a person on a chat network it is empty and `sender` says whom to write to directly.
    `secret` signs webhooks. `mention`: what the network calls the author, "" nobody. `tries`: those that failed so far.
    `project`: of the channel; "" of a person. `test`: somebody asked for it to see whether the channel works.
    `channel` is its name, `lane` its id. `done`: of several receivers those that have it already.
    """

    id: str
    kind: ChannelKind
    channel: str
    target: str
    items: Sequence[Item]
    project: str = ""
    sender: str = ""
    secret: str = ""
    mention: str = ""
    digest: bool = False
    test: bool = False
    tries: int = 0
    lane: str = ""
    done: Sequence[str] = ()


class DispatchService:
    """The way out for messages; triggers send e-mail and webhooks, bots the rest."""

    def __init__(self, *, database: Database, sealer: Sealer, signals: Signals, clock: Clock) -> None:
        self._database = database
        self._sealer = sealer
        self._signals = signals
        self._clock = clock

    def due(
        self, kinds: Collection[ChannelKind], limit: int, without: Collection[str] = ()
    ) -> tuple[Sequence[Parcel], float | None]:
        """Claim up to `limit` parcels for channels of these kinds, `without` some lanes.

        Return them, and when to look again: a time, None: not before DISPATCH.
        """
        now = self._clock()
        parcels, lost = list[Parcel](), False
        with self._database.write() as tx:
            for row in tx.dispatches.due(kinds, now, limit, without):
                rows = tx.dispatches.claim(row, now, now + CLAIM)
                if not rows:
                    continue
                parcel = rows[0].parcel or rows[0].id
                try:
                    parcels.append(self._parcel(tx, rows))
                except Conflict as error:
                    log.warning("dispatch_failed", parcel=parcel, again=False, error=error.message)
                    tx.dispatches.settle(parcel, FAILED, now=now, error=error.message)
                    lost = True
                except VaultError as error:  # the key may come back
                    log.error("dispatch_failed", parcel=parcel, again=True, error=error.message)
                    tx.dispatches.postpone(parcel, now + PAUSE_MOST, error=error.message)
            next_at = tx.dispatches.next_at(kinds, without)
        return parcels, now if lost else next_at

    async def take(self, kinds: Collection[ChannelKind], limit: int, wait: float) -> Sequence[Parcel]:
        """Do as `due`; when there is nothing, wait for something, so many seconds at most."""
        until = self._clock() + wait
        while True:
            token = self._signals.token(DISPATCH)
            parcels, next_at = await in_thread(self.due, kinds, limit)
            left = until - self._clock()
            if parcels or left <= 0:
                return parcels
            patience = left if next_at is None else min(left, max(0.0, next_at - self._clock()))
            await self._signals.wait(DISPATCH, token, patience)

    def kind(self, parcel: str) -> ChannelKind:
        """Return for what kind of channel a parcel is. Raises NotFound."""
        with self._database.read() as tx:
            row = tx.dispatches.get(parcel)
            channel = None if row is None else tx.channels.get(row.channel)
        if channel is None:
            raise NotFound(f"there is nothing to send with the id {parcel!r}")
        return ChannelKind(channel.kind)

    def sent(self, parcel: str, *, remote: str = "", answer: str = "") -> None:
        """Store that a parcel was sent. `remote`: what the network calls its message; `answer`: what the receiver said, for the log.

        Settling what is settled already changes nothing. Raises NotFound.
        """
        with self._database.write() as tx:
            rows = _rows(tx, parcel)
            tx.dispatches.settle(parcel, SENT, now=self._clock(), answer=shown(answer, LONGEST))
            if remote and len(rows) == 1 and rows[0].parcel is None:  # what was collected is a message of its own
                tx.dispatches.named(rows[0].message, remote)
        self._signals.notify(DISPATCH)

    def failed(
        self,
        parcel: str,
        error: str,
        *,
        lasting: bool = False,
        again_at: float | None = None,
        answer: str = "",
        done: Sequence[str] = (),
    ) -> None:
        """Store that a parcel could not be sent: it is tried again at `again_at`, by default after a pause that grows.

        With `lasting`, or after PATIENCE, it is given up. `error` is for people; `done` as in Parcel. Raises NotFound.
        """
        now, error, answer = self._clock(), shown(error, LONGEST), shown(answer, LONGEST)
        with self._database.write() as tx:
            rows = _rows(tx, parcel)
            if not rows:
                return
            tries = max(row.tries for row in rows) + 1
            again = not lasting and now < max(row.created_at for row in rows) + PATIENCE
            log.warning("dispatch_failed", parcel=parcel, tries=tries, again=again, error=error)
            if again:
                pause = min(PAUSE * 2.0 ** min(tries - 1, 32), PAUSE_MOST)
                next_at = now + pause if again_at is None else again_at
                tx.dispatches.postpone(parcel, next_at, error=error, answer=answer, done=done)
            else:
                tx.dispatches.settle(parcel, FAILED, now=now, error=error, answer=answer)
        self._signals.notify(DISPATCH)

    def gone(self, parcel: str, error: str, *, answer: str = "") -> None:
        """Store that a receiver is no more: its channel is disabled, and what waits for it given up. Raises NotFound."""
        now, error, answer = self._clock(), shown(error, LONGEST), shown(answer, LONGEST)
        with self._database.write() as tx:
            rows = _rows(tx, parcel)
            channel = tx.channels.get(rows[0].channel) if rows else None
            if channel is None:
                return
            log.warning("channel_gone", channel=channel.name, project=channel.project, parcel=parcel, error=error)
            tx.dispatches.settle(parcel, FAILED, now=now, error=error, answer=answer)
            tx.dispatches.give_up(channel.id, "the channel was disabled: its receiver is gone")
            tx.channels.change(replace(channel, disabled_at=now))
            about = {"why": error}
            note(
                tx, now, Actor(""), "channel.disable", f"channel:{channel.name}", project=channel.project, detail=about
            )
        self._signals.notify(DISPATCH)

    def _parcel(self, tx: Transaction, rows: Sequence[DispatchRow]) -> Parcel:
        """Return what is to be sent. Raises Conflict when nobody knows where to, VaultError."""
        first = rows[0]
        channel = tx.channels.get(first.channel)
        assert channel is not None  # noqa: S101 (its messages go with it)
        kind = ChannelKind(channel.kind)
        target, sender = _address(tx, channel, kind)
        secret = self._sealer.open(channel.sealed_secret, *sealed_about(channel)) if channel.sealed_secret else ""
        earlier = tx.dispatches.earlier(rows)
        digest = first.parcel is not None
        return Parcel(
            id=first.parcel or first.id,
            kind=kind,
            channel=channel.name,
            target=target,
            items=[Item(row.message, row.news, earlier[row.id], "" if digest else row.remote) for row in rows],
            project=channel.project,
            sender=sender,
            secret=secret,
            mention="" if digest else _author(tx, channel, kind, first.news),
            digest=digest,
            test=first.subject.startswith(TEST),
            tries=max(row.tries for row in rows),
            lane=channel.id,
            done=first.done,
        )


def sealed_about(channel: ChannelRow) -> tuple[str, str, str]:
    """Return what the sealed secret of a channel is bound to."""
    return ("channel", channel.id, "secret")


def _rows(tx: Transaction, parcel: str) -> Sequence[DispatchRow]:
    """Return what of a parcel is not settled. Raises NotFound when there is no such parcel (any more)."""
    if tx.dispatches.get(parcel) is None:
        raise NotFound(f"there is nothing to send with the id {parcel!r}", hint="its channel or its run may be gone")
    return tx.dispatches.parcel(parcel)


def _address(tx: Transaction, channel: ChannelRow, kind: ChannelKind) -> tuple[str, str]:
    """Return the target and, for what is said to a person directly, whom the network knows them as."""
    if channel.target or channel.user_id is None:
        return channel.target, ""
    if kind is ChannelKind.EMAIL:
        email = tx.users.get(channel.user_id).email
        if not email:
            raise Conflict(f"the account {channel.user} has no e-mail address")
        return email, ""
    sender = _known_as(tx, channel.user_id, kind)
    if not sender:
        raise Conflict(f"the account {channel.user} is not linked on {kind}", hint="say `link` to the bot there")
    return "", sender


def _author(tx: Transaction, channel: ChannelRow, kind: ChannelKind, news: News) -> str:
    """Return what a network calls the author of what failed; only where others read, too."""
    if kind not in CHATS or channel.user_id is not None or not channel.rule.mention or news.kind not in FAILURES:
        return ""
    people = tx.users.emailed(news.author) if news.author else ()
    return _known_as(tx, people[0].id, kind) if len(people) == 1 else ""


def _known_as(tx: Transaction, user: str, kind: ChannelKind) -> str:
    """Return what a network calls a user, by the newest link; empty when there is none."""
    names = [each.subject for each in tx.users.identities(user) if each.provider == provider_of(kind)]
    return names[-1] if names else ""
