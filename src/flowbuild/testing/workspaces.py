"""A run repository for tests of the workspace code: store a directory, make it again, ask stock git about it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from flowbuild.workspace.lfs import LfsStore
from flowbuild.workspace.materialise import materialise, update
from flowbuild.workspace.objects import ObjectDatabase
from flowbuild.workspace.packs import PackWriter
from flowbuild.workspace.snapshot import Dropped, Options, Snapshot, snapshot
from flowbuild.workspace.statcache import StatCache


class Bench:
    """An empty bare SHA-256 repository under `top` with a store for large files."""

    def __init__(self, top: Path) -> None:
        self.git_dir = top / "run.git"
        self.git("init", "--quiet", "--bare", "--object-format=sha256", str(self.git_dir), inside=False)
        self.lfs = LfsStore(self.git_dir / "lfs")

    def git(self, *arguments: str, inside: bool = True, check: bool = True) -> str:
        """Run stock git on the repository; return its output."""
        where = ("--git-dir", str(self.git_dir)) if inside else ()
        done = subprocess.run(
            ["git", *where, *arguments], capture_output=True, text=True, check=False, errors="replace"
        )
        if check and done.returncode != 0:
            raise AssertionError(f"git {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def store(self, directory: Path, cache: StatCache | None = None, options: Options | None = None) -> Snapshot:
        """Store a directory."""
        with ObjectDatabase(self.git_dir) as known, PackWriter(self.git_dir, known) as writer:
            return snapshot(directory, writer, lfs=self.lfs, cache=cache or StatCache(), options=options)

    def make(self, stored: Snapshot, directory: Path, cache: StatCache | None = None) -> tuple[Dropped, ...]:
        """Make a stored directory again."""
        with ObjectDatabase(self.git_dir) as db:
            return materialise(db, stored.tree, stored.meta, directory, lfs=self.lfs, cache=cache)

    def change(
        self, old: Snapshot, new: Snapshot, directory: Path, cache: StatCache | None = None
    ) -> tuple[Dropped, ...]:
        """Turn a directory that holds `old` into `new`."""
        with ObjectDatabase(self.git_dir) as db:
            return update(db, old.tree, old.meta, new.tree, new.meta, directory, lfs=self.lfs, cache=cache)

    def commit(self, *trees: bytes) -> str:
        """Commit stored trees as `0`, `1`, … on `main` and check the whole repository; return the commit."""
        lines = "".join(f"040000 tree {tree.hex()}\t{number}\n" for number, tree in enumerate(trees))
        made = subprocess.run(
            ["git", "--git-dir", self.git_dir, "mktree"], input=lines, capture_output=True, text=True, check=True
        ).stdout.strip()
        who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        commit = self.git(*who, "commit-tree", "-m", "test", made).strip()
        self.git("update-ref", "refs/heads/main", commit)
        self.git("symbolic-ref", "HEAD", "refs/heads/main")
        self.git("fsck", "--strict", "--no-dangling")
        return commit
