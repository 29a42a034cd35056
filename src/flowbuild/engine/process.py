"""Runs docker's command line tools with a clean environment and no way to read files of a step by accident."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from flowbuild.core.errors import EngineError

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PLUGIN_FOLDERS = (
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
)
KEPT_LINES = 40  # the end of the output is what says why
LINE_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Done:
    """How a tool ended; `lines` are the last ones of stdout and stderr."""

    code: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """The last lines as one text."""
        return "\n".join(self.lines)


class TimedOut(EngineError):
    """A tool did not end, or said nothing, in time."""

    code = "engine_timeout"


def compose_command(docker_config: str) -> list[str]:
    """Return the command of compose v2: the plugin itself where it can be found, which saves starting the docker CLI."""
    for folder in (f"{docker_config}/cli-plugins", *PLUGIN_FOLDERS):
        plugin = f"{folder}/docker-compose"
        if os.access(plugin, os.X_OK):
            return [plugin]
    return ["docker", "compose"]


def environment(host: str, docker_config: str) -> dict[str, str]:
    """Return all that docker's tools may know: where the engine is and where registry credentials are kept."""
    return {
        "PATH": PATH,
        "HOME": str(Path(docker_config).parent),
        "DOCKER_CONFIG": docker_config,
        "DOCKER_HOST": host,
        "DOCKER_CLI_HINTS": "false",
        "BUILDKIT_PROGRESS": "plain",
        "COMPOSE_EXPERIMENTAL_OCI_REMOTE": "false",
        "COMPOSE_EXPERIMENTAL_GIT_REMOTE": "false",
        "COMPOSE_DISABLE_ENV_FILE": "true",
        "COMPOSE_MENU": "false",
        "LC_ALL": "C.UTF-8",
        # A build asks git about its context, which is a workspace: what a step planted in its .git would run here.
        "GIT_DIR": "/nonexistent",
        "BUILDX_GIT_INFO": "false",
    }


@cache
def _leash() -> tuple[str, ...]:
    """Return what lets a tool die with this program, also when we are killed: what it makes later nobody would find."""
    setpriv = shutil.which("setpriv", path=PATH)
    return () if setpriv is None else (setpriv, "--pdeathsig", "KILL", "--")


async def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    stdin: bytes = b"",
    on_line: Callable[[str], None] = lambda _line: None,
    seconds: float,
    first_line_seconds: float | None = None,
    patience: float = 0.0,
) -> Done:
    """Run a tool to its end, line by line. Raises TimedOut (the tool is killed), EngineError when it cannot start.

    `first_line_seconds`: longest silence at the beginning. `patience`: seconds that the tool may go on after a
    cancellation, so that what it has begun in the engine is complete and can be found; then it is killed.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *(_leash() if shutil.which(argv[0], path=PATH) else ()),  # without the tool its own error is the right one
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=dict(env),
            cwd="/",
            start_new_session=True,  # Ctrl-C in our terminal is ours to handle
            limit=LINE_BYTES,
        )
    except OSError as error:
        raise EngineError(f"cannot run {argv[0]}: {error}", hint="install the docker CLI with compose v2") from error
    try:
        async with asyncio.timeout(seconds):
            return await _talk(process, stdin, on_line, first_line_seconds)
    except TimeoutError as error:
        message = str(error) or f"not finished within {seconds:g} s"
        raise TimedOut(f"{Path(argv[0]).name} {argv[-1]}: {message}") from error
    except asyncio.CancelledError:
        if patience:
            with contextlib.suppress(TimeoutError, asyncio.CancelledError):
                async with asyncio.timeout(patience):
                    await process.communicate()
        raise
    finally:
        await _end(process)


async def _talk(
    process: asyncio.subprocess.Process, stdin: bytes, on_line: Callable[[str], None], first_line_seconds: float | None
) -> Done:
    assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018  asked for as pipes
    with contextlib.suppress(ConnectionError):  # it may end without reading
        process.stdin.write(stdin)
        await process.stdin.drain()
        process.stdin.close()
    kept: list[str] = []
    silence = first_line_seconds
    while True:
        try:
            async with asyncio.timeout(silence):
                raw = await _line(process.stdout)
        except TimeoutError as error:
            raise TimeoutError(f"no answer within {silence:g} s") from error
        if not raw:
            return Done(await process.wait(), tuple(kept))
        silence = None
        line = raw.decode(errors="replace").rstrip()
        if line:
            kept = [*kept[-KEPT_LINES + 1 :], line]
            on_line(line)


async def _line(stream: asyncio.StreamReader) -> bytes:
    """Return the next line, or a piece of one that is too long."""
    try:
        return await stream.readuntil(b"\n")
    except asyncio.IncompleteReadError as error:
        return error.partial
    except asyncio.LimitOverrunError as error:
        return await stream.read(error.consumed)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Leave no process behind, whatever happened before."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        if process.stdout is not None:
            await process.stdout.read()  # asyncio does not see the end of a process whose output nobody reads
        await process.wait()
