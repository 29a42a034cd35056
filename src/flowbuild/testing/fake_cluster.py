"""A cluster without machines, for tests: nodes come and go, networks are made, used and removed; it may be cut off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Network

from flowbuild.cluster.base import Network, Node
from flowbuild.core.errors import ClusterError, SubnetTaken


class FakeCluster:
    """`Cluster` in memory. `broken`: why it does not answer, if it does not. `used`: names of networks that something uses."""

    def __init__(self, *nodes: Node) -> None:
        self.broken = ""
        self.used: set[str] = set()
        self.made: dict[str, Network] = {}
        self.asked: list[str] = []  # calls by name
        self._nodes = {node.id: node for node in nodes}
        self._watchers: set[asyncio.Event] = set()

    async def nodes(self) -> Sequence[Node]:
        """List the nodes."""
        self._answer("nodes")
        return sorted(self._nodes.values(), key=lambda node: node.id)

    async def changes(self) -> AsyncGenerator[None]:
        """Yield at once, and after each call of `changed`, `put` and `release`."""
        event = asyncio.Event()
        self._watchers.add(event)
        try:
            while True:
                yield
                await event.wait()
                event.clear()
        finally:
            self._watchers.discard(event)

    async def ensure_network(self, name: str, labels: Mapping[str, str], subnet: str) -> None:
        """Keep a network."""
        self._answer("ensure_network")
        wanted = Network(name, subnet, dict(labels))
        for other in self.made.values():
            if other.name != name and IPv4Network(other.subnet).overlaps(IPv4Network(subnet)):
                raise SubnetTaken(f'the network "{name}" cannot have {subnet}: "{other.name}" has {other.subnet}')
        if self.made.setdefault(name, wanted) != wanted:
            raise ClusterError(f'the network "{name}" exists but is another one')

    async def remove_network(self, name: str) -> bool:
        """Forget a network that nothing uses."""
        self._answer("remove_network")
        if name in self.used and name in self.made:
            return False
        self.made.pop(name, None)
        return True

    async def networks(self, labels: Mapping[str, str]) -> Sequence[Network]:
        """List the networks."""
        self._answer("networks")
        found = [network for network in self.made.values() if network.labels.items() >= labels.items()]
        return sorted(found, key=lambda network: network.name)

    async def close(self) -> None:
        """Nothing is held."""

    def put(self, node: Node, **changed: object) -> Node:
        """Let a node come, or change."""
        self._nodes[node.id] = node = replace(node, **changed)  # type: ignore[arg-type]
        self.changed()
        return node

    def release(self, names: Collection[str]) -> None:
        """Let nothing use some networks any more."""
        self.used.difference_update(names)
        self.changed()

    def changed(self) -> None:
        """Tell that something may have changed."""
        for event in self._watchers:
            event.set()

    def _answer(self, call: str) -> None:
        self.asked.append(call)
        if self.broken:
            raise ClusterError(self.broken)
