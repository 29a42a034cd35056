"""Networks of runs across machines: made before the first attempt is handed out, removed when nothing of the run is left.

A run gets its addresses in the transaction in which it is decided that it needs such a network (`take`). The network itself is
made by whoever hands out an attempt (`ready`), at each of them anew if need be; runners only join it. Rows of the database say
what there should be: what the cluster has besides that is removed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence

import structlog

from flowbuild.cluster.base import Cluster, Network
from flowbuild.core.errors import ClusterError, SubnetTaken
from flowbuild.core.ids import RunId, network_name
from flowbuild.core.subnets import Subnet
from flowbuild.services.decisions import ORDERS, QUEUE
from flowbuild.services.nodes import NODES
from flowbuild.services.signals import Signals
from flowbuild.services.threads import in_thread
from flowbuild.store.database import Database, Transaction
from flowbuild.store.networks import NetworkRow

log = structlog.get_logger()
LEFTOVERS = "leftovers"  # a runner has nothing of an ended run any more
TRIES = 4  # of addresses for a network, each other ones, when something outside of the database has them
RETRY_SECONDS, RETRY_MOST = 1.0, 60.0


class Overlays:
    """The networks. `instance` marks those of this server in the cluster; `pool` is cut into subnets of `prefix` bits.

    Start/stop contract: `run` is started once and ends when its task is cancelled; what was not removed then the next life removes.
    """

    def __init__(
        self,
        *,
        cluster: Cluster,
        database: Database,
        signals: Signals,
        instance: str,
        pool: str,
        prefix: int,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._cluster = cluster
        self._database = database
        self._signals = signals
        self._marks = {"flow.cluster": instance}
        self._pool = Subnet(pool)
        self._prefix = prefix
        self._sleep = sleep
        self._foreign: Collection[Subnet] = ()  # what others have in the cluster

    def take(self, tx: Transaction, run: RunId) -> bool:
        """Give a run addresses for its network, in a transaction that has it; False when none are free now.

        QUEUE is notified when some are again.
        """
        return tx.networks.allocate(run, self._pool, self._prefix, self._foreign) is not None

    async def ready(self, run: RunId) -> None:
        """Return when containers on all nodes may join the network of a run; at once when it has none across machines.

        Raises ClusterError when it cannot be made.
        """
        row = await in_thread(self._row, run)
        for tries in range(1, TRIES + 1):
            if row is None:
                return
            try:
                await self._cluster.ensure_network(network_name(run), self._labels(run), row.subnet)
            except SubnetTaken as error:
                log.warning("subnet_taken", run=run, subnet=row.subnet, error=error.message)
                if tries == TRIES:
                    raise
                row = await self._other(row)
            else:
                return

    async def run(self) -> None:
        """Remove what is not needed any more, until cancelled."""
        whole = held = True
        pause = RETRY_SECONDS
        with self._signals.follow(ORDERS, LEFTOVERS, NODES) as following:
            while True:
                try:
                    whole = whole and await self._compare()
                    held = await self._collect()
                except Exception as error:  # noqa: BLE001 (cluster and database come back)
                    log.error("overlays_not_collected", error=repr(error))
                    await self._sleep(pause)
                    whole, pause = True, min(2 * pause, RETRY_MOST)
                    continue
                pause = RETRY_SECONDS
                while (await following.changed()) == frozenset((NODES,)) and not (held or whole):
                    pass  # nothing waits for that

    async def _compare(self) -> bool:
        """Remove networks that the database does not know (any more), and see which addresses others have.

        Returns whether some have to stay for now.
        """
        listed = await self._cluster.networks({})  # first: a network is in the database before it is in the cluster
        known = await in_thread(self._known)
        self._foreign = _subnets(network for network in listed if not self._is_ours(network))
        unknown = [each.name for each in listed if self._is_ours(each) and each.labels.get("flow.run") not in known]
        return not all([await self._cluster.remove_network(name) for name in unknown])

    async def _collect(self) -> bool:
        """Remove the networks of runs that are over; return whether some have to stay, as a node that is down holds them."""
        held = freed = False
        for row in await in_thread(self._collectable):
            if await self._cluster.remove_network(network_name(row.run)):
                freed = await in_thread(self._drop, row.run) or freed
            else:
                held = True
        if freed:
            self._signals.notify(QUEUE)
        return held

    async def _other(self, row: NetworkRow) -> NetworkRow | None:
        """Return what a run has instead of addresses that are taken; another server may have seen that, too."""
        taken = _subnets(await self._cluster.networks({}))
        return await in_thread(self._exchange, row, taken)

    def _exchange(self, row: NetworkRow, taken: Collection[Subnet]) -> NetworkRow | None:
        with self._database.write() as tx:
            tx.runs.lock(row.run)
            present = tx.networks.of(row.run)
            if present != row:
                return present
            tx.networks.drop(row.run)
            found = tx.networks.allocate(row.run, self._pool, self._prefix, [*taken, Subnet(row.subnet)])
            if found is None:
                hint = "FLOW_OVERLAY_POOL may name a larger range, or one that nothing else uses"
                raise ClusterError(f"no addresses are left in {self._pool} for the network of the run", hint=hint)
            return found

    def _row(self, run: RunId) -> NetworkRow | None:
        with self._database.read() as tx:
            return tx.networks.of(run)

    def _known(self) -> Collection[str]:
        with self._database.read() as tx:
            return tx.networks.runs()

    def _collectable(self) -> Sequence[NetworkRow]:
        with self._database.read() as tx:
            return tx.networks.collectable()

    def _drop(self, run: RunId) -> bool:
        with self._database.write() as tx:
            return tx.networks.drop(run)

    def _labels(self, run: RunId) -> Mapping[str, str]:
        return {**self._marks, "flow.run": run}

    def _is_ours(self, network: Network) -> bool:
        return network.labels.items() >= self._marks.items()


def _subnets(networks: Iterable[Network]) -> Collection[Subnet]:
    return [Subnet(network.subnet, strict=False) for network in networks if network.subnet]
