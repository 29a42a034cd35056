"""What projects do not keep goes, with all that belongs to it and nothing that belongs to others."""

import asyncio
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from time import time

import pytest

from flowbuild.core.errors import Conflict, NotFound, WorkspaceError
from flowbuild.core.ids import RunId
from flowbuild.core.notifying import News, NewsKind
from flowbuild.core.project import ProjectSettings
from flowbuild.core.retention import DAY, Retention
from flowbuild.services.audit import Actor
from flowbuild.services.removal import GRACE, Removal
from flowbuild.services.retention import RetentionService
from flowbuild.services.runs import Order, choose, load
from flowbuild.store.channels import ChannelRow
from flowbuild.store.dispatches import SENT, DispatchRow
from flowbuild.store.projects import ProjectRow
from flowbuild.store.server_tables import notices
from flowbuild.testing.home import Home, step
from flowbuild.workspace.git import clone
from flowbuild.workspace.lfs import LfsStore
from flowbuild.workspace.source import WorkingTree

BIG = 2 << 20
PROJECT = "app"
ANN = Actor("ann")


class Keeping:
    """The services over a home directory, with a project of the server whose source is a work tree. All in threads."""

    def __init__(self, home, life, rules):
        self.home, self.life, self.local, self.ahead = home, life, life.local, 0.0
        self.removal = Removal(
            database=self.local.database,
            places=self.local.places,
            logs=home.data / "logs",
            mirrors=home.data / "mirrors",
            clock=self.clock,
        )
        self.service = RetentionService(self.local.database, self.removal, self.clock)
        self.row = ProjectRow("0" * 26, PROJECT, "/source", 1.0, settings=ProjectSettings(retention=rules))

    def clock(self):
        return time() + self.ahead

    async def do(self, work, *args):
        return await asyncio.to_thread(work, *args)

    def write(self, change):
        with self.local.database.write() as tx:
            return change(tx)

    async def ran(self, data=None, *, told=True):
        """Return a run that has ended; `told`: what follows it was looked for, as the server does it."""
        if data is not None:
            (self.home.project / "big").write_bytes(data)
        view = await self.life.finished(await self.do(self.begin))
        if told:
            await self.do(self.write, lambda tx: self.tell(tx, view.id))
        return view

    def begin(self):
        source = WorkingTree(self.home.project)
        return self.local.runs.begin(Order(source, choose(load(source), ""), project=PROJECT))

    @staticmethod
    def tell(tx, run):
        tx.notices._connection.execute(notices.delete().where(notices.c.run_id == run))

    def files(self):
        return {path.name for path in (self.home.data / "runs").iterdir()}, {
            path.name for path in (self.home.data / "logs").iterdir()
        }

    def large(self):
        return {path.read_bytes()[:1] for path in (self.home.data / "lfs/objects").glob("??/??/*")}


@pytest.fixture
def keeping(tmp_path):
    home = Home(tmp_path)
    home.write({"a": step(log="x\n")})

    @asynccontextmanager
    async def opened(rules):
        async with home.life() as life:
            keeping = Keeping(home, life, rules)
            await keeping.do(keeping.write, lambda tx: tx.projects.add(keeping.row))
            yield keeping

    return opened


async def test_runs_go_with_all_that_belongs_to_them(keeping, tmp_path):
    async with keeping(Retention(1, None, None)) as it:
        first = await it.ran(b"1" * BIG)
        second = await it.ran(b"2" * BIG)
        third = await it.ran(b"2" * BIG)
        (it.home.project / "big").unlink()
        fourth = await it.ran()
        assert it.large() == {b"1", b"2"}
        it.ahead = GRACE + 60
        assert await it.do(it.service.expired, PROJECT) == [first.id, second.id, third.id]
        assert await it.do(it.service.tidy_all) == 3
        assert it.files() == ({fourth.id}, {fourth.id})
        assert it.large() == set()
        assert [view.id for view in await it.life.client.runs(everything=True)] == [fourth.id]
        with pytest.raises(NotFound):
            await it.life.client.get(first.id)
        for table in ("events", "attempts"):
            query = f"SELECT count(*) FROM {table} WHERE run_id != '{fourth.id}'"
            assert it.local.database._engine.connect().exec_driver_sql(query).scalar() == 0
        await it.do(clone, Path(fourth.repository), tmp_path / "clone")
        assert await it.do(it.service.tidy_all) == 0
        assert (await it.ran()).number == 5


