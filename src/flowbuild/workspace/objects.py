"""Reads objects of a bare SHA-256 git repository without starting git.

Sources of the formats: git's `gitformat-pack` (pack and index version 2) and `gitrepository-layout` (loose objects,
`objects/info/alternates`). Everything read here may have been written by somebody hostile: every length and offset is
checked against the file, sizes are bounded, and a broken object is a WorkspaceError, never an IndexError.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self

from flowbuild.core.errors import WorkspaceError
from flowbuild.workspace.packfile import CorruptPack, PackFile, apply_delta

OID_BYTES = 32
MAX_OBJECT_BYTES = 1 << 30  # workspaces hold large files as LFS objects; what is bigger than this is an attack
MAX_DELTA_CHAIN = 4096  # git's own limit is 4095
MAX_ALTERNATES = 16

TREE_MODE = 0o040000
FILE_MODE = 0o100644
EXECUTABLE_MODE = 0o100755
SYMLINK_MODE = 0o120000

_TREE_LINE = re.compile(rb"([0-7]{1,6}) ([^\0]*)\0(.{%d})" % OID_BYTES, re.DOTALL)
_MODES = {b"40000": TREE_MODE, b"100644": FILE_MODE, b"100755": EXECUTABLE_MODE, b"120000": SYMLINK_MODE}
KIND_NAMES = {1: "commit", 2: "tree", 3: "blob", 4: "tag"}
_OFS_DELTA, _REF_DELTA = 6, 7


class MissingObject(WorkspaceError):
    """An object is neither in the repository nor in its alternates."""

    code = "missing_object"


class TreeEntry(NamedTuple):
    """One line of a git tree: `mode` as git writes it (0o40000, 0o100644, …), raw name, raw object id."""

    mode: int
    name: bytes
    oid: bytes


def parse_tree(data: bytes) -> list[TreeEntry]:
    """Split the content of a tree object; raises WorkspaceError when it is malformed."""
    found = _TREE_LINE.findall(data)
    # Nothing may be left between the lines.
    if sum([len(mode) + len(name) for mode, name, _ in found]) + len(found) * (OID_BYTES + 2) != len(data):
        raise WorkspaceError("A tree object is malformed, or cut short")
    return [TreeEntry(_MODES.get(mode) or int(mode, 8), name, oid) for mode, name, oid in found]


def _object_dirs(*git_dirs: Path) -> Iterator[Path]:
    """Yield the object directories and those of their alternates, nearest first, each once."""
    queue, seen = [git_dir / "objects" for git_dir in git_dirs], set[str]()
    while queue and len(seen) < MAX_ALTERNATES:
        directory = queue.pop(0)
        real = os.path.realpath(directory)
        if real in seen:
            continue
        seen.add(real)
        yield directory
        with contextlib.suppress(FileNotFoundError):
            lines = (directory / "info" / "alternates").read_bytes().splitlines()
            queue += [directory / os.fsdecode(line) for line in lines if line and not line.startswith(b"#")]


class ObjectDatabase:
    """Objects of the packs and loose files of a bare repository and of its alternates.

    Index files are mapped, not loaded: opening costs a few system calls per pack, a look-up a short bisection. Packs
    that appear later are found on the first miss of `read`, or after `refresh()`. Safe to share between threads.
    Objects of the repository `beside` it are read, too; nothing on the disk says so.
    """

    def __init__(self, git_dir: Path, beside: Path | None = None) -> None:
        self.git_dir = Path(git_dir)
        self._git_dirs = (self.git_dir, *([] if beside is None else [beside]))
        self._lock = threading.Lock()
        self._packs: list[PackFile] = []
        self._names: set[str] = set()
        self._loose: list[tuple[Path, frozenset[str]]] = []
        self.refresh()

    def refresh(self) -> None:
        """Look for packs and loose objects that were added since the last look."""
        with self._lock:
            fresh, loose = [], []
            for directory in _object_dirs(*self._git_dirs):
                try:
                    subdirectories = frozenset(path.name for path in directory.iterdir() if len(path.name) == 2)
                    # "pack-…": an index that is still being written has another name (`PackWriter`, git too)
                    indexes = [str(path) for path in (directory / "pack").glob("pack-*.idx")]
                except FileNotFoundError:
                    continue
                if subdirectories:
                    loose.append((directory, subdirectories))
                for index in indexes:
                    if index not in self._names:
                        with contextlib.suppress(FileNotFoundError):  # repacked away between listing and opening
                            fresh.append(PackFile(index, OID_BYTES))
                            self._names.add(index)
            self._loose = loose
            self._packs = fresh + self._packs  # the newest packs are the likeliest to be asked for

    def forget(self) -> None:
        """Give back the memory that many searches took; call it after a large piece of work."""
        for pack in self._packs:
            pack.forget()

    def close(self) -> None:
        """Unmap all packs; the database must not be used afterwards."""
        with self._lock:
            for pack in self._packs:
                pack.close()
            self._packs, self._names, self._loose = [], set(), []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __contains__(self, oid: bytes) -> bool:
        """Tell whether the object is present, as of the last refresh."""
        return self._find(oid) is not None or self._loose_path(oid) is not None

    def pack_of(self, oid: bytes) -> Path | None:
        """Return the pack that holds an object, as of the last refresh; None for a loose or missing one."""
        found = self._find(oid)
        return None if found is None else Path(found[0].path)

    def read(self, oid: bytes) -> tuple[str, bytes]:
        """Return kind (`commit`, `tree`, `blob`, `tag`) and content.

        Raises MissingObject when it is nowhere, WorkspaceError when it is damaged or larger than MAX_OBJECT_BYTES.
        """
        found = self._find(oid)
        if found is None:
            if (loose := self._read_loose(oid)) is not None:
                return loose
            self.refresh()
            found = self._find(oid)
            if found is None:
                if (loose := self._read_loose(oid)) is not None:
                    return loose
                raise MissingObject(
                    f"Object {oid.hex()} is not in {self.git_dir}",
                    hint="The run repository is incomplete: fetch it again, or restart the run from an earlier step.",
                )
        pack, offset = found
        try:
            stored = pack.stored(offset)
            return self._resolve(pack, offset) if stored is None else (KIND_NAMES[stored[0]], stored[1])
        except CorruptPack as error:
            raise WorkspaceError(f"Object {oid.hex()} in {pack.path} is damaged: {error}") from error

    def blob(self, oid: bytes) -> bytes:
        """Return the content of a blob; raises as `read`, and WorkspaceError when it is another kind of object."""
        return self._expect("blob", oid)

    def tree(self, oid: bytes) -> list[TreeEntry]:
        """Return the entries of a tree; raises as `read`, and WorkspaceError when it is not a well-formed tree."""
        return parse_tree(self._expect("tree", oid))

    def _expect(self, wanted: str, oid: bytes) -> bytes:
        kind, data = self.read(oid)
        if kind != wanted:
            raise WorkspaceError(f"Object {oid.hex()} is a {kind}, expected a {wanted}")
        return data

    def _find(self, oid: bytes) -> tuple[PackFile, int] | None:
        packs = self._packs
        for position, pack in enumerate(packs):
            offset = pack.find(oid)
            if offset is not None:
                if position > 2:  # neighbours in a tree usually share a pack: keep the one in use in front
                    self._packs = [pack, *packs[:position], *packs[position + 1 :]]
                return pack, offset
        return None

    def _resolve(self, pack: PackFile, offset: int) -> tuple[str, bytes]:
        """Undo a chain of deltas, as `git gc`, `git repack` and `git fetch` write them."""
        deltas: list[bytes] = []
        while True:
            kind, size, at = pack.header(offset)
            if size > MAX_OBJECT_BYTES or len(deltas) > MAX_DELTA_CHAIN:
                raise CorruptPack("too large, or its delta chain too long")
            if kind in KIND_NAMES:
                data = pack.inflate(at, size)
                break
            if kind == _OFS_DELTA:
                base, at = pack.base_offset(offset, at)
                deltas.append(pack.inflate(at, size))
                offset = base
            elif kind == _REF_DELTA:
                deltas.append(pack.inflate(at + OID_BYTES, size))
                found = self._find(pack.bytes_at(at, OID_BYTES))
                if found is None:
                    raise CorruptPack("the base of a delta is missing")
                pack, offset = found
            else:
                raise CorruptPack(f"unknown object type {kind}")
        for delta in reversed(deltas):
            data = apply_delta(data, delta, MAX_OBJECT_BYTES)
        return KIND_NAMES[kind], data

    def _loose_path(self, oid: bytes) -> Path | None:
        if not self._loose:
            return None
        name = oid.hex()
        for directory, present in self._loose:
            if name[:2] in present:
                path = directory / name[:2] / name[2:]
                if path.exists():
                    return path
        return None

    def _read_loose(self, oid: bytes) -> tuple[str, bytes] | None:
        path = self._loose_path(oid)
        if path is None:
            return None
        try:
            raw = path.read_bytes()
        except FileNotFoundError:  # packed and pruned in between: the caller refreshes
            return None
        try:
            head, nul, _ = zlib.decompressobj().decompress(raw, 64).partition(b"\0")
            kind, length = head.decode("ascii").split(" ")
            size = int(length)
            start = len(head) + 1
            if not nul or kind not in KIND_NAMES.values() or not 0 <= size <= MAX_OBJECT_BYTES:
                raise WorkspaceError(f"Loose object {path} has an impossible header")
            data = zlib.decompressobj().decompress(raw, start + size + 1)
        except (ValueError, zlib.error) as error:
            raise WorkspaceError(f"Loose object {path} is damaged: {error}") from error
        if len(data) != start + size:
            raise WorkspaceError(f"Loose object {path} is damaged: its length is not {size} bytes")
        return kind, data[start:]
