"""The reader agrees with git on everything git writes, and refuses what is damaged."""

import random
import subprocess

import pytest

from flowbuild.core.errors import WorkspaceError
from flowbuild.testing.workspaces import Bench
from flowbuild.workspace import packfile
from flowbuild.workspace.objects import FILE_MODE, TREE_MODE, MissingObject, ObjectDatabase, TreeEntry, parse_tree
from flowbuild.workspace.packfile import CorruptPack, apply_delta
from flowbuild.workspace.packs import PackWriter, object_id, tree_data


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def fill(bench, count=300):
    dice = random.Random(7)
    base = dice.randbytes(5000)
    sizes = (0, 1, 15, 16, 2047, 2048, 65535, 65536, 300_000)  # where headers and blocks change their form
    contents = [dice.randbytes(size) for size in sizes]
    for _ in range(count):  # each a small change of the one before, so that git makes chains of deltas
        at = dice.randrange(len(base))
        base = base[:at] + dice.randbytes(30) + base[at:]
        contents.append(base)
    with PackWriter(bench.git_dir) as writer:
        oids = [writer.add("blob", content) for content in contents]
        tree = writer.add_tree(
            TreeEntry(FILE_MODE, b"f%d" % number, oid) for number, oid in enumerate(dict.fromkeys(oids))
        )
    bench.commit(tree)
    return dict(zip(oids, contents, strict=True)), tree


def test_reads_what_was_written(bench):
    blobs, tree = fill(bench)
    with ObjectDatabase(bench.git_dir) as db:
        assert all(db.read(oid) == ("blob", content) and oid in db for oid, content in blobs.items())
        assert {entry.oid for entry in db.tree(tree)} == set(blobs)


def test_reads_delta_packs_of_git(bench):
    blobs, _ = fill(bench)
    bench.git("repack", "-adfq", "--depth=40", "--window=50")
    listing = bench.git("verify-pack", "-v", *map(str, (bench.git_dir / "objects/pack").glob("*.idx")))
    assert "chain length = 3" in listing, "the test must meet chains of deltas"
    with ObjectDatabase(bench.git_dir) as db:
        assert all(db.read(oid) == ("blob", content) for oid, content in blobs.items())


def test_reads_deltas_with_named_bases(bench, tmp_path):
    blobs, _ = fill(bench)
    objects = "\n".join(oid.hex() for oid in blobs).encode()
    other = Bench(tmp_path / "other")
    command = [
        "git",
        "--git-dir",
        bench.git_dir,
        "pack-objects",
        "--stdout",
        "--window=50",
        "-q",
    ]  # no --delta-base-offset
    pack = subprocess.run(command, input=objects, capture_output=True, check=True).stdout
    subprocess.run(
        ["git", "--git-dir", other.git_dir, "index-pack", "--stdin"], input=pack, capture_output=True, check=True
    )
    with ObjectDatabase(other.git_dir) as db:
        assert all(db.read(oid) == ("blob", content) for oid, content in blobs.items())


def test_reads_loose_objects_and_alternates(bench, tmp_path):
    blobs, _ = fill(bench)
    borrower = Bench(tmp_path / "borrower")
    (borrower.git_dir / "objects/info/alternates").write_text(f"# shared\n{bench.git_dir / 'objects'}\n")
    loose = subprocess.run(
        ["git", "--git-dir", borrower.git_dir, "hash-object", "-w", "--stdin"],
        input=b"loose",
        capture_output=True,
        check=True,
    )
    with ObjectDatabase(borrower.git_dir) as db:
        assert db.read(bytes.fromhex(loose.stdout.decode())) == ("blob", b"loose")
        assert all(db.read(oid)[1] == content for oid, content in blobs.items())


def test_alternates_in_a_circle_end(bench):
    (bench.git_dir / "objects/info/alternates").write_text(f"{bench.git_dir / 'objects'}\n")
    with ObjectDatabase(bench.git_dir) as db, pytest.raises(MissingObject):
        db.read(bytes(32))


def test_new_packs_are_found_on_a_miss(bench):
    with ObjectDatabase(bench.git_dir) as db:
        with PackWriter(bench.git_dir) as writer:
            oid = writer.add("blob", b"late")
        assert oid not in db
        assert db.read(oid) == ("blob", b"late")
        assert oid in db


