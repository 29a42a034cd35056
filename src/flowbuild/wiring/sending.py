"""E-mail and webhooks that the server sends: who sends them, from where, and to whom they may go."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from time import time

import httpx2

from flowbuild.core.errors import InvalidRequest
from flowbuild.core.giturl import Policy
from flowbuild.senders.base import Receipt
from flowbuild.senders.letter import mailbox
from flowbuild.senders.smtp import NoMail, SmtpSender, relay_of
from flowbuild.senders.webhook import Call, WebhookSender
from flowbuild.services.decisions import Clock
from flowbuild.services.dispatching import ChannelKind, DispatchService, Parcel
from flowbuild.services.mail_text import letter_of
from flowbuild.services.sending import SendingService
from flowbuild.services.signals import Signals
from flowbuild.services.webhook_body import body_of
from flowbuild.settings import Settings
from flowbuild.triggers.sending import Send, Sending
from flowbuild.workspace.judged import JudgedTransport

CONNECT = 5.0  # seconds for a connection to one address of a receiver of webhooks
MAILS, WEBHOOKS = 8, 256  # that are on their way at once; each has a connection of its own
NAMES = (
    32  # hosts that are looked up at once, in threads of their own: nothing else waits for a name server that is away
)


def mail_sender(settings: Settings) -> SmtpSender | NoMail:
    """Return who sends e-mail; raises InvalidRequest when the options do not fit together."""
    if not settings.smtp_url or not settings.mail_from:
        return NoMail()
    try:
        relay = relay_of(settings.smtp_url, settings.smtp_password.get_secret_value())
    except ValueError as error:
        raise InvalidRequest(f"FLOW_SMTP_URL: {error}", hint="docs/outgoing.md says how e-mail is set up") from error
    try:
        return SmtpSender(relay, mailbox(settings.mail_from))
    except ValueError as error:
        raise InvalidRequest(f"FLOW_MAIL_FROM: {error}") from error


@asynccontextmanager
async def sending_of(
    mail: SmtpSender | NoMail,
    dispatches: DispatchService,
    signals: Signals,
    *,
    policy: Policy,
    public_url: str,
    clock: Clock = time,
) -> AsyncIterator[tuple[Sending, Sending]]:
    """Return what sends e-mail and webhooks, when it runs, while the context is open."""
    timeout = httpx2.Timeout(None, connect=CONNECT)  # the rest is the sender's
    with _name_threads() as threads:
        transport = JudgedTransport(policy, httpx2.Limits(max_connections=None, max_keepalive_connections=0), threads)
        async with httpx2.AsyncClient(transport=transport, timeout=timeout, follow_redirects=False) as http:
            hooks = WebhookSender(http, clock)
            by_mail = partial(_send_mail, mail, public_url)
            yield _loops(by_mail, hooks, SendingService(dispatches, clock), signals, clock)


async def _send_mail(mail: SmtpSender | NoMail, public_url: str, parcel: Parcel) -> Receipt:
    return await mail.send(letter_of(parcel, public_url), parcel.done)


def _loops(
    by_mail: Send, hooks: WebhookSender, service: SendingService, signals: Signals, clock: Clock
) -> tuple[Sending, Sending]:

    async def by_webhook(parcel: Parcel) -> Receipt:
        return await hooks.send(Call(parcel.id, parcel.target, parcel.secret, body_of(parcel)))

    def sending(kind: ChannelKind, send: Send, most: int, *, lanes: bool) -> Sending:
        return Sending(kind=kind, send=send, most=most, lanes=lanes, service=service, signals=signals, clock=clock)

    return (
        sending(ChannelKind.EMAIL, by_mail, MAILS, lanes=False),
        sending(ChannelKind.WEBHOOK, by_webhook, WEBHOOKS, lanes=True),
    )


@contextmanager
def _name_threads() -> Iterator[Executor]:
    threads = ThreadPoolExecutor(NAMES, thread_name_prefix="names")
    try:
        yield threads
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
