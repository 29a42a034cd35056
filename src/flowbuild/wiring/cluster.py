"""The cluster that a server speaks to, if it does: what is known of its nodes, and networks of runs across them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from flowbuild.cluster.base import Cluster, Node
from flowbuild.core.errors import InvalidRequest
from flowbuild.core.subnets import Subnet
from flowbuild.services import placing
from flowbuild.services.nodes import NodeBook
from flowbuild.services.overlays import Overlays
from flowbuild.services.placing import Standing
from flowbuild.services.signals import Signals
from flowbuild.settings import OVERLAY_PREFIX, Settings
from flowbuild.store.database import Database


@dataclass(frozen=True, slots=True)
class Clustered:
    """A cluster and what goes by it."""

    cluster: Cluster
    nodes: NodeBook
    overlays: Overlays

    def placing(self) -> placing.Cluster:
        """Return what those who choose the runner of an attempt ask."""
        return placing.Cluster(
            standing=lambda node: standing(self.nodes.of(node)),
            join=lambda tx, key: self.overlays.take(tx, key.run),
        )

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Keep all of it going while the context is open. Raises NoManager when there is no cluster."""
        try:
            await self.nodes.begin()
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self.nodes.run()), group.create_task(self.overlays.run())]
                yield
                for task in tasks:
                    task.cancel()
        finally:
            await self.cluster.close()


def standing(node: Node | None) -> Standing | None:
    """Return what the place of a node in the cluster means for the runner on it; right after an election all are "unknown"."""
    if node is None:
        return None
    taking = node.availability == "active" and node.state in ("ready", "unknown")
    return Standing(role=node.role, labels=node.labels, taking=taking, draining=node.availability == "drain")


def clustered(settings: Settings, database: Database, signals: Signals, instance: str) -> Clustered | None:
    """Return what the settings name; None when that is nothing. Raises InvalidRequest."""
    if not settings.cluster:
        return None
    if Subnet(settings.overlay_pool).overlaps(Subnet(settings.network_pool)):
        raise InvalidRequest(
            f"FLOW_OVERLAY_POOL ({settings.overlay_pool}) and FLOW_NETWORK_POOL ({settings.network_pool}) overlap",
            hint="networks of one machine and those across machines need addresses of their own",
        )
    from flowbuild.cluster.swarm import Swarm  # noqa: PLC0415 (loads the library of the engine, which other programs do without)

    cluster = Swarm(settings.docker_host)
    overlays = Overlays(
        cluster=cluster,
        database=database,
        signals=signals,
        instance=instance,
        pool=settings.overlay_pool,
        prefix=OVERLAY_PREFIX,
    )
    return Clustered(cluster, NodeBook(cluster=cluster, database=database, signals=signals), overlays)
