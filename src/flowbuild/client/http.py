"""The calls of `client.base.FlowClient` over the REST API."""

from __future__ import annotations

import asyncio
import base64
import random
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import httpx2
from pydantic import TypeAdapter, ValidationError

from flowbuild.client import wire
from flowbuild.client.base import (
    DebugRequest,
    FileChange,
    LogChunk,
    RunUpdate,
    RunView,
    StartRequest,
    StepDiff,
    VariableChange,
)
from flowbuild.client.logtext import LogText, from_text
from flowbuild.client.patches import RunPatch, apply_patch
from flowbuild.client.problems import error_of
from flowbuild.client.sse import ServerEvent, read_events
from flowbuild.core.chat import check_sender
from flowbuild.core.errors import InvalidRequest, ServerUnreachable
from flowbuild.core.ids import RUN_ID

T = TypeVar("T")
TIMEOUT = httpx2.Timeout(30.0)
SILENCE = httpx2.Timeout(30.0, read=60.0)  # of a stream: the server says something every 15 s
RETRIES = 8  # of a stream that broke off, before we give up
RETRY_SECONDS = 0.5  # before the first; twice as long before each further one


@dataclass(frozen=True, slots=True)
class _Message:
    """See api.routers.runs.RunMessage."""

    seq: int
    at: float
    event: Mapping[str, Any]
    patch: RunPatch | None = None


@dataclass(frozen=True, slots=True)
class _Log:
    attempt: int
    next: int
    ended: bool
    chunks: list[LogText] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Diff:
    files: tuple[FileChange, ...]
    variables: tuple[VariableChange, ...]
    patch: str | None = None


@dataclass(frozen=True, slots=True)
class _Page:
    items: list[RunView]
    next: str | None = None


_run, _page, _json = TypeAdapter(RunView), TypeAdapter(_Page), TypeAdapter[Any](Any)
_message, _log, _piece, _diff = TypeAdapter(_Message), TypeAdapter(_Log), TypeAdapter(LogText), TypeAdapter(_Diff)


