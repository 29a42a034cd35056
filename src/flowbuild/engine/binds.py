"""Bind mounts that a unit's own containers can redirect, and how such a container is started all the same.

The engine follows the links in the source of a bind mount when a container starts, not when it is created. Until then a
container of the same unit, which has the workspace mounted, can put a link to any place of the machine there: the next
one would get `/etc` in place of `./conf` (measured). Nothing can be mounted by descriptor through the Engine API, so
for the moment of looking at the path and starting the container, all others of the unit are paused.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from flowbuild.core.errors import StepFailed
from flowbuild.engine.api import Api, EngineRefused, together
from flowbuild.engine.base import UnitSpec
from flowbuild.engine.plan import make_plan


class Bind(NamedTuple):
    """A source of a bind mount, and the mounted directory above it that containers write to. Absolute paths."""

    top: str
    source: str


def redirectable(spec: UnitSpec) -> dict[str, tuple[Bind, ...]]:
    """Return, by plain name of the service, the mounts whose source lies in another mount of the unit. Pure."""
    keys = make_plan(spec).keys
    sources = {name: _sources(spec.compose["services"][key]) for name, key in keys.items()}
    writable = {source for found in sources.values() for source, read_only in found.items() if not read_only}
    result = {}
    for name, found in sources.items():
        binds = [Bind(top, source) for source in found for top in writable if source.startswith(top.rstrip("/") + "/")]
        if binds:
            result[name] = tuple(binds)
    return result


def _sources(service: Mapping[str, Any]) -> dict[str, bool]:
    """Return the sources of the bind mounts of a service, and whether each is mounted read-only."""
    mounts = [mount for mount in service.get("volumes") or () if isinstance(mount, Mapping)]
    return {mount["source"]: bool(mount.get("read_only")) for mount in mounts if mount.get("type") == "bind"}


async def confine(binds: Collection[Bind]) -> None:
    """Raise StepFailed when a link leads a source out of the directory it lies in."""
    await asyncio.to_thread(_confine, binds)


def _confine(binds: Collection[Bind]) -> None:
    for bind in binds:
        top, real = os.path.realpath(bind.top), os.path.realpath(bind.source)
        if real != top and not real.startswith(top.rstrip("/") + "/"):
            raise StepFailed(f"{_path(bind)}: was made a link out of the workspace, to {real}, before it was mounted")
        if not os.path.lexists(real):
            raise StepFailed(f"{_path(bind)}: was removed before it was mounted")


def _path(bind: Bind) -> str:
    return os.path.relpath(bind.source, bind.top)


@asynccontextmanager
async def paused(api: Api, containers: Collection[str]) -> AsyncIterator[None]:
    """Keep those of the containers that run from doing anything while the context is open."""
    try:
        # 404, 409: gone or not running, so it does nothing
        await together(*(api.call("POST", f"containers/{id_}/pause", facts={404, 409}) for id_ in containers))
        yield
    finally:  # all, also when we are cancelled in the middle: a container that stays paused would never end
        await asyncio.shield(asyncio.ensure_future(together(*(resume(api, id_) for id_ in containers))))


async def resume(api: Api, container: str) -> None:
    """Let a paused container go on; one that was stopped or removed meanwhile is left as it is."""
    try:
        await api.call("POST", f"containers/{container}/unpause", facts={404, 409})
    except EngineRefused as error:
        if "not paused" not in error.message:
            raise
