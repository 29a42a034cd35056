"""The MCP server over standard input and output, for one who is logged in, or over HTTP, for whoever brings a token."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import version
from typing import Any

import uvicorn
from mcp.server.mcpserver import Context
from mcp.server.transport_security import TransportSecuritySettings
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from flowbuild.bot import seen
from flowbuild.bot.mcp.tools import Desk, server_of
from flowbuild.client.base import ServerClient
from flowbuild.client.http import HttpClient
from flowbuild.client.talking import AgentsRequest
from flowbuild.core.errors import InvalidRequest

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
PATH = "/mcp"
Connect = Callable[[str], AbstractAsyncContextManager[ServerClient]]


async def serve_stdio(client: ServerClient, project: str) -> None:
    """Serve the program at the other end of standard input and output, with the rights of the token of the client."""
    scopes = seen.read(seen.me, await client.ask("GET", "me")).scopes

    @asynccontextmanager
    async def same(_: Context[Any, Any]) -> AsyncIterator[ServerClient]:
        yield client

    await server_of(Desk(same, project), _version(), scopes=scopes).run_stdio_async()


async def serve_http(url: str, project: str, request: AgentsRequest) -> None:
    """Serve programs over HTTP, each with the rights of its own token, until told to stop.

    Raises InvalidRequest when others than this machine may reach it and it is not said by which name.
    """
    app = app_of(_connecting(url, project), project, request)
    config = uvicorn.Config(app, host=request.host, port=request.port, log_level="warning")
    server = _Announced(config)
    await server.serve()


def app_of(connect: Connect, project: str, request: AgentsRequest) -> ASGIApp:
    """Return the application. A page of a browser is refused unless it comes from one of the names of this server."""
    if request.host not in ("127.0.0.1", "localhost", "::1") and not request.names:
        hint = "--allow-host NAME: by which name clients reach it; anything else is refused, so that no web page can use it"
        raise InvalidRequest(f"{request.host} is not only this machine", hint=hint)

    @asynccontextmanager
    async def of_caller(context: Context[Any, Any]) -> AsyncIterator[ServerClient]:
        async with connect(_token(context.headers or {})) as client:
            yield client

    names = (*LOOPBACK, *request.names)
    security = TransportSecuritySettings(
        allowed_hosts=[each for name in names for each in (name, f"{name}:*")],
        allowed_origins=[
            f"{scheme}://{each}" for name in names for scheme in ("http", "https") for each in (name, f"{name}:*")
        ],
    )
    server = server_of(Desk(of_caller, project), _version())
    app = server.streamable_http_app(
        streamable_http_path=PATH,
        json_response=True,
        stateless_http=True,  # a session would be a second thing that opens something
        transport_security=security,
    )
    return _Bearers(app)


class _Announced(uvicorn.Server):
    """Says where it is once it listens."""

    async def startup(self, sockets: list[Any] | None = None) -> None:
        await super().startup(sockets)
        for server in self.servers:
            for listening in server.sockets:
                host, port = listening.getsockname()[:2]
                print(f"flow mcp at http://{host}:{port}{PATH}", flush=True)  # noqa: T201 (for who started it)


class _Bearers:
    """Refuses requests without a token; whether it is good, the server says to which it goes on."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not _token(Headers(scope=scope)):
            problem = {
                "error": "invalid_request",
                "error_description": "send an API token of the server: Authorization: Bearer ...",
            }
            refusal = JSONResponse(problem, 401, headers={"WWW-Authenticate": "Bearer"})
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _token(headers: Any) -> str:
    scheme, _, token = str(headers.get("authorization", "")).partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _connecting(url: str, project: str) -> Connect:
    @asynccontextmanager
    async def connect(token: str) -> AsyncIterator[ServerClient]:
        client = HttpClient(url, token, project=project or None)
        try:
            yield client
        finally:
            await client.close()

    return connect


def _version() -> str:
    return version("flow-build-server")
