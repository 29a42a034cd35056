"""`flow bot`: a bot on one chat network, for a server elsewhere that it reaches by the REST API only.

Start/stop contract: `speak` returns after SIGTERM or SIGINT. What it remembers is in `bot/<network>` of the home directory; with
it the next start goes on where this one was.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import ExitStack

import httpx2

from flowbuild.bot.adapters.base import Adapter
from flowbuild.bot.memory import Memory
from flowbuild.bot.program import run_bot
from flowbuild.client.base import ServerClient
from flowbuild.client.http import HttpClient
from flowbuild.core.errors import InvalidRequest, SystemFailed
from flowbuild.settings import Settings
from flowbuild.wiring.journal import close_journal, open_journal

Expects = Callable[[str, str], bool]
CLIENTS = 1000  # of people that were heard last
NEEDED = {
    "matrix": ("matrix_homeserver",),
    "slack": ("slack_token", "slack_app_token"),
    "telegram": ("telegram_token",),
}


async def speak(settings: Settings) -> None:
    """Be a bot until told to stop. Raises the errors of `core.errors` when it cannot begin, or is not let in any more."""
    check(settings)
    home = settings.home / "bot" / settings.bot_network
    with ExitStack() as stack:
        memory = Memory(home / "memory")
        stack.callback(memory.close)
        log = home / "flow.log"
        stack.callback(close_journal, open_journal(log, settings.log_level))
        print(f"connecting to {settings.bot_network}; what goes on is in {log}", flush=True)  # noqa: T201 (for who started it)
        clients = Clients(settings.server, settings.bot_token.get_secret_value())
        try:
            await _until_told(settings, memory, clients)
        finally:
            await clients.close()


def check(settings: Settings) -> None:
    """Raise InvalidRequest naming all options that are missing."""
    wanted = ["server", "bot_network", "bot_token", *NEEDED.get(settings.bot_network, ())]
    if settings.bot_network == "matrix" and not settings.matrix_token:
        wanted += ["matrix_user", "matrix_password"]
    missing = [f"FLOW_{name.upper()}" for name in wanted if not getattr(settings, name)]
    if missing:
        hint = f"docs/bot-{settings.bot_network or 'matrix'}.md says where to get them"
        raise InvalidRequest(f"the bot needs {', '.join(missing)}", hint=hint)


class Clients:
    """Clients of one server for many people, over the same connections."""

    def __init__(self, url: str, token: str) -> None:
        self._url, self._token = url, token
        self._transport = _Shared(limits=httpx2.Limits(max_connections=200, max_keepalive_connections=20))
        self._known: dict[str, HttpClient] = {}

    def __call__(self, sender: str) -> ServerClient:
        """Return the client of somebody; "": of the bot itself. Raises InvalidRequest for what no network calls anybody."""
        client = self._known.pop(sender, None)
        if client is None:
            client = HttpClient(self._url, self._token, sender=sender, transport=self._transport)
        self._known[sender] = client
        if len(self._known) > CLIENTS:
            self._known.pop(next(iter(self._known)))  # it holds nothing of its own
        return client

    async def close(self) -> None:
        """Let go of the connections."""
        await self._transport.really_close()


class _Shared(httpx2.AsyncHTTPTransport):
    """Connections that stay when one of the clients that use them is closed."""

    async def __aexit__(self, *_: object) -> None:
        """Do nothing."""

    async def aclose(self) -> None:
        """Do nothing."""

    async def really_close(self) -> None:
        """Close all."""
        await super().aclose()


def connect(settings: Settings, memory: Memory, expects: Expects) -> Adapter:
    """Return the adapter of the network; loads its library only now. Raises SystemFailed when that is not installed."""
    try:
        match settings.bot_network:
            case "matrix":
                return _matrix(settings, memory, expects)
            case "slack":
                return _slack(settings, memory, expects)
            case _:
                return _telegram(settings, memory, expects)
    except ImportError as error:
        hint = f"scripts/setup --bot, or: pip install 'flow-build-server[{settings.bot_network}]'"
        raise SystemFailed(f"what {settings.bot_network} takes is not installed: {error.name}", hint=hint) from error


def _matrix(settings: Settings, memory: Memory, expects: Expects) -> Adapter:
    from flowbuild.bot.adapters.matrix import MatrixAdapter, MatrixOptions  # noqa: PLC0415 (see connect)

    options = MatrixOptions(
        settings.matrix_homeserver,
        token=settings.matrix_token.get_secret_value(),
        user=settings.matrix_user,
        password=settings.matrix_password.get_secret_value(),
        invites=settings.matrix_invites,
    )
    return MatrixAdapter(options, memory, expects=expects)


def _slack(settings: Settings, memory: Memory, expects: Expects) -> Adapter:
    from flowbuild.bot.adapters.slack import SlackAdapter, SlackOptions  # noqa: PLC0415 (see connect)

    token, app_token = settings.slack_token.get_secret_value(), settings.slack_app_token.get_secret_value()
    return SlackAdapter(SlackOptions(token, app_token, settings.slack_api), memory, expects=expects)


def _telegram(settings: Settings, memory: Memory, expects: Expects) -> Adapter:
    from flowbuild.bot.adapters.telegram import TelegramAdapter, TelegramOptions  # noqa: PLC0415 (see connect)

    options = TelegramOptions(settings.telegram_token.get_secret_value(), settings.telegram_api)
    return TelegramAdapter(options, memory, expects=expects)


async def _until_told(settings: Settings, memory: Memory, clients: Clients) -> None:
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)

    def listens() -> None:
        print(f"bot on {settings.bot_network} for {settings.server}", flush=True)  # noqa: T201 (for who started it)

    bot = run_bot(memory, lambda memory, expects: connect(settings, memory, expects), clients, listens=listens)
    working, stopping = asyncio.create_task(bot), asyncio.create_task(told.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        for task in (working, stopping):
            task.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)
