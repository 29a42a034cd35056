"""Run repositories of a server elsewhere: one of each run on this machine, filled and emptied by git and git-lfs' API.

Only what is missing comes over the wire; large files are shared by all runs, by their SHA-256. The token of the attempt
opens the repository, and dies with it. What nobody works with goes when there is more than this machine may keep.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urljoin

import structlog

from flowbuild.client.runner import Assignment, Lease
from flowbuild.core.errors import FlowError
from flowbuild.core.giturl import Policy, parse
from flowbuild.core.ids import CommitId, attempt_ref
from flowbuild.runner.kept import GONE, Kept
from flowbuild.runner.remote import PATIENCE
from flowbuild.runner.servers import Servers
from flowbuild.runner.transfer import Transfer
from flowbuild.workspace import git
from flowbuild.workspace.fetching import HAVE
from flowbuild.workspace.git import GitError, GitFailure
from flowbuild.workspace.lfs import LfsStore, Pointer
from flowbuild.workspace.mirror import HEADS, TAGS
from flowbuild.workspace.remote import access, reach
from flowbuild.workspace.repo import RunRepository
from flowbuild.workspace.slots import remove

log = structlog.get_logger()
OPERATOR = Policy(plain_http=True, internal=("*",))  # whoever started the runner chose the server
TRANSFER = 3600.0  # seconds of one transfer
SHA256_LENGTH = 64  # hexadecimal digits
# Objects are sent as they lie in packs, and become a pack here, however few they are: loose ones are compressed, one by one.
MOVING = {"pack.window": "0", "fetch.unpackLimit": "1"}
# What says nothing about the repository on this machine.
NOT_OURS = (GitFailure.UNREACHABLE, GitFailure.TIMEOUT, GitFailure.REFUSED, GitFailure.NO_SPACE, GitFailure.MISSING)


class FarRepositories:
    """See runner.tools.Repositories; those of a server, kept below `root` with large files in `lfs`.

    A server that is away is waited for, `patience` seconds. `limit`: bytes that all of it may take, 0 for no limit.
    """

    def __init__(
        self,
        servers: Servers,
        root: Path,
        lfs: Path,
        *,
        limit: int = 0,
        patience: float = PATIENCE,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._servers = servers
        self._root = root
        self._lfs = lfs
        self._open: dict[str, RunRepository] = {}
        self._sources = root.parent / "sources"
        self._past = root.parent / "past"  # of each source the repository of the run that ended last
        # The source of each run, when that is here; a server that was moved calls it anew.
        self._known: dict[str, str] = {}
        self._of: dict[str, str] = {}  # the source of each run that is here
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)  # by run, and by source
        self._transfer = Transfer(servers, patience, sleep)
        self._kept = Kept(limit)
        self._working: defaultdict[str, set[Lease]] = defaultdict(set)  # by run
        self._awaited: set[str] = set()  # runs of an earlier life; what they need is not known yet
        root.mkdir(parents=True, exist_ok=True)

    @property
    def kept_bytes(self) -> int:
        """Return how much is kept on this machine: repositories of runs, sources, large files."""
        return self._kept.bytes

    async def close(self) -> None:
        """Let go of the connections."""
        await self._transfer.close()

    async def fetch(self, assignment: Assignment) -> RunRepository:
        """See Repositories. Waits for a server that is away."""
        run, commit = assignment.lease.run, CommitId(assignment.input_commit)
        self._working[run].add(assignment.lease)
        self._of[run] = assignment.source
        async with self._turns[run]:
            repository = await self._transfer.patiently(lambda: self._fetch(assignment))
            await self._download(assignment, repository, commit)
        self._awaited.discard(run)
        await self._trim()
        return repository

    async def history(self, assignment: Assignment) -> tuple[str, ...]:
        """See Repositories. Once for each run what its source has is fetched. Waits for a server that is away."""
        if not assignment.history:
            return ()
        run, path = assignment.lease.run, self._sources / assignment.source
        async with self._turns[assignment.source]:
            if self._known.get(run) != assignment.source:
                self._kept.use(path, await asyncio.to_thread(_size, path), _sources_of(run))
                fetch = self._fetch_history
                await self._transfer.patiently(lambda: asyncio.to_thread(fetch, assignment, path))
                self._kept.use(path, await asyncio.to_thread(_size, path), _sources_of(run))
                self._known[run] = assignment.source
        return (str(path / "objects"),)

    async def push(self, assignment: Assignment, repository: RunRepository, commit: CommitId) -> None:
        """See Repositories. Waits for a server that is away."""
        await asyncio.to_thread(repository.write_attempt_ref, *_key(assignment), commit)
        before = await asyncio.to_thread(repository.large_files, CommitId(assignment.input_commit))
        after = await asyncio.to_thread(repository.large_files, commit)
        await self._upload(assignment, repository, after - before)
        await self._transfer.patiently(lambda: self._push(assignment, repository, commit))
        await asyncio.to_thread(self._grown, repository, assignment.lease.run)
        await self._trim()

    def release(self, lease: Lease) -> None:
        """See Repositories."""
        working = self._working[lease.run]
        working.discard(lease)
        if not working:
            del self._working[lease.run]
            self._kept.release(lease.run)
            if lease.run not in self._open:  # it was forgotten meanwhile
                self._known.pop(lease.run, None)
                self._of.pop(lease.run, None)
                self._kept.release(_sources_of(lease.run))

    async def forget(self, run: str) -> None:
        """See Repositories."""
        source = self._of.get(run)
        for known in (self._open, self._known, self._of, self._turns, self._working):
            known.pop(run, None)
        for holder in (run, _sources_of(run)):
            self._kept.release(holder)
        self._awaited.discard(run)
        if source:
            await asyncio.to_thread(self._remember, run, source)
        await asyncio.to_thread(self._kept.drop, self._root / run)
        await self._trim()

    def sweep(self, keep: Collection[str]) -> None:
        """Remove the repositories of all runs but some, and what killed programs left; find out how large the rest is."""
        for path in self._root.iterdir():
            if path.name not in keep:
                remove(path)
        places = (self._sources, self._past)
        for path in (*(path for place in places for path in place.glob(f"{GONE}*")), *self._lfs.glob("tmp/*")):
            remove(path)
        found = [(path.stat().st_mtime, path, size) for path, size in self._found()]
        self._kept.begin((path, size) for _, path, size in sorted(found))
        self._awaited = set(keep)
        if not keep:
            self._kept.trim()

    def _found(self) -> Iterator[tuple[Path, int]]:
        for path in self._root.iterdir():
            yield path, _size(path / "repository.git")
        for path in (*self._sources.glob("*"), *self._past.glob("*")):
            yield path, _size(path)
        for path in self._lfs.glob("objects/??/??/*"):
            yield path, path.stat().st_size

    async def _trim(self) -> None:
        """Make room, unless attempts of an earlier life of this program may need whatever is here."""
        if self._kept.too_large and not self._awaited:
            for path in await asyncio.to_thread(self._kept.trim):
                self._open.pop(path.name, None)  # it keeps the files open

    async def _fetch(self, assignment: Assignment) -> RunRepository:
        run = assignment.lease.run
        repository = await asyncio.to_thread(self._repository, run)
        if assignment.state != "launched":  # a result that is here was forgotten: the server was restored since
            await asyncio.to_thread(repository.refs.remove, attempt_ref(*_key(assignment)))
        commit = CommitId(assignment.input_commit)
        await self._transfer.commit(assignment, repository, commit, lambda: self._alike(assignment))
        await asyncio.to_thread(_tidy, repository)
        await asyncio.to_thread(self._grown, repository, run)
        return repository

    async def _download(self, assignment: Assignment, repository: RunRepository, commit: CommitId) -> None:
        def missing() -> list[Pointer]:
            made = repository.attempt_result(*_key(assignment))  # by an earlier life, which may not have pushed it
            for pointer in repository.large_files(made) if made else ():
                repository.lfs.use(pointer)
            return [pointer for pointer in repository.large_files(commit) if not repository.lfs.use(pointer)]

        await self._transfer.download(assignment, await asyncio.to_thread(missing), repository.lfs)

    async def _upload(self, assignment: Assignment, repository: RunRepository, new: Collection[Pointer]) -> None:
        await self._transfer.upload(assignment, new, repository.lfs)

    async def _push(self, assignment: Assignment, repository: RunRepository, commit: CommitId) -> None:
        ref = attempt_ref(*_key(assignment))
        where = (repository.path, assignment.repository)
        await asyncio.to_thread(self._git, assignment, *where, "push", f"{commit}:{ref}")
        if repository.refs.read(HAVE + commit) is None:
            await asyncio.to_thread(repository.refs.update, HAVE + commit, commit, old=None)

    def _repository(self, run: str) -> RunRepository:
        """Return the repository of a run, which is not taken away from here on."""
        place = self._root / run
        path = place / "repository.git"
        self._kept.use(place, _size(path), run)
        if run not in self._open or not path.exists():
            if path.exists() and not (path / "HEAD").exists():
                remove(path)  # an earlier life died while it made this
            for leftover in path.glob("objects/pack/tmp_*"):  # or while it got something
                leftover.unlink()
            made = RunRepository.open(path) if path.exists() else RunRepository.create(path, lfs=self._lfs)
            made.lfs = LfsStore(
                self._lfs, lambda pointer: self._kept.use(made.lfs.path(pointer.oid), pointer.size, run)
            )
            self._open[run] = made
        os.utime(place)
        return self._open[run]

    def _alike(self, assignment: Assignment) -> RunRepository | None:
        """Return the repository of another run of the same source, one that goes on or the one that ended last."""
        run, source = assignment.lease.run, assignment.source
        others = [other for other, its in tuple(self._of.items()) if its == source != "" and other != run]
        for repository in filter(None, map(self._open.get, others)):
            if repository.refs.list(HAVE):
                return repository
        path = self._past / source
        if not source or not path.exists():
            return None
        self._kept.use(path, _size(path), run)
        try:
            os.utime(path)
            return RunRepository.open(path)
        except (FlowError, OSError) as error:
            log.warning("past_unreadable", repository=str(path), error=str(error))
            return None

    def _remember(self, run: str, source: str) -> None:
        """Keep the repository of a run that ended for those like it."""
        path = self._past / source
        self._kept.drop(path)
        self._past.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):  # nothing was fetched
            (self._root / run / "repository.git").rename(path)
            self._kept.use(path, _size(path))

    def _grown(self, repository: RunRepository, run: str) -> None:
        self._kept.use(self._root / run, _size(repository.path), run)

    def _fetch_history(self, assignment: Assignment, path: Path) -> None:
        """Bring a bare repository up to date with the source of a run. What was there before stays: a step may look at it."""
        commit, known = assignment.environment["FLOW_COMMIT"], (path / "HEAD").exists()
        if not known:
            kind = "sha256" if len(commit) == SHA256_LENGTH else "sha1"
            path.mkdir(parents=True, exist_ok=True)
            git.run(None, "init", "--quiet", "--bare", f"--object-format={kind}", str(path))
        specs = (f"+{HEADS}*:{HEADS}*", f"+{TAGS}*:{TAGS}*", f"+{commit}:{HAVE}{commit}")
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
            config |= {"http.extraHeader": f"Authorization: Basic {proof}", **MOVING}
            words = (verb, "--quiet", *options, remote.url.text, *refspecs)
            git.run(path, *words, config=config, timeout=TRANSFER)


def _key(assignment: Assignment) -> tuple[str, int, int]:
    lease = assignment.lease
    return lease.step, lease.attempt, lease.epoch


def _sources_of(run: str) -> str:
    """Return who holds the source of a run: it is mounted into containers that wait for their step, too."""
    return f"{run}/source"


def _tidy(repository: RunRepository) -> None:
    """Put small packs together when there are many; a repository that is not tidy is only slower."""
    try:
        repository.tidy()
    except (FlowError, OSError) as error:
        log.warning("tidy_failed", repository=str(repository.path), error=str(error))


def _size(repository: Path) -> int:
    """Return how much the packs of a repository take, there are few of them; its part of those that it shares."""
    size = 0
    for path in repository.glob("objects/pack/pack-*"):
        with suppress(FileNotFoundError):  # put together with others just now
            found = path.stat()
            size += found.st_size // found.st_nlink
    return size
