"""People: for admins of the server."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from flowbuild.api.access import Acting, OnServer
from flowbuild.api.backend import Back
from flowbuild.api.paging import Cursor, Limit, Page, from_cursor, to_cursor
from flowbuild.api.problems import RESPONSES
from flowbuild.core.access import Action
from flowbuild.services.users import UserChange
from flowbuild.store.users import UserRow

router = APIRouter(prefix="/api/v1/users", tags=["users"], responses=RESPONSES)
READ = [Depends(OnServer(Action.USER_READ))]
CHANGE = [Depends(OnServer(Action.USER_CHANGE))]
Text = Annotated[str, Field(max_length=1024)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class UserView(BaseModel):
    """A person."""

    name: str
    email: str
    display_name: str
    role: str = Field(description="on the whole server: admin or user")
    has_password: bool = Field(description="without one they come in by a provider only")
    created_at: float
    disabled_at: float | None

    @classmethod
    def of(cls, row: UserRow) -> UserView:
        """Return what may be shown of a person."""
        return cls(
            name=row.name,
            email=row.email,
            display_name=row.display_name,
            role=row.role,
            has_password=bool(row.password_hash),
            created_at=row.created_at,
            disabled_at=row.disabled_at,
        )


class NewUser(_Strict):
    """A person who is to come in; without a password by a provider only."""

    name: Text
    password: Text | None = None
    role: Literal["admin", "user"] = "user"
    email: Text = ""
    display_name: Text = ""


class UserPatch(_Strict):
    """What is to be different; null: as it is."""

    role: Literal["admin", "user"] | None = None
    email: Text | None = None
    display_name: Text | None = None
    disabled: bool | None = None


class NewPassword(_Strict):
    """A password."""

    password: Text


@router.get("", dependencies=READ)
def list_users(backend: Back, limit: Limit = 50, cursor: Cursor = "") -> Page[UserView]:
    """Return people by name."""
    rows = backend.people.users.page(from_cursor(cursor) or "", limit + 1)
    more = to_cursor(rows[limit - 1].name) if len(rows) > limit else None
    return Page(items=[UserView.of(row) for row in rows[:limit]], next=more)


@router.post("", status_code=201, dependencies=CHANGE)
def add_user(wanted: NewUser, actor: Acting, backend: Back) -> UserView:
    """Add a person."""
    about = UserChange(email=wanted.email, display_name=wanted.display_name)
    return UserView.of(backend.people.users.add(actor, wanted.name, wanted.password, role=wanted.role, change=about))


@router.get("/{name}", dependencies=READ)
def get_user(name: str, backend: Back) -> UserView:
    """Return a person."""
    return UserView.of(backend.people.users.get(name))


@router.patch("/{name}", dependencies=CHANGE)
def change_user(name: str, wanted: UserPatch, actor: Acting, backend: Back) -> UserView:
    """Change a person. One who is disabled is logged out at once, and their tokens open nothing."""
    return UserView.of(backend.people.users.change(actor, name, UserChange(**wanted.model_dump())))


@router.put("/{name}/password", status_code=204, dependencies=CHANGE)
def set_user_password(name: str, wanted: NewPassword, actor: Acting, backend: Back) -> None:
    """Give a person a new password, and log them out everywhere."""
    backend.people.users.set_password(actor, name, wanted.password)
