"""What is to be told about runs, and to whom: kinds of notices, and when each comes about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from flowbuild.core.ids import RunId
from flowbuild.core.notifying import Happened
from flowbuild.core.sources import SourceEvent
from flowbuild.forges.client import Status
from flowbuild.services.ids import new_id
from flowbuild.store.database import Transaction
from flowbuild.store.hooks import HookRow
from flowbuild.store.notices import Notice
from flowbuild.store.runs import RunRow

STATUS = "status"  # kind, and topic: how it stands with a commit is to be told to its forge
AFTER = "after"  # kind, and topic: pipelines that follow another one are to be looked for
NEWS = "news"  # kind, and topic: people may have to be told of something


def status_notice(run: RunId, hook: HookRow, event: SourceEvent, now: float) -> Notice:
    """Return the notice that keeps a forge informed about a run until it is final. There is one per run."""
    payload = {"hook": hook.id, "repository": event.repository, "commit": event.commit}
    return Notice(id=run, kind=STATUS, run=run, payload=payload, next_at=now)


def commit_notice(identifier: str, hook: HookRow, event: SourceEvent, status: Status, now: float) -> Notice:
    """Return the notice of a status that no run has: a pipeline file that cannot be used, or that somebody has to approve."""
    payload = {
        "hook": hook.id,
        "repository": event.repository,
        "commit": event.commit,
        "status": asdict(status),
    }
    return Notice(id=identifier, kind=STATUS, run=None, payload=payload, next_at=now)


def run_ended(tx: Transaction, run: RunId, now: float) -> None:
    """Make known, in the transaction that ends a run, what there is to tell about it."""
    if tx.notices.touch(run, now):
        tx.topics.add(STATUS)
    if tx.notices.of_server(run):
        tx.notices.add(Notice(id=new_id(now), kind=AFTER, run=run, payload={}, next_at=now))
        tx.topics.add(AFTER)


def run_news(tx: Transaction, row: RunRow, told: Sequence[Happened], now: float) -> None:
    """Note what happened to a run with its last event, in the same transaction, if there may be somebody to tell."""
    if tx.channels.any_listening(row.project):
        news = [{"kind": str(each.kind), "steps": list(each.steps)} for each in told]
        payload = {"seq": row.last_seq, "at": now, "news": news}
        tx.notices.add(Notice(id=new_id(now), kind=NEWS, run=row.run.id, payload=payload, next_at=now))
        tx.topics.add(NEWS)


def node_news(tx: Transaction, run: RunId, runner: str, message: str, now: float) -> None:
    """Note that a machine is lost that had an attempt of a run, in the transaction that gives the attempt up."""
    project = tx.runs.project(run)
    if tx.channels.any_listening(project):
        payload = {"project": project, "runner": runner, "at": now, "message": message}
        tx.notices.add(Notice(id=new_id(now), kind=NEWS, run=None, payload=payload, next_at=now))
        tx.topics.add(NEWS)
