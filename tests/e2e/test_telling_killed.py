"""kill -9 of a server between the answer of who was told and our note of it: it comes again, with the same id; nothing is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from time import time

import pytest

from flowbuild.core.notifying import NewsKind
from flowbuild.services.audit import Actor
from flowbuild.services.channels import NewChannel
from flowbuild.settings import Settings
from flowbuild.store.channels import ChannelOwner
from flowbuild.store.projects import ProjectRow
from flowbuild.testing.program import Program, Started
from flowbuild.testing.receivers import PATIENCE, Answer, hook_receiver, mail_server
from flowbuild.testing.telling import tell
from flowbuild.wiring.local import Local
from flowbuild.wiring.projects import open_vault
from flowbuild.wiring.telling import make_telling

KILLS = int(os.environ.get("FLOW_KILLS", "3"))
EACH = 12  # notifications between two kills

pytestmark = pytest.mark.slow


class Site:
    """A server that is started again and again over one home directory; it has no runner."""

    def __init__(self, top: Path, stack: ExitStack, kind: str, target: str, **options: str) -> None:
        self.home, self.kind = top / "home", kind
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = str(listening.getsockname()[1])
        own = {"FLOW_PORT": port, "FLOW_RUNNER": "false", "FLOW_ALLOW_HTTP": "true", "FLOW_ALLOW_INTERNAL": "127.0.0.1"}
        self.options = {**own, **options}
        self.program, self._stack = Program(self.home, top, self.options), stack
        self.ids = self._prepare(target)
        self.server: Started | None = None

    def _prepare(self, target: str) -> list[str]:
        """Add a channel, and what it is to be told."""
        settings = Settings(
            home=self.home,
            allow_http=True,
            allow_internal=("127.0.0.1",),
            smtp_url=self.options.get("FLOW_SMTP_URL", ""),
            mail_from=self.options.get("FLOW_MAIL_FROM", ""),
        )
        local = Local(settings, None)
        local.open(drive=False)
        with local.database.write() as tx:
            tx.projects.add(ProjectRow("p" * 26, "app", "https://forge.invalid/app.git", time()))
        channels = make_telling(local, open_vault(local)).channels
        wanted = NewChannel("ops", self.kind, target)
        row, _secret = channels.add(Actor("t"), ChannelOwner(project="app"), wanted)
        count = EACH * (KILLS + 1)
        ids = [tell(local.database, row, f"run {number}", NewsKind.FAILED, time()) for number in range(count)]
        local.close()
        return ids

    def start(self) -> None:
        self.server = Started(self.program, "server")
        self._stack.callback(self.server.kill)
        self.server.wait_for("flow server")

    def stop(self) -> None:
        """Let the server do nothing more; what it is sent waits in the kernel."""
        assert self.server is not None
        self.server.process.send_signal(signal.SIGSTOP)

    def kill(self) -> list[str]:
        """Kill the server; return what it had claimed. The claims run out at once, so that nobody waits for a minute."""
        assert self.server is not None
        self.server.kill()
        with closing(sqlite3.connect(self.home / "flow.db")) as database, database:
            found = database.execute(
                "SELECT id FROM dispatches WHERE state = 'waiting' AND claimed_until > 0"
            ).fetchall()
            database.execute("UPDATE dispatches SET claimed_until = 1 WHERE claimed_until > 0")
        return [row[0] for row in found]

    def end(self) -> Counter[str]:
        """End the server as a person does; return how many notifications are in each state."""
        assert self.server is not None
        self.server.process.terminate()
        output = self.server.end()
        assert output.code == 0, output.text
        with closing(sqlite3.connect(self.home / "flow.db")) as database:
            return Counter(row[0] for row in database.execute("SELECT state FROM dispatches"))


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


async def killed(site: Site, arm: Callable[[Callable[[], None]], None]) -> Counter[str]:
    """Kill the server again and again, each time after an answer that it cannot have seen, and start it once more.

    Return how often each id was under way at a kill. `arm`: has one of the next answers call something before it is given.
    """
    under_way = Counter[str]()
    for _ in range(KILLS):
        stopped = asyncio.Event()

        def seen(stopped: asyncio.Event = stopped) -> None:
            if not stopped.is_set():
                site.stop()
                stopped.set()

        arm(seen)
        await asyncio.to_thread(site.start)
        async with asyncio.timeout(PATIENCE):
            await stopped.wait()
        under_way.update(await asyncio.to_thread(site.kill))
    await asyncio.to_thread(site.start)
    return under_way


async def test_webhooks(tmp_path: Path, stack: ExitStack, capsys: pytest.CaptureFixture[str]) -> None:
    async with hook_receiver() as hook:
        site = await asyncio.to_thread(Site, tmp_path, stack, "webhook", f"{hook.url}/x")

        def arm(seen: Callable[[], None]) -> None:
            hook.answers[:] = [*[Answer()] * (EACH // 2), Answer(before=seen)]

        under_way = await killed(site, arm)
        await hook.until(lambda: hook.taken().keys() >= set(site.ids))
        states = await asyncio.to_thread(site.end)
    check(capsys, site, states, hook.taken(), under_way)


async def test_mails(tmp_path: Path, stack: ExitStack, capsys: pytest.CaptureFixture[str]) -> None:
    async with mail_server() as mail:
        options = {"FLOW_SMTP_URL": f"smtp://127.0.0.1:{mail.port}", "FLOW_MAIL_FROM": "Flow <flow@example.org>"}
        site = await asyncio.to_thread(lambda: Site(tmp_path, stack, "email", "ann@example.org", **options))

        def arm(seen: Callable[[], None]) -> None:
            until = len(mail.seen) + EACH // 2
            mail.before = lambda: seen() if len(mail.seen) >= until else None

        def taken() -> Counter[str]:
            return Counter({name[1:].partition("@")[0]: count for name, count in mail.by_id().items()})

        under_way = await killed(site, arm)
        mail.before = bool
        await mail.until(lambda: taken().keys() >= set(site.ids))
        states = await asyncio.to_thread(site.end)
    check(capsys, site, states, taken(), under_way)


def check(
    capsys: pytest.CaptureFixture[str], site: Site, states: Counter[str], taken: Counter[str], under_way: Counter[str]
) -> None:
    """Each came, by its own id; twice came only what was under way at a kill, and at each kill there was such a thing."""
    again = taken.total() - len(taken)
    with capsys.disabled():
        print(
            f"\n{site.kind}: {len(site.ids)} told, {KILLS} kills, lost {len(set(site.ids) - set(taken))}, "
            f"came again {again}, under an id of its own each: {len(taken)} ids"
        )
    assert states == {"sent": len(site.ids)}
    assert set(taken) == set(site.ids)
    assert again >= KILLS
    assert all(count <= 1 + under_way[identifier] for identifier, count in taken.items())
