"""Backups: whole, taken while runs go on, and good for a new server at the same place."""

import asyncio
import shutil
import subprocess
from time import time

import pytest

from flowbuild.core.errors import Conflict, InvalidRequest, StoreError
from flowbuild.services.backup import back_up, restore
from flowbuild.testing.home import Home, step


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


async def finished(home):
    async with home.life() as life:
        return await life.finished((await life.start(home)).id)


async def test_a_server_of_a_backup_is_the_server(home, tmp_path):
    run = await finished(home)
    manifest = backed_up(home, tmp_path / "backup")
    shutil.rmtree(home.data)
    assert restore(tmp_path / "backup", home.data, url(home)) == manifest
    async with home.looking() as life:
        again = await life.client.get(run.id)
        assert again == run
        assert await life.log(run.id, "a") != b""
        await life.client.clone(run.id, str(tmp_path / "clone"))
    assert (tmp_path / "clone" / "workspace" / "big").stat().st_size == 2 << 20
    await asyncio.to_thread(subprocess.run, ["git", "-C", again.repository, "fsck", "--strict"], check=True)
    later = await finished(home)
    assert (later.number, later.state) == (2, "succeeded")


async def test_a_run_that_was_going_on_is_known_and_ends(home, tmp_path):
    async with home.life() as life:
        begun = await life.start(home)
        await life.speaks(begun.id, "b")
        backed_up(home, tmp_path / "backup")
        done = await life.finished(begun.id)
    shutil.rmtree(home.data)
    home.machine.units.clear()
    restore(tmp_path / "backup", home.data, url(home))
    async with home.life() as life:
        assert (await life.client.get(begun.id)).interrupted
        await life.client.resume(begun.id, secrets={})
        view = await life.finished(begun.id)
    assert done.state == "succeeded"
    assert [str(each.outcome) for each in view.steps] == ["succeeded", "errored"], "lost with the machine, and told so"
    assert view.steps[0].result_commit == done.steps[0].result_commit


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
        restore(tmp_path / "nothing", home.data, url(home))
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat").touch()
    with pytest.raises(Conflict, match="something else"):
        backed_up(home, tmp_path / "photos")
    backed_up(home, backup)
    with pytest.raises(Conflict, match="not empty"):
        restore(backup, home.data, url(home))
    with pytest.raises(InvalidRequest, match="is of the server at"):
        restore(backup, tmp_path / "elsewhere", f"sqlite:///{tmp_path / 'elsewhere' / 'flow.db'}")
    (backup / "flow.db").write_bytes(b"x" * 5000)
    shutil.rmtree(home.data)
    with pytest.raises(StoreError, match="damaged"):
        restore(backup, home.data, url(home))
    assert not home.data.exists()


async def test_a_backup_that_was_cut_off_is_not_taken_for_one(home, tmp_path, monkeypatch):
    await finished(home)
    backed_up(home, tmp_path / "backup")

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("flowbuild.services.backup._copy", full)
        with pytest.raises(Exception, match="No space left"):
            backed_up(home, tmp_path / "backup")
    with pytest.raises(InvalidRequest, match="no complete backup"):
        restore(tmp_path / "backup", home.data, url(home))
    backed_up(home, tmp_path / "backup")
