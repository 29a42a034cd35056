"""Run repositories for git clients over HTTP: `git http-backend` as a child, streamed both ways. An ASGI application each.

Clients push into a namespace of their own, apart from the refs of the run; what has come in there is looked at before it
gets its ref. Protocol: gitprotocol-http(5), gitprotocol-pack(5), git-http-backend(1).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import structlog

from flowbuild.core.errors import FlowError, Forbidden, InvalidRequest, RateLimited, TooLarge
from flowbuild.workspace.git import environment

log = structlog.get_logger()

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

UPLOAD, RECEIVE = "git-upload-pack", "git-receive-pack"  # what the server does: clients fetch, push
NAMESPACE = "incoming"
_CHUNK = 1 << 16
_COMMANDS_MAX = 1 << 16  # bytes of what a push says before its pack
_ANSWER_MAX = 1 << 18  # bytes of what git answers to a push
_WANTS_MAX = 64 << 20  # bytes of what a fetch asks for
_HEAD_MAX = 1 << 14
_COMMAND = re.compile(rb"([0-9a-f]{40}|[0-9a-f]{64}) ([0-9a-f]{40}|[0-9a-f]{64}) (refs/[^\0\n]+)(?:\0[^\n]*)?\n?")

_CONFIG = {
    "http.uploadpack": "true",
    "http.getanyfile": "false",
    "receive.unpackLimit": "1",
    "receive.autogc": "false",
    "receive.denyDeletes": "true",
    "receive.denyNonFastForwards": "true",
    "receive.advertisePushOptions": "false",
    # Objects go out as they lie in our packs: looking for deltas costs the processor more than a LAN saves, and readers too.
    "pack.window": "0",
    # Who has files of another run like this one asks for the lists of files first.
    "uploadpack.allowFilter": "true",
    "uploadpackfilter.allow": "false",
    "uploadpackfilter.blob:none.allow": "true",
}


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one client may cost, and how many children there are at once.

    `seconds`: of a request; `slow`: in which it has to take a piece of an answer; `push_bytes`: of a push.
    """

    seconds: float = 3600.0
    slow: float = 60.0
    push_bytes: int = 4 << 30
    children: int = 16
    wait: float = 30.0  # seconds to wait for one of them to end


class Door(Protocol):
    """Where one commit may come in. Blocking; what it raises is told to the client."""

    @property
    def ref(self) -> str:
        """The ref that may be pushed."""
        ...

    def open(self) -> None:
        """Make room for a push: one that was cut off may have left something."""
        ...

    def accept(self, commit: str) -> None:
        """Look at a commit that has come in; only then it gets its ref."""
        ...


