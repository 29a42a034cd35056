"""Networks with explicit small subnets: the engine's own pools end after some 30 networks per machine.

A subnet is chosen here and claimed by the engine, which refuses overlaps: so several processes may choose at the same
time, the loser takes the next one.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from flowbuild.core.errors import EngineError
from flowbuild.core.subnets import Subnet, free_subnets
from flowbuild.engine.api import Api, EngineRefused

ROUTES = Path("/proc/net/route")
CLAIM_TRIES = 64
OVERLAP_TEXTS = ("overlap", "already in use", "could not find an available")


def routed_subnets(table: str) -> list[Subnet]:
    """Read destinations out of the kernel's table of IPv4 routes, without the default route."""
    subnets = []
    for line in table.splitlines()[1:]:
        fields = line.split()
        address, mask = (int.from_bytes(bytes.fromhex(fields[column]), "little") for column in (1, 7))
        if mask:
            subnets.append(Subnet((address, mask.bit_count())))
    return subnets


class Networks:
    """Makes bridge networks of one engine."""

    def __init__(self, api: Api, pool: str, prefix: int) -> None:
        self._api = api
        self._pool = Subnet(pool)
        self._prefix = prefix
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._ticks = count(1)
        self._looked: dict[str, int] = {}  # by name: when the last look that found or made it began, in ticks

    async def ensure(self, name: str, labels: Mapping[str, str], *, internal: bool = False) -> None:
        """Make the network exist. Raises EngineError when no subnet is free or a foreign network has the name."""
        asked = next(self._ticks)
        async with self._turns[name]:  # of two made at once compose would not know which one is meant
            looked = next(self._ticks)
            if self._looked.get(name, 0) < asked:  # steps that begin together are content with one look
                await self._ensure(name, labels, internal=internal)
                self._looked[name] = looked

    async def _ensure(self, name: str, labels: Mapping[str, str], *, internal: bool) -> None:
        existing = await self._named(name)
        if not existing:
            await self._create(name, labels, internal=internal)
            existing = await self._named(name)
        for network in existing:
            strange = {key for key, value in labels.items() if (network["Labels"] or {}).get(key) != value}
            if strange:
                raise EngineError(
                    f'network "{name}" exists in the engine but is not ours (labels {", ".join(sorted(strange))})',
                    hint=f"docker network rm {name}, if nobody needs it",
                )
        # The engine does not make names unique: of several made at the same time all processes keep the same one.
        for network in sorted(existing, key=lambda network: str(network["Id"]))[1:]:
            await self._api.call("DELETE", f"networks/{network['Id']}", facts={403, 404})

    async def _named(self, name: str) -> list[dict[str, Any]]:
        return [network for network in await self._all() if network["Name"] == name]

    async def _all(self) -> list[dict[str, Any]]:
        return list(await self._api.call("GET", "networks"))

    async def _create(self, name: str, labels: Mapping[str, str], *, internal: bool) -> None:
        used = [subnet for network in await self._all() for subnet in _subnets(network)]
        if self._api.local:  # a VPN into the pool must stay reachable
            used += routed_subnets(_routes())
        refused = ""
        for tries, subnet in enumerate(free_subnets(self._pool, self._prefix, used, name)):
            if tries == CLAIM_TRIES:
                break
            body = {
                "Name": name,
                "CheckDuplicate": True,
                "Driver": "bridge",
                "Internal": internal,
                "Labels": dict(labels),
                "IPAM": {"Driver": "default", "Config": [{"Subnet": str(subnet)}]},
            }
            try:
                if await self._api.call("POST", "networks/create", body=body, facts={409}) is not None:
                    return
            except EngineRefused as error:
                refused = error.message
                if not any(text in refused.lower() for text in OVERLAP_TEXTS):
                    raise EngineError(f'network "{name}": {refused}') from error
            else:
                return  # 409: another process made it in this moment
        raise EngineError(
            f'network "{name}": no free subnet /{self._prefix} in {self._pool}{refused and f" ({refused})"}',
            hint="remove networks of finished runs, or configure a larger network pool",
        )


async def join(api: Api, container: str, network: str, aliases: Sequence[str] = ()) -> None:
    """Have a container join a network, under these names besides its own. Raises EngineRefused."""
    body = {"Container": container, "EndpointConfig": {"Aliases": list(aliases)}}
    await api.call("POST", f"networks/{network}/connect", body=body)


async def leave_none(api: Api, container: str) -> None:
    """Make a container that was created without networks one that may join some."""
    await api.call("POST", "networks/none/disconnect", body={"Container": container}, facts={403, 404, 500})


def _routes() -> str:
    return ROUTES.read_text() if ROUTES.exists() else ""


def _subnets(network: Mapping[str, Any]) -> list[Subnet]:
    configs = (network.get("IPAM") or {}).get("Config") or ()
    texts = [config.get("Subnet", "") for config in configs]
    return [Subnet(text, strict=False) for text in texts if text and ":" not in text]
