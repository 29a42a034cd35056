"""Backups of a server while it works: one directory that holds all that a new one needs. Blocking.

The database comes first, the files after it. So the files may know of later results than the database does, never of
fewer; `services.restoring` takes back what the database has not seen. In a repository refs come before objects: what they
name was written before them. What disappears while it is copied (small packs that became one) has left something in its
place, so such a directory is looked at again. Files that never change (packs, large files) are copied once; a second backup
into the same directory takes what is new and drops what is gone.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from flowbuild.core.errors import Conflict, InvalidRequest, WorkspaceError
from flowbuild.services.decisions import Clock
from flowbuild.store import dump

FOLDERS = ("runs", "lfs", "logs", "mirrors")
KEYS = "vault.keys"
MANIFEST = "backup.json"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup is. It is written last: without one a backup is not complete. `home`: where the server was."""

    format: int
    version: str
    home: str
    taken_at: float  # seconds since the epoch: what was stored by then is in it
    files: int
    bytes: int
    keys: bool


def back_up(home: Path, database: str, target: Path, *, keys: Path | None, version: str, clock: Clock) -> Manifest:
    """Write a backup of the server at `home` into `target`, which may hold an older one.

    `keys`: the file with the keys of the vault, None to leave it out: without them no secret of the backup can be read.
    Raises InvalidRequest, StoreError, WorkspaceError.
    """
    if target.resolve().is_relative_to(home.resolve()):
        raise InvalidRequest("a backup inside of the data directory is none", hint="name a directory on another disk")
    try:
        target.mkdir(parents=True, exist_ok=True, mode=0o700)
        if any(target.iterdir()) and not any(
            (target / name).exists() for name in (MANIFEST, dump.SQLITE, dump.POSTGRES)
        ):
            raise Conflict(f"{target} holds something else than a backup", hint="name an empty directory")
        (target / MANIFEST).unlink(missing_ok=True)
        taken_at = clock()
        dump.dump(database, target)
        copied: dict[Path, int] = {}
        for name in FOLDERS:
            found = {path.relative_to(home): size for path, size in _copied(home / name, home, target)}
            _drop(target, name, found.keys())
            copied |= found
        (target / KEYS).unlink(missing_ok=True)
        if keys is not None:
            copy(keys, target / KEYS)
        manifest = Manifest(
            FORMAT, version, str(home.absolute()), taken_at, len(copied), sum(copied.values()), keys is not None
        )
        _write(target / MANIFEST, json.dumps(asdict(manifest), indent=2).encode())
    except OSError as error:
        raise WorkspaceError(f"the backup cannot be written: {error}") from error
    return manifest


def read_manifest(source: Path) -> Manifest:
    """Return what a backup is; raises InvalidRequest when it is none, or not a complete one."""
    try:
        manifest = Manifest(**json.loads((source / MANIFEST).read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise InvalidRequest(f"{source} holds no complete backup", hint="flow server backup DIR makes one") from error
    if manifest.format != FORMAT:
        raise InvalidRequest(f"{source} was made by version {manifest.version}, which this one cannot read")
    return manifest


def files(top: Path) -> Iterator[Path]:
    """Yield all files and links below a directory (or the file itself), what is below `objects` last."""
    if top.is_file() or top.is_symlink():
        yield top
        return
    later: list[Path] = []
    for folder, folders, names in os.walk(top):
        if "objects" in folders:
            folders.remove("objects")
            later.append(Path(folder) / "objects")
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        yield from (Path(folder) / name for name in (*names, *links) if not name.startswith("tmp_"))
    for objects in later:
        yield from files(objects)


def copy(source: Path, target: Path) -> int | None:
    """Copy a file unless the target is the same already; return its size, None when it has gone."""
    try:
        found = source.lstat()
        if source.is_symlink():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            target.symlink_to(source.readlink())
            return 0
        if not target.exists() or _stamp(target.stat()) != _stamp(found):
            target.parent.mkdir(parents=True, exist_ok=True)
            new = target.with_name(f".{target.name}.new")
            shutil.copy2(source, new)
            new.replace(target)
    except FileNotFoundError:
        return None
    return found.st_size


def _copied(folder: Path, home: Path, target: Path) -> Iterator[tuple[Path, int]]:
    """Copy what is below a folder, one of its entries after the other; yield what was copied, and the sizes."""
    for top in sorted(folder.glob("[!.]*")):  # what begins with a dot is only being made
        while True:
            found = [(path, copy(path, target / path.relative_to(home))) for path in files(top)]
            if not any(size is None and _stays(path) for path, size in found):
                break
        yield from ((path, size) for path, size in found if size is not None)


def _stays(path: Path) -> bool:
    """Whether it says something that a file has gone: locks come and go."""
    return path.suffix not in (".lock", ".new")


def _stamp(found: os.stat_result) -> tuple[int, int]:
    return found.st_size, found.st_mtime_ns


def _drop(target: Path, folder: str, kept: Collection[Path]) -> None:
    """Remove from a backup what the server does not have any more."""
    for path in list(files(target / folder)):
        if path.relative_to(target) not in kept:
            path.unlink()


def _write(path: Path, data: bytes) -> None:
    new = path.with_name(f".{path.name}.new")
    with new.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
