"""SQLite keeps the contract of the store; and what would go wrong without our care."""

import itertools
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import pytest
from alembic import command
from alembic.config import Config
from alembic.operations import Operations
from sqlalchemy import column, insert, table

from flowbuild.core.errors import StoreError
from flowbuild.store.attempts import AttemptKey
from flowbuild.store.cache import Scope
from flowbuild.store.codec import dump_pipeline, dump_run
from flowbuild.store.database import MIGRATIONS, Database
from flowbuild.store.queue import DEEP
from flowbuild.store.run_lists import RunFilter
from flowbuild.testing.cache_suite import CacheSuite
from flowbuild.testing.chat_suite import ChatSuite
from flowbuild.testing.databases import fill
from flowbuild.testing.lease_suite import LeaseSuite
from flowbuild.testing.message_suite import MessageSuite
from flowbuild.testing.network_suite import NetworkSuite
from flowbuild.testing.people_suite import PeopleSuite
from flowbuild.testing.project_suite import ProjectSuite
from flowbuild.testing.queue_suite import QueueSuite, heads, queued
from flowbuild.testing.run_list_suite import RunListSuite
from flowbuild.testing.store_suite import ONE, StoreBench, StoreSuite, add, make_run
from flowbuild.testing.trigger_suite import TriggerSuite


@pytest.fixture
def url(tmp_path):
    fill(tmp_path / "flow.db")
    return f"sqlite:///{tmp_path / 'flow.db'}"


@pytest.fixture
def empty(tmp_path):
    """A database that no migration has seen."""
    return f"sqlite:///{tmp_path / 'empty.db'}"


class TestSqlite(StoreSuite):
    pass


class TestSqliteLeases(LeaseSuite):
    pass


class TestSqliteQueue(QueueSuite):
    pass


class TestSqliteCache(CacheSuite):
    pass


class TestSqliteTriggers(TriggerSuite):
    pass


class TestSqlitePeople(PeopleSuite):
    pass


class TestSqliteChat(ChatSuite):
    pass


class TestSqliteProjects(ProjectSuite):
    pass


class TestSqliteRunLists(RunListSuite):
    pass


class TestSqliteNetworks(NetworkSuite):
    pass


class TestSqliteMessages(MessageSuite):
    pass


def test_a_deferred_begin_loses_writes(tmp_path):
    """Negative control of `test_readers_that_become_writers_all_succeed`."""
    path = tmp_path / "deferred.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript("PRAGMA journal_mode=WAL; CREATE TABLE t (n); INSERT INTO t VALUES (0)")

    def count(_):
        lost = 0
        with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection:
            for _ in range(50):
                connection.execute("BEGIN DEFERRED")
                try:
                    (value,) = connection.execute("SELECT n FROM t").fetchone()
                    connection.execute("UPDATE t SET n = ?", (value + 1,))
                except sqlite3.OperationalError:
                    lost += 1
                    connection.execute("ROLLBACK")
                else:
                    connection.execute("COMMIT")
        return lost

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(count, range(16))) > 0


TABLES = 35  # the migrations make, all together


@pytest.mark.parametrize("tables", range(TABLES + 1))
def test_a_program_that_dies_in_a_migration_leaves_nothing_half_done(empty, monkeypatch, tables):
    class Died(BaseException):
        pass

    made = []
    create = Operations.create_table

    def create_table(self, name, *columns, **options):
        if len(made) == tables:
            raise Died
        made.append(name)
        return create(self, name, *columns, **options)

    database = Database(empty)
    with monkeypatch.context() as patched:
        patched.setattr(Operations, "create_table", create_table)
        if tables < TABLES:
            with pytest.raises(Died):
                database.migrate()
        else:
            database.migrate()  # nothing is left to die in
    database.close()
    again = Database(empty)
    again.migrate()
    add(again, make_run())
    again.close()
    assert len(made) == tables


