"""`flow doctor`: what this machine has, what is missing, what to do."""

from __future__ import annotations

import asyncio
import shutil

from flowbuild.client.base import Check
from flowbuild.core.errors import FlowError
from flowbuild.engine.base import Engine

_PROGRAMS = {"git": ("git", "--version"), "git-lfs": ("git", "lfs", "version")}


async def examine(engine: Engine) -> list[Check]:
    """Return what was found of everything that a run needs."""
    programs = await asyncio.gather(*(_program(name, command) for name, command in _PROGRAMS.items()))
    return [*programs, *await _engine(engine)]


async def _program(name: str, command: tuple[str, ...]) -> Check:
    if shutil.which(name) is None:
        return Check(ok=False, text=f"{name} is not installed", hint=f"install the package {name}")
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    return Check(ok=process.returncode == 0, text=output.decode("utf-8", "replace").strip())


async def _engine(engine: Engine) -> list[Check]:
    try:
        info = await engine.info()
    except FlowError as error:
        return [Check(ok=False, text=error.message, hint=error.hint)]
    text = f"Docker Engine {info.engine_version}, compose {info.compose_version}, {info.cpus} CPUs"
    return [Check(ok=True, text=text), *(Check(ok=True, text=f"warning: {warning}") for warning in info.warnings)]
