"""Runs programs of this machine in a container: the engine's way of having rights that its user does not have.

The image is empty; what the program needs is mounted from the machine, at the same places, read-only.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from flowbuild.core.errors import EngineError
from flowbuild.engine.api import Api
from flowbuild.engine.base import HostProgram
from flowbuild.engine.logstream import FrameParser
from flowbuild.engine.plan import UNIT_LABEL

IMAGE = "flow-helper:empty"
EMPTY_ARCHIVE = bytes(1024)  # how a tar file ends
# What a program needs to start: its libraries and where they are; also on systems that keep them elsewhere.
SYSTEM = ("/bin", "/lib", "/lib32", "/lib64", "/libx32", "/usr", "/etc/ld.so.cache", "/nix/store", "/gnu/store")
TO_CHANGE_USER = ("SETUID", "SETGID")  # the program gives these away itself


class Helper:
    """Containers of one engine that run programs of its machine."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def run(self, program: HostProgram) -> bytes:
        """See Engine.run_here."""
        if not self._api.local:
            raise EngineError("the engine is on another machine: it does not have the files of this one")
        await empty_image(self._api)
        created = await self._api.call("POST", "containers/create", body=_container(program))
        path = f"containers/{created['Id']}"
        try:
            await self._api.call("POST", f"{path}/start")
            ended = await self._api.call("POST", f"{path}/wait", seconds=None)
            output = await self._output(path)
        finally:
            removal = self._api.call("DELETE", path, params={"force": "1", "v": "1"}, facts={404, 409})
            await asyncio.shield(asyncio.ensure_future(removal))
        if ended["StatusCode"]:
            said = output["stderr"].decode("utf-8", "replace").strip() or f"exit code {ended['StatusCode']}"
            raise EngineError(said.splitlines()[-1])
        return bytes(output["stdout"])

    async def _output(self, path: str) -> dict[str, bytearray]:
        parser, found = FrameParser(), {"stdout": bytearray(), "stderr": bytearray()}
        async with self._api.stream(f"{path}/logs", {"stdout": "1", "stderr": "1"}) as content:
            while chunk := await content.read(1 << 16):
                for stream, data in parser.feed(chunk):
                    found[stream] += data
        return found


async def empty_image(api: Api) -> str:
    """Return the name of an image without files, which is there."""
    if await api.call("GET", f"images/{IMAGE}/json", facts={404}) is None:
        await api.send("images/create", {"fromSrc": "-", "repo": "flow-helper", "tag": "empty"}, EMPTY_ARCHIVE)
    return IMAGE


def system_mounts() -> Iterator[dict[str, Any]]:
    """Yield the mounts that programs of the machine need."""
    yield from _binds(dict.fromkeys(SYSTEM, True))


def _container(program: HostProgram) -> dict[str, Any]:
    return {
        "Image": IMAGE,
        "Entrypoint": [],
        "Cmd": list(program.argv),
        "User": "0:0",
        "Env": [f"{name}={value}" for name, value in program.environment.items()],
        "Labels": program.labels.as_dict() | {UNIT_LABEL: f"flow-helper-{secrets.token_hex(6)}"},
        "HostConfig": {
            "Mounts": list(_mounts(program)),
            "CapDrop": ["ALL"],
            "CapAdd": [*program.capabilities, *TO_CHANGE_USER],
            "SecurityOpt": ["no-new-privileges:true", "label=disable"],  # files keep the labels that the machine gave
            "UsernsMode": "host",
            "NetworkMode": "none",
            "ReadonlyRootfs": True,
            "LogConfig": {"Type": "json-file", "Config": {}},
        },
    }


def _mounts(program: HostProgram) -> Iterator[dict[str, Any]]:
    yield from _binds(dict.fromkeys((*SYSTEM, *program.readable), True) | dict.fromkeys(program.writable, False))


def _binds(paths: Mapping[str, bool]) -> Iterator[dict[str, Any]]:
    for path, read_only in paths.items():
        if os.path.exists(path):  # noqa: PTH110  some systems have it, others do not
            yield {"Type": "bind", "Source": os.path.realpath(path), "Target": path, "ReadOnly": read_only}
