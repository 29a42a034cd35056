"""One door to the Docker Engine API: every call has a deadline, every error of the library ends here.

aiodocker finds the transport (unix socket, TCP with TLS, ssh) and agrees on the version. Its request method is used
directly, not its object methods: those hide statuses that are facts to us (304 already started, 404 already gone), mix
stdout and stderr of a log, and start an event stream without telling when it is connected.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Collection, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any, TypeVar

import aiodocker
import aiohttp
from aiodocker.exceptions import DockerError

from flowbuild.core.errors import EngineError
from flowbuild.engine.base import EngineUnreachable

CALL_SECONDS = 60.0  # an engine under load needs seconds to start a container; a minute means that it hangs
T = TypeVar("T")
UNIX = "unix://"
NO_CONNECTION = 900  # aiodocker's own status for "no connection"
READ_BUFFER = 1 << 18  # bytes per connection; the reader of a log stops the engine when it is full


class EngineRefused(EngineError):
    """The engine answered with an error status."""

    code = "engine_refused"

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Api:
    """Typed access to one engine. Must be made and closed inside a running event loop."""

    def __init__(self, host: str, *, call_seconds: float = CALL_SECONDS) -> None:
        self.host = host
        self._call_seconds = call_seconds
        self._docker: aiodocker.Docker | None = None

    @property
    def local(self) -> bool:
        """Whether the engine is on this machine."""
        return self.host.startswith(UNIX)

    async def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        facts: Collection[int] = (),
        seconds: float | None = -1,
    ) -> Any:
        """Return the decoded answer, or None when the engine answered with a status in `facts`.

        `seconds`: deadline; None waits for ever (only right for `wait`, which ends with the container).
        Raises EngineRefused for other error statuses, EngineUnreachable without connection.
        """
        deadline = self._call_seconds if seconds is not None and seconds < 0 else seconds
        data = None if body is None else json.dumps(body)
        try:
            async with asyncio.timeout(deadline):
                return await self._client()._query_json(  # noqa: SLF001  see the text of this module
                    path, method, params=params, data=data
                )
        except DockerError as error:
            if error.status in facts:
                return None
            raise self._mapped(error) from error
        except TimeoutError as error:
            raise EngineUnreachable(f"{self.host}: no answer to {method} {path} within {deadline} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: half an answer
            raise self._unreachable(error) from error

    async def send(self, path: str, params: Mapping[str, str], content: bytes) -> None:
        """Post bytes; the answer is read to its end and dropped. Raises as `call`."""
        headers = {"Content-Type": "application/x-tar"}
        try:
            async with asyncio.timeout(self._call_seconds):
                response = await self._client()._do_query(  # noqa: SLF001  see the text of this module
                    path, "POST", params=params, data=content, headers=headers
                )
                await response.read()
        except DockerError as error:
            raise self._mapped(error) from error
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            raise self._unreachable(error) from error

    @asynccontextmanager
    async def stream(self, path: str, params: Mapping[str, str]) -> AsyncIterator[aiohttp.StreamReader]:
        """Open an endless answer; it is connected when the context is entered. A lost connection raises EngineUnreachable."""
        response: aiohttp.ClientResponse | None = None
        try:
            async with asyncio.timeout(self._call_seconds):
                response = await self._client()._do_query(path, "GET", params=params)  # noqa: SLF001
            yield response.content
        except DockerError as error:
            raise self._mapped(error) from error
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            raise self._unreachable(error) from error
        finally:
            if response is not None:
                response.close()

    async def inspect(self, container: str) -> dict[str, Any] | None:
        """Return what the engine knows about a container, None when it is gone."""
        answer: dict[str, Any] | None = await self.call("GET", f"containers/{container}/json", facts={404})
        return answer

    async def listed(self, what: str, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        """List "containers" (also stopped), "networks", "volumes" or "images" that carry all the labels."""
        params = {"filters": json.dumps({"label": [f"{key}={value}" for key, value in labels.items()]})}
        if what == "containers":
            return list(await self.call("GET", "containers/json", params=params | {"all": "1"}))
        if what == "volumes":
            return list((await self.call("GET", "volumes", params=params))["Volumes"] or ())
        return list(await self.call("GET", f"{what}/json" if what == "images" else what, params=params))

    async def started_ns(self) -> int:
        """Return when the engine started, in ns since the epoch; 0 when it cannot be known.

        The engine does not tell; but it makes its default network anew at every start, unless containers survived it.
        """
        bridge = await self.call("GET", "networks/bridge", facts={404})
        return 0 if bridge is None else int(datetime.fromisoformat(bridge["Created"]).timestamp() * 10**9)

    async def returned(self, seconds: float) -> bool:
        """Wait until the engine answers again; False when it did not within `seconds`."""
        pause = 0.05
        try:
            async with asyncio.timeout(seconds):
                while True:
                    try:
                        await self.call("GET", "_ping", seconds=2)
                    except EngineError:
                        await asyncio.sleep(pause)  # nothing tells that a socket will exist again
                        pause = min(2 * pause, 1.0)
                    else:
                        return True
        except TimeoutError:
            return False

    async def close(self) -> None:
        """Close all connections."""
        client, self._docker = self._docker, None
        if client is not None:
            await client.close()
            await client.session.close()

    def _client(self) -> aiodocker.Docker:
        """Connect on first use: aiohttp needs the running loop. Unlimited connections: each unit holds several open."""
        if self._docker is None and self.local:
            connector = aiohttp.UnixConnector(self.host.removeprefix(UNIX), limit=0)
            session = aiohttp.ClientSession(
                connector=connector, timeout=aiohttp.ClientTimeout(), read_bufsize=READ_BUFFER
            )
            # With a connector of ours aiodocker wants a host name in place of the path.
            self._docker = aiodocker.Docker(f"{UNIX}localhost", connector=connector, session=session)
        elif self._docker is None:
            self._docker = aiodocker.Docker(self.host)
        return self._docker

    def _mapped(self, error: DockerError) -> EngineError:
        if error.status == NO_CONNECTION:
            return self._unreachable(error)
        return EngineRefused(error.status, error.message)

    def _unreachable(self, error: BaseException) -> EngineUnreachable:
        return EngineUnreachable(f"Docker Engine at {self.host} cannot be reached: {error}", hint=advice(self.host))


def advice(host: str) -> str:
    """Say what a person can do about an engine that does not answer."""
    if not host.startswith(UNIX):
        return "check the address, the network and that the engine listens there"
    path = host.removeprefix(UNIX)
    if not os.path.exists(path):  # noqa: PTH110  one look at one path
        return f"{path} does not exist: install Docker Engine, or start it (systemctl start docker)"
    if not os.access(path, os.R_OK | os.W_OK):
        return f"no permission for {path}: add your user to the group docker and log in again"
    return f"{path} exists but nothing answers: start the engine (systemctl start docker) and look at its log"


async def finished(work: Coroutine[Any, Any, T], *, patience: float) -> T:
    """Do work that must not be left half done: when cancelled, let it go on for up to `patience` seconds first."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        with suppress(asyncio.CancelledError):
            await asyncio.wait({task}, timeout=patience)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise


async def together(*tasks: Coroutine[Any, Any, T]) -> list[T]:
    """Run coroutines at the same time and return their results; when one fails, end the others first, then raise."""
    running = [asyncio.ensure_future(task) for task in tasks]
    try:
        return await asyncio.gather(*running)
    except BaseException:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        raise
