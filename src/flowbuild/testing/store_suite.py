"""What every database must do: a class of tests, run on each that `store.database.Database` supports.

A subclass gives the fixture `url`: a database of its own for each test, up to date and without a row in it.
"""

# ruff: noqa: S101, D102, PT017  a module of tests without pytest: their names say what they check

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from flowbuild.core.commands import AcceptResult, Command, Enqueue, FinishRun, PrepareInput
from flowbuild.core.errors import FlowError, NotFound
from flowbuild.core.events import AttemptStarted, Event, RunStarted
from flowbuild.core.ids import CommitId, RunId, StepKey
from flowbuild.core.machine import create_run, decide
from flowbuild.core.model import Pipeline
from flowbuild.core.run import Run, RunContext
from flowbuild.core.states import Outcome
from flowbuild.store.attempts import AttemptKey, AttemptRow
from flowbuild.store.chat_tables import metadata
from flowbuild.store.database import HEAD, MIGRATIONS, Database
from flowbuild.store.runs import RunRow
from flowbuild.testing.claiming import claim_oldest
from flowbuild.testing.graphs import make_pipeline

ONE, TWO = RunId("01AAAAAAAAAAAAAAAAAAAAAAA1"), RunId("01AAAAAAAAAAAAAAAAAAAAAAB2")
COMMIT = CommitId("c" * 64)
A = StepKey("a")


def make_run(run: RunId = ONE, pipeline: Pipeline | None = None, now: float = 1.0) -> Run:
    """Return a run that has not begun."""
    return create_run(
        run, pipeline or make_pipeline("a b", "a>b"), context=RunContext("main"), initial_commit=COMMIT, now=now
    )


def add(
    database: Database, run: Run, *, project: str = "p", owner: str = "me", source: str = "/source", **fields: Any
) -> int:
    """Store a new run; return its number."""
    with database.write() as tx:
        number = tx.runs.next_number(project)
        tx.runs.add(RunRow(run, number, project, owner, source, dirty=True, repository="/repository", **fields))
    return number


def refused(action: Any, error: type[FlowError] = NotFound) -> str:
    """Return the message of the error that an action must raise."""
    try:
        action()
    except error as raised:
        return raised.message
    raise AssertionError(f"no {error.__name__}")


class StoreBench:
    """What suites for databases share."""

    @contextmanager
    def database(self, url: str) -> Iterator[Database]:
        database = Database(url)
        database.migrate()
        try:
            yield database
        finally:
            database.close()


