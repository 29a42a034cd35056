"""Where a run's first workspace comes from: a directory inside a git work tree, as it is on disk.

Tracked files and untracked ones that are not ignored, whatever their state. Nothing of the user's is touched: git is
only asked questions, without optional locks, so not even the index is refreshed. The user's own configuration applies
(excludes, safe.directory), but no file system monitor of theirs is started.
"""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol

from flowbuild.core.errors import InvalidRequest, WorkspaceError
from flowbuild.workspace import source_git
from flowbuild.workspace.objects import FILE_MODE, TREE_MODE

SOURCE_MOUNT = source_git.MOUNT
MAX_READ = 32 << 20  # bytes; callers refuse files that are this long
# Set by git for its hooks and aliases: they would point us at another repository than the directory does.
_INHERITED = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_PREFIX",
    "GIT_NAMESPACE",
    "GIT_SHALLOW_FILE",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_CEILING_DIRECTORIES",
    "GIT_EXTERNAL_DIFF",
    "GIT_TRACE",
    "GIT_LITERAL_PATHSPECS",
    "GIT_GLOB_PATHSPECS",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_ICASE_PATHSPECS",
]


def git_environment() -> dict[str, str]:
    """Return the environment that lets git in a step work in a workspace that another user owns."""
    return source_git.environment()


def is_mirror(place: str) -> bool:
    """Whether there is a bare repository at a place."""
    return (Path(place) / "objects").is_dir() and not (Path(place) / ".git").exists()


def source_objects(place: str) -> list[Path]:
    """Return the object directories of the source at a place (see `Source`); none when it is gone."""
    if is_mirror(place):
        return source_git.object_directories(Path(place) / "objects")
    try:
        return WorkingTree(Path(place)).object_directories()
    except InvalidRequest:
        return []


class MadeFile(NamedTuple):
    """A file that is not on disk where it belongs: path in the workspace, mode as in a git tree, content.

    The content of a symbolic link is its target, that of a directory None; a path is where it can be read now.
    """

    path: bytes
    mode: int
    mtime_ns: int
    content: bytes | Path | None


class Source(Protocol):
    """What a workspace can be started from, and where its pipeline is read."""

    @property
    def directory(self) -> Path | None:
        """The top of the tree; None when its files are not on disk."""
        ...

    @property
    def place(self) -> str:
        """Where the source is, for people and for `source_objects`."""
        ...

    @property
    def commit(self) -> str:
        """The commit, in hexadecimal; empty when there is none."""
        ...

    @property
    def branch(self) -> str:
        """Its branch, or empty."""
        ...

    @property
    def tag(self) -> str:
        """A tag of the commit, or empty."""
        ...

    @property
    def dirty(self) -> bool:
        """Whether the files differ from the commit."""
        ...

    def inside(self, file: str) -> str:
        """Return the path in the tree of a file that is named as seen from where one stands."""
        ...

    def paths(self) -> Iterator[bytes]:
        """Yield the paths of the files and symbolic links that belong to it, sorted."""
        ...

    def read(self, path: str) -> bytes | None:
        """Return a file of the tree, symbolic links inside of it followed, or None. At most MAX_READ + 1 bytes."""
        ...

    def made(self) -> Iterator[MadeFile]:
        """Yield what is not on disk: a small `.git`, and where there is no `directory` all files."""
        ...


