"""An application over a home directory: everything real but the engine and who people are."""

from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import time

import httpx2
import pytest

from flowbuild.api.app import create_app, guarded
from flowbuild.api.backend import Backend
from flowbuild.core.access import ANONYMOUS, Principal, Role
from flowbuild.core.errors import Unauthenticated
from flowbuild.services.browsing import Browsing
from flowbuild.testing.home import Home, Life, step
from flowbuild.testing.serving import serving

ROLES = {str(role): {"project": role} for role in Role}


class People:
    """Tokens that are the name of a role in the project `project`, `admin`, or `stranger`."""

    def by_token(self, token, address):
        if token == "admin":
            return Principal("user", "1", "admin", admin=True)
        if token == "stranger":
            return Principal("user", "2", "stranger", roles={"other": Role.MAINTAINER})
        if token in ROLES:
            return Principal("user", token, token, roles=ROLES[token])
        raise Unauthenticated("the token is not known")

    def by_session(self, session, csrf, address):
        if csrf is not None and csrf != f"csrf of {session}":
            raise Unauthenticated("the request does not come from our page")
        return self.by_token(session, address)

    def anonymous(self):
        return ANONYMOUS


@dataclass
class Site:
    """A life of the program with its API on a real port."""

    life: Life
    backend: Backend
    url: str
    http: httpx2.AsyncClient

    def as_(self, who, **headers):
        return {"Authorization": f"Bearer {who}", **headers}

    async def get(self, path, who="viewer", **options):
        return await self.http.get(path, headers=self.as_(who, **options.pop("headers", {})), **options)

    async def post(self, path, who="developer", **options):
        return await self.http.post(path, headers=self.as_(who), **options)


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


@pytest.fixture
def public():
    """The names of public projects; a test may add to it."""
    return set()


@pytest.fixture
def open_site(home, public):
    @asynccontextmanager
    async def site(**options):
        if not home.project.exists():
            home.write({"a": step()})
        async with home.life(**options) as life:
            backend = Backend(
                version="0",
                public_url="https://flow.example",
                authenticator=People(),
                looking=life.local.looking,
                browsing=Browsing(life.local.database),
                client=lambda user: life.local.client(user=user),
                public_projects=lambda: frozenset(public),
                ready=lambda: None,
                metrics=lambda: b"",
                clock=time,
            )
            async with serving(guarded(create_app(backend))) as url, httpx2.AsyncClient(base_url=url) as http:
                try:
                    yield Site(life, backend, url, http)
                finally:
                    backend.stop.set()

    return site
