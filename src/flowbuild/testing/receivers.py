"""Those who are told things, on this machine: a mail server and a receiver of webhooks, which do what real ones do on bad days.

Both are told in advance how they answer, one thing for each time they are asked; when there is nothing left they take what comes.
"""

from __future__ import annotations

import asyncio
import email
import ssl
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default
from time import time
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

PATIENCE = 60.0  # seconds after which what a test waits for will not come
DROP, SILENT, RESET, ENDLESS = "drop", "silent", "reset", "endless"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Arrivals:
    """What has arrived, and who waits for it."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def arrived(self) -> None:
        """Wake who waits."""
        self._changed.set()

    async def until(self, enough: Callable[[], bool]) -> None:
        """Wait until there is enough; raises TimeoutError."""
        async with asyncio.timeout(PATIENCE):
            while not enough():
                self._changed.clear()
                await self._changed.wait()


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail that the server took, and for whom."""

    receivers: tuple[str, ...]
    content: bytes
    user: str
    encrypted: bool
    at: float = field(default_factory=time)

    @property
    def message(self) -> EmailMessage:
        """Return it parsed."""
        parsed = email.message_from_bytes(self.content, policy=default)
        assert isinstance(parsed, EmailMessage)  # noqa: S101 (what the policy makes)
        return parsed

    @property
    def id(self) -> str:
        """Return its Message-ID."""
        return str(self.message["Message-ID"])


@dataclass(slots=True)
class MailServer(Arrivals):
    """The mail server. `no`: what it says to receivers, by address, each time; `data`: what it says to whole mails, or DROP, SILENT.

    `login`: the user and the password without which it takes nothing. `before` is called when a mail was read.
    """

    no: dict[str, list[str]] = field(default_factory=dict)
    data: list[str] = field(default_factory=list)
    login: tuple[str, str] | None = None
    before: Callable[[], object] = bool
    mails: list[Mail] = field(default_factory=list)
    seen: list[bytes] = field(default_factory=list)  # whole mails, taken or not
    port: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle_RCPT(  # noqa: N802 (the name is aiosmtpd's)
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: Sequence[str]
    ) -> str:
        """See aiosmtpd: answer to a receiver."""
        if self.no.get(address):
            return self.no[address].pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """See aiosmtpd: answer to a mail."""
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        self.before()
        self.seen.append(content)
        self.arrived()
        answer = self.data.pop(0) if self.data else "250 taken"
        if answer == SILENT:
            await asyncio.Event().wait()
        if answer == DROP:
            if isinstance(server.transport, asyncio.Transport):
                server.transport.abort()
            return "451 nobody hears this"
        if answer.startswith("250"):
            login = session.auth_data
            user = login.login.decode() if isinstance(login, LoginPassword) else ""
            encrypted = server.transport is not None and server.transport.get_extra_info("cipher") is not None
            self.mails.append(Mail(tuple(envelope.rcpt_tos), content, user, encrypted))
            self.arrived()
        return answer

    def authenticate(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        """See aiosmtpd: check a login."""
        good = isinstance(data, LoginPassword) and (data.login.decode(), data.password.decode()) == self.login
        return AuthResult(success=good, handled=False, auth_data=data if good else None)

    def by_id(self) -> Counter[str]:
        """Return how often each mail was taken, by its Message-ID."""
        return Counter(mail.id for mail in self.mails)


@asynccontextmanager
async def mail_server(
    *, tls: ssl.SSLContext | None = None, from_the_start: bool = False, **options: Any
) -> AsyncIterator[MailServer]:
    """Have a mail server while the context is open; with `tls` by STARTTLS, which it insists on, or `from_the_start`."""
    made, sessions = MailServer(**options), list[SMTP]()

    def protocol() -> SMTP:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it sees no TLS but that of STARTTLS
            session = SMTP(
                made,
                hostname="mail.example",
                tls_context=None if from_the_start else tls,
                require_starttls=tls is not None and not from_the_start,
                auth_required=made.login is not None,
                auth_require_tls=tls is not None and not from_the_start,
                authenticator=made.authenticate if made.login else None,
            )
        sessions.append(session)
        return session

    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=tls if from_the_start else None)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await _end(session._handler_coroutine for session in sessions)  # noqa: SLF001 (there is no other way to wait for them)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver of webhooks says. `how`: RESET or SILENT instead of it, ENDLESS for a body that does not end.

    `before` and `after` are called when the request was read, and when the answer was written.
    """

    code: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    how: str = ""
    before: Callable[[], object] = bool
    after: Callable[[], object] = bool


@dataclass(frozen=True, slots=True)
class Told:
    """A request that the receiver read to its end, whatever it answered. Names of headers are in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    taken: bool
    at: float = field(default_factory=time)

    @property
    def id(self) -> str:
        """Return what the notification is called."""
        return self.headers.get("webhook-id", "")


@dataclass(slots=True)
class HookReceiver(Arrivals):
    """The receiver of webhooks. `answers`: to the next requests, for any path; `by_path` to those for one."""

    answers: list[Answer] = field(default_factory=list)
    by_path: dict[str, list[Answer]] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)
    url: str = ""
    sent: int = 0  # bytes of answers
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def taken(self) -> Counter[str]:
        """Return how often each notification was taken, by its id."""
        return Counter(told.id for told in self.told if told.taken)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read one request and answer it."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        path = head[0].split(" ")[1]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        queue = self.by_path.get(path) or self.answers
        answer = queue.pop(0) if queue else Answer()
        good = 200 <= answer.code < 300 and answer.how not in (RESET, SILENT)
        answer.before()
        self.told.append(Told(path, headers, body, taken=good))
        self.arrived()
        if answer.how == SILENT:
            await reader.read()  # until the other side gives up
        elif answer.how == RESET:
            writer.transport.abort()
        else:
            await self._answer(writer, answer)

    async def _answer(self, writer: asyncio.StreamWriter, answer: Answer) -> None:
        lines = [f"HTTP/1.1 {answer.code} X", "Connection: close", *(f"{n}: {v}" for n, v in answer.headers.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode() + answer.body)
        await writer.drain()
        answer.after()
        while answer.how == ENDLESS:
            writer.write(b"x" * 65536)
            self.sent += 65536
            await writer.drain()


@asynccontextmanager
async def hook_receiver(*, tls: ssl.SSLContext | None = None, **options: Any) -> AsyncIterator[HookReceiver]:
    """Have a receiver of webhooks while the context is open; with `tls` it is called localhost."""
    made = HookReceiver(**options)
    async with _listening(made.serve, tls) as port:
        made.url = f"http://127.0.0.1:{port}" if tls is None else f"https://localhost:{port}"
        yield made


@asynccontextmanager
async def mute_server() -> AsyncIterator[int]:
    """Have a server that lets anybody connect and says nothing; yields its port."""
    async with _listening(_mute) as port:
        yield port


async def _mute(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


@asynccontextmanager
async def _listening(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve connections while the context is open; yields the port. Whatever still goes on then is ended."""
    tasks = set[asyncio.Task[None]]()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101
        tasks.add(task)
        try:
            await serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the other side went away
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
            tasks.discard(task)

    server = await asyncio.start_server(one, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await _end(tasks)


async def _end(tasks: Iterable[asyncio.Task[Any] | None]) -> None:
    found = [task for task in tasks if task is not None]
    for task in found:
        task.cancel()
    await asyncio.gather(*found, return_exceptions=True)
