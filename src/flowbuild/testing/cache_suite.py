"""What the step cache asks of every database: a class of tests, as `store_suite.StoreSuite`."""

# ruff: noqa: S101, D102  a module of tests without pytest: their names say what they check

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import delete

from flowbuild.core.cache import Origin
from flowbuild.core.ids import RunId, StepKey
from flowbuild.core.states import Outcome
from flowbuild.store.attempts import AttemptKey
from flowbuild.store.cache import Recorded, Scope
from flowbuild.store.database import Database
from flowbuild.store.tables import runs
from flowbuild.testing.store_suite import COMMIT, ONE, TWO, StoreBench, add, make_run

SCOPE = Scope("p", "trusted")
A = StepKey("a")


class CacheSuite(StoreBench):
    """The tests."""

    def finished(
        self, database: Database, run: RunId, *, commit: str | None = "d" * 64, attempt: int = 1
    ) -> AttemptKey:
        """Store an attempt that ended well at the time of its number."""
        key = AttemptKey(run, A, attempt, 1)
        with database.write() as tx:
            tx.attempts.enqueue(key, COMMIT, 1.0)
            tx.attempts.detail(key, {"images": {"main": "image@sha256:1"}})
            tx.attempts.finish(
                key,
                outcome=Outcome.SUCCEEDED,
                reason=None,
                message="",
                exit_code=0,
                commit=commit,
                now=float(attempt),
            )
        return key

    def put(self, database: Database, key: AttemptKey, *, scope: Scope = SCOPE, name: str = "k") -> None:
        with database.write() as tx:
            tx.cache.put(scope, name, key)

    def whose(self, database: Database, *, scope: Scope = SCOPE, name: str = "k") -> Origin | None:
        with database.read() as tx:
            found = tx.cache.get(scope, name)
        return found.origin if found else None

    def test_a_recorded_result_says_all_that_a_replay_needs(self, url: str) -> None:
        with self.database(url) as database:
            add(database, make_run(ONE))
            self.put(database, self.finished(database, ONE, attempt=2))
            with database.read() as tx:
                found = tx.cache.get(SCOPE, "k")
            origin = Origin(ONE, 1, "a", 2, 2.0)
            assert found == Recorded(origin, "/repository", COMMIT, "d" * 64, 0, {"main": "image@sha256:1"})
            assert self.whose(database, name="other") is None

    def test_nobody_sees_the_results_of_another_scope(self, url: str) -> None:
        with self.database(url) as database:
            add(database, make_run(ONE))
            self.put(database, self.finished(database, ONE))
            assert self.whose(database) is not None
            assert self.whose(database, scope=Scope("other", "trusted")) is None
            assert self.whose(database, scope=Scope("p", "untrusted")) is None

    def test_the_latest_wins(self, url: str) -> None:
        with self.database(url) as database:
            add(database, make_run(ONE))
            add(database, make_run(TWO))
            self.put(database, self.finished(database, ONE))
            self.put(database, self.finished(database, TWO))
            assert self.whose(database) == Origin(TWO, 2, "a", 1, 1.0)

    def test_of_many_that_record_at_once_one_stands(self, url: str) -> None:
        with self.database(url) as database, ThreadPoolExecutor(8) as pool:
            add(database, make_run(ONE))
            keys = [self.finished(database, ONE, attempt=number) for number in range(1, 17)]
            list(pool.map(lambda key: self.put(database, key), keys))
            found = self.whose(database)
            assert found is not None
            assert found.attempt in range(1, 17)

    def test_only_that_result_is_dropped(self, url: str) -> None:
        with self.database(url) as database:
            add(database, make_run(ONE))
            add(database, make_run(TWO))
            self.put(database, self.finished(database, ONE))
            stale = self.whose(database)
            assert stale is not None
            self.put(database, self.finished(database, TWO))  # between the look and the drop
            with database.write() as tx:
                tx.cache.drop(SCOPE, "k", stale)
            newer = self.whose(database)
            assert newer is not None
            with database.write() as tx:
                tx.cache.drop(Scope("other", "trusted"), "k", newer)
                tx.cache.drop(SCOPE, "other", newer)
            assert self.whose(database) == newer
            with database.write() as tx:
                tx.cache.drop(SCOPE, "k", newer)
            assert self.whose(database) is None

    def test_a_run_that_is_removed_takes_its_results_along(self, url: str) -> None:
        with self.database(url) as database:
            add(database, make_run(ONE))
            self.put(database, self.finished(database, ONE))
            with database.write() as tx:
                tx._connection.execute(delete(runs).where(runs.c.id == ONE))  # noqa: SLF001
                assert tx.cache.get(SCOPE, "k") is None

    def test_an_attempt_without_a_result_stands_for_nothing(self, url: str) -> None:
        with self.database(url) as database:
            add(database, make_run(ONE))
            self.put(database, self.finished(database, ONE, commit=None))
            assert self.whose(database) is None
