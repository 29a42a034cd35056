"""The small `.git` of a workspace: `git describe`, `log`, `status`, `diff` and `blame` work in a step, nothing is copied.

It is a repository of its own with the user's refs, index and shallow boundary, whose objects come from the user's
object directories. The runner mounts these read-only at fixed places in every container. Like any other content it is
stored in the run repository, so a step may commit, tag or fetch in it and the next step sees that.
Source of the formats: gitrepository-layout(5).
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import NamedTuple

MOUNT = "/.flow/source"  # object directory number n of the user's repository is at MOUNT/n
_MAX_ALTERNATES = 16
_WORKSPACE = "/workspace"

# checkStat and trustctime: inodes, ctimes and owners are others than the user's, times and sizes are the same; so the
# user's index is as good here as there and `git status` need not read the files.
_CONFIG = """\
[core]
\trepositoryformatversion = {version}
\tfilemode = true
\tbare = false
\tlogallrefupdates = true
\tcheckStat = minimal
\ttrustctime = false
\tfsmonitor = false
"""


class GitFile(NamedTuple):
    """A file of the `.git`; `data` None is a directory. The index must keep its own time, see `git-update-index(1)`."""

    data: bytes | None
    mtime_ns: int


def object_directories(objects: Path) -> list[Path]:
    """Return an object directory and the ones it borrows from, directly and indirectly, each once, those that exist."""
    found: list[Path] = []
    queue = [objects]
    while queue and len(found) < _MAX_ALTERNATES:
        directory = queue.pop(0).resolve()
        if directory in found or not directory.is_dir():
            continue
        found.append(directory)
        with contextlib.suppress(FileNotFoundError):
            lines = (directory / "info" / "alternates").read_bytes().splitlines()
            queue += [directory / os.fsdecode(line) for line in lines if line and not line.startswith(b"#")]
    return found


def environment() -> dict[str, str]:
    """Return what makes git accept a workspace whose files belong to another user (git 2.38 and newer).

    Only `/workspace` is declared safe, and only to programs of the step.
    """
    return {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": _WORKSPACE}


def directory(
    *, git_dir: Path, common_dir: Path, head: bytes, refs: bytes, object_format: str, object_directories: int
) -> dict[bytes, GitFile]:
    """Return the files and directories of the `.git` by relative path.

    `refs` is the output of for-each-ref, for each ref: id, space, name, zero byte, peeled id or nothing, zero byte.
    """
    sha256 = object_format == "sha256"
    config = _CONFIG.format(version=1 if sha256 else 0)
    if sha256:
        config += "[extensions]\n\tobjectformat = sha256\n"
    alternates = "".join(f"{MOUNT}/{number}\n" for number in range(object_directories))
    made = {
        b"HEAD": head + b"\n",
        b"config": config.encode(),
        b"packed-refs": _packed_refs(refs),
        b"objects/info/alternates": alternates.encode(),
        b"objects/pack": None,
        b"refs/heads": None,
        b"refs/tags": None,
    }
    now = (git_dir / "HEAD").stat().st_mtime_ns
    files = {name: GitFile(data, now) for name, data in made.items()}
    copied = [(git_dir, "index"), (common_dir, "shallow"), (git_dir, "info/sparse-checkout")]
    copied += [(git_dir, path.name) for path in git_dir.glob("sharedindex.*")]
    for parent, name in copied:
        with contextlib.suppress(FileNotFoundError):
            path = parent / name
            files[os.fsencode(name)] = GitFile(path.read_bytes(), path.stat().st_mtime_ns)
    return files


def _packed_refs(refs: bytes) -> bytes:
    """Turn the refs of the repository into a packed-refs file; sorted by name, as for-each-ref is."""
    out = [b"# pack-refs with: peeled fully-peeled sorted \n"]
    for line in refs.split(b"\0\n"):
        ref, _, peeled = line.rstrip(b"\0").partition(b"\0")
        if ref:
            out.append(ref + b"\n")
        if peeled:
            out.append(b"^" + peeled + b"\n")
    return b"".join(out)
