"""Sends e-mail and webhooks: several side by side, and a receiver that is slow holds up nobody but itself.

Webhooks of a channel have a lane of their own: while some are on their way, no more are taken for it. All e-mail goes to one
mail server, which is not asked for more than a few connections.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

from flowbuild.senders.base import Receipt, Verdict
from flowbuild.services.decisions import Clock
from flowbuild.services.dispatching import DISPATCH, ChannelKind, Parcel
from flowbuild.services.sending import SendingService
from flowbuild.services.signals import Signals
from flowbuild.services.threads import in_thread
from flowbuild.triggers.loop import log, loop

AT_ONCE = 4  # that are taken at once, and so of one lane
GRACE = 4.0  # seconds that what is on its way has when we are to end
Send = Callable[[Parcel], Awaitable[Receipt]]


class Sending:
    """See triggers.loop for when it starts and ends. `send` says how parcels of a kind are sent; it does not raise for receivers.

    `most`: how many are on their way at once. With `lanes` each channel has one; else one receiver stands behind all of them.
    """

    def __init__(
        self,
        *,
        kind: ChannelKind,
        send: Send,
        service: SendingService,
        signals: Signals,
        clock: Clock,
        most: int,
        lanes: bool,
    ) -> None:
        self._kind = kind
        self._send = send
        self._service = service
        self._signals = signals
        self._clock = clock
        self._most = most
        self._lanes = lanes
        self._busy: Counter[str] = Counter()  # by channel: how much is on its way
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Work until cancelled. What is not settled until GRACE is over comes again in the next life, with the same id."""
        try:
            await loop(self._look, topic=DISPATCH, signals=self._signals, clock=self._clock)
        finally:
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=GRACE)
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _look(self) -> float | None:
        room = self._most - self._busy.total()
        if room <= 0:
            return None  # one that ends says so, and we look again
        busy = frozenset(+self._busy) if self._lanes else frozenset[str]()
        parcels, next_at = await in_thread(self._service.due, self._kind, min(room, AT_ONCE), busy)
        for parcel in parcels:
            self._busy[parcel.lane] += 1
            task = asyncio.create_task(self._one(parcel))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return self._clock() if parcels else next_at  # there may be more

    async def _one(self, parcel: Parcel) -> None:
        try:
            receipt = await self._tried(parcel)
            await in_thread(self._service.settle, parcel, receipt)
        except Exception as error:  # noqa: BLE001 (one channel must not stop the others; the claim runs out)
            log.error("settling_failed", parcel=parcel.id, channel=parcel.channel, exc_info=error)
        finally:
            self._busy[parcel.lane] -= 1
            self._signals.notify(DISPATCH)

    async def _tried(self, parcel: Parcel) -> Receipt:
        try:
            return await self._send(parcel)
        except Exception as error:  # noqa: BLE001 (a mistake of ours; a newer version may know better before it is given up)
            log.error("sending_failed", parcel=parcel.id, channel=parcel.channel, exc_info=error)
            return Receipt(Verdict.AGAIN, error=f"a mistake of the server: {error!r}", done=parcel.done)
