"""Large files by their SHA-256, in the layout and with the pointers of git-lfs, so that stock clients can pull them.

A file enters and leaves by FICLONE (shared blocks, no copy) where the file system can, otherwise by one pass that copies
and hashes. Holes stay holes. Source of pointer and layout: git-lfs `docs/spec.md`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from flowbuild.core.errors import InvalidRequest, WorkspaceError
from flowbuild.workspace.objects import MissingObject

_FICLONE = 0x40049409  # _IOW(0x94, 9, int) of linux/fs.h
_NO_CLONE = frozenset(
    {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.EPERM, errno.EBADF}
)
_CHUNK = 1 << 18  # bytes; what is hashed and written is still in the cache of the processor then
_ZEROS = bytes(_CHUNK)
POINTER_MAX = 200  # bytes; ours are shorter
_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\noid sha256:([0-9a-f]{64})\nsize (0|[1-9][0-9]{0,18})\n"
)


class Pointer(NamedTuple):
    """What a pointer blob says: SHA-256 of the content in hexadecimal, its length in bytes."""

    oid: str
    size: int

    def blob(self) -> bytes:
        """Return the content of the pointer blob."""
        return b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n" % (self.oid.encode(), self.size)


def parse_pointer(blob: bytes) -> Pointer | None:
    """Return the pointer that a blob is, or None. Every blob of a workspace that parses is one (see `snapshot`)."""
    if len(blob) > POINTER_MAX or not blob.startswith(b"version "):
        return None
    match = _POINTER.fullmatch(blob)
    return Pointer(match[1].decode(), int(match[2])) if match else None


def clone(source: int, target: int) -> bool:
    """Share all blocks of one open file with another; False where the file system cannot."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno in _NO_CLONE:
            return False
        raise
    return True


def data_pieces(fd: int, size: int, limit: int = 1 << 16) -> tuple[tuple[int, int], ...] | None:
    """Return (start, length) of each piece of data of an open file, or None when it has no holes.

    Also None when there are more than `limit` pieces: then the file is kept as a dense one.
    """
    pieces: list[tuple[int, int]] = []
    at = 0
    while at < size and len(pieces) <= limit:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole from here on
                break
            if error.errno in {errno.EINVAL, errno.EOPNOTSUPP}:
                return None
            raise
        at = min(os.lseek(fd, start, os.SEEK_HOLE), size)
        if start >= size:
            break
        pieces.append((start, at - start))
    if len(pieces) > limit or pieces == [(0, size)]:
        return None
    return tuple(pieces)


