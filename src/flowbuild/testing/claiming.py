"""Claims without placement: whoever asks gets what has waited longest."""

from __future__ import annotations

from flowbuild.store.attempts import AttemptRow
from flowbuild.store.database import Transaction


def claim_oldest(
    tx: Transaction, *, runner: str, owner: str, request_key: str, now: float, lease: float, wait: bool = True
) -> AttemptRow | None:
    """Lease the oldest queued attempt of an owner's runs to a runner, at first of those that no transaction has.

    Without `wait` no others are looked at.
    """
    asking = {"runner": runner, "request_key": request_key}
    while heads := tx.queue.heads(owner, served=False):
        for waiting in (False, True) if wait else (False,):
            for head in heads:
                with tx.savepoint() as give_back:
                    row = tx.attempts.take(head.key, **asking, now=now, lease=lease, wait=waiting)
                    if row is not None:
                        return row
                    give_back()
        if not wait:
            break
    return None
