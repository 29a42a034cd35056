"""Login by a provider that says who people are: a browser goes there and comes back."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Cookie, Depends, Query, Request
from fastapi.responses import RedirectResponse
from pydantic import BaseModel

from flowbuild.api.access import Address, Public, Secured
from flowbuild.api.backend import Back
from flowbuild.api.problems import RESPONSES
from flowbuild.api.routers.account import Agent, log_in
from flowbuild.services.accounts import Browser
from flowbuild.services.external import PATIENCE

router = APIRouter(prefix="/api/v1/login", tags=["account"], responses=RESPONSES)
EVERYBODY = [Depends(Public())]
AWAY_COOKIE = "flow_away"  # belongs to one attempt; only the browser that began it can end it
PATH = "/api/v1/login"


class ProviderView(BaseModel):
    """A provider: `name` stands in addresses, `title` on a button."""

    name: str
    title: str


@router.get("/providers", dependencies=EVERYBODY)
def list_providers(backend: Back) -> list[ProviderView]:
    """Return the providers by which people can log in."""
    return [ProviderView(name=name, title=title) for name, title in backend.people.external.titles().items()]


@router.get("/{provider}", status_code=303, response_class=RedirectResponse, dependencies=EVERYBODY)
def go_to_provider(
    provider: str, backend: Back, secure: Secured, after: Annotated[str, Query(max_length=1024)] = "/"
) -> RedirectResponse:
    """Send a browser to a provider. `after`: the page of this server to show when it is back."""
    away = backend.people.external.begin(provider, after)
    response = RedirectResponse(away.url, 303)
    response.set_cookie(
        AWAY_COOKIE, away.cookie, max_age=int(PATIENCE), path=PATH, httponly=True, secure=secure, samesite="lax"
    )
    return response


@router.get("/{provider}/back", status_code=303, response_class=RedirectResponse, dependencies=EVERYBODY)
def come_back(
    provider: str,
    request: Request,
    backend: Back,
    address: Address,
    secure: Secured,
    agent: Agent = "",
    flow_away: Annotated[str, Cookie()] = "",
) -> RedirectResponse:
    """Take a browser that comes back from a provider, and log its person in."""
    browser = Browser(address, agent)
    login, after = backend.people.external.finish(provider, flow_away, dict(request.query_params), browser)
    response = RedirectResponse(after, 303)
    log_in(response, backend, login, secure=secure)
    response.delete_cookie(AWAY_COOKIE, path=PATH)
    return response
