"""What servers send themselves, e-mail and webhooks: what is to be sent, and what follows from a try. Blocking: call from threads.

What may get better is tried again for about a day: soon at first, then ever later, and not all at the same moment.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence

from flowbuild.senders.base import Receipt, Verdict
from flowbuild.services.decisions import Clock
from flowbuild.services.dispatching import ChannelKind, DispatchService, Parcel

# Seconds after each try that failed: 23 hours until the last one. Greylisting lets in who comes again after some minutes.
PAUSES = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0, 21600.0, 32400.0)
JITTER = 0.2  # the part of a pause by which it may be longer


class SendingService:
    """Between the log of what is to be told and those who send it."""

    def __init__(self, dispatches: DispatchService, clock: Clock) -> None:
        self._dispatches = dispatches
        self._clock = clock

    def due(self, kind: ChannelKind, limit: int, without: Collection[str]) -> tuple[Sequence[Parcel], float | None]:
        """Claim what is to be sent now to channels other than `without`; return it, and when to look again."""
        return self._dispatches.due((kind,), limit, without)

    def settle(self, parcel: Parcel, receipt: Receipt) -> None:
        """Store what became of a try."""
        if receipt.verdict is Verdict.TAKEN:
            self._dispatches.sent(parcel.id, answer=receipt.answer)
            return
        if receipt.verdict is Verdict.GONE:
            self._dispatches.gone(parcel.id, receipt.error, answer=receipt.answer)
            return
        again = receipt.verdict is Verdict.AGAIN and parcel.tries < len(PAUSES)
        self._dispatches.failed(
            parcel.id,
            receipt.error,
            lasting=not again,
            again_at=self._clock() + max(pause_after(parcel), receipt.again_after) if again else None,
            answer=receipt.answer,
            done=receipt.done,
        )


def pause_after(parcel: Parcel) -> float:
    """Return the seconds until the next try of a parcel whose first `tries + 1` failed.

    What failed together does not come again together: each parcel has pauses of its own length, the same in every life.
    """
    spread = hashlib.sha256(f"{parcel.id} {parcel.tries}".encode()).digest()[0] / 255
    return PAUSES[min(parcel.tries, len(PAUSES) - 1)] * (1 + JITTER * spread)
