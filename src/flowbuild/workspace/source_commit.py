"""Where a run's first workspace comes from on a server: a commit of a mirror. Nothing is checked out for it.

What is stored is what a checkout would have made: line ends, `ident` and encodings as `.gitattributes` want them, and
the content of LFS objects. Submodules are empty directories. Every file is as old as the commit, so equal commits make
equal workspaces.
"""

from __future__ import annotations

import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from flowbuild.core.errors import WorkspaceError
from flowbuild.core.sources import is_ref_name
from flowbuild.workspace import git, source_git
from flowbuild.workspace.blobs import read_blobs
from flowbuild.workspace.lfs import LfsStore, Pointer, parse_pointer
from flowbuild.workspace.mirror import HEADS, TAGS, Change, Mirror
from flowbuild.workspace.objects import FILE_MODE, SYMLINK_MODE, TREE_MODE
from flowbuild.workspace.source import MAX_READ, MadeFile
from flowbuild.workspace.source_git import GitFile
from flowbuild.workspace.source_index import IndexEntry, encode_index

_SUBMODULE = 0o160000
_MAX_LINKS = 20
_LATEST = (1 << 32) - 2  # seconds since the epoch that an index can hold
_ATTRIBUTES = ("filter", "eol", "ident", "working-tree-encoding")
_REMOTE_HEADS = "%(objectname) refs/remotes/origin/%(refname:lstrip=2)%00%(*objectname)%00"
_TAGS = "%(objectname) %(refname)%00%(*objectname)%00"


class _Entry(NamedTuple):
    mode: int
    oid: str


