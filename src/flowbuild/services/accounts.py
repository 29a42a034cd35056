"""Use cases of one's own account: the first admin, login, logout, password. Blocking: call from threads."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, replace

from flowbuild.auth.limits import LoginLimits
from flowbuild.auth.passwords import Passwords, check_password
from flowbuild.auth.tokens import TokenKind, fingerprint, new_token
from flowbuild.core.errors import Conflict, Forbidden, NotFound, Unauthenticated
from flowbuild.core.plain import shown
from flowbuild.services.audit import Actor, note
from flowbuild.services.decisions import Clock
from flowbuild.services.news import person_topic
from flowbuild.services.signals import Signals
from flowbuild.services.users import PEOPLE, USER_NAME, UserChange, new_user, store_new
from flowbuild.store.database import Database, Transaction
from flowbuild.store.sessions import SessionRow
from flowbuild.store.users import ADMIN, UserRow

DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """When a login ends by itself, in seconds: after it was not used for `idle`, and in any case after `absolute`."""

    idle: float = DAY / 2
    absolute: float = 7 * DAY


@dataclass(frozen=True, slots=True)
class Login:
    """A fresh login. `cookie` proves it; `form_token` has to come with every change, so that other sites cannot make one."""

    user: UserRow
    cookie: str
    form_token: str
    expires_at: float


@dataclass(frozen=True, slots=True)
class Browser:
    """From where somebody logs in, as it says itself."""

    address: str
    agent: str = ""


class Accounts:
    """Lets people in and out."""

    def __init__(
        self,
        database: Database,
        passwords: Passwords,
        limits: LoginLimits,
        signals: Signals,
        clock: Clock,
        *,
        lifetimes: Lifetimes = Lifetimes(),
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._limits = limits
        self._signals = signals
        self._clock = clock
        self._lifetimes = lifetimes
        self._setup = ""

    def setup_code(self) -> str | None:
        """Return the code with which the first admin makes their account; None when there is somebody already.

        It is valid as long as this process lives and nobody has used it; only who can read what the server prints knows it.
        """
        with self._database.read() as tx:
            if tx.users.any():
                return None
        self._setup = self._setup or new_token(TokenKind.CODE)
        return self._setup

    def set_up(self, code: str, name: str, password: str, browser: Browser) -> Login:
        """Make the first admin and log them in. Raises Unauthenticated, Conflict when there is one, InvalidRequest."""
        if not self._setup or not hmac.compare_digest(fingerprint(code), fingerprint(self._setup)):
            raise Unauthenticated(
                "that is not the setup code", hint="the server prints it when it starts without any user", about="code"
            )
        user = new_user(name, ADMIN, self._clock())
        check_password(password, name=name)
        user = replace(user, password_hash=self._passwords.hash(password))
        with self._database.write() as tx:
            tx.serialise(PEOPLE)
            if tx.users.any():
                raise Conflict("the server has been set up already", hint="log in")
            store_new(tx, Actor(name, browser.address), user)
            login = self.open(tx, user, browser)
        self._setup = ""
        return login

    def login(self, name: str, password: str, browser: Browser) -> Login:
        """Log in with name and password; raises Unauthenticated, which never tells which of them is wrong, RateLimited."""
        name = name.strip().lower()
        self._limits.attempt(browser.address, name)
        with self._database.read() as tx:
            user = tx.users.named(name) if USER_NAME.fullmatch(name) else None
        kept = user.password_hash if user is not None and user.active else ""
        if not self._passwords.verify(kept, password) or user is None:
            with self._database.write() as tx:  # a name that nobody has may be a password in the wrong field
                note(
                    tx, self._clock(), Actor("", browser.address), "login.refuse", f"user:{user.name if user else '?'}"
                )
            raise Unauthenticated("name or password is wrong")
        self._limits.succeeded(browser.address, name)
        fresh = self._passwords.hash(password) if self._passwords.outdated(kept) else kept
        with self._database.write() as tx:
            user = tx.users.get(user.id)
            if not user.active or user.password_hash != kept:
                raise Unauthenticated("the account was changed just now", hint="log in again")
            if fresh != kept:
                user = replace(user, password_hash=fresh)
                tx.users.change(user)
            return self.open(tx, user, browser)

    def logout(self, cookie: str) -> None:
        """End the login of a cookie; nothing happens when there is none."""
        with self._database.write() as tx:
            session = tx.sessions.get(fingerprint(cookie))
            tx.sessions.end(fingerprint(cookie))
        if session is not None:
            self._signals.notify(person_topic(session.user_id))

    def me(self, user: str) -> UserRow:
        """Return a person by id; raises NotFound."""
        with self._database.read() as tx:
            return tx.users.get(user)

    def change_me(self, actor: Actor, user: str, *, email: str | None, display_name: str | None) -> UserRow:
        """Change what people may say about themselves. Raises InvalidRequest."""
        with self._database.write() as tx:
            changed = UserChange(email=email, display_name=display_name).apply(tx.users.get(user), self._clock())
            tx.users.change(changed)
            note(tx, self._clock(), actor, "user.change", f"user:{changed.name}")
        return changed

    def change_password(self, actor: Actor, user: str, old: str, new: str, *, keep: str = "") -> None:
        """Change one's password and end all logins but that of the cookie `keep`. Raises Forbidden, RateLimited, InvalidRequest."""
        person = self.me(user)
        self._limits.attempt(actor.address, person.name)
        if not self._passwords.verify(person.password_hash, old):
            raise Forbidden("the old password is wrong", about="old")
        self._limits.succeeded(actor.address, person.name)
        check_password(new, name=person.name, about="new")
        kept = self._passwords.hash(new)
        with self._database.write() as tx:
            current = tx.users.get(user)
            if current.password_hash != person.password_hash:
                raise Conflict("the password was changed just now")
            tx.users.change(replace(current, password_hash=kept))
            tx.sessions.end_all(user, but=fingerprint(keep))
            note(tx, self._clock(), actor, "user.set_password", f"user:{person.name}")
        self._signals.notify(person_topic(user))

    def sessions(self, user: str) -> Sequence[SessionRow]:
        """Return the logins of a person that are not over, the newest first."""
        now = self._clock()
        with self._database.read() as tx:
            return [session for session in tx.sessions.of_user(user) if alive(session, now, self._lifetimes)]

    def end_session(self, actor: Actor, user: str, session: str) -> None:
        """End a login of one's own, named by the beginning of its hash. Raises NotFound."""
        with self._database.write() as tx:
            found = [each for each in tx.sessions.of_user(user) if len(session) >= 8 and each.hash.startswith(session)]
            if len(found) != 1:
                raise NotFound("there is no such login")
            tx.sessions.end(found[0].hash)
            note(tx, self._clock(), actor, "session.end", f"session:{found[0].label}")
        self._signals.notify(person_topic(user))

    def open(self, tx: Transaction, user: UserRow, browser: Browser) -> Login:
        """Store a new login of somebody who has proved who they are, and forget those that are over."""
        now = self._clock()
        tx.sessions.sweep(now, now - self._lifetimes.idle)
        login = Login(user, new_token(TokenKind.SESSION), new_token(TokenKind.FORM), now + self._lifetimes.absolute)
        session = SessionRow(
            hash=fingerprint(login.cookie),
            user_id=user.id,
            csrf_hash=fingerprint(login.form_token),
            created_at=now,
            used_at=now,
            expires_at=login.expires_at,
            address=shown(browser.address, 64),
            agent=shown(browser.agent, 256),
        )
        tx.sessions.add(session)
        note(tx, now, Actor(user.name, browser.address), "login.accept", f"user:{user.name}")
        return login


def alive(session: SessionRow, now: float, lifetimes: Lifetimes) -> bool:
    """Whether a login still counts."""
    return now < session.expires_at and now < session.used_at + lifetimes.idle
