"""Keeps a network of the Swarm on this machine, as long as a run is here.

A worker has such a network only while something uses it. A container that is started in the moment in which the last one leaves
fails on Docker Engine 20.10 ("network … not found"), waits in vain when it is started again, and its place in the network is never
given back, so that the network cannot be removed any more. So something stays in it that does nothing. It joins while it runs: a
container that does can ask again, and the engine then gives back the place that came to nothing (ADR 0100).
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from typing import Any

import structlog

from flowbuild.engine.api import Api, EngineRefused
from flowbuild.engine.base import Labels
from flowbuild.engine.helper import empty_image, system_mounts
from flowbuild.engine.inside import own_container
from flowbuild.engine.networks import join, leave_none
from flowbuild.engine.plan import UNIT_LABEL
from flowbuild.engine.verdict import could_not_join

log = structlog.get_logger()
SLEEP = ["sleep", "2147483647"]
TRIES = (
    6  # of those that were refused because the last ones left nearly all were in at the second, the others at the third
)
JOIN_SECONDS = (
    50.0  # after which it is not tried again: managers are away, and the engine waits 20 s for them each time
)


class Anchors:
    """Containers of one engine, one in each network of a run; a sweep of the run removes them."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def drop(self, network: str, labels: Labels) -> None:
        """Have something stay in a network. Where that cannot be the network comes and goes; steps then tell if they fail."""
        name = f"{network}-anchor-{labels.instance}"  # each runner has its own: it takes it along when it leaves
        async with self._turns[name]:
            try:
                found = await self._api.inspect(name)
                if found is None or not found["State"]["Running"]:
                    await self._begin(name, labels)
                elif found["NetworkSettings"]["Networks"].get(network, {}).get("IPAddress"):
                    return
                await self._join(name, network)
            except EngineRefused as error:
                log.warning("no_anchor", network=network, error=error.message)

    async def _begin(self, name: str, labels: Labels) -> None:
        """Have a container of this name run that is in no network."""
        path = f"containers/{name}"
        await self._api.call("DELETE", path, params={"force": "1"}, facts={404})
        await self._api.call("POST", "containers/create", params={"name": name}, body=await self._body(name, labels))
        await leave_none(self._api, name)
        await self._api.call("POST", f"{path}/start")

    async def _join(self, name: str, network: str) -> None:
        until = time.monotonic() + JOIN_SECONDS
        for tries_left in reversed(range(TRIES)):
            try:
                await join(self._api, name, network)
            except EngineRefused as error:
                if not tries_left or time.monotonic() > until or not could_not_join(error.message):
                    raise
                log.info("anchor_refused", network=network, error=error.message)
            else:
                return

    async def _body(self, name: str, labels: Labels) -> dict[str, Any]:
        """Return a container that sleeps: out of the image of this program, or with the programs of the machine."""
        host: dict[str, Any] = {
            "NetworkMode": "none",
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