def test_an_index_that_is_being_written_is_not_read(bench):
    (bench.git_dir / "objects/pack/tmp_pack_1.idx").touch()
    blobs, _ = fill(bench, count=1)
    with ObjectDatabase(bench.git_dir) as db:
        assert all(oid in db for oid in blobs)


def test_searches_and_the_table_that_many_of_them_make_agree(bench, monkeypatch):
    blobs, _ = fill(bench)
    answers = []
    for share in (0, 1 << 40):  # never a table; from the first search on
        monkeypatch.setattr(packfile, "_SHARE", share)
        index = next((bench.git_dir / "objects/pack").glob("*.idx"))
        pack = packfile.PackFile(str(index), 32)
        answers.append([pack.find(oid) for oid in (*blobs, bytes(32))])
        pack.forget()
        answers.append([pack.find(oid) for oid in (*blobs, bytes(32))])
        pack.close()
    assert answers == [answers[0]] * 4
    assert None not in answers[0][:-1]
    assert answers[0][-1] is None


def test_a_missing_object_says_which_and_where(bench):
    with ObjectDatabase(bench.git_dir) as db, pytest.raises(MissingObject, match=f"{'00' * 32}.*run.git"):
        db.read(bytes(32))


def test_a_flipped_bit_never_comes_back_as_content(bench):
    with PackWriter(bench.git_dir) as writer:
        oids = [writer.add("blob", b"content %d " % number * 40) for number in range(20)]
    pack = next((bench.git_dir / "objects/pack").glob("*.pack"))
    clean = pack.read_bytes()
    dice, caught = random.Random(3), 0
    for _ in range(200):
        broken = bytearray(clean)
        broken[dice.randrange(12, len(clean) - 32)] ^= 1 << dice.randrange(8)
        pack.chmod(0o644)
        pack.write_bytes(broken)
        with ObjectDatabase(bench.git_dir) as db:
            for oid in oids:
                try:
                    kind, content = db.read(oid)
                except WorkspaceError:
                    caught += 1
                else:
                    assert object_id("blob", content) == oid or kind != "blob"
    assert caught > 150


@pytest.mark.parametrize("cut", [0, 10, 1031, 1100, -1, -40])
def test_a_short_index_is_refused(bench, cut):
    with PackWriter(bench.git_dir) as writer:
        writer.add("blob", b"x")
    index = next((bench.git_dir / "objects/pack").glob("*.idx"))
    index.chmod(0o644)
    index.write_bytes(index.read_bytes()[:cut])
    with pytest.raises(WorkspaceError, match=r"index|damaged|empty"):
        ObjectDatabase(bench.git_dir)


@pytest.mark.parametrize(
    "data", [b"100644 a\0" + bytes(31), b"100644", b"100644 a", b"9z a\0" + bytes(32), b"1006440 a\0" + bytes(32)]
)
def test_malformed_trees_are_refused(data):
    with pytest.raises(WorkspaceError):
        parse_tree(data)


@pytest.mark.parametrize(
    "delta", [b"", b"\x03\x05", b"\x03\x05\x00", b"\x03\x02\x91", b"\x04\x01\x01a", b"\x03\xff\xff\xff\xff\x7f\x01a"]
)
def test_malformed_deltas_are_refused(delta):
    with pytest.raises(CorruptPack):
        apply_delta(b"abc", delta, 1000)


@pytest.mark.parametrize("name", [b"", b".", b"..", b"a/b", b"a\0"])
def test_impossible_names_are_never_written(name):
    with pytest.raises(WorkspaceError):
        tree_data([TreeEntry(FILE_MODE, name, bytes(32))])


def test_trees_are_sorted_as_git_sorts(bench):
    with PackWriter(bench.git_dir) as writer:
        empty, blob = writer.add_tree([]), writer.add("blob", b"")
        entries = [
            TreeEntry(TREE_MODE, b"a", empty),
            TreeEntry(FILE_MODE, b"a.b", blob),
            TreeEntry(FILE_MODE, b"a0", blob),
        ]
        tree = writer.add_tree(entries)
    assert [line.split("\t")[1] for line in bench.git("ls-tree", tree.hex()).splitlines()] == ["a.b", "a", "a0"]
    with pytest.raises(WorkspaceError):
        tree_data([TreeEntry(TREE_MODE, b"a", empty), TreeEntry(FILE_MODE, b"a", blob)])
