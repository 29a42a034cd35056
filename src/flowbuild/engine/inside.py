"""Where the files of this process are on the engine's machine, when the process is in a container of that engine.

Steps get their directories as bind mounts, whose sources are paths of the machine. So a runner in a container works at the
path that its volume has there, and a link makes that path lead to the volume in the container, too.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flowbuild.core.errors import EngineError, InvalidRequest
from flowbuild.engine.api import Api

# The group of a container ends with its id, where it can be seen; its own /etc/hostname and the like come from a directory of that name.
_GROUP = re.compile(r"[/-]([0-9a-f]{64})(?:\.scope)?$", re.MULTILINE)
_FILES = re.compile(r"/containers/([0-9a-f]{64})/(?:hostname|hosts|resolv\.conf) /etc/")


async def place_on_machine(api: Api, path: Path) -> Path:
    """Return a path that is the same directory for the engine's machine and for this process, which may be in a container of it.

    Raises InvalidRequest when the directory is inside of the container, where the machine cannot reach it, and EngineError.
    """
    found = await own_container(api)
    if found is None:
        return path
    mount = covering(found["Mounts"], path)
    source, target = Path(mount["Source"]), Path(mount["Destination"])
    await asyncio.to_thread(_lead, source, target)
    return source / path.relative_to(target)


async def own_container(api: Api) -> dict[str, Any] | None:
    """Return what the engine knows about the container that this process is in; None: no container, or the engine is in it, too."""
    groups, mounts = await asyncio.to_thread(
        lambda: [_read(Path("/proc/self", name)) for name in ("cgroup", "mountinfo")]
    )
    for container in own_ids(groups, mounts):
        found = await api.inspect(container)
        if found is not None:
            return found
    return None


def own_ids(groups: str, mounts: str) -> list[str]:
    """Return what may be the id of the container that this process is in, from its files in /proc; the likeliest first. Pure."""
    return list(dict.fromkeys([*_GROUP.findall(groups), *_FILES.findall(mounts)]))


def covering(mounts: Sequence[Mapping[str, Any]], path: Path) -> Mapping[str, Any]:
    """Return the mount of a container that a path lies in. Pure; raises InvalidRequest when there is none."""
    found = [mount for mount in mounts if mount.get("Source") and path.is_relative_to(mount["Destination"])]
    if not found:
        raise InvalidRequest(
            f"{path} is inside of this container, where steps cannot reach it",
            hint="mount a volume there, or name another directory in FLOW_HOME",
        )
    return max(found, key=lambda mount: len(Path(mount["Destination"]).parts))


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _lead(source: Path, target: Path) -> None:
    """Make the path of the machine lead to the mount in the container."""
    try:
        if not source.exists():
            source.parent.mkdir(parents=True, exist_ok=True)
            source.symlink_to(target)
        if not source.samefile(target):
            raise EngineError(f"{source} is something else in this container than on its machine")
    except OSError as error:
        raise EngineError(
            f"{source}, which is {target} on the machine, cannot be made here: {error.strerror}"
        ) from error
