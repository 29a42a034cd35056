"""For whom a bot asks: beside its token it says what its network calls them, in the header Flow-Sender."""

from __future__ import annotations

from fastapi import Request
from fastapi.security.utils import get_authorization_scheme_param

from flowbuild.auth.tokens import TokenKind, kind_of
from flowbuild.core.chat import check_sender
from flowbuild.core.errors import InvalidRequest

HEADER = "Flow-Sender"
_NAME = HEADER.lower().encode()


def sender_of(request: Request) -> str | None:
    """Return for whom a bot asks, None when for itself. Raises InvalidRequest for what no network calls anybody."""
    given = [value for name, value in request.headers.raw if name == _NAME]
    if not given:
        return None
    if len(given) > 1:
        raise InvalidRequest(f"there are {len(given)} headers {HEADER}", hint="a bot asks for one person at a time")
    try:
        return check_sender(given[0].decode())
    except UnicodeDecodeError:
        raise InvalidRequest(f"the header {HEADER} is not UTF-8") from None


async def beside_bots(request: Request) -> None:
    """Refuse the header wherever it does not stand beside the token of a bot, as it would mean nothing there.

    Raises InvalidRequest.
    """
    if sender_of(request) is None:
        return
    scheme, token = get_authorization_scheme_param(request.headers.get("authorization"))
    if scheme.lower() != "bearer" or kind_of(token) is not TokenKind.BOT:
        hint = "Authorization: Bearer flowb_…; other tokens and logins say themselves who asks"
        raise InvalidRequest(f"the header {HEADER} is for bots", hint=hint)
