"""Use cases of people: who is there, and what the admins of the server do with them. Blocking: call from threads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from flowbuild.auth.passwords import Passwords, check_password
from flowbuild.core.access import role_named
from flowbuild.core.errors import Conflict, InvalidRequest, NotFound
from flowbuild.core.plain import one_line
from flowbuild.services.audit import Actor, note
from flowbuild.services.decisions import Clock
from flowbuild.services.ids import new_id
from flowbuild.services.news import person_topic
from flowbuild.services.signals import Signals
from flowbuild.store.database import Database, Transaction
from flowbuild.store.users import ADMIN, USER, UserRow

USER_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
PEOPLE = "people"  # what is serialised: the first admin is alone, and of two who leave at once one is the last
RESERVED = frozenset({"anonymous", "everyone", "flow", "operator", "runner", "system"})  # who acts when nobody does


@dataclass(frozen=True, slots=True)
class UserChange:
    """What is to be different about a person; None: as it is."""

    email: str | None = None
    display_name: str | None = None
    role: str | None = None
    disabled: bool | None = None

    def apply(self, user: UserRow, now: float) -> UserRow:
        """Return the person as it will be; raises InvalidRequest."""
        if self.email is not None:
            user = replace(user, email=_email(self.email))
        if self.display_name is not None:
            user = replace(
                user, display_name=one_line("the name to show", self.display_name, 256, about="display_name")
            )
        if self.role is not None:
            _check_role(self.role)
            user = replace(user, role=self.role)
        if self.disabled is not None and self.disabled is user.active:
            user = replace(user, disabled_at=now if self.disabled else None)
        return user


class UserService:
    """Adds and changes people."""

    def __init__(self, database: Database, passwords: Passwords, signals: Signals, clock: Clock) -> None:
        self._database = database
        self._passwords = passwords
        self._signals = signals
        self._clock = clock

    def page(self, after: str, limit: int) -> Sequence[UserRow]:
        """Return people by name, those after a name ("" from the start). Raises InvalidRequest."""
        if not after.isprintable():
            raise InvalidRequest("that is not a name of a user")
        with self._database.read() as tx:
            return tx.users.page(after, limit)

    def get(self, name: str) -> UserRow:
        """Return a person by name; raises NotFound."""
        with self._database.read() as tx:
            return user_named(tx, name)

    def add(self, actor: Actor, name: str, password: str | None, *, role: str = USER, change: UserChange) -> UserRow:
        """Add a person; without a password they log in by a provider only. Raises InvalidRequest, Conflict."""
        user = new_user(name, role, self._clock())
        if password is not None:
            check_password(password, name=name)
            user = replace(user, password_hash=self._passwords.hash(password))
        user = change.apply(user, user.created_at)
        with self._database.write() as tx:
            store_new(tx, actor, user)
        return user

    def change(self, actor: Actor, name: str, change: UserChange) -> UserRow:
        """Change a person; one who is disabled is logged out at once. Raises NotFound, InvalidRequest, Conflict."""
        now = self._clock()
        with self._database.write() as tx:
            tx.serialise(PEOPLE)
            old = user_named(tx, name)
            user = change.apply(old, now)
            if old.role == ADMIN and old.active and not (user.role == ADMIN and user.active) and tx.users.admins() == 1:
                raise Conflict(f"{name} is the last admin of the server", hint="make somebody else an admin first")
            tx.users.change(user)
            if not user.active:
                tx.sessions.end_all(user.id)
            told = {key: getattr(change, key) for key in UserChange.__slots__ if getattr(change, key) is not None}
            note(tx, now, actor, "user.change", f"user:{name}", detail=told)
        self._signals.notify(person_topic(user.id))
        return user

    def set_password(self, actor: Actor, name: str, password: str) -> None:
        """Give a person a new password and log them out everywhere. Raises NotFound, InvalidRequest."""
        check_password(password, name=name)
        kept = self._passwords.hash(password)
        with self._database.write() as tx:
            user = user_named(tx, name)
            tx.users.change(replace(user, password_hash=kept))
            tx.sessions.end_all(user.id)
            note(tx, self._clock(), actor, "user.set_password", f"user:{name}")
        self._signals.notify(person_topic(user.id))


def new_user(name: str, role: str, now: float) -> UserRow:
    """Return a person who is not stored yet; raises InvalidRequest."""
    if not USER_NAME.fullmatch(name):
        hint = "up to 64 lower-case letters, digits, `.`, `_` and `-`, the first one a letter or digit"
        raise InvalidRequest("that is not a name of a user", hint=hint, about="name")
    if name in RESERVED or role_named(name) is not None:
        raise InvalidRequest(f"the name {name!r} means something else", hint="choose another one", about="name")
    _check_role(role)
    return UserRow(new_id(now), name, "", "", "", role, now)


def store_new(tx: Transaction, actor: Actor, user: UserRow) -> None:
    """Store a new person; raises Conflict when the name is taken."""
    if tx.users.named(user.name) is not None:
        raise Conflict(f"there is a user {user.name!r} already", about="name")
    tx.users.add(user)
    note(tx, user.created_at, actor, "user.add", f"user:{user.name}", detail={"role": user.role})


def user_named(tx: Transaction, name: str) -> UserRow:
    """Return a person by name; raises NotFound."""
    user = tx.users.named(name) if USER_NAME.fullmatch(name) else None
    if user is None:
        raise NotFound(f"there is no user {name!r}", about="name")
    return user


def _email(value: str) -> str:
    text = one_line("the e-mail address", value, 256, about="email")
    if text and ("@" not in text[1:-1] or " " in text):
        raise InvalidRequest("that is not an e-mail address", about="email")
    return text


def _check_role(role: str) -> None:
    if role not in (ADMIN, USER):
        raise InvalidRequest(f"there is no role {role!r} on the server", hint=f"{ADMIN} or {USER}", about="role")
