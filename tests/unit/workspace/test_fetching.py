"""Answers of a git server, in pieces as they come, and the packs in them: whole and indexed as git does it, or not there."""

import random
import subprocess
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowbuild.core.errors import WorkspaceError
from flowbuild.testing.workspaces import Bench
from flowbuild.workspace.fetching import PackReceiver
from flowbuild.workspace.git import GitError, GitFailure
from flowbuild.workspace.objects import ObjectDatabase
from flowbuild.workspace.packindex import PackIndexer, publish
from flowbuild.workspace.packs import PackWriter
from flowbuild.workspace.remote import Unreachable

BLOBS = [b"", b"a", b"line\n" * 5000, b"b" * 65535, b"c" * 65536, random.Random(7).randbytes(200_000)]


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path / "here")


@pytest.fixture(scope="module")
def sent(tmp_path_factory):
    """Return what a server would send: a pack, and the ids in it."""
    there = Bench(tmp_path_factory.mktemp("there"))
    with PackWriter(there.git_dir) as writer:
        oids = [writer.add("blob", each) for each in BLOBS]
        pack = writer.close()
    return pack.read_bytes(), oids, pack.with_suffix(".idx").read_bytes()


def packet(content):
    return b"%04x%s" % (len(content) + 4, content)


def answer(pack, size=1000):
    """Return the answer with a pack in it, and some progress in between."""
    pieces = [packet(b"\1" + pack[at : at + size]) for at in range(0, len(pack), size)]
    return packet(b"packfile\n") + packet(b"\2so far\n").join(pieces) + packet(b"\1") + b"0000"


def receive(git_dir, content, size=1 << 20):
    with PackReceiver(git_dir) as receiver:
        for at in range(0, len(content), size):
            receiver.take(content[at : at + size])
        receiver.close()


def files(bench):
    return sorted(path.suffix for path in (bench.git_dir / "objects/pack").iterdir())


@given(size=st.integers(1, 70_000), piece=st.integers(1, 65_515))
def test_in_pieces_of_any_size(tmp_path_factory, sent, size, piece):
    bench = Bench(tmp_path_factory.mktemp("here"))
    pack, oids, index = sent
    receive(bench.git_dir, answer(pack, max(piece, 64)), max(size, 64))
    with ObjectDatabase(bench.git_dir) as db:
        assert [db.blob(oid) for oid in oids] == BLOBS
    (found,) = (bench.git_dir / "objects/pack").glob("*.idx")
    assert found.read_bytes() == index  # which git agrees with: see test_packs


def test_an_answer_that_breaks_off_leaves_nothing(bench, sent):
    whole = answer(sent[0])
    for end in (0, 3, 12, 13, 500, 1020, len(whole) - 5, len(whole) - 1):
        with pytest.raises(Unreachable, match="broke off"):
            receive(bench.git_dir, whole[:end])
    assert files(bench) == []
    receive(bench.git_dir, whole)  # the control
    assert files(bench) == [".idx", ".pack"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (packet(b"ERR upload-pack: not our ref 1234\n"), "not our ref 1234"),
        (packet(b"packfile\n") + packet(b"\3out of memory\n"), "out of memory"),
        (packet(b"packfile\n") + packet(b"\7?"), "no such band"),
        (packet(b"packfile\n") + b"0000" + packet(b"more"), "follows its end"),
        (b"<html>", "no length"),
    ],
)
def test_what_servers_refuse_and_what_is_no_answer(bench, content, words):
    with pytest.raises(WorkspaceError, match=words):
        receive(bench.git_dir, content)
    assert files(bench) == []


def test_a_damaged_pack_is_not_taken(bench, sent):
    """Whichever byte it is; and a checksum that fits does not help."""
    pack = sent[0]
    for at in (0, 7, 11, 12, 13, 40, len(pack) // 2, len(pack) - 40, len(pack) - 1):
        broken = bytearray(pack)
        broken[at] ^= 0x55
        with pytest.raises(WorkspaceError, match="damaged"):
            receive(bench.git_dir, answer(bytes(broken)))
    for body in (pack[:-33], pack[:-32] + b"x", pack[:12] + b"\x95" + pack[13:-32], b"PACK\0\0\0\3" + pack[8:-32]):
        with pytest.raises(WorkspaceError, match="damaged"):
            receive(bench.git_dir, answer(body + sha256(body).digest()))
    assert files(bench) == []


@pytest.mark.parametrize("kind", [6, 7])
@pytest.mark.parametrize("cut", [0, 1, 20, 150_000])
@pytest.mark.parametrize("signed", [False, True])
def test_a_damaged_pack_that_looks_like_one_with_deltas(bench, sent, kind, cut, signed):
    """Which git itself looks at. It says of some that they end early, which is not a server that went away."""
    body = bytearray(sent[0][: -32 - cut])
    body[12] = kind << 4 | body[12] & 0x8F
    with pytest.raises(WorkspaceError, match=r"the pack that came is damaged: .*index-pack") as refused:
        receive(bench.git_dir, answer(bytes(body) + (sha256(body).digest() if signed else bytes(32))))
    assert getattr(refused.value, "failure", None) is None
    assert files(bench) == []


def test_a_pack_with_deltas_that_cannot_be_looked_at_is_not_called_damaged(bench, monkeypatch):
    """A full disk of ours says nothing about what came."""

    def full(*_, **__):
        raise GitError("No space left on device", GitFailure.NO_SPACE)

    monkeypatch.setattr("flowbuild.workspace.git.run", full)
    body = b"PACK\0\0\0\2\0\0\0\1\x75" + bytes(60)
    with pytest.raises(GitError, match=r"^No space"):
        receive(bench.git_dir, answer(body + sha256(body).digest()))
    assert files(bench) == []


def test_an_empty_pack_is_nothing(bench):
    body = b"PACK\0\0\0\2\0\0\0\0"
    receive(bench.git_dir, answer(body + sha256(body).digest(), 64))
    assert files(bench) == []


@pytest.mark.parametrize("deltas", [False, True])
def test_packs_of_other_servers(bench, tmp_path, deltas):
    """Compressed, and with deltas, which git itself has to index."""
    there = Bench(tmp_path / "there")
    for number in range(20):
        (tmp_path / str(number)).write_bytes(b"%d\n" % number + b"".join(b"line %d\n" % each for each in range(2000)))
    names = "\n".join(str(tmp_path / str(number)) for number in range(20))
    oids = subprocess.run(
        ["git", "--git-dir", there.git_dir, "hash-object", "-w", "--stdin-paths"],
        input=names,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    command = ["git", "--git-dir", there.git_dir, "pack-objects", "--stdout", "-q", f"--window={10 * deltas}"]
    pack = subprocess.run(command, input=oids.encode(), capture_output=True, check=True).stdout
    target = bench.git_dir / "objects/pack/tmp_pack_1"
    target.write_bytes(pack)
    indexer = PackIndexer()
    for at in range(0, len(pack), 1000):
        indexer.take(pack[at : at + 1000])
    publish(bench.git_dir, target, indexer)
    assert files(bench) == [".idx", ".pack"]
    (index,) = (bench.git_dir / "objects/pack").glob("*.idx")
    assert ("chain length" in bench.git("verify-pack", "-v", str(index))) == deltas
    with ObjectDatabase(bench.git_dir) as db:
        assert all(db.blob(bytes.fromhex(oid)).startswith(b"%d\n" % at) for at, oid in enumerate(oids.split()))
