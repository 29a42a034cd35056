"""A commit of a mirror as the first workspace: the same as a checkout by git, without one."""

import os
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

from flowbuild.core.errors import WorkspaceError
from flowbuild.core.giturl import Policy, parse
from flowbuild.services.source_files import SourceFiles
from flowbuild.testing.git_remote import Source
from flowbuild.testing.program import git as run_git
from flowbuild.workspace import git
from flowbuild.workspace.mirror import Mirror
from flowbuild.workspace.remote import reach
from flowbuild.workspace.repo import RunRepository
from flowbuild.workspace.slots import Slots
from flowbuild.workspace.source import source_objects
from flowbuild.workspace.source_commit import CommitSource

BIG = bytes(range(256)) * 8192  # 2 MiB
ATTRIBUTES = """\
*.bat text eol=crlf
*.id ident
*.utf16 text working-tree-encoding=UTF-16LE eol=lf
*.bin filter=lfs diff=lfs merge=lfs -text
*.odd filter=unknown
"""
ODD = [b"line\nend", b"\xff\xfe not UTF-8", b'tab\t"quote"', b"%2e", b"-x", b" space ", b"a:b", b".gitmodules.x"]
FILES = {
    ".flow.yml": "pipelines: {}\n",
    "a": "1\n",
    "sub dir/naïve": "n\n",
    "sub dir/deeper/x": "x\n",
    "run.sh": "#!/bin/sh\n",
    "large": BIG,
    "empty": "",
    "like a pointer": "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 5\n",
}


@pytest.fixture
def source(tmp_path):
    return Source(tmp_path / "remote")


def mirrored(source, tmp_path):
    mirror = Mirror(tmp_path / "mirror")
    remote = reach(parse(str(source.path)), Policy(local=(str(tmp_path),)))
    mirror.fetch(remote)
    return mirror, remote


def fill(source, files):
    source.commit(files)
    for name in ODD:
        Path(os.fsdecode(os.fsencode(source.tree) + b"/" + name)).write_text("odd\n")
    (source.tree / "run.sh").chmod(0o755)
    (source.tree / "link").symlink_to("sub dir/naïve")
    (source.tree / "dangling").symlink_to("nowhere")
    return source.commit({}, "links")


def checked_out(tmp_path, commit_source):
    """Make a run of the source and its workspace; return both."""
    repo = RunRepository.create(tmp_path / "run.git", lfs=tmp_path / "lfs")
    commit = repo.initial(source=commit_source, variables={}, trailers={})
    git.fsck(repo.path)
    slot = Slots(tmp_path / "work").acquire(repo, "r", commit, tmp_path / "work" / "r" / "a")
    return repo, slot.workspace


def content(directory):
    """Return what is in a directory, without `.git`: type, executable bit and bytes by path."""
    found = {}
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory)
        if name.parts[0] == ".git":
            continue
        if path.is_symlink():
            found[str(name)] = ("link", str(path.readlink()))
        elif path.is_dir():
            found[str(name)] = ("directory", "")
        else:
            found[str(name)] = (bool(path.stat().st_mode & 0o100), path.read_bytes())
    return found


def cloned(source, tmp_path):
    run_git(tmp_path, "clone", "--quiet", "--branch=main", str(source.path), "clone")
    return tmp_path / "clone"


