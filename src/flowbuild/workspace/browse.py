"""Looks into the workspace of a commit without writing it to disk: directories, single files, all of it as a zip.

Paths in questions and answers are the raw names as a step left them, joined by "/"; no path leads out of the tree, and
symbolic links are told, never followed.
"""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from flowbuild.core.errors import InvalidRequest, NotFound
from flowbuild.core.ids import CommitId
from flowbuild.workspace import layout, sidecar
from flowbuild.workspace.escape import escape, unescape
from flowbuild.workspace.lfs import parse_pointer
from flowbuild.workspace.objects import SYMLINK_MODE, TREE_MODE, TreeEntry
from flowbuild.workspace.repo import RunRepository

PIECE = 1 << 18  # bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """Something in a directory. `kind`: file, directory, link; size in bytes (None: a directory), mtime in nanoseconds.

    `oid` names its content: equal ids are equal contents.
    """

    name: bytes
    kind: str
    size: int | None
    mode: int
    mtime_ns: int
    oid: str


@dataclass(frozen=True, slots=True)
class Content:
    """What a file holds, or where a link points. `path`: where large content lies; otherwise `data` has all of it."""

    entry: Entry
    size: int
    data: bytes = b""
    path: Path | None = None

    def pieces(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the content from byte `start` up to `stop`."""
        stop = self.size if stop is None else min(stop, self.size)
        if self.path is None:
            yield self.data[start:stop]
            return
        with self.path.open("rb") as file:
            file.seek(start)
            while start < stop and (piece := file.read(min(PIECE, stop - start))):
                start += len(piece)
                yield piece


class Browser:
    """One commit of a run repository."""

    def __init__(self, repository: RunRepository, commit: CommitId) -> None:
        self._repository = repository
        self._layout = repository.layout(commit)

    @property
    def tree(self) -> str:
        """The id of the whole workspace: equal ids are equal contents."""
        return self._layout.workspace.hex()

    @property
    def variables(self) -> dict[str, str]:
        """The variables at the commit."""
        return dict(self._layout.variables)

    def directory(self, path: bytes) -> list[Entry]:
        """Return what is in a directory (b"": the workspace), directories first, by name. Raises NotFound."""
        names = names_of(path)
        oid, metas = self._find(names)
        if oid is None:
            raise NotFound(f"there is no directory {_text(path)!r} in the workspace")
        found = [self._entry(entry, metas) for entry in self._repository.db.tree(oid)]
        return sorted(found, key=lambda entry: (entry.kind != "directory", entry.name))

    def content(self, path: bytes) -> Content:
        """Return a file or link. Raises NotFound, also for a directory."""
        names = names_of(path)
        oid, metas = self._find(names[:-1]) if names else (None, {})
        entries = self._repository.db.tree(oid) if oid is not None else []
        found = next((entry for entry in entries if names and entry.name == escape(names[-1])), None)
        if found is None or found.mode == TREE_MODE:
            raise NotFound(f"there is no file {_text(path)!r} in the workspace")
        entry = self._entry(found, metas)
        data = self._repository.db.blob(found.oid)
        pointer = parse_pointer(data) if entry.kind == "file" else None
        if pointer is None:
            return Content(entry, len(data), data)
        return Content(entry, pointer.size, path=self._repository.lfs.path(pointer.oid))

    def write_zip(self, target: IO[bytes], path: bytes = b"") -> None:
        """Write a directory with all below it as a zip; `target` need not be seekable. Links are stored as links.

        Names that are not UTF-8 get escapes in the zip, which knows no others.
        """
        top = [name.decode("utf-8", "backslashreplace") for name in names_of(path)][-1:]
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for below, entry in self._walk(path):
                name = "/".join([*top, *(part.decode("utf-8", "backslashreplace") for part in below)])
                self._add(archive, name, b"/".join(filter(None, [path, *below])), entry)

    def _add(self, archive: zipfile.ZipFile, name: str, path: bytes, entry: Entry) -> None:
        info = zipfile.ZipInfo(name + "/" if entry.kind == "directory" else name)
        kind = {"directory": stat.S_IFDIR, "link": stat.S_IFLNK}.get(entry.kind, stat.S_IFREG)
        info.create_system, info.external_attr = 3, (kind | entry.mode) << 16
        info.compress_type = zipfile.ZIP_DEFLATED
        if entry.kind == "directory":
            archive.writestr(info, b"")
            return
        content = self.content(path)
        info.file_size = content.size
        with archive.open(info, "w", force_zip64=content.size >= zipfile.ZIP64_LIMIT) as file:
            for piece in content.pieces():
                file.write(piece)

    def _walk(self, path: bytes, below: tuple[bytes, ...] = ()) -> Iterator[tuple[tuple[bytes, ...], Entry]]:
        for entry in self.directory(b"/".join(filter(None, [path, *below]))):
            here = (*below, entry.name)
            yield here, entry
            if entry.kind == "directory":
                yield from self._walk(path, here)

    def _find(self, names: list[bytes]) -> tuple[bytes | None, dict[bytes, sidecar.Meta]]:
        """Return the tree of a directory and the metadata of what is in it."""
        db = self._repository.db
        tree: bytes | None = self._layout.workspace
        blob, children = sidecar.load(db, sidecar.Node(TREE_MODE, self._layout.meta))
        for name in map(escape, names):
            tree = layout.subtree(tree, name, db.tree) if tree is not None else None
            if tree is None:
                return None, {}
            blob, children = sidecar.load(db, children[name]) if name in children else (b"", {})
        return tree, sidecar.read(blob) if blob else {}

    def _entry(self, entry: TreeEntry, metas: dict[bytes, sidecar.Meta]) -> Entry:
        name = unescape(entry.name)
        meta = metas.get(name)
        kind = {TREE_MODE: "directory", SYMLINK_MODE: "link"}.get(entry.mode, "file")
        size = None if kind == "directory" else self._size(entry)
        mode = sidecar.permissions(meta) if meta is not None else {"directory": 0o755, "link": 0o777}.get(kind, 0o644)
        return Entry(name, kind, size, mode, meta.mtime_ns if meta is not None else 0, entry.oid.hex())

    def _size(self, entry: TreeEntry) -> int:
        data = self._repository.db.blob(entry.oid)
        pointer = parse_pointer(data) if entry.mode != SYMLINK_MODE else None
        return len(data) if pointer is None else pointer.size


def names_of(path: bytes) -> list[bytes]:
    """Return the parts of a path in a workspace; raises InvalidRequest for one that is none."""
    names = path.split(b"/") if path else []
    if any(name in (b"", b".", b"..") or b"\0" in name for name in names):
        raise InvalidRequest(
            f"{_text(path)!r} is not a path in a workspace", hint="names joined by /, none before the first"
        )
    return names


def _text(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
