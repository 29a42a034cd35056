"""`flow doctor`: what this machine has, what is missing, what to do."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path

from flowbuild.core.errors import FlowError
from flowbuild.engine.compose import ComposeEngine


def examine(_directory: Path) -> int:
    """Print what was found; return 0 when pipelines can run."""
    checks = [_program("git", "git --version"), _program("git-lfs", "git lfs version"), asyncio.run(_engine())]
    return 0 if all(checks) else 3


def _program(name: str, command: str) -> bool:
    if shutil.which(name) is None:
        print(f"✗ {name} is not installed\n    hint: install the package {name}")
        return False
    done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
    print(f"✓ {done.stdout.strip()}")
    return done.returncode == 0


async def _engine() -> bool:
    engine = ComposeEngine()
    try:
        info = await engine.info()
    except FlowError as error:
        print(f"✗ {error.message}\n    hint: {error.hint}")
        return False
    finally:
        await engine.close()
    print(f"✓ Docker Engine {info.engine_version}, compose {info.compose_version}, {info.cpus} CPUs")
    for warning in info.warnings:
        print(f"! {warning}")
    return True
