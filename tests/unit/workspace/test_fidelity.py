"""What a step leaves is what the next one finds: every trap of the table, generated trees, real trees."""

# ruff: noqa: PTH101, PTH102, PTH103, PTH118, PTH123, PTH211
# (names of any bytes need the functions that take bytes)

import os
import shutil
import socket
import stat
import subprocess
import sysconfig
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from flowbuild.testing.trees import differences, scan
from flowbuild.testing.workspaces import Bench
from flowbuild.workspace.snapshot import Dropped
from flowbuild.workspace.statcache import StatCache

ROOT = os.geteuid() == 0
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 5\n"
NAMES = [
    b"plain", b"-rf", b" lead", b"trail ", b"new\nline", b'quo"te', b"back\\slash", b"\xff\xfe", "e\u0301".encode(), "\u00e9".encode(),
    b"File", b"file", b".git", b".GIT", b"git~1", b".gitignore", b".gitattributes", b".gitmodules", b".mailmap", b"%", b"%.git", b"%meta",
    b"a\\.git", b"*", b":(top)x", b"~", b"n" * 255,
]  # fmt: skip


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


@pytest.fixture(scope="module")
def shared_bench(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("bench"))
    yield bench
    bench.git("fsck", "--strict", "--no-dangling")


def write(path, data=b"", mode=0o644, mtime_ns=None):
    with open(path, "wb") as file:
        file.write(data)
    os.chmod(path, mode)
    if mtime_ns is not None:
        os.utime(path, ns=(mtime_ns, mtime_ns))


def torture(top):
    """Make a tree that holds every item of the fidelity table; return what cannot be carried."""
    here = os.fsencode(top)
    for name in NAMES:
        write(os.path.join(here, name), b"content of " + name)
        os.makedirs(os.path.join(here, b"dirs", name))
    subprocess.run(["git", "init", "-q", top / "nested"], check=True)
    write(top / "nested/.gitattributes", b"* text eol=crlf ident working-tree-encoding=UTF-16 filter=lfs\n")
    write(top / "nested/unix", b"a\nb\n$Id$\n")
    write(top / ".gitignore-me", b"*")
    for mode in (0o000, 0o400, 0o755, 0o700, 0o711, 0o666, 0o4755, 0o2755, 0o1644, 0o6777):
        write(top / f"mode-{mode:o}", b"x", mode)
        (top / f"dir-{mode:o}").mkdir()
    for mode in (0o700, 0o555, 0o2775, 0o1777):
        inner = top / f"dirmode-{mode:o}"
        inner.mkdir()
        write(inner / "file", b"")
        inner.chmod(mode)
    for number, target in enumerate(
        [b"plain", b"dangling", b"/etc/passwd", b"..", b"../../out", b".git", b"x" * 4000, b"\xff"]
    ):
        os.symlink(target, here + b"/link-%d" % number)
        os.utime(here + b"/link-%d" % number, ns=(5, 1_234_567_891), follow_symlinks=False)
    write(top / "one-name", b"shared")
    os.link(top / "one-name", top / "dirs/other-name")
    os.link(top / "link-1", top / "dirs/link-again", follow_symlinks=False)
    os.mkfifo(top / "fifo", 0o640)
    for number, mtime_ns in enumerate([0, 1, -1, 999_999_999, 2**33 * 10**9 + 7, 1_700_000_000_123_456_789]):
        write(top / f"time-{number}", b"t", mtime_ns=mtime_ns)
    os.utime(top / "dirs/plain", ns=(0, 1_600_000_000_000_000_001))
    write(top / "pointer", POINTER)
    write(top / "large", os.urandom(1 << 20), 0o755)
    write(top / "almost-large", os.urandom((1 << 20) - 1))
    for name, size, at in (
        ("sparse-small", 300_000, 100_000),
        ("sparse-large", 1 << 30, 1 << 29),
        ("sparse-huge", 5 << 30, 1 << 20),
    ):
        with open(top / name, "wb") as file:
            os.pwrite(file.fileno(), b"island", at)
            os.truncate(file.fileno(), size if name != "sparse-huge" else 1 << 21)
    with open(top / "sparse-empty", "wb") as file:
        os.truncate(file.fileno(), 3 << 20)
    os.setxattr(top / "plain", "user.note", b"\0binary\xff")
    os.setxattr(top / "dirs", "user.dir", b"d")
    deeper_than_any_path(top)
    bind_socket(top / "socket")
    lost = [Dropped(b"socket", "sockets are not carried")]
    if ROOT:
        os.chown(top / "time-0", 1234, 4321)
        os.chown(top / "link-0", 1, 2, follow_symlinks=False)
        os.chown(top / "dirs/plain", 7, 8)
        os.chown(top / "mode-4755", 5, 5)
        os.chmod(top / "mode-4755", 0o4755)
        os.setxattr(top / "mode-711", "security.capability", bytes.fromhex("0100000200040000000000000000000000000000"))
        os.mknod(top / "device", stat.S_IFCHR | 0o600, os.makedev(1, 3))
        os.setxattr(top / "plain", "trusted.secret", b"x")
        lost.insert(0, Dropped(b"device", "device files are not carried"))
    return lost