@pytest.mark.parametrize("attributes", [False, True])
def test_the_same_as_a_checkout(source, tmp_path, attributes):
    files = dict(FILES)
    if attributes:
        files |= {
            ".gitattributes": ATTRIBUTES,
            "sub dir/.gitattributes": "deeper/* eol=crlf\n",
            "x.bat": "one\ntwo\n",
            "x.id": "$Id$\n",
            "x.utf16": "text\n".encode("utf-16-le"),
            "x.odd": "odd\n",
        }
    commit = fill(source, files)
    mirror, _ = mirrored(source, tmp_path)
    made = CommitSource(mirror, commit, branch="main")
    assert not made.missing_large()
    _, workspace = checked_out(tmp_path, made)
    wanted = content(cloned(source, tmp_path))
    assert content(workspace) == wanted
    if attributes:
        assert wanted["x.bat"][1] == b"one\r\ntwo\r\n"
        assert wanted["sub dir/deeper/x"][1] == b"x\r\n"
        assert wanted["x.id"][1] != b"$Id$\n"


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
def test_git_works_in_the_workspace(tmp_path, object_format):
    source = Source(tmp_path / "remote", object_format=object_format)
    fill(source, {**FILES, ".gitattributes": ATTRIBUTES, "x.bat": "one\n"})
    source.git("tag", "-m", "x", "v1.0")
    source.push("--tags")
    source.commit({"other": "o"}, branch="other")
    commit = source.commit({"a": "2\n"})
    mirror, _ = mirrored(source, tmp_path)
    made = CommitSource(mirror, commit, branch="main")
    _, workspace = checked_out(tmp_path, made)
    alternates = workspace / ".git/objects/info/alternates"
    assert alternates.read_text() == "/.flow/source/0\n"
    alternates.write_text(f"{source_objects(made.place)[0]}\n")
    source.commit({"a": "3\n"})  # the branch moves on, the run does not

    def ask(*args):
        return run_git(workspace, *args).strip()

    assert ask("describe") == f"v1.0-2-g{commit[:7]}"
    assert ask("describe", "--dirty") == ask("describe")
    assert ask("rev-parse", "HEAD") == commit
    assert ask("branch", "--show-current") == "main"
    assert ask("status", "--porcelain") == ""
    assert ask("log", "--format=%s") == "change\nchange\nlinks\nchange"
    assert ask("diff", "--name-only", "origin/other...HEAD") == "a"
    (workspace / "a").write_text("changed\n")
    assert ask("status", "--porcelain") == "M a"
    ask("fsck", "--strict")


def test_status_does_not_read_the_files(source, tmp_path):
    """Same size, same time, other bytes: who reads the file sees it, who trusts the index does not."""
    commit = source.commit({"a": "one\n"})
    mirror, _ = mirrored(source, tmp_path)
    made = CommitSource(mirror, commit)
    _, workspace = checked_out(tmp_path, made)
    (workspace / ".git/objects/info/alternates").write_text(f"{source_objects(made.place)[0]}\n")
    time_ns = (workspace / "a").stat().st_mtime_ns
    (workspace / "a").write_text("two\n")
    os.utime(workspace / "a", ns=(time_ns, time_ns))
    assert run_git(workspace, "status", "--porcelain") == ""
    os.utime(workspace / "a", ns=(0, 0))
    assert run_git(workspace, "status", "--porcelain").strip() == "M a"
    assert run_git(workspace, "branch", "--show-current") == ""  # detached


def test_equal_commits_make_equal_workspaces(source, tmp_path):
    commit = fill(source, FILES)
    mirror, _ = mirrored(source, tmp_path)
    trees = []
    for number in range(2):
        repo = RunRepository.create(tmp_path / f"{number}.git", lfs=tmp_path / "lfs")
        layout = repo.layout(repo.initial(source=CommitSource(mirror, commit), variables={}, trailers={}))
        trees.append((layout.workspace, layout.meta))
    assert trees[0] == trees[1]


def lfs(source, data):
    """Put an object into the remote's store, as `git lfs push` does; return the pointer."""
    oid = sha256(data).hexdigest()
    place = source.path / "lfs/objects" / oid[:2] / oid[2:4] / oid
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(data)}\n"


def test_large_files_of_the_source(source, tmp_path):
    small = b"small, but LFS\n"
    files = {".gitattributes": ATTRIBUTES, "big.bin": lfs(source, BIG), "small.bin": lfs(source, small)}
    commit = source.commit({**files, "empty.bin": "", "plain.bin": "no pointer\n", "not": files["big.bin"]})
    mirror, remote = mirrored(source, tmp_path)
    made = CommitSource(mirror, commit, branch="main")
    assert made.missing_large()
    with pytest.raises(WorkspaceError, match="was not fetched"):
        list(made.made())
    mirror.fetch_large(remote, commit, CommitSource(mirror, commit).missing_large())
    assert not made.missing_large()
    repo, workspace = checked_out(tmp_path, made)
    assert (workspace / "big.bin").read_bytes() == BIG
    assert (workspace / "small.bin").read_bytes() == small
    assert (workspace / "plain.bin").read_text() == "no pointer\n"
    assert (workspace / "empty.bin").read_bytes() == b""
    assert (workspace / "not").read_text() == files["big.bin"]  # no filter: a checkout leaves it alone
    (workspace / ".git/objects/info/alternates").write_text(f"{source_objects(made.place)[0]}\n")
    assert run_git(workspace, "status", "--porcelain") == ""  # although there is no git-lfs in the step
    assert b"big.bin" in repo.layout(repo.refs.read("refs/heads/main")).lfs


