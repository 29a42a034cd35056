"""Calls to the APIs of forges: the status of a commit, with a link back to its run.

Which files a push or pull request changed is not asked there: the project's mirror knows, for every forge alike.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2

from flowbuild.core.errors import FlowError, ForgeError

DEADLINE = 10.0  # seconds for a whole call
MAX_ANSWER = 4096  # bytes of an answer that are read
MAX_DESCRIPTION = 140  # characters, GitHub's limit
_REPOSITORY = re.compile(r"(?:(?!\.{1,2}(?:/|$))[\w.-]+/)+(?!\.{1,2}$)[\w.-]+")
_TRY_AGAIN = frozenset({408, 425, 429})

Judge = Callable[[str, Sequence[str]], None]
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class StatusState(StrEnum):
    """How it stands with a commit."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ERRORED = "errored"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Status:
    """What a forge shows beside a commit. `context` tells the statuses of a commit apart."""

    state: StatusState
    context: str
    description: str
    url: str


@dataclass(frozen=True, slots=True)
class Target:
    """Whose status it is: repository and commit at a forge. `api_url` is empty for the usual one of that kind."""

    kind: str
    api_url: str
    repository: str
    commit: str


_APIS = {
    "github": "https://api.github.com",
    "gitlab": "https://gitlab.com/api/v4",
    "bitbucket": "https://api.bitbucket.org/2.0",
}
# What each forge calls the states. Where there is no word for "cancelled" it is an error: nobody's tests failed.
_GITHUB = dict(zip(StatusState, ("pending", "pending", "success", "failure", "error", "error"), strict=True))
_GITLAB = dict(zip(StatusState, ("pending", "running", "success", "failed", "failed", "canceled"), strict=True))
_BITBUCKET = dict(
    zip(StatusState, ("INPROGRESS", "INPROGRESS", "SUCCESSFUL", "FAILED", "FAILED", "STOPPED"), strict=True)
)


@dataclass(frozen=True, slots=True)
class _Call:
    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]


class ForgeClient:
    """Speaks to forges. `judge` raises for a host, with its addresses, that the server must not speak to."""

    def __init__(self, http: httpx2.AsyncClient, judge: Judge, resolve: Resolve | None = None) -> None:
        self._http = http
        self._judge = judge
        self._resolve = resolve or _resolve

    async def set_status(self, target: Target, token: str, status: Status) -> None:
        """Let the forge show a status; the same twice does no harm. Raises ForgeError."""
        if not _REPOSITORY.fullmatch(target.repository):
            raise ForgeError(f"{target.repository!r} is not a name of a repository", lasting=True)
        call = _CALLS[target.kind](target, token, status)
        api = target.api_url or _APIS.get(target.kind, "")
        try:
            async with asyncio.timeout(DEADLINE):
                code, answer = await self._post(api + call.path, call)
        except TimeoutError:
            raise ForgeError(f"{api} did not answer within {DEADLINE:.0f} s", lasting=False) from None
        except (httpx2.HTTPError, OSError) as error:
            raise ForgeError(f"{api} did not answer: {error}", lasting=False) from error
        if not 200 <= code < 300 and not _is_so_already(target.kind, code, answer):
            lasting = 300 <= code < 500 and code not in _TRY_AGAIN
            hint = "look at the token of the webhook and what it may do" if code in (401, 403, 404) else ""
            raise ForgeError(f"{api} said {code}: {answer[:200]}", lasting=lasting, hint=hint)

    async def _post(self, url: str, call: _Call) -> tuple[int, str]:
        """Send a call to an address that was judged, and to no other: names may mean another one a moment later."""
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        addresses = await self._resolve(host, port)
        try:
            self._judge(host, addresses)
        except FlowError as error:
            raise ForgeError(error.message, lasting=True, hint=error.hint) from error
        address = f"[{addresses[0]}]" if ":" in addresses[0] else addresses[0]
        pinned = parts._replace(netloc=f"{address}:{port}").geturl()
        headers = {**call.headers, "host": parts.netloc, "user-agent": "flow-build-server"}
        extensions = {"sni_hostname": host}
        request = self._http.build_request("POST", pinned, headers=headers, json=dict(call.body), extensions=extensions)
        answer = await self._http.send(request, stream=True, follow_redirects=False)
        try:
            return answer.status_code, await _beginning(answer)
        finally:
            await answer.aclose()


async def _resolve(host: str, port: int) -> Sequence[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


async def _beginning(answer: httpx2.Response) -> str:
    """Return the beginning of an answer as text on one line."""
    kept = b""
    async for chunk in answer.aiter_bytes():
        kept += chunk
        if len(kept) >= MAX_ANSWER:
            break
    text = " ".join(kept[:MAX_ANSWER].decode("utf-8", "replace").split())
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def _is_so_already(kind: str, code: int, answer: str) -> bool:
    """GitLab refuses to set the state that a commit has."""
    return kind == "gitlab" and code == 400 and "Cannot transition status" in answer


def _github(target: Target, token: str, status: Status) -> _Call:
    headers = {"authorization": f"Bearer {token}", "accept": "application/vnd.github+json"}
    return _Call(f"/repos/{target.repository}/statuses/{target.commit}", headers, _fields(status, _GITHUB))


def _gitea(target: Target, token: str, status: Status) -> _Call:
    path = f"/repos/{target.repository}/statuses/{target.commit}"
    return _Call(path, {"authorization": f"token {token}"}, _fields(status, _GITHUB))


def _fields(status: Status, words: Mapping[StatusState, str]) -> dict[str, str]:
    return {
        "state": words[status.state],
        "context": status.context,
        "description": status.description[:MAX_DESCRIPTION],
        "target_url": status.url,
    }


def _gitlab(target: Target, token: str, status: Status) -> _Call:
    path = f"/projects/{quote(target.repository, safe='')}/statuses/{target.commit}"
    fields = _fields(status, _GITLAB)
    return _Call(path, {"private-token": token}, {**fields, "name": fields.pop("context")})


def _bitbucket(target: Target, token: str, status: Status) -> _Call:
    key = status.context if len(status.context) <= 40 else hashlib.sha256(status.context.encode()).hexdigest()[:40]
    body = {
        "key": key,
        "name": status.context,
        "state": _BITBUCKET[status.state],
        "description": status.description[:MAX_DESCRIPTION],
        "url": status.url,
    }
    path = f"/repositories/{target.repository}/commit/{target.commit}/statuses/build"
    return _Call(path, {"authorization": f"Bearer {token}"}, body)


_CALLS: Mapping[str, Callable[[Target, str, Status], _Call]] = {
    "github": _github,
    "gitlab": _gitlab,
    "gitea": _gitea,
    "bitbucket": _bitbucket,
}