class HttpClient:
    """A client of the server at `url`, with the rights of an API token. Numbers of runs count within `project`.

    With the token of a bot `sender` is for whom it asks: what its network calls them.

    Raises the errors of `core.errors` that the server names, ServerUnreachable when there is none to talk to.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        project: str | None = None,
        sender: str = "",
        clone: Callable[[str, str, Path], None] | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Any] = asyncio.sleep,
    ) -> None:
        headers = {b"Authorization": f"Bearer {token}".encode()} if token else {}
        headers |= {b"Flow-Sender": check_sender(sender).encode()} if sender else {}
        self._http = httpx2.AsyncClient(base_url=url, headers=headers, timeout=TIMEOUT, transport=transport)
        self._url, self._token = url, token
        self._project = project
        self._clone = clone
        self._sleep = sleep

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def call(self, method: str, path: str, kind: TypeAdapter[T], **options: Any) -> T:
        """Return the answer to a request as a value; the way for calls that have no method here."""
        with _reaching(self._url):
            answer = await self._http.request(method, path, **options)
        if answer.is_error:
            raise error_of(answer.status_code, answer.content)
        try:
            return kind.validate_json(answer.content or b"null")
        except ValidationError as error:
            raise ServerUnreachable(
                f"{self._url} does not answer as a flow server does: {error.errors()[0]['msg']}"
            ) from error

    async def ask(self, method: str, path: str, body: Any = None, /, *, form_token: str = "", **query: str) -> Any:
        """See ServerClient."""
        more: dict[str, Any] = {} if body is None else {"json": body}
        if (
            form_token
        ):  # cookies of a server whose public address is https are not sent by themselves to another one of it
            cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in self._http.cookies.jar)
            more["headers"] = {"X-Flow-Form-Token": form_token, "Cookie": cookies}
        return await self.call(method, f"/api/v1/{path}", _json, params=query, **more)

    async def start(self, request: StartRequest) -> RunView:  # noqa: ARG002 (there is no way to do it)
        """Refuse: a server builds what is in the repositories of its projects."""
        raise InvalidRequest(
            "a server does not run the files of this directory", hint="flow trigger starts a pipeline there"
        )

    async def resume(self, run: str, *, secrets: Mapping[str, str]) -> RunView:  # noqa: ARG002 (as above)
        """Refuse: a server goes on with its runs by itself."""
        raise InvalidRequest("a server goes on with its runs by itself when it starts")

    async def runs(self, *, everything: bool = False, limit: int = 20) -> Sequence[RunView]:
        """See FlowClient. Without steps and edges."""
        found: list[RunView] = []
        wanted = {} if everything or self._project is None else {"project": self._project}
        cursor: str | None = ""
        while cursor is not None and len(found) < limit:
            query = {**wanted, "cursor": cursor, "limit": str(min(200, limit - len(found)))}
            page = await self.call("GET", "/api/v1/runs", _page, params=query)
            found += page.items
            cursor = page.next
        return found

    async def get(self, run: str) -> RunView:
        """See FlowClient."""
        if RUN_ID.fullmatch(run):
            return await self.call("GET", f"/api/v1/runs/{run}", _run)
        if self._project is None:
            raise InvalidRequest(
                f"which project has the run {run!r}?", hint="--project NAME, or the whole id of the run"
            )
        project = quote(self._project, safe="")
        return await self.call("GET", f"/api/v1/projects/{project}/runs/{quote(run, safe='')}", _run)

    async def watch(self, run: str, after: int = 0) -> AsyncIterator[RunUpdate]:
        """See FlowClient. A stream that breaks off is begun anew where it was."""
        identifier = (await self.get(run)).id
        view: RunView | None = None

        def begin() -> dict[str, str]:
            nonlocal view
            view = None  # patches are against what the same stream sent before
            return {"Last-Event-ID": str(after)} if after else {}

        async for event in self._follow(f"/api/v1/runs/{identifier}/events", begin, {}):
            message = _message.validate_json(event.data)
            if message.patch is not None:
                view = apply_patch(view, message.patch)
            after = message.seq
            if view is not None:
                yield RunUpdate(message.seq, message.at, message.event, view)

    async def logs(
        self,
        run: str,
        step: str,
        *,
        attempt: int | None = None,
        offset: int = 0,
        service: str = "",
        follow: bool = False,
    ) -> AsyncIterator[LogChunk]:
        """See FlowClient."""
        path = f"/api/v1/runs/{(await self.get(run)).id}/steps/{quote(step, safe='')}/logs"
        wanted = {"service": service} if service else {}
        if follow:
            async for chunk in self._follow_log(f"{path}/stream", attempt, offset, wanted):
                yield chunk
            return
        while True:
            place = {"offset": offset} | ({"attempt": attempt} if attempt is not None else {})
            page = await self.call("GET", path, _log, params={**wanted, **place})
            for piece in page.chunks:
                yield from_text(piece)
            if page.next <= offset:
                return
            attempt, offset = page.attempt, page.next

    async def _follow_log(
        self, path: str, attempt: int | None, offset: int, wanted: Mapping[str, str]
    ) -> AsyncIterator[LogChunk]:
        first = {"offset": str(offset)} | ({"attempt": str(attempt)} if attempt is not None else {})
        place = ""

        def begin() -> dict[str, str]:
            return {"Last-Event-ID": place} if place else {}

        async for event in self._follow(path, begin, {**wanted, **first}):
            place = event.id
            yield from_text(_piece.validate_json(event.data))

    async def cancel(self, run: str, *, force: bool = False) -> None:
        """See FlowClient."""
        await self._steer(run, "cancel", {"force": force})

    async def approve(self, run: str, step: str, *, comment: str = "") -> None:
        """See FlowClient."""
        await self._steer(run, f"steps/{quote(step, safe='')}/approve", {"comment": comment})

    async def reject(self, run: str, step: str, *, comment: str = "") -> None:
        """See FlowClient."""
        await self._steer(run, f"steps/{quote(step, safe='')}/reject", {"comment": comment})

    async def rerun(
        self,
        run: str,
        *,
        from_steps: Sequence[str] = (),
        variables: Mapping[str, str],
        secrets: Mapping[str, str],  # noqa: ARG002 (the server has its own)
        failed: bool = False,
        fresh: bool = False,
    ) -> RunView:
        """See FlowClient. Secrets are those of the server."""
        body = {"from_steps": list(from_steps), "variables": dict(variables), "failed": failed, "fresh": fresh}
        identifier = (await self.get(run)).id
        return await self.call("POST", f"/api/v1/runs/{identifier}/rerun", _run, json=body)

    async def diff(self, run: str, step: str, other: str | None = None, *, patch: bool = False) -> StepDiff:
        """See FlowClient."""
        wanted = {"patch": str(patch).lower()} | ({"other": other} if other is not None else {})
        path = f"/api/v1/runs/{(await self.get(run)).id}/steps/{quote(step, safe='')}/diff"
        found = await self.call("GET", path, _diff, params=wanted)
        return StepDiff(found.files, found.variables, base64.b64decode(found.patch or ""))

    async def debug(self, request: DebugRequest) -> wire.DebugKit:
        """Return what it takes to do what is asked for on this machine."""
        path = f"/api/v1/runs/{(await self.get(request.run)).id}/steps/{quote(request.step, safe='')}/debug"
        body = {"attempt": request.attempt, "output": request.output}
        return wire.unpacked(await self.call("POST", path, wire.debug_kit, json=body))

    async def clone(self, run: str, directory: str) -> RunView:
        """See FlowClient."""
        view = await self.get(run)
        if self._clone is not None:
            await asyncio.to_thread(self._clone, view.repository, self._token, Path(directory))
        return view

    async def delete(self, run: str) -> None:
        """See FlowClient."""
        await self.ask("DELETE", f"runs/{(await self.get(run)).id}")

    async def _steer(self, run: str, verb: str, body: Mapping[str, Any]) -> None:
        await self.call("POST", f"/api/v1/runs/{(await self.get(run)).id}/{verb}", _run, json=body)

    async def _follow(
        self, path: str, begin: Callable[[], dict[str, str]], wanted: Mapping[str, str]
    ) -> AsyncIterator[ServerEvent]:
        """Yield the messages of a stream until the server says that there are no more.

        `begin` gives the headers with which to go on. A stream that broke off is begun again RETRIES times, later and
        later; a message in between begins the count anew.
        """
        tries = 0
        while True:
            try:
                async with self._stream(path, begin(), wanted) as events:
                    async for event in events:
                        tries = 0
                        if event.type == "end":
                            return
                        yield event
            except ServerUnreachable:
                if tries >= RETRIES:
                    raise
            tries += 1
            await self._sleep(random.uniform(0.5, 1.0) * RETRY_SECONDS * 2.0 ** (tries - 1))  # noqa: S311 (no secret)

    @asynccontextmanager
    async def _stream(
        self, path: str, headers: Mapping[str, str], wanted: Mapping[str, str]
    ) -> AsyncIterator[AsyncIterator[ServerEvent]]:
        with _reaching(self._url):
            async with self._http.stream("GET", path, headers=headers, params=wanted, timeout=SILENCE) as answer:
                if answer.is_error:
                    raise error_of(answer.status_code, await answer.aread())
                yield read_events(answer.aiter_lines())


@contextmanager
def _reaching(url: str) -> Iterator[None]:
    """Turn what goes wrong between us and the server into ServerUnreachable."""
    try:
        yield
    except httpx2.TransportError as error:
        words = str(error) or type(error).__name__
        hint = "is the server up, and its address right?"
        raise ServerUnreachable(f"{url} cannot be reached: {words}", hint=hint) from error