class WorkingTree:
    """The work tree of a git repository that `directory` lies in.

    Raises InvalidRequest when there is none. Everything is read when it is first asked for.
    """

    def __init__(self, directory: Path) -> None:
        if not directory.is_dir():
            raise InvalidRequest(f"{directory} is not a directory")
        self._start = directory
        self._top, self._git_dir, self._common_dir = self._places(directory)

    def _places(self, directory: Path) -> tuple[Path, Path, Path]:
        """Return the top, git's directory of this work tree and the one that all work trees share."""
        command = ("rev-parse", "--path-format=absolute")
        wanted = ("--show-toplevel", "--absolute-git-dir", "--git-common-dir")
        lines = self._query(*command, *wanted, cwd=directory).split(b"\n")
        if len(lines) != len(wanted):  # a path has a line end in it
            lines = [self._query(*command, one, cwd=directory) for one in wanted]
        top, git_dir, common_dir = (Path(os.fsdecode(line)) for line in lines)
        return top, git_dir, common_dir

    @property
    def directory(self) -> Path:
        """The top of the work tree."""
        return self._top

    @property
    def place(self) -> str:
        """The top of the work tree, as the row of a run says it."""
        return str(self._top)

    def inside(self, file: str) -> str:
        """Return the path in the tree of a file that is named as seen from the directory."""
        full = os.path.normpath(Path(os.path.realpath(self._start), file))
        return os.path.relpath(full, self._top)

    @cached_property
    def commit(self) -> str:
        """The commit that is checked out, in hexadecimal; empty before the first one."""
        return self._query("rev-parse", "--verify", "--quiet", "HEAD^{commit}", accept=(0, 1, 128)).decode()

    @cached_property
    def branch(self) -> str:
        """The branch that is checked out; empty when HEAD is detached."""
        return _text(self._query("symbolic-ref", "--quiet", "--short", "HEAD", accept=(0, 1, 128)))

    @cached_property
    def tag(self) -> str:
        """A tag of the commit that is checked out; empty when it has none."""
        if not self.commit:
            return ""
        return _text(self._query("describe", "--tags", "--exact-match", "HEAD", accept=(0, 128)))

    @cached_property
    def dirty(self) -> bool:
        """Whether the work tree differs from the commit: changed, added, removed or untracked files."""
        status = self._query("status", "--porcelain", "-z", "--untracked-files=normal", "--no-renames")
        return bool(status)

    def paths(self) -> Iterator[bytes]:
        """Yield the paths of all files that belong to the tree, sorted; those of submodules included.

        A path that is gone, or that lies behind a symbolic link now, does not belong to it.
        """
        yield from self._paths

    @cached_property
    def _paths(self) -> list[bytes]:
        real = _RealDirectories(os.fsencode(self._top))
        return sorted(path for path in self._listed(b"") if real.holds(path))

    def _listed(self, prefix: bytes) -> set[bytes]:
        """Return the paths that git names in the repository at `prefix`, with those of repositories inside it."""
        cwd = self._top / os.fsdecode(prefix)
        found: set[bytes] = set()
        inner: set[bytes] = set()
        for line in self._query("ls-files", "-z", "--stage", cwd=cwd).split(b"\0"):
            head, _, path = line.partition(b"\t")
            if path:
                (inner if head.startswith(b"160000") else found).add(path)
        for path in self._query("ls-files", "-z", "--others", "--exclude-standard", cwd=cwd).split(b"\0"):
            if path.endswith(b"/"):  # a repository that is not a submodule
                inner.add(path.rstrip(b"/"))
            elif path:
                found.add(path)
        found = {prefix + path for path in found}
        for path in inner:
            if os.path.lexists(cwd / os.fsdecode(path) / ".git"):
                found |= self._listed(prefix + path + b"/")
        return found

    def read(self, path: str) -> bytes | None:
        """Return a file of the tree (path relative to the top, symbolic links inside the tree followed), or None.

        None also when the file is ignored or outside the tree. At most MAX_READ + 1 bytes are read.
        """
        if os.fsencode(path) not in self._path_set:
            return None
        file = Path(os.path.realpath(self._top / path))  # `resolve` raises for a link to itself
        if not file.is_relative_to(os.path.realpath(self._top)) or not file.is_file():
            return None
        with file.open("rb") as opened:
            return opened.read(MAX_READ + 1)

    @cached_property
    def _path_set(self) -> frozenset[bytes]:
        return frozenset(self._paths)

    def made(self) -> Iterator[MadeFile]:
        """Yield a `.git` for the workspace whose objects are the user's own, see `source_git`."""
        for path, file in self.git_directory().items():
            mode = TREE_MODE if file.data is None else FILE_MODE
            yield MadeFile(b".git/" + path, mode, file.mtime_ns, file.data)

    def git_directory(self) -> Mapping[bytes, source_git.GitFile]:
        """Return the files and directories of that `.git` by path."""
        refs = self._query("for-each-ref", "--format=%(objectname) %(refname)%00%(*objectname)%00")
        head = b"ref: refs/heads/" + os.fsencode(self.branch) if self.branch else self.commit.encode()
        return source_git.directory(
            git_dir=self._git_dir,
            common_dir=self._common_dir,
            head=head,
            refs=refs,
            object_format=_text(self._query("rev-parse", "--show-object-format")),
            object_directories=len(self.object_directories()),
        )

    def object_directories(self) -> list[Path]:
        """Return the user's object directories; the runner mounts number n read-only at `/.flow/source/<n>`."""
        return source_git.object_directories(self._common_dir / "objects")

    def _query(self, *args: str, cwd: Path | None = None, accept: tuple[int, ...] = (0,)) -> bytes:
        """Ask git about the repository; the answer without its last newline, empty when it has none to give."""
        env = {name: value for name, value in os.environ.items() if name not in _INHERITED}
        env |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", "GIT_PAGER": "cat"}
        command = ["git", "-c", "core.fsmonitor=false", *args]
        try:
            done = subprocess.run(
                command, cwd=cwd or self._top, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False
            )
        except FileNotFoundError as error:
            raise WorkspaceError("git is not installed", hint="install the package git") from error
        if done.returncode not in accept:
            raise _refused(self._start, done.stderr.decode("utf-8", "replace").strip())
        return done.stdout.removesuffix(b"\n") if done.returncode == 0 else b""


def _refused(directory: Path, words: str) -> InvalidRequest:
    with suppress(OSError):  # the current directory may be gone
        directory = directory.absolute()
    if "must be run in a work tree" in words:
        hint = "name a directory of a work tree: `git worktree add DIR` makes one of a bare repository"
        return InvalidRequest(f"{directory} belongs to a bare git repository: there are no files to run", hint=hint)
    if "not a git repository" in words:
        hint = "run it inside a repository, or make this directory one: git init"
        return InvalidRequest(f"{directory} is not inside a git repository", hint=hint)
    if "dubious ownership" in words:
        hint = f"if you trust it: git config --global --add safe.directory {directory}"
        return InvalidRequest(f"the repository of {directory} belongs to another user", hint=hint)
    return InvalidRequest(f"git cannot read the repository of {directory}: {words}")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


class _RealDirectories:
    """Tells which paths name a file or link below `top` without passing through a symbolic link."""

    def __init__(self, top: bytes) -> None:
        self._top = top
        self._known: dict[bytes, bool] = {b"": True}

    def holds(self, path: bytes) -> bool:
        if not self._is_directory(path.rpartition(b"/")[0]):
            return False
        try:
            mode = os.lstat(self._top + b"/" + path).st_mode
        except OSError:
            return False
        return stat.S_ISREG(mode) or stat.S_ISLNK(mode)

    def _is_directory(self, path: bytes) -> bool:
        known = self._known.get(path)
        if known is None:
            known = self._is_directory(path.rpartition(b"/")[0])
            if known:
                try:
                    known = stat.S_ISDIR(os.lstat(self._top + b"/" + path).st_mode)
                except OSError:
                    known = False
            self._known[path] = known
        return known
