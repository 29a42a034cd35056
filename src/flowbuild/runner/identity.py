"""Who a runner is: its name and key at a server, kept in a file that only its user can read."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from flowbuild.core.errors import WorkspaceError


@dataclass(frozen=True, slots=True)
class Identity:
    """A runner of the server at these addresses; `instance` marks what it makes in the engine.

    `next_key` is there while the key changes: then one of the two is good.
    """

    urls: tuple[str, ...]
    name: str
    key: str
    instance: str
    next_key: str = ""


_identity: TypeAdapter[Identity] = TypeAdapter(Identity)


def kept_identity(path: Path) -> Identity | None:
    """Return who the runner is; None when it was never registered. Raises WorkspaceError."""
    try:
        return _identity.validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise WorkspaceError(f"{path} is damaged", hint="remove it, and register the runner anew") from error


def keep_identity(path: Path, identity: Identity) -> None:
    """Keep who the runner is; it is on the disk when this returns."""
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(_identity.dump_json(identity))
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
