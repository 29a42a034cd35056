"""Groups of runs (`concurrency:`): the first ones of a group's line go, the others have not begun.

Everything happens in the transaction that stores, begins or ends a run, so no kill comes between two of them.
"""

from __future__ import annotations

from collections.abc import Callable

from flowbuild.core.events import CancelRequested, Event, RunStarted
from flowbuild.core.ids import RunId
from flowbuild.core.model import Concurrency
from flowbuild.core.states import Reason
from flowbuild.store.database import Transaction

Apply = Callable[[RunId, Event], None]


def begin(tx: Transaction, run: RunId, apply: Apply) -> None:
    """Begin a run that was stored, or let it wait; with `cancel_running` older ones of its group make room.

    The newest are cancelled first: of those that wait none begins only to be cancelled, too.
    """
    row = tx.runs.get(run)
    group = row.run.pipeline.concurrency
    if group is None:
        apply(run, RunStarted())
        return
    older = tx.concurrency.join(row.project, group.group, run)[:-1]
    if group.cancel_running:
        for other in reversed(older[: max(0, len(older) - group.limit + 1)]):
            tx.others.add(other)
            apply(other, CancelRequested(f"run {row.number}", Reason.SUPERSEDED))
    _admit(tx, row.project, group.group, apply)


def end(tx: Transaction, run: RunId, apply: Apply) -> None:
    """Take a run that ended out of its group, and begin those whose turn it is now."""
    for project, group in tx.concurrency.leave(run):
        _admit(tx, project, group, apply)


def _admit(tx: Transaction, project: str, group: str, apply: Apply) -> None:
    """Begin the runs that stand far enough in front; each says itself how far that is."""
    for place, run in enumerate(tx.concurrency.line(project, group)):
        row = tx.runs.get(run).run
        if row.started_at is None and not row.state.final and place < _limit(row.pipeline.concurrency):
            tx.others.add(run)
            apply(run, RunStarted())


def _limit(group: Concurrency | None) -> int:
    return 1 if group is None else group.limit