class GitServer:
    """Makes the answers; one per process, because it counts the children."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        self.bounds = bounds or Bounds()
        self._free = asyncio.Semaphore(self.bounds.children)

    def advertise(self, repository: Path, service: str, base: str = "") -> GitAnswer:
        """Answer which refs there are, as the first question of a fetch or push.

        `base`: the commit that a push builds on. It is told instead of all refs, so that the answer stays short and only
        what is new since then is sent.
        """
        return GitAnswer(self, repository, "/info/refs", service, base=base)

    def fetch(self, repository: Path) -> GitAnswer:
        """Answer a fetch."""
        return GitAnswer(self, repository, f"/{UPLOAD}", UPLOAD)

    def push(self, repository: Path, door: Door) -> GitAnswer:
        """Answer a push of the one new ref that a door stands for."""
        return GitAnswer(self, repository, f"/{RECEIVE}", RECEIVE, door)

    @contextlib.asynccontextmanager
    async def child(self, env: Mapping[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
        """Start `git http-backend`; raises RateLimited when too many of them run. It is gone afterwards, with all it started."""
        try:
            async with asyncio.timeout(self.bounds.wait):
                await self._free.acquire()
        except TimeoutError as error:
            raise RateLimited("too many git clients at once", seconds=self.bounds.wait) from error
        try:
            process = await asyncio.create_subprocess_exec(
                "git",
                "http-backend",
                cwd="/",
                env=dict(env),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                process_group=0,
            )
            try:
                yield process
            finally:
                _kill(process)
                if process.stdout is not None:
                    await process.stdout.read()  # asyncio waits for the end of what nobody reads
                await process.wait()
        finally:
            self._free.release()


@dataclass(frozen=True, slots=True)
class GitAnswer:
    """The ASGI application that answers one request about one repository."""

    server: GitServer
    repository: Path
    path: str
    service: str
    door: Door | None = None
    base: str = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer. Raises FlowError as long as nothing was answered."""
        headers = {name.lower(): value for name, value in scope["headers"]}
        bounds = self.server.bounds
        body = _Body(receive, bounds.push_bytes if self.door else _WANTS_MAX)
        commit = ""
        if self.door is not None and (commit := await _announced(body, headers, self.door.ref)):
            await asyncio.to_thread(self.door.open)
        env = self._environment(scope, headers, pushing=self.service == RECEIVE)
        try:
            async with asyncio.timeout(bounds.seconds), self.server.child(env) as child:
                feeding = asyncio.create_task(_feed(child, body))
                try:
                    await self._relay(child, body, send, commit)
                finally:
                    feeding.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await feeding
        except TimeoutError:  # the answer stays incomplete, which the client sees
            log.info("git_client_too_slow", repository=str(self.repository), service=self.service)

    async def _relay(self, child: asyncio.subprocess.Process, body: _Body, send: Send, commit: str) -> None:
        assert child.stdout is not None  # noqa: S101  # for the type checker: a pipe was asked for
        status, headers = await _head(child.stdout)
        answer = b""
        if self.door is not None and commit and status == 200:
            answer = await _all(child.stdout)
            if body.error is None and b"unpack ok" in answer and b"ng refs/" not in answer:
                await asyncio.to_thread(self.door.accept, commit)
        elif self.base and status == 200:
            answer = _built_on(self.base, await _all(child.stdout))
        if body.error is not None:
            raise body.error
        await self._send(send, {"type": "http.response.start", "status": status, "headers": headers})
        await self._send(send, {"type": "http.response.body", "body": answer, "more_body": True})
        while chunk := await child.stdout.read(_CHUNK):
            await self._send(send, {"type": "http.response.body", "body": chunk, "more_body": True})
        if body.error is not None:  # the answer stays incomplete, which the client sees
            log.info("git_client_refused", repository=str(self.repository), why=body.error.message)
        elif not body.gone:
            await self._send(send, {"type": "http.response.body", "body": b""})

    async def _send(self, send: Send, message: Message) -> None:
        """Send a piece; raises TimeoutError when the client does not take it."""
        async with asyncio.timeout(self.server.bounds.slow):
            await send(message)

    def _environment(self, scope: Scope, headers: Mapping[bytes, bytes], *, pushing: bool) -> dict[str, str]:
        config = {**_CONFIG, "http.receivepack": str(pushing).lower()}
        env = {
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROJECT_ROOT": str(self.repository),
            "PATH_INFO": self.path,
            "QUERY_STRING": f"service={self.service}" if self.path == "/info/refs" else "",
            "REQUEST_METHOD": scope["method"],
            "CONTENT_TYPE": headers.get(b"content-type", b"").decode("latin-1"),
            "HTTP_CONTENT_ENCODING": headers.get(b"content-encoding", b"").decode("latin-1"),
            "GIT_PROTOCOL": "" if pushing else _protocol(headers.get(b"git-protocol", b"")),
        }
        if pushing:
            config["receive.maxInputSize"] = str(self.server.bounds.push_bytes)
            env |= {"GIT_NAMESPACE": NAMESPACE, "REMOTE_USER": "attempt"}
        return environment(None, config) | env


async def _announced(body: _Body, headers: Mapping[bytes, bytes], ref: str) -> str:
    """Read what a push says it will do; return the new commit, empty for a push that only tries whether it may.

    Raises Forbidden for anything but the one ref, made anew.
    """
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise InvalidRequest("a push must not be compressed as a whole")
    commands = [line async for line in body.lines()]
    if not commands:
        return ""
    match = _COMMAND.fullmatch(commands[0])
    if len(commands) != 1 or match is None or match[3].decode("utf-8", "replace") != ref or match[1].strip(b"0"):
        raise Forbidden(f"{ref} may be made, once, and nothing else pushed", hint="it is the ref of the attempt")
    if not match[2].strip(b"0"):
        raise Forbidden(f"{ref} may not be deleted")
    return match[2].decode()


