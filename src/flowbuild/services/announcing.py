"""From what happened to what each channel is told: who is concerned, by which rule, and when. Blocking: call from threads.

What the log and the repository say is read first. Then one transaction adds messages and dispatches and deletes the notice that
asked for them: a death of the program in between loses nothing, and nothing is told twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from flowbuild.core.errors import FlowError, NotFound
from flowbuild.core.ids import RunId, StepKey, runner_name
from flowbuild.core.notifying import FAILURES, News, NewsKind, Person, StepNews, asks_for, is_of, lets_through, told_as
from flowbuild.core.quiet import when
from flowbuild.core.run import Run
from flowbuild.core.sources import Trust
from flowbuild.core.states import Outcome
from flowbuild.services.decisions import Clock
from flowbuild.services.dispatching import DISPATCH
from flowbuild.services.ids import id_after, new_id
from flowbuild.services.notices import NEWS
from flowbuild.services.signals import Signals
from flowbuild.store.channels import ChannelRow
from flowbuild.store.database import Database, Transaction
from flowbuild.store.dispatches import DispatchRow
from flowbuild.store.notices import Notice
from flowbuild.store.runs import RunRow

log = structlog.get_logger()
AT_ONCE = 20  # notices that are looked at before others are claimed
CLAIM = 60.0  # seconds in which nobody else looks at the same notice
TRIES = 40  # most of a day; nobody needs to know any more then
PAUSE, PAUSE_MOST = 1.0, 1800.0
NODE_PAUSE = 600.0  # seconds in which the attempts that a machine had make one loss of it
MOST_STEPS = 10  # of which news tell


class Facts(Protocol):
    """What news tell besides what the run itself knows."""

    def commit(self, project: str, commit: str) -> tuple[str, str]:
        """Return the e-mail address of who wrote a commit, and its subject; empty when it is not here."""
        ...

    def lines(self, run: RunId, step: StepKey) -> Sequence[str]:
        """Return the lines of a step's log that say why it failed."""
        ...


@dataclass(frozen=True, slots=True)
class _Told:
    """A notice of a run, and what follows from it: news, each with the ids of the channels that are told."""

    notice: Notice
    news: Sequence[tuple[News, frozenset[str]]]


class AnnounceService:
    """Expands notices. `link` returns the page of a run."""

    def __init__(
        self, *, database: Database, facts: Facts, link: Callable[[RunRow], str], signals: Signals, clock: Clock
    ) -> None:
        self._database = database
        self._facts = facts
        self._link = link
        self._signals = signals
        self._clock = clock

    def run_due(self) -> float | None:
        """Look at what happened; return when to look again. Raises StoreError."""
        now = self._clock()
        with self._database.write() as tx:
            due = tx.notices.due(NEWS, now, AT_ONCE)
            claimed = [notice for notice in due if tx.notices.claim(notice, now, now + CLAIM)]
        done: set[RunId] = set()
        for notice in claimed:
            if notice.run is None or notice.run not in done:
                self._expand(notice)
            if notice.run is not None:
                done.add(notice.run)
        with self._database.read() as tx:
            return tx.notices.next_at(NEWS)

    def _expand(self, notice: Notice) -> None:
        try:
            told = self._node(notice) if notice.run is None else self._run(notice.run)
        except Exception as error:  # noqa: BLE001 (one run must not keep the others from being told)
            self._failed(notice, error)
        else:
            if told:
                self._signals.notify(DISPATCH)

    def _run(self, run: RunId) -> bool:
        """Tell all that is known to have happened to a run, in its order; return whether anybody is told."""
        with self._database.read() as tx:
            row, notices = tx.runs.get(run), _in_order(tx.notices.of_run(run))
            listeners = _listeners(tx, row.project)
        told = [_Told(notice, list(self._news(row, notice, listeners))) for notice in notices]
        with self._database.write() as tx:
            tx.runs.lock(run)
            there = {notice.id for notice in tx.notices.of_run(run)}
            channels = tx.channels.listening(row.project)
            added = 0
            for each in told:
                if each.notice.id in there:  # else another server has told it meanwhile
                    added += sum(self._tell(tx, channels, *news) for news in each.news)
                    tx.notices.done(each.notice.id)
        return added > 0

    def _news(
        self, row: RunRow, notice: Notice, listeners: Sequence[_Listener]
    ) -> Iterator[tuple[News, frozenset[str]]]:
        """Yield what a notice stands for, if anybody is told of it. The commit is only looked at when somebody may be."""
        for each in notice.payload["news"]:
            kind = NewsKind(each["kind"])
            if kind in (NewsKind.SUCCEEDED, NewsKind.FAILED):
                with self._database.read() as tx:
                    kind = told_as(kind, tx.runs.ended_before(row))
            news = self._basic(row, kind, notice.payload["at"])
            concerned = [listener for listener in listeners if listener.may_want(row, news)]
            if not concerned:
                continue
            author, subject = self._facts.commit(row.project, news.commit) if news.commit else ("", "")
            news = replace(news, author=author, subject=subject)
            told = frozenset(listener.channel.id for listener in concerned if listener.wants(row, news))
            if told:
                yield replace(news, steps=self._steps(row.run, kind, each["steps"])), told

    def _basic(self, row: RunRow, kind: NewsKind, at: float) -> News:
        run = row.run
        over = kind not in (NewsKind.STARTED, NewsKind.APPROVAL) and run.finished_at is not None
        return News(
            kind=kind,
            at=at,
            project=row.project,
            pipeline=run.pipeline.name,
            run=run.id,
            number=row.number,
            branch=run.context.branch,
            commit=run.context.commit,
            actor=row.actor,
            url=self._link(row),
            seconds=run.finished_at - (run.started_at or run.created_at) if over and run.finished_at else None,
            message=f"{run.cancel_reason}" if kind is NewsKind.CANCELLED and run.cancel_reason else "",
        )

    def _steps(self, run: Run, kind: NewsKind, waiting: Iterable[str]) -> Sequence[StepNews]:
        if kind is NewsKind.APPROVAL:
            return [StepNews(key, "waiting", _environment(run, StepKey(key))) for key in waiting]
        if kind not in FAILURES:
            return ()
        bad = [step for step in run.steps.values() if step.outcome in (Outcome.FAILED, Outcome.ERRORED)]
        bad.sort(key=lambda step: (run.pipeline.step(step.key).allow_failure, step.finished_at or 0.0))
        return [
            StepNews(step.key, str(step.outcome), step.message, step.exit_code, self._facts.lines(run.id, step.key))
            for step in bad[:MOST_STEPS]
        ]

    def _tell(self, tx: Transaction, channels: Iterable[ChannelRow], news: News, told: frozenset[str]) -> int:
        """Add what each channel is told that is still there; return how many are."""
        found = [channel for channel in channels if channel.id in told]
        for channel in found:
            _dispatch(tx, channel, news.run, news, self._clock())
        return len(found)

    def _node(self, notice: Notice) -> bool:
        """Tell that a machine is lost: the channels of a project that had a run there, and admins who asked for it."""
        payload, now = notice.payload, self._clock()
        runner = str(payload["runner"])
        news = News(NewsKind.NODE_LOST, payload["at"], node=runner_name(runner), message=payload["message"])
        with self._database.read() as tx:
            listeners = _listeners(tx, payload["project"])
        told = {each.channel.id for each in listeners if each.person is None or each.admin}
        added = 0
        with self._database.write() as tx:
            if not tx.notices.done(notice.id):
                return False
            for channel in tx.channels.listening(payload["project"]):
                if channel.id in told and lets_through(channel.rule, news):
                    added += _dispatch(tx, channel, f"node:{runner}"[:160], news, now)
        return added > 0

    def _failed(self, notice: Notice, error: Exception) -> None:
        if isinstance(error, NotFound):  # the run is gone, and the notice with it
            return
        message, tries = error.message if isinstance(error, FlowError) else repr(error), notice.tries + 1
        log.error("announce_failed", run=notice.run, tries=tries, again=tries < TRIES, exc_info=error)
        with self._database.write() as tx:
            if tries < TRIES:
                tx.notices.failed(notice, message, self._clock() + min(PAUSE * 2.0 ** (tries - 1), PAUSE_MOST))
            else:
                tx.notices.done(notice.id)


