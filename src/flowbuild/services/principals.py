"""Who asks, by what they show: an API token, or the cookie of a login. Blocking: call from threads."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from typing import Literal

from flowbuild.auth.tokens import TokenKind, fingerprint, kind_of
from flowbuild.core.access import Principal
from flowbuild.core.errors import Forbidden, Unauthenticated
from flowbuild.services.accounts import Lifetimes, alive
from flowbuild.services.bots import BotKeys
from flowbuild.services.decisions import Clock
from flowbuild.store.database import Database, Transaction
from flowbuild.store.users import ADMIN, UserRow

NOTED = 60.0  # seconds: when something was used last is known this exactly, so that not every question is a write


class Principals:
    """Finds out who asks. `machines`: who knows the tokens of runners and of attempts, by their kind."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        lifetimes: Lifetimes,
        machines: Mapping[TokenKind, Callable[[str], Principal]] | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._lifetimes = lifetimes
        self._bots = BotKeys(database, clock)
        self._machines = {TokenKind.BOT: self._bots.principal, **(machines or {})}

    def of_token(self, token: str) -> Principal:
        """Return whose token it is; raises Unauthenticated when it opens nothing (any more)."""
        kind = kind_of(token)
        if kind in self._machines:
            return self._machines[kind](token)
        if kind is not TokenKind.API:
            raise Unauthenticated("that is not an API token", hint="one begins with flowt_; `flow tokens` makes them")
        now = self._clock()
        with self._database.read() as tx:
            row = tx.tokens.by_hash(fingerprint(token))
            if row is None or row.revoked_at is not None:
                raise Unauthenticated("the token is not known", hint="it may have been revoked: make a new one")
            if row.expires_at is not None and row.expires_at <= now:
                raise Unauthenticated(f"the token {row.name!r} is over", hint="make a new one")
            user = _active(tx, row.user_id)
            principal = _person(tx, user, "token", f"token:{row.id}", scopes=frozenset(row.scopes), project=row.project)
        if row.used_at is None or row.used_at + NOTED <= now:
            with self._database.write() as tx:
                tx.tokens.used(row.id, now)
        return principal

    def of_sender(self, token: str, sender: str) -> Principal:
        """Return for whom a bot acts. Raises Unauthenticated, Forbidden; see `services.bots`."""
        return self._bots.acting(token, sender)

    def of_session(self, cookie: str, form_token: str | None) -> Principal:
        """Return whose login the cookie is. `form_token`: what came beside it; None when the request changes nothing.

        Raises Unauthenticated; Forbidden for a change that does not carry the token of the login.
        """
        now = self._clock()
        with self._database.read() as tx:
            session = tx.sessions.get(fingerprint(cookie))
            if session is None or not alive(session, now, self._lifetimes):
                raise Unauthenticated("the login is over", hint="log in again")
            user = _active(tx, session.user_id)
            principal = _person(tx, user, "user", f"session:{session.label}")
        if form_token is not None and not hmac.compare_digest(fingerprint(form_token), session.csrf_hash):
            raise Forbidden(
                "the request does not come from a page of this server", hint="send the form token of the login"
            )
        if session.used_at + NOTED <= now:
            with self._database.write() as tx:
                tx.sessions.used(session.hash, now)
        return principal


def _active(tx: Transaction, user_id: str) -> UserRow:
    user = tx.users.get(user_id)
    if not user.active:
        raise Unauthenticated("the account is disabled", hint="ask an admin of the server")
    return user


def _person(
    tx: Transaction,
    user: UserRow,
    kind: Literal["user", "token"],
    via: str,
    *,
    scopes: frozenset[str] | None = None,
    project: str | None = None,
) -> Principal:
    return Principal(kind, user.id, user.name, user.role == ADMIN, tx.members.roles(user.id), scopes, project, via)