class CommitSource:
    """The files of a commit of a mirror. `branch` and `tag` are how it was asked for; both may be empty."""

    directory = None
    dirty = False

    def __init__(self, mirror: Mirror, commit: str, *, branch: str = "", tag: str = "") -> None:
        self._mirror = mirror
        self._git_dir = mirror.path
        self.commit = mirror.commit_of(commit)
        self.branch = branch
        self.tag = tag

    def since(self, old: str, limit: int) -> list[Change]:
        """Return the commits that led here from another one, the newest first. Raises NotFound, InvalidRequest."""
        return self._mirror.since(old, self.commit, limit)

    @property
    def place(self) -> str:
        """Where the source is, as the row of a run says it."""
        return str(self._git_dir)

    def inside(self, file: str) -> str:
        """Return the path in the tree of a file; it is relative to the top."""
        return os.path.normpath(file)

    def paths(self) -> Iterator[bytes]:
        """Yield the paths of the files and symbolic links, sorted."""
        yield from (path for path, entry in self._entries.items() if entry.mode != _SUBMODULE)

    def read(self, path: str) -> bytes | None:
        """Return a file of the tree (symbolic links inside the tree followed), or None. At most MAX_READ + 1 bytes."""
        real = self._follow(os.fsencode(path))
        entry = None if real is None else self._entries.get(real)
        if entry is None or entry.mode in {_SUBMODULE, SYMLINK_MODE}:
            return None
        return b"".join(git.stream(self._git_dir, "cat-file", "blob", entry.oid, limit=MAX_READ + 1))

    def missing_large(self) -> frozenset[Pointer]:
        """Return the LFS objects of the commit that must be fetched before `made` can yield them."""
        return frozenset(pointer for pointer in self._pointers.values() if not self._large.has(pointer))

    def made(self) -> Iterator[MadeFile]:
        """Yield the files, and a small `.git` in which git works as in a checkout. Raises WorkspaceError."""
        time_ns = self._seconds * 10**9
        yield MadeFile(b"", TREE_MODE, time_ns, None)
        listed = []
        for path, content in self._contents():
            mode, oid = self._entries[path]
            listed.append(IndexEntry(path, mode, oid, _size(content)))
            yield MadeFile(path, TREE_MODE if content is None else mode, time_ns, content)
        for path, file in self._git_directory(listed).items():
            yield MadeFile(b".git/" + path, TREE_MODE if file.data is None else FILE_MODE, file.mtime_ns, file.data)

    @cached_property
    def _entries(self) -> Mapping[bytes, _Entry]:
        found = {}
        for line in git.run(self._git_dir, "ls-tree", "-r", "-z", "--full-tree", self.commit).stdout.split(b"\0"):
            head, _, path = line.partition(b"\t")
            if path:
                mode, _, oid = head.split(b" ")
                found[path] = _Entry(int(mode, 8), oid.decode())
        return dict(sorted(found.items()))

    @cached_property
    def _seconds(self) -> int:
        done = git.run(self._git_dir, "show", "--no-patch", "--format=%ct", "--end-of-options", self.commit)
        return min(max(int(done.stdout), 0), _LATEST)

    def _follow(self, path: bytes) -> bytes | None:
        """Return where a path leads inside the tree; None when it leads out of it or in a circle."""
        todo, done, links = path.split(b"/")[::-1], list[bytes](), 0
        while todo:
            name = todo.pop()
            if name in {b"", b"."}:
                continue
            if name == b"..":
                if not done:
                    return None
                done.pop()
                continue
            entry = self._entries.get(b"/".join([*done, name]))
            if entry is None or entry.mode != SYMLINK_MODE:
                done.append(name)
                continue
            target = git.run(self._git_dir, "cat-file", "blob", entry.oid).stdout
            links += 1
            if target.startswith(b"/") or links > _MAX_LINKS:
                return None
            todo += target.split(b"/")[::-1]
        return b"/".join(done)

    def _contents(self) -> Iterator[tuple[bytes, bytes | Path | None]]:
        """Yield every path with its content; None for a submodule. A file is gone when the next one is asked for."""
        with tempfile.TemporaryDirectory(prefix="flow-source-") as scratch:
            yield from self._converted_files(Path(scratch))
            plain = []
            for path, entry in self._entries.items():
                if entry.mode == _SUBMODULE:
                    yield path, None
                elif path in self._pointers:
                    yield path, self._large_file(self._pointers[path])
                elif path not in self._converted:
                    plain.append(path)
            blobs = read_blobs(self._git_dir, [self._entries[path].oid for path in plain], Path(scratch))
            yield from zip(plain, blobs, strict=True)

    def _large_file(self, pointer: Pointer) -> Path:
        if not self._large.has(pointer):
            hint = "fetch the project again; the remote may have lost it"
            raise WorkspaceError(f"the large file {pointer.oid} of commit {self.commit} was not fetched", hint=hint)
        return self._large.path(pointer.oid)

    def _converted_files(self, scratch: Path) -> Iterator[tuple[bytes, Path]]:
        """Let git write the files that differ from what is in the repository."""
        if not self._converted:
            return
        with self._index() as environment:
            tree = scratch / "tree"
            tree.mkdir()
            names = b"".join(path + b"\0" for path in self._converted)
            places = {**environment, "GIT_WORK_TREE": str(tree)}
            git.run(self._git_dir, "checkout-index", "-z", "--stdin", stdin=names, env=places)
        for path in self._converted:
            yield path, tree / os.fsdecode(path)

    # What .gitattributes say. Without any, nothing is asked.

    @cached_property
    def _attributes(self) -> Mapping[bytes, Mapping[str, str]]:
        """Return the attributes that matter of each regular file that has some."""
        if not any(path.rpartition(b"/")[2] == b".gitattributes" for path in self._entries):
            return {}
        files = [path for path, entry in self._entries.items() if entry.mode not in {_SUBMODULE, SYMLINK_MODE}]
        with self._index() as environment:
            command = ("check-attr", "--cached", "--stdin", "-z", *_ATTRIBUTES)
            done = git.run(self._git_dir, *command, stdin=b"".join(path + b"\0" for path in files), env=environment)
        words = done.stdout.split(b"\0")
        found: defaultdict[bytes, dict[str, str]] = defaultdict(dict)
        for path, name, value in zip(words[0::3], words[1::3], words[2::3], strict=False):
            if value not in {b"unspecified", b"unset"}:
                found[path][name.decode()] = value.decode("utf-8", "replace")
        return found

    @cached_property
    def _converted(self) -> frozenset[bytes]:
        """Return the files that a checkout on Linux makes different from what is in the repository."""
        return frozenset(path for path, values in self._attributes.items() if _converts(values))

    @cached_property
    def _pointers(self) -> Mapping[bytes, Pointer]:
        """Return the LFS objects of the commit by path: of files whose filter is `lfs` and that are pointers."""
        paths = [path for path, values in self._attributes.items() if values.get("filter") == "lfs"]
        with tempfile.TemporaryDirectory(prefix="flow-source-") as scratch:
            blobs = list(read_blobs(self._git_dir, [self._entries[path].oid for path in paths], Path(scratch)))
        pointers = {
            path: parse_pointer(blob) for path, blob in zip(paths, blobs, strict=True) if isinstance(blob, bytes)
        }
        return {path: pointer for path, pointer in pointers.items() if pointer is not None and pointer.size}

    @cached_property
    def _large(self) -> LfsStore:
        return LfsStore(self._git_dir / "lfs")

    @contextmanager
    def _index(self) -> Iterator[dict[str, str]]:
        """Give the environment in which git sees the commit as its index."""
        with tempfile.TemporaryDirectory(prefix="flow-source-") as scratch:
            environment = {"GIT_INDEX_FILE": f"{scratch}/index"}
            git.run(self._git_dir, "read-tree", self.commit, env=environment)
            yield environment

    def _git_directory(self, listed: Sequence[IndexEntry]) -> dict[bytes, GitFile]:
        """Return a `.git` as after a clone: branches of the remote, tags, one branch of its own, an index."""
        head, own = self.commit.encode(), b""
        if is_ref_name(self.branch):  # that of a fork is none: it has the owner before it
            name = HEADS.encode() + os.fsencode(self.branch)
            head, own = b"ref: " + name, b"%s %s\0\0\n" % (head, name)
        heads = git.run(self._git_dir, "for-each-ref", f"--format={_REMOTE_HEADS}", HEADS).stdout
        tags = git.run(self._git_dir, "for-each-ref", f"--format={_TAGS}", TAGS).stdout
        sha256 = len(self.commit) == 64
        files = source_git.directory(
            git_dir=self._git_dir,
            common_dir=self._git_dir,
            head=head,
            refs=own + heads + tags,
            object_format="sha256" if sha256 else "sha1",
            object_directories=len(source_git.object_directories(self._git_dir / "objects")),
        )
        # Younger than what it lists: else git takes files that may have changed within the same second for "racy".
        index = encode_index(listed, self._seconds, sha256=sha256)
        return files | {b"index": GitFile(index, (self._seconds + 1) * 10**9)}


def _converts(attributes: Mapping[str, str]) -> bool:
    return attributes.get("eol") == "crlf" or attributes.get("ident") == "set" or "working-tree-encoding" in attributes


def _size(content: bytes | Path | None) -> int:
    if content is None:
        return 0
    return len(content) if isinstance(content, bytes) else content.stat().st_size
