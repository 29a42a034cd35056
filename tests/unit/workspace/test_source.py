"""The working tree of a user as the first workspace: complete, untouched, and with a git that works inside."""

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from flowbuild.core.errors import InvalidRequest
from flowbuild.workspace import git
from flowbuild.workspace.repo import RunRepository
from flowbuild.workspace.slots import Slots
from flowbuild.workspace.source import SOURCE_MOUNT, WorkingTree, git_environment

HOME = {"HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", "PATH": os.environ["PATH"], "LC_ALL": "C"}
USER = ["-c", "user.name=u", "-c", "user.email=u@localhost", "-c", "protocol.file.allow=always"]


def sh(cwd, *args, env=None, check=True):
    done = subprocess.run(["git", *USER, *args], cwd=cwd, env={**HOME, **(env or {})}, capture_output=True, check=False)
    assert not check or done.returncode == 0, done.stderr
    return done.stdout.decode().strip()


def fingerprint(directory):
    """Hash every byte, name and time below a directory."""
    digest = hashlib.sha256()
    for top, directories, files in os.walk(directory):
        for name in sorted(directories + files):
            path = f"{top}/{name}"
            found = os.lstat(path)
            digest.update(f"{path} {found.st_mode} {found.st_mtime_ns}".encode())
            if Path(path).is_file():
                digest.update(Path(path).read_bytes())
    return digest.hexdigest()


@pytest.fixture
def project(tmp_path):
    """A repository with history, tags, a submodule, ignored, changed, deleted and untracked files and odd names."""
    library = tmp_path / "library"
    library.mkdir()
    sh(library, "init", "-q", "-b", "main")
    (library / "lib.c").write_text("int x;\n")
    sh(library, "add", ".")
    sh(library, "commit", "-qm", "library")
    top = tmp_path / "project"
    top.mkdir()
    sh(top, "init", "-q", "-b", "main")
    (top / ".gitignore").write_text("*.o\n")
    for name in ("kept", "changed", "deleted", "sub dir/naïve"):
        (top / name).parent.mkdir(exist_ok=True)
        (top / name).write_text(f"{name}\n")
    sh(top, "add", ".")
    sh(top, "commit", "-qm", "one")
    sh(top, "tag", "-a", "v1.0", "-m", "v1.0")
    sh(top, "submodule", "--quiet", "add", str(library), "lib")
    sh(top, "commit", "-qm", "two")
    (top / "changed").write_text("changed now\n")
    (top / "deleted").unlink()
    (top / "a.o").write_text("ignored")
    (top / "new").write_text("untracked")
    (top / "new").chmod(0o755)
    (top / "dangling").symlink_to("nowhere")
    (top / "big.bin").write_bytes(bytes(2 << 20))
    (top / "pointer").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 5\n")
    nested = top / "nested"
    nested.mkdir()
    sh(nested, "init", "-q")
    (nested / "inner").write_text("in a repository of its own")
    return top


FILES = [
    b".gitignore",
    b".gitmodules",
    b"big.bin",
    b"changed",
    b"dangling",
    b"kept",
    b"lib/lib.c",
    b"nested/inner",
    b"new",
    b"pointer",
    "sub dir/naïve".encode(),
]


def test_the_tree_as_it_is_on_disk_and_nothing_touched(project, tmp_path):
    sh(project, "status")  # let git write its index now: what is compared below is our doing only
    before = fingerprint(project)
    tree = WorkingTree(project / "sub dir")
    assert list(tree.paths()) == FILES
    assert (tree.branch, tree.tag, tree.dirty, tree.directory) == ("main", "", True, project)
    assert tree.commit == sh(project, "rev-parse", "HEAD")
    assert tree.read("changed") == b"changed now\n"
    assert tree.read("a.o") is None
    assert tree.read("../outside") is None
    assert tree.read("deleted") is None
    repo = RunRepository.create(tmp_path / "run.git", lfs=tmp_path / "lfs")
    commit = repo.initial(source=tree, variables={}, trailers={})
    assert fingerprint(project) == before
    git.fsck(repo.path)
    assert repo.layout(commit).lfs == (b"big.bin", b"pointer")
    sizes = {change.path: change.size_after for change in repo.changes(None, commit)}
    assert [path for path in sorted(sizes) if not path.startswith(b".git/")] == FILES
    assert sizes[b"big.bin"] == 2 << 20


def checkout(project, tmp_path):
    repo = RunRepository.create(tmp_path / "run.git", lfs=tmp_path / "lfs")
    tree = WorkingTree(project)
    commit = repo.initial(source=tree, variables={}, trailers={})
    return tree, Slots(tmp_path / "work").acquire(repo, "r", commit, tmp_path / "work" / "r" / "a")


def test_git_works_in_the_workspace_without_copied_history(project, tmp_path):
    tree, slot = checkout(project, tmp_path)
    alternates = slot.workspace / ".git/objects/info/alternates"
    assert alternates.read_text() == f"{SOURCE_MOUNT}/0\n"
    assert (slot.workspace / "new").stat().st_mtime_ns == (project / "new").stat().st_mtime_ns
    assert (slot.workspace / "new").stat().st_mode == (project / "new").stat().st_mode
    there = {"GIT_ALTERNATE_OBJECT_DIRECTORIES": str(tree.object_directories()[0])}
    for args in (["describe"], ["log", "--format=%s"], ["blame", "kept"], ["diff", "--stat", "HEAD"], ["tag"]):
        assert sh(slot.workspace, *args, env=there) == sh(project, *args)
    status = ["status", "--porcelain", "--", ".", ":!lib", ":!nested"]
    assert sh(slot.workspace, *status, env=there) == sh(project, *status)
    assert not any(path.suffix == ".pack" for path in slot.workspace.rglob(".git/objects/**/*"))
    assert sh(slot.workspace, "describe", check=False) == ""  # control: without the mount there is no history


