"""Login by a provider that says who people are: a browser goes there and comes back. Also linking one's account to it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, Field

from flowbuild.api.access import Acting, Address, Caller, OnServer, Public, Secured, Session, cookie_name
from flowbuild.api.backend import Back
from flowbuild.api.problems import RESPONSES, as_page
from flowbuild.api.routers.account import Agent, log_in
from flowbuild.core.access import Action, Principal
from flowbuild.core.errors import Forbidden
from flowbuild.services.accounts import Browser
from flowbuild.services.external import PATIENCE, Away

router = APIRouter(prefix="/api/v1", tags=["account"], responses=RESPONSES)
EVERYBODY = [Depends(Public())]
BROWSERS = [Depends(as_page), *EVERYBODY]
OWN = [Depends(OnServer(Action.TOKEN_OWN))]
AWAY_COOKIE = "flow_away"  # belongs to one attempt; only the browser that began it can end it
Page = Annotated[str, Query(max_length=1024, description="of this server, to show when the browser is back")]


class ProviderView(BaseModel):
    """A provider: `name` stands in addresses, `title` on a button."""

    name: str
    title: str


class IdentityView(BaseModel):
    """An account elsewhere by which one can come in."""

    provider: str
    subject: str = Field(description="what the provider calls the person; never changes")
    created_at: float


class AwayView(BaseModel):
    """Where the browser is to go now."""

    url: str


@router.get("/login/providers", dependencies=EVERYBODY)
def list_providers(backend: Back) -> list[ProviderView]:
    """Return the providers by which people can log in."""
    return [ProviderView(name=name, title=title) for name, title in backend.people.external.titles().items()]


@router.get("/login/{provider}", status_code=303, response_class=RedirectResponse, dependencies=BROWSERS)
def go_to_provider(provider: str, backend: Back, secure: Secured, after: Page = "/") -> RedirectResponse:
    """Send a browser to a provider."""
    away = backend.people.external.begin(provider, after)
    response = RedirectResponse(away.url, 303)
    _remember(response, away, secure=secure)
    return response


@router.get("/login/{provider}/back", status_code=303, response_class=RedirectResponse, dependencies=BROWSERS)
def come_back(
    provider: str,
    request: Request,
    backend: Back,
    address: Address,
    secure: Secured,
    session: Session,
    agent: Agent = "",
) -> RedirectResponse:
    """Take a browser that comes back from a provider, and log its person in, or link their account."""
    away = cookie_name(AWAY_COOKIE, secure=secure)
    arrival = backend.people.external.finish(
        provider,
        request.cookies.get(away, ""),
        dict(request.query_params),
        Browser(address, agent),
        logged_in=lambda: backend.authenticator.of_session(session, None),
    )
    response = RedirectResponse(arrival.after, 303)
    if arrival.login is not None:
        log_in(response, backend, arrival.login, secure=secure)
    response.delete_cookie(away, path="/", secure=secure)
    return response


@router.get("/account/identities", dependencies=OWN)
def list_identities(caller: Caller, backend: Back) -> list[IdentityView]:
    """Return the accounts elsewhere by which the person who asks can come in."""
    rows = backend.people.external.identities(caller.id)
    return [IdentityView(provider=row.provider, subject=row.subject, created_at=row.created_at) for row in rows]


@router.post("/account/identities/{provider}", dependencies=OWN)
def link_identity(
    provider: str, caller: Caller, backend: Back, response: Response, secure: Secured, after: Page = "/"
) -> AwayView:
    """Begin to link one's account to a provider: the browser goes to `url`, and is linked when it is back."""
    _require_browser(caller)
    away = backend.people.external.begin(provider, after, link=caller.id)
    _remember(response, away, secure=secure)
    return AwayView(url=away.url)


@router.delete("/account/identities/{provider}", status_code=204, dependencies=OWN)
def unlink_identity(provider: str, caller: Caller, actor: Acting, backend: Back) -> None:
    """Come in by a provider no more. Something else must open the account."""
    _require_browser(caller)
    backend.people.external.unlink(actor, caller.id, provider)


def _require_browser(caller: Principal) -> None:
    """Refuse tokens: one that leaked could open the account for ever."""
    if caller.kind != "user":
        raise Forbidden("a token does not decide who can come in", hint="log in with a browser")


def _remember(response: Response, away: Away, *, secure: bool) -> None:
    name = cookie_name(AWAY_COOKIE, secure=secure)
    response.set_cookie(
        name, away.cookie, max_age=int(PATIENCE), path="/", httponly=True, secure=secure, samesite="lax"
    )
