"""Working directories: exact content, warm reuse, hostile leftovers, sweeping."""

import os
import stat

import pytest

from flowbuild.core.errors import InvalidRequest, StepFailed, WorkspaceError
from flowbuild.workspace import git
from flowbuild.workspace.escape import escape
from flowbuild.workspace.repo import RunRepository
from flowbuild.workspace.slots import Slots


class Bench:
    def __init__(self, top):
        self.top = top
        self.repo = RunRepository.create(top / "run.git", lfs=top / "lfs")
        self.slots = Slots(top / "work")
        self.start = self.repo.initial(source=None, variables={"A": "1"}, trailers={})

    def acquire(self, commit, name="a", run="r"):
        return self.slots.acquire(self.repo, run, commit, self.top / "work" / run / name)

    def commit(self, slot):
        return self.slots.commit(slot, self.repo, message="a step", trailers={"Flow-Step": "a"})


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    yield made
    git.fsck(made.repo.path)


def test_a_chain_on_one_machine_moves_one_directory(bench):
    slot = bench.acquire(bench.start)
    (slot.workspace / "f").write_text("1")
    inode = slot.workspace.stat().st_ino
    done = bench.commit(slot)
    assert (done.changed, done.dropped, done.variables) == ({"A": 1}, (), {"A": "1"})
    bench.slots.release(slot)
    assert not slot.path.exists()
    following = bench.acquire(done.commit, "b")
    assert following.warm
    assert following.workspace.stat().st_ino == inode
    unchanged = bench.commit(following)
    assert unchanged.changed == {}
    assert unchanged.hashed <= 1


def test_a_warm_directory_becomes_another_commit(bench):
    slot = bench.acquire(bench.start)
    for name in ("kept", "changed", "removed"):
        (slot.workspace / name).write_text(name)
    one = bench.commit(slot)
    bench.slots.release(slot)
    slot = bench.acquire(one.commit, "b")
    (slot.workspace / "removed").unlink()
    (slot.workspace / "changed").write_text("again")
    (slot.workspace / "added").mkdir()
    two = bench.commit(slot)
    bench.slots.release(slot)
    back = bench.acquire(one.commit, "c")
    assert back.warm
    assert {p.name: p.read_text() for p in back.workspace.iterdir()} == {
        name: name for name in ("kept", "changed", "removed")
    }
    forth = bench.acquire(two.commit, "d")
    assert not forth.warm
    assert sorted(p.name for p in forth.workspace.iterdir()) == ["added", "changed", "kept"]
    assert bench.commit(back).changed == {}


def test_directories_that_containers_refer_to_already_are_filled(bench):
    at = bench.top / "work" / "r" / "a"
    (at / "workspace").mkdir(parents=True)
    (at / "variables").mkdir()
    inode = (at / "variables").stat().st_ino
    slot = bench.acquire(bench.start)
    assert (slot.variables / "A").read_text() == "1\n"
    assert slot.variables.stat().st_ino == inode
    (slot.workspace / "leftover").write_text("x")
    assert list(bench.acquire(bench.start).workspace.iterdir()) == []


def test_an_unknown_directory_is_never_reused(bench):
    slot = bench.acquire(bench.start)
    bench.commit(slot)
    bench.slots.release(slot, reuse=False)
    adopted_from = bench.acquire(bench.start)
    assert not adopted_from.warm
    (adopted_from.workspace / "f").write_text("x")
    adopted = Slots(bench.top / "work").adopt(bench.repo, "r", bench.start, adopted_from.path)
    assert bench.commit(adopted).changed == {"A": 1}
    fresh = Slots(bench.top / "work")
    again = fresh.adopt(bench.repo, "r", bench.start, adopted_from.path)
    fresh.release(again)  # nobody knows what is in it: gone
    assert not fresh.acquire(bench.repo, "r", bench.start, bench.top / "work" / "r" / "b").warm
    with pytest.raises(WorkspaceError, match="gone"):
        fresh.adopt(bench.repo, "r", bench.start, adopted_from.path)


