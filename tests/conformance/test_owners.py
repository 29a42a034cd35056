"""Who drives runs, and who died: the same for processes of one machine and for those that share a PostgreSQL database."""

import asyncio
import os
import queue
import signal
import subprocess
import sys
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psycopg
import pytest
import structlog

from flowbuild.services.owners import Ownership
from flowbuild.services.shared_owners import SharedOwners
from flowbuild.services.signals import Signals
from flowbuild.store.database import Database
from flowbuild.store.owners import EVERYBODY
from flowbuild.store.presence import ASK, Presence
from flowbuild.testing.home import LIMIT
from flowbuild.testing.postgres import running

OWNER = """
import sys
from pathlib import Path
from flowbuild.services.owners import Ownership
from flowbuild.services.shared_owners import SharedOwners
from flowbuild.store.database import Database
place = sys.argv[1]
owners = SharedOwners(Database(place)) if "://" in place else Ownership(Path(place))
owners.claim()
print(owners.token, flush=True)
sys.stdin.read()
owners.release()
"""


@pytest.fixture(autouse=True)
def _no_journal():
    """An earlier test may have left a log that is closed."""
    structlog.reset_defaults()


@pytest.fixture(params=["files", "postgres"])
def place(request, tmp_path):
    """Where owners are known: a directory or the URL of a database."""
    return str(tmp_path) if request.param == "files" else request.getfixturevalue("postgres").database()


@contextmanager
def owners_at(place):
    with ExitStack() as stack:
        if "://" in place:
            database = stack.enter_context(closing(Database(place)))
            yield stack.enter_context(closing(SharedOwners(database)))
        else:
            yield Ownership(Path(place))


@contextmanager
def another(place):
    """Another process that is an owner; gives its token and the process."""
    command = [sys.executable, "-c", OWNER, place]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout.readline().strip(), process
        finally:
            process.kill()


async def heard(signals, act):
    """Return when everybody is woken by what `act` does."""
    token = signals.token("t")
    await asyncio.to_thread(act)
    assert await signals.wait("t", token, LIMIT)


def test_the_dead_are_known_however_they_died(place):
    with owners_at(place) as me, another(place) as (one, killed), another(place) as (two, ended):
        me.claim()
        never = "0123456789abcdef"
        assert me.dead([one, two, me.token, never]) == [never]
        assert me.living() == {one, two}
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        until_gone(me, one)
        assert me.dead([one, two, me.token]) == [one]
        ended.communicate()
        until_gone(me, two)
        assert me.dead([one, two, me.token]) == [one, two]
        assert me.living() == frozenset()
        me.release()


def until_gone(me, token):
    """Return when the lock is free; of a process that ended, PostgreSQL has to notice that its connection did."""
    signals = Signals()

    async def gone():
        seen = signals.token("t")
        me.mind(token, signals)
        assert await signals.wait("t", seen, LIMIT)

    asyncio.run(gone())


def test_who_only_looks_is_no_owner(place):
    with owners_at(place) as looking, another(place) as (one, _):
        assert looking.living() == {one}
        assert looking.dead([one]) == []


async def test_an_owner_hears_who_wakes_it(place):
    signals = Signals()
    with owners_at(place) as me, owners_at(place) as other:
        for owners in (me, other):
            await asyncio.to_thread(owners.claim)
            owners.listen(signals if owners is me else Signals())
        await heard(signals, lambda: other.wake(me.token))
        await asyncio.to_thread(other.wake, "0123456789abcdef")  # nobody is called so
        other.release()
        await asyncio.to_thread(me.wake, other.token)  # it is gone: nothing happens
        me.release()


def test_who_is_not_meant_hears_nothing(postgres):
    heard = queue.Queue()
    with closing(Database(postgres.database())) as database:
        presence = Presence(database.address)
        presence.begin("0" * 16, heard.put)
        for token in ("1" * 16, EVERYBODY, "1" * 16, "0" * 16):  # the last one comes last
            with database.write() as tx:
                tx.owners.tell(token)
        for _ in range(2):
            heard.get(timeout=LIMIT)
        assert heard.empty()
        presence.end()
        presence.outlive("1" * 16, lambda: heard.put(None))  # too late: nothing happens
        assert presence._thread is None


async def test_owners_of_one_database_hear_what_is_notified():
    """Also what was to be told while the database was away."""
    with running() as server:
        place = server.database()
        with owners_at(place) as me, owners_at(place) as other:
            ours, theirs = Signals(), Signals()
            for owners, signals in ((me, ours), (other, theirs)):
                await asyncio.to_thread(owners.claim)
                owners.listen(signals)
                assert owners.hears_all
            seen = theirs.token("t")
            ours.notify("t")
            assert await theirs.wait("t", seen, LIMIT)
            seen = theirs.token("phase")
            ours.say("phase", "a", "pull")
            assert await theirs.wait("phase", seen, LIMIT)
            assert theirs.said("phase") == {"a": "pull"}
            await asyncio.to_thread(server.stop)
            seen = ours.token("t")
            theirs.notify("t")
            await asyncio.to_thread(server.start)
            assert await ours.wait("t", seen, LIMIT)


def test_who_drives_nothing_wakes_everybody(postgres):
    heard = queue.Queue()
    with closing(Database(postgres.database())) as database, closing(SharedOwners(database)) as looking:
        presence = Presence(database.address)
        presence.begin("0" * 16, heard.put)
        looking.wake("1" * 16)
        assert heard.get(timeout=LIMIT) is None
        presence.end()


def test_the_database_asks_whether_an_owner_still_lives(postgres):
    """A machine without power closes no connection."""
    with closing(Database(postgres.database())) as database:
        presence = Presence(database.address)
        presence.begin("0" * 16, lambda _: None)
        query = "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%%'"
        with database.read() as tx:
            assert len(tx._connection.exec_driver_sql(query).all()) == 1
        presence.end()
    with closing(psycopg.connect(database.address, autocommit=True)) as connection:
        source = "SELECT source FROM pg_settings WHERE name LIKE 'tcp_keepalives%' OR name = 'tcp_user_timeout'"
        assert connection.execute(source).fetchall() == [("default",)] * 4  # the control
        connection.execute(ASK.encode())
        assert connection.execute(source).fetchall() == [("session",)] * 4


async def test_the_death_of_an_owner_wakes_who_minds_it(place):
    signals = Signals()
    with owners_at(place) as me, another(place) as (one, process):
        await asyncio.to_thread(me.claim)
        me.mind(one, signals)
        me.mind(one, signals)  # once more is as once
        await heard(signals, process.kill)
        assert await asyncio.to_thread(me.dead, [one]) == [one]
        me.release()


async def test_an_owner_survives_a_restart_of_the_database():
    """It is missing for a moment, and hears again afterwards."""
    signals = Signals()
    with running() as server:
        place = server.database()
        with owners_at(place) as me, owners_at(place) as other:
            await asyncio.to_thread(me.claim)
            me.listen(signals)
            await asyncio.to_thread(server.stop)
            token = signals.token("t")
            await asyncio.to_thread(server.start)
            assert await signals.wait("t", token, LIMIT)  # it is back, and looks at what it did not hear
            assert await asyncio.to_thread(other.dead, [me.token]) == []
            await heard(signals, lambda: other.wake(me.token))
            me.release()
