"""Login by a provider that says who people are. Blocking: call from threads.

Between going there and coming back, a sealed cookie keeps what belongs to the attempt: only the browser that began it can
end it, on whichever server process.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from flowbuild.auth.identities import Begun, Identity, Provider
from flowbuild.core.access import Principal, role_named
from flowbuild.core.chat import network_of
from flowbuild.core.errors import Conflict, Forbidden, NotFound, Unauthenticated, VaultError
from flowbuild.services.accounts import Accounts, Browser, Login
from flowbuild.services.audit import Actor, note
from flowbuild.services.decisions import Clock
from flowbuild.services.users import RESERVED, USER_NAME, new_user, store_new
from flowbuild.store.database import Database, Transaction
from flowbuild.store.users import USER, IdentityRow, UserRow
from flowbuild.vault.sealing import Vault

PATIENCE = 600.0  # seconds that a person may take at the provider
HOME = "/"


@dataclass(frozen=True, slots=True)
class External:
    """A provider under the name that stands in addresses. `create`: who comes for the first time gets an account."""

    name: str
    title: str
    provider: Provider
    create: bool = False


@dataclass(frozen=True, slots=True)
class Away:
    """Where a browser is sent, and the cookie that it brings back."""

    url: str
    cookie: str


@dataclass(frozen=True, slots=True)
class Arrival:
    """A browser that is back: the page that it wanted to see, and its new login unless it has only linked its account."""

    after: str
    login: Login | None = None


class ExternalLogins:
    """The providers of a server."""

    def __init__(
        self, database: Database, accounts: Accounts, vault: Vault, clock: Clock, providers: Mapping[str, External]
    ) -> None:
        self._database = database
        self._accounts = accounts
        self._vault = vault
        self._clock = clock
        self._providers = dict(providers)

    def titles(self) -> Mapping[str, str]:
        """Return what people call the providers, by name."""
        return {name: external.title for name, external in self._providers.items()}

    def begin(self, name: str, after: str, *, link: str = "") -> Away:
        """Send a browser to a provider; `after`: the page of ours that it wants to see at last. Raises NotFound, ProviderError.

        `link`: the id of a person who is logged in and wants to come in by this provider from now on, too.
        """
        begun = self._provider(name).provider.begin()
        kept = {"begun": [begun.state, begun.nonce, begun.verifier], "after": _inside(after), "at": self._clock()}
        return Away(begun.url, self._vault.seal(json.dumps({**kept, "link": link}), "oidc", name))

    def finish(
        self, name: str, cookie: str, answer: Mapping[str, str], browser: Browser, *, logged_in: Callable[[], Principal]
    ) -> Arrival:
        """Let a person in who comes back, or link their account; `logged_in` tells who the browser is logged in as.

        Raises Unauthenticated, Forbidden when nobody here is that person, Conflict when somebody else is, NotFound,
        ProviderError.
        """
        external = self._provider(name)
        try:
            kept = json.loads(self._vault.open(cookie, "oidc", name))
        except VaultError as error:
            raise Unauthenticated("the login was not begun in this browser", hint="begin again") from error
        if kept["at"] + PATIENCE < self._clock():
            raise Unauthenticated("the login took too long", hint="begin again")
        if kept["link"] and logged_in().id != kept["link"]:
            raise Unauthenticated("the login that began this is over", hint="log in and begin again")
        identity = external.provider.finish(Begun("", *kept["begun"]), answer)
        with self._database.write() as tx:
            if kept["link"]:
                self._link_own(tx, external, identity, tx.users.get(kept["link"]), browser)
                return Arrival(kept["after"])
            user = self._user(tx, external, identity, browser)
            if not user.active:
                raise Unauthenticated("the account is disabled", hint="ask an admin of the server")
            return Arrival(kept["after"], self._accounts.open(tx, user, browser))

    def identities(self, user: str) -> Sequence[IdentityRow]:
        """Return the accounts elsewhere by which a person can come in, the oldest first."""
        with self._database.read() as tx:
            return _doors(tx, user)

    def unlink(self, actor: Actor, user: str, provider: str) -> None:
        """Let a person come in by a provider no more. Raises NotFound; Conflict when they could not come in at all."""
        with self._database.write() as tx:
            tx.serialise(f"identities of {user}")
            person, known = tx.users.get(user), _doors(tx, user)
            gone = [each for each in known if each.provider == provider]
            if not gone:
                raise NotFound("the account is not linked to that provider")
            if not person.password_hash and len(gone) == len(known):
                hint = "an admin of the server can give you a password: flow users password"
                raise Conflict("nothing else opens the account: it has no password", hint=hint)
            for each in gone:
                tx.users.unlink(provider, each.subject, user)
            note(tx, self._clock(), actor, "identity.unlink", f"user:{person.name}", detail={"provider": provider})

    def _link_own(
        self, tx: Transaction, external: External, identity: Identity, user: UserRow, browser: Browser
    ) -> None:
        """Link the account of who asks; of each provider one, so that it is clear who somebody is there."""
        tx.serialise(f"identities of {user.id}")
        known = tx.users.identified(external.name, identity.subject)
        if known is not None and known.id != user.id:
            raise Conflict("somebody else here has that account", hint="log in by it, and unlink it there first")
        if known is None and any(each.provider == external.name for each in tx.users.identities(user.id)):
            raise Conflict("the account is linked to another one of that provider", hint="unlink that one first")
        if known is None:
            self._link(tx, external, identity, user, browser)

    def _provider(self, name: str) -> External:
        if name not in self._providers:
            raise NotFound("there is no such provider")
        return self._providers[name]

    def _user(self, tx: Transaction, external: External, identity: Identity, browser: Browser) -> UserRow:
        """Return whose account it is: known, prepared by an admin under the address that was verified, or new."""
        known = tx.users.identified(external.name, identity.subject)
        if known is not None:
            return known
        user, now = self._prepared(tx, identity), self._clock()
        if user is None and external.create:
            user = replace(
                new_user(_free_name(tx, identity), USER, now), email=identity.email, display_name=identity.display_name
            )
            store_new(tx, Actor(user.name, browser.address), user)
        if user is None:
            raise Forbidden(
                "nobody here has that account", hint="an admin of the server adds you, with your e-mail address"
            )
        self._link(tx, external, identity, user, browser)
        return user

    def _link(self, tx: Transaction, external: External, identity: Identity, user: UserRow, browser: Browser) -> None:
        now = self._clock()
        tx.users.link(IdentityRow(external.name, identity.subject, user.id, now))
        told = {"provider": external.name, "subject": identity.subject}
        note(tx, now, Actor(user.name, browser.address), "identity.link", f"user:{user.name}", detail=told)

    def _prepared(self, tx: Transaction, identity: Identity) -> UserRow | None:
        """Return the account that waits for this person: it has no password, and nobody has come in to it yet."""
        waiting = [
            user
            for user in (tx.users.emailed(identity.email) if identity.email else ())
            if not user.password_hash and not tx.users.identities(user.id)
        ]
        return waiting[0] if len(waiting) == 1 else None


def _doors(tx: Transaction, user: str) -> Sequence[IdentityRow]:
    """Return what others call a person who let them in here by that: chat networks do not."""
    return [each for each in tx.users.identities(user) if not network_of(each.provider)]


def _free_name(tx: Transaction, identity: Identity) -> str:
    """Return a name for a new account, as near as possible to what the provider calls the person."""
    wanted = identity.name or identity.email.partition("@")[0]
    name = re.sub(r"[^a-z0-9._-]+", "-", wanted.lower()).strip("._-")[:56]
    if not USER_NAME.fullmatch(name) or name in RESERVED or role_named(name):
        name = f"user-{name}".rstrip("-")
    names = (name if number == 1 else f"{name}-{number}" for number in range(1, 1_000_000))
    return next(free for free in names if tx.users.named(free) is None)


def _inside(page: str) -> str:
    """Return a page of ours; the start page for anything that a browser could take for an address elsewhere."""
    safe = page.startswith("/") and not page.startswith(("//", "/\\")) and page.isprintable() and "\\" not in page
    return page if safe and len(page) <= 1024 else HOME
