"""Backups: whole, taken while runs go on, and good for a new server at the same place."""

import asyncio
import shutil
import subprocess
from time import time

import pytest

from flowbuild.core.errors import Conflict, InvalidRequest, StoreError
from flowbuild.services import backup
from flowbuild.services.backup import back_up
from flowbuild.services.restoring import restore
from flowbuild.store import dump
from flowbuild.testing.home import Home, step
from flowbuild.workspace.repack import repack
from flowbuild.workspace.repo import RunRepository


class Moved(Home):
    @property
    def data(self):
        return self.top / "elsewhere"


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path)
    made.write({"a": step(write="a=1", log="from a\n", then="b"), "b": step(sleep=100, log="from b\n", write="b=1")})
    (made.project / "big").write_bytes(b"x" * (2 << 20))
    return made


def url(home):
    return f"sqlite:///{home.data / 'flow.db'}"


def backed_up(home, target, **options):
    return back_up(home.data, url(home), target, keys=None, version="0", clock=time, **options)


async def restored(backup, home):
    return await asyncio.to_thread(restore, backup, home.data, url(home), time)


async def finished(home):
    async with home.life() as life:
        return await life.finished((await life.start(home)).id)


async def test_a_server_of_a_backup_is_the_server(home, tmp_path):
    run = await finished(home)
    manifest = backed_up(home, tmp_path / "backup")
    shutil.rmtree(home.data)
    assert await restored(tmp_path / "backup", home) == manifest
    async with home.looking() as life:
        again = await life.client.get(run.id)
        assert again == run
        assert await life.log(run.id, "a") != b""
        await life.client.clone(run.id, str(tmp_path / "clone"))
    assert (tmp_path / "clone" / "workspace" / "big").stat().st_size == 2 << 20
    await asyncio.to_thread(subprocess.run, ["git", "-C", again.repository, "fsck", "--strict"], check=True)
    later = await finished(home)
    assert (later.number, later.state) == (2, "succeeded")


async def test_a_server_moves_to_another_place(home, tmp_path):
    run = await finished(home)
    backed_up(home, tmp_path / "backup")
    shutil.rmtree(home.data)
    moved = Moved(home.top)
    await restored(tmp_path / "backup", moved)
    async with moved.life() as life:
        again = await life.client.get(run.id)
        assert again.repository.startswith(str(moved.data))
        await life.client.clone(run.id, str(tmp_path / "clone"))
        later = await life.finished((await life.client.rerun(run.id, from_steps=["b"], variables={}, secrets={})).id)
    assert (tmp_path / "clone" / "workspace" / "big").stat().st_size == 2 << 20
    assert (later.state, later.steps[0].reused) == ("succeeded", True)
    repository = moved.data / "runs" / run.id / "repository.git"
    assert str(home.data) not in (repository / "config").read_text()
    assert (repository / "lfs").readlink() == moved.data / "lfs"


async def test_what_the_database_has_not_seen_is_taken_back(home, tmp_path, monkeypatch):
    """The database is copied while the first step runs, the files when all is over."""

    async with home.life() as life:
        begun = await life.start(home)
        await life.until(begun.id, "a", "running")
        dumped = dump.dump(url(home), tmp_path)
        done = await life.finished(begun.id)
    with monkeypatch.context() as patched:
        patched.setattr(dump, "dump", lambda _url, target: shutil.copyfile(dumped, target / dump.SQLITE))
        backed_up(home, tmp_path / "backup")
    assert list((tmp_path / "backup" / "runs" / begun.id / "repository.git" / "refs" / "attempts").rglob("1"))
    shutil.rmtree(home.data)
    home.machine.units.clear()
    await restored(tmp_path / "backup", home)
    assert not list((home.data / "logs").rglob("header.json"))
    async with home.life() as life:
        await life.client.resume(begun.id, secrets={})
        view = await life.finished(begun.id)
        assert await life.log(begun.id, "a", service="main") == b"from a\n"
    assert [step.result_commit for step in view.steps] != [step.result_commit for step in done.steps]
    assert (view.state, len(view.steps[0].attempts)) == ("succeeded", 1)


