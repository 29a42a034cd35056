"""The machines of the cluster, as its managers know them: placement goes by their labels, and whether they are drained.

No ticks: it looks when the cluster says that something may have changed. Every server does it for itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import aclosing

import structlog

from flowbuild.cluster.base import Cluster, Node
from flowbuild.core.errors import ClusterError, FlowError, NoManager
from flowbuild.services.decisions import QUEUE
from flowbuild.services.news import runner_topic
from flowbuild.services.signals import Signals
from flowbuild.services.threads import in_thread
from flowbuild.store.database import Database

log = structlog.get_logger()
RETRY_SECONDS = 5.0
NODES = "nodes"  # nodes, or what uses networks across them, may have changed


class NodeBook:
    """What is known of the nodes. Start/stop contract: `run` is started once and ends when its task is cancelled.

    While the managers do not answer it stays as it was: machines do not change because nobody is asked about them.
    """

    def __init__(
        self,
        *,
        cluster: Cluster,
        database: Database,
        signals: Signals,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._cluster = cluster
        self._database = database
        self._signals = signals
        self._sleep = sleep
        self._nodes: Mapping[str, Node] = {}
        self._trouble = ""  # why the last look failed

    def of(self, node: str) -> Node | None:
        """Return a node by its id; None when the cluster does not have it, or was not asked yet. From any thread."""
        return self._nodes.get(node)

    async def begin(self) -> None:
        """Look for the first time, before anything goes by it. Raises NoManager: that does not come right by itself."""
        try:
            await self._look()
        except NoManager:
            raise
        except ClusterError as error:
            self._failed(error.message)

    async def run(self) -> None:
        """Keep it fresh until cancelled."""
        while True:
            try:
                async with aclosing(self._cluster.changes()) as changes:
                    async for _ in changes:
                        await self._look()
            except Exception as error:  # noqa: BLE001 (a cluster that is away for a while comes back)
                self._failed(error.message if isinstance(error, FlowError) else repr(error))
                await self._sleep(RETRY_SECONDS)

    async def _look(self) -> None:
        before, self._nodes = self._nodes, {node.id: node for node in await self._cluster.nodes()}
        self._failed("")
        changed = {node for node in before.keys() | self._nodes.keys() if before.get(node) != self._nodes.get(node)}
        names = await in_thread(self._runners, changed) if changed else ()
        # Other servers look for themselves.
        self._signals.hear(
            (topic, "", "") for topic in (NODES, *([QUEUE] if changed else ()), *map(runner_topic, names))
        )

    def _runners(self, nodes: Collection[str]) -> Sequence[str]:
        """Return the names of the runners on some nodes."""
        with self._database.read() as tx:
            return [row.name for row in tx.runners.all() if row.facts.get("node") in nodes]

    def _failed(self, why: str) -> None:
        """Say once what is wrong, and once that it is not any more."""
        if why and why != self._trouble:
            log.error("nodes_unknown", error=why)
        elif self._trouble and not why:
            log.info("nodes_known")
        self._trouble = why
