"""Which runs have a network across machines, and which addresses it has."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Select, select

from flowbuild.core.ids import RunId
from flowbuild.core.subnets import Subnet, free_subnets
from flowbuild.store.run_lists import OPEN_STATES
from flowbuild.store.server_tables import leftovers, networks
from flowbuild.store.sharing import insert_once, serialise
from flowbuild.store.tables import runs


@dataclass(frozen=True, slots=True)
class NetworkRow:
    """The network of a run."""

    run: RunId
    subnet: str


class Networks:
    """The `networks` table: a row for each run that has one, or will have it at once, or had it and it is not removed yet."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of(self, run: RunId) -> NetworkRow | None:
        """Return the network of a run."""
        subnet = self._connection.execute(select(networks.c.subnet).where(networks.c.run_id == run)).scalar()
        return None if subnet is None else NetworkRow(run, subnet)

    def allocate(self, run: RunId, pool: Subnet, prefix: int, taken: Collection[Subnet] = ()) -> NetworkRow | None:
        """Give a run, which this transaction has locked, a subnet of `prefix` bits that overlaps none of `taken`.

        Returns what it has already, if it does; None when the pool is used up. Nobody is waited for: a subnet that another
        transaction is about to take is passed over.
        """
        found = self.of(run)
        if found is not None:
            return found
        given = {Subnet(subnet) for subnet in self._connection.execute(select(networks.c.subnet)).scalars()}
        for subnet in free_subnets(pool, prefix, [*given, *taken], run):
            row = {"run_id": run, "subnet": str(subnet)}
            mine = serialise(self._connection, f"network {subnet}", wait=False)
            if mine and insert_once(self._connection, networks, row):
                return NetworkRow(run, str(subnet))
        return None

    def drop(self, run: RunId) -> bool:
        """Forget the network of a run: it is removed, and its addresses are free. False when there was none."""
        return bool(self._connection.execute(networks.delete().where(networks.c.run_id == run)).rowcount)

    def runs(self) -> frozenset[RunId]:
        """Return the runs that have one."""
        return frozenset(RunId(run) for run in self._connection.execute(select(networks.c.run_id)).scalars())

    def collectable(self) -> Sequence[NetworkRow]:
        """Return the networks of runs that are over and of which no runner has anything any more."""
        return [NetworkRow(RunId(row.run_id), row.subnet) for row in self._connection.execute(collectable())]


def collectable() -> Select[tuple[str, str]]:
    """See Networks.collectable."""
    left = select(leftovers.c.runner).where(leftovers.c.run_id == networks.c.run_id)
    return (
        select(networks.c.run_id, networks.c.subnet)
        .join(runs, runs.c.id == networks.c.run_id)
        .where(runs.c.state.not_in(OPEN_STATES), ~left.exists())
        .order_by(networks.c.run_id)
    )
