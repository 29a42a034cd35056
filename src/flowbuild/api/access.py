"""Who asks, and whether they may. Every endpoint declares one permission; an app with one that does not is not built.

What blocks is a function, which FastAPI calls in a thread; what does not is a coroutine: a thread costs more than it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import RouteContext, iter_route_contexts
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer

from flowbuild.api.backend import Back, Backend
from flowbuild.api.senders import HEADER, sender_of
from flowbuild.core.access import ANONYMOUS, Action, Principal, allowed, projects_allowed, require
from flowbuild.core.errors import NotFound, Unauthenticated
from flowbuild.core.ids import RUN_ID, RunId
from flowbuild.services.audit import Actor

SESSION_COOKIE = "flow_session"
HOST = "__Host-"  # browsers take such a cookie only over https, for one host and from itself
FORM_HEADER = "x-flow-form-token"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

Bearer = Annotated[
    HTTPAuthorizationCredentials | None,
    Depends(
        HTTPBearer(
            auto_error=False,
            description=f"an API token: `flow tokens create`; or that of a bot, which beside the header {HEADER} acts for somebody",
        )
    ),
]
_cookie = APIKeyCookie(
    name=HOST + SESSION_COOKIE,
    auto_error=False,
    description=f"a session of the web app, over plain http called {SESSION_COOKIE}; changes need the header {FORM_HEADER}",
)


async def secured(request: Request, backend: Back) -> bool:
    """Whether browsers come by https, so that cookies need never go another way."""
    return request.url.scheme == "https" or backend.public_url.startswith("https:")


Secured = Annotated[bool, Depends(secured)]


def cookie_name(name: str, *, secure: bool) -> str:
    """Return what a cookie of ours is called: over https so that no other host of the domain can set it."""
    return HOST + name if secure else name


async def session_of(request: Request, secure: Secured) -> str:
    """Return the proof of a login that a browser sends along; empty when there is none."""
    return request.cookies.get(cookie_name(SESSION_COOKIE, secure=secure), "")


Session = Annotated[str, Depends(session_of)]


def who(
    request: Request,
    backend: Back,
    bearer: Bearer,
    session: Session,
    _described: Annotated[str | None, Depends(_cookie)] = None,
) -> Principal:
    """Return who asks. A token counts before a session; a wrong one is an error, none at all is not."""
    if bearer is not None:
        return of_bearer(request, backend, bearer.credentials)
    if request.headers.get("authorization"):
        raise Unauthenticated("the header Authorization must say Bearer and a token")
    if session:
        form_token = None if request.method in SAFE else request.headers.get(FORM_HEADER, "")
        return backend.authenticator.of_session(session, form_token)
    return ANONYMOUS


def of_bearer(request: Request, backend: Backend, token: str) -> Principal:
    """Return whose token it is; of a bot's for whom it asks, if it says so (see `api.senders`). Blocking."""
    sender = sender_of(request)
    if sender is None:
        return backend.authenticator.of_token(token)
    return backend.authenticator.of_sender(token, sender)


Caller = Annotated[Principal, Depends(who)]


async def address_of(request: Request) -> str:
    """Return from where a request comes: as the connection says or, if it is from a proxy that is trusted, as that says."""
    return request.client.host if request.client else ""


Address = Annotated[str, Depends(address_of)]


async def acting(caller: Caller, address: Address) -> Actor:
    """Return whom the audit log names for what an endpoint does."""
    return Actor(caller.name, address, caller.via)


Acting = Annotated[Actor, Depends(acting)]


class Permission:
    """Base of the dependencies that declare what an endpoint needs; `action` is None for what everybody may."""

    action: Action | None


@dataclass(frozen=True, slots=True)
class Public(Permission):
    """Everybody may, and nothing is told that is not for everybody."""

    action: None = None

    async def __call__(self) -> None:
        """Let everybody in."""


@dataclass(frozen=True, slots=True)
class OnServer(Permission):
    """The caller must have the right on the server as a whole."""

    action: Action

    async def __call__(self, caller: Caller) -> Principal:
        """Return the caller, or refuse."""
        require(caller, self.action, None)
        return caller


@dataclass(frozen=True, slots=True)
class OnProject(Permission):
    """The caller must have the right in the project that the path names."""

    action: Action

    def __call__(self, project: str, caller: Caller, backend: Back) -> Principal:
        """Return the caller, or refuse."""
        require(caller, self.action, project, public=project in backend.public_projects())
        return caller


@dataclass(frozen=True, slots=True)
class OnRun(Permission):
    """The caller must have the right in the project of the run that the path names; the endpoint gets the run's id."""

    action: Action

    def __call__(self, run: str, caller: Caller, backend: Back) -> RunId:
        """Return the run, or refuse."""
        if not RUN_ID.fullmatch(run):
            raise NotFound(f"there is no run {run!r}", hint="an id has 26 letters and digits")
        if caller.kind == "attempt" and caller.id != run:  # a step sees its own run, not the others of its project
            raise NotFound(f"there is no run {run}")
        project = backend.looking.project(RunId(run))
        try:
            require(caller, self.action, project, public=project in backend.public_projects())
        except NotFound:
            raise NotFound(f"there is no run {run}") from None  # in the words for one that does not exist
        return RunId(run)


@dataclass(frozen=True, slots=True)
class OnRuns(Permission):
    """The caller must have the right in the projects of both runs that the path names; the endpoint gets their ids."""

    action: Action

    def __call__(self, run: str, other: str, caller: Caller, backend: Back) -> tuple[RunId, RunId]:
        """Return the runs, or refuse."""
        on_run = OnRun(self.action)
        return on_run(run, caller, backend), on_run(other, caller, backend)


@dataclass(frozen=True, slots=True)
class InList(Permission):
    """Everybody may ask; the endpoint gets the projects whose things it may list, None for all."""

    action: Action

    def __call__(self, caller: Caller, backend: Back) -> frozenset[str] | None:
        """Return the projects in which the caller has the right."""
        return listed(caller, backend, self.action)


def listed(caller: Principal, backend: Backend, action: Action) -> frozenset[str] | None:
    """Return the projects in which somebody has a right, public ones, too; None: in all. Blocking."""
    found = projects_allowed(caller, action)
    if found is None:
        return None
    return found | {name for name in backend.public_projects() if allowed(caller, action, name, public=True)}


def declared(app: FastAPI) -> Iterator[tuple[RouteContext, Permission]]:
    """Yield every endpoint with the permission it declares; raises AssertionError when one declares none or several."""
    for route in iter_route_contexts(app.routes):
        dependant = getattr(route, "dependant", None)
        if route.path == app.openapi_url:
            continue
        found = set() if dependant is None else set(_permissions(dependant))
        if len(found) != 1:
            raise AssertionError(f"{route.methods} {route.path} declares {len(found)} permissions instead of one")
        yield route, found.pop()


def _permissions(dependant: Dependant) -> Iterator[Permission]:
    call: Any = dependant.call
    if isinstance(call, Permission):
        yield call
    for below in dependant.dependencies:
        yield from _permissions(below)