class LfsStore:
    """Objects of git-lfs under `root`: `objects/aa/bb/<sha256>`, read-only files, complete whenever they are visible.

    `told` hears of each object before it is stored, or found to be here already.
    """

    def __init__(self, root: Path, told: Callable[[Pointer], None] = lambda _: None) -> None:
        self.root = Path(root)
        self._told = told
        self._objects = self.root / "objects"
        self._temporary = self.root / "tmp"
        self._temporary.mkdir(parents=True, exist_ok=True)

    def path(self, oid: str) -> Path:
        """Return where an object is, or would be; raises WorkspaceError unless `oid` is 64 hexadecimal digits."""
        if not re.fullmatch(r"[0-9a-f]{64}", oid):
            raise WorkspaceError(f"{oid!r} is not a SHA-256")
        return self._objects / oid[:2] / oid[2:4] / oid

    def has(self, pointer: Pointer) -> bool:
        """Tell whether the object is here with the right length."""
        try:
            return self.path(pointer.oid).stat().st_size == pointer.size
        except FileNotFoundError:
            return False

    def use(self, pointer: Pointer) -> bool:
        """Tell whether the object is here, as `has`; if so, it was used now."""
        return self._young(pointer)

    def put(self, source: int, size: int, pieces: tuple[tuple[int, int], ...] | None = None) -> Pointer:
        """Store the first `size` bytes of an open regular file; `pieces` says where it has data (see `data_pieces`).

        Raises WorkspaceError when the file turns out shorter, OSError when the store cannot be written.
        """
        temporary, target = self._create()
        try:
            pieces = ((0, size),) if pieces is None else pieces
            if clone(source, target):
                source = target  # hash what is kept: the original may still change
            oid = _copy_and_hash(source, target, size, pieces)
            os.ftruncate(target, size)
            pointer = Pointer(oid, size)
            self._publish(temporary, pointer)
        finally:
            os.close(target)
            temporary.unlink(missing_ok=True)
        return pointer

    def put_bytes(self, data: bytes) -> Pointer:
        """Store content that is in memory."""
        pointer = Pointer(sha256(data).hexdigest(), len(data))
        if self._young(pointer):
            return pointer
        temporary, target = self._create()
        try:
            with os.fdopen(target, "wb") as file:
                file.write(data)
            self._publish(temporary, pointer)
        finally:
            temporary.unlink(missing_ok=True)
        return pointer

    @contextmanager
    def receive(self, pointer: Pointer) -> Iterator[Callable[[bytes], None]]:
        """Give a function that takes the content of an object piece by piece; it is stored at the end of the body.

        Raises InvalidRequest when it is not what its name says.
        """
        temporary, target = self._create()
        digest, size = sha256(), 0

        def take(piece: bytes) -> None:
            nonlocal size
            size += len(piece)
            if size > pointer.size:
                raise InvalidRequest(
                    f"the large file {pointer.oid} is longer than the {pointer.size} bytes it should have"
                )
            digest.update(piece)
            file.write(piece)

        try:
            with os.fdopen(target, "wb") as file:
                yield take
            if (digest.hexdigest(), size) != pointer:
                raise InvalidRequest(f"what came is not the large file {pointer.oid} of {pointer.size} bytes")
            self._publish(temporary, pointer)
        finally:
            temporary.unlink(missing_ok=True)

    def restore(self, pointer: Pointer, target: int, pieces: tuple[tuple[int, int], ...] | None = None) -> None:
        """Fill an open, empty file with an object; holes of the stored file stay holes.

        Where the stored file lost its holes on the way, those between `pieces` are made again if they are zeros indeed:
        the content is always that of the object, whatever `pieces` claims.
        Raises MissingObject when it is not here, WorkspaceError when its length is wrong, OSError.
        """
        try:
            source = os.open(self.path(pointer.oid), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            raise MissingObject(
                f"Large file {pointer.oid} ({pointer.size} bytes) is not in {self.root}",
                hint="Fetch the large files of the run again, or restart the run from an earlier step.",
            ) from None
        try:
            found = os.fstat(source)
            if found.st_size != pointer.size:
                raise WorkspaceError(
                    f"Large file {pointer.oid} in {self.root} has {found.st_size} bytes instead of {pointer.size}",
                    hint="The store is damaged: remove that file and fetch it again.",
                )
            own = data_pieces(source, pointer.size) if found.st_blocks * 512 < found.st_size else None
            if own is not None or pieces is None:
                if not clone(source, target):
                    os.ftruncate(target, pointer.size)
                    for start, length in ((0, pointer.size),) if own is None else own:
                        _copy_range(source, target, start, length)
                return
            os.ftruncate(target, pointer.size)
            for start, length, is_data in with_gaps(pieces, pointer.size):
                if is_data:
                    _copy_range(source, target, start, length)
                else:
                    _copy_unless_zero(source, target, start, length)
        finally:
            os.close(source)

    def verify(self, pointer: Pointer) -> bool:
        """Read an object and tell whether its content is what its name says."""
        try:
            with self.path(pointer.oid).open("rb") as file:
                digest = sha256()
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
                return digest.hexdigest() == pointer.oid and file.tell() == pointer.size
        except FileNotFoundError:
            return False

    def _create(self) -> tuple[Path, int]:
        path = self._temporary / secrets.token_hex(16)
        return path, os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o444)

    def collect(self, keep: Container[str], before: float) -> int:
        """Remove objects that are not in `keep`, and that nobody stored again since a time; return how many bytes they had.

        Also what writers left that were killed before that time. Safe beside writers: who stores an object that is here
        makes it young again, or finds that it is gone.
        """
        freed = 0
        for leftover in self._temporary.iterdir():
            with suppress(FileNotFoundError):
                if leftover.stat().st_mtime < before:
                    leftover.unlink()
        for path in self._objects.glob("??/??/*"):
            with suppress(FileNotFoundError):
                if path.name not in keep and path.stat().st_mtime < before:
                    freed += self._take_away(path, before)
        return freed

    def _take_away(self, path: Path, before: float) -> int:
        aside = self._temporary / secrets.token_hex(16)
        path.rename(aside)
        found = aside.stat()
        if found.st_mtime >= before:  # stored again between our look and our move
            aside.rename(path)
            return 0
        aside.unlink()
        return found.st_size

    def _young(self, pointer: Pointer) -> bool:
        """Make an object that is here young again; False when it is not here."""
        self._told(pointer)
        if not self.has(pointer):
            return False
        try:
            os.utime(self.path(pointer.oid))
        except FileNotFoundError:  # collected just now
            return False
        # The kernel looks the name up, then sets the time: in between a collection may have looked at the old time and removed it.
        return self.has(pointer)

    def _publish(self, temporary: Path, pointer: Pointer) -> None:
        if not self._young(pointer):
            final = self.path(pointer.oid)
            final.parent.mkdir(parents=True, exist_ok=True)
            temporary.rename(final)


