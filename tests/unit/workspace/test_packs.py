"""A pack is there whole or not at all, and stock git takes it."""

import os
import signal
import subprocess
import sys

import pytest

from flowbuild.testing.workspaces import Bench
from flowbuild.workspace import packs
from flowbuild.workspace.objects import ObjectDatabase
from flowbuild.workspace.packs import PackWriter, object_id


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def pack_files(bench):
    return sorted(path.name for path in (bench.git_dir / "objects/pack").iterdir())


def test_git_accepts_the_pack(bench, tmp_path):
    with PackWriter(bench.git_dir) as writer:
        for size in (0, 1, 15, 16, 2047, 2048, 65535, 65536, 65537, 131070, 200_000):
            writer.add("blob", b"a" * size)
        pack = writer.close()
    subprocess.run(
        ["git", "index-pack", "--strict", "--object-format=sha256", "-o", tmp_path / "theirs.idx", pack],
        check=True,
        capture_output=True,
    )
    assert "ok" in bench.git("verify-pack", "-v", str(pack))
    bench.git("fsck", "--strict")


@pytest.mark.parametrize("far", [0, 1_000_000, (1 << 31) - 1])
def test_the_index_is_the_one_git_makes(bench, tmp_path, monkeypatch, far):
    """Also with offsets that take eight bytes, which git can be told to use earlier than it must."""
    monkeypatch.setattr(packs, "_FAR", far + 1)  # git's limit is the last near one
    with PackWriter(bench.git_dir) as writer:
        oids = {writer.add("blob", b"%d" % number * number): number for number in range(1000)}
        pack = writer.close()
    theirs = tmp_path / "theirs.idx"
    command = ["git", "index-pack", "--object-format=sha256", f"--index-version=2,{far:#x}", "-o", theirs, pack]
    subprocess.run(command, check=True, capture_output=True)
    assert pack.with_suffix(".idx").read_bytes() == theirs.read_bytes()
    with ObjectDatabase(bench.git_dir) as db:
        assert all(db.blob(oid) == b"%d" % number * number for oid, number in oids.items())


def test_nothing_is_written_twice(bench):
    with PackWriter(bench.git_dir) as writer:
        first = writer.add("blob", b"once")
    with ObjectDatabase(bench.git_dir) as known:
        writer = PackWriter(bench.git_dir, known)
        assert writer.add("blob", b"once") == first
        assert first in writer
        assert writer.close() is None
    assert len(pack_files(bench)) == 2


def test_an_exception_leaves_nothing(bench):
    def fail():
        with PackWriter(bench.git_dir) as writer:
            writer.add("blob", b"x" * 9_000_000)
            assert len(pack_files(bench)) == 1, "negative control: something is being written"
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert pack_files(bench) == []


def test_kill_in_the_middle_leaves_nothing_visible(bench):
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from flowbuild.workspace.packs import PackWriter\n"
        "writer = PackWriter(Path(sys.argv[1]))\n"
        "for number in range(20): writer.add('blob', b'%d' % number * 600_000)\n"
        "print('written', flush=True)\n"
        "sys.stdin.read()\n"
        "writer.close()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, bench.git_dir], stdout=subprocess.PIPE, stdin=subprocess.PIPE
    )
    assert child.stdout.readline() == b"written\n"
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    assert all(name.startswith("tmp_pack_") for name in pack_files(bench)), "git ignores and later removes these"
    with ObjectDatabase(bench.git_dir) as db:
        assert object_id("blob", b"1" * 600_000) not in db
    bench.git("fsck", "--strict")
    assert "in-pack: 0" in bench.git("count-objects", "-v")
