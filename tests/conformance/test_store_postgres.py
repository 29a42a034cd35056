"""PostgreSQL keeps the contract of the store; and what can go wrong only where writers run side by side."""

import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from alembic.operations import Operations

from flowbuild.core.errors import StoreError
from flowbuild.core.ids import StepKey
from flowbuild.core.states import Outcome
from flowbuild.store.attempts import AttemptKey
from flowbuild.store.database import Database
from flowbuild.store.queue import DEEP
from flowbuild.testing.cache_suite import CacheSuite
from flowbuild.testing.chat_suite import CODE, HOLD, ChatSuite
from flowbuild.testing.claiming import claim_oldest
from flowbuild.testing.lease_suite import LeaseSuite
from flowbuild.testing.message_suite import MessageSuite
from flowbuild.testing.network_suite import NetworkSuite
from flowbuild.testing.people_suite import PROJECT, PeopleSuite, people
from flowbuild.testing.postgres import running
from flowbuild.testing.project_suite import ProjectSuite
from flowbuild.testing.queue_suite import QueueSuite, queued
from flowbuild.testing.run_list_suite import RunListSuite
from flowbuild.testing.store_suite import COMMIT, ONE, TWO, A, StoreBench, StoreSuite, add, make_run, refused
from flowbuild.testing.trigger_suite import TriggerSuite, delivery


@pytest.fixture
def url(postgres):
    with postgres.lent() as url:
        yield url


@pytest.fixture
def empty(postgres):
    """A database that no migration has seen."""
    return postgres.empty()


@pytest.fixture
def database(url):
    with StoreBench().database(url) as database:
        yield database


class TestPostgres(StoreSuite):
    pass


class TestPostgresLeases(LeaseSuite):
    pass


class TestPostgresQueue(QueueSuite):
    pass


class TestPostgresCache(CacheSuite):
    pass


class TestPostgresProjects(ProjectSuite):
    pass


class TestPostgresRunLists(RunListSuite):
    pass


class TestPostgresNetworks(NetworkSuite):
    pass


class TestPostgresMessages(MessageSuite):
    pass


class TestPostgresTriggers(TriggerSuite):
    pass


class TestPostgresPeople(PeopleSuite):
    pass


class TestPostgresChat(ChatSuite):
    pass


def test_without_a_lock_numbers_are_given_twice(database):
    """Negative control of `test_numbers_count_within_the_project`: a second writer reads what the first did not commit."""
    add(database, make_run(ONE))
    with database.write() as one, database.write() as two:
        newest = "SELECT max(number) FROM runs WHERE project = 'p'"
        numbers = [tx._connection.exec_driver_sql(newest).scalar() + 1 for tx in (one, two)]
    assert numbers == [2, 2]


def queue(database, *runs):
    for run in runs:
        add(database, make_run(run))
    with database.write() as tx:
        for now, run in enumerate(runs):
            tx.attempts.enqueue(AttemptKey(run, A, 1, 1), COMMIT, float(now))


def claim(tx, key, **options):
    asking = {"runner": "r", "request_key": key}
    if not tx.attempts.begin_claim(key, **options):
        return None
    return tx.attempts.answered(**asking) or claim_oldest(tx, **asking, owner="me", now=10.0, lease=5.0, **options)


def rows_read(database, work):
    """Return how many rows PostgreSQL reads from tables for something that is read, whatever it thinks of them."""
    counting = "SELECT coalesce(sum(seq_tup_read + idx_tup_fetch), 0) FROM pg_stat_xact_user_tables"
    with database.write() as tx:
        before = tx._connection.exec_driver_sql(counting).scalar()
        work(tx)
        return tx._connection.exec_driver_sql(counting).scalar() - before


def test_the_heads_of_a_long_queue_are_found_as_fast_as_those_of_a_short_one(database):
    add(database, make_run())
    queued(database, ONE, range(3000))
    queued(database, ONE, range(3000, 6000), warm="m1")

    def find(tx):
        assert len(tx.queue.heads("me", served=False)) == 2 * DEEP

    assert [rows_read(database, find) < 30 for _ in range(7)] == [
        True
    ] * 7  # from the sixth on with a plan for any values
    assert rows_read(database, lambda tx: tx.attempts.of_run(ONE)) >= 6000  # the control reads all