async def test_packs_that_become_one_while_they_are_copied(home, tmp_path, monkeypatch):
    run = await finished(home)
    repository = RunRepository.open(home.data / "runs" / run.id / "repository.git")
    packs = sorted(repository.path.glob("objects/pack/*.pack"))
    real, seen = backup.copy, []

    def late(source, target):
        if source == packs[-1].with_suffix(".idx") and not seen:
            seen.append(source)
            assert repack(repository.path, repository.db, repository.refs.exclusive, at_least=2)
        return real(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(backup, "copy", late)
        backed_up(home, tmp_path / "backup")
    assert seen
    shutil.rmtree(home.data)
    await restored(tmp_path / "backup", home)
    await asyncio.to_thread(subprocess.run, ["git", "-C", str(repository.path), "fsck", "--strict"], check=True)
    assert RunRepository.open(repository.path).commit(run.steps[1].result_commit)


async def test_a_run_that_was_going_on_is_known_and_ends(home, tmp_path):
    async with home.life() as life:
        begun = await life.start(home)
        await life.speaks(begun.id, "b")
        backed_up(home, tmp_path / "backup")
        done = await life.finished(begun.id)
    shutil.rmtree(home.data)
    home.machine.units.clear()
    await restored(tmp_path / "backup", home)
    async with home.life() as life:
        assert (await life.client.get(begun.id)).interrupted
        await life.client.resume(begun.id, secrets={})
        view = await life.finished(begun.id)
    assert done.state == "succeeded"
    assert [str(each.outcome) for each in view.steps] == ["succeeded", "errored"], "lost with the machine, and told so"
    assert view.steps[0].result_commit == done.steps[0].result_commit


async def test_a_step_whose_directory_is_gone_is_lost(home, tmp_path):
    """Its containers outlived the data directory."""
    async with home.life() as life:
        begun = await life.start(home)
        await life.speaks(begun.id, "b")
        backed_up(home, tmp_path / "backup")
    shutil.rmtree(home.data)
    await restored(tmp_path / "backup", home)
    async with home.life() as life:
        await life.client.resume(begun.id, secrets={})
        view = await life.finished(begun.id)
    assert (str(view.steps[1].outcome), str(view.steps[1].reason)) == ("errored", "infra_lost")
    assert home.leftovers() == []


async def test_a_second_backup_takes_what_is_new_and_drops_what_is_gone(home, tmp_path):
    first = await finished(home)
    backed_up(home, tmp_path / "backup")
    pack = next((tmp_path / "backup" / "runs" / first.id).rglob("*.pack"))
    inode = pack.stat().st_ino
    second = await finished(home)
    shutil.rmtree(home.data / "runs" / first.id)
    backed_up(home, tmp_path / "backup")
    assert not pack.exists()
    other = next((tmp_path / "backup" / "runs" / second.id).rglob("*.pack"))
    inode = other.stat().st_ino
    backed_up(home, tmp_path / "backup")
    assert other.stat().st_ino == inode, "copied once"


async def test_what_is_no_backup_or_no_place_is_refused(home, tmp_path):
    await finished(home)
    backup = tmp_path / "backup"
    with pytest.raises(InvalidRequest, match="inside"):
        backed_up(home, home.data / "backup")
    with pytest.raises(InvalidRequest, match="no complete backup"):
        restore(tmp_path / "nothing", home.data, url(home), time)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat").touch()
    with pytest.raises(Conflict, match="something else"):
        backed_up(home, tmp_path / "photos")
    backed_up(home, backup)
    with pytest.raises(Conflict, match="not empty"):
        restore(backup, home.data, url(home), time)
    (backup / "flow.db").write_bytes(b"x" * 5000)
    shutil.rmtree(home.data)
    with pytest.raises(StoreError, match="damaged"):
        restore(backup, home.data, url(home), time)
    assert not home.data.exists()


async def test_a_backup_that_was_cut_off_is_not_taken_for_one(home, tmp_path, monkeypatch):
    await finished(home)
    backed_up(home, tmp_path / "backup")

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("flowbuild.services.backup.copy", full)
        with pytest.raises(Exception, match="No space left"):
            backed_up(home, tmp_path / "backup")
    with pytest.raises(InvalidRequest, match="no complete backup"):
        restore(tmp_path / "backup", home.data, url(home), time)
    backed_up(home, tmp_path / "backup")
