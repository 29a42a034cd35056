"""The program `flow`."""

from __future__ import annotations

import gc
import io
import os
import signal
import sys
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flowbuild.client.base import Check, RunnerRequest, ServerClient, ServerSession, Session
    from flowbuild.client.talking import AgentsRequest


def connect(directory: str, *, drive: bool = False, abandon: bool = False) -> AbstractAsyncContextManager[Session]:
    """Open a session on the local server; loads the server's libraries only now."""
    from flowbuild.wiring import connect as connect_locally  # noqa: PLC0415 (see docstring)

    if drive:
        import flowbuild.wiring.driving  # noqa: F401, PLC0415 (see docstring)
    gc.freeze()  # what is loaded stays
    gc.enable()
    return connect_locally(directory, drive=drive, abandon=abandon)


def dial(url: str, token: str, project: str | None) -> AbstractAsyncContextManager[ServerSession]:
    """Open a session on a server elsewhere; loads what that takes only now."""
    from flowbuild.wiring.remote import dial as dial_there  # noqa: PLC0415 (see docstring)

    return dial_there(url, token, project)


async def talk(client: ServerClient, project: str) -> int:
    """Talk about a server with whoever is at the terminal; loads what that takes only now."""
    from flowbuild.bot.terminal import talk as talk_there  # noqa: PLC0415 (see docstring)

    return await talk_there(client, project)


class Tools:
    """See client.base.Agents; loads what that takes, which need not be installed, only when it is asked for."""

    async def stdio(self, client: ServerClient, project: str) -> None:
        """See Agents."""
        with _installed():
            from flowbuild.bot.mcp.serving import serve_stdio  # noqa: PLC0415 (see above)
        await serve_stdio(client, project)

    async def http(self, url: str, project: str, request: AgentsRequest) -> None:
        """See Agents."""
        with _installed():
            from flowbuild.bot.mcp.serving import serve_http  # noqa: PLC0415 (see above)
        await serve_http(url, project, request)


@contextmanager
def _installed() -> Iterator[None]:
    """Raise InvalidRequest for a library that is not there."""
    from flowbuild.core.errors import InvalidRequest  # noqa: PLC0415 (only now)

    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("flowbuild"):
            raise
        hint = "install it with its extra: flow-build-server[mcp]"
        raise InvalidRequest(f"{error.name} is not installed, which this takes", hint=hint) from error


class Operations:
    """See client.operating.Operator; loads the server's libraries only when it is asked for something."""

    def serve(self) -> None:
        """See Operator."""
        import asyncio  # noqa: PLC0415 (see above)

        from flowbuild.settings import read_settings  # noqa: PLC0415 (see above)
        from flowbuild.wiring.server import serve  # noqa: PLC0415 (see above)

        gc.freeze()  # what is loaded stays
        gc.enable()
        asyncio.run(serve(read_settings()))

    def work(self, request: RunnerRequest) -> None:
        """See Operator."""
        import asyncio  # noqa: PLC0415 (see above)

        from flowbuild.settings import read_settings  # noqa: PLC0415 (see above)
        from flowbuild.wiring.runner import run_runner  # noqa: PLC0415 (see above)

        gc.freeze()  # what is loaded stays
        gc.enable()
        asyncio.run(run_runner(read_settings(), request))

    def speak(self) -> None:
        """See Operator."""
        import asyncio  # noqa: PLC0415 (see above)

        from flowbuild.settings import read_settings  # noqa: PLC0415 (see above)
        from flowbuild.wiring.bot import speak  # noqa: PLC0415 (see above)

        gc.freeze()  # what is loaded stays
        gc.enable()
        asyncio.run(speak(read_settings()))

    def backup(self, directory: str, *, keys: bool) -> str:
        """See Operator."""
        from flowbuild.wiring import operations  # noqa: PLC0415 (see above)

        return operations.backup(directory, keys=keys)

    def restore(self, directory: str) -> str:
        """See Operator."""
        from flowbuild.wiring import operations  # noqa: PLC0415 (see above)

        return operations.restore(directory)

    def keys(self, *, change: bool, prune: bool) -> str:
        """See Operator."""
        from flowbuild.wiring import operations  # noqa: PLC0415 (see above)

        return operations.keys(change=change, prune=prune)

    def examine(self) -> Sequence[Check]:
        """See Operator."""
        from flowbuild.wiring import operations  # noqa: PLC0415 (see above)

        return operations.examine()


def main() -> None:
    """Run the program and exit with its code.

    Everything is closed when `run_program` returns. Taking the interpreter apart would keep the user waiting for 0.3 s.
    """
    # Ctrl-C while modules are being loaded ends the program without a traceback of whatever module it was.
    obeys = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if obeys:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    _open_streams()
    gc.disable()  # while modules are loaded nothing can be collected, and looking for it takes a tenth of the time
    from flowbuild.cli.main import run_program  # noqa: PLC0415 (see above)

    if obeys:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    code = run_program(connect, operator=Operations(), dial=dial, talk=talk, agents=Tools())
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _open_streams() -> None:
    """Replace closed standard streams, and let the others write an escape for what their encoding does not know.

    Otherwise the next file to be opened, say the database, would be the standard output of every program we start.
    """
    sys.stdin = sys.stdin or _nothing("r")
    sys.stdout = sys.stdout or _nothing("w")
    sys.stderr = sys.stderr or _nothing("w")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _nothing(mode: str) -> io.TextIOWrapper:
    descriptor = os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: that of the closed stream
    os.set_inheritable(descriptor, True)
    return io.TextIOWrapper(os.fdopen(descriptor, f"{mode}b"), encoding="utf-8")


if __name__ == "__main__":
    main()
