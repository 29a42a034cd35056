"""What every database must do about the queue; see `testing.store_suite`."""

# ruff: noqa: S101, D102  a module of tests without pytest: their names say what they check

from __future__ import annotations

from collections.abc import Iterable

from flowbuild.core.ids import RunId, StepKey
from flowbuild.core.placement import UNDECIDED, Amounts, Needs
from flowbuild.store.attempts import AttemptKey
from flowbuild.store.database import Database
from flowbuild.store.queue import DEEP
from flowbuild.store.tables import attempts
from flowbuild.testing.store_suite import COMMIT, ONE, TWO, StoreBench, add, make_run

LARGE = Needs(amounts=Amounts(cpus=4.0))


def queued(database: Database, run: RunId, times: Iterable[float], needs: Needs | None = None, warm: str = "") -> None:
    """Queue an attempt of a run at each of the times."""
    with database.write() as tx:
        for at in times:
            key = AttemptKey(run, StepKey(f"s{at:.0f}{warm}{'f' if needs else ''}"), 1, 1)
            tx.attempts.enqueue(key, COMMIT, at, needs or Needs(), warm)


def heads(database: Database, owner: str = "me", *, served: bool = False) -> list[str]:
    """Return the steps of the heads of the queue."""
    with database.read() as tx:
        return [head.key.step for head in tx.queue.heads(owner, served=served)]


def names(times: Iterable[float], suffix: str = "") -> list[str]:
    """Return the names of the steps that `queued` queues."""
    return [f"s{at}{suffix}" for at in times]


class QueueSuite(StoreBench):
    """The tests."""

    def test_of_those_that_differ_in_nothing_but_their_age_the_oldest_are_heads(self, url: str) -> None:
        with self.database(url) as database:
            add(database, make_run())
            queued(database, ONE, range(20, 10, -1))
            queued(database, ONE, range(30, 50), LARGE)
            queued(database, ONE, range(50, 52), warm="m1")
            expected = names(range(11, 11 + DEEP)) + names(range(30, 30 + DEEP), "f") + names(range(50, 52), "m1")
            assert heads(database) == expected
            assert heads(database, "you") == []

    def test_what_was_queued_at_one_moment_has_the_order_of_its_names(self, url: str) -> None:
        with self.database(url) as database:
            add(database, make_run())
            with database.write() as tx:
                for name in "hgfedcba":
                    tx.attempts.enqueue(AttemptKey(ONE, StepKey(name), 1, 1), COMMIT, 1.0)
            assert heads(database) == list("abcd")

    def test_a_run_that_changes_hands_stands_with_those_of_its_new_owner(self, url: str) -> None:
        with self.database(url) as database:
            add(database, make_run())
            add(database, make_run(TWO), owner="you")
            queued(database, ONE, range(0, 20, 2))
            queued(database, TWO, range(1, 20, 2))
            assert heads(database) == names([0, 2, 4, 6])
            with database.write() as tx:
                assert tx.runs.take_over(TWO, "you", "me")
            assert heads(database) == names([0, 1, 2, 3])
            assert heads(database, "you") == []

    def test_a_run_whose_network_is_settled_stands_with_those_that_have_the_same(self, url: str) -> None:
        with self.database(url) as database:
            for run, network in ((ONE, UNDECIDED), (TWO, "m1")):
                add(database, make_run(run), network=network)
            queued(database, ONE, range(0, 20, 2))
            queued(database, TWO, range(1, 20, 2))
            assert heads(database) == names(range(8))
            with database.write() as tx:
                tx.queue.settle_network(ONE, "m1")
            assert heads(database) == names(range(4))
            with database.read() as tx:
                assert {head.network for head in tx.queue.heads("me", served=False)} == {"m1"}

    def test_runs_of_other_servers_are_in_it_for_who_serves(self, url: str) -> None:
        with self.database(url) as database:
            add(database, make_run())
            add(database, make_run(TWO), owner="you", served=True)
            queued(database, ONE, [0, 2])
            queued(database, TWO, [1, 3])
            assert heads(database) == names([0, 2])
            with database.read() as tx:
                found = [(head.key.step, head.mine) for head in tx.queue.heads("me", served=True)]
            assert found == [("s0", True), ("s1", False), ("s2", True), ("s3", False)]

    def test_what_a_server_of_an_earlier_version_queued_is_found(self, url: str) -> None:
        with self.database(url) as database:
            add(database, make_run())
            queued(database, ONE, range(4))
            with database.write() as tx:
                tx._connection.execute(attempts.update().where(attempts.c.step == "s1").values(kind=""))  # noqa: SLF001 (as that version does it)
            assert heads(database) == names(range(4))

    def test_what_is_to_stop_and_what_somebody_has_does_not_wait(self, url: str) -> None:
        with self.database(url) as database:
            add(database, make_run())
            queued(database, ONE, range(6))
            with database.write() as tx:
                tx.attempts.request_stop(AttemptKey(ONE, StepKey("s0"), 1, 1), force=False)
                key = AttemptKey(ONE, StepKey("s1"), 1, 1)
                assert tx.attempts.take(key, runner="r/1", request_key="k", now=9.0, lease=9.0)
            assert heads(database) == names(range(2, 6))
