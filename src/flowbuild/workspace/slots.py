"""Working directories of one runner: made for an attempt, stored after it, kept warm for the next step of the run.

    root/<run>/<attempt>/{workspace,variables,…}   in use, the runner chooses the name
    root/<run>/.warm/<id>                          a workspace nobody uses, content known
    root/.trash/<id>                               on its way out

A warm directory is moved into place, not copied, so the next step on the same machine pays for what differs between
its input and what is there: nothing at all in a chain of steps.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import threading
import time
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from flowbuild.core.errors import InvalidRequest, WorkspaceError
from flowbuild.core.ids import CommitId
from flowbuild.workspace import commits, diff, dirs, layout, variables
from flowbuild.workspace.commits import Commit
from flowbuild.workspace.layout import Layout, TreeKeeper
from flowbuild.workspace.materialise import materialise, update
from flowbuild.workspace.objects import MissingObject
from flowbuild.workspace.repo import RunRepository
from flowbuild.workspace.snapshot import Dropped, Options, snapshot
from flowbuild.workspace.statcache import StatCache

_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_WARM, _TRASH = ".warm", ".trash"
_NEAR = 10_000  # differing paths from which it does not matter any more which warm directory is taken


class WorkspaceGone(WorkspaceError):
    """The directory that containers work in is not there any more: what they do now comes to nothing."""

    code = "workspace_gone"


@dataclass(slots=True)
class _Content:
    """What a workspace directory holds, as far as we know."""

    tree: bytes
    meta: bytes
    cache: StatCache


@dataclass(slots=True)
class _Warm:
    path: Path
    content: _Content


@dataclass(slots=True)
class Slot:
    """The directories of one attempt. `warm`: they were there already; `lost`: what could not be restored.

    What an attempt that is not `trusted` leaves loses set-user-ID, set-group-ID and capabilities.
    """

    path: Path
    workspace: Path
    variables: Path
    commit: CommitId
    run: str
    warm: bool
    lost: tuple[str, ...] = ()
    trusted: bool = True
    _content: _Content | None = field(default=None, repr=False)  # None: somebody may have changed it since


@dataclass(frozen=True, slots=True)
class Committed:
    """What an attempt left. `changed` counts A, M and D against its input; `bytes` is what the repository grew by.

    `dropped` has a line for each thing that is not carried on: devices, sockets, what is not a variable.
    """

    commit: CommitId
    variables: Mapping[str, str]
    dropped: tuple[str, ...]
    changed: Mapping[str, int]
    hashed: int
    bytes: int


class Slots:
    """The working directories under `root`, for one runner in one process. Safe for several threads."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._warm: dict[str, list[_Warm]] = {}
        self._dropped: set[str] = set()
        self._stuck = False
        root.mkdir(parents=True, exist_ok=True)

    def acquire(self, repo: RunRepository, run: str, commit: CommitId, at: Path, *, trusted: bool = True) -> Slot:
        """Make `at/workspace` and `at/variables` hold a commit exactly. All attempts of a run are trusted, or none is.

        `at` must be on the file system of `root`. It may exist with both directories empty, because containers refer to
        them already; anything else there is a leftover and is removed. Raises WorkspaceError.
        """
        _check_run(run)
        wanted = repo.layout(commit)
        workspace = at / "workspace"
        at.mkdir(parents=True, exist_ok=True)
        self._make_room(workspace)
        warm = self._take(repo, run, wanted)
        slot = Slot(at, workspace, at / "variables", commit, run, warm is not None, trusted=trusted)
        if warm is not None:
            warm.path.rename(workspace)
            slot.lost = self._adapt(repo, warm.content, wanted, slot)
            slot._content = warm.content  # noqa: SLF001 - the slot is made here
        else:
            cache = StatCache()
            has = wanted.workspace, wanted.meta
            slot.lost = _lines(materialise(repo.db, *has, workspace, lfs=repo.lfs, cache=cache, options=_options(slot)))
            slot._content = _Content(*has, cache)  # noqa: SLF001
        variables.write_directory(slot.variables, wanted.variables)
        return slot

    def adopt(self, repo: RunRepository, run: str, commit: CommitId, at: Path, *, trusted: bool = True) -> Slot:
        """Take over the directories of an attempt that another program began and whose containers still run.

        Nothing is touched. Raises WorkspaceError when they are not there.
        """
        _check_run(run)
        repo.layout(commit)
        if not (at / "workspace").is_dir():
            raise WorkspaceGone(f"the workspace {at / 'workspace'} is gone")
        return Slot(at, at / "workspace", at / "variables", commit, run, warm=False, trusted=trusted)

    def commit(self, slot: Slot, repo: RunRepository, *, message: str, trailers: Mapping[str, str]) -> Committed:
        """Store what is in the slot as a child of its input; nobody may write there meanwhile.

        May be called again. Raises WorkspaceError, StepFailed when the variables are too many.
        """
        before = repo.layout(slot.commit)
        values = variables.read_directory(slot.variables)
        content = slot._content or _Content(b"", b"", StatCache())  # noqa: SLF001 - Slots owns its slots
        slot._content = None  # noqa: SLF001 - unknown until this has worked
        with TreeKeeper(repo.path, repo.db) as writer:
            options = _options(slot)
            stored = snapshot(slot.workspace, writer, lfs=repo.lfs, cache=content.cache, options=options)
            after = Layout(stored.tree, stored.meta, values.values, tuple(sorted(stored.large)), before.record)
            differences = layout.differences(before.workspace, stored.tree, writer.tree)
            changed = Counter(diff.status(one).replace("T", "M") for one in differences)
            root = layout.write(writer, after)
            commit = Commit(root.hex(), (slot.commit,), int(time.time()), message, trailers)
            oid = CommitId(writer.add("commit", commits.encode(commit)).hex())
            pack = writer.close()
        content.tree, content.meta = stored.tree, stored.meta
        slot._content = content  # noqa: SLF001
        size = pack.stat().st_size if pack else 0
        dropped = (*_lines(stored.dropped), *values.refused)
        return Committed(oid, values.values, dropped, dict(changed), stored.hashed, size)

    def stored(self, slot: Slot, repo: RunRepository, commit: CommitId) -> None:
        """Take note that another process stored what is in the slot, as this commit."""
        found = repo.layout(commit)
        slot._content = _Content(found.workspace, found.meta, StatCache())  # noqa: SLF001

    def release(self, slot: Slot, *, reuse: bool = True) -> None:
        """Give a slot back when its containers are gone: its workspace becomes warm if its content is known.

        May take long (removal of files); a slot that is gone already is no error, nor one that the step has given to
        another user, who alone may move it.
        """
        content, slot._content = slot._content, None  # noqa: SLF001
        with self._lock:
            if reuse and content is not None and slot.run not in self._dropped and slot.workspace.is_dir():
                warm = self._root / slot.run / _WARM / secrets.token_hex(8)
                warm.parent.mkdir(parents=True, exist_ok=True)
                with contextlib.suppress(PermissionError):
                    slot.workspace.rename(warm)
                    self._warm.setdefault(slot.run, []).append(_Warm(warm, content))
        self._discard(slot.path)

    def drop_run(self, run: str) -> None:
        """Remove everything of a run; slots of it that are released later are not kept."""
        _check_run(run)
        with self._lock:
            self._dropped.add(run)
            self._warm.pop(run, None)
        self._discard(self._root / run)

    def sweep(self, keep_runs: Collection[str]) -> None:
        """Remove what killed programs left: all runs but `keep_runs`. Nothing that does not look like ours is touched."""
        for path in self._root.iterdir():
            if _RUN.fullmatch(path.name) and path.name not in keep_runs and not path.is_symlink():
                self._discard(path)
        trash = self._root / _TRASH
        if trash.is_dir() and not trash.is_symlink():
            for path in trash.iterdir():
                self._remove(path)

    @property
    def root(self) -> Path:
        """Return where the directories are."""
        return self._root

    def stuck(self) -> Path | None:
        """Return the directory of what is to be removed, when this user was not allowed to remove all of it; once."""
        if not self._stuck:
            return None
        self._stuck = False
        return self._root / _TRASH

    def _take(self, repo: RunRepository, run: str, wanted: Layout) -> _Warm | None:
        """Take the warm directory of the run that differs least from what is wanted; the latest of several."""
        with self._lock:
            candidates = self._warm.get(run, [])
            if not candidates:
                return None
            best = min(reversed(candidates), key=lambda warm: _distance(repo, warm.content, wanted))
            candidates.remove(best)
            return best

    def _adapt(self, repo: RunRepository, content: _Content, wanted: Layout, slot: Slot) -> tuple[str, ...]:
        """Turn a warm directory into what is wanted, or make it anew when it is not what it should be."""
        if (content.tree, content.meta) == (wanted.workspace, wanted.meta):
            return ()
        new, to, options = (wanted.workspace, wanted.meta), slot.workspace, _options(slot)
        try:
            old = content.tree, content.meta
            lost = update(repo.db, *old, *new, to, lfs=repo.lfs, cache=content.cache, options=options)
        except WorkspaceError:
            self._discard(to)
            content.cache = StatCache()
            lost = materialise(repo.db, *new, to, lfs=repo.lfs, cache=content.cache, options=options)
        content.tree, content.meta = new
        return _lines(lost)

    def _make_room(self, workspace: Path) -> None:
        """Let nothing but an absent or empty directory stand where a workspace is to be."""
        try:
            workspace.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            self._discard(workspace)

    def _discard(self, path: Path) -> None:
        """Move something out of the way at once, then remove it."""
        trash = self._root / _TRASH
        trash.mkdir(exist_ok=True)
        target = trash / secrets.token_hex(8)
        with contextlib.suppress(FileNotFoundError):
            path.rename(target)
            self._remove(target)

    def _remove(self, path: Path) -> None:
        """Remove a file or a directory with all it holds; what cannot be removed now is left to the next sweep."""
        try:
            remove(path)
        except PermissionError:
            self._stuck = True
        except OSError:
            pass


