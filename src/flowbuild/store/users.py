"""People, and what they are called by others who can say who they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from flowbuild.core.errors import NotFound
from flowbuild.store.server_tables import identities, users

ADMIN, USER = "admin", "user"


@dataclass(frozen=True, slots=True)
class UserRow:
    """One person. `role` on the whole server: admin or user; `password_hash` "": no login with a password."""

    id: str
    name: str
    email: str
    display_name: str
    password_hash: str
    role: str
    created_at: float
    disabled_at: float | None = None

    @property
    def active(self) -> bool:
        """Whether this person may do anything."""
        return self.disabled_at is None

    @property
    def admin(self) -> bool:
        """Whether this person runs the server."""
        return self.role == ADMIN


@dataclass(frozen=True, slots=True)
class IdentityRow:
    """What a provider calls a user."""

    provider: str
    subject: str
    user_id: str
    created_at: float


class Users:
    """The tables `users` and `identities`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, user: UserRow) -> None:
        """Store a new person; the name must be free."""
        row = {name: getattr(user, name) for name in UserRow.__slots__}
        self._connection.execute(users.insert().values(**row))

    def change(self, user: UserRow) -> None:
        """Store everything that may change of a person; id, name and time of creation stay."""
        kept = {name: getattr(user, name) for name in UserRow.__slots__ if name not in ("id", "name", "created_at")}
        self._connection.execute(users.update().where(users.c.id == user.id).values(**kept))

    def get(self, user: str) -> UserRow:
        """Return a person by id; raises NotFound."""
        row = self._connection.execute(select(users).where(users.c.id == user)).mappings().first()
        if row is None:
            raise NotFound(f"there is no user with the id {user!r}")
        return UserRow(**row)

    def named(self, name: str) -> UserRow | None:
        """Return the person of that name."""
        row = self._connection.execute(select(users).where(users.c.name == name)).mappings().first()
        return None if row is None else UserRow(**row)

    def emailed(self, email: str) -> Sequence[UserRow]:
        """Return the people with an e-mail address, in capitals or not."""
        query = select(users).where(func.lower(users.c.email) == email.lower()).order_by(users.c.name)
        return [UserRow(**row) for row in self._connection.execute(query).mappings()]

    def page(self, after: str, limit: int) -> Sequence[UserRow]:
        """Return people by name, those after a name."""
        query = select(users).where(users.c.name > after).order_by(users.c.name).limit(limit)
        return [UserRow(**row) for row in self._connection.execute(query).mappings()]

    def any(self) -> bool:
        """Whether there is anybody."""
        return self._connection.execute(select(users.c.id).limit(1)).first() is not None

    def admins(self) -> int:
        """Return how many people run the server and may log in."""
        query = select(func.count()).where(users.c.role == ADMIN, users.c.disabled_at.is_(None))
        return self._connection.execute(query).scalar_one()

    def link(self, identity: IdentityRow) -> None:
        """Let a name at a provider stand for a user; it must be free."""
        row = {name: getattr(identity, name) for name in IdentityRow.__slots__}
        self._connection.execute(identities.insert().values(**row))

    def unlink(self, provider: str, subject: str, user: str) -> None:
        """Let it stand for nobody again."""
        c = identities.c
        same = (c.provider == provider) & (c.subject == subject) & (c.user_id == user)
        self._connection.execute(identities.delete().where(same))

    def identified(self, provider: str, subject: str) -> UserRow | None:
        """Return the user for whom a name at a provider stands."""
        query = (
            select(users)
            .join_from(users, identities, identities.c.user_id == users.c.id)
            .where(identities.c.provider == provider, identities.c.subject == subject)
        )
        row = self._connection.execute(query).mappings().first()
        return None if row is None else UserRow(**row)

    def identities(self, user: str) -> Sequence[IdentityRow]:
        """Return what others call a user."""
        query = select(identities).where(identities.c.user_id == user).order_by(identities.c.created_at)
        return [IdentityRow(**row) for row in self._connection.execute(query).mappings()]
