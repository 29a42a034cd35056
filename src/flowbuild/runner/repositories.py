"""Run repositories of a server elsewhere: one of each run on this machine, filled and emptied by git and git-lfs' API.

Only what is missing comes over the wire; large files are shared by all runs, by their SHA-256. The token of the attempt
opens the repository, and dies with it.
"""

from __future__ import annotations

import asyncio
import base64
import os
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NoReturn, TypeVar
from urllib.parse import urljoin

import httpx2
import structlog

from flowbuild.client import wire
from flowbuild.client.problems import error_of
from flowbuild.client.runner import Assignment
from flowbuild.core.errors import FlowError, ServerUnreachable, WorkspaceError, is_full
from flowbuild.core.giturl import Policy, parse
from flowbuild.core.ids import CommitId, attempt_ref
from flowbuild.runner.remote import AWAY, PATIENCE, RETRY_MOST, RETRY_SECONDS
from flowbuild.runner.servers import Servers
from flowbuild.workspace import git, lfs_batch
from flowbuild.workspace.git import GitError, GitFailure
from flowbuild.workspace.lfs import Pointer
from flowbuild.workspace.lfs_batch import Action, Operation
from flowbuild.workspace.mirror import HEADS, TAGS
from flowbuild.workspace.remote import Unreachable, access, reach
from flowbuild.workspace.repo import RunRepository
from flowbuild.workspace.slots import remove

log = structlog.get_logger()
T = TypeVar("T")
OPERATOR = Policy(plain_http=True, internal=("*",))  # whoever started the runner chose the server
TRANSFER = 3600.0  # seconds of one transfer
SILENT = 60.0  # seconds in which nothing of it moves
UNUSED = 86_400.0  # seconds without use, after which a large file goes; the next one who needs it gets it again
SHA256_LENGTH = 64  # hexadecimal digits
PIECE = 1 << 20
# What says nothing about the repository on this machine.
NOT_OURS = (GitFailure.UNREACHABLE, GitFailure.TIMEOUT, GitFailure.REFUSED, GitFailure.NO_SPACE, GitFailure.MISSING)


