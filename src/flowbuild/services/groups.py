"""Groups of runs (`concurrency:`): the first ones of a group's line go, the others have not begun.

A run joins in the transaction that stores it and leaves in the one that ends it. Whose turn it is then is found out afterwards,
run by run, each in a transaction of its own: whoever decides about one run must not wait for another (`store.sharing`). That
it is found out is an effect in the outbox, so no kill prevents it. See `Decisions.settle_group`.
"""

from __future__ import annotations

from collections.abc import Sequence

from flowbuild.core.commands import SettleGroup
from flowbuild.core.ids import RunId
from flowbuild.store.concurrency import Place
from flowbuild.store.database import Transaction


def join(tx: Transaction, run: RunId, now: float) -> bool:
    """Let a run that was just stored stand in line; return whether it may begin at once."""
    row = tx.runs.get(run)
    group = row.run.pipeline.concurrency
    if group is None:
        return True
    if len(tx.concurrency.join(row.project, group, run)) <= group.limit:
        tx.concurrency.begun(run, now)
        return True
    if group.cancel_running:
        tx.outbox.put(run, [SettleGroup()])
    return False


def superseded(line: Sequence[Place], run: RunId) -> list[RunId]:
    """Return the runs that are to make room for one, those that came last first: of those that wait none begins meanwhile."""
    runs = [place.run for place in line]
    if run not in runs or not line[runs.index(run)].cancels:
        return []
    older = runs[: runs.index(run)]
    room = line[runs.index(run)].room - 1  # one is for itself
    return older[: max(0, len(older) - room)][::-1]
