"""Moves objects between the repositories of a server elsewhere and those here: commits by git, large files by git-lfs' API.

Only what the other side lacks is sent. Large files move several at once, piece by piece; what comes is hashed on its way,
and a download that breaks off goes on where it was.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn, TypeVar
from urllib.parse import urljoin

import httpx2
import structlog

from flowbuild.client import wire
from flowbuild.client.problems import error_of
from flowbuild.client.runner import Assignment
from flowbuild.core.errors import FlowError, ServerUnreachable, WorkspaceError, is_full
from flowbuild.core.ids import CommitId
from flowbuild.runner.remote import AWAY, RETRY_MOST, RETRY_SECONDS
from flowbuild.runner.servers import Servers
from flowbuild.workspace import fetching, lfs_batch, resembling
from flowbuild.workspace.fetching import PackReceiver
from flowbuild.workspace.git import GitError, GitFailure
from flowbuild.workspace.lfs import LfsStore, Pointer
from flowbuild.workspace.lfs_batch import Action, Operation
from flowbuild.workspace.remote import Unreachable
from flowbuild.workspace.repo import RunRepository

log = structlog.get_logger()
T = TypeVar("T")
SILENT = 60.0  # seconds in which nothing of a transfer moves
AT_ONCE = 4  # large files of one attempt
PIECE = 1 << 20
_PARTIAL = 206
_TROUBLE = (ServerUnreachable, Unreachable, httpx2.TransportError, GitError, OSError)  # which may pass


class Transfer:
    """What moves to and from one of `servers`; one that is away, and a full disk, are waited for, `patience` seconds."""

    def __init__(self, servers: Servers, patience: float, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._servers = servers
        self._patience = patience
        self._sleep = sleep
        self._http = httpx2.AsyncClient(timeout=httpx2.Timeout(SILENT))

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def commit(
        self,
        assignment: Assignment,
        repository: RunRepository,
        commit: CommitId,
        alike: Callable[[], RunRepository | None],
    ) -> None:
        """Bring a commit, and what belongs to it, into a repository, unless it is there. Waits for nothing.

        An empty one takes what it can from the one that resembles it, if there is such.
        """
        if repository.refs.read(fetching.HAVE + commit) is not None:
            return
        haves = await asyncio.to_thread(fetching.tips, repository)
        like = None if haves else await asyncio.to_thread(alike)
        await self._objects(assignment, repository, fetching.request([commit], haves, blobs=like is None))
        if like is not None:
            wanted = await asyncio.to_thread(resembling.missing, repository, commit)
            await asyncio.to_thread(resembling.take_over, repository, like, wanted)
            if left := [oid.hex() for oid in wanted if oid not in repository.db]:
                await self._objects(assignment, repository, fetching.request(left))
        await asyncio.to_thread(repository.commit, commit)  # has it come?
        await asyncio.to_thread(repository.refs.update, fetching.HAVE + commit, commit, old=None)

    async def _objects(self, assignment: Assignment, repository: RunRepository, body: bytes) -> None:
        where = urljoin(self._servers.url, f"{assignment.repository}/git-upload-pack")
        headers = {**fetching.HEADERS, **_proof(assignment)}
        with PackReceiver(repository.path) as receiver:
            async with self._http.stream("POST", where, content=body, headers=headers) as answer:
                if not answer.is_success:
                    _refuse("the input", answer.status_code, await answer.aread())
                async for piece in answer.aiter_bytes(PIECE):
                    await asyncio.to_thread(receiver.take, piece)
            await asyncio.to_thread(receiver.close)
        repository.db.refresh()

    async def download(self, assignment: Assignment, pointers: Collection[Pointer], store: LfsStore) -> None:
        """Bring large files into a store."""
        async for ways in self._ways(assignment, "download", pointers):
            await _several(partial(self._download, way, store) for way in ways)

    async def upload(self, assignment: Assignment, pointers: Collection[Pointer], store: LfsStore) -> None:
        """Send large files that the server does not have yet."""
        async for ways in self._ways(assignment, "upload", pointers):
            await _several(partial(self._upload, way, store) for way in ways)

    async def patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do work that may be repeated until the server is there for all of it, and room on the disk. Raises FlowError."""
        with _ours():
            return await self._until_done(work, lambda error: _away(error) or _full(error))

    async def _until_done(self, work: Callable[[], Awaitable[T]], passes: Callable[[Exception], bool]) -> T:
        """Do work again as long as its error is one that passes, and there is patience."""
        waited, pause = 0.0, RETRY_SECONDS
        while True:
            url = self._servers.url
            try:
                return await work()
            except _TROUBLE as error:
                if not passes(error) or waited >= self._patience:
                    raise
                log.warning("repository_away", error=str(error))
                self._servers.silent(url)
            jittered = pause * random.uniform(0.5, 1.0)  # noqa: S311 (no secret)
            await self._sleep(jittered)
            waited, pause = waited + jittered, min(2 * pause, RETRY_MOST)

    async def _ways(
        self, assignment: Assignment, operation: Operation, pointers: Collection[Pointer]
    ) -> AsyncIterator[list[_Way]]:
        """Yield what is to be done with some large files, part by part: nothing for those that need not be moved."""
        for part in lfs_batch.batches(pointers):
            ask = partial(self._ask, assignment, operation)
            found = await self.patiently(partial(ask, part))
            yield [_Way(ask, pointer, *found[pointer]) for pointer in part if found[pointer][1]]

    async def _ask(
        self, assignment: Assignment, operation: Operation, pointers: Sequence[Pointer]
    ) -> dict[Pointer, tuple[str, Mapping[str, Action]]]:
        """Return, for each large file, which server says what is to be done with it."""
        url = self._servers.url
        where = urljoin(url, f"{assignment.repository}/info/lfs/objects/batch")
        headers = {**lfs_batch.HEADERS, **_proof(assignment)}
        answer = await self._http.post(where, content=lfs_batch.request(operation, pointers), headers=headers)
        if not answer.is_success:
            _refuse("large files", answer.status_code, answer.content)
        told = lfs_batch.answered(operation, pointers, answer.content)
        return {pointer: (url, found.actions) for pointer, found in told}

    async def _download(self, way: _Way, store: LfsStore) -> None:
        async def whole() -> None:
            came = 0

            async def more() -> None:
                nonlocal came
                place = (await way.at(self._servers.url))["download"]
                wanted = {"Range": f"bytes={came}-"} if came else {}
                async with self._http.stream("GET", place.href, headers={**place.header, **wanted}) as answer:
                    if not answer.is_success:
                        _refuse("a large file", answer.status_code, await answer.aread())
                    known = came if answer.status_code != _PARTIAL else 0  # not all servers can go on in the middle
                    async for piece in answer.aiter_bytes(PIECE):
                        fresh, known = piece[known:], max(known - len(piece), 0)
                        await asyncio.to_thread(take, fresh)
                        came += len(fresh)

            with store.receive(way.pointer) as take:
                await self._until_done(more, _away)

        with _ours():
            await self._until_done(whole, _full)  # what was written to a full disk is not to be trusted

    async def _upload(self, way: _Way, store: LfsStore) -> None:
        await self.patiently(partial(self._send, way, store))

    async def _send(self, way: _Way, store: LfsStore) -> None:
        pointer, actions = way.pointer, await way.at(self._servers.url)
        if (place := actions.get("upload")) is None:
            return
        headers = {**place.header, "Content-Length": str(pointer.size), "Content-Type": "application/octet-stream"}
        answer = await self._http.put(place.href, content=_content(store.path(pointer.oid)), headers=headers)
        if not answer.is_success:
            _refuse("a large file", answer.status_code, answer.content)
        if (check := actions.get("verify")) is not None:
            body = wire.json({"oid": pointer.oid, "size": pointer.size})
            answer = await self._http.post(check.href, content=body, headers={**check.header, **lfs_batch.HEADERS})
            if not answer.is_success:
                _refuse("a large file", answer.status_code, answer.content)