def bind_socket(path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.path.relpath(path))
    listener.close()


def deeper_than_any_path(top):
    deep = os.open(top, os.O_RDONLY)
    for _ in range(30):
        os.mkdir(b"d" * 200, dir_fd=deep)
        inner = os.open(b"d" * 200, os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = inner
    os.close(os.open("bottom", os.O_CREAT | os.O_WRONLY, dir_fd=deep))
    os.close(deep)


def same(left, right, lost=()):
    one, other = scan(left), scan(right)
    for gone in lost:
        assert gone.path in one
        del one[gone.path]
    for raw, entry in list(one.items()):  # the only attributes that are not carried, by policy
        kept = tuple(pair for pair in entry.xattrs if not pair[0].startswith("trusted."))
        one[raw] = type(entry)(*[kept if name == "xattrs" else getattr(entry, name) for name in entry.__slots__])
    return differences(one, other)


def test_every_trap_of_the_table(bench, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    top = tmp_path / "in"
    top.mkdir()
    lost = torture(top)
    cache = StatCache()
    stored = bench.store(top, cache)
    assert list(stored.dropped) == lost
    warm = StatCache()
    assert bench.make(stored, tmp_path / "out", warm) == ()
    assert same(top, tmp_path / "out", lost) == []
    bench.commit(stored.tree, stored.meta)
    for again in (bench.store(top, cache), bench.store(tmp_path / "out", warm), bench.store(tmp_path / "out")):
        assert (again.tree, again.meta, again.large) == (stored.tree, stored.meta, stored.large)
    assert sum(path.stat().st_blocks for path in bench.lfs.root.rglob("*")) * 512 < 8 << 20, (
        "holes stay holes in the store"
    )
    bench.git("clone", "-q", "-n", str(bench.git_dir), str(tmp_path / "clone"), inside=False)
    assert bench.git("log", "--format=%s", "main") == "test\n"
    assert "100644 blob" in bench.git("ls-tree", "-r", "main")
    bench.git("gc", "-q")
    assert bench.make(stored, tmp_path / "after-gc") == ()
    assert same(top, tmp_path / "after-gc", lost) == []


SPOILERS = {
    "mtime_ns": lambda path: os.utime(path, ns=(0, path.stat().st_mtime_ns + 1)),
    "mode": lambda path: path.chmod(path.stat().st_mode ^ 0o001),
    "content": lambda path: write(path, b"other", mtime_ns=path.stat().st_mtime_ns),
    "xattrs": lambda path: os.setxattr(path, "user.new", b""),
    "names": lambda path: os.link(path, path.with_name("second")),
    "pieces": lambda path: os.truncate(path, 1 << 20),
    "only": lambda path: path.unlink(),
}


@pytest.mark.parametrize("what", SPOILERS)
def test_the_judge_sees_each_difference(tmp_path, what):
    for side in ("a", "b"):
        (tmp_path / side).mkdir()
        write(tmp_path / side / "f", b"first", mtime_ns=77)
        os.utime(tmp_path / side, ns=(1, 1))
    assert differences(scan(tmp_path / "a"), scan(tmp_path / "b")) == []
    SPOILERS[what](tmp_path / "b/f")
    assert any(what in line for line in differences(scan(tmp_path / "a"), scan(tmp_path / "b")))


file_names = st.one_of(st.sampled_from(NAMES), st.binary(min_size=1, max_size=8)).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in {b".", b".."}
)
times = st.integers(-(2**32) * 10**9, 2**33 * 10**9)
leaves = st.tuples(
    st.sampled_from(["file", "file", "file", "link", "fifo", "sparse", "again"]),
    st.one_of(st.binary(max_size=40), st.just(POINTER)),
    st.integers(0, 0o7777),
    times,
)
trees = st.recursive(
    st.dictionaries(file_names, leaves, max_size=5),
    lambda inner: st.dictionaries(file_names, st.one_of(leaves, inner), max_size=5),
    max_leaves=25,
)


def grow(top, tree, files):
    for name, node in tree.items():
        path = os.path.join(top, name)
        if isinstance(node, dict):
            os.mkdir(path)
            grow(path, node, files)
            os.utime(path, ns=(len(node), 10**18 + len(node)))
            continue
        kind, data, mode, mtime_ns = node
        if kind == "link":
            os.symlink(data.replace(b"\0", b"") or b"x", path)
        elif kind == "fifo":
            os.mkfifo(path)
            os.chmod(path, mode)
        elif kind == "again" and files:
            os.link(files[len(data) % len(files)], path)
            continue
        else:
            write(path, data, mode)
            if kind == "sparse":
                os.truncate(path, 70_000)
            files.append(path)
        os.utime(path, ns=(0, mtime_ns), follow_symlinks=False)


def grown(top, tree):
    shutil.rmtree(top, ignore_errors=True)
    os.mkdir(top)
    grow(os.fsencode(top), tree, [])
    os.utime(top, ns=(3, 3))
    return top


relaxed = settings(
    max_examples=int(os.environ.get("FLOW_EXAMPLES", "25")), deadline=None, suppress_health_check=list(HealthCheck)
)


@relaxed
@given(trees)
def test_generated_trees_come_back(tmp_path_factory, shared_bench, tree):
    base, bench = tmp_path_factory.mktemp("tree"), shared_bench
    top = grown(base / "in", tree)
    stored = bench.store(top)
    bench.make(stored, base / "out", warm := StatCache())
    assert same(top, base / "out") == []
    again = bench.store(base / "out", warm)
    assert (again.tree, again.meta) == (stored.tree, stored.meta)
    shutil.rmtree(base)


@relaxed
@given(trees, trees)
@example({b"plain": {}}, {b"plain": ("file", POINTER, 0, 0)})
@example({b"plain": ("file", b"x", 0o644, 0)}, {b"plain": {b"in": ("fifo", b"", 0o600, 0)}})
@example({b"plain": ("fifo", b"", 0o600, 0)}, {b"plain": ("link", b"to", 0, 0)})
def test_update_makes_what_a_fresh_directory_would_be(tmp_path_factory, shared_bench, one, other):
    base, bench = tmp_path_factory.mktemp("tree"), shared_bench
    old, new = bench.store(grown(base / "one", one)), bench.store(grown(base / "two", other))
    bench.make(old, base / "work", warm := StatCache())
    bench.change(old, new, base / "work", warm)
    assert same(base / "two", base / "work") == []
    for cache in (warm, StatCache()):
        again = bench.store(base / "work", cache)
        assert (again.tree, again.meta) == (new.tree, new.meta)
    shutil.rmtree(base)


@pytest.mark.parametrize("source", ["packages", "headers", "checkout"])
def test_real_trees_come_back(bench, tmp_path, source):
    if source == "checkout":
        subprocess.run(["git", "init", "-q", tmp_path / "project"], check=True)
        shutil.copytree(Path(__file__).parents[3] / "src", tmp_path / "project/src")
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", "-C", tmp_path / "project", "add", "."], check=True)
        subprocess.run(["git", "-C", tmp_path / "project", *who, "commit", "-qm", "x"], check=True)
        top = tmp_path / "project"
    else:
        top = (
            Path(sysconfig.get_path("stdlib")) / "email"
            if source == "headers"
            else Path(pytest.__file__).parents[1] / "_pytest"
        )
    stored = bench.store(top)
    assert stored.files > 20
    bench.make(stored, tmp_path / "out", warm := StatCache())
    assert same(top, tmp_path / "out") == []
    assert bench.store(tmp_path / "out", warm).tree == stored.tree
    bench.commit(stored.tree)
