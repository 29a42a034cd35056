"""Linking: who somebody on a chat network is here. Blocking: call from threads.

A person who is logged in gets a code and says it to the bot; the bot gives it back with what its network calls who said it.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from flowbuild.auth.limits import LoginLimits, Rate
from flowbuild.auth.tokens import fingerprint
from flowbuild.core.access import Principal
from flowbuild.core.chat import Network, check_sender, network_of, provider_of, via_of
from flowbuild.core.errors import Conflict, Forbidden, InvalidRequest, NotFound, Unauthenticated
from flowbuild.core.plain import shown
from flowbuild.services.audit import Actor, note
from flowbuild.services.decisions import Clock
from flowbuild.services.news import person_topic
from flowbuild.services.signals import Signals
from flowbuild.store.bots import BotRow
from flowbuild.store.database import Database, Transaction
from flowbuild.store.link_codes import LinkCodeRow
from flowbuild.store.users import IdentityRow, UserRow

CODE_SECONDS = 600.0  # a code is for somebody who types it in now
PER_BOT = Rate(60, 5)  # tries of all who speak to one bot: with 40 bits of a code nothing is guessed by then
_LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # no two look alike
_LENGTH = 8
_LINKS = "links"  # what is serialised: whoever makes or uses a code


@dataclass(frozen=True, slots=True)
class LinkCode:
    """A code that links its person once, until `expires_at`, in seconds since the epoch."""

    code: str
    expires_at: float


@dataclass(frozen=True, slots=True)
class Said:
    """What somebody said to a bot: a code. `sender` is what the network calls them, `name` what it shows."""

    code: str
    sender: str
    name: str = ""


class Linking:
    """Links people to what chat networks call them."""

    def __init__(self, database: Database, signals: Signals, clock: Clock) -> None:
        self._database = database
        self._signals = signals
        self._clock = clock
        self._limits = LoginLimits(clock, per_address=PER_BOT)

    def code(self, actor: Actor, owner: Principal) -> LinkCode:
        """Return a code for a person, instead of the one before. Raises NotFound; Forbidden when a token asks.

        A token that leaked could link a stranger, who would stay when it is revoked.
        """
        if owner.kind != "user":
            raise Forbidden("a token links nobody", hint="log in with name and password")
        now, code = self._clock(), "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))
        row = LinkCodeRow(_kept(code), owner.id, now, now + CODE_SECONDS)
        with self._database.write() as tx:
            tx.serialise(_LINKS)
            user = tx.users.get(owner.id)
            tx.link_codes.put(row)
            note(tx, now, actor, "identity.code", f"user:{user.name}")
        return LinkCode(f"{code[:4]}-{code[4:]}", row.expires_at)

    def link(self, caller: Principal, address: str, said: Said) -> UserRow:
        """Let who said a code to a bot be the person whose code it is; return that person.

        Raises InvalidRequest for a code that is not good, Conflict when the sender is somebody else or the person has
        another name on that network, RateLimited.
        """
        check_sender(said.sender)
        self._limits.attempt(caller.via, said.sender)
        now = self._clock()
        with self._database.write() as tx:
            tx.serialise(_LINKS)
            bot = tx.bots.get(caller.id)
            if bot is None:
                raise Unauthenticated("the bot is not known")
            owner = tx.link_codes.take(_kept(said.code), now)
            user = tx.users.get(owner) if owner else None
            if user is not None and user.active:
                self._add(tx, bot, said, user, Actor(user.name, address, via_of(bot.network, said.sender)))
            else:
                by = Actor("", address, via_of(bot.network, said.sender))
                note(tx, now, by, "identity.refuse", f"bot:{bot.name}")
                user = None
        if user is None:
            hint = "codes are good for ten minutes, once: flow link, or the settings of your account, make another one"
            raise InvalidRequest("the code is not good", hint=hint, about="code")
        self._limits.succeeded(caller.via, said.sender)
        self._signals.notify(person_topic(user.id))
        return user

    def links(self, user: str) -> Sequence[IdentityRow]:
        """Return what chat networks call a person, the oldest first."""
        with self._database.read() as tx:
            return [each for each in tx.users.identities(user) if network_of(each.provider)]

    def unlink(self, actor: Actor, user: str, network: str, sender: str) -> None:
        """Let what a network calls a person mean nobody again. Raises NotFound."""
        provider = provider_of(network)
        with self._database.write() as tx:
            known = [(each.provider, each.subject) for each in tx.users.identities(user)]
            if network not in list(Network) or (provider, sender) not in known:
                raise NotFound(
                    f"you are not linked to {shown(sender, 80)!r} there", hint="flow links lists what you are"
                )
            tx.users.unlink(provider, sender, user)
            told = {"provider": provider, "subject": sender}
            note(tx, self._clock(), actor, "identity.unlink", f"user:{tx.users.get(user).name}", detail=told)
        self._signals.notify(person_topic(user))

    def _add(self, tx: Transaction, bot: BotRow, said: Said, user: UserRow, by: Actor) -> None:
        """Store a link, unless it is there; who was linked otherwise is told, and stays so: nobody is moved silently."""
        provider, now = provider_of(bot.network), self._clock()
        known = tx.users.identified(provider, said.sender)
        if known is not None and known.id != user.id:
            raise Conflict(
                f"you are linked to {known.name} here",
                hint=f"{known.name} unlinks that first: flow unlink {bot.network}",
            )
        others = [each.subject for each in tx.users.identities(user.id) if each.provider == provider]
        if known is None and others:
            hint = f"{user.name} unlinks that first: flow unlink {bot.network}"
            raise Conflict(f"{user.name} is linked to {others[0]} on that network", hint=hint)
        if known is None:
            tx.users.link(IdentityRow(provider, said.sender, user.id, now))
            told = {"provider": provider, "subject": said.sender, "name": shown(said.name, 128), "bot": bot.name}
            note(tx, now, by, "identity.link", f"user:{user.name}", detail=told)


def _kept(code: str) -> str:
    """Return what is kept of a code, however somebody typed it: in small letters, with or without what is in between."""
    return fingerprint("".join(char for char in code.upper() if char.isascii() and char.isalnum()))
