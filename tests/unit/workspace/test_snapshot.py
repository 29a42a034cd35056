"""Reads only what changed, never misses a change, and does not believe anything it finds."""

import os
import subprocess
import threading

import pytest

from flowbuild.core.errors import WorkspaceError
from flowbuild.testing.workspaces import Bench
from flowbuild.workspace import files, statcache
from flowbuild.workspace.dirs import MAX_DEPTH, remove
from flowbuild.workspace.objects import ObjectDatabase
from flowbuild.workspace.packs import PackWriter
from flowbuild.workspace.snapshot import Options, snapshot
from flowbuild.workspace.statcache import StatCache


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


@pytest.fixture
def top(tmp_path):
    top = tmp_path / "in"
    for number in range(40):
        path = top / f"d{number % 5}" / f"f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % number)
    return top


def settle(top):
    """Wait, by looking, until the kernel's clock has passed every change time by the margin."""
    newest = max(path.stat().st_ctime_ns for path in top.rglob("*"))
    while statcache.horizon() <= newest:
        pass


def test_unchanged_files_are_not_read_again(bench, top):
    cache = StatCache()
    settle(top)
    first = bench.store(top, cache)
    assert (first.files, first.hashed) == (40, 40)
    second = bench.store(top, cache)
    assert (second.hashed, second.tree, second.meta) == (0, first.tree, first.meta)
    (top / "d1/f1").write_bytes(b"new")
    third = bench.store(top, cache)
    assert third.hashed == 1
    assert third.tree == bench.store(top).tree != first.tree


def test_a_write_within_the_same_tick_is_never_missed(bench, tmp_path):
    """Same size, same inode, same times, written just after the snapshot: only the horizon can tell."""
    top, cache, missed = tmp_path / "racy", StatCache(), 0
    top.mkdir()
    path = top / "f"
    for number in range(25):
        path.write_bytes(b"%04d" % number)
        before = path.stat()
        bench.store(top, cache)
        path.write_bytes(b"%04d" % (number + 5000))
        os.utime(path, ns=(before.st_mtime_ns, before.st_mtime_ns))
        missed += bench.store(top, cache).tree != bench.store(top).tree
    assert missed == 0


def test_the_horizon_is_what_prevents_it(bench, tmp_path):
    """Negative control: with a horizon in the future, an equal change time is believed."""
    top, cache = tmp_path / "racy", StatCache()
    top.mkdir()
    (top / "f").write_bytes(b"one")
    bench.store(top, cache)
    entry = cache.root.files["f"]
    (top / "f").write_bytes(b"two")
    found = (top / "f").stat()
    cache.root.files["f"] = entry._replace(ctime_ns=found.st_ctime_ns, mtime_ns=found.st_mtime_ns)
    assert bench.store(top, cache).hashed == 1
    cache.root.files["f"] = entry._replace(ctime_ns=found.st_ctime_ns, mtime_ns=found.st_mtime_ns)
    cache.horizon_ns = 2**62
    assert bench.store(top, cache).hashed == 0


def test_whole_seconds_get_a_wider_margin():
    assert statcache.settled(5_000_000_001, 5_000_000_002)
    assert not statcache.settled(5_000_000_000, 5_000_000_002)
    assert statcache.settled(5_000_000_000, 8_000_000_000)


def test_a_cache_of_another_repository_is_ignored(bench, top, tmp_path):
    cache = StatCache()
    settle(top)
    stored = bench.store(top, cache)
    other = Bench(tmp_path / "other")
    assert other.store(top, cache).hashed == 40
    other.commit(stored.tree, stored.meta)


def test_a_renamed_directory_of_hard_links(bench, top):
    os.link(top / "d0/f0", top / "d1/again")
    settle(top)
    cache = StatCache()
    bench.store(top, cache)
    (top / "d0").rename(top / "z")
    assert bench.store(top, cache).meta == bench.store(top).meta


def test_a_lost_large_file_is_stored_again(bench, tmp_path):
    top, cache = tmp_path / "large", StatCache()
    top.mkdir()
    (top / "big").write_bytes(os.urandom(2 << 20))
    settle(top)
    stored = bench.store(top, cache)
    pointer = stored.large[b"big"]
    bench.lfs.path(pointer.oid).unlink()
    assert bench.store(top, cache).large == stored.large
    assert bench.lfs.verify(pointer)