def _distance(repo: RunRepository, content: _Content, wanted: Layout) -> int:
    """Return how much differs, roughly; 0 only for the same content and metadata."""
    if (content.tree, content.meta) == (wanted.workspace, wanted.meta):
        return 0
    differences = layout.differences(content.tree, wanted.workspace, repo.db.tree)
    try:
        return 1 + sum(1 for _ in islice(differences, _NEAR))
    except MissingObject:  # the repository was fetched anew since, with what is wanted alone
        return 1 + _NEAR


def _lines(dropped: tuple[Dropped, ...]) -> tuple[str, ...]:
    return tuple(f"{one.path.decode('utf-8', 'backslashreplace')}: {one.why}" for one in dropped)


def _options(slot: Slot) -> Options:
    return Options(setid=slot.trusted)


def _check_run(run: str) -> None:
    if not _RUN.fullmatch(run):
        raise InvalidRequest(f"not the id of a run: {run!r}")


def remove(path: Path) -> None:
    """Remove a file or a directory with all it holds, following no link. Raises OSError."""
    if path.is_dir() and not path.is_symlink():
        path.chmod(0o700)
        parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            dirs.remove(parent, os.fsencode(path.name))
        finally:
            os.close(parent)
    else:
        path.unlink(missing_ok=True)
