"""The seam to what joins several machines: which nodes there are, and networks that span them.

Errors are `core.errors.ClusterError` with advice; whoever calls need not know what kind of cluster it is.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

Availability = Literal["active", "pause", "drain"]


@dataclass(frozen=True, slots=True)
class Node:
    """A machine of the cluster. `state` is "ready" when the managers hear of it; else "down", "disconnected", "unknown".

    `labels` are those that the cluster keeps of it, `engine_labels` those of its engine. `os` and `arch` as the engine names them
    ("linux", "x86_64"). `memory` in bytes. `generic`: how many it has of other things, as GPUs, by kind.
    """

    id: str
    hostname: str
    role: Literal["manager", "worker"] = "worker"
    availability: Availability = "active"
    state: str = "ready"
    labels: Mapping[str, str] = field(default_factory=dict)
    engine_labels: Mapping[str, str] = field(default_factory=dict)
    os: str = ""
    arch: str = ""
    cpus: float = 0.0
    memory: int = 0
    generic: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Network:
    """A network across machines. `subnet` is empty when it got no addresses, which is of no use."""

    name: str
    subnet: str
    labels: Mapping[str, str] = field(default_factory=dict)


class Cluster(Protocol):
    """What is asked of a cluster. Every call raises ClusterError when it cannot be reached or does not do its part."""

    async def nodes(self) -> Sequence[Node]:
        """List the machines."""
        ...

    def changes(self) -> AsyncGenerator[None]:
        """Yield at once, and again whenever nodes or what uses networks may have changed; without end.

        It outlives connections: when one is lost it waits until there is one again, and yields then.
        """
        ...

    async def ensure_network(self, name: str, labels: Mapping[str, str], subnet: str) -> None:
        """Make a network exist that containers of all nodes may join. Idempotent, may race with itself.

        Raises SubnetTaken when another network has some of the addresses, ClusterError also when there is a network of that name
        which is another one. When it returns the network has its addresses.
        """
        ...

    async def remove_network(self, name: str) -> bool:
        """Remove a network; False while something still uses it, True also when there is none.

        Where the machine that is asked had joined it, it may be listed for a moment longer.
        """
        ...

    async def networks(self, labels: Mapping[str, str]) -> Sequence[Network]:
        """List the networks across machines that carry all the labels; without labels all there are."""
        ...

    async def close(self) -> None:
        """Free connections. No call may follow."""
        ...
