"""On PostgreSQL decisions about different runs happen at once, also when the runs hand something to each other."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from itertools import count

import psycopg
import pytest
from argon2 import PasswordHasher

from flowbuild.auth.passwords import Passwords
from flowbuild.core.commands import AcquireLock
from flowbuild.core.errors import Conflict
from flowbuild.core.events import AttemptFinished, AttemptStarted, CancelRequested, RunStarted
from flowbuild.core.ids import EMBEDDED, RunId
from flowbuild.core.model import Concurrency, Environment
from flowbuild.core.states import Outcome, Reason, RunState, StepState
from flowbuild.services.audit import Actor
from flowbuild.services.decisions import Decisions
from flowbuild.services.placing import Asking, Placing
from flowbuild.services.signals import Signals
from flowbuild.services.users import UserChange, UserService, new_user
from flowbuild.testing.claiming import claim_oldest
from flowbuild.testing.graphs import make_pipeline
from flowbuild.testing.store_suite import ONE, TWO, A, StoreBench, add, make_run

QA = make_pipeline({"a": {"environment": Environment("qa")}}, "")


@pytest.fixture
def database(postgres):
    with postgres.lent() as url, StoreBench().database(url) as database:
        yield database


@pytest.fixture
def decisions(database):
    return Decisions(database, Signals(), count(1).__next__, lambda _run: None)


@pytest.fixture
def waiting(database, decisions):
    """The first run holds the environment, the second waits for it."""
    for run in (ONE, TWO):
        add(database, make_run(run, QA))
        decisions.apply(run, RunStarted())
    assert [state(database, run) for run in (ONE, TWO)] == [StepState.QUEUED, StepState.WAITING]


def state(database, run):
    with database.read() as tx:
        return tx.runs.get(run).run.steps[A].state


def holder(database):
    with database.read() as tx:
        return tx.locks.holder("qa")


def effects(database):
    with database.read() as tx:
        return [(run, command) for _, run, command in tx.outbox.pending("me") if isinstance(command, AcquireLock)]


CANCEL = CancelRequested("me", Reason.USER, force=False)


@pytest.mark.usefixtures("waiting")
def test_a_lock_goes_to_a_run_that_nobody_has_at_once(database, decisions):
    decisions.apply(ONE, CANCEL)
    assert (state(database, TWO), effects(database)) == (StepState.QUEUED, [])


@pytest.mark.usefixtures("waiting")
def test_a_lock_goes_to_a_run_that_is_busy_as_soon_as_it_is_not(database, decisions):
    with database.write() as busy:
        busy.runs.get(TWO)
        decisions.apply(ONE, CANCEL)  # it does not wait
    assert (state(database, TWO), holder(database)) == (StepState.WAITING, (TWO, A))
    ((run, command),) = effects(database)
    decisions.carry_out(run, command)
    decisions.carry_out(run, command)  # once more: the program died before it forgot it
    assert (state(database, TWO), holder(database)) == (StepState.QUEUED, (TWO, A))


@pytest.mark.usefixtures("waiting")
def test_who_left_the_line_meanwhile_does_not_come_back(database, decisions):
    with database.write() as busy:
        busy.runs.get(TWO)
        decisions.apply(ONE, CANCEL)
    decisions.apply(TWO, CANCEL)
    for run, command in effects(database):
        decisions.carry_out(run, command)
    assert (state(database, TWO), holder(database)) == (StepState.DONE, None)


def test_many_that_hand_locks_to_each_other_never_wait_for_each_other(database, decisions):
    """What two would wait for in a circle PostgreSQL ends with an error, after a second."""
    steps = {
        key: {"environment": Environment(name)} for key, name in zip("abcd", ("qa", "qa", "prod", "prod"), strict=True)
    }
    runs = [RunId(f"01{number:024}") for number in range(12)]
    for run in runs:
        add(database, make_run(run, make_pipeline(steps, "")))
        decisions.apply(run, RunStarted())

    broken = threading.Event()

    def work(number):
        try:
            return play(number)
        except BaseException:
            broken.set()  # the others need not wait for what this one has
            raise

    def play(number):
        """Be a runner, now and then one who beats, cancels or carries out effects, until nothing is left."""
        chance = random.Random(number)
        for turn in count():
            with database.write() as tx:
                row = claim_oldest(
                    tx, runner=f"r{number}", owner="me", request_key=f"{number}/{turn}", now=1.0, lease=1.0
                )
                if row is not None:
                    tx.attempts.launched(row.key, 1.0)
                    started = AttemptStarted(row.key.step, 1, row.key.epoch, "r")
                    decisions.apply_in(tx, row.key.run, [started])
            if row is not None:
                if chance.random() < 0.3:
                    decisions.apply(row.key.run, CANCEL)
                finish(database, decisions, row.key)
            with database.write() as tx:
                tx.attempts.renew(f"r{number}", [row.key] if row is not None else [], 1.0)
            for run, command in effects(database):
                decisions.carry_out(run, command)
            if broken.is_set() or all(done(database, run) for run in runs):
                return turn
        raise AssertionError

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    with database.read() as tx:
        assert [tx.locks.holder(name) for name in ("qa", "prod")] == [None, None]


def done(database, run):
    with database.read() as tx:
        return tx.runs.get(run).run.state.final


def finish(database, decisions, key):
    with database.write() as tx:
        tx.runs.lock(key.run)
        tx.attempts.finish(key, outcome=Outcome.SUCCEEDED, reason=None, message="", exit_code=0, commit=None, now=2.0)
        event = AttemptFinished(key.step, key.attempt, key.epoch, Outcome.SUCCEEDED, exit_code=0)
        decisions.apply_in(tx, key.run, [event])


def claimed(tx):
    """Claim as runners do."""
    asking = Asking(f"{EMBEDDED}/2", EMBEDDED, "k", {EMBEDDED})
    return Placing(owner="me", serves=False, capacity=9).take(tx, asking, now=1.0, lease=1.0).row


def adopted(tx):
    """Take up what an earlier life had."""
    return tx.attempts.adopt(runner=f"{EMBEDDED}/2", owner="me", request_key="k", now=1.0)


@pytest.mark.parametrize("ask", [claimed, adopted])
def test_who_looks_for_work_has_no_run_while_waiting_for_another(database, decisions, ask):
    keys = {}
    for run in (ONE, TWO):
        add(database, make_run(run, make_pipeline("a", "")))
        decisions.apply(run, RunStarted())
        with database.write() as tx:
            (row,) = tx.attempts.of_run(run)
            keys[run] = row.key
            if ask is adopted:
                tx.attempts.take(row.key, runner=f"{EMBEDDED}/1", request_key=run, now=1.0, lease=1.0)

    def look():
        with database.write() as tx:
            return ask(tx)

    def lock_the_first():
        with database.write() as tx:
            return tx.runs.lock(ONE)

    with ThreadPoolExecutor(2) as pool, ExitStack() as second:
        with database.write() as first:
            first.runs.lock(ONE)
            second.enter_context(database.write()).runs.lock(TWO)
            asked = pool.submit(look)
            somebody_waits(database)
            first.attempts.finish(
                keys[ONE], outcome=Outcome.SUCCEEDED, reason=None, message="", exit_code=0, commit=None, now=2.0
            )
        assert pool.submit(lock_the_first).result(10)
        second.close()
        assert asked.result(10).key == keys[TWO]


def test_a_run_that_waits_for_its_group_can_be_cancelled_while_its_turn_comes(database, decisions):
    grouped = make_pipeline("a", "", concurrency=Concurrency("deploy"))
    for run in (ONE, TWO):
        add(database, make_run(run, grouped))
        with database.write() as tx:
            decisions.begin_in(tx, run)
    decisions.apply(ONE, CANCEL)

    with ThreadPoolExecutor(1) as pool:
        with database.write() as tx:
            tx.runs.lock(TWO)
            turn = pool.submit(decisions.settle_group, ONE)
            somebody_waits(database)
            decisions.apply_in(tx, TWO, [CANCEL])
        turn.result(10)
    with database.read() as tx:
        row = tx.runs.get(TWO)
        assert (row.run.state, tx.concurrency.line(row.project, "deploy")) == (RunState.CANCELLED, [])


def somebody_waits(database):
    """Come back when a transaction waits for another one."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    deadline = time.monotonic() + 10
    with psycopg.connect(database.address, autocommit=True) as connection:
        while not connection.execute(waiting).fetchone()[0]:
            assert time.monotonic() < deadline, "nobody waits for anybody"
            time.sleep(0.01)


