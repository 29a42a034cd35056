"""Reads one file of a workspace whole and untorn: content, extended attributes, holes.

Callers hold a directory descriptor; nothing here resolves a path or follows a link. A file that changes while it is read
is read again, and given up on after a few tries: then somebody is still writing, and no snapshot would be the truth.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import NamedTuple

from flowbuild.core.errors import Unreadable, WorkspaceError
from flowbuild.workspace import lfs, sidecar
from flowbuild.workspace.lfs import LfsStore, Pointer

# O_NONBLOCK: if the file became a FIFO meanwhile, opening it must not wait for a writer.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_TRIES = 4


class Content(NamedTuple):
    """A file as it was read. `blob` is what goes into the repository: the content, or a pointer when `pointer` is set."""

    blob: bytes
    fields: bytes
    pointer: Pointer | None
    found: os.stat_result
    has_acl: bool = False


def unreadable(path: str, found: os.stat_result | None) -> Unreadable:
    """Return the error for something that this user may not read, with what can be done about it."""
    whose = "" if found is None else f": it belongs to user {found.st_uid} with mode {stat.S_IMODE(found.st_mode):03o}"
    return Unreadable(
        f"Cannot store {path}{whose}, and user {os.geteuid()} may not read it",
        hint=f'let the step make it readable (umask 022, chmod -R a+rX), or give its service `user: "{os.geteuid()}"`',
    )


def open_to_read(name: str, directory: int) -> int:
    """Open a file of a directory without touching its access time where that is allowed (it would dirty the inode)."""
    try:
        return os.open(name, _READ | os.O_NOATIME, dir_fd=directory)
    except PermissionError:  # only the owner may ask for that
        return os.open(name, _READ, dir_fd=directory)


def untouched(before: os.stat_result, after: os.stat_result) -> bool:
    """Tell whether two looks saw the same state of the same file."""
    return (
        before.st_ctime_ns == after.st_ctime_ns
        and before.st_size == after.st_size
        and before.st_ino == after.st_ino
        and before.st_mtime_ns == after.st_mtime_ns
    )


def kept_xattrs(fd: int, *, setid: bool) -> tuple[list[tuple[bytes, bytes]], bool]:
    """Return the extended attributes that are carried (`user.*` and, unless stripped, file capabilities).

    The second value tells that there is an access control list, which is not carried.
    """
    try:
        names = os.listxattr(fd)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return [], False
        raise
    if not names:
        return [], False
    kept = [name for name in names if name.startswith("user.") or (setid and name == "security.capability")]
    has_acl = "system.posix_acl_access" in names or "system.posix_acl_default" in names
    return [(os.fsencode(name), os.getxattr(fd, name)) for name in kept], has_acl


def read_plain(name: str, directory: int, before: os.stat_result, large_bytes: int) -> bytes | None:
    """Return the content of a small regular file that is nothing but content; None for all that needs more care.

    The hot path: most files of a workspace have one name, no attributes, no holes, and nobody writes to them.
    """
    size = before.st_size
    if not stat.S_ISREG(before.st_mode) or before.st_nlink != 1 or size >= large_bytes or before.st_blocks * 512 < size:
        return None
    fd = open_to_read(name, directory)
    try:
        if os.listxattr(fd):
            return None
        data = os.pread(fd, size + 1, 0)
        after = os.fstat(fd)
    except OSError as error:
        if error.errno == errno.ENOTSUP:  # no extended attributes on this file system
            return None
        raise
    finally:
        os.close(fd)
    return data if len(data) == size and untouched(before, after) and not data.startswith(b"version ") else None


def read_file(fd: int, before: os.stat_result, large_bytes: int, *, setid: bool, store: LfsStore) -> Content:
    """Read an open file whose state was `before`; closes it. Files of `large_bytes` and more go to `store`.

    Raises WorkspaceError when the file keeps changing, OSError.
    """
    try:
        for _ in range(_TRIES):
            if not stat.S_ISREG(before.st_mode):
                break
            xattrs, has_acl = kept_xattrs(fd, setid=setid)
            size = before.st_size
            pieces = lfs.data_pieces(fd, size) if before.st_blocks * 512 < size else None
            pointer = None
            if size >= large_bytes:
                pointer = store.put(fd, size, pieces)
            else:
                data = os.pread(fd, size + 1, 0)
                if data.startswith(b"version ") and lfs.parse_pointer(data):
                    pointer = store.put_bytes(data)  # else restoring it would fetch what it points to
            after = os.fstat(fd)
            if untouched(before, after) and (pointer is not None or len(data) == size):
                fields = sidecar.content_fields(xattrs, pieces) if xattrs or pieces is not None else b""
                return Content(pointer.blob() if pointer else data, fields, pointer, after, has_acl)
            before = after
    finally:
        os.close(fd)
    raise WorkspaceError(
        "The file keeps changing while it is read", hint="Something of the step is still running: stop it first."
    )
