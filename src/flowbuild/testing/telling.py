"""A server that tells channels things, without runs: what is news is put into its log by hand, and really sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from flowbuild.core.giturl import Policy
from flowbuild.core.notifying import News, NewsKind, Rule, StepNews
from flowbuild.senders.letter import mailbox
from flowbuild.senders.smtp import NoMail, Relay, SmtpSender
from flowbuild.senders.webhook import new_secret
from flowbuild.services.dispatching import DISPATCH, DispatchService, sealed_about
from flowbuild.services.ids import new_id
from flowbuild.services.signals import Signals
from flowbuild.store.channels import ChannelRow
from flowbuild.store.database import Database
from flowbuild.store.dispatches import WAITING, DispatchRow
from flowbuild.testing.databases import new_sqlite
from flowbuild.testing.receivers import PATIENCE, MailServer
from flowbuild.testing.triggers import Clock, PlainSealer, add_project
from flowbuild.wiring.sending import sending_of

HERE = Policy(plain_http=True, internal=("127.0.0.1",))
PROJECT = "team/app"


def tell(database: Database, channel: ChannelRow, subject: str, kind: NewsKind, now: float) -> str:
    """Have a channel told of something about a subject; return its id."""
    step = StepNews("unit", "failed", "", 1, ("assert 1 == 2",))
    news = News(kind, now, PROJECT, "build", subject, 1, "main", "c" * 40, "Fix it", steps=(step,))
    identifier = new_id(now)
    with database.write() as tx:
        message = tx.dispatches.message(new_id(now), channel.id, subject)
        tx.dispatches.add(DispatchRow(identifier, message, news, now, now))
    return identifier


class Telling:
    """The server. `clock` stands still: `later` moves it."""

    def __init__(self, path: Path, *, clock: Callable[[], float] | None = None) -> None:
        self.database, self.signals = new_sqlite(path / "flow.db"), Signals()
        self.standing = Clock()
        self.clock = clock or self.standing
        self.project = add_project(self.database, PROJECT)
        self.sealer = PlainSealer()
        self.dispatches = DispatchService(
            database=self.database, sealer=self.sealer, signals=self.signals, clock=self.clock
        )

    async def channel(self, kind: str, target: str, name: str = "ops") -> ChannelRow:
        """Add a channel of the project."""
        now = self.clock()
        row = ChannelRow(new_id(now), name, kind, target, "ann", now, project_id=self.project, rule=Rule())
        if kind == "webhook":
            row = replace(row, sealed_secret=self.sealer.seal(new_secret(), *sealed_about(row)))

        def add() -> None:
            with self.database.write() as tx:
                assert tx.channels.add(row)  # noqa: S101 (names of one test)

        await asyncio.to_thread(add)
        return row

    async def tell(self, channel: ChannelRow, subject: str, kind: NewsKind = NewsKind.FAILED) -> str:
        """Have a channel told of something; return its id."""
        self.standing.pass_(0.01)  # ids sort by milliseconds
        identifier = await asyncio.to_thread(tell, self.database, channel, subject, kind, self.clock())
        self.signals.notify(DISPATCH)
        return identifier

    async def log(self, channel: ChannelRow) -> Sequence[DispatchRow]:
        """Return what a channel was told, the oldest first."""
        return await asyncio.to_thread(self._log, channel)

    async def row(self, identifier: str) -> DispatchRow:
        """Return what became of something."""
        return await asyncio.to_thread(self._row, identifier)

    async def settled(self, channel: ChannelRow) -> None:
        """Wait until nothing waits to be told to a channel."""
        await self._until(lambda: not self._waiting(channel))

    async def tried(self, identifier: str, tries: int = 1) -> None:
        """Wait until something was tried that often in vain."""
        await self._until(lambda: self._row(identifier).tries == tries)

    def later(self, seconds: float) -> None:
        """Let time pass."""
        self.standing.pass_(seconds)
        self.signals.notify(DISPATCH)

    async def _until(self, so: Callable[[], bool]) -> None:
        """Wait until it is so, looking whenever something was settled; raises TimeoutError."""
        async with asyncio.timeout(PATIENCE):
            while True:
                token = self.signals.token(DISPATCH)
                if await asyncio.to_thread(so):
                    return
                await self.signals.wait(DISPATCH, token)

    async def to_the_end(self, channel: ChannelRow) -> None:
        """Let time pass until all that a channel is told is settled; raises TimeoutError."""
        while True:
            await self._until(lambda: all(row.next_at > self.clock() for row in self._waiting(channel)))
            waiting = await asyncio.to_thread(self._waiting, channel)
            if not waiting:
                return
            self.later(min(row.next_at for row in waiting) - self.clock())

    def _row(self, identifier: str) -> DispatchRow:
        with self.database.read() as tx:
            found = tx.dispatches.get(identifier)
        assert found is not None  # noqa: S101
        return found

    def _log(self, channel: ChannelRow) -> Sequence[DispatchRow]:
        with self.database.read() as tx:
            return list(reversed(tx.dispatches.page(channel.id, None, 10_000)))

    def _waiting(self, channel: ChannelRow) -> Sequence[DispatchRow]:
        return [row for row in self._log(channel) if row.state == WAITING]

    @asynccontextmanager
    async def sending(self, mail: MailServer | None = None, policy: Policy = HERE) -> AsyncIterator[None]:
        """Send what there is to send while the context is open."""
        relay = None if mail is None else Relay("127.0.0.1", mail.port, tls=False)
        sender = NoMail() if relay is None else SmtpSender(relay, mailbox("Flow <flow@example.org>"))
        async with sending_of(
            sender, self.dispatches, self.signals, policy=policy, public_url="https://flow.example", clock=self.clock
        ) as loops:
            tasks = [asyncio.create_task(each.run()) for each in loops]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