@dataclass(frozen=True, slots=True)
class _Listener:
    """A channel with what decides about it. Of a person: who it is, whether they have a role in the project, and are admin."""

    channel: ChannelRow
    person: Person | None = None
    member: bool = False
    admin: bool = False

    def may_want(self, row: RunRow, news: News) -> bool:
        """Whether the channel may be told, as far as that is known without the commit."""
        return lets_through(replace(self.channel.rule, mine=False), news) or self._asked(row, news)

    def wants(self, row: RunRow, news: News) -> bool:
        """Whether the channel is told. Persons hear of projects in which they have a role; admins elsewhere of what is theirs."""
        if self.person is None:
            return lets_through(self.channel.rule, news) or self._asked(row, news)
        theirs = self.member or (self.admin and is_of(news, self.person))
        return theirs and lets_through(self.channel.rule, news, self.person)

    def _asked(self, row: RunRow, news: News) -> bool:
        """Whether the pipeline file wants a channel of the project to be told. What strangers wrote there has no say."""
        ours = self.person is None and row.trust != Trust.UNTRUSTED
        return ours and asks_for(row.run.pipeline.notify, self.channel.name, news)


def _listeners(tx: Transaction, project: str) -> Sequence[_Listener]:
    """Return the channels that may be told of what happens in a project."""
    members = {member.user_id for member in tx.members.of_project(tx.projects.identity(project))}
    found = []
    for channel in tx.channels.listening(project):
        if channel.user_id is None:
            found.append(_Listener(channel))
        else:
            user = tx.users.get(channel.user_id)
            found.append(_Listener(channel, Person(user.name, user.email), user.id in members, user.admin))
    return found


def _in_order(notices: Iterable[Notice]) -> list[Notice]:
    return sorted((each for each in notices if each.kind == NEWS), key=lambda each: int(each.payload["seq"]))


def _dispatch(tx: Transaction, channel: ChannelRow, subject: str, news: News, now: float) -> bool:
    """Add a dispatch to what a channel is told of a subject. The same loss of a machine is told once."""
    message = tx.dispatches.message(new_id(now), channel.id, subject, RunId(news.run) if news.run else None)
    last, at = tx.dispatches.last(message)
    if news.kind is NewsKind.NODE_LOST and last and now - at < NODE_PAUSE:
        return False
    parcel = "" if channel.rule.digest else None
    next_at = when(channel.rule, news.kind, now)
    tx.dispatches.add(DispatchRow(id_after(last, now), message, news, now, next_at, parcel))
    return True


def _environment(run: Run, step: StepKey) -> str:
    environment = run.pipeline.step(step).environment
    if environment is None:
        return ""
    return f"{environment.name}: {', '.join(environment.approve)}"
