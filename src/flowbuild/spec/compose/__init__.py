"""Compose files of steps: read with limits, checked against what a trust class may do, written again as our own file.

The user's file never reaches the engine. `load` gives the canonical model, `emit` what the engine gets; see
docs/compose.md for what works, what is changed and what is refused. Everything here is pure: files of the repository
come through `read(path) -> bytes | None`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flowbuild.core.model import Position
from flowbuild.spec.compose.build import FRONTEND_HINT, dockerfile_problem
from flowbuild.spec.compose.checker import Check
from flowbuild.spec.compose.complete import complete
from flowbuild.spec.compose.emit import EmitContext, Mount, emit, joining, service_key
from flowbuild.spec.compose.files import Files, Read
from flowbuild.spec.compose.interpolate import escape
from flowbuild.spec.compose.model import (
    bind_paths,
    check_main,
    dockerfiles,
    images,
    inline_files,
    main_services,
    mount_paths,
    needs,
    published_ports,
    read_paths,
    variables_used,
)
from flowbuild.spec.compose.tree import Path, Source
from flowbuild.spec.findings import Finding, has_errors

__all__ = [
    "FRONTEND_HINT",
    "EmitContext",
    "Mount",
    "bind_paths",
    "check_main",
    "dockerfile_problem",
    "dockerfiles",
    "emit",
    "escape",
    "images",
    "inline_files",
    "joining",
    "load",
    "main_services",
    "mount_paths",
    "needs",
    "published_ports",
    "read_paths",
    "service_key",
    "variables_used",
]


def load(
    *,
    text: bytes | None,
    data: Any = None,
    position_of: Callable[[Path], Position] | None = None,
    file: str,
    read: Read,
    trusted: bool,
) -> tuple[dict[str, Any] | None, list[Finding]]:
    """Return the canonical model of a compose file, or None with every problem found; warnings come with a model.

    `text` is the content of the action file at repository path `file`, whose relative paths start at its directory.
    Without it `data` is a definition out of the pipeline file `file`, `position_of` says where its parts stand, and
    relative paths start at the top of the workspace. `read` returns the content of a file of the repository by its
    normalised path, None when there is none (a link is none). Variables stay unresolved (see `emit`).
    """
    check = Check(trusted=trusted)
    files = Files(read, check)
    if text is not None:
        root = files.parse(text, file)
    else:
        places = position_of or (lambda _path: Position(file, 1, 1))
        root = Source(file, "", lambda path, _key: places(path), data).top
    if root is None:
        return None, list(check.findings)
    model = complete(check, files.project(root), root)
    findings = list(check.findings)
    return (None if has_errors(findings) else model), findings
