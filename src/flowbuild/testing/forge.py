"""A forge on this machine: the APIs that GitHub, GitLab, Gitea and Bitbucket document for statuses, and their webhooks.

It refuses what they refuse: a wrong token, an unknown repository or commit, a field that is missing or too long, GitLab also
the state that a commit has. What it was told is in `statuses`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from flowbuild.testing.payloads import FORGES, Delivery, Push, listed
from flowbuild.testing.payloads import Request as PullRequest
from flowbuild.testing.serving import serving

TOKEN = "a token of the forge"  # noqa: S105 (for tests)
_STATES = {
    "github": {"error", "failure", "pending", "success"},
    "gitea": {"pending", "success", "error", "failure", "warning"},
    "gitlab": {"pending", "running", "success", "failed", "canceled", "skipped"},
    "bitbucket": {"SUCCESSFUL", "FAILED", "INPROGRESS", "STOPPED"},
}
_AUTHORISED: Mapping[str, Callable[[Mapping[str, str]], bool]] = {
    "github": lambda headers: headers.get("authorization") == f"Bearer {TOKEN}",
    "gitea": lambda headers: headers.get("authorization") == f"token {TOKEN}",
    "gitlab": lambda headers: headers.get("private-token") == TOKEN,
    "bitbucket": lambda headers: headers.get("authorization") == f"Bearer {TOKEN}",
}


@dataclass(frozen=True, slots=True)
class Told:
    """A status that the forge accepted."""

    kind: str
    repository: str
    commit: str
    state: str
    context: str
    description: str
    url: str


@dataclass(slots=True)
class FakeForge:
    """The forge. `answers`: codes that it gives to the next calls instead of an answer; 0: it never answers.

    `commits`: those that it has; None: all. `requests`: the pull requests that are open.
    """

    repository: str = "team/app"
    commits: set[str] | None = None
    answers: list[int] = field(default_factory=list)
    requests: list[PullRequest] = field(default_factory=list)
    statuses: list[Told] = field(default_factory=list)
    url: str = ""
    calls: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def api_url(self, kind: str) -> str:
        """Return where the API of a kind of forge is."""
        return f"{self.url}/{kind}"

    async def told(self, count: int) -> list[Told]:
        """Return the statuses as soon as there are that many."""
        async with asyncio.timeout(60):
            while len(self.statuses) < count:
                self._changed.clear()
                await self._changed.wait()
        return list(self.statuses)

    async def deliver(self, kind: str, what: Push | PullRequest, to: str, secret: str) -> httpx2.Response:
        """Send a webhook, signed as the forge does it."""
        return await self.send(FORGES[kind](what).signed(kind, secret), to)

    async def send(self, sent: Delivery, to: str) -> httpx2.Response:
        """Send a webhook as it is; the same twice is what a forge sends when it had no answer."""
        async with httpx2.AsyncClient(timeout=60) as http:
            return await http.post(to, content=sent.body, headers=dict(sent.headers))

    def app(self) -> FastAPI:
        """Return the forge as an application."""
        app = FastAPI(openapi_url=None)
        for kind in ("github", "gitea"):
            app.post(f"/{kind}/repos/{{owner}}/{{name}}/statuses/{{commit}}")(self._named(kind))
            app.get(f"/{kind}/repos/{{owner}}/{{name}}/pulls")(self._list(kind))
        app.post("/gitlab/projects/{path:path}/statuses/{commit}")(self._gitlab)
        app.post("/bitbucket/repositories/{owner}/{name}/commit/{commit}/statuses/build")(self._named("bitbucket"))
        app.get("/gitlab/projects/{name:path}/merge_requests")(self._list("gitlab"))
        app.get("/bitbucket/repositories/{owner}/{name}/pullrequests")(self._list("bitbucket"))
        return app

    def _list(self, kind: str) -> Callable[..., Any]:
        async def answer(request: Request) -> JSONResponse:
            self.calls += 1
            if self.answers:
                return _no(self.answers.pop(0), "as the test wants it")
            if not _AUTHORISED[kind](request.headers):
                return _no(401, "Bad credentials")
            found = [listed(kind, each) for each in self.requests if each.repository == self.repository]
            return JSONResponse({"values": found} if kind == "bitbucket" else found)

        return answer

    def _named(self, kind: str) -> Callable[..., Any]:
        async def answer(owner: str, name: str, commit: str, request: Request) -> JSONResponse:
            return await self._take(kind, f"{owner}/{name}", commit, request)

        return answer

    async def _gitlab(self, path: str, commit: str, request: Request) -> JSONResponse:
        if b"%2F" not in request.scope["raw_path"]:  # the whole path of a project is one part of the address
            return _no(404, "404 Project Not Found")
        return await self._take("gitlab", path, commit, request)

    async def _take(self, kind: str, repository: str, commit: str, request: Request) -> JSONResponse:
        self.calls += 1
        if self.answers:
            code = self.answers.pop(0)
            if code == 0:
                await asyncio.Event().wait()
            return _no(code, "as the test wants it")
        if not _AUTHORISED[kind](request.headers):
            return _no(401, "Bad credentials")
        if repository != self.repository or (self.commits is not None and commit not in self.commits):
            return _no(404, "Not Found")
        body = await request.json()
        told = _bitbucket(body) if kind == "bitbucket" else _others(kind, body)
        if told is None or told[0] not in _STATES[kind]:
            return _no(422, f"Validation Failed: {body}")
        state, context, description, url = told
        if kind == "gitlab" and self._state(commit, context) == state:
            return _no(400, f"Cannot transition status via :{state} from :{state}")
        self.statuses.append(Told(kind, repository, commit, state, context, description, url))
        self._changed.set()
        return JSONResponse({}, 201)

    def _state(self, commit: str, context: str) -> str:
        states = [told.state for told in self.statuses if (told.commit, told.context) == (commit, context)]
        return states[-1] if states else ""


def _others(kind: str, body: Mapping[str, Any]) -> tuple[str, str, str, str] | None:
    name = "name" if kind == "gitlab" else "context"
    found = tuple(str(body.get(key, "")) for key in ("state", name, "description", "target_url"))
    state, context, description, url = found
    return (
        None
        if not context or len(description) > 140 or not url.startswith("http")
        else (state, context, description, url)
    )


def _bitbucket(body: Mapping[str, Any]) -> tuple[str, str, str, str] | None:
    if not 0 < len(str(body.get("key", ""))) <= 40 or not str(body.get("url", "")).startswith("http"):
        return None
    return str(body["state"]), str(body.get("name", "")), str(body.get("description", "")), str(body["url"])


def _no(code: int, message: str) -> JSONResponse:
    return JSONResponse({"message": message}, code)


@asynccontextmanager
async def forge(**options: Any) -> AsyncIterator[FakeForge]:
    """Have a forge while the context is open."""
    made = FakeForge(**options)
    async with serving(made.app()) as url:
        made.url = url
        yield made