def test_a_database_of_an_older_version_keeps_what_is_in_it(empty):
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    old = Database(empty)
    config.attributes["engine"] = old._engine
    command.upgrade(config, "0001")
    with pytest.raises(StoreError), old.write() as tx:  # the control: the table is not there yet
        tx.cache.put(Scope("p", "trusted"), "k", AttemptKey(ONE, "a", 1, 1))
    run = make_run()
    row = {
        "id": ONE,
        "number": 1,
        "project": "p",
        "pipeline": run.pipeline.name,
        "state": run.state,
        "owner": "me",
        "directory": "/source",
        "dirty": 0,
        "repository": "/repository",
        "definition": dump_pipeline(run.pipeline),
        "snapshot": dump_run(run),
        "last_seq": 0,
        "created_at": 1.0,
    }
    with old._engine.connect() as connection:  # as that version wrote it
        connection.execute(insert(table("runs", *map(column, row))).values(row))
    old.migrate()
    with old.write() as tx:
        tx.cache.put(Scope("p", "trusted"), "k", AttemptKey(ONE, "a", 1, 1))
        found = tx.runs.get(ONE)
        assert (found.number, found.run, found.trust, found.cause) == (1, run, "trusted", {})
        (line,) = tx.runs.page(RunFilter(event="manual"), None, 10)
        assert (line.id, line.actor) == (ONE, "")
    old.close()


def test_what_waits_while_the_version_changes_is_found_as_before(empty):
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with StoreBench().database(empty) as database:
        config.attributes["engine"] = database._engine
        add(database, make_run())
        queued(database, ONE, range(20))
        queued(database, ONE, range(20, 40), warm="m1")
        before = heads(database)
        command.downgrade(config, "0007")
        command.upgrade(config, "0008")
        with database.write() as tx:
            tx.attempts.enqueue(AttemptKey(ONE, "new", 1, 1), "0" * 40, 0.5)
        assert heads(database) == [before[0], "new", *before[1:3], *before[4:]]


def steps_of(database, work):
    """Return how many instructions of its machine SQLite needs for something that is read, in thousands."""
    with database.read() as tx:
        connection, count = tx._connection.connection.driver_connection, itertools.count()
        connection.set_progress_handler(lambda: next(count) and 0, 1000)
        work(tx)
        connection.set_progress_handler(None, 0)
        return next(count)


def test_the_heads_of_a_long_queue_are_found_as_fast_as_those_of_a_short_one(empty):
    with StoreBench().database(empty) as database:
        add(database, make_run())

        def find(tx):
            assert len(tx.queue.heads("me", served=False)) == 2 * DEEP

        queued(database, ONE, range(10))
        queued(database, ONE, range(10, 20), warm="m1")
        short, counted = steps_of(database, find), steps_of(database, lambda tx: tx.queue.older(oldest(tx)))
        queued(database, ONE, range(20, 3000))
        queued(database, ONE, range(3000, 6000), warm="m1")
        assert steps_of(database, find) <= short + 1
        assert steps_of(database, lambda tx: tx.queue.older(oldest(tx))) > counted + 10  # the control reads all


def oldest(tx):
    return replace(tx.queue.heads("me", served=False)[0], queued_at=1e9)


def test_programs_that_start_together(empty):
    script = f"from flowbuild.store.database import Database; Database({empty!r}).migrate()"
    started = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(3)]
    assert [process.wait() for process in started] == [0, 0, 0]


def test_a_broken_file_is_told(tmp_path, url):
    (tmp_path / "flow.db").write_bytes(b"not a database at all, but long enough to be looked at" * 50)
    database = Database(url)
    with pytest.raises(StoreError, match="schema"):
        database.migrate()
    with pytest.raises(StoreError, match="refused"), database.write() as tx:
        tx.runs.take_over(ONE, "a", "b")
    with pytest.raises(StoreError, match="read"), database.read() as tx:
        tx.runs.get(ONE)
    database.close()


def test_a_power_cut_loses_nothing(url):
    """What that takes of SQLite: every commit is on the disk, whoever wrote it."""
    with TestSqlite().database(url) as database, database._engine.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30000}


def test_a_full_disk_is_told_without_the_statement(url):
    database = Database(url)
    with database._engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")  # of this connection, which the next transaction gets
    with pytest.raises(StoreError) as caught, database.write() as tx:
        tx.setting("large", "x" * 1_000_000)
    assert caught.value.message == "the database refused a write: database or disk is full"
    assert "FLOW_HOME" in caught.value.hint
    database.close()
