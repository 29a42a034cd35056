"""What this user may not read or remove: who helps, and what is said when nobody can."""

import os
from pathlib import Path

import pytest
import structlog

from flowbuild.core.errors import EngineError, Unreadable
from flowbuild.runner.patience import Patience
from flowbuild.runner.rights import Rights
from flowbuild.testing.engine import DummyEngine
from flowbuild.testing.users import restrained
from flowbuild.workspace.repo import RunRepository
from flowbuild.workspace.slots import Slots

SOMEBODY = 1234  # who is not root
RUN = "01J00000000000000000000000"


class Bench:
    """A repository and working directories of a user who is not root."""

    def __init__(self, top, engine):
        self.repository = RunRepository.create(top / "run.git", lfs=top / "lfs")
        self.start = self.repository.initial(source=None, variables={"A": "1"}, trailers={})
        self.slots = Slots(top / "work")
        self.rights = Rights(engine, self.slots, "instance", Patience(0.0))
        (top / "lfs").mkdir(exist_ok=True)

    def acquire(self):
        return self.slots.acquire(self.repository, RUN, self.start, self.slots.root / RUN / "a")

    async def commit(self, slot):
        return await self.rights.commit(slot, self.repository, message="a", trailers={"Flow-Step": "a"})


class Refusing(DummyEngine):
    """An engine that cannot help."""

    async def run_here(self, _program):
        raise EngineError("the engine is on another machine")


@pytest.fixture
def top(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: SOMEBODY)
    with restrained(), structlog.testing.capture_logs():
        yield tmp_path


def close(path):
    """Make something that even its owner may not read."""
    path.write_text("private")
    path.chmod(0)


@pytest.mark.parametrize("place", ["workspace/secret", "workspace/d/secret", "variables/SECRET"])
async def test_it_is_told_what_cannot_be_read_and_what_to_do(top, place):
    bench = Bench(top, Refusing())
    slot = bench.acquire()
    (slot.workspace / "d").mkdir()
    close(slot.path / place)
    with pytest.raises(Unreadable) as caught:
        await bench.commit(slot)
    told = caught.value.message
    assert place.split("/", 1)[1] in told
    assert f"belongs to user {os.getuid()} with mode 000, and user {SOMEBODY} may not read it" in told
    assert "nor could the engine help: the engine is on another machine" in told
    assert "umask 022" in caught.value.hint
    assert f'user: "{SOMEBODY}"' in caught.value.hint


async def test_a_directory_that_cannot_be_read(top):
    bench = Bench(top, Refusing())
    slot = bench.acquire()
    (slot.workspace / "d").mkdir(mode=0)
    with pytest.raises(Unreadable, match=r"workspace/d/?: it belongs"):
        await bench.commit(slot)
    (slot.workspace / "d").chmod(0o700)


async def test_who_is_root_is_not_helped(top, monkeypatch):
    """Root may read all that can be read: what it may not is on a file system that knows better."""
    bench = Bench(top, Refusing())
    slot = bench.acquire()
    close(slot.workspace / "secret")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(Unreadable) as caught:
        await bench.commit(slot)
    assert "the engine" not in caught.value.message


async def test_what_is_not_ours_to_remove_is_reported_once(top, monkeypatch):
    asked = []

    class Watching(DummyEngine):
        async def run_here(self, program):
            asked.append(program)
            return b""

    bench = Bench(top, Watching())
    await bench.rights.tidy()
    assert asked == []
    slot = bench.acquire()
    (slot.workspace / "d").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr("flowbuild.workspace.dirs.remove", _denied)
        bench.slots.release(slot, reuse=False)
    await bench.rights.tidy()
    await bench.rights.tidy()
    (program,) = asked
    assert program.capabilities == ("DAC_OVERRIDE", "FOWNER")
    assert program.writable == (str(bench.slots.root),)


def _denied(*_):
    raise PermissionError(13, "Permission denied")


async def test_a_workspace_that_may_not_be_moved_is_not_kept(top, monkeypatch):
    bench = Bench(top, Refusing())
    slot = bench.acquire()
    done = await bench.commit(slot)
    original = Path.rename

    def rename(path, target):
        if path == slot.workspace:
            raise PermissionError(13, "Permission denied")
        return original(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", rename)
        bench.slots.release(slot)
    assert not bench.slots.acquire(bench.repository, RUN, done.commit, bench.slots.root / RUN / "b").warm
