"""Dockerfiles of a workspace: each is read once, checked, and built from the copy that was checked."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flowbuild.core.errors import StepFailed
from flowbuild.spec import compose

MAX_BYTES = 1 << 20
_IGNORE = ".dockerignore"  # after the name of a Dockerfile: what is left out of its context


def copy_dockerfiles(model: Mapping[str, Any], workspace: Path, target: Path) -> dict[str, str]:
    """Copy the Dockerfiles of a model to `target`; return the copies by service.

    The engine would read them later, and obey what they say then. Raises StepFailed for one that is refused.
    """
    copies = {}
    for service, candidates in compose.dockerfiles(model).items():
        path, content = _first(workspace, candidates)
        if problem := compose.dockerfile_problem(content.decode("utf-8", "surrogateescape")):
            raise StepFailed(f"{path}: {problem}", hint=compose.FRONTEND_HINT)
        directory = target / service
        directory.mkdir(parents=True, exist_ok=True)
        copy = directory / Path(path).name
        copy.write_bytes(content)
        ignored = _read(workspace, path + _IGNORE)
        if ignored is not None:
            copy.with_name(copy.name + _IGNORE).write_bytes(ignored)
        copies[service] = str(copy)
    return copies


def _first(workspace: Path, candidates: tuple[str, ...]) -> tuple[str, bytes]:
    for path in candidates:
        content = _read(workspace, path)
        if content is not None:
            return path, content
    raise StepFailed(f"{candidates[0]}: there is no such file in the workspace, and a service is built from it")


def _read(workspace: Path, path: str) -> bytes | None:
    """Return the content of a regular file of the workspace, None when there is none.

    What is looked at is the file that was opened: a link that is put in its place meanwhile changes nothing.
    """
    try:
        descriptor = os.open(workspace / path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StepFailed(f"{path}: cannot be read: {error.strerror}") from error
    try:
        real = Path(f"/proc/self/fd/{descriptor}").resolve()
        if not real.is_relative_to(workspace.resolve()):
            raise StepFailed(f"{path}: leads out of the workspace, to {real}", hint="keep it inside the workspace")
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise StepFailed(f"{path}: is not a file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(MAX_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(content) > MAX_BYTES:
        raise StepFailed(f"{path}: is larger than {MAX_BYTES >> 20} MiB")
    return content
