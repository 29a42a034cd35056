"""Tokens with which a step, and the runner that works on it, get at the repository of their run. They die with the attempt.

A token is derived from the lease and a key of the server, and not kept anywhere: it opens something as long as one of the
attempts that runners have just now gives the same.
"""

from __future__ import annotations

import base64
import functools
import hmac
import secrets

from flowbuild.auth.tokens import TokenKind
from flowbuild.client.runner import Lease
from flowbuild.core.access import Principal
from flowbuild.core.errors import Unauthenticated
from flowbuild.core.ids import attempt_ref
from flowbuild.store.database import Database


class AttemptTokens:
    """Makes and knows the tokens of attempts. Blocking: call from threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def make(self, lease: Lease) -> str:
        """Return the token of an attempt."""
        text = f"{lease.run} {attempt_ref(lease.step, lease.attempt, lease.epoch)}"
        digest = hmac.digest(self._key, text.encode(), "sha256")
        return TokenKind.ATTEMPT + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def principal(self, token: str) -> Principal:
        """Return whose token that is: `id` is the run, `name` the one ref that may be written. Raises Unauthenticated."""
        shown = token.encode("utf-8", "surrogatepass")
        with self._database.read() as tx:
            for key in tx.attempts.all_live():
                lease = Lease(key.run, key.step, key.attempt, key.epoch)
                if hmac.compare_digest(self.make(lease).encode(), shown):
                    ref = attempt_ref(key.step, key.attempt, key.epoch)
                    return Principal("attempt", key.run, ref, project=tx.runs.project(key.run))
        raise Unauthenticated("the token is not that of an attempt that goes on", hint="it ends with its attempt")

    @functools.cached_property
    def _key(self) -> bytes:
        with self._database.write() as tx:
            return bytes.fromhex(tx.setting("attempt_tokens", secrets.token_hex(32)))
