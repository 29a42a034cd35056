"""Secrets that machines keep: random, recognisable by their prefix, and stored by their SHA-256 only.

They have 256 random bits, so a fast hash is as good as a slow one: there is nothing to guess. The prefix tells people and
programs that search for leaked secrets what they found.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from enum import StrEnum

HINT = 4  # characters that are kept in the clear, so that people know a token again


class TokenKind(StrEnum):
    """What a token opens, as its prefix."""

    API = "flowt_"
    RUNNER = "flowr_"
    SESSION = "flows_"
    CODE = "flowc_"  # used once: to register a runner, to set a server up
    BOT = "flowb_"
    ATTEMPT = "flowa_"  # dies with an attempt of a step
    FORM = "flowf_"  # against forged requests: has to come beside a session, opens nothing itself


_SHAPE = re.compile(rf"({'|'.join(TokenKind)})[A-Za-z0-9_-]{{43}}")


def new_token(kind: TokenKind) -> str:
    """Return a fresh token."""
    return kind + secrets.token_urlsafe(32)


def kind_of(text: str) -> TokenKind | None:
    """Return what a text would open if it is known; None when it is no token of ours."""
    found = _SHAPE.fullmatch(text)
    return TokenKind(found[1]) if found else None


def fingerprint(token: str) -> str:
    """Return what is kept of a token: its SHA-256 in hexadecimal."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def hint(token: str) -> str:
    """Return the end of a token, which people may see."""
    return token[-HINT:]