async def test_large_files_that_others_have_stay(keeping, tmp_path):
    async with keeping(Retention(2, None, None)) as it:
        await it.ran(b"1" * BIG)
        second = await it.ran(b"2" * BIG)
        again = await it.life.client.rerun(second.id, variables={}, secrets={})
        again = await it.life.finished(again.id)
        await it.do(it.write, lambda tx: it.tell(tx, again.id))
        (it.home.project / "big").unlink()
        await it.ran()
        it.ahead = GRACE + 60
        assert await it.do(it.service.tidy_all) == 2
        assert it.large() == {b"2"}  # of the rerun, whose original is gone
        await it.do(clone, Path(again.repository), tmp_path / "clone")
        assert (tmp_path / "clone/workspace/big").read_bytes() == b"2" * BIG


async def test_what_was_stored_lately_stays(keeping):
    async with keeping(Retention(1, None, None)) as it:
        await it.ran(b"1" * BIG)
        (it.home.project / "big").unlink()
        await it.ran()
        it.ahead = GRACE - 600
        assert await it.do(it.service.tidy_all) == 1
        assert it.large() == {b"1"}


async def test_a_damaged_run_keeps_all_large_files(keeping):
    async with keeping(Retention(1, None, None)) as it:
        first = await it.ran(b"1" * BIG)
        second = await it.ran(b"1" * BIG)
        shutil.rmtree(f"{second.repository}/objects")
        it.ahead = GRACE + 60
        assert await it.do(it.service.tidy_all) == 1
        assert it.files()[0] == {second.id}
        assert first.id != second.id
        assert it.large() == {b"1"}
        with pytest.raises(WorkspaceError):
            await it.do(it.removal.collect)


async def test_what_is_not_over_stays(keeping):
    async with keeping(Retention(0, 0, 0)) as it:
        first, second = await it.ran(told=False), await it.ran()
        await it.ran()  # the newest one stays anyway
        it.ahead = 60.0
        assert await it.do(it.service.expired, PROJECT) == [second.id]
        assert await it.do(it.removal.run, RunId(first.id)) is False
        assert first.id in it.files()[0]
        await it.do(it.write, lambda tx: it.tell(tx, first.id))
        assert await it.do(it.service.expired, PROJECT) == [first.id, second.id]  # the control


async def test_a_run_that_goes_on_is_never_removed(tmp_path):
    home = Home(tmp_path)
    home.write({"a": step(sleep=1e6)})
    async with home.life() as life:
        it = Keeping(home, life, Retention(0, 0, 0))
        await it.do(it.write, lambda tx: tx.projects.add(it.row))
        run = await life.client.get(await it.do(it.begin))
        await life.until(run.id, "a", "run")
        assert await it.do(it.service.tidy_all) == 0
        assert await it.do(it.removal.run, RunId(run.id)) is False
        with pytest.raises(Conflict, match="going on"):
            await it.do(it.removal.project, ANN, PROJECT)
        await life.client.cancel(run.id, force=True)
        assert (await life.finished(run.id)).state == "cancelled"


async def test_what_a_kill_leaves_is_swept(keeping):
    async with keeping(Retention()) as it:
        first, second = await it.ran(), await it.ran()
        await it.do(it.write, lambda tx: tx.runs.remove(RunId(first.id)))  # and then killed
        (it.home.data / "mirrors" / ("1" * 26)).mkdir(parents=True)
        (it.home.data / "mirrors" / it.row.id).mkdir()
        (it.home.data / "logs" / "notes").mkdir()
        await it.do(it.removal.sweep)
        assert it.files()[1] == {second.id, "notes"}
        assert [path.name for path in (it.home.data / "mirrors").iterdir()] == [it.row.id]
    async with it.home.life():  # the next life sweeps repositories
        assert it.files()[0] == {second.id}


async def test_local_projects_keep_everything(tmp_path):
    home = Home(tmp_path)
    home.write({"a": step()})
    async with home.life() as life:
        it = Keeping(home, life, Retention(0, 0, 0))
        await it.ran()
        await it.ran()
        assert await it.do(it.service.tidy_all) == 0


