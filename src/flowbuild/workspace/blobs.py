"""Many blobs of a repository in any object format, through one git child. For sources: run repositories are read directly."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from flowbuild.core.errors import WorkspaceError
from flowbuild.workspace import git

IN_MEMORY = 1 << 20  # bytes; what is larger is handed over as a file
_CHUNK = 1 << 18


def read_blobs(git_dir: Path, oids: Sequence[str], scratch: Path) -> Iterator[bytes | Path]:
    """Yield the content of blobs in order; a large one as a file in `scratch` that is gone when the next one is asked for.

    Raises WorkspaceError when one is missing.
    """
    if not oids:
        return
    command = ["git", "cat-file", "--batch", "--buffer"]
    with subprocess.Popen(
        command,
        cwd="/",
        env=git.environment(git_dir),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as child:
        assert child.stdin is not None  # noqa: S101  # for the type checker: pipes were asked for
        assert child.stdout is not None  # noqa: S101
        asking = threading.Thread(target=_ask, args=(child.stdin, oids), daemon=True)
        asking.start()
        try:
            for oid in oids:
                yield from _answer(child.stdout, oid, scratch / "blob")
        finally:
            child.kill()
            asking.join()


def _ask(pipe: IO[bytes], oids: Sequence[str]) -> None:
    with suppress(BrokenPipeError, ValueError):  # whoever reads the answers stopped
        pipe.write(b"".join(oid.encode() + b"\n" for oid in oids))
        pipe.close()


def _answer(pipe: IO[bytes], oid: str, file: Path) -> Iterator[bytes | Path]:
    words = pipe.readline().split()
    if len(words) != 3 or words[0].decode() != oid or words[1] != b"blob":
        raise WorkspaceError(f"the source has no file {oid}", hint="fetch the project again")
    size = int(words[2])
    if size <= IN_MEMORY:
        yield _exactly(pipe, size)
    else:
        with file.open("wb") as out:
            while size:
                out.write(chunk := _exactly(pipe, min(size, _CHUNK)))
                size -= len(chunk)
        try:
            yield file
        finally:
            file.unlink(missing_ok=True)
    pipe.readline()


def _exactly(pipe: IO[bytes], size: int) -> bytes:
    data = pipe.read(size)
    if len(data) != size:
        raise WorkspaceError("git ended in the middle of a file of the source")
    return data
