"""Fetches a commit from a git server in one request that says all that is here, straight into a pack.

git itself names the sixteen newest commits first and takes what the server sends as soon as those suffice: of a merge it
gets again what one side of it has in common with older ones. Sources: git's gitprotocol-v2 (command `fetch`),
gitprotocol-common (pkt-line), gitprotocol-pack (side-band-64k).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from flowbuild.core.errors import WorkspaceError
from flowbuild.workspace.packindex import PackIndexer, publish
from flowbuild.workspace.remote import Unreachable
from flowbuild.workspace.repo import RunRepository

HAVE = "refs/have/"  # names of commits that are here with all that belongs to them
HEADERS = {
    "Accept": "application/x-git-upload-pack-result",
    "Content-Type": "application/x-git-upload-pack-request",
    "Git-Protocol": "version=2",
}
_FLUSH, _DELIMITER = b"0000", b"0001"
_DATA, _PROGRESS, _ERROR = 1, 2, 3  # bands
_SHOWN = 300  # bytes of what a server says is wrong


def request(wants: Iterable[str], haves: Iterable[str] = (), *, blobs: bool = True) -> bytes:
    """Return the body that asks for objects and all that belongs to them, without what belongs to some others."""
    words = ["no-progress", *([] if blobs else ["filter blob:none"])]
    words += [*(f"want {oid}" for oid in sorted(wants)), *(f"have {oid}" for oid in sorted(haves)), "done"]
    head = _line("command=fetch") + _line("object-format=sha256") + _DELIMITER
    return head + b"".join(map(_line, words)) + _FLUSH


def tips(repository: RunRepository) -> frozenset[str]:
    """Return the commits that are here whole, without those that follow from others."""
    waiting = list(here := set(repository.refs.list(HAVE).values()))
    followed = set[str]()
    while waiting:
        for parent in repository.commit(waiting.pop()).parents:
            if parent not in followed:
                followed.add(parent)
                waiting.append(parent)
    return frozenset(here - followed)


class PackReceiver:
    """Takes the answer to a `request` piece by piece; nothing is visible before `close`. Leaving by an exception drops it."""

    def __init__(self, git_dir: Path) -> None:
        self._git_dir = git_dir
        # The prefix of git itself, so that `git gc` removes what a crash left.
        self._path = git_dir / "objects" / "pack" / f"tmp_pack_{secrets.token_hex(8)}"
        self._file = os.fdopen(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444), "wb")
        self._indexer = PackIndexer()
        self._ahead = b""
        self._begun = self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)

    def take(self, piece: bytes) -> None:
        """Take a piece. Raises WorkspaceError for what the server refuses, and for what is no answer of git; OSError."""
        data, at, parts = self._ahead + piece, 0, list[bytes]()
        while len(data) >= at + 4:
            size = _size(data[at : at + 4])
            if len(data) < at + size:
                break
            parts.append(self._packet(data[at + 4 : at + size]))
            at += size
        self._ahead = data[at:]
        content = b"".join(parts)
        self._file.write(content)
        self._indexer.take(content)

    def close(self) -> None:
        """Make what came visible. Raises Unreachable when it is not all, WorkspaceError when it is damaged."""
        if not self._ended or self._ahead:
            raise Unreachable("the answer to a fetch broke off")
        self._file.close()
        publish(self._git_dir, self._path, self._indexer)

    def _packet(self, content: bytes) -> bytes:
        """Return what of a packet belongs to the pack."""
        if not content:  # the end of a section: the pack is the last one
            self._ended = self._begun
        elif self._ended:
            raise WorkspaceError("that is no answer of git: something follows its end")
        elif not self._begun:
            if content.startswith(b"ERR "):
                raise _refused(content[4:])
            self._begun = content.rstrip(b"\n") == b"packfile"
        elif content[0] == _DATA:
            return content[1:]
        elif content[0] == _ERROR:
            raise _refused(content[1:])
        elif content[0] != _PROGRESS:
            raise WorkspaceError("that is no answer of git: it has no such band")
        return b""


def _line(text: str) -> bytes:
    return b"%04x%s\n" % (len(text) + 5, text.encode())


def _size(head: bytes) -> int:
    """Return the length of a packet, four bytes at least."""
    try:
        return max(int(head, 16), 4)  # 0 to 2 have no content
    except ValueError as error:
        raise WorkspaceError("that is no answer of git: a packet has no length") from error


def _refused(words: bytes) -> WorkspaceError:
    return WorkspaceError(f"the server does not give the input: {words[:_SHOWN].decode('utf-8', 'replace').strip()}")
