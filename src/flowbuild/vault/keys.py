"""The keys that seal secrets: a small file outside the database, so that a copy of the database opens nothing.

Each line is `<id> <key in base64>`; the first key seals, all of them open. The id follows from the key, so a damaged
line is found, and two files with the same id hold the same key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
import stat
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from flowbuild.core.errors import VaultError

SIZE = 32  # bytes: AES-256
LARGEST = 1 << 20  # bytes of a key file
HEAD = (
    "# Keys of flow-build-server. Without them no secret can be read: keep a copy, apart from that of the database.\n"
)


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Keys by id; the first one seals."""

    keys: Mapping[str, bytes]

    @property
    def current(self) -> str:
        """Return the id of the key that seals."""
        return next(iter(self.keys))

    def key(self, name: str) -> bytes:
        """Return a key; raises VaultError when it is not there."""
        try:
            return self.keys[name]
        except KeyError:
            hint = "put the line of that key back into the key file"
            raise VaultError(f"the key {name[:64]!r} is not in the key file", hint=hint) from None


class KeyFile:
    """A key file, which is made when there is none. Read again when it was changed, so all processes follow a new key.

    Raises VaultError, naming file and line, also when others than its owner could have changed it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._read: tuple[tuple[int, int, int], KeyRing] | None = None
        if not path.exists():
            self._write([secrets.token_bytes(SIZE)], replace=False)

    def ring(self) -> KeyRing:
        """Return the keys as they are now."""
        with self._lock:
            try:
                found = self._path.stat()
                version = found.st_ino, found.st_mtime_ns, found.st_size
                if self._read is None or self._read[0] != version:
                    with self._path.open("rb") as file:
                        mode, text = os.fstat(file.fileno()).st_mode, file.read(LARGEST).decode("ascii", "replace")
                    self._read = version, self._parse(text, mode)
                return self._read[1]
            except OSError as error:
                raise VaultError(f"the key file {self._path} cannot be read: {error.strerror}") from error

    def add(self) -> KeyRing:
        """Put a new key before the others, so that it seals from now on; return all."""
        self._write([secrets.token_bytes(SIZE), *self.ring().keys.values()], replace=True)
        return self.ring()

    def keep(self, names: Collection[str]) -> KeyRing:
        """Drop all keys but some and the one that seals; return what is left."""
        ring = self.ring()
        kept = [key for name, key in ring.keys.items() if name in names or name == ring.current]
        self._write(kept, replace=True)
        return self.ring()

    def _parse(self, text: str, mode: int) -> KeyRing:
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise VaultError(f"the key file {self._path} can be changed by others", hint=f"chmod go-w {self._path}")
        lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
        keys = dict(self._key(number, line) for number, line in lines if line and not line.startswith("#"))
        if not keys:
            hint = "restore it from your copy; a new key opens no old secret"
            raise VaultError(f"there is no key in {self._path}", hint=hint)
        return KeyRing(keys)

    def _key(self, number: int, line: str) -> tuple[str, bytes]:
        name, _, encoded = line.partition(" ")
        try:
            key = base64.b64decode(encoded.strip(), validate=True)
        except binascii.Error:
            key = b""
        if len(key) != SIZE or _name(key) != name:
            hint = "restore it from your copy"
            raise VaultError(f"line {number} of the key file {self._path} is damaged", hint=hint)
        return name, key

    def _write(self, keys: Collection[bytes], *, replace: bool) -> None:
        """Write the file for its owner alone, whole or not at all; without `replace` the first one who makes it wins."""
        new = self._path.with_name(f".{self._path.name}.{secrets.token_hex(6)}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
                file.write(HEAD + "".join(f"{_name(key)} {base64.b64encode(key).decode()}\n" for key in keys))
                file.flush()
                os.fsync(file.fileno())
            try:
                _put(new, self._path, replace=replace)
            finally:
                new.unlink(missing_ok=True)
            _sync_directory(self._path.parent)
        except OSError as error:
            raise VaultError(f"the key file {self._path} cannot be written: {error.strerror}") from error


def _name(key: bytes) -> str:
    return hashlib.sha256(b"flow-build key id\0" + key).hexdigest()[:12]


def _put(new: Path, path: Path, *, replace: bool) -> None:
    if replace:
        new.replace(path)
        return
    try:
        path.hardlink_to(new)
    except FileExistsError:
        return  # another process made one at the same time: that one counts


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
