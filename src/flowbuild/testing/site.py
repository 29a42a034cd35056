"""The API over a home directory, on a real port: everything is real but the engine and who people are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import httpx2

from flowbuild.api.app import create_app, guarded
from flowbuild.api.backend import Authenticator, Backend
from flowbuild.auth.tokens import kind_of
from flowbuild.core.access import Principal, Role
from flowbuild.core.errors import Forbidden, Unauthenticated
from flowbuild.testing.home import LIMIT, Home, Life, step
from flowbuild.testing.serving import serving
from flowbuild.wiring.projects import policy_of
from flowbuild.wiring.server import make_backend
from flowbuild.wiring.triggers import triggering

PROJECT = "project"
PUBLIC_URL = "https://flow.example"


class Roles:
    """An `api.backend.Authenticator` whose tokens are the name of a role in PROJECT, `admin`, or `stranger`.

    Those that look like real ones are: `real` knows them.
    """

    def __init__(self, real: Authenticator) -> None:
        self._real = real

    def of_token(self, token: str) -> Principal:
        """See Authenticator."""
        if kind_of(token) is not None:
            return self._real.of_token(token)
        if token == "admin":  # noqa: S105 (a name)
            return Principal("user", "1", "admin", admin=True, via=f"token:{token}")
        if token == "stranger":  # noqa: S105 (a name)
            return Principal("user", "2", "stranger", roles={"other": Role.MAINTAINER}, via=f"token:{token}")
        if token in list(Role):
            return Principal("user", token, token, roles={PROJECT: Role(token)}, via=f"token:{token}")
        raise Unauthenticated("the token is not known")

    def of_sender(self, token: str, sender: str) -> Principal:
        """See Authenticator."""
        return self._real.of_sender(token, sender)

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

    async def add_project(self, home: Home, name: str = PROJECT, **more: Any) -> Any:
        """Add the repository of a home as a project, fetched; return what the API says of it."""
        wanted = {"name": name, "url": str(home.project), **more}
        answer = await self.post("/api/v1/projects", "admin", json=wanted)
        if answer.status_code != 201:
            raise AssertionError(answer.text)
        await self.post(f"/api/v1/projects/{name}/fetch", "admin")
        return answer.json()


@asynccontextmanager
async def open_site(
    home: Home, public: Collection[str] = (), *, embedded: bool = True, port: int = 0, **options: Any
) -> AsyncIterator[Site]:
    """Live as a server over a home directory, with a project of one step if there is none; `public` projects may change.

    Without an embedded runner all work is done on other machines (`testing.far`).
    """
    if not home.project.exists():
        home.write({"a": step()})
    async with home.life(**options) if embedded else home.directing() as life:
        real = make_backend(life.local)
        backend = replace(
            real,
            public_url=PUBLIC_URL,
            authenticator=Roles(real.authenticator),
            public_projects=lambda: real.public_projects() | frozenset(public),
        )
        app = backend.measures.app(guarded(create_app(backend)))
        began = triggering(
            life.local,
            backend.triggers,
            backend.telling,
            backend.projects,
            policy=policy_of(life.local),
            public_url=PUBLIC_URL,
        )
        client = partial(httpx2.AsyncClient, verify=False, timeout=LIMIT)  # no TLS: its certificates cost 40 ms
        async with began, serving(app, port) as url, client(base_url=url) as http:
            try:
                yield Site(life, backend, url, http)
            finally:
                backend.stop.set()
