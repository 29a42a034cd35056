"""Bots: programs that speak to people on a chat network, and act for those who linked themselves. Blocking: call from threads."""

from __future__ import annotations

import re
from collections.abc import Sequence

from flowbuild.auth.tokens import TokenKind, fingerprint, new_token
from flowbuild.core.access import OF_CHAT, Principal
from flowbuild.core.chat import Network, check_called, check_sender, provider_of, via_of
from flowbuild.core.errors import Conflict, Forbidden, InvalidRequest, NotFound, Unauthenticated
from flowbuild.services.audit import Actor, note
from flowbuild.services.decisions import Clock
from flowbuild.services.ids import new_id
from flowbuild.services.news import BOTS
from flowbuild.services.signals import Signals
from flowbuild.store.bots import BotRow
from flowbuild.store.database import Database
from flowbuild.store.users import ADMIN

NOTED = 60.0  # seconds: when a bot was heard of last is known this exactly, so that not every question is a write
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")


class BotService:
    """Makes and revokes bots."""

    def __init__(self, database: Database, signals: Signals, clock: Clock) -> None:
        self._database = database
        self._signals = signals
        self._clock = clock

    def create(self, actor: Actor, name: str, network: str) -> tuple[str, BotRow]:
        """Return the token of a new bot, which is never shown again, and what is kept. Raises InvalidRequest, Conflict."""
        if not _NAME.fullmatch(name):
            hint = "up to 40 lower-case letters, digits, `.`, `_` and `-`, the first one a letter or digit"
            raise InvalidRequest("that is not a name of a bot", hint=hint, about="name")
        if network not in list(Network):
            hint = f"there are {', '.join(Network)}"
            raise InvalidRequest(f"there is no network {network!r}", hint=hint, about="network")
        token, now = new_token(TokenKind.BOT), self._clock()
        row = BotRow(new_id(now), name, network, fingerprint(token), actor.name, now)
        with self._database.write() as tx:
            if not tx.bots.add(row):
                raise Conflict(
                    f"there is a bot {name!r} already", hint="revoke it first, or choose another name", about="name"
                )
            note(tx, now, actor, "bot.add", f"bot:{name}", detail={"network": network})
        return token, row

    def all(self) -> Sequence[BotRow]:
        """Return all bots by name, those that were revoked, too."""
        with self._database.read() as tx:
            return tx.bots.all()

    def working(self) -> Sequence[BotRow]:
        """Return the bots that people can speak to, by name."""
        return [row for row in self.all() if row.revoked_at is None]

    def called(self, bot: str, called: str) -> None:
        """Keep by what name people find a bot, by id, on its network. Raises InvalidRequest."""
        check_called(called)
        with self._database.write() as tx:
            tx.bots.called(bot, called)

    def network(self, bot: str) -> str:
        """Return the network that a bot, by id, speaks on. Raises NotFound."""
        with self._database.read() as tx:
            row = tx.bots.get(bot)
        if row is None:
            raise NotFound("there is no such bot", hint="flow bots list")
        return row.network

    def revoke(self, actor: Actor, name: str) -> None:
        """Let the token of a bot open nothing any more, also what it follows for people now. Raises NotFound."""
        now = self._clock()
        with self._database.write() as tx:
            row = tx.bots.named(name) if _NAME.fullmatch(name) else None
            if row is None:
                raise NotFound(f"there is no bot {name!r}", hint="flow bots list")
            if row.revoked_at is None:
                tx.bots.revoke(row.id, now)
                note(tx, now, actor, "bot.revoke", f"bot:{name}", detail={"network": row.network})
        self._signals.notify(BOTS)


class BotKeys:
    """Who comes with the token of a bot: the bot itself, or somebody for whom it acts."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def principal(self, token: str) -> Principal:
        """Return the bot as itself; raises Unauthenticated."""
        bot = self._bot(token)
        return Principal("bot", bot.id, bot.name, via=f"bot:{bot.name}")

    def acting(self, token: str, sender: str) -> Principal:
        """Return the person for whom a bot acts, with what `OF_CHAT` opens; who is not linked may what anybody may.

        `sender`: what the network calls them. Raises Unauthenticated for the token, Forbidden when the account is disabled,
        InvalidRequest.
        """
        check_sender(sender)
        bot = self._bot(token)
        via = via_of(bot.network, sender)
        with self._database.read() as tx:
            user = tx.users.identified(provider_of(bot.network), sender)
            if user is None:
                return Principal("anonymous", via=via)
            if not user.active:
                raise Forbidden("the account that you are linked to is disabled", hint="ask an admin of the server")
            roles = tx.members.roles(user.id)
        return Principal("token", user.id, user.name, user.role == ADMIN, roles, OF_CHAT, via=via)

    def _bot(self, token: str) -> BotRow:
        now = self._clock()
        with self._database.read() as tx:
            row = tx.bots.by_hash(fingerprint(token))
        if row is None or row.revoked_at is not None:
            raise Unauthenticated("the bot is not known", hint="it may have been revoked: an admin makes a new one")
        if row.seen_at is None or row.seen_at + NOTED <= now:
            with self._database.write() as tx:
                tx.bots.seen(row.id, now)
        return row
