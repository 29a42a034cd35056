"""E-mail and webhooks that the server sends: who sends them, from where, and to whom they may go."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
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
from flowbuild.services.sending import AT_ONCE, SendingService
from flowbuild.services.signals import Signals
from flowbuild.services.webhook_body import body_of
from flowbuild.settings import Settings
from flowbuild.triggers.sending import Sending
from flowbuild.workspace.judged import JudgedTransport

CONNECT = 10.0  # seconds for a connection to a receiver of webhooks


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
    mail: SmtpSender | NoMail, dispatches: DispatchService, signals: Signals, policy: Policy, clock: Clock = time
) -> AsyncIterator[tuple[Sending, Sending]]:
    """Return what sends e-mail and webhooks, when it runs, while the context is open."""
    service = SendingService(dispatches, clock)
    transport = JudgedTransport(policy)
    async with httpx2.AsyncClient(transport=transport, timeout=CONNECT, follow_redirects=False) as http:
        hooks = WebhookSender(http, clock)

        async def by_mail(parcel: Parcel) -> Receipt:
            return await mail.send(letter_of(parcel), parcel.done)

        async def by_webhook(parcel: Parcel) -> Receipt:
            return await hooks.send(Call(parcel.id, parcel.target, parcel.secret, body_of(parcel)))

        yield (
            Sending(kind=ChannelKind.EMAIL, send=by_mail, service=service, signals=signals, clock=clock, most=AT_ONCE),
            Sending(kind=ChannelKind.WEBHOOK, send=by_webhook, service=service, signals=signals, clock=clock),
        )
