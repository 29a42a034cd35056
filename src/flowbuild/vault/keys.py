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
from collections.abc import Mapping
from pathlib import Path

from flowbuild.core.errors import VaultError

SIZE = 32  # bytes: AES-256
HEAD = (
    "# Keys of flow-build-server. Without them no secret can be read: keep a copy, apart from that of the database.\n"
)


class KeyRing:
    """Keys by id; the first one seals."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._keys = dict(keys)
        self.current = next(iter(self._keys))

    def key(self, name: str) -> bytes:
        """Return a key; raises VaultError when it is not there."""
        try:
            return self._keys[name]
        except KeyError:
            hint = "put the line of that key back into the key file"
            raise VaultError(f"the key {name} is not in the key file", hint=hint) from None

    @property
    def names(self) -> tuple[str, ...]:
        """Return the ids, the one that seals first."""
        return tuple(self._keys)


def open_keys(path: Path) -> KeyRing:
    """Return the keys of a file, which is made when there is none. Raises VaultError naming file and line."""
    if not path.exists():
        _write(path, {_name(key): key for key in [secrets.token_bytes(SIZE)]}, replace=False)
    return read_keys(path)


def read_keys(path: Path) -> KeyRing:
    """Return the keys of a file; raises VaultError, also when others than its owner could have changed it."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(1 << 20).decode("ascii", "replace")
    except OSError as error:
        raise VaultError(f"the key file {path} cannot be read: {error.strerror}") from error
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise VaultError(f"the key file {path} can be changed by others", hint=f"chmod go-w {path}")
    keys = dict(_parsed(path, number, line) for number, line in enumerate(text.splitlines(), 1) if _holds_key(line))
    if not keys:
        raise VaultError(f"there is no key in {path}", hint="restore it from your copy; a new one opens no old secret")
    return KeyRing(keys)


def add_key(path: Path) -> KeyRing:
    """Put a new key before the others, so that it seals from now on; return all."""
    old = read_keys(path)
    key = secrets.token_bytes(SIZE)
    _write(path, {_name(key): key} | {name: old.key(name) for name in old.names}, replace=True)
    return read_keys(path)


def keep_only(path: Path, name: str) -> KeyRing:
    """Drop all keys but one, when nothing is sealed with the others any more."""
    key = read_keys(path).key(name)
    _write(path, {name: key}, replace=True)
    return read_keys(path)


def _holds_key(line: str) -> bool:
    return bool(line.strip()) and not line.startswith("#")


def _parsed(path: Path, number: int, line: str) -> tuple[str, bytes]:
    name, _, encoded = line.strip().partition(" ")
    try:
        key = base64.b64decode(encoded.strip(), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != SIZE or _name(key) != name:
        raise VaultError(f"line {number} of the key file {path} is damaged", hint="restore it from your copy")
    return name, key


def _name(key: bytes) -> str:
    return hashlib.sha256(b"flow-build key id\0" + key).hexdigest()[:12]


def _write(path: Path, keys: Mapping[str, bytes], *, replace: bool) -> None:
    """Write a file for its owner alone, whole or not at all; without `replace` the first one who makes it wins."""
    lines = [f"{name} {base64.b64encode(key).decode()}\n" for name, key in keys.items()]
    new = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(HEAD + "".join(lines))
            file.flush()
            os.fsync(file.fileno())
        try:
            if replace:
                new.replace(path)
            else:
                _link(new, path)
        finally:
            new.unlink(missing_ok=True)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise VaultError(f"the key file {path} cannot be written: {error.strerror}") from error


def _link(new: Path, path: Path) -> None:
    try:
        path.hardlink_to(new)
    except FileExistsError:
        return  # another process made one at the same time: that one counts
