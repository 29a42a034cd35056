"""Ships the output of a unit to the server: masked, in order, in batches as large as the time of the last one made them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from flowbuild.client.runner import Lease, LogEntry, RunnerClient
from flowbuild.core.errors import FlowError, LeaseLost
from flowbuild.core.redact import Redactor
from flowbuild.engine.base import LogRecord

MAX_MESSAGE = 1000  # characters of what is said of an end; the log has all of it
MAX_PENDING = 8 << 20  # bytes; the engine is read no further until the server took some


class LogShip:
    """The log of one attempt. `note` adds lines of the runner's own, as service `flow`.

    `lost` is called when the server does not take output any more because the attempt is not this runner's.
    """

    def __init__(
        self, client: RunnerClient, lease: Lease, secrets: Mapping[str, str], lost: Callable[[], None]
    ) -> None:
        self._client = client
        self._lost = lost
        self._lease = lease
        self._masking = Redactor(secrets)
        self._redactors: dict[tuple[str, str], Redactor] = {}
        self._offset = 0
        self._read = 0  # records
        self._pending: list[LogEntry] = []
        self._size = 0
        self._sending = asyncio.Lock()

    def told(self, message: str) -> str:
        """Return a message that can be shown everywhere: it may hold paths of any length, and secrets in what checks said."""
        text = self._masking.text(message)
        return text if len(text) <= MAX_MESSAGE else f"{text[: MAX_MESSAGE // 2]} … {text[-MAX_MESSAGE // 2 :]}"

    def masked(self, value: Any) -> Any:
        """Return plain values of any depth with the secrets in their texts masked."""
        if isinstance(value, str):
            return self._masking.text(value)
        if isinstance(value, Mapping):
            return {key: self.masked(each) for key, each in value.items()}
        return [self.masked(each) for each in value] if isinstance(value, list | tuple) else value

    async def open(self) -> Mapping[str, int]:
        """Ask the server how far it got; return the time of the last kept record by service."""
        self._offset, last = await self._client.log_state(self._lease)
        return last

    async def note(self, text: str) -> None:
        """Add a line of the runner's own."""
        await self._add(LogRecord("flow", "stderr", time.time_ns(), text.encode() + b"\n"))
        await self.flush()

    async def follow(self, records: AsyncIterator[LogRecord]) -> None:
        """Ship records until there are no more."""
        sender = asyncio.create_task(self.flush())
        try:
            async for record in records:
                await self._add(record)
                if sender.done():
                    sender.result()
                    sender = asyncio.create_task(self.flush())
                elif self._size > MAX_PENDING:
                    await sender
        finally:
            await asyncio.wait({sender})  # whatever comes next continues where it ended
        sender.result()
        for (service, stream), redactor in self._redactors.items():
            self._append(LogEntry(service, stream, time.time_ns(), redactor.flush()))
        await self.flush()

    async def drain(self, following: asyncio.Task[None], patience: float) -> None:
        """Wait until `follow` is over. Raises TimeoutError when nothing was read or taken for `patience` seconds.

        How long it takes in all depends on how much there is to be read, so that has no bound.
        """
        before = None
        while before != (now := (self._read, self._offset)):
            before = now
            if (await asyncio.wait({following}, timeout=patience))[0]:
                return following.result()
        raise TimeoutError

    async def flush(self) -> None:
        """Send all that is pending."""
        async with self._sending:
            while self._pending:
                batch, size = self._pending, self._size
                self._pending, self._size = [], 0
                try:
                    self._offset = await self._client.append_log(self._lease, self._offset, batch)
                except (FlowError, OSError) as error:
                    if isinstance(error, LeaseLost):
                        self._lost()
                    self._pending, self._size = batch + self._pending, size + self._size
                    raise

    async def _add(self, record: LogRecord) -> None:
        self._read += 1
        key = (record.service, record.stream)
        redactor = self._redactors.get(key)
        if redactor is None:
            redactor = self._redactors[key] = self._masking.fork()
        self._append(LogEntry(record.service, record.stream, record.time_ns, redactor.feed(record.data)))

    def _append(self, entry: LogEntry) -> None:
        if entry.data:
            self._pending.append(entry)
            self._size += len(entry.data)
