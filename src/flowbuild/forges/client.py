"""Calls to the APIs of forges: the status of a commit, with a link back to its run, and the open pull requests.

Which files a push or pull request changed is not asked there: the project's mirror knows, for every forge alike.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2

from flowbuild.core.errors import FlowError, ForgeError, InvalidRequest
from flowbuild.core.sources import SourceEvent
from flowbuild.forges.payload import Payload
from flowbuild.forges.requests import LISTS

DEADLINE = 10.0  # seconds for a whole call
MAX_ANSWER = 4096  # bytes of an answer that are read
MAX_LIST = 16 << 20  # bytes of a list
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
    """What it is about: a repository at a forge, and a commit of it. `api_url` is empty for the usual one of that kind."""

    kind: str
    api_url: str
    repository: str
    commit: str = ""


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
    """A request below the address of an API; with a body it is a POST. `most`: bytes of the answer that are read."""

    path: str
    body: Mapping[str, Any] | None = None
    most: int = MAX_ANSWER


class ForgeClient:
    """Speaks to forges. `judge` raises for a host, with its addresses, that the server must not speak to."""

    def __init__(self, http: httpx2.AsyncClient, judge: Judge, resolve: Resolve | None = None) -> None:
        self._http = http
        self._judge = judge
        self._resolve = resolve or _resolve

    async def set_status(self, target: Target, token: str, status: Status) -> None:
        """Let the forge show a status; the same twice does no harm. Raises ForgeError."""
        await self._called(target, token, _CALLS[target.kind](target, status))

    async def open_requests(self, target: Target, token: str) -> Sequence[SourceEvent]:
        """Return the open pull requests of a repository, the ones that changed last: `requests.MOST` at most.

        Each is told as if it had been opened just now. Raises ForgeError.
        """
        listed = LISTS[target.kind]
        answer = await self._called(target, token, _Call(listed.path(target.repository), most=MAX_LIST))
        try:
            found = json.loads(answer)
            values = {"values": found} if isinstance(found, list) else found
            return [listed.read(each, target.repository) for each in Payload(values).items("values")]
        except (ValueError, RecursionError, InvalidRequest) as error:
            raise ForgeError(f"the list of pull requests cannot be read: {error}", lasting=False) from error

    async def _called(self, target: Target, token: str, call: _Call) -> bytes:
        """Return what the forge answers when it takes a call; raises ForgeError."""
        if not _REPOSITORY.fullmatch(target.repository):
            raise ForgeError(f"{target.repository!r} is not a name of a repository", lasting=True)
        api = target.api_url or _APIS.get(target.kind, "")
        try:
            async with asyncio.timeout(DEADLINE):
                answer, content = await self._sent(api + call.path, call, _AUTHORISATION[target.kind](token))
        except TimeoutError:
            raise ForgeError(f"{api} did not answer within {DEADLINE:.0f} s", lasting=False) from None
        except (httpx2.HTTPError, OSError) as error:
            raise ForgeError(f"{api} did not answer: {error}", lasting=False) from error
        except (httpx2.InvalidURL, ValueError) as error:  # a token or name that no request can hold
            raise ForgeError(f"{api} cannot be asked: {type(error).__name__}", lasting=True) from error
        code, words = answer.status_code, _words(content)
        if 200 <= code < 300 or _is_so_already(target.kind, code, words):
            return content
        lasting = 300 <= code < 500 and code not in _TRY_AGAIN and not _is_too_often(answer)
        hint = "look at the token of the webhook and what it may do" if code in (401, 403, 404) and lasting else ""
        raise ForgeError(f"{api} said {code}: {words[:200]}", lasting=lasting, hint=hint)

    async def _sent(self, url: str, call: _Call, authorisation: Mapping[str, str]) -> tuple[httpx2.Response, bytes]:
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
        headers = {**authorisation, "host": parts.netloc, "user-agent": "flow-build-server"}
        extensions = {"sni_hostname": host}
        method, body = ("GET", None) if call.body is None else ("POST", dict(call.body))
        request = self._http.build_request(method, pinned, headers=headers, json=body, extensions=extensions)
        answer = await self._http.send(request, stream=True, follow_redirects=False)
        try:
            return answer, await _beginning(answer, call.most)
        finally:
            await answer.aclose()


async def _resolve(host: str, port: int) -> Sequence[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


async def _beginning(answer: httpx2.Response, most: int) -> bytes:
    kept = b""
    async for chunk in answer.aiter_bytes():
        kept += chunk
        if len(kept) >= most:
            break
    return kept[:most]


def _words(content: bytes) -> str:
    """Return the beginning of an answer as text on one line."""
    text = " ".join(content[:MAX_ANSWER].decode("utf-8", "replace").split())
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def _is_too_often(answer: httpx2.Response) -> bool:
    """Whether the forge means "not now": GitHub says 403 to that, too."""
    return "retry-after" in answer.headers or answer.headers.get("x-ratelimit-remaining") == "0"


def _is_so_already(kind: str, code: int, answer: str) -> bool:
    """GitLab refuses to set the state that a commit has."""
    return kind == "gitlab" and code == 400 and "Cannot transition status" in answer


def _github(target: Target, status: Status) -> _Call:
    return _Call(f"/repos/{target.repository}/statuses/{target.commit}", _fields(status, _GITHUB))


def _fields(status: Status, words: Mapping[StatusState, str]) -> dict[str, str]:
    return {
        "state": words[status.state],
        "context": status.context,
        "description": status.description[:MAX_DESCRIPTION],
        "target_url": status.url,
    }


def _gitlab(target: Target, status: Status) -> _Call:
    path = f"/projects/{quote(target.repository, safe='')}/statuses/{target.commit}"
    fields = _fields(status, _GITLAB)
    return _Call(path, {**fields, "name": fields.pop("context")})


def _bitbucket(target: Target, status: Status) -> _Call:
    key = status.context if len(status.context) <= 40 else hashlib.sha256(status.context.encode()).hexdigest()[:40]
    body = {
        "key": key,
        "name": status.context,
        "state": _BITBUCKET[status.state],
        "description": status.description[:MAX_DESCRIPTION],
        "url": status.url,
    }
    path = f"/repositories/{target.repository}/commit/{target.commit}/statuses/build"
    return _Call(path, body)


_CALLS: Mapping[str, Callable[[Target, Status], _Call]] = {
    "github": _github,
    "gitlab": _gitlab,
    "gitea": _github,
    "bitbucket": _bitbucket,
}
_AUTHORISATION: Mapping[str, Callable[[str], Mapping[str, str]]] = {
    "github": lambda token: {"authorization": f"Bearer {token}", "accept": "application/vnd.github+json"},
    "gitlab": lambda token: {"private-token": token},
    "gitea": lambda token: {"authorization": f"token {token}"},
    "bitbucket": lambda token: {"authorization": f"Bearer {token}"},
}
