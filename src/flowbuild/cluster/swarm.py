"""Docker Swarm, through the engine of a manager.

Three things Swarm does silently, and what is done about them here:

* A network whose addresses another one has, or for which there are none, is made without any: containers cannot join it. So
  after a network is made we wait until it has its addresses.
* Managers that have no leader answer questions about networks as if there were none. So what is not found counts only when
  there was a leader before and after.
* On one engine a network of this machine and one of the Swarm may have the same name. So they are removed by id.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from ipaddress import IPv4Network
from typing import Any, Self

from aiohttp import StreamReader

from flowbuild.cluster.base import Network, Node
from flowbuild.core.errors import ClusterError, NoManager, SubnetTaken
from flowbuild.engine.api import Api, EngineRefused
from flowbuild.engine.base import EngineUnreachable
from flowbuild.engine.doctor import generic_amounts

CALL_SECONDS = 30.0  # without a leader a manager looks for one for 20 s before it says so
ADDRESS_SECONDS = 10.0  # until a new network has its addresses: some ms
AWAY_SECONDS = 3600.0
# The engine answers before it has subscribed us. It keeps its last events, so all that match since 1970 are asked for: what
# happened in between comes too, and an old event costs one more look.
SINCE = "1"
EXISTS = "conflicts with an existing object"
IN_USE = ("is in use", "active endpoints")


class Swarm:
    """`Cluster` on the Swarm that the engine at `host`, an address as in DOCKER_HOST, is a manager of."""

    def __init__(self, host: str) -> None:
        self._api = Api(host, call_seconds=CALL_SECONDS)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def nodes(self) -> Sequence[Node]:
        """List the machines, by id."""
        return sorted((read_node(found) for found in await self._call("GET", "nodes")), key=lambda node: node.id)

    async def changes(self) -> AsyncGenerator[None]:
        """Yield at the start, with every event of nodes, and when the engine is there again."""
        params = _events(type="node")
        while True:
            try:
                async with self._api.stream("events", params) as stream:
                    yield
                    while await stream.readany():
                        yield
            except EngineUnreachable:
                pass
            except EngineRefused as error:
                raise _told(self._api.host, error) from error
            while not await self._api.returned(AWAY_SECONDS):
                pass

    async def ensure_network(self, name: str, labels: Mapping[str, str], subnet: str) -> None:
        """Make an attachable overlay with a subnet of ours."""
        found = await self._find(name)
        if found is None:
            await self._refuse_taken(name, subnet)
        if found is None or not _subnet(found):
            found = await self._make(name, labels, subnet)
        ours = (found["Labels"] or {}).items() >= labels.items() and _subnet(found) == subnet
        if not ours:
            raise ClusterError(
                f'the network "{name}" exists in the Swarm but is another one (subnet {_subnet(found) or "none"})',
                hint=f"docker network rm {name} on a manager, if nobody needs it",
            )

    async def remove_network(self, name: str) -> bool:
        """Remove an overlay by its id; a node that is down still uses what its containers had joined."""
        found = await self._find(name)
        if found is None:
            await self._has_leader()
            found = await self._find(name)
            await self._has_leader()
        if found is None:
            return True
        return await self._delete(found["Id"])

    async def networks(self, labels: Mapping[str, str]) -> Sequence[Network]:
        """List overlays, by name."""
        filters = {"scope": ["swarm"], "label": [f"{key}={value}" for key, value in labels.items()]}
        await self._has_leader()
        found = await self._call("GET", "networks", params={"filters": json.dumps(filters)})
        await self._has_leader()
        return sorted((_network(each) for each in found), key=lambda network: network.name)

    async def close(self) -> None:
        """Close all connections."""
        await self._api.close()

    async def _refuse_taken(self, name: str, subnet: str) -> None:
        """Raise SubnetTaken when some of the addresses belong to a network already; what Swarm does then see above."""
        wanted = IPv4Network(subnet)
        for other in await self.networks({}):
            if other.name != name and other.subnet and IPv4Network(other.subnet, strict=False).overlaps(wanted):
                raise SubnetTaken(
                    f'the network "{name}" cannot have {subnet}: "{other.name}" of the Swarm has {other.subnet}',
                    hint="FLOW_OVERLAY_POOL is to be a range that nothing else uses",
                )

    async def _make(self, name: str, labels: Mapping[str, str], subnet: str) -> Mapping[str, Any]:
        """Make an overlay unless somebody else does just now, and return it when it has addresses."""
        body = {
            "Name": name,
            "CheckDuplicate": True,
            "Driver": "overlay",
            "Attachable": True,
            "Labels": dict(labels),
            "IPAM": {"Driver": "default", "Config": [{"Subnet": subnet}]},
        }
        try:
            async with self._api.stream("events", _events(type="network", network=name)) as told:
                await self._create(body)
                found = await self._addressed(name, told)
        except EngineUnreachable as error:
            raise self._unreachable(error) from error
        if found is None:
            await self.remove_network(name)  # of no use to anybody
            raise SubnetTaken(
                f'the Swarm gave no addresses to the network "{name}": it does not say why; {subnet} may be taken',
                hint="docker network ls --filter scope=swarm on a manager shows what there is",
            )
        return found

    async def _create(self, body: Mapping[str, Any]) -> None:
        try:
            await self._api.call("POST", "networks/create", body=body, facts={409})
        except EngineRefused as error:
            if EXISTS not in error.message:  # another one made it in this moment
                raise _told(self._api.host, error) from error

    async def _addressed(self, name: str, told: StreamReader) -> Mapping[str, Any] | None:
        """Return a new network when it has addresses; None when it gets none."""
        try:
            async with asyncio.timeout(ADDRESS_SECONDS):
                while (found := await self._find(name)) is None or not _subnet(found):
                    if not await told.readany():
                        raise ClusterError(f"the engine at {self._api.host} went away")
                return found
        except TimeoutError:
            return None

    async def _find(self, name: str) -> Mapping[str, Any] | None:
        params = {"scope": "swarm"}
        found: Mapping[str, Any] | None = await self._call("GET", f"networks/{name}", params=params, facts={404})
        return found

    async def _delete(self, identity: str) -> bool:
        try:
            await self._api.call("DELETE", f"networks/{identity}", facts={404})
        except EngineUnreachable as error:
            raise self._unreachable(error) from error
        except EngineRefused as error:
            if any(text in error.message for text in IN_USE):
                return False
            raise _told(self._api.host, error) from error
        await self._has_leader()  # else "not found" says nothing
        return True

    async def _has_leader(self) -> None:
        """Raise ClusterError unless the engine speaks for a Swarm that can decide."""
        await self._call("GET", "swarm")

    async def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        facts: Collection[int] = (),
    ) -> Any:
        try:
            return await self._api.call(method, path, params=params, body=body, facts=facts)
        except EngineUnreachable as error:
            raise self._unreachable(error) from error
        except EngineRefused as error:
            raise _told(self._api.host, error) from error

    def _unreachable(self, error: EngineUnreachable) -> ClusterError:
        return ClusterError(f"the manager of the Swarm does not answer: {error.message}", hint=error.hint)


def read_node(found: Mapping[str, Any]) -> Node:
    """Read what the Engine API says of a node. Pure."""
    spec, about = found["Spec"], found.get("Description") or {}
    platform, resources = about.get("Platform") or {}, about.get("Resources") or {}
    return Node(
        id=found["ID"],
        hostname=about.get("Hostname", ""),
        role=spec["Role"],
        availability=spec["Availability"],
        state=(found.get("Status") or {}).get("State", "unknown"),
        labels=dict(spec.get("Labels") or {}),
        engine_labels=dict((about.get("Engine") or {}).get("Labels") or {}),
        os=platform.get("OS", ""),
        arch=platform.get("Architecture", ""),
        cpus=resources.get("NanoCPUs", 0) / 10**9,
        memory=resources.get("MemoryBytes", 0),
        generic=generic_amounts(resources.get("GenericResources") or ()),
    )


def _network(found: Mapping[str, Any]) -> Network:
    return Network(found["Name"], _subnet(found), dict(found["Labels"] or {}))


def _subnet(found: Mapping[str, Any]) -> str:
    configs = (found.get("IPAM") or {}).get("Config") or ()
    return str(next((config["Subnet"] for config in configs if ":" not in config["Subnet"]), ""))


def _events(**filters: str) -> dict[str, str]:
    chosen = {"scope": ["swarm"], **{key: [value] for key, value in filters.items()}}
    return {"since": SINCE, "filters": json.dumps(chosen)}


def _told(host: str, error: EngineRefused) -> ClusterError:
    """Say what an answer of a manager means."""
    said = error.message.lower()
    if "not a swarm manager" in said:
        hint = "DOCKER_HOST is to name one: docker swarm init makes the first, docker node promote further ones"
        return NoManager(f"the engine at {host} is no manager of a Swarm", hint=hint)
    if "leader" in said or "quorum" in said:
        return ClusterError(
            "the Swarm has no leader: it decides nothing as long as not more than half of its managers are up",
            hint="start managers that are down; docker swarm init --force-new-cluster when they are lost for good",
        )
    return ClusterError(f"the Swarm refused: {error.message}")