def test_a_large_file_that_the_remote_does_not_have(source, tmp_path):
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'1' * 64}\nsize 5\n"
    commit = source.commit({".gitattributes": ATTRIBUTES, "x.bin": pointer})
    mirror, remote = mirrored(source, tmp_path)
    with pytest.raises(git.GitError):
        mirror.fetch_large(remote, commit, CommitSource(mirror, commit).missing_large())


def test_where_large_files_come_from_is_not_up_to_the_commit(source, tmp_path):
    """What `.lfsconfig` says may come from a pull request."""
    elsewhere = Source(tmp_path / "elsewhere")
    pointer = lfs(elsewhere, BIG)
    config = f"[lfs]\n\turl = file://{elsewhere.path}\n"
    commit = source.commit({".gitattributes": ATTRIBUTES, ".lfsconfig": config, "x.bin": pointer})
    mirror, remote = mirrored(source, tmp_path)
    with pytest.raises(git.GitError):
        mirror.fetch_large(remote, commit, CommitSource(mirror, commit).missing_large())
    lfs(source, BIG)
    mirror.fetch_large(remote, commit, CommitSource(mirror, commit).missing_large())


def test_submodules_are_empty_directories(source, tmp_path):
    inner = Source(tmp_path / "inner")
    inner.commit({"lib": "x"})
    source.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner.path), "lib")
    commit = source.commit({"a": "1"})
    mirror, _ = mirrored(source, tmp_path)
    _, workspace = checked_out(tmp_path, CommitSource(mirror, commit))
    assert content(workspace) == content(cloned(source, tmp_path))
    assert (workspace / "lib").is_dir()


def test_reading_files(source, tmp_path):
    source.commit({"a/b/file": "text", "pipeline": "p"})
    for name, target in {
        "a/link": "b/file",
        "a/up": "../pipeline",
        "out": "../../etc/passwd",
        "absolute": "/etc/passwd",
        "self": "self",
        "dir": "a/b",
        "git": ".git/config",
    }.items():
        (source.tree / name).symlink_to(target)
    commit = source.commit({})
    mirror, _ = mirrored(source, tmp_path)
    made = CommitSource(mirror, commit)
    assert made.read("a/b/file") == b"text"
    assert made.read("a/link") == b"text"
    assert made.read("a/up") == b"p"
    assert made.read("dir/file") == b"text"
    for path in ["out", "absolute", "self", "git", "a", "nowhere", "../pipeline", "a/../../x", "", "/etc/passwd"]:
        assert made.read(path) is None, path
    files = SourceFiles(made)
    assert sorted(files.names("a")) == ["link", "up"]
    assert set(files.names("")) == {"pipeline", "out", "absolute", "self", "dir", "git"}


def test_times_that_no_index_can_hold(source, tmp_path):
    (source.tree / "a").write_text("1")
    source.git("add", "a")
    tree = source.git("write-tree")
    raw = f"tree {tree}\nauthor a <a@b> 99999999999 +0000\ncommitter a <a@b> 99999999999 +0000\n\nfar\n"
    done = subprocess.run(
        ["git", "hash-object", "-t", "commit", "-w", "--stdin"],
        input=raw.encode(),
        cwd=source.tree,
        capture_output=True,
        check=True,
    )
    source.push(f"{done.stdout.decode().strip()}:refs/heads/main")
    mirror, _ = mirrored(source, tmp_path)
    _, workspace = checked_out(tmp_path, CommitSource(mirror, "refs/heads/main"))
    assert (workspace / "a").read_text() == "1"