@dataclass(slots=True)
class _Way:
    """What is to be done with a large file, as the server `url` says; others are asked again."""

    _ask: Callable[[Sequence[Pointer]], Awaitable[Mapping[Pointer, tuple[str, Mapping[str, Action]]]]]
    pointer: Pointer
    _url: str
    _actions: Mapping[str, Action]

    async def at(self, url: str) -> Mapping[str, Action]:
        """Return what the server at an address says."""
        if url != self._url:
            self._url, self._actions = (await self._ask([self.pointer]))[self.pointer]
        return self._actions


async def _several(works: Iterable[Callable[[], Awaitable[None]]]) -> None:
    """Do them, AT_ONCE at a time; the first error ends all."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(work: Callable[[], Awaitable[None]]) -> None:
        async with turns:
            await work()

    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(one(work))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None


def _proof(assignment: Assignment) -> dict[str, str]:
    return {"Authorization": f"Bearer {assignment.token}"}


async def _content(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while piece := await asyncio.to_thread(file.read, PIECE):
            yield piece


def _away(error: Exception) -> bool:
    if isinstance(error, GitError):
        return error.failure in (GitFailure.UNREACHABLE, GitFailure.TIMEOUT)
    return not isinstance(error, OSError)


def _full(error: Exception) -> bool:
    if isinstance(error, GitError):
        return error.failure is GitFailure.NO_SPACE
    return isinstance(error, OSError) and is_full(error)


def _refuse(what: str, status: int, body: bytes) -> NoReturn:
    told = error_of(status, body)
    if status in AWAY:
        raise ServerUnreachable(told.message)
    raise WorkspaceError(f"the server refused {what}: {told.message}") from told


@contextmanager
def _ours() -> Iterator[None]:
    """Tell errors of the network, and of what is here, as errors of ours."""
    try:
        yield
    except FlowError:
        raise
    except _TROUBLE as error:
        raise ServerUnreachable(f"the server cannot be reached: {error}") from error
