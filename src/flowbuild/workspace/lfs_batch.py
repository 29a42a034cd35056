"""The batch API of git-lfs, as a client speaks it: what is asked, and what the server says about each large file.

Source: git-lfs `docs/api/batch.md`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from flowbuild.core.errors import WorkspaceError
from flowbuild.workspace.lfs import Pointer

BATCH = 100  # large files that are asked for at once
MEDIA = "application/vnd.git-lfs+json"
HEADERS = {"Accept": MEDIA, "Content-Type": MEDIA}
Operation = Literal["download", "upload"]


@dataclass(frozen=True, slots=True)
class Action:
    """Where to get or to send a large file."""

    href: str
    header: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Object:
    """What the server says about a large file. `authenticated`: the actions need no further proof of who asks."""

    oid: str
    actions: Mapping[str, Action] = field(default_factory=dict)
    error: Mapping[str, Any] | None = None
    authenticated: bool = False


@dataclass(frozen=True, slots=True)
class Objects:
    """Its answer to a batch."""

    objects: Sequence[Object]


_objects: TypeAdapter[Objects] = TypeAdapter(Objects)
_plain: TypeAdapter[Mapping[str, Any]] = TypeAdapter(Mapping[str, Any])


def batches(pointers: Iterable[Pointer]) -> Iterator[Sequence[Pointer]]:
    """Split large files into what is asked for at once."""
    left = iter(pointers)
    while part := list(islice(left, BATCH)):
        yield part


def request(operation: Operation, pointers: Sequence[Pointer]) -> bytes:
    """Return the body of a request."""
    objects = [{"oid": pointer.oid, "size": pointer.size} for pointer in pointers]
    return _plain.dump_json({"operation": operation, "transfers": ["basic"], "objects": objects, "hash_algo": "sha256"})


def answered(operation: Operation, pointers: Sequence[Pointer], content: bytes) -> Iterator[tuple[Pointer, Object]]:
    """Yield what an answer says about each large file that was asked for; raises WorkspaceError when that is not good."""
    try:
        told = {one.oid: one for one in _objects.validate_json(content).objects}
    except ValidationError as error:
        raise WorkspaceError(f"that is no answer of an LFS server: {error.errors()[0]['msg']}") from error
    for pointer in pointers:
        found = told.get(pointer.oid)
        if found is None or found.error is not None:
            words = str(((found and found.error) or {}).get("message", ""))[:200]
            raise WorkspaceError(
                f"the server does not {operation} the large file {pointer.oid}{f': {words}' if words else ''}"
            )
        yield pointer, found
