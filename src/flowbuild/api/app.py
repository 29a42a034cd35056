"""The REST API as one application. Its description (OpenAPI 3.1) is committed as schema/openapi.json."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute

from flowbuild.api import problems
from flowbuild.api.access import declared
from flowbuild.api.backend import Backend
from flowbuild.api.description import require_what_is_sent
from flowbuild.api.limits import SLOW, App, Limits, Receive, Scope, Send
from flowbuild.api.routers import (
    account,
    audit,
    bot_dispatches,
    bots,
    channels,
    commits,
    compare,
    debugging,
    deliveries,
    environments,
    external,
    git,
    holds,
    hooks,
    linking,
    lint,
    logs,
    members,
    overview,
    previews,
    projects,
    reports,
    run_lists,
    runner,
    runners,
    runs,
    schedules,
    secrets,
    sources,
    system,
    tokens,
    users,
    workspace,
)
from flowbuild.api.senders import beside_bots
from flowbuild.api.texts import whole_characters
from flowbuild.client import wire
from flowbuild.services.deliveries import MAX_BODY

ROUTERS: tuple[APIRouter, ...] = (
    system.router,
    lint.router,
    account.router,
    external.router,
    linking.router,
    bots.router,
    users.router,
    tokens.router,
    projects.router,
    projects.demo_router,
    holds.router,
    commits.router,
    members.router,
    secrets.router,
    hooks.router,
    deliveries.router,
    schedules.router,
    channels.router,
    bot_dispatches.router,
    environments.router,
    audit.router,
    overview.router,
    run_lists.router,
    runs.router,
    logs.router,
    workspace.router,
    previews.router,
    compare.router,
    reports.router,
    debugging.router,
    runner.router,
    runners.router,
    git.router,
    sources.router,
)
LARGER: dict[str, int | None] = {  # bytes of a body, by the beginning of the path
    "/git/": None,
    "/hooks/": MAX_BODY,
    "/api/v1/runner/": wire.BODY_MAX,
}
TITLE = "flow-build-server"


def create_app(backend: Backend, more: Iterable[APIRouter] = ()) -> App:
    """Return the application over the services of a server; raises AssertionError when an endpoint declares no permission."""
    routers = tuple(more)
    described = describe(routers) if routers else _described()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope.setdefault("state", {})["backend"] = backend
        await described(scope, receive, send)

    return app


@cache
def _described() -> FastAPI:
    """Return what all servers of a process share: to build it costs 0.3 s, and it knows nothing of any of them."""
    return describe()


def describe(more: Iterable[APIRouter] = ()) -> FastAPI:
    """Return the application without anything behind it: enough for its description."""
    app = FastAPI(
        title=TITLE,
        version="1",
        description="Pipelines of docker compose steps: start them, follow them, look at what they left.",
        docs_url=None,  # would load scripts from elsewhere
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        redirect_slashes=False,  # one address for one thing
        generate_unique_id_function=_operation,
        separate_input_output_schemas=False,
        dependencies=[Depends(beside_bots), Depends(whole_characters)],
    )
    problems.install(app)
    for router in (*ROUTERS, *more):
        app.include_router(router)
    for _route, _permission in declared(app):
        pass
    make = app.openapi
    app.openapi = lambda: _exact(app, make)  # type: ignore[method-assign]  # as FastAPI's documentation has it
    return app


def _exact(app: FastAPI, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the description of an application, made once."""
    if app.openapi_schema is None:
        require_what_is_sent(make())
    return make()


def guarded(app: App, slow: float = SLOW) -> Limits:
    """Return what a web server is given: the application behind its limits; `slow`: seconds to take a piece of an answer in."""
    return Limits(app, larger=LARGER, slow=slow)


def _operation(route: APIRoute) -> str:
    """Name an operation after its function: that is what generated clients call it."""
    return route.name