def test_a_file_that_keeps_changing_is_an_error(bench, top, monkeypatch):
    victim = top / "d0/f0"
    real = os.pread
    count = iter(range(100))

    def busy(fd, size, offset):
        data = real(fd, size, offset)
        if data == b"0" or data.startswith(b"more"):
            victim.write_bytes(b"more%d" % next(count))
        return data

    monkeypatch.setattr(files.os, "pread", busy)
    with pytest.raises(WorkspaceError, match=r"d0/f0: The file keeps changing") as error:
        bench.store(top)
    assert "stop" in error.value.hint
    assert not list((bench.git_dir / "objects/pack").iterdir())


def test_a_file_that_changes_once_is_read_again(bench, top, monkeypatch):
    victim, real, done = top / "d0/f0", os.pread, []

    def once(fd, size, offset):
        data = real(fd, size, offset)
        if data == b"0" and not done:
            done.append(victim.write_bytes(b"final"))
        return data

    monkeypatch.setattr(files.os, "pread", once)
    stored = bench.store(top)
    monkeypatch.undo()
    assert done
    assert stored.tree == bench.store(top).tree


def test_a_real_writer_beside_it_never_gives_a_torn_file(bench, tmp_path):
    top, stop = tmp_path / "busy", threading.Event()
    top.mkdir()
    (top / "f").write_bytes(b"a" * 500_000)

    def write():
        letter = 0
        while not stop.is_set():
            letter ^= 1
            (top / "new").write_bytes((b"a", b"b")[letter] * 500_000)
            (top / "new").replace(top / "f")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(15):
            try:
                stored = bench.store(top)
            except WorkspaceError:
                continue
            with ObjectDatabase(bench.git_dir) as db:
                for entry in db.tree(stored.tree):
                    if entry.name == b"f":
                        assert len(set(db.blob(entry.oid))) == 1
    finally:
        stop.set()
        writer.join()


@pytest.fixture
def deep_top(tmp_path):
    """A place for deep trees: removed here, because what cleans up after the tests recurses."""
    yield tmp_path / "far"
    parent = os.open(tmp_path, os.O_RDONLY)
    remove(parent, b"far")
    os.close(parent)
    assert not (tmp_path / "far").exists()


def test_deeper_than_any_path_and_not_too_deep(bench, deep_top):
    top = deep_top / "in"
    top.mkdir(parents=True)
    fd = os.open(top, os.O_RDONLY)
    for level in range(MAX_DEPTH + 1):
        if level == MAX_DEPTH:
            stored, warm = bench.store(top), StatCache()
            bench.make(stored, deep_top / "out", warm)
            assert bench.store(deep_top / "out", warm).tree == stored.tree
        os.mkdir("dd", dir_fd=fd)
        inner = os.open("dd", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    with pytest.raises(WorkspaceError, match="directories deep"):
        bench.store(top)


def test_set_id_bits_can_be_stripped(bench, top):
    (top / "d0/f0").chmod(0o6755)
    plain, stripped = bench.store(top), bench.store(top, options=Options(setid=False))
    assert plain.tree == stripped.tree
    assert plain.meta != stripped.meta
    (top / "d0/f0").chmod(0o755)
    settle(top)
    assert bench.store(top).meta == stripped.meta


def test_the_number_of_files_is_bounded(bench, top):
    with pytest.raises(WorkspaceError, match="more than 39 files"):
        bench.store(top, options=Options(max_entries=39))


def test_a_directory_that_is_not_there_is_told(bench, tmp_path):
    with pytest.raises(WorkspaceError, match="Cannot store"):
        bench.store(tmp_path / "absent")


def test_nothing_is_visible_before_close(bench, top):
    writer = PackWriter(bench.git_dir)
    stored = snapshot(top, writer, lfs=bench.lfs, cache=StatCache())
    with ObjectDatabase(bench.git_dir) as db:
        assert stored.tree not in db
        writer.close()
        db.refresh()
        assert stored.tree in db


def test_a_hostile_repository_in_the_workspace_runs_nothing(bench, top, tmp_path):
    subprocess.run(["git", "init", "-q", top], check=True)
    witness = tmp_path / "ran"
    with (top / ".git/config").open("a") as file:
        file.write(f'[core]\n fsmonitor = "touch {witness}"\n[filter "x"]\n clean = "touch {witness}"\n')
    (top / ".gitattributes").write_text("* filter=x\n")
    stored = bench.store(top)
    bench.make(stored, tmp_path / "out")
    assert not witness.exists()
    subprocess.run(["git", "-C", top, "status"], capture_output=True, check=True)
    assert witness.exists(), "negative control: git itself would have run it"