async def test_a_project_goes_with_its_runs(keeping):
    async with keeping(Retention()) as it:
        waits, _ = await it.ran(b"1" * BIG, told=False), await it.ran()
        other = replace(it.row, id="1" * 26, name="other")
        await it.do(it.write, lambda tx: tx.projects.add(other))
        mirror = it.home.data / "mirrors" / it.row.id
        mirror.mkdir(parents=True)
        with pytest.raises(Conflict, match="being cleaned up"):
            await it.do(it.removal.project, ANN, PROJECT)
        assert (await it.do(it.write, lambda tx: tx.projects.get(PROJECT))).archived_at is not None
        assert it.files()[0] == {waits.id}
        await it.do(it.write, lambda tx: it.tell(tx, waits.id))
        await it.do(it.removal.project, ANN, PROJECT)
        assert it.files() == (set(), set())
        assert not mirror.exists()
        with pytest.raises(NotFound):
            await it.do(it.removal.project, ANN, PROJECT)
        assert [row.name for row in await it.do(it.write, lambda tx: tx.projects.list(archived=True))] == ["other"]
        rows = await it.do(it.write, lambda tx: tx.audit.page(before=None, limit=9))
        assert [(row.actor, row.action) for row in rows] == [("ann", "project.delete")] * 2  # it was asked for twice


async def test_what_is_still_to_be_told_keeps_a_run_from_going_but_not_from_people(keeping):
    async with keeping(Retention(0, None, None)) as it:
        first, second, third = await it.ran(), await it.ran(), await it.ran()

        def wait_for(tx):
            tx.channels.add(ChannelRow("c" * 26, "team", "matrix", "!r", "ann", 1.0, project_id=it.row.id))
            for number, view in enumerate((first, second)):
                about = tx.dispatches.message(f"{number:026d}", "c" * 26, view.id, RunId(view.id))
                news = News(NewsKind.FAILED, 1.0, run=view.id)
                tx.dispatches.add(DispatchRow(f"{number:026d}", about, news, 1.0, 1.0))

        await it.do(it.write, wait_for)
        assert await it.do(it.service.tidy_all) == 0
        await it.do(it.write, lambda tx: tx.dispatches.settle("0" * 26, SENT, now=2.0))
        assert await it.do(it.service.tidy, PROJECT) == [first.id]
        await it.do(it.removal.delete, ANN, RunId(second.id))
        assert it.files()[0] == {third.id}
        assert await it.do(it.write, lambda tx: tx.dispatches.page("c" * 26, None, 9)) == []


async def test_what_began_runs_is_known_for_a_while(keeping):
    async with keeping(Retention()) as it:
        await it.do(it.write, lambda tx: tx.starts.add("key", RunId("0" * 26), time()))
        for days, known in ((89, RunId("0" * 26)), (91, None)):
            it.ahead = days * DAY
            await it.do(it.service.tidy_all)
            assert await it.do(it.write, lambda tx: tx.starts.find("key")) == known


async def test_sizes_are_those_on_the_disk(keeping):
    async with keeping(Retention(None, None, 1 << 20)) as it:
        small = await it.ran()
        (it.home.project / "data").write_bytes(os.urandom(900_000))
        first, second = await it.ran(), await it.ran()
        sizes = [await it.do(it.removal.size, RunId(view.id)) for view in (small, first)]
        assert sizes[0] < 900_000 <= sizes[1]
        assert await it.do(it.service.expired, PROJECT) == [first.id]  # the newest one stays, and what fits beside it
        assert second.id in it.files()[0]


def test_an_object_that_is_stored_again_survives_a_collection(tmp_path):
    """Whoever was told that an object is stored finds it, whatever a collection does at that moment."""
    store, data = LfsStore(tmp_path), b"x" * 1000
    pointer = store.put_bytes(data)
    lost = 0
    with ThreadPoolExecutor(2) as pool:
        for _ in range(300):
            if store.has(pointer):
                os.utime(store.path(pointer.oid), (1, 1))
            collecting = pool.submit(store.collect, (), 1000.0)
            assert store.put_bytes(data) == pointer
            collecting.result()
            lost += not store.has(pointer)
    assert lost == 0
    os.utime(store.path(pointer.oid), (1, 1))
    assert store.collect({pointer.oid}, 1000.0) == 0
    assert store.collect((), 1000.0) == 1000  # the control
    assert not store.has(pointer)
    assert list((tmp_path / "tmp").iterdir()) == []
