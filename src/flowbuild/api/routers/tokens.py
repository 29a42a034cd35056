"""API tokens: one's own, and for admins those of others."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from flowbuild.api.access import Acting, Caller, OnServer
from flowbuild.api.backend import Back
from flowbuild.api.problems import RESPONSES
from flowbuild.core.access import Action, Scope
from flowbuild.services.tokens import DAYS, MOST_DAYS
from flowbuild.store.tokens import TokenRow

router = APIRouter(prefix="/api/v1", tags=["tokens"], responses=RESPONSES)
OWN = [Depends(OnServer(Action.TOKEN_OWN))]


class NewToken(BaseModel):
    """What a token is to open, and for how long."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(max_length=128, description="what people know it by")
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(Scope))]
    project: str | None = Field(None, max_length=128, description="it opens nothing else")
    days: float = Field(DAYS, gt=0, le=MOST_DAYS)


class TokenView(BaseModel):
    """A token, without what opens anything."""

    id: str
    name: str
    hint: str = Field(description="its last characters")
    scopes: list[str]
    project: str | None
    created_at: float
    expires_at: float | None
    used_at: float | None
    revoked_at: float | None

    @classmethod
    def of(cls, row: TokenRow) -> TokenView:
        """Return what may be shown of a token."""
        return cls(**{name: getattr(row, name) for name in cls.model_fields})


class MadeToken(BaseModel):
    """A new token. `token` is shown this once."""

    token: str
    about: TokenView


@router.get("/tokens", dependencies=OWN)
def list_tokens(caller: Caller, backend: Back) -> list[TokenView]:
    """Return the tokens of the person who asks, the newest first; also those that are over."""
    return [TokenView.of(row) for row in backend.people.tokens.of_user(caller.id)]


@router.post("/tokens", status_code=201, dependencies=OWN)
def create_token(wanted: NewToken, caller: Caller, actor: Acting, backend: Back) -> MadeToken:
    """Make a token for the person who asks. Not with a token: one that leaked could make itself immortal."""
    token, row = backend.people.tokens.create(
        actor, caller, wanted.name, scopes=wanted.scopes, project=wanted.project, days=wanted.days
    )
    return MadeToken(token=token, about=TokenView.of(row))


@router.delete("/tokens/{token}", status_code=204, dependencies=OWN)
def revoke_token(token: str, caller: Caller, actor: Acting, backend: Back) -> None:
    """Take a token of one's own back, by its id: from now on it opens nothing."""
    backend.people.tokens.revoke(actor, caller.id, token)


@router.get("/users/{name}/tokens", dependencies=[Depends(OnServer(Action.USER_READ))])
def list_user_tokens(name: str, backend: Back) -> list[TokenView]:
    """Return the tokens of a person, the newest first."""
    return [TokenView.of(row) for row in backend.people.tokens.of_user(backend.people.users.get(name).id)]


@router.delete("/users/{name}/tokens/{token}", status_code=204, dependencies=[Depends(OnServer(Action.USER_CHANGE))])
def revoke_user_token(name: str, token: str, actor: Acting, backend: Back) -> None:
    """Take a token of a person back."""
    backend.people.tokens.revoke(actor, backend.people.users.get(name).id, token)
