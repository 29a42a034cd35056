"""The cluster that a server speaks to, if it does: what is known of its nodes, and networks of runs across them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from flowbuild.cluster.base import Cluster
from flowbuild.cluster.swarm import Swarm
from flowbuild.core.errors import InvalidRequest
from flowbuild.core.subnets import Subnet
from flowbuild.services.nodes import NodeBook
from flowbuild.services.overlays import Overlays
from flowbuild.services.signals import Signals
from flowbuild.settings import OVERLAY_PREFIX, Settings
from flowbuild.store.database import Database


@dataclass(frozen=True, slots=True)
class Clustered:
    """A cluster and what goes by it."""

    cluster: Cluster
    nodes: NodeBook
    overlays: Overlays

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


def clustered(settings: Settings, database: Database, signals: Signals, instance: str) -> Clustered | None:
    """Return what the settings name; None when that is nothing. Raises InvalidRequest."""
    if not settings.cluster:
        return None
    if Subnet(settings.overlay_pool).overlaps(Subnet(settings.network_pool)):
        raise InvalidRequest(
            f"FLOW_OVERLAY_POOL ({settings.overlay_pool}) and FLOW_NETWORK_POOL ({settings.network_pool}) overlap",
            hint="networks of one machine and those across machines need addresses of their own",
        )
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
