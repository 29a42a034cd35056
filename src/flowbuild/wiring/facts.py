"""What a machine that executes steps says of itself."""

from __future__ import annotations

import os
import platform
import re
import shutil
from importlib.metadata import version
from pathlib import Path

from flowbuild.client.runner import Facts, MachineLoad
from flowbuild.engine.base import Engine

MEMORY = Path("/proc/meminfo")


async def facts_of(engine: Engine) -> Facts:
    """Return what this machine is. Raises EngineError."""
    info = await engine.info()
    return Facts(
        version=version("flow-build-server"),
        machine=platform.machine(),
        engine=info.engine_version,
        compose=info.compose_version,
        cpus=info.cpus,
        memory=info.memory_bytes,
        hostname=info.name,
        os=info.os,
        arch=info.arch,
        node=info.node,
        role=info.role,
        engine_labels=info.labels,
        generic=info.generic,
    )


def load_of(home: Path, kept: int = 0) -> MachineLoad:
    """Return how loaded this machine is; `home` is on the disk that counts, `kept` bytes there are of runs."""
    free = re.search(r"^MemAvailable:\s+(\d+) kB", MEMORY.read_text(), re.MULTILINE)
    return MachineLoad(
        processes=round(os.getloadavg()[0], 2),
        memory_free=int(free[1]) << 10 if free else 0,
        disk_free=shutil.disk_usage(home).free,
        kept=kept,
    )