class _Body:
    """The body of a request, with what was read ahead of it."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._left = limit
        self._ahead = b""
        self._ended = False
        self.gone = False  # the client is
        self.error: FlowError | None = None

    async def lines(self) -> AsyncIterator[bytes]:
        """Yield the lines (pkt-lines) up to the first flush packet; they stay part of the body."""
        at = 0
        while True:
            size = await self._ahead_until(at + 4)
            length = self._ahead[at : at + 4]
            if size < at + 4 or not re.fullmatch(rb"[0-9a-fA-F]{4}", length):
                raise InvalidRequest("the push is cut short, or not in git's protocol")
            if length == b"0000":
                return
            end = at + int(length, 16)
            if int(length, 16) <= 4 or await self._ahead_until(end) < end:
                raise InvalidRequest("the push is cut short, or not in git's protocol")
            yield self._ahead[at + 4 : end]
            at = end

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the whole body."""
        ahead, self._ahead = self._ahead, b""
        if ahead:
            yield ahead
        while piece := await self._next():
            yield piece

    async def end(self) -> None:
        """Return when the client is gone."""
        while not self.gone:
            self.gone = (await self._receive())["type"] == "http.disconnect"

    async def _ahead_until(self, size: int) -> int:
        """Read ahead; return how much of the body is known then."""
        if size > _COMMANDS_MAX:
            raise InvalidRequest("the push names too many refs")
        while len(self._ahead) < size and (piece := await self._next()):
            self._ahead += piece
        return len(self._ahead)

    async def _next(self) -> bytes:
        """Return a piece that is not empty; nothing at the end. Raises TooLarge."""
        while not self._ended:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.gone = self._ended = True
                break
            self._ended = not message.get("more_body", False)
            piece: bytes = message.get("body", b"")
            self._left -= len(piece)
            if self._left < 0:
                raise TooLarge("the request is larger than the server takes")
            if piece:
                return piece
        return b""


async def _feed(child: asyncio.subprocess.Process, body: _Body) -> None:
    """Give the body to the child, and end it when the client goes."""
    assert child.stdin is not None  # noqa: S101  # for the type checker: a pipe was asked for
    try:
        with contextlib.suppress(ConnectionError):  # it ended without reading all
            async for piece in body.pieces():
                child.stdin.write(piece)
                await child.stdin.drain()
        if not body.gone:
            child.stdin.close()
            await body.end()
    except FlowError as error:
        body.error = error
    _kill(child)


async def _head(stdout: asyncio.StreamReader) -> tuple[int, list[tuple[bytes, bytes]]]:
    """Read the header lines of a CGI answer. A child that says nothing, or too much, is an error of ours: 500."""
    try:
        text = await stdout.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return 500, [(b"content-type", b"text/plain")]
    status, headers = 200, []
    for line in text[:_HEAD_MAX].split(b"\r\n"):
        name, colon, value = line.partition(b": ")
        if name.lower() == b"status":
            status = int(value.split()[0])
        elif colon:
            headers.append((name.lower(), value))
    return status, headers


async def _all(stdout: asyncio.StreamReader) -> bytes:
    """Read an answer that is short, whatever git makes of it: the rest of a long one is dropped."""
    kept = b""
    while piece := await stdout.read(_CHUNK):
        kept += piece[: max(0, _ANSWER_MAX - len(kept))]
    return kept


def _built_on(base: str, answer: bytes) -> bytes:
    """Return what receive-pack says about itself, with one commit instead of its refs: `.have`, as for those of alternates."""
    start = answer.index(b"0000") + 4  # after the name of the service
    _, _, abilities = answer[start + 4 : start + int(answer[start : start + 4], 16)].partition(b"\0")
    line = b"%s .have\0%s" % (base.encode(), abilities)
    return answer[:start] + b"%04x%s0000" % (len(line) + 4, line)


def _protocol(value: bytes) -> str:
    """Return what the client says of the version it speaks, when that is what it looks like."""
    text = value.decode("latin-1")
    return text if re.fullmatch(r"[a-z0-9=.:-]{1,64}", text) else ""


def _kill(child: asyncio.subprocess.Process) -> None:
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
