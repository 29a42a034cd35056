"""What every database must do about leases and runners; see `testing.store_suite`."""

# ruff: noqa: S101, D102  a module of tests without pytest: their names say what they check

from __future__ import annotations

from dataclasses import replace

from flowbuild.core.ids import EMBEDDED, StepKey
from flowbuild.core.states import Outcome, RunState
from flowbuild.store.attempts import AttemptKey, AttemptRow
from flowbuild.store.database import Database, Transaction
from flowbuild.store.runners import RunnerRow
from flowbuild.testing.claiming import claim_oldest
from flowbuild.testing.store_suite import COMMIT, ONE, TWO, StoreBench, add, make_run


def finish(tx: Transaction, key: AttemptKey) -> None:
    """Record the end of an attempt."""
    tx.attempts.finish(key, outcome=Outcome.FAILED, reason=None, message="m", exit_code=3, commit=None, now=21)


class LeaseSuite(StoreBench):
    """The tests."""

    def queue(self, database: Database, *steps: str) -> list[AttemptKey]:
        """Store a run and queue attempts of it, one second apart."""
        add(database, make_run())
        keys = [AttemptKey(ONE, StepKey(step), 1, 1) for step in steps]
        with database.write() as tx:
            for now, key in enumerate(keys):
                tx.attempts.enqueue(key, COMMIT, float(now))
        return keys

    def claim(self, database: Database, key: str, runner: str) -> AttemptRow | None:
        with database.write() as tx:
            return claim_oldest(tx, runner=runner, owner="me", request_key=key, now=10.0, lease=5.0)

    def test_orphans_go_to_the_next_life_of_their_runner(self, url: str) -> None:
        self.check_orphans(url, "builder", strangers=1)  # it has what it has, whoever drives the run

    def test_orphans_of_the_embedded_runner_are_those_of_its_owner(self, url: str) -> None:
        self.check_orphans(url, EMBEDDED, strangers=0)

    def check_orphans(self, url: str, name: str, *, strangers: int) -> None:
        with self.database(url) as database:
            (key,) = self.queue(database, "a")
            self.claim(database, "k", runner=f"{name}/1")
            with database.write() as tx:
                tx.attempts.launched(key, 11.0)
                assert tx.attempts.orphans(runner="another/2", owner="me") == []
                assert len(tx.attempts.orphans(runner=f"{name}/2", owner="somebody else")) == strangers
                assert tx.attempts.orphans(runner=f"{name}/1", owner="me") == []
                found = tx.attempts.adopt(runner=f"{name}/2", owner="me", request_key="l", now=20.0)
                assert found is not None
                assert (found.key, found.state) == (key, "launched")
                again = tx.attempts.answered(runner=f"{name}/2", request_key="l")
                assert again is not None
                assert (again.key, again.state, again.lease_until) == (key, "launched", 25.0)
                assert tx.attempts.adopt(runner=f"{name}/2", owner="me", request_key="m", now=20.0) is None
                finish(tx, key)
                assert tx.attempts.adopt(runner=f"{name}/3", owner="me", request_key="n", now=22.0) is None

    def test_in_a_restored_database_any_life_of_a_runner_has_what_it_had(self, url: str) -> None:
        with self.database(url) as database:
            mine, other = self.queue(database, "a", "b")
            self.claim(database, "k", runner="one/1")
            self.claim(database, "l", runner="two/1")
            with database.write() as tx:
                tx.attempts.forget_lives()
                assert [row.key for row in tx.attempts.held("one/7")] == [mine]
                tx.attempts.renew("one/7", [mine, other], 30.0)
                assert [row.key for row in tx.attempts.overdue("me", 20.0)] == [other]
                found = tx.attempts.adopt(runner="one/7", owner="me", request_key="m", now=31.0)
                assert found is not None
                assert found.key == mine
                assert tx.attempts.held("one/1") == [], "it has been adopted: now the life is known"

    def test_leases_run_out_unless_they_are_renewed(self, url: str) -> None:
        with self.database(url) as database:
            keys = self.queue(database, "a", "b", "c")
            for number, runner in enumerate(("one/1", "one/1", "local/1")):
                self.claim(database, f"k{number}", runner=runner)
            with database.write() as tx:
                assert tx.attempts.next_overdue("me") == 15.0
                assert tx.attempts.overdue("me", 14.9) == []
                tx.attempts.prolong(keys[1], 10.0, 100.0)
                tx.attempts.renew("one/1", [keys[0], AttemptKey(ONE, StepKey("a"), 1, 2)], 12.0)
                tx.attempts.renew("one/2", keys, 50.0)  # not its leases
                assert [row.key for row in tx.attempts.overdue("me", 17.0)] == [keys[0]]
                assert {row.key for row in tx.attempts.overdue("me", 110.0)} == set(
                    keys[:2]
                )  # never the embedded one's
                assert tx.attempts.overdue("somebody else", 110.0) == []
                tx.attempts.renew_all("somebody else", 200.0)
                assert tx.attempts.next_overdue("me") == 17.0
                tx.attempts.renew_all("me", 200.0)
                assert tx.attempts.next_overdue("me") == 205.0
                assert {row.lease_until for row in tx.attempts.held("one/1")} == {205.0, 300.0}
                tx.attempts.renew_run(TWO, 300.0)
                assert tx.attempts.next_overdue("me") == 205.0
                tx.attempts.renew_run(ONE, 300.0)
                assert tx.attempts.next_overdue("me") == 305.0
                tx.attempts.let_run_out("local")
                assert tx.attempts.next_overdue("me") == 305.0
                tx.attempts.let_run_out("one")
                assert len(tx.attempts.overdue("me", 0.0)) == 2
                tx.attempts.renew("one/1", keys, 400.0)  # a heartbeat that was under way
                tx.attempts.renew_run(ONE, 400.0)
                tx.attempts.renew_all("me", 400.0)
                assert len(tx.attempts.overdue("me", 0.0)) == 2
                finish(tx, keys[0])
                finish(tx, keys[1])
                assert tx.attempts.next_overdue("me") is None

    def test_leftovers_are_told_until_they_are_forgotten(self, url: str) -> None:
        with self.database(url) as database:
            add(database, make_run(), owner="me")
            with database.write() as tx:
                for runner in ("local", "one"):
                    tx.leftovers.add(runner, ONE)
                    tx.leftovers.add(runner, ONE)  # again is no error
                assert tx.leftovers.of_ended("one", None) == []
                tx.leftovers.end(ONE)
                assert tx.leftovers.of_ended("one", None) == tx.leftovers.of_ended("local", "me") == [ONE]
                assert tx.leftovers.of_ended("local", "somebody else") == tx.leftovers.of_ended("two", None) == []
                tx.leftovers.forget("one", ONE)
                assert tx.leftovers.of_ended("one", None) == []
                assert not tx.leftovers.has("one", ONE)
                tx.leftovers.clear("local", ["somebody else"])  # the run is not final
                assert tx.leftovers.has("local", ONE)
                row = tx.runs.get(ONE)
                tx.runs.save(replace(row.run, state=RunState.FAILED), [], 0)
                tx.leftovers.clear("local", ["me"])
                assert tx.leftovers.has("local", ONE)
                tx.leftovers.clear("local", ["somebody else"])
                assert not tx.leftovers.has("local", ONE)

    def test_a_code_registers_one_runner(self, url: str) -> None:
        with self.database(url) as database, database.write() as tx:
            tx.runners.add_code("c", by="ada", now=1.0, expires_at=10.0)
            assert not tx.runners.use_code("d", 2.0)
            assert not tx.runners.use_code("c", 10.0)
            assert tx.runners.use_code("c", 2.0)
            assert not tx.runners.use_code("c", 2.0)

    def test_runners(self, url: str) -> None:
        with self.database(url) as database, database.write() as tx:
            row = RunnerRow("1", "one", "hash", 2, "active", 3.0, {"arch": "arm"}, {"cpus": 4})
            tx.runners.add(row)
            assert tx.runners.by_key("hash") == tx.runners.by_name("one") == row
            assert tx.runners.by_key("other") is None
            tx.runners.seen("one", 5.0)
            tx.runners.describe("one", life="1", capacity=7, facts={"cpus": 8})
            tx.runners.set_state("one", "draining")
            assert state(tx, "one") == "draining"
            changed = replace(row, seen_at=5.0, life="1", capacity=7, facts={"cpus": 8}, state="draining")
            assert tx.runners.all() == [changed]
            tx.runners.add(replace(row, id="2", key_hash="new"))
            assert [each.id for each in tx.runners.all()] == ["2"]
            assert state(tx, "one") == "active"
            assert state(tx, "two") is None

    def test_the_runner_inside_a_server(self, url: str) -> None:
        with self.database(url) as database, database.write() as tx:
            assert state(tx, EMBEDDED) is None
            tx.runners.embed("1", 3.0, capacity=2, facts={"cpus": 4})
            (row,) = tx.runners.all()
            assert (row.embedded, row.id, row.state, row.capacity, row.facts) == (True, "1", "active", 2, {"cpus": 4})
            tx.runners.set_state(EMBEDDED, "draining")
            tx.runners.embed("2", 9.0, capacity=5, facts={"cpus": 8})
            (row,) = tx.runners.all()
            assert (row.id, row.created_at, row.capacity, row.facts) == ("1", 3.0, 5, {"cpus": 8})
            assert state(tx, EMBEDDED) == "draining"


def state(tx: Transaction, name: str) -> str | None:
    """Return the state of a runner, None when there is none of that name."""
    row = tx.runners.by_name(name)
    return None if row is None else row.state
