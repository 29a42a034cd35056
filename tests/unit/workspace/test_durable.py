"""What is accepted survives a loss of power: it is on the disk before the ref that points to it gets its name."""

import os
import shutil
import threading
from pathlib import Path

import pytest

from flowbuild.core.ids import StepKey
from flowbuild.workspace.durable import Syncer
from flowbuild.workspace.repo import MAIN, RunRepository
from flowbuild.workspace.slots import Slots

LARGE = os.urandom(1 << 20)


@pytest.fixture
def forced(monkeypatch):
    """Spy: the real fsync, and the path of everything it was called for, in order."""
    paths, real = [], os.fsync

    def fsync(descriptor):
        real(descriptor)
        paths.append(Path(f"/proc/self/fd/{descriptor}").readlink())

    monkeypatch.setattr(os, "fsync", fsync)
    return paths


def step(top, repo, name, parent):
    slots = Slots(top / "work")
    slot = slots.acquire(repo, "r1", parent, top / "work" / "r1" / f"{name}.1")
    (slot.workspace / name).write_bytes(LARGE)
    (slot.workspace / f"{name}.txt").write_text(name)
    done = slots.commit(slot, repo, message=name, trailers={})
    slots.release(slot)
    repo.write_attempt_ref(name, 1, 1, done.commit)
    return done.commit


@pytest.fixture
def repo(tmp_path):
    return RunRepository.create(tmp_path / "run.git", lfs=tmp_path / "lfs")


def survivors(repo, forced, target):
    """Copy what was forced to the disk and nothing else: what a loss of power could leave."""
    for path in forced:
        name = path.with_suffix("") if path.suffix == ".lock" else path
        if name.is_file():
            copy = target / name.relative_to(repo.path.parent)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(name, copy)


def test_an_accepted_result_needs_nothing_that_was_not_forced_to_the_disk(tmp_path, repo, forced):
    start = repo.initial(source=None, variables={}, trailers={})
    one, two = step(tmp_path, repo, "one", start), step(tmp_path, repo, "two", start)
    assert forced == []  # storing does not wait for the disk
    for name, commit in (("one", one), ("two", two)):
        repo.accept(name, commit, rules=(), variable_rules=())
    left = tmp_path / "left"
    survivors(repo, forced, left)
    again = RunRepository.open(left / "run.git")
    assert again.refs.list("refs/heads/step/") == {"refs/heads/step/one": one, "refs/heads/step/two": two}
    merged = again.refs.read(MAIN)
    assert merged
    assert {change.path for change in again.changes(None, merged)} == {b"one", b"one.txt", b"two", b"two.txt"}
    assert len([path for path in (left / "lfs").rglob("*") if path.is_file() and path.read_bytes() == LARGE]) == 1
    assert {repo.path, repo.path.parent, repo.path / "objects/pack", tmp_path / "lfs/objects"} <= set(forced)


def test_objects_come_before_the_ref_that_points_to_them(tmp_path, repo, forced):
    commit = step(tmp_path, repo, "one", repo.initial(source=None, variables={}, trailers={}))
    repo.accept("one", commit, rules=(), variable_rules=())
    refs = [number for number, path in enumerate(forced) if path.suffix == ".lock"]
    objects = [number for number, path in enumerate(forced) if "objects" in path.parts]
    assert max(objects) < min(refs)
    assert len(refs) == 2
    before = len(forced)
    repo.accept("one", commit, rules=(), variable_rules=())  # nothing new: the disk is left alone
    assert len(forced) == before


def test_a_result_that_was_not_accepted_may_be_lost(tmp_path, repo, forced):
    """Negative control: `survivors` does not keep everything."""
    start = repo.initial(source=None, variables={}, trailers={})
    commit = step(tmp_path, repo, "one", start)
    repo.accept("one", commit, rules=(), variable_rules=())
    late = step(tmp_path, repo, "late", commit)
    survivors(repo, forced, tmp_path / "left")
    assert bytes.fromhex(late) not in RunRepository.open(tmp_path / "left" / "run.git").db


def test_results_accepted_at_once_are_all_on_main(tmp_path, repo):
    start = repo.initial(source=None, variables={}, trailers={})
    commits = {name: step(tmp_path, repo, name, start) for name in ("a", "b", "c", "d")}
    threads = [
        threading.Thread(target=repo.accept, args=(StepKey(name), commit), kwargs={"rules": (), "variable_rules": ()})
        for name, commit in commits.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = {change.path for change in repo.changes(None, repo.refs.read(MAIN))}
    assert found == {name for one in commits for name in (one.encode(), f"{one}.txt".encode())}


def test_a_file_that_went_away_is_not_waited_for(tmp_path, forced):
    (tmp_path / "there").touch()
    Syncer(tmp_path).sync([tmp_path / "gone", tmp_path / "there"])
    assert forced == [tmp_path / "there", tmp_path, tmp_path.parent]
