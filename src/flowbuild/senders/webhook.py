"""Outgoing webhooks, signed as the Standard Webhooks specification wants it (https://www.standardwebhooks.com).

The client that is handed in decides where the server may go, when it connects (`workspace.judged`). Nothing is followed,
and of an answer only the beginning is read: its status alone says whether the notification was taken.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import httpx2

from flowbuild.core.errors import InvalidRequest
from flowbuild.senders.base import MAX_ANSWER, Receipt, Verdict, words

DEADLINE = 15.0  # seconds for a call, until it is known whether it was taken
ANSWER_SECONDS = 3.0  # more for the beginning of what the receiver says
SECRET_BYTES = 32
MAX_RETRY_AFTER = 6 * 3600.0  # seconds that a receiver can make us wait
_PREFIX = "whsec_"
_GONE = 410
# Answers about what was sent: the same would be refused again. All others may be about the receiver, and get better.
_LASTING = frozenset({400, 413, 414, 415, 422, 431})


@dataclass(frozen=True, slots=True)
class Call:
    """A notification for a URL. `id` is the same at every try: receivers know by it what they have had already."""

    id: str
    url: str
    secret: str
    body: bytes


class WebhookSender:
    """Calls URLs. `clock`: seconds since the epoch."""

    def __init__(self, http: httpx2.AsyncClient, clock: Callable[[], float]) -> None:
        self._http = http
        self._clock = clock

    async def send(self, call: Call) -> Receipt:
        """Try to tell a receiver something; say what became of it."""
        place = _place(call.url)
        try:
            headers = signed(call, int(self._clock()))
            return await self._sent(call, headers, place)
        except TimeoutError:
            return Receipt(Verdict.AGAIN, error=f"{place} did not answer within {DEADLINE:.0f} s")
        except InvalidRequest as error:  # where the server must not go; its words have the whole address in them
            why = "; ".join(filter(None, (error.message.rpartition(": ")[2], error.hint)))
            return Receipt(Verdict.REFUSED, error=f"{place} must not be called: {why}")
        except (httpx2.HTTPError, OSError) as error:
            problem = words(str(error)) or type(error).__name__
            return Receipt(Verdict.AGAIN, error=f"{place} did not answer: {problem}")
        except (httpx2.InvalidURL, ValueError) as error:
            return Receipt(Verdict.REFUSED, error=f"{place} cannot be called: {words(str(error))}")

    async def _sent(self, call: Call, headers: dict[str, str], place: str) -> Receipt:
        request = self._http.build_request("POST", call.url, content=call.body, headers=headers)
        async with asyncio.timeout(DEADLINE):
            answer = await self._http.send(request, stream=True, follow_redirects=False)
        try:
            said = f"{answer.status_code} {words(await _beginning(answer))}".rstrip()
        finally:
            await answer.aclose()
        return self._judged(answer, words(said), place)

    def _judged(self, answer: httpx2.Response, said: str, place: str) -> Receipt:
        code = answer.status_code
        if 200 <= code < 300:
            return Receipt(Verdict.TAKEN, answer=said)
        error = f"{place} said {words(said, 200)}"
        if code == _GONE:
            return Receipt(Verdict.GONE, answer=said, error=error)
        if code in _LASTING:
            return Receipt(Verdict.REFUSED, answer=said, error=error)
        if 300 <= code < 400:
            error = f"{place} said {code}, and redirects are not followed: give the address where it leads to"
        after = retry_after(answer.headers.get("retry-after", ""), self._clock())
        return Receipt(Verdict.AGAIN, answer=said, error=error, again_after=after)


def new_secret() -> str:
    """Return a random secret in the form of the specification."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def signed(call: Call, now: int) -> dict[str, str]:
    """Return the headers of a call; raises ValueError for a secret that is none."""
    try:
        key = base64.b64decode(call.secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not key:
        raise ValueError("its secret is not one of the form whsec_…")
    text = b".".join((call.id.encode(), str(now).encode(), call.body))
    return {
        "webhook-id": call.id,
        "webhook-timestamp": str(now),
        "webhook-signature": "v1," + base64.b64encode(hmac.digest(key, text, "sha256")).decode(),
        "content-type": "application/json",
        "user-agent": "flow-build-server",
        "accept-encoding": "identity",
        "connection": "close",  # else a connection that was made for one name would serve another one at the same address
    }


def retry_after(value: str, now: float) -> float:
    """Return the seconds that a header `Retry-After` asks for, at most MAX_RETRY_AFTER; 0 for one that says nothing."""
    try:
        seconds = float(value) if value.strip().isdecimal() else parsedate_to_datetime(value).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


async def _beginning(answer: httpx2.Response) -> bytes:
    """Return the beginning of an answer's body, what there is of it in time; nothing of a packed one, which may be a bomb."""
    kept = b""
    if "content-encoding" in answer.headers:
        return kept
    with suppress(TimeoutError, httpx2.HTTPError):  # the answer counts, however it ends
        async with asyncio.timeout(ANSWER_SECONDS):
            async for chunk in answer.aiter_raw():
                kept += chunk[:MAX_ANSWER]
                if len(kept) >= MAX_ANSWER:
                    break
    return kept[:MAX_ANSWER]


def _place(url: str) -> str:
    """Return the receiver of a URL for people; the rest of it may be a secret."""
    try:
        parsed = httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError):
        return "the address of the channel"
    return words(f"{parsed.scheme}://{parsed.host}", 100)
