"""What a machine that executes steps says of itself."""

from __future__ import annotations

import platform
from importlib.metadata import version

from flowbuild.client.runner import Facts
from flowbuild.engine.base import Engine


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
