"""A tree from anybody cannot reach outside, overwrite, loop or explode; what is missing is told."""

import os

import pytest

from flowbuild.core.errors import WorkspaceError
from flowbuild.testing.workspaces import Bench
from flowbuild.workspace import materialise as module
from flowbuild.workspace import sidecar
from flowbuild.workspace.dirs import remove
from flowbuild.workspace.lfs import Pointer
from flowbuild.workspace.materialise import materialise, update
from flowbuild.workspace.objects import FILE_MODE, SYMLINK_MODE, TREE_MODE, MissingObject, ObjectDatabase, TreeEntry
from flowbuild.workspace.packs import PackWriter
from flowbuild.workspace.sidecar import Meta
from flowbuild.workspace.snapshot import Options
from flowbuild.workspace.statcache import StatCache


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def raw_tree(writer, *entries):
    return writer.add("tree", b"".join(b"%o %s\0%s" % (mode, name, oid) for mode, name, oid in entries))


def make(bench, tree, directory, meta=None, **options):
    with ObjectDatabase(bench.git_dir) as db:
        return materialise(db, tree, meta, directory, lfs=bench.lfs, options=Options(**options))


HOSTILE = {
    "gitlink": (0o160000, b"sub"),
    "odd mode": (0o100664, b"f"),
    "device": (0o020000, b"f"),
    "dot": (FILE_MODE, b"."),
    "dots": (FILE_MODE, b".."),
    "slash": (FILE_MODE, b"../escape"),
    "empty": (FILE_MODE, b""),
    "unescaped": (FILE_MODE, b".git"),
    "badly escaped": (FILE_MODE, b"%file"),
    "slash after escape": (FILE_MODE, b"%../x"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_entries_are_refused(bench, tmp_path, what):
    with PackWriter(bench.git_dir) as writer:
        blob = writer.add("blob", b"x")
        tree = raw_tree(writer, (*HOSTILE[what], blob))
    with pytest.raises(WorkspaceError, match="Cannot make"):
        make(bench, tree, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    assert not (tmp_path / "escape").exists()


def test_a_link_and_a_directory_of_the_same_name(bench, tmp_path):
    """The classic way out: a link, then a directory of that name whose files would land behind the link."""
    (tmp_path / "victim").mkdir()
    with PackWriter(bench.git_dir) as writer:
        inner = raw_tree(writer, (FILE_MODE, b"f", writer.add("blob", b"x")))
        link = writer.add("blob", os.fsencode(tmp_path / "victim"))
        tree = raw_tree(writer, (SYMLINK_MODE, b"a", link), (TREE_MODE, b"a", inner))
    with pytest.raises(WorkspaceError, match="twice"):
        make(bench, tree, tmp_path / "out")
    assert list((tmp_path / "victim").iterdir()) == []


def test_a_link_that_leads_out_is_not_followed_by_update(bench, tmp_path):
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim/f").write_bytes(b"keep")
    with PackWriter(bench.git_dir) as writer:
        inner = raw_tree(writer, (FILE_MODE, b"f", writer.add("blob", b"x")))
        other = raw_tree(writer, (FILE_MODE, b"f", writer.add("blob", b"y")))
        old, new = raw_tree(writer, (TREE_MODE, b"a", inner)), raw_tree(writer, (TREE_MODE, b"a", other))
    make(bench, old, tmp_path / "out")
    (tmp_path / "out/a/f").unlink()
    (tmp_path / "out/a").rmdir()
    (tmp_path / "out/a").symlink_to(tmp_path / "victim")
    with ObjectDatabase(bench.git_dir) as db, pytest.raises(WorkspaceError, match="out/a"):
        update(db, old, None, new, None, tmp_path / "out", lfs=bench.lfs)
    assert (tmp_path / "victim/f").read_bytes() == b"keep"


def test_a_tree_bomb_ends_at_the_limit(bench, tmp_path):
    with PackWriter(bench.git_dir) as writer:
        tree = raw_tree(writer, (FILE_MODE, b"f", writer.add("blob", b"x")))
        for _ in range(20):
            tree = raw_tree(writer, *[(TREE_MODE, b"%d" % number, tree) for number in range(10)])
    with pytest.raises(WorkspaceError, match="more than 500 entries"):
        make(bench, tree, tmp_path / "out", max_entries=500)


def test_a_tree_too_deep_is_refused(bench, tmp_path):
    with PackWriter(bench.git_dir) as writer:
        tree = writer.add_tree([])
        for _ in range(2100):
            tree = writer.add_tree([TreeEntry(TREE_MODE, b"d", tree)])
    with pytest.raises(WorkspaceError, match="directories deep"):
        make(bench, tree, tmp_path / "out")
    parent = os.open(tmp_path, os.O_RDONLY)
    remove(parent, b"out")  # too deep for what cleans up after the tests
    os.close(parent)


def test_a_directory_that_holds_something_is_refused(bench, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/f").write_bytes(b"mine")
    with PackWriter(bench.git_dir) as writer:
        tree = writer.add_tree([TreeEntry(FILE_MODE, b"f", writer.add("blob", b"x"))])
    with pytest.raises(WorkspaceError, match="must be empty"):
        make(bench, tree, tmp_path / "out")
    assert (tmp_path / "out/f").read_bytes() == b"mine"


def test_missing_objects_name_the_path(bench, tmp_path):
    with PackWriter(bench.git_dir) as writer:
        inner = writer.add_tree([TreeEntry(FILE_MODE, b"lost", bytes(32))])
        tree = writer.add_tree([TreeEntry(TREE_MODE, b"d", inner)])
        large = writer.add_tree([TreeEntry(FILE_MODE, b"big", writer.add("blob", Pointer("ab" * 32, 5).blob()))])
    with pytest.raises(MissingObject, match="out/d/lost"):
        make(bench, tree, tmp_path / "out")
    with pytest.raises(MissingObject, match="Large file"):
        make(bench, large, tmp_path / "other")


def test_metadata_that_lies_cannot_change_content_or_kind(bench, tmp_path):
    plain = Meta(0o100644, 7, (0, 0))
    entries = {
        b".": Meta(0o040755, 9, (0, 0)),
        b"f": plain._replace(mode=0o010777, data=((0, 1),)),
        b"ghost": plain,
        b"hole": plain._replace(data=((5, 1), (2, 1))),
    }
    with PackWriter(bench.git_dir) as writer:
        blob = writer.add("blob", b"content that is not zero")
        tree = writer.add_tree([TreeEntry(FILE_MODE, b"f", blob), TreeEntry(FILE_MODE, b"hole", blob)])
        node = sidecar.store(writer, sidecar.write(entries), {}, top=True)
    make(bench, tree, tmp_path / "out", node.oid)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["f", "hole"]
    assert (tmp_path / "out/f").read_bytes() == (tmp_path / "out/hole").read_bytes() == b"content that is not zero"


@pytest.mark.parametrize("name", [b"..", b"a/b", b"../evil"])
def test_metadata_with_impossible_names_is_refused(bench, tmp_path, name):
    entries = {b".": Meta(0o040755, 9, (0, 0)), name: Meta(0o010644, 1, (0, 0))}
    with PackWriter(bench.git_dir) as writer:
        node = sidecar.store(writer, sidecar.write(entries), {}, top=True)
        tree = writer.add_tree([])
    with pytest.raises(WorkspaceError, match="impossible name"):
        make(bench, tree, tmp_path / "out", node.oid)
    assert not (tmp_path / "evil").exists()


def test_a_plain_blob_that_should_be_large_is_read_again(bench, tmp_path):
    """A cache must never change a result: a big blob from elsewhere becomes a large file at the next snapshot."""
    with PackWriter(bench.git_dir) as writer:
        tree = writer.add_tree([TreeEntry(FILE_MODE, b"big", writer.add("blob", b"z" * (1 << 20)))])
    cache = StatCache()
    with ObjectDatabase(bench.git_dir) as db:
        materialise(db, tree, None, tmp_path / "out", lfs=bench.lfs, cache=cache)
    stored = bench.store(tmp_path / "out", cache)
    assert list(stored.large) == [b"big"]
    assert stored.tree == bench.store(tmp_path / "out").tree


def test_update_touches_only_what_differs(bench, tmp_path):
    top = tmp_path / "in"
    for number in range(30):
        (top / f"d{number % 3}").mkdir(parents=True, exist_ok=True)
        (top / f"d{number % 3}/f{number}").write_bytes(b"%d" % number)
    old = bench.store(top)
    (top / "d0/f0").write_bytes(b"changed")
    (top / "d1/f1").unlink()
    (top / "d1/new").write_bytes(b"new")
    (top / "d2/f2").chmod(0o600)
    new = bench.store(top)
    cache = StatCache()
    bench.make(old, tmp_path / "out", cache)
    inodes = {path: path.stat().st_ino for path in (tmp_path / "out").rglob("*")}
    changes = {path: path.stat().st_ctime_ns for path in (tmp_path / "out").rglob("f*")}
    bench.change(old, new, tmp_path / "out", cache)
    touched = {path.name for path, seen in changes.items() if path.exists() and path.stat().st_ctime_ns != seen}
    assert touched <= {"f0", "f2"}
    assert "f2" in touched
    assert (tmp_path / "out/d2/f2").stat().st_ino == inodes[tmp_path / "out/d2/f2"], "a mode is corrected in place"
    assert bench.store(tmp_path / "out", cache).meta == new.meta


def test_a_failed_update_leaves_no_cache(bench, tmp_path):
    top, cache = tmp_path / "in", StatCache()
    top.mkdir()
    (top / "f").write_bytes(b"1")
    old = bench.store(top)
    (top / "f").write_bytes(b"2")
    new = bench.store(top)
    bench.make(old, tmp_path / "out", cache)
    (tmp_path / "out/f").unlink()
    with pytest.raises(WorkspaceError):
        bench.change(old, new, tmp_path / "out", cache)
    assert cache.root is None


def test_limits_are_the_documented_ones():
    assert Options().max_entries == module.MAX_ENTRIES