class StoreSuite(StoreBench):
    """The tests."""

    def test_a_run_comes_back_as_it_was(self, url: str) -> None:
        with self.database(url) as database:
            run = make_run()
            add(database, run)
            with database.read() as tx:
                row = tx.runs.get(ONE)
            assert row == RunRow(run, 1, "p", "me", "/source", dirty=True, repository="/repository")

    def test_the_snapshot_is_the_replay_of_the_events(self, url: str) -> None:
        with self.database(url) as database:
            first = run = make_run()
            add(database, run)
            seq = 0
            happened: list[Event] = [RunStarted(), AttemptStarted(A, 1, 1, "r"), RunStarted()]
            for now, event in enumerate(happened, 2):
                run, _ = decide(run, event, now)
                with database.write() as tx:
                    seq = tx.runs.save(run, [(now, event)], seq)
            with database.read() as tx:
                row, stored = tx.runs.get(ONE), tx.runs.events(ONE)
                assert [event.seq for event in tx.runs.events(ONE, after=2)] == [3]
                assert [event.seq for event in tx.runs.events(ONE, after=0, until=2)] == [1, 2]
            replayed = first
            for entry in stored:
                replayed, _ = decide(replayed, entry.event, entry.at)
            assert row.run == replayed == run
            assert (row.last_seq, [entry.event for entry in stored]) == (3, happened)

    def test_numbers_count_within_the_project(self, url: str) -> None:
        with self.database(url) as database, ThreadPoolExecutor(8) as pool:
            runs = [make_run(RunId(f"01{number:024}")) for number in range(40)]
            numbers = list(pool.map(lambda run: add(database, run, project=f"p{int(run.id) % 2}"), runs))
            assert sorted(numbers) == sorted(2 * list(range(1, 21)))

    def test_projects_are_those_of_the_newest_runs(self, url: str) -> None:
        with self.database(url) as database:
            with database.read() as tx:
                assert tx.runs.projects() == {}
            for now, (project, source) in enumerate([("p", "/a"), ("q", "/b"), ("r", "/a"), ("q", "/c")], 1):
                add(database, make_run(RunId(f"01{now:024}"), now=now), project=project, source=source)
            with database.read() as tx:
                assert tx.runs.projects() == {"/a": "r", "/b": "q", "/c": "q"}

    def test_find(self, url: str) -> None:
        with self.database(url) as database:
            add(database, make_run(ONE, now=1))
            add(database, make_run(TWO, now=2))
            add(database, make_run(RunId("01ZZZZZZZZZZZZZZZZZZZZZZZZ"), now=3), project="other")
            with database.read() as tx:
                assert tx.runs.find("p", "last") == TWO
                assert tx.runs.find("p", "1") == ONE
                assert tx.runs.find("p", ONE) == tx.runs.find(None, ONE.lower()) == ONE
                assert tx.runs.find("p", "01z").startswith("01Z")
                assert "more than one" in refused(lambda: tx.runs.find("p", "01A"))
                assert "more than one" in refused(lambda: tx.runs.find(None, "1"))
                for nothing in (
                    "",
                    "3",
                    "²",
                    "٣",
                    "%",
                    "_",
                    "01A%",
                    "x" * 1000,
                    "-1",
                    "0",
                    "99999999999999999999",
                    "'",
                ):
                    assert "there is no run" in refused(lambda name=nothing: tx.runs.find("p", name)), nothing

    def test_take_over_happens_once(self, url: str) -> None:
        with self.database(url) as database, ThreadPoolExecutor(8) as pool:
            add(database, make_run(), owner="dead")

            def take(number: int) -> bool:
                with database.write() as tx:
                    return tx.runs.take_over(ONE, "dead", f"new{number}")

            assert sum(pool.map(take, range(16))) == 1

    def queue(self, database: Database, *steps: str, run: RunId = ONE, owner: str = "me") -> list[AttemptKey]:
        """Store a run and queue attempts of it, one second apart."""
        add(database, make_run(run), owner=owner)
        keys = [AttemptKey(run, StepKey(step), 1, 1) for step in steps]
        with database.write() as tx:
            for now, key in enumerate(keys):
                tx.attempts.enqueue(key, COMMIT, float(now))
        return keys

    def claim(self, database: Database, key: str, owner: str = "me", runner: str = "r") -> AttemptRow | None:
        with database.write() as tx:
            return claim_oldest(tx, runner=runner, owner=owner, request_key=key, now=10.0, lease=5.0)

    def test_first_in_first_out_and_the_same_answer_to_the_same_key(self, url: str) -> None:
        with self.database(url) as database:
            self.queue(database, "x", "b", "a")
            first = self.claim(database, "k1")
            assert first is not None
            with database.read() as tx:
                assert tx.attempts.answered(runner="r", request_key="k1") == first
                assert tx.attempts.answered(runner="s", request_key="k1") is None
                assert tx.attempts.answered(runner="r", request_key="k2") is None
            assert (first.key.step, first.state, first.lease_until) == ("x", "leased", 15.0)
            assert [row and row.key.step for row in (self.claim(database, "k2"), self.claim(database, "k3"))] == [
                "b",
                "a",
            ]
            assert self.claim(database, "k4") is None
            assert self.claim(database, "k4", owner="somebody else") is None

    def test_nobody_gets_what_another_one_has(self, url: str) -> None:
        with self.database(url) as database, ThreadPoolExecutor(8) as pool:
            keys = self.queue(database, *(f"s{number}" for number in range(12)))
            rows = list(pool.map(lambda number: self.claim(database, f"k{number}"), range(20)))
            assert {row.key for row in rows if row} == set(keys)
            assert sum(row is None for row in rows) == 8

    def test_a_higher_epoch_fences_the_older_one(self, url: str) -> None:
        with self.database(url) as database:
            (old,) = self.queue(database, "a")
            self.claim(database, "k1")
            new = AttemptKey(old.run, old.step, old.attempt, 2)
            with database.write() as tx:
                tx.attempts.request_stop(old, force=True)
                tx.attempts.enqueue(new, COMMIT, 20.0)
                tx.attempts.enqueue(old, COMMIT, 30.0)  # late: changes nothing
                assert tx.attempts.get(old) is None
            row = self.claim(database, "k1")  # the key of the old lease means nothing any more
            assert row is not None
            assert (row.key, row.stop, row.queued_at) == (new, "", 20.0)

    def test_a_stop_by_force_is_never_taken_back(self, url: str) -> None:
        with self.database(url) as database:
            (key,) = self.queue(database, "a")
            self.claim(database, "k")
            stops = []
            for force in (False, True, False):
                with database.write() as tx:
                    tx.attempts.request_stop(key, force=force)
                with database.read() as tx:
                    stops += [row.stop for row in tx.attempts.live(owner="me")]
            assert stops == ["graceful", "force", "force"]

    def test_what_is_withdrawn_is_not_handed_out(self, url: str) -> None:
        with self.database(url) as database:
            (key,) = self.queue(database, "a")
            with database.write() as tx:
                tx.attempts.request_stop(key, force=False)
            assert self.claim(database, "k") is None

    def test_details_are_merged(self, url: str) -> None:
        with self.database(url) as database:
            (key,) = self.queue(database, "a")
            with database.write() as tx:
                tx.attempts.detail(key, {"phases": {"run": 1.5}, "node": "n"})
                tx.attempts.detail(key, {"phases": {"run": 2.5}})
            with database.read() as tx:
                assert tx.attempts.of_run(ONE)[0].details == {"phases": {"run": 2.5}, "node": "n"}

    def test_effects_stay_until_they_are_done(self, url: str) -> None:
        commands: list[Command] = [
            PrepareInput(A, ()),
            AcceptResult(A, 1, 1, COMMIT),
            Enqueue(A, 1, 1, COMMIT),
            FinishRun(),
        ]
        with self.database(url) as database:
            add(database, make_run())
            with database.write() as tx:
                tx.outbox.put(ONE, commands)
            for _ in range(2):
                with database.read() as tx:
                    pending = tx.outbox.pending("me")
                    assert tx.outbox.pending("somebody else") == []
                assert [command for _, _, command in pending] == commands
            with database.write() as tx:
                tx.outbox.done(pending[0][0])
            with database.read() as tx:
                assert [command for _, _, command in tx.outbox.pending("me")] == commands[1:]

    def test_timers(self, url: str) -> None:
        with self.database(url) as database:
            add(database, make_run())
            with database.write() as tx:
                for name, at in (("x", 30.0), ("y", 10.0), ("x", 20.0)):
                    tx.timers.set(ONE, name, at)
            with database.write() as tx:
                assert (tx.timers.due("me", 9.999), tx.timers.next_at("me")) == ([], 10.0)
                assert tx.timers.due("me", 20.0) == [(ONE, "y"), (ONE, "x")]
                assert (tx.timers.due("other", 99.0), tx.timers.next_at("other")) == ([], None)
                tx.timers.clear(ONE, "y")
                assert tx.timers.due("me", 99.0) == [(ONE, "x")]
                assert [tx.timers.of_run(run) for run in (ONE, TWO)] == [[("x", 20.0)], []]
                tx.timers.clear(ONE)
                assert tx.timers.next_at("me") is None

    def test_locks_are_first_come_first_served_across_runs(self, url: str) -> None:
        with self.database(url) as database:
            add(database, make_run(ONE))
            add(database, make_run(TWO))
            b = StepKey("b")
            with database.write() as tx:
                assert [tx.locks.join("qa", ONE, A), tx.locks.join("qa", TWO, A), tx.locks.join("qa", ONE, b)] == [
                    True,
                    False,
                    False,
                ]
                assert tx.locks.join("qa", ONE, A)  # again: still in front
                assert tx.locks.join("prod", TWO, A)
                assert tx.locks.holder("qa") == (ONE, A)
                assert tx.locks.leave("qa", ONE, b) == [(ONE, A), (TWO, A)]
                assert tx.locks.leave("qa", ONE, A) == [(TWO, A)]
                assert tx.locks.leave("qa", ONE, A) == [(TWO, A)]
                assert tx.locks.leave("qa", TWO, A) == []
                assert tx.locks.holder("qa") is None

    def test_what_was_deployed_where(self, url: str) -> None:
        with self.database(url) as database:
            for number, run in enumerate((ONE, TWO), start=1):
                assert add(database, make_run(run)) == number
                with database.write() as tx:
                    tx.locks.join("p:qa", run, A)
                    tx.deployments.began(run, A, "qa", 10.0 * number)
                    tx.deployments.began(run, A, "qa", 99.0)  # again: it has it already
                    tx.attempts.enqueue(AttemptKey(run, A, 1, 1), COMMIT, 0.0)
            with database.write() as tx:
                end = partial(tx.attempts.finish, reason=None, message="", exit_code=None, commit=None, now=11.0)
                end(AttemptKey(ONE, A, 1, 1), outcome=Outcome.SUCCEEDED)
                end(AttemptKey(TWO, A, 1, 1), outcome=Outcome.ERRORED)
                tx.attempts.enqueue(AttemptKey(TWO, A, 2, 2), COMMIT, 0.0)
            with database.read() as tx:
                latest, deployed = (tx.deployments.latest("p", "qa", succeeded=each) for each in (False, True))
                assert tx.deployments.environments("p") == ["qa"]
                assert [(each.line, each.number) for each in tx.deployments.lines("p")] == [("p:qa", 1), ("p:qa", 2)]
                assert [*tx.deployments.environments("another"), *tx.deployments.lines("another")] == []
                assert tx.deployments.latest("another", "qa") is tx.deployments.latest("p", "prod") is None
            assert latest is not None
            assert deployed is not None
            assert (latest.number, latest.at, latest.outcome) == (2, 20.0, None), "its last attempt goes on"
            assert (deployed.number, deployed.at, deployed.outcome) == (1, 10.0, Outcome.SUCCEEDED)

    def test_nothing_is_kept_of_a_transaction_that_failed(self, url: str) -> None:
        with self.database(url) as database:
            add(database, make_run())
            for error in (KeyError(), KeyboardInterrupt()):
                try:
                    with database.write() as tx:
                        tx.timers.set(ONE, "x", 1.0)
                        raise error
                except (KeyError, KeyboardInterrupt):
                    pass
            with database.read() as tx:
                assert tx.timers.next_at("me") is None

    def test_readers_that_become_writers_all_succeed(self, url: str) -> None:
        """The pattern that fails with "database is locked" under a deferred BEGIN (see the negative control)."""
        with self.database(url) as database, ThreadPoolExecutor(16) as pool:

            def count(_: int) -> None:
                for _ in range(50):
                    with database.write() as tx:
                        value = int(tx.setting("count", "0"))
                        tx._connection.execute(  # noqa: SLF001
                            text("UPDATE meta SET value = :value WHERE key = 'count'"), {"value": str(value + 1)}
                        )

            list(pool.map(count, range(16)))
            with database.read() as tx:
                assert tx.setting("count", "") == "800"

    def test_an_event_loop_may_not_be_blocked(self, url: str) -> None:
        async def main() -> None:
            for use in (database.read, database.write):
                try:
                    with use():
                        pass
                except AssertionError as error:
                    assert "from a thread" in str(error)
                else:
                    raise RuntimeError("no error")

        with self.database(url) as database:
            asyncio.run(main())

    def test_head_is_the_newest_migration(self, url: str) -> None:  # noqa: ARG002
        assert ScriptDirectory(str(MIGRATIONS)).get_heads() == [HEAD]

    def test_migrations_make_what_the_tables_say(self, url: str) -> None:
        with self.database(url) as database, database._engine.connect() as connection:  # noqa: SLF001
            assert compare_metadata(MigrationContext.configure(connection), metadata) == []