def test_nobody_waits_for_a_run_while_there_is_another_one(database):
    queue(database, ONE, TWO)
    with database.write() as busy:
        busy.runs.get(ONE)  # somebody decides about it
        with database.write() as tx:
            assert claim(tx, "k").key.run == TWO
            assert claim(tx, "l", wait=False) is None
    with database.write() as tx:
        assert claim(tx, "l", wait=False).key.run == ONE


def test_a_claim_waits_for_the_only_run_and_then_sees_what_became_of_it(database):
    """Its attempt may have been withdrawn meanwhile: the row that was found before is not what is there now."""
    queue(database, ONE)
    with ThreadPoolExecutor(1) as pool:
        with database.write() as busy:
            busy.runs.get(ONE)
            busy.attempts.request_stop(AttemptKey(ONE, A, 1, 1), force=False)
            busy.attempts.enqueue(AttemptKey(ONE, StepKey("b"), 1, 1), COMMIT, 9.0)
            backend = busy._connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()

            def work():
                with database.write() as tx:
                    return claim(tx, "k")

            claimed = pool.submit(work)
            waits_for(database, backend)
        assert claimed.result().key.step == "b"


def test_a_hold_waits_for_what_begins(database):
    """Once it is told, no transaction is left that looked before and begins something after."""
    people(database)
    order = []

    def hold():
        with database.write() as tx:
            tx.holds.put(PROJECT, HOLD)
            order.append("held")

    with ThreadPoolExecutor(1) as pool:
        with database.write() as beginning:
            beginning.runs.next_number(HOLD.project)
            assert beginning.holds.get(HOLD.project, HOLD.pipeline) is None
            held = pool.submit(hold)
            waits_for(database, beginning._connection.exec_driver_sql("SELECT pg_backend_pid()").scalar())
            order.append("begun")
        held.result()
    assert order == ["begun", "held"]
    with database.write() as tx:
        tx.runs.next_number(HOLD.project)
        assert tx.holds.get(HOLD.project, HOLD.pipeline) == HOLD


def test_of_two_who_have_a_code_at_once_the_second_gets_nothing(database):
    people(database)
    with database.write() as tx:
        tx.link_codes.put(CODE)

    def take():
        with database.write() as tx:
            return tx.link_codes.take(CODE.hash, CODE.created_at)

    with ThreadPoolExecutor(1) as pool:
        with database.write() as first:
            assert first.link_codes.take(CODE.hash, CODE.created_at) == CODE.user_id
            second = pool.submit(take)
            waits_for(database, first._connection.exec_driver_sql("SELECT pg_backend_pid()").scalar())
        assert second.result() is None


def waits_for(database, backend):
    """Return when another session waits for that one. The database tells nobody, so it is asked again and again."""
    query = f"SELECT count(*) FROM pg_stat_activity WHERE {backend} = ANY (pg_blocking_pids(pid))"
    while True:
        with database.read() as tx:
            if tx._connection.exec_driver_sql(query).scalar():
                return


def test_the_same_claim_twice_at_once_gets_one_attempt(database):
    queue(database, ONE, TWO)

    def work(_):
        with database.write() as tx:
            return claim(tx, "k").key.run

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(work, range(8))) == {ONE}


def test_a_beat_passes_over_what_is_being_changed(database):
    keys = [AttemptKey(run, A, 1, 1) for run in (ONE, TWO)]
    queue(database, ONE, TWO)
    with database.write() as tx:
        assert {claim(tx, key).key.run for key in "kl"} == {ONE, TWO}
    with database.write() as busy:
        busy.runs.get(ONE)
        busy.attempts.request_stop(AttemptKey(ONE, A, 1, 1), force=True)
        with database.write() as tx:
            tx.attempts.renew("r", keys, 100.0)
    with database.read() as tx:
        assert [tx.attempts.of_run(run)[0].lease_until for run in (ONE, TWO)] == [15.0, 105.0]
    with database.write() as tx:
        tx.attempts.renew("r", keys, 200.0)
    with database.read() as tx:
        assert [tx.attempts.of_run(run)[0].lease_until for run in (ONE, TWO)] == [205.0, 205.0]


def test_texts_that_postgresql_cannot_store_are_stored_without_what_it_cannot(database):
    queue(database, ONE)
    key = AttemptKey(ONE, A, 1, 1)
    with database.write() as tx:
        tx.attempts.finish(key, outcome=Outcome.FAILED, reason=None, message="a\0b", exit_code=1, commit=None, now=1.0)
    with database.read() as tx:
        assert tx.attempts.get(key).message == "a\ufffdb"


