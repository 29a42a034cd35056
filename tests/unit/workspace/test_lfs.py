"""Large files: the layout and pointers of git-lfs, holes kept, content never other than its name says."""

import os
import subprocess

import pytest

from flowbuild.core.errors import WorkspaceError
from flowbuild.testing.workspaces import Bench
from flowbuild.workspace.lfs import LfsStore, Pointer, data_pieces, parse_pointer, with_gaps
from flowbuild.workspace.objects import MissingObject

CONTENT = os.urandom(3 << 20)


@pytest.fixture
def store(tmp_path):
    return LfsStore(tmp_path / "store")


def put(store, path):
    with path.open("rb") as file:
        size = path.stat().st_size
        return store.put(file.fileno(), size, data_pieces(file.fileno(), size))


def restore(store, pointer, path, pieces=None):
    with path.open("wb") as file:
        store.restore(pointer, file.fileno(), pieces)
    return path


def test_round_trip(store, tmp_path):
    (tmp_path / "f").write_bytes(CONTENT)
    pointer = put(store, tmp_path / "f")
    assert store.has(pointer)
    assert store.verify(pointer)
    assert restore(store, pointer, tmp_path / "g").read_bytes() == CONTENT
    assert list((store.root / "tmp").iterdir()) == []
    assert put(store, tmp_path / "f") == pointer == store.put_bytes(CONTENT)


def test_pointers_are_those_of_git_lfs(store, tmp_path):
    (tmp_path / "f").write_bytes(CONTENT)
    theirs = subprocess.run(["git", "lfs", "pointer", "--file=f"], cwd=tmp_path, capture_output=True, check=True).stdout
    assert put(store, tmp_path / "f").blob() == theirs


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"version ",
        Pointer("a" * 63, 1).blob(),
        Pointer("A" * 64, 1).blob(),
        Pointer("a" * 64, 1).blob() + b"x",
        b"x" * 5000,
    ],
)
def test_what_is_not_a_pointer(blob):
    assert parse_pointer(blob) is None
    assert parse_pointer(Pointer("a" * 64, 1).blob()) == Pointer("a" * 64, 1)


def test_a_changed_object_is_found_out(store, tmp_path):
    pointer = store.put_bytes(b"good")
    path = store.path(pointer.oid)
    path.chmod(0o644)
    path.write_bytes(b"evil")
    assert not store.verify(pointer)
    path.write_bytes(b"longer")
    assert not store.has(pointer)
    with pytest.raises(WorkspaceError, match="6 bytes instead of 4"):
        restore(store, pointer, tmp_path / "g")
    with pytest.raises(MissingObject, match="not in"):
        restore(store, Pointer("0" * 64, 4), tmp_path / "g")
    assert not store.verify(Pointer("0" * 64, 4))


@pytest.mark.parametrize("oid", ["", "../../etc/passwd", "g" * 64, "A" * 64])
def test_a_name_that_is_no_hash_is_refused(store, oid):
    with pytest.raises(WorkspaceError):
        store.path(oid)


@pytest.mark.slow  # hashes 4 GiB of zeros
def test_more_than_four_gibibytes_with_a_hole(store, tmp_path):
    with (tmp_path / "f").open("wb") as file:
        os.pwrite(file.fileno(), b"start", 0)
        os.pwrite(file.fileno(), b"end", (1 << 32) + 12345)
    pointer = put(store, tmp_path / "f")
    assert pointer.size == (1 << 32) + 12348
    copy = restore(store, pointer, tmp_path / "g")
    for path in (store.path(pointer.oid), copy):
        assert path.stat().st_blocks * 512 < 1 << 20
    with copy.open("rb") as file:
        file.seek((1 << 32) + 12345)
        assert file.read() == b"end"


def test_a_store_that_lost_its_holes(store, tmp_path):
    content = b"a" * 4096 + bytes(1 << 20) + b"b" * 4096
    pointer = store.put_bytes(content)
    honest = ((0, 4096), (4096 + (1 << 20), 4096))
    assert restore(store, pointer, tmp_path / "g", honest).read_bytes() == content
    assert (tmp_path / "g").stat().st_blocks * 512 < 1 << 20
    for lie in ((), ((0, 1),), ((9, 1), (3, 1)), ((0, 1 << 62),)):
        assert restore(store, pointer, tmp_path / "h", lie).read_bytes() == content


def test_gaps():
    assert list(with_gaps(((2, 3),), 10)) == [(0, 2, False), (2, 3, True), (5, 5, False)]
    assert list(with_gaps((), 4)) == [(0, 4, False)]
    assert list(with_gaps(((0, 9),), 4)) == [(0, 4, True)]


def test_a_file_that_shrinks_is_an_error(store, tmp_path):
    (tmp_path / "f").write_bytes(b"short")
    with (tmp_path / "f").open("rb") as file, pytest.raises(WorkspaceError, match="shorter"):
        store.put(file.fileno(), 1 << 20)
    assert list((store.root / "tmp").iterdir()) == []


def test_stock_git_lfs_checks_it_out(tmp_path):
    bench, top = Bench(tmp_path), tmp_path / "in"
    top.mkdir()
    (top / "big").write_bytes(CONTENT)
    stored = bench.store(top)
    bench.commit(stored.tree)
    clone = tmp_path / "clone"
    bench.git("clone", "-q", "-n", str(bench.git_dir), str(clone), inside=False)
    run = {"cwd": clone, "capture_output": True, "env": os.environ | {"GIT_CONFIG_GLOBAL": "/dev/null"}}
    subprocess.run(["git", "lfs", "install", "--local"], check=True, **run)
    subprocess.run(["git", "config", "lfs.storage", str(bench.lfs.root)], check=True, **run)
    (clone / ".git/info/attributes").write_text(
        "".join(f"/0/{path.decode()} filter=lfs -text\n" for path in stored.large)
    )
    subprocess.run(["git", "checkout", "-q", "main"], check=True, **run)
    assert (clone / "0/big").read_bytes() == CONTENT
