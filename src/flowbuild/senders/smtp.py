"""E-mail by a mail server, over SMTP. Each letter has a connection of its own.

What the server says of a receiver or of the letter counts: 4xx is tried again (as greylisting wants it), 5xx is its last word. What
is wrong between us and the server (no connection, no TLS, a login or a sender that it does not take) is for the
administrator to mend, so it is always tried again.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

import aiosmtplib
from aiosmtplib import SMTPResponse

from flowbuild.core.addresses import is_email
from flowbuild.senders.base import Receipt, Verdict, words
from flowbuild.senders.letter import Letter, Mailbox, composed

DEADLINE = 45.0  # seconds for a whole mail
SILENCE = 20.0  # seconds that the server may take for an answer
_LASTING = 500  # codes from here on are last words
NO_MAIL = "an administrator has to set FLOW_SMTP_URL and FLOW_MAIL_FROM"
_HINT = "look at FLOW_SMTP_URL, FLOW_SMTP_PASSWORD and FLOW_MAIL_FROM"


@dataclass(frozen=True, slots=True)
class Relay:
    """The mail server that takes our mails. `tls`: from the first byte on; else STARTTLS where there is such.

    A name and a password are never sent without TLS, but to this machine.
    """

    host: str
    port: int
    tls: bool
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def place(self) -> str:
        """Return where it is, for people."""
        return f"the mail server {self.host}:{self.port}"


def relay_of(url: str, password: str = "") -> Relay:
    """Return what `smtp://USER:PASSWORD@HOST:PORT` or `smtps://…` names; raises ValueError, without showing the password."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("its port is not a number from 1 to 65535") from None
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError("not a URL like smtp://USER:PASSWORD@HOST:587 or smtps://HOST")
    tls = parts.scheme == "smtps"
    user, secret = unquote(parts.username or ""), unquote(parts.password or "") or password
    if bool(user) != bool(secret):
        raise ValueError("a user without a password, or a password without a user")
    return Relay(parts.hostname, port or (465 if tls else 587 if user else 25), tls, user, secret)


class SmtpSender:
    """Sends letters. `context`: whom to trust with TLS, by default whom the system trusts."""

    def __init__(self, relay: Relay, sender: Mailbox, context: ssl.SSLContext | None = None) -> None:
        self._relay = relay
        self._sender = sender
        self._context = context

    async def send(self, letter: Letter, done: Collection[str] = ()) -> Receipt:
        """Try to send a letter to those of its receivers who are not `done`; say what became of it."""
        open_ = [address for address in letter.to if address not in done]
        refused = {address: SMTPResponse(553, "not an address") for address in open_ if not is_email(address)}
        receivers = [address for address in open_ if address not in refused]
        if not receivers:
            return _judged(tuple(done), (), refused, "")
        valid = [address for address in letter.to if is_email(address)]
        mail = composed(replace(letter, to=valid), self._sender)
        try:
            async with asyncio.timeout(DEADLINE):
                no, said = await self._transaction(receivers, mail)
        except (TimeoutError, aiosmtplib.SMTPException, OSError, ValueError) as error:
            return self._failed(error, receivers, refused, done)
        taken = [address for address in receivers if address not in no]
        return _judged((*done, *taken), taken, {**refused, **no}, said)

    async def _transaction(self, receivers: Sequence[str], mail: bytes) -> tuple[Mapping[str, SMTPResponse], str]:
        relay = self._relay
        self._context = self._context or ssl.create_default_context()  # reads all certificates: not before it is needed
        client = aiosmtplib.SMTP(
            hostname=relay.host,
            port=relay.port,
            username=relay.user or None,
            password=relay.password or None,
            use_tls=relay.tls,
            start_tls=False if relay.tls else _start_tls(relay),
            tls_context=self._context,
            local_hostname=self._sender.host,
            timeout=SILENCE,
        )
        try:
            await client.connect()
            return await client.sendmail(self._sender.address, receivers, mail)
        finally:
            client.close()  # without a farewell: who was silent once is not waited for

    def _failed(
        self, error: Exception, receivers: Sequence[str], refused: Mapping[str, SMTPResponse], done: Collection[str]
    ) -> Receipt:
        """Return what follows when nobody has got the letter by a try."""
        if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
            no = {each.recipient: SMTPResponse(each.code, each.message) for each in error.recipients}
            return _judged(tuple(done), (), {**refused, **no}, "")
        if isinstance(error, aiosmtplib.SMTPDataError):
            no = {address: SMTPResponse(error.code, error.message) for address in receivers}
            return _judged(tuple(done), (), {**refused, **no}, "")
        said = words(str(error)) or type(error).__name__
        if isinstance(error, aiosmtplib.SMTPResponseException):  # greeting, login, sender
            said = f"{error.code} {words(error.message)}"
            problem = f"{self._relay.place} said {said}; {_HINT}"
        elif isinstance(error, TimeoutError):
            problem = f"{self._relay.place} did not answer in time"
        else:
            problem = f"{self._relay.place} did not take the mail: {said}; {_HINT}"
        return Receipt(Verdict.AGAIN, answer=said, error=problem, done=tuple(done))


class NoMail:
    """In the place of a sender where no mail server is named."""

    async def send(self, letter: Letter, done: Collection[str] = ()) -> Receipt:  # noqa: ARG002 (as SmtpSender)
        """Refuse it, and say what is missing."""
        return Receipt(Verdict.REFUSED, error=f"no mail is sent: {NO_MAIL}", done=tuple(done))


def _judged(done: Sequence[str], now: Collection[str], no: Mapping[str, SMTPResponse], said: str) -> Receipt:
    """Return what follows from who has the letter, `now` or before, and what was said of the others."""
    told = [f"{address}: {code} {words(message, 200)}" for address, (code, message) in no.items()]
    answer = words("; ".join([*([f"{', '.join(now)}: {said}"] if now else []), *told]))
    error = words("; ".join(told))
    if any(code < _LASTING for code, _ in no.values()):
        return Receipt(Verdict.AGAIN, answer=answer, error=error, done=tuple(done))
    if done:
        return Receipt(Verdict.TAKEN, answer=answer, error=error, done=tuple(done))
    return Receipt(Verdict.REFUSED, answer=answer, error=error or "there is nobody to send it to")


def _start_tls(relay: Relay) -> bool | None:
    """Return whether STARTTLS is a must; None: only where the server offers it."""
    if not relay.user or relay.host == "localhost":
        return None
    try:
        return None if ip_address(relay.host).is_loopback else True
    except ValueError:
        return True
