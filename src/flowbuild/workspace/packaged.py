"""A git repository of files that come with the program."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from flowbuild.workspace import git

# All of it is fixed: the commit has the same id wherever and whenever it is made.
_IDENTITY = {
    "GIT_AUTHOR_NAME": "flow-build-server",
    "GIT_AUTHOR_EMAIL": "demo@localhost",
    "GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z",
}
_IDENTITY |= {name.replace("AUTHOR", "COMMITTER"): value for name, value in _IDENTITY.items()}


def make_repository(files: Path, target: Path, *, message: str, tag: str, without: tuple[str, ...] = ()) -> None:
    """Make a bare repository with one commit, tagged, of the files in a directory, but those that patterns of git name.

    Nothing happens when `target` exists. Raises GitError.
    """
    if target.is_dir():
        return
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    env = {**_IDENTITY, "GIT_WORK_TREE": str(files)}
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".making-") as scratch:
        made = Path(scratch) / "new.git"
        git.run(None, "init", "--quiet", "--bare", "--template=", "--initial-branch=main", str(made))
        (made / "info").mkdir(exist_ok=True)
        (made / "info" / "exclude").write_text("".join(f"{pattern}\n" for pattern in ("__pycache__/", *without)))
        git.run(made, "add", "--all", env=env)
        git.run(made, "commit", "--quiet", "--message", message, env=env)
        git.run(made, "tag", "--annotate", "--message", tag, tag, env=env)
        if not target.is_dir():
            shutil.move(made, target)
