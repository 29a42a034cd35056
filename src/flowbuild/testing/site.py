"""The API over a home directory, on a real port: everything is real but the engine and who people are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import time
from typing import Any

import httpx2

from flowbuild.api.app import create_app, guarded
from flowbuild.api.backend import Backend
from flowbuild.api.figures import Measures
from flowbuild.auth.tokens import TokenKind
from flowbuild.core.access import Principal, Role
from flowbuild.core.errors import Forbidden, Unauthenticated
from flowbuild.services.attempt_tokens import AttemptTokens
from flowbuild.services.browsing import Browsing
from flowbuild.services.launching import Launcher
from flowbuild.services.repositories import Repositories
from flowbuild.services.waiting import WaitService
from flowbuild.testing.home import Home, Life, step
from flowbuild.testing.serving import serving
from flowbuild.wiring.people import people
from flowbuild.wiring.projects import open_vault, project_service
from flowbuild.workspace.serve import GitServer

PROJECT = "project"


class Roles:
    """An `api.backend.Authenticator` whose tokens are the name of a role in PROJECT, `admin`, `stranger`, or real ones of attempts."""

    def __init__(self, attempts: AttemptTokens) -> None:
        self._attempts = attempts

    def of_token(self, token: str) -> Principal:
        """See Authenticator."""
        if token == "admin":  # noqa: S105 (a name)
            return Principal("user", "1", "admin", admin=True)
        if token == "stranger":  # noqa: S105 (a name)
            return Principal("user", "2", "stranger", roles={"other": Role.MAINTAINER})
        if token in list(Role):
            return Principal("user", token, token, roles={PROJECT: Role(token)})
        if token.startswith(TokenKind.ATTEMPT):
            return self._attempts.principal(token)
        raise Unauthenticated("the token is not known")

    def of_session(self, cookie: str, form_token: str | None) -> Principal:
        """See Authenticator."""
        if form_token is not None and form_token != f"form of {cookie}":
            raise Forbidden("the request does not come from our page")
        return self.of_token(cookie)


@dataclass(slots=True)
class Site:
    """A life of the program with its API at `url`; `http` talks to it."""

    life: Life
    backend: Backend
    url: str
    http: httpx2.AsyncClient

    def as_(self, who: str, **headers: str) -> dict[str, str]:
        """Return the headers of somebody."""
        return {"Authorization": f"Bearer {who}", **headers}

    async def get(self, path: str, who: str = "viewer", **options: Any) -> httpx2.Response:
        """Ask as somebody."""
        return await self.http.get(path, headers=self.as_(who, **options.pop("headers", {})), **options)

    async def post(self, path: str, who: str = "developer", **options: Any) -> httpx2.Response:
        """Send something as somebody."""
        return await self.http.post(path, headers=self.as_(who), **options)


@asynccontextmanager
async def open_site(home: Home, public: Collection[str] = (), **options: Any) -> AsyncIterator[Site]:
    """Live as a server over a home directory, with a project of one step if there is none; `public` projects may change."""
    if not home.project.exists():
        home.write({"a": step()})
    async with home.life(**options) as life:
        measures = Measures(life.local.database, time)
        vault = open_vault(life.local)
        projects = project_service(life.local, vault)
        backend = Backend(
            version="0",
            public_url="https://flow.example",
            authenticator=Roles(AttemptTokens(life.local.database)),
            people=people(life.local.database, time, vault),
            projects=projects,
            launcher=Launcher(life.local.database, projects, life.local.runs),
            looking=life.local.looking,
            browsing=Browsing(life.local.database),
            repositories=Repositories(life.local.database),
            git=GitServer(),
            waiting=WaitService(life.local.database, life.local.looking, lambda: (home.capacity, 1)),
            client=lambda user: life.local.client(user=user),
            public_projects=lambda: projects.public() | frozenset(public),
            ready=lambda: None,
            measures=measures,
            clock=time,
        )
        async with serving(measures.app(guarded(create_app(backend)))) as url, httpx2.AsyncClient(base_url=url) as http:
            try:
                yield Site(life, backend, url, http)
            finally:
                backend.stop.set()
