"""Use cases of API tokens: people make their own, see them, take them back. Blocking: call from threads."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from flowbuild.auth.tokens import TokenKind, fingerprint, hint, new_token
from flowbuild.core.access import Action, Principal, Scope, require
from flowbuild.core.errors import Forbidden, InvalidRequest, NotFound
from flowbuild.core.ids import RUN_ID
from flowbuild.core.plain import required
from flowbuild.services.audit import Actor, note
from flowbuild.services.decisions import Clock
from flowbuild.services.ids import new_id
from flowbuild.services.news import person_topic
from flowbuild.services.signals import Signals
from flowbuild.store.database import Database
from flowbuild.store.tokens import TokenRow

DAY = 86_400.0
DAYS, MOST_DAYS = 90, 366  # how long a token lasts when nothing is said, and at most


class TokenService:
    """Makes and revokes tokens."""

    def __init__(self, database: Database, signals: Signals, clock: Clock) -> None:
        self._database = database
        self._signals = signals
        self._clock = clock

    def create(
        self,
        actor: Actor,
        owner: Principal,
        name: str,
        *,
        scopes: Collection[str],
        project: str | None = None,
        days: float = DAYS,
    ) -> tuple[str, TokenRow]:
        """Return a new token, which is never shown again, and what is kept of it.

        Raises InvalidRequest, NotFound; Forbidden when a token asks: one that leaked could make itself immortal.
        """
        if owner.kind != "user":
            raise Forbidden("a token makes no tokens", hint="log in with name and password")
        unknown = sorted(set(scopes) - set(Scope))
        if unknown or not scopes:
            problem = f"there is no scope {unknown[0]!r}" if unknown else "a token without scopes opens nothing"
            raise InvalidRequest(problem, hint=f"there are {', '.join(Scope)}", about="scopes")
        if not 0 < days <= MOST_DAYS:
            raise InvalidRequest(f"a token lasts up to {MOST_DAYS} days", about="days")
        if project is not None:
            require(owner, Action.PROJECT_READ, project)
        token, now = new_token(TokenKind.API), self._clock()
        row = TokenRow(
            id=new_id(now),
            hash=fingerprint(token),
            hint=hint(token),
            name=required("the name of the token", name, 128, about="name"),
            user_id=owner.id,
            scopes=tuple(sorted(set(scopes))),
            created_at=now,
            expires_at=now + days * DAY,
            project=project,
        )
        with self._database.write() as tx:
            tx.tokens.add(row, None if project is None else tx.projects.get(project).id)
            told = {"name": row.name, "scopes": list(row.scopes), "days": days}
            note(tx, now, actor, "token.create", f"token:{row.id}", project=project or "", detail=told)
        return token, row

    def of_user(self, user: str) -> Sequence[TokenRow]:
        """Return the tokens of a person, the newest first; also those that are over."""
        with self._database.read() as tx:
            return tx.tokens.of_user(user)

    def revoke(self, actor: Actor, user: str | None, token: str) -> None:
        """Let a token open nothing any more; of `user`, or of anybody with None. Raises NotFound."""
        now = self._clock()
        with self._database.write() as tx:
            row = tx.tokens.get(token) if RUN_ID.fullmatch(token) else None
            if row is None or user not in (None, row.user_id):
                raise NotFound(f"there is no token {token!r}")
            tx.tokens.revoke(token, now)
            note(
                tx, now, actor, "token.revoke", f"token:{row.id}", project=row.project or "", detail={"name": row.name}
            )
        self._signals.notify(person_topic(row.user_id))
