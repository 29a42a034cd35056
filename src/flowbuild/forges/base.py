"""What a forge (GitHub, GitLab, …) tells by webhook, and how it is known that it was the forge.

Nothing here does I/O. Names of headers are in lower case.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from flowbuild.core.errors import Unauthenticated
from flowbuild.core.sources import SourceEvent
from flowbuild.spec.words import shown

Headers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a delivery says; without events, `note` tells people why nothing follows from it."""

    events: tuple[SourceEvent, ...] = ()
    note: str = ""


def nothing_from(event: str) -> str:
    """Return the note on an event that no pipeline can want."""
    return f"nothing follows from the event {shown(event)}"


class Forge(Protocol):
    """The webhooks of one kind of forge. Call `verify` first: the others believe what they read."""

    def verify(self, headers: Headers, body: bytes, secret: str) -> None:
        """Return when whoever knows the secret sent this body; raises Unauthenticated."""
        ...

    def delivery(self, headers: Headers, body: bytes) -> str:
        """Return what two deliveries of the same thing have in common, also when one is replayed; empty: nothing.

        Where the body is signed this is made of the body: the id that a forge gives a delivery is not signed.
        """
        ...

    def event(self, headers: Headers) -> str:
        """Return the forge's word for the kind of the event."""
        ...

    def parse(self, headers: Headers, body: bytes) -> Parsed:
        """Return what happened; raises InvalidRequest when the body is not what the forge documents."""
        ...


def check_signature(given: str, body: bytes, secret: str, *, prefix: str = "") -> None:
    """Return when `given` is the HMAC-SHA256 of the body in hexadecimal after `prefix`; raises Unauthenticated."""
    key = _key(secret)
    expected = prefix + hmac.digest(key, body, "sha256").hex()
    check_equal(given, expected)


def check_token(given: str, secret: str) -> None:
    """Return when `given` is the secret; raises Unauthenticated."""
    _key(secret)
    check_equal(given, secret)


def check_equal(given: str, expected: str) -> None:
    """Compare as bytes and in constant time: text that is not ASCII would raise TypeError."""
    if not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected.encode("utf-8", "surrogateescape")):
        raise Unauthenticated(
            "the signature or token of the delivery is missing or wrong",
            hint="is the address that of a webhook? The secret at the forge must be the one of it",
        )


def digest(body: bytes) -> str:
    """Return what identifies a body."""
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def _key(secret: str) -> bytes:
    if not secret:  # an empty key is one that everybody knows
        raise Unauthenticated("the webhook has no secret", hint="give it one")
    return secret.encode()
