"""The dummy engine behind a Unix socket: what runs in it outlives the programs that use it, as with the real one.

A test serves its engine; a program that is started as `program_with` says has it in the place of Docker's. A connection carries one call: the caller that
dies, or gives up, hangs up, and its call is cancelled. Values travel as pickles: both ends are ours.
"""

from __future__ import annotations

import asyncio
import pickle
import struct
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Self

from flowbuild.core.errors import FlowError
from flowbuild.engine.base import (
    Engine,
    EngineInfo,
    EngineUnreachable,
    Found,
    HostProgram,
    Labels,
    LogRecord,
    Progress,
    Swept,
    Unit,
    UnitSpec,
    Verdict,
)
from flowbuild.wiring import driving, runner

_SIZE = struct.Struct(">I")
_WITH_PROGRESS = ("images", "create")


def program_with(address: Path, *, code: str = "") -> tuple[str, ...]:
    """Return the command of a `flow` whose engine is at `address`; `code` is Python that it executes first, to break it."""
    begin = f"from flowbuild.testing import engine_socket; engine_socket.replace_docker({str(address)!r})"
    return (sys.executable, "-c", f"{begin}\n{code}\nfrom flowbuild.__main__ import main; main()")


def replace_docker(address: str) -> None:
    """Use the engine at `address` in this process from now on."""

    def engine(**_options: object) -> SocketEngine:
        return SocketEngine(address)

    for module in (driving, runner):
        module.ComposeEngine = engine  # type: ignore[attr-defined]


@asynccontextmanager
async def serving_engine(engine: Engine, address: Path) -> AsyncIterator[None]:
    """Let programs use an engine by a socket at `address`, whose path must be short."""
    calls: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 (it is one)
        calls.add(task)
        task.add_done_callback(calls.discard)
        with suppress(asyncio.CancelledError, ConnectionError, asyncio.IncompleteReadError):
            await _until_hung_up(reader, _answer(engine, await _receive(reader), writer))
        writer.close()

    server = await asyncio.start_unix_server(connected, address)
    try:
        yield
    finally:
        server.close()
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)


async def _until_hung_up(reader: asyncio.StreamReader, work: Any) -> None:
    """Do work as long as the caller is there."""
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(reader.read())
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _answer(engine: Engine, request: Any, writer: asyncio.StreamWriter) -> None:
    name, arguments, options = request
    try:
        if name == "logs":
            async for record in engine.logs(*arguments):
                await _send(writer, ("piece", record))
            await _send(writer, ("value", None))
            return
        more = (lambda _line: None,) if name in _WITH_PROGRESS else ()
        await _send(writer, ("value", await getattr(engine, name)(*arguments, *more, **options)))
    except FlowError as error:
        await _send(writer, ("error", error))


async def _send(writer: asyncio.StreamWriter, value: object) -> None:
    data = pickle.dumps(value)
    writer.write(_SIZE.pack(len(data)) + data)
    await writer.drain()


async def _receive(reader: asyncio.StreamReader) -> Any:
    (size,) = _SIZE.unpack(await reader.readexactly(_SIZE.size))
    return pickle.loads(await reader.readexactly(size))  # noqa: S301 (from ourselves)


class SocketEngine:
    """`Engine` that another process serves at `address`; see `engine.base.Engine`."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def place_on_machine(self, path: Path) -> Path:
        """Return the path as it is: nobody is in a container here."""
        return path

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def info(self) -> EngineInfo:
        """See Engine."""
        found: EngineInfo = await self._call("info")
        return found

    async def ready(self) -> None:
        """See Engine."""
        await self._call("ready")

    async def returned(self, seconds: float) -> bool:
        """See Engine."""
        try:
            return bool(await self._call("returned", seconds))
        except EngineUnreachable:
            await asyncio.sleep(min(seconds, 0.01))
            return False

    async def images(self, images: Sequence[str], progress: Progress) -> Mapping[str, str]:  # noqa: ARG002 (not carried)
        """See Engine."""
        found: Mapping[str, str] = await self._call("images", tuple(images))
        return found

    async def network(self, name: str, labels: Labels) -> None:
        """See Engine."""
        await self._call("network", name, labels)

    async def create(self, spec: UnitSpec, progress: Progress) -> Unit:  # noqa: ARG002 (not carried)
        """See Engine."""
        made: Unit = await self._call("create", spec)
        return made

    async def adopt(self, spec: UnitSpec) -> Unit | None:
        """See Engine."""
        found: Unit | None = await self._call("adopt", spec)
        return found

    async def start(self, unit: Unit) -> Verdict | None:
        """See Engine."""
        verdict: Verdict | None = await self._call("start", unit)
        return verdict

    async def wait(self, unit: Unit) -> Verdict:
        """See Engine."""
        verdict: Verdict = await self._call("wait", unit)
        return verdict

    async def wait_healthy(self, unit: Unit) -> Verdict | None:
        """See Engine."""
        verdict: Verdict | None = await self._call("wait_healthy", unit)
        return verdict

    async def logs(self, unit: Unit, since_ns: Mapping[str, int]) -> AsyncIterator[LogRecord]:
        """See Engine."""
        async with self._connected("logs", (unit, dict(since_ns)), {}) as reader:
            while True:
                kind, value = await self._next(reader)
                if kind != "piece":
                    return
                yield value

    async def stop(self, unit: Unit, *, grace: float, force: bool = False) -> None:
        """See Engine."""
        await self._call("stop", unit, grace=grace, force=force)

    async def remove(self, unit: Unit) -> None:
        """See Engine."""
        await self._call("remove", unit)

    async def found(self, instance: str) -> Sequence[Found]:
        """See Engine."""
        found: Sequence[Found] = await self._call("found", instance)
        return found

    async def sweep(self, instance: str, *, run: str | None = None, keep: frozenset[str] = frozenset()) -> Swept:
        """See Engine."""
        swept: Swept = await self._call("sweep", instance, run=run, keep=keep)
        return swept

    async def run_here(self, program: HostProgram) -> bytes:
        """See Engine."""
        output: bytes = await self._call("run_here", program)
        return output

    async def close(self) -> None:
        """Do nothing: each call has a connection of its own."""

    async def _call(self, name: str, *arguments: object, **options: object) -> Any:
        async with self._connected(name, arguments, options) as reader:
            _, value = await self._next(reader)
            return value

    async def _next(self, reader: asyncio.StreamReader) -> tuple[str, Any]:
        try:
            kind, value = await _receive(reader)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise EngineUnreachable("the engine of the test hung up") from error
        if kind == "error":
            raise value
        return kind, value

    @asynccontextmanager
    async def _connected(
        self, name: str, arguments: tuple[object, ...], options: Mapping[str, object]
    ) -> AsyncIterator[asyncio.StreamReader]:
        try:
            reader, writer = await asyncio.open_unix_connection(self._address)
        except OSError as error:
            raise EngineUnreachable(f"no engine at {self._address}") from error
        try:
            await _send(writer, (name, arguments, dict(options)))
            yield reader
        finally:
            writer.close()