def test_another_owner_is_no_obstacle_with_our_environment(project, tmp_path):
    """Mounted as in a container, owned by somebody else: bind mounts in a mount namespace of its own."""
    if os.geteuid() != 0:
        pytest.fail("this test needs root, as the test container has")
    tree, slot = checkout(project, tmp_path)
    for path in [slot.workspace, *slot.workspace.rglob("*")]:
        os.lchown(path, 12345, 12345)
    script = f"""
        mount -t tmpfs none /mnt && mkdir -p /mnt/workspace /mnt/.flow/source/0 /mnt/usr /mnt/proc
        mount --rbind {slot.workspace} /mnt/workspace
        mount --rbind {tree.object_directories()[0]} /mnt/.flow/source/0
        mount -o remount,ro,bind /mnt/.flow/source/0
        for part in usr lib lib64 bin etc dev; do [ -e /$part ] && mkdir -p /mnt/$part && mount --rbind /$part /mnt/$part; done
        cd /mnt/workspace && exec chroot /mnt /bin/sh -c 'cd /workspace && git describe && git log --format=%s'
    """
    command = ["unshare", "-m", "sh", "-ec", script]
    done = subprocess.run(command, env={**HOME, **git_environment()}, capture_output=True, text=True, check=False)
    assert done.stdout.split("\n") == [sh(project, "describe"), "two", "one", ""], done.stderr
    refused = subprocess.run(command, env=HOME, capture_output=True, text=True, check=False)
    assert "dubious ownership" in refused.stderr  # control: the environment is what makes the difference


def test_worktrees_shallow_clones_and_borrowed_objects(project, tmp_path):
    sh(project, "worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    side = WorkingTree(tmp_path / "side")
    assert (side.branch, side.object_directories()) == ("side", [project / ".git/objects"])
    sh(tmp_path, "clone", "-q", "--shared", "--no-tags", str(project), "borrowing")
    borrowing = WorkingTree(tmp_path / "borrowing")
    assert borrowing.object_directories() == [tmp_path / "borrowing/.git/objects", project / ".git/objects"]
    assert borrowing.git_directory()[b"objects/info/alternates"].data == b"/.flow/source/0\n/.flow/source/1\n"
    sh(tmp_path, "clone", "-q", "--depth=1", f"file://{project}", "shallow")
    shallow = WorkingTree(tmp_path / "shallow")
    assert shallow.git_directory()[b"shallow"].data.decode().strip() == shallow.commit
    sh(project, "checkout", "-q", "--detach", "-f")
    detached = WorkingTree(project)
    assert (detached.branch, detached.git_directory()[b"HEAD"].data.decode()) == ("", detached.commit + "\n")


def test_what_cannot_be_built_is_told(tmp_path, project):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InvalidRequest, match="not inside a git repository") as told:
        WorkingTree(empty)
    assert "git init" in told.value.hint
    sh(empty, "init", "-q", "--bare")
    with pytest.raises(InvalidRequest, match="bare"):
        WorkingTree(empty)
    with pytest.raises(InvalidRequest, match="not a directory"):
        WorkingTree(tmp_path / "absent")
    unborn = tmp_path / "unborn"
    unborn.mkdir()
    sh(unborn, "init", "-q", "-b", "trunk")
    (unborn / "file").write_text("x")
    tree = WorkingTree(unborn)
    assert (tree.commit, tree.branch, tree.tag) == ("", "trunk", "")
    assert list(tree.paths()) == [b"file"]
    assert tree.git_directory()[b"HEAD"].data == b"ref: refs/heads/trunk\n"


def test_links_do_not_lead_out_and_hooks_do_not_run(project, tmp_path, monkeypatch):
    (tmp_path / "secret").write_text("secret")
    (project / "kept").unlink()
    (project / "kept").symlink_to(tmp_path / "secret")
    (project / "sub dir" / "naïve").unlink()
    (project / "sub dir").rmdir()
    (project / "sub dir").symlink_to(tmp_path)
    sh(project, "config", "core.fsmonitor", f"touch {tmp_path}/ran; false")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "library" / ".git"))  # as in a hook of another repository
    tree = WorkingTree(project)
    assert b"kept" in tree.paths()
    assert tree.read("kept") is None
    assert not any(path.startswith(b"sub dir/") for path in tree.paths())
    assert tree.dirty
    assert not (tmp_path / "ran").exists()


def test_line_end_in_the_name_of_the_directory(tmp_path):
    top = tmp_path / "one\ntwo"
    top.mkdir()
    sh(top, "init", "-q")
    (top / "file").write_text("x")
    tree = WorkingTree(top)
    assert tree.directory == top
    assert list(tree.paths()) == [b"file"]
    assert tree.object_directories() == [top / ".git/objects"]
