"""Metadata blobs: what goes in comes out, equal entries make equal bytes, damage is refused."""

import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowbuild.core.errors import WorkspaceError
from flowbuild.testing.workspaces import Bench
from flowbuild.workspace import sidecar
from flowbuild.workspace.objects import FILE_MODE, TREE_MODE, ObjectDatabase
from flowbuild.workspace.packs import PackWriter
from flowbuild.workspace.sidecar import Meta

names = st.binary(min_size=1, max_size=12).filter(lambda name: b"\0" not in name and b"/" not in name and name != b".")
ids = st.integers(0, 2**32 - 1)
metas = st.builds(
    Meta,
    mode=st.sampled_from([stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFIFO]).flatmap(
        lambda kind: st.integers(kind, kind + 0o7777)
    ),
    mtime_ns=st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**90), 2**90)),
    owner=st.one_of(st.just((0, 0)), st.tuples(ids, ids)),
    xattrs=st.dictionaries(names, st.binary(max_size=8), max_size=2).map(lambda found: tuple(sorted(found.items()))),
    link=st.binary(max_size=6),
    data=st.one_of(st.none(), st.lists(st.tuples(st.integers(0, 2**64 - 1), ids), max_size=3).map(tuple)),
)
directories = st.builds(lambda own, rest: {b".": own, **rest}, metas, st.dictionaries(names, metas, max_size=5))


@given(directories)
def test_what_goes_in_comes_out(entries):
    assert sidecar.read(sidecar.write(entries)) == entries
    assert sidecar.write(dict(reversed(entries.items()))) == sidecar.write(entries)


@given(directories, st.data())
def test_damage_is_refused_or_harmless(entries, data):
    blob = bytearray(sidecar.write(entries))
    for _ in range(3):
        blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = sidecar.read(bytes(blob[: data.draw(st.integers(0, len(blob)))]))
    except WorkspaceError:
        return
    assert b"." in found


def test_a_name_twice_is_refused():
    plain = Meta(stat.S_IFREG | 0o644, 1, (0, 0))
    blob = sidecar.write({b".": plain, b"aa": plain, b"ab": plain}).replace(b"ab", b"aa")
    with pytest.raises(WorkspaceError, match="twice"):
        sidecar.read(blob)


def test_leaves_are_blobs_and_the_top_is_a_tree(tmp_path):
    bench = Bench(tmp_path)
    blob = sidecar.write({b".": Meta(stat.S_IFDIR | 0o755, 1, (0, 0))})
    with PackWriter(bench.git_dir) as writer:
        leaf = sidecar.store(writer, blob, {})
        top = sidecar.store(writer, blob, {b"%.git": leaf}, top=True)
    assert (leaf.mode, top.mode) == (FILE_MODE, TREE_MODE)
    with ObjectDatabase(bench.git_dir) as db:
        assert sidecar.load(db, top) == (blob, {b"%.git": leaf})
        assert sidecar.load(db, leaf) == (blob, {})