@pytest.mark.parametrize("tables", [0, 1, 7, 23])
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
        with pytest.raises(Died):
            database.migrate()
    database.close()
    with StoreBench().database(empty) as again:
        add(again, make_run())
    assert len(made) == tables


def test_programs_that_start_together(empty):
    script = f"from flowbuild.store.database import Database; Database({empty!r}).migrate()"
    started = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(3)]
    assert [process.wait() for process in started] == [0, 0, 0]


def test_a_database_that_is_away_is_told_and_comes_back():
    with running() as server, StoreBench().database(server.database()) as database:
        add(database, make_run())
        for how in (signal.SIGINT, signal.SIGQUIT):
            server.stop(how=how)
            for use in (database.read, database.write):
                with pytest.raises(StoreError, match="connection"), use() as tx:
                    tx.runs.get(ONE)
            server.start()
            with database.read() as tx:
                assert tx.runs.get(ONE).number == 1


def test_an_open_transaction_ends_with_the_database():
    with running() as server, StoreBench().database(server.database()) as database:
        add(database, make_run())

        def interrupted():
            with database.write() as tx:
                tx.timers.set(ONE, "x", 1.0)
                server.stop()

        assert "refused a write" in refused(interrupted, StoreError)
        server.start()
        with database.read() as tx:
            assert tx.timers.of_run(ONE) == []


def test_nobody_hangs_for_ever_and_the_url_may_say_otherwise(url):
    asked = {}
    for address in (url, f"{url}&options=-c lock_timeout=7s"):
        database = Database(address)
        with database.read() as tx:
            for name in ("lock_timeout", "idle_in_transaction_session_timeout", "application_name"):
                asked.setdefault(name, []).append(tx._connection.exec_driver_sql(f"SHOW {name}").scalar())
        database.close()
    assert asked == {
        "lock_timeout": ["30s", "7s"],
        "idle_in_transaction_session_timeout": ["30s", "0"],
        "application_name": ["flow-build-server", "flow-build-server"],
    }


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("postgresql://nobody@127.0.0.1:1/x", "cannot be reached"),
        ("postgresql://h:port/x", "not a URL"),
        ("nonsense", "not a URL"),
        ("mysql://h/x", "mysql is not"),
    ],
)
def test_a_wrong_address_is_told(address, message):
    def use():
        database = Database(address)
        try:
            database.migrate()
        finally:
            database.close()

    assert message in refused(use, StoreError)


def test_a_wrong_password_is_told_without_it(postgres):
    address = postgres.database().replace("flow@", "somebody:hidden@")
    told = refused(lambda: Database(address).migrate(), StoreError)
    assert "somebody" in told
    assert "hidden" not in told


def test_two_servers_that_get_the_same_deliveries_do_not_wait_for_each_other(database):
    hook = TriggerSuite().hook(database)
    one, two = (delivery(number, hook.id) for number in (1, 2))

    def store_both():
        with database.write() as tx:
            return tx.deliveries.add_all([replace(two, id="b" * 26), replace(one, id="a" * 26)])

    with ThreadPoolExecutor(1) as threads:
        with database.write() as tx:
            tx.deliveries.add(one)
            storing = threads.submit(store_both)
            with pytest.raises(TimeoutError):
                storing.result(0.3)  # the control: it waits for the first of the two
            tx.deliveries.add(two)  # in the order in which they came it would have this one
        assert storing.result(30) == {"a" * 26: one.id, "b" * 26: two.id}


def test_a_thread_that_outlives_its_task_leaves_no_connection_open(database):
    """It has one when the program closes the database; nobody would close that one any more."""
    began, go, order = threading.Event(), threading.Event(), []

    def work():
        with database.read() as tx:
            began.set()
            go.wait(10)
            tx.runs.owners()
            order.append("read")

    def close():
        database.close()
        order.append("closed")

    with ThreadPoolExecutor(2) as threads:
        reading = threads.submit(work)
        assert began.wait(10)
        closing = threads.submit(close)
        with pytest.raises(TimeoutError):
            closing.result(0.3)  # the control: it does wait
        go.set()
        reading.result()
        closing.result()
    assert order == ["read", "closed"]