class FarRepositories:
    """See runner.tools.Repositories; those of a server, kept below `root` with large files in `lfs`.

    A server that is away is waited for, `patience` seconds.
    """

    def __init__(
        self,
        servers: Servers,
        root: Path,
        lfs: Path,
        *,
        patience: float = PATIENCE,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._servers = servers
        self._root = root
        self._lfs = lfs
        self._patience = patience
        self._sleep = sleep
        self._open: dict[str, RunRepository] = {}
        self._sources = root.parent / "sources"
        self._known: dict[
            str, str
        ] = {}  # the source of each run, when that is here; a server that was moved calls it anew
        self._swept_at = time.monotonic()
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)  # by run, and by source
        timeout = httpx2.Timeout(SILENT)
        self._http = httpx2.AsyncClient(timeout=timeout)
        root.mkdir(parents=True, exist_ok=True)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def fetch(self, assignment: Assignment) -> RunRepository:
        """See Repositories. Waits for a server that is away."""
        async with self._turns[assignment.lease.run]:
            return await self._patiently(lambda: self._fetch(assignment))

    async def history(self, assignment: Assignment) -> tuple[str, ...]:
        """See Repositories. Once for each run what its source has is fetched. Waits for a server that is away."""
        if not assignment.history:
            return ()
        path = self._sources / assignment.source
        async with self._turns[assignment.source]:
            if self._known.get(assignment.lease.run) != assignment.source:
                await self._patiently(lambda: asyncio.to_thread(self._fetch_history, assignment, path))
                self._known[assignment.lease.run] = assignment.source
        return (str(path / "objects"),)

    async def push(self, assignment: Assignment, repository: RunRepository, commit: CommitId) -> None:
        """See Repositories. Waits for a server that is away."""
        await asyncio.to_thread(repository.write_attempt_ref, *_key(assignment), commit)
        await self._patiently(lambda: self._push(assignment, repository, commit))

    async def forget(self, run: str) -> None:
        """See Repositories."""
        self._open.pop(run, None)
        self._known.pop(run, None)
        self._turns.pop(run, None)
        await asyncio.to_thread(remove, self._root / run)
        if time.monotonic() - self._swept_at > UNUSED / 24:
            await asyncio.to_thread(self._drop_unused)

    def sweep(self, keep: Collection[str]) -> None:
        """Remove the repositories of all runs but some, and large files that were not used for long."""
        for path in self._root.iterdir():
            if path.name not in keep:
                remove(path)
        self._drop_unused()

        for path in () if keep else self._sources.glob("*"):  # a step may work with it
            if path.stat().st_mtime < time.time() - UNUSED:
                remove(path)

    def _drop_unused(self) -> None:
        self._swept_at, oldest = time.monotonic(), time.time() - UNUSED
        for path in self._lfs.glob("objects/*/*/*"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < oldest:
                    path.unlink()

    async def _fetch(self, assignment: Assignment) -> RunRepository:
        run, commit = assignment.lease.run, CommitId(assignment.input_commit)
        repository = await asyncio.to_thread(self._repository, run)
        if assignment.state != "launched":  # a result that is here was forgotten: the server was restored since
            await asyncio.to_thread(repository.refs.remove, attempt_ref(*_key(assignment)))
        if repository.refs.read(_have(commit)) is None:
            where = (repository.path, assignment.repository)
            await asyncio.to_thread(self._git, assignment, *where, "fetch", f"+{commit}:{_have(commit)}")
            repository.db.refresh()
        wanted = await asyncio.to_thread(repository.large_files, commit)
        missing = [pointer for pointer in wanted if not _used(repository, pointer)]
        async for pointer, action in self._actions(assignment, "download", missing):
            await self._download(pointer, action, repository)
        return repository

    async def _push(self, assignment: Assignment, repository: RunRepository, commit: CommitId) -> None:
        before = await asyncio.to_thread(repository.large_files, CommitId(assignment.input_commit))
        after = await asyncio.to_thread(repository.large_files, commit)
        async for pointer, action in self._actions(assignment, "upload", after - before):
            await self._upload(pointer, action, repository)
        ref = attempt_ref(*_key(assignment))
        where = (repository.path, assignment.repository)
        await asyncio.to_thread(self._git, assignment, *where, "push", f"{commit}:{ref}")
        if repository.refs.read(_have(commit)) is None:
            await asyncio.to_thread(repository.refs.update, _have(commit), commit, old=None)

    def _repository(self, run: str) -> RunRepository:
        if run not in self._open:
            path = self._root / run / "repository.git"
            if path.exists() and not (path / "HEAD").exists():
                remove(path)  # an earlier life died while it made this
            made = RunRepository.open(path) if path.exists() else RunRepository.create(path, lfs=self._lfs)
            self._open[run] = made
        return self._open[run]

    def _fetch_history(self, assignment: Assignment, path: Path) -> None:
        """Bring a bare repository up to date with the source of a run. What was there before stays: a step may look at it."""
        commit, known = assignment.environment["FLOW_COMMIT"], (path / "HEAD").exists()
        if not known:
            kind = "sha256" if len(commit) == SHA256_LENGTH else "sha1"
            path.mkdir(parents=True, exist_ok=True)
            git.run(None, "init", "--quiet", "--bare", f"--object-format={kind}", str(path))
        specs = (f"+{HEADS}*:{HEADS}*", f"+{TAGS}*:{TAGS}*", f"+{commit}:{_have(commit)}")
        try:
            self._git(assignment, path, assignment.history, "fetch", *specs)
        except GitError as error:
            if known and error.failure not in NOT_OURS:
                remove(path)  # a branch has the name of what was a directory of branches, say
                self._fetch_history(assignment, path)
                return
            raise
        os.utime(path)

    def _git(self, assignment: Assignment, path: Path, address: str, verb: str, *refspecs: str) -> None:
        remote = reach(parse(urljoin(self._servers.url, address)), OPERATOR)
        options = ("--no-tags", "--no-write-fetch-head", "--no-auto-gc") if verb == "fetch" else ()
        with access(remote, Path(os.devnull)) as config:
            # Unasked: that spares a request, and a question that breaks off is not taken for a refusal.
            proof = base64.b64encode(f"attempt:{assignment.token}".encode()).decode()
            config |= {"http.extraHeader": f"Authorization: Basic {proof}"}
            words = (verb, "--quiet", *options, remote.url.text, *refspecs)
            git.run(path, *words, config=config, timeout=TRANSFER)

    async def _actions(
        self, assignment: Assignment, operation: Operation, pointers: Iterable[Pointer]
    ) -> AsyncIterator[tuple[Pointer, Mapping[str, Action]]]:
        """Yield what is to be done with some large files: nothing for those that the server has already."""
        for part in lfs_batch.batches(pointers):
            where = urljoin(self._servers.url, f"{assignment.repository}/info/lfs/objects/batch")
            headers = {**lfs_batch.HEADERS, "Authorization": f"Bearer {assignment.token}"}
            answer = await self._http.post(where, content=lfs_batch.request(operation, part), headers=headers)
            if not answer.is_success:
                _refuse(answer.status_code, answer.content)
            for pointer, told in lfs_batch.answered(operation, part, answer.content):
                if told.actions:
                    yield pointer, told.actions

    async def _download(self, pointer: Pointer, actions: Mapping[str, Action], repository: RunRepository) -> None:
        place = actions["download"]
        async with self._http.stream("GET", place.href, headers=dict(place.header)) as answer:
            if not answer.is_success:
                _refuse(answer.status_code, await answer.aread())
            with repository.lfs.receive(pointer) as take:
                async for piece in answer.aiter_bytes(PIECE):
                    await asyncio.to_thread(take, piece)

    async def _upload(self, pointer: Pointer, actions: Mapping[str, Action], repository: RunRepository) -> None:
        place = actions["upload"]
        headers = {**place.header, "Content-Length": str(pointer.size), "Content-Type": "application/octet-stream"}
        answer = await self._http.put(place.href, content=_content(repository.lfs.path(pointer.oid)), headers=headers)
        if not answer.is_success:
            _refuse(answer.status_code, answer.content)
        if (check := actions.get("verify")) is not None:
            body = wire.json({"oid": pointer.oid, "size": pointer.size})
            headers = {**check.header, **lfs_batch.HEADERS}
            answer = await self._http.post(check.href, content=body, headers=headers)
            if not answer.is_success:
                _refuse(answer.status_code, answer.content)

    async def _patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do work that may be repeated until the server is there for all of it."""
        waited, pause = 0.0, RETRY_SECONDS
        while True:
            url = self._servers.url
            try:
                return await work()
            except (ServerUnreachable, Unreachable, httpx2.TransportError, GitError, OSError) as error:
                if not _passes(error) or waited >= self._patience:
                    raise _told(error) from error
                log.warning("repository_away", error=str(error))
                self._servers.silent(url)
            jittered = pause * random.uniform(0.5, 1.0)  # noqa: S311 (no secret)
            await self._sleep(jittered)
            waited, pause = waited + jittered, min(2 * pause, RETRY_MOST)


def _passes(error: Exception) -> bool:
    """Tell whether a server that is away, or a disk that is full, is the reason."""
    if isinstance(error, GitError):
        return error.failure in (GitFailure.UNREACHABLE, GitFailure.TIMEOUT, GitFailure.NO_SPACE)
    return not isinstance(error, OSError) or is_full(error)


def _used(repository: RunRepository, pointer: Pointer) -> bool:
    """Tell whether a large file is here; it stays for a while then."""
    if not repository.lfs.has(pointer):
        return False
    os.utime(repository.lfs.path(pointer.oid))
    return True


def _key(assignment: Assignment) -> tuple[str, int, int]:
    lease = assignment.lease
    return lease.step, lease.attempt, lease.epoch


def _have(commit: str) -> str:
    """Return the ref that says that a commit is here with all that belongs to it."""
    return f"refs/have/{commit}"


async def _content(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while piece := await asyncio.to_thread(file.read, PIECE):
            yield piece


def _refuse(status: int, body: bytes) -> NoReturn:
    told = error_of(status, body)
    if status in AWAY:
        raise ServerUnreachable(told.message)
    raise WorkspaceError(f"the server refused a large file: {told.message}") from told


def _told(error: Exception) -> FlowError:
    return error if isinstance(error, FlowError) else ServerUnreachable(f"the server cannot be reached: {error}")
