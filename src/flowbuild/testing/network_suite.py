"""What every database must do about networks of runs across machines; see `testing.store_suite`."""

# ruff: noqa: S101, D102  a module of tests without pytest: their names say what they check

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Network
from threading import Barrier

from flowbuild.core.ids import RunId
from flowbuild.core.states import RunState
from flowbuild.store.database import Database
from flowbuild.store.networks import NetworkRow
from flowbuild.store.tables import runs
from flowbuild.testing.store_suite import ONE, TWO, StoreBench, add, make_run

POOL, PREFIX = IPv4Network("10.224.0.0/22"), 25  # eight of them


class NetworkSuite(StoreBench):
    """The tests."""

    def stored(self, database: Database, count: int) -> list[RunId]:
        """Store runs; return their ids."""
        made = [RunId(f"01AAAAAAAAAAAAAAAAAAAAAA{number:02}") for number in range(count)]
        for run in made:
            add(database, make_run(run))
        return made

    def allocate(self, database: Database, run: RunId, *taken: str) -> NetworkRow | None:
        with database.write() as tx:
            tx.runs.lock(run)
            return tx.networks.allocate(run, POOL, PREFIX, [IPv4Network(subnet) for subnet in taken])

    def end(self, database: Database, run: RunId) -> None:
        """Let a run be over, as far as lists of runs know."""
        with database.write() as tx:
            query = runs.update().where(runs.c.id == run).values(state=RunState.FAILED)
            tx._connection.execute(query)  # noqa: SLF001  no more of a run than what is looked at here

    def test_a_run_keeps_its_subnet_until_it_is_dropped(self, url: str) -> None:
        with self.database(url) as database:
            self.stored(database, 1)
            add(database, make_run(ONE))
            with database.read() as tx:
                assert tx.networks.of(ONE) is None
            found = self.allocate(database, ONE)
            assert found is not None
            assert IPv4Network(found.subnet).subnet_of(POOL)
            assert IPv4Network(found.subnet).prefixlen == PREFIX
            assert self.allocate(database, ONE) == found
            with database.read() as tx:
                assert tx.networks.of(ONE) == found
                assert tx.networks.runs() == {ONE}
            with database.write() as tx:
                assert tx.networks.drop(ONE)
                assert not tx.networks.drop(ONE)
                assert tx.networks.of(ONE) is None

    def test_a_pool_ends(self, url: str) -> None:
        with self.database(url) as database:
            *first, last = self.stored(database, 9)
            rows = [self.allocate(database, run) for run in first]
            assert len({row.subnet for row in rows if row is not None}) == 8
            assert self.allocate(database, last) is None
            with database.write() as tx:
                tx.networks.drop(first[3])
            freed = self.allocate(database, last)
            assert freed is not None
            assert rows[3] is not None
            assert freed.subnet == rows[3].subnet

    def test_subnets_of_others_are_avoided(self, url: str) -> None:
        with self.database(url) as database:
            one, two = self.stored(database, 2)
            taken = ("10.224.0.0/23", "10.224.2.0/25", "10.224.2.130/32", "192.168.0.0/16", "10.224.3.128/25")
            found = self.allocate(database, one, *taken)
            assert found == NetworkRow(one, "10.224.3.0/25")
            assert self.allocate(database, two, *taken) is None

    def test_claims_at_the_same_time_never_get_the_same(self, url: str) -> None:
        with self.database(url) as database:
            made = self.stored(database, 12)
            barrier = Barrier(6)

            def allocate(run: RunId) -> NetworkRow | None:
                barrier.wait()
                return self.allocate(database, run)

            with ThreadPoolExecutor(6) as pool:
                rows = [row for row in pool.map(allocate, made) if row is not None]
            assert len(rows) == len({row.subnet for row in rows}) == 8
            with database.read() as tx:
                assert tx.networks.runs() == {row.run for row in rows}

    def test_what_is_collected_is_over_and_left_by_all_runners(self, url: str) -> None:
        with self.database(url) as database:
            for run in (ONE, TWO):
                add(database, make_run(run))
                self.allocate(database, run)
            with database.write() as tx:
                tx.leftovers.add("builder", ONE)
                tx.leftovers.add("other", ONE)
                assert tx.networks.collectable() == []
            self.end(database, ONE)
            with database.write() as tx:
                assert tx.networks.collectable() == []  # containers of it may still be there
                tx.leftovers.forget("builder", ONE)
                assert tx.networks.collectable() == []
                tx.leftovers.forget("other", ONE)
                assert tx.networks.collectable() == [tx.networks.of(ONE)]
            self.end(database, TWO)
            with database.read() as tx:
                assert [row.run for row in tx.networks.collectable()] == [ONE, TWO]