def test_of_two_admins_who_leave_at_once_one_stays(database):
    users = UserService(
        database, Passwords(PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)), Signals(), lambda: 1.0
    )
    root = Actor("root", "10.0.0.9")
    names = [f"admin{number}" for number in range(8)]
    for name in names:
        users.add(root, name, "correct horse battery", role="admin", change=UserChange())

    def leave(name):
        try:
            users.change(root, name, UserChange(role="user"))
        except Conflict:
            return name
        return None

    with ThreadPoolExecutor(len(names)) as pool:
        stayed = [name for name in pool.map(leave, names) if name]
    with database.read() as tx:
        assert (len(stayed), tx.users.admins()) == (1, 1)


def test_who_has_noted_something_keeps_nobody_waiting(database):
    """One notes first and then wants what another one has, who notes last: the log must not be held meanwhile."""
    with database.write() as tx:
        tx.users.add(new_user("ann", "user", 1.0))
    changing, noted = threading.Event(), threading.Event()

    def note_first():
        with database.write() as tx:
            tx.audit.append(1.0, "first", "do", "x")
            noted.set()
            assert changing.wait(30)
            tx.users.change(replace(tx.users.named("ann"), email="first@example.org"))

    def note_last():
        with database.write() as tx:
            tx.users.change(replace(tx.users.named("ann"), email="last@example.org"))
            changing.set()
            assert noted.wait(30)
            tx.audit.append(1.0, "last", "do", "x")

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(note_first), pool.submit(note_last)]:
            done.result()
    with database.read() as tx:
        assert ([row.actor for row in tx.audit.page(before=None, limit=9)], tx.audit.broken()) == (
            ["first", "last"],
            "",
        )
        assert tx.users.named("ann").email == "first@example.org"