def _copy_and_hash(source: int, target: int, size: int, pieces: tuple[tuple[int, int], ...]) -> str:
    """Hash `size` bytes, copying the pieces of data on the way unless both files are the same one."""
    digest, at = sha256(), 0
    buffer = memoryview(bytearray(_CHUNK))
    for start, length in (*pieces, (size, 0)):
        for hole in range(at, start, _CHUNK):
            digest.update(_ZEROS[: min(_CHUNK, start - hole)])
        at, end = start, start + length
        while at < end:
            count = os.preadv(source, [buffer[: min(_CHUNK, end - at)]], at)
            if count == 0:
                raise WorkspaceError("A large file became shorter while it was being stored")
            digest.update(buffer[:count])
            if source != target:
                _write_all(target, buffer[:count], at)
            at += count
    return digest.hexdigest()


def with_gaps(pieces: tuple[tuple[int, int], ...], size: int) -> Iterator[tuple[int, int, bool]]:
    """Yield (start, length, is data) for a whole file; pieces that are out of order or outside the file end it as data."""
    at = 0
    for start, length in pieces:
        if start < at or start + length > size:
            break
        if start > at:
            yield at, start - at, False
        yield start, length, True
        at = start + length
    else:
        if at < size:
            yield at, size - at, False
        return
    yield at, size - at, True


def _copy_unless_zero(source: int, target: int, start: int, length: int) -> None:
    for at in range(start, start + length, _CHUNK):
        chunk = os.pread(source, min(_CHUNK, start + length - at), at)
        if chunk != _ZEROS[: len(chunk)]:
            _write_all(target, memoryview(chunk), at)


def _write_all(target: int, data: memoryview, at: int) -> None:
    while data:
        count = os.pwrite(target, data, at)
        data, at = data[count:], at + count


def _copy_range(source: int, target: int, start: int, length: int) -> None:
    end = start + length
    while start < end:
        try:
            count = os.copy_file_range(source, target, end - start, start, start)
        except OSError as error:
            if error.errno not in _NO_CLONE:
                raise
            chunk = os.pread(source, min(_CHUNK, end - start), start)  # other file system on an old kernel
            _write_all(target, memoryview(chunk), start)
            count = len(chunk)
        if count == 0:
            raise WorkspaceError("A file of the large file store became shorter while it was being read")
        start += count