def test_variables_a_step_leaves(bench):
    slot = bench.acquire(bench.start)
    (slot.variables / "A").unlink()
    (slot.variables / "B").write_text("two\nlines\n\n")
    (slot.variables / "no-name").write_text("x")
    (slot.variables / "LINK").symlink_to("/etc/passwd")
    os.mkfifo(slot.variables / "FIFO")
    done = bench.commit(slot)
    assert done.variables == {"B": "two\nlines\n"}
    assert [line.split(":")[0] for line in done.dropped] == [f"/variables/{n}" for n in ("FIFO", "LINK", "no-name")]
    following = bench.acquire(done.commit, "b")
    assert (following.variables / "B").read_text() == "two\nlines\n\n"
    assert stat.S_IMODE((following.variables / "B").stat().st_mode) == 0o666
    for number in range(1001):
        (slot.variables / f"V{number}").touch()
    with pytest.raises(StepFailed, match="more than 1000"):
        bench.commit(slot)


def test_sweep_and_drop_stay_inside(bench):
    outside = bench.top / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    work = bench.top / "work"
    (work / "link").symlink_to(outside)
    keep, dead = bench.acquire(bench.start, run="keep"), bench.acquire(bench.start, run="dead")
    (dead.workspace / "out").symlink_to(outside)
    (dead.workspace / "locked").mkdir(mode=0)
    (work / ".trash").mkdir(exist_ok=True)
    (work / ".trash" / "old").mkdir()
    Slots(work).sweep({"keep"})
    assert keep.workspace.is_dir()
    assert not dead.path.parent.exists()
    assert list((work / ".trash").iterdir()) == []
    assert (outside / "precious").exists()
    bench.slots.drop_run("keep")
    assert not keep.path.exists()
    bench.slots.release(keep)
    assert not (work / "keep").exists()
    with pytest.raises(InvalidRequest):
        bench.slots.drop_run("../outside")
    with pytest.raises(InvalidRequest):
        bench.slots.drop_run(".trash")


def test_stock_clients_get_the_real_bytes(bench):
    """`git clone` with git-lfs installed, and our helper; names that attributes quote, and more files than MANY lines."""
    names = ["plain.bin", "with space", 'quo"te\\*[x]?', "tab\t\nline", "naïve", ".gitattributes", "#hash", "!bang"]
    slot = bench.acquire(bench.start)
    contents = {}
    for number, name in enumerate(names):
        directory = slot.workspace / f"d {number}%"
        directory.mkdir()
        contents[f"d {number}%/{name}"] = data = os.urandom(1 << 20) + name.encode()
        (directory / name).write_bytes(data)
        (directory / "small").write_text("small")
    done = bench.commit(slot)
    bench.repo.accept("a", done.commit, rules=(), variable_rules=())
    git.clone(bench.repo.path, bench.top / "clone")
    for path, data in contents.items():
        stored = os.fsdecode(b"/".join(map(escape, os.fsencode(path).split(b"/"))))
        assert (bench.top / "clone" / "workspace" / stored).read_bytes() == data
    status = git.run(bench.top / "clone" / ".git", "-C", str(bench.top / "clone"), "status", "--porcelain")
    assert status.stdout == b""
    with pytest.raises(InvalidRequest, match="already exists"):
        git.clone(bench.repo.path, bench.top / "clone")


@pytest.mark.parametrize(("trusted", "mode"), [(True, 0o4755), (False, 0o755)])
def test_what_an_untrusted_attempt_leaves_is_no_program_of_another_user(bench, trusted, mode):
    def acquire(commit, name, slots):
        return slots.acquire(bench.repo, "r", commit, bench.top / "work" / "r" / name, trusted=trusted)

    slot = acquire(bench.start, "a", bench.slots)
    (slot.workspace / "tool").write_text("#!/bin/sh\n")
    (slot.workspace / "tool").chmod(0o4755)
    done = bench.slots.commit(slot, bench.repo, message="a", trailers={})
    bench.slots.release(slot, reuse=False)
    again = acquire(done.commit, "b", bench.slots)
    assert (again.workspace / "tool").stat().st_mode & 0o7777 == mode
    assert again.trusted is trusted
