"""The program as somebody who is not root, but may use the Docker Engine: as most people have it."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import flowbuild
from flowbuild.settings import read_settings
from flowbuild.testing.program import Program, git
from flowbuild.workspace.helper import CAPABILITIES, set_capabilities

USER = 54321  # nobody has this number, and no name


@contextmanager
def somebody(source: Path) -> Iterator[Program]:
    """Give the program to a user who is not root: this one, or if this is root one without a name.

    The project is a copy of the directory `source`. Everything is removed at the end.
    """
    top = Path(tempfile.mkdtemp(prefix="flow-user-"))
    try:
        top.chmod(0o755)
        project = top / "project"
        shutil.copytree(source, project)
        git(project, "init", "--quiet", "--initial-branch=main")
        git(project, "add", "--all")
        git(project, "commit", "--quiet", "--message", "test")
        home = top / "home"
        home.mkdir()
        if os.geteuid() != 0:
            yield Program(home=home, directory=project)
            return
        for path in (home, project, *project.rglob("*")):
            os.chown(path, USER, USER, follow_symlinks=False)
        socket = Path(read_settings().docker_host.removeprefix("unix://"))
        command = ("setpriv", f"--reuid={USER}", f"--regid={USER}", f"--groups={socket.stat().st_gid}")
        yield Program(
            home=home,
            directory=project,
            environment={
                "HOME": str(home),
                "PYTHONPATH": _libraries(top),
                "PYTHONDONTWRITEBYTECODE": "1",
                "LD_LIBRARY_PATH": str(top / "python" / "lib"),
            },
            command=(*command, str(_interpreter(top)), "-s", "-m", "flowbuild"),
        )
    finally:
        shutil.rmtree(top, ignore_errors=os.geteuid() != 0)


@contextmanager
def restrained() -> Iterator[None]:
    """Obey the permissions of files even as root: in this thread, and in those that are started meanwhile."""
    status = Path("/proc/thread-self/status").read_text("ascii")
    sets = {line.split()[0]: int(line.split()[1], 16) for line in status.splitlines() if line.startswith("Cap")}
    effective, permitted = sets["CapEff:"], sets["CapPrm:"]
    set_capabilities(effective & ~sum(1 << number for number in CAPABILITIES.values()), permitted)
    try:
        yield
    finally:
        set_capabilities(effective, permitted)


def _interpreter(top: Path) -> Path:
    """Return an interpreter that everybody may run: this one, or a copy of it."""
    python = Path(sys.executable).resolve()
    if _open_to_all(python):
        return python
    library = Path(sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix}))
    copy = top / "python"
    for name in ("bin", "lib"):
        (copy / name).mkdir(parents=True)
    shutil.copy(python, copy / "bin" / python.name)
    for shared in Path(sys.base_prefix, "lib").glob("libpython*.so*"):
        shutil.copy(shared, copy / "lib" / shared.name)
    ignored = shutil.ignore_patterns("site-packages", "test", "tests", "idlelib", "__pycache__")
    shutil.copytree(library, copy / "lib" / library.name, symlinks=True, ignore=ignored)
    return copy / "bin" / python.name


def _libraries(top: Path) -> str:
    """Return the path of this program and of what it needs, copied if not everybody may read them."""
    found = []
    for number, path in enumerate((Path(flowbuild.__file__).parent.parent, Path(sysconfig.get_path("purelib")))):
        if not _open_to_all(path):
            shutil.copytree(path, top / "libraries" / str(number), symlinks=True)
            path = top / "libraries" / str(number)  # noqa: PLW2901
        found.append(str(path))
    return os.pathsep.join(found)


def _open_to_all(path: Path) -> bool:
    return all(entry.stat().st_mode & stat.S_IXOTH for entry in (path, *path.parents))
