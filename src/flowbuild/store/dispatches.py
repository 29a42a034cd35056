"""What is on its way to channels, and the log of what was sent.

A message is what a channel is told of one thing; its dispatches are settled (sent, or given up) in their order. What is sent at
once is called by the id of its first dispatch: one dispatch, or all that was collected for a digest.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    and_,
    case,
    delete,
    exists,
    func,
    or_,
    select,
)

from flowbuild.core.ids import RunId
from flowbuild.core.notifying import News
from flowbuild.store.chat_tables import channels, dispatches, messages
from flowbuild.store.codec import dump_news, load_news
from flowbuild.store.sharing import insert_once
from flowbuild.store.tables import runs

WAITING, SENT, FAILED = "waiting", "sent", "failed"
TEST = "test:"  # what the subject of a message begins with that tries a channel
_COLLECTED = 200  # dispatches of one digest


@dataclass(frozen=True, slots=True)
class DispatchRow:
    """Something to tell. `parcel`: None is sent by itself, "" waits to be collected, else the first of those it is sent with.

    `channel`, `subject` and `remote` are those of its message. `done`: of several receivers those that have it.
    """

    id: str
    message: str
    news: News
    created_at: float
    next_at: float
    parcel: str | None = None
    state: str = WAITING
    tries: int = 0
    error: str = ""
    answer: str = ""
    done: Sequence[str] = ()
    sent_at: float | None = None
    channel: str = ""
    subject: str = ""
    remote: str = ""


class Dispatches:
    """The tables `messages` and `dispatches`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def message(self, identifier: str, channel: str, subject: str, run: RunId | None = None) -> str:
        """Return the id of what a channel is told of a subject; a message with `identifier` is made when there is none."""
        row = {"id": identifier, "channel_id": channel, "subject": subject, "run_id": run}
        if insert_once(self._connection, messages, row):
            return identifier
        c = messages.c
        query = select(c.id).where(c.channel_id == channel, c.subject == subject)
        return str(self._connection.execute(query).scalar_one())

    def last(self, message: str) -> tuple[str, float]:
        """Return id and time of the newest dispatch of a message; empty and 0 when there is none."""
        c = dispatches.c
        query = select(c.id, c.created_at).where(c.message_id == message).order_by(c.id.desc()).limit(1)
        found = self._connection.execute(query).first()
        return ("", 0.0) if found is None else (found.id, found.created_at)

    def add(self, row: DispatchRow) -> None:
        """Store a dispatch. What its message has waiting for later is told no later than it: it would keep it waiting."""
        c = dispatches.c
        before = (c.message_id == row.message) & (c.state == WAITING) & (c.next_at > row.next_at)
        self._connection.execute(dispatches.update().where(before).values(next_at=row.next_at))
        values = {name: getattr(row, name) for name in ("id", "state", "created_at", "next_at", "parcel")}
        payload = {"message_id": row.message, "event": str(row.news.kind), "payload": dump_news(row.news)}
        self._connection.execute(dispatches.insert().values(**values, **payload))

    def due(
        self, kinds: Collection[str], now: float, limit: int, without: Collection[str] = ()
    ) -> Sequence[DispatchRow]:
        """Return what can be handed out now to who sends to channels of some kinds, `without` those: of each digest one."""
        c = dispatches.c
        query = (
            _query().where(_ready(kinds, without), c.next_at <= now, _free(now)).order_by(c.next_at, c.id).limit(limit)
        )
        return [_row(row) for row in self._connection.execute(query).mappings()]

    def next_at(self, kinds: Collection[str], without: Collection[str] = ()) -> float | None:
        """Return when the next one can be handed out to channels of some kinds, `without` those."""
        c = dispatches.c
        earliest = case((c.claimed_until > c.next_at, c.claimed_until), else_=c.next_at)
        query = select(func.min(earliest)).select_from(_joined()).where(_ready(kinds, without))
        return self._connection.execute(query).scalar()

    def claim(self, row: DispatchRow, now: float, until: float) -> Sequence[DispatchRow]:
        """Take what `due` found so that nobody else does before `until`; return all that it is sent with, in order.

        Nothing when somebody was faster. Of a digest all is taken that is due by now.
        """
        c, collecting = dispatches.c, row.parcel == ""
        ids = self._collected(row.channel, now) if collecting else [row.id]
        if not ids:
            return ()
        mine = c.id.in_(ids) & (c.parcel == "") if collecting else _of_parcel(row.id)
        free = and_(mine, c.state == WAITING)
        first = dispatches.update().where(c.id == ids[0], free, _free(now)).values(claimed_until=until)
        if self._connection.execute(first).rowcount != 1:
            return ()
        values = {"claimed_until": until} | ({"parcel": ids[0]} if collecting else {})
        self._connection.execute(dispatches.update().where(free).values(**values))
        return self.parcel(ids[0])

    def _collected(self, channel: str, now: float) -> Sequence[str]:
        """Return the ids of what goes into the next digest of a channel."""
        c = dispatches.c
        theirs = (messages.c.channel_id == channel, _ready(), c.parcel == "", c.next_at <= now, _free(now))
        query = select(c.id).select_from(_joined()).where(*theirs).order_by(c.id).limit(_COLLECTED)
        return list(self._connection.execute(query).scalars())

    def parcel(self, identifier: str) -> Sequence[DispatchRow]:
        """Return what is sent at once and is not settled, in order."""
        query = _query().where(_of_parcel(identifier), dispatches.c.state == WAITING).order_by(dispatches.c.id)
        return [_row(row) for row in self._connection.execute(query).mappings()]

    def earlier(self, rows: Collection[DispatchRow]) -> Mapping[str, Sequence[News]]:
        """Return what was told before some dispatches, by the ids of these, the oldest first."""
        c = dispatches.c
        query = select(c.id, c.message_id, c.payload).where(
            c.message_id.in_({row.message for row in rows}), c.state == SENT
        )
        sent = self._connection.execute(query.order_by(c.id)).all()
        return {
            row.id: [load_news(each.payload) for each in sent if each.message_id == row.message and each.id < row.id]
            for row in rows
        }

    def settle(self, parcel: str, state: str, *, now: float, error: str = "", answer: str = "") -> None:
        """Store what became of a parcel: SENT or FAILED."""
        c = dispatches.c
        values: dict[str, Any] = {"state": state, "claimed_until": None, "answer": answer, "error": error}
        values |= {"sent_at": now} if state == SENT else {"tries": c.tries + 1}
        self._connection.execute(dispatches.update().where(_of_parcel(parcel), c.state == WAITING).values(**values))

    def postpone(self, parcel: str, next_at: float, *, error: str, answer: str = "", done: Iterable[str] = ()) -> None:
        """Give a parcel back that could not be sent, to be tried again; not to those receivers who are `done`."""
        c = dispatches.c
        values = {"claimed_until": None, "next_at": next_at, "tries": c.tries + 1, "error": error, "answer": answer}
        values["done"] = ",".join(done)
        self._connection.execute(dispatches.update().where(_of_parcel(parcel), c.state == WAITING).values(**values))

    def named(self, message: str, remote: str) -> None:
        """Store what the network calls a message."""
        self._connection.execute(messages.update().where(messages.c.id == message).values(remote=remote))

    def get(self, identifier: str) -> DispatchRow | None:
        """Return a dispatch, with its channel."""
        if not identifier.isprintable():  # PostgreSQL: no NUL
            return None
        row = self._connection.execute(_query().where(dispatches.c.id == identifier)).mappings().first()
        return None if row is None else _row(row)

    def page(self, channel: str, before: str | None, limit: int) -> Sequence[DispatchRow]:
        """Return what a channel was told, and is to be told, the newest first, those before an id."""
        query = _query().where(messages.c.channel_id == channel).order_by(dispatches.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(dispatches.c.id < before)
        return [_row(row) for row in self._connection.execute(query).mappings()]

    def give_up(self, channel: str, error: str) -> None:
        """Settle all that waits for a channel as failed."""
        c = dispatches.c
        theirs = c.message_id.in_(select(messages.c.id).where(messages.c.channel_id == channel))
        values = {"state": FAILED, "claimed_until": None, "error": error}
        self._connection.execute(dispatches.update().where(theirs, c.state == WAITING).values(**values))

    def drop(self, *, run: RunId | None = None, project: str = "") -> None:
        """Delete what waits to be told of a run, or of all runs of a project: somebody wants them gone."""
        c = dispatches.c
        mine = messages.c.run_id == run if run else messages.c.run_id.in_(_runs_of(project))
        self._connection.execute(
            dispatches.delete().where(c.state == WAITING, c.message_id.in_(select(messages.c.id).where(mine)))
        )

    def forget(self, before: float) -> None:
        """Delete messages of no run whose dispatches are all settled, and older than that; those of runs go with these."""
        c = dispatches.c
        kept = exists().where(c.message_id == messages.c.id, or_(c.state == WAITING, c.created_at >= before))
        self._connection.execute(delete(messages).where(messages.c.run_id.is_(None), ~kept))


def untold() -> Select[Any]:
    """Return the query for the runs of which something is still to be told."""
    waiting = select(messages.c.run_id).join(dispatches, dispatches.c.message_id == messages.c.id)
    return waiting.where(dispatches.c.state == WAITING, messages.c.run_id.is_not(None))


def _runs_of(project: str) -> Select[Any]:
    return select(runs.c.id).where(runs.c.project == project)


def _ready(kinds: Collection[str] | None = None, without: Collection[str] = ()) -> ColumnElement[bool]:
    """Return the condition that a dispatch is the first of its message, so that only time and claims keep it back.

    Of what is sent together the first stands for all. What is to be collected waits until the digest before it is settled.
    """
    c = dispatches.c
    before, digest, theirs = dispatches.alias(), dispatches.alias(), messages.alias()
    first = ~exists().where(_precedes(before)).correlate(dispatches)
    of_channel = (digest.c.message_id == theirs.c.id) & (theirs.c.channel_id == messages.c.channel_id)
    under_way = exists().where(of_channel, digest.c.state == WAITING, digest.c.parcel > "").correlate(messages)
    ready = or_(c.parcel.is_(None) & first, c.parcel == c.id, (c.parcel == "") & first & ~under_way)
    told = [channels.c.disabled_at.is_(None)] + ([] if kinds is None else [channels.c.kind.in_(sorted(kinds))])
    told += [channels.c.id.not_in(sorted(without))] if without else []
    return and_(c.state == WAITING, ready, *told)


def _precedes(before: Any) -> ColumnElement[bool]:
    """Return the condition that `before` must be settled first; what is collected goes together with what is, too."""
    c = dispatches.c
    apart = or_(c.parcel.is_(None), before.c.parcel.is_(None))
    return and_(before.c.message_id == c.message_id, before.c.id < c.id, before.c.state == WAITING, apart)


def _of_parcel(identifier: str) -> ColumnElement[bool]:
    c = dispatches.c
    return or_(c.parcel == identifier, and_(c.id == identifier, c.parcel.is_(None)))


def _free(now: float) -> ColumnElement[bool]:
    return or_(dispatches.c.claimed_until.is_(None), dispatches.c.claimed_until <= now)


def _joined() -> Any:
    return dispatches.join(messages, messages.c.id == dispatches.c.message_id).join(
        channels, channels.c.id == messages.c.channel_id
    )


def _query() -> Select[Any]:
    told = (messages.c.channel_id, messages.c.subject, messages.c.remote)
    return select(dispatches, *told).select_from(_joined())


def _row(row: RowMapping) -> DispatchRow:
    return DispatchRow(
        id=row["id"],
        message=row["message_id"],
        news=load_news(row["payload"]),
        created_at=row["created_at"],
        next_at=row["next_at"],
        parcel=row["parcel"],
        state=row["state"],
        tries=row["tries"],
        error=row["error"],
        answer=row["answer"],
        done=tuple(filter(None, row["done"].split(","))),
        sent_at=row["sent_at"],
        channel=row["channel_id"],
        subject=row["subject"],
        remote=row["remote"],
    )
