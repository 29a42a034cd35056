"""Keeps a network of the Swarm on this machine, as long as a run is here.

A worker has such a network only while something uses it. Who joins it in the moment in which the last one leaves was seen to fail
on Docker Engine 20.10 ("network … not found"), and to wait in vain when it tried again. So something stays in it that does nothing.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any

import structlog

from flowbuild.engine.api import Api, EngineRefused
from flowbuild.engine.base import Labels
from flowbuild.engine.helper import empty_image, system_mounts
from flowbuild.engine.inside import own_container
from flowbuild.engine.plan import UNIT_LABEL

log = structlog.get_logger()
SLEEP = ["sleep", "2147483647"]


class Anchors:
    """Containers of one engine, one in each network of a run; a sweep of the run removes them."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def drop(self, network: str, labels: Labels) -> None:
        """Have something stay in a network. Where that cannot be the network comes and goes; steps then tell if they fail."""
        name = f"{network}-anchor"
        async with self._turns[name]:
            try:
                body = await self._body(network, name, labels)
                await self._api.call("POST", "containers/create", params={"name": name}, body=body, facts={409})
                await self._api.call("POST", f"containers/{name}/start", facts={304})
            except EngineRefused as error:
                log.warning("no_anchor", network=network, error=error.message)

    async def _body(self, network: str, name: str, labels: Labels) -> dict[str, Any]:
        """Return a container that sleeps: out of the image of this program, or with the programs of the machine."""
        host: dict[str, Any] = {
            "NetworkMode": network,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges:true"],
            "ReadonlyRootfs": True,
            "PidsLimit": 8,
            "Init": True,
            "LogConfig": {"Type": "none"},
        }
        ours = await own_container(self._api)
        if ours is None:
            image = await empty_image(self._api)
            host["Mounts"] = list(system_mounts())
        else:
            image = str(ours["Image"])
        return {
            "Image": image,
            "Entrypoint": SLEEP[:1],
            "Cmd": SLEEP[1:],
            "User": "65534:65534",
            "Env": ["PATH=/usr/bin:/bin"],
            "Labels": labels.as_dict() | {UNIT_LABEL: name},
            "HostConfig": host,
        }
