"""The runner protocol over HTTP, for a runner that is not in the program of the server.

Every request has a deadline. What may be repeated is repeated while the server is away, at another one if there is: steps
go on without it, and what they have to say waits. Claims and heartbeats are not repeated here; the worker asks again anyway.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

import httpx2
import structlog
from pydantic import TypeAdapter, ValidationError

from flowbuild.client import wire
from flowbuild.client.problems import error_of
from flowbuild.client.runner import Assignment, AttemptResult, Beat, Facts, Lease, LogEntry, Report
from flowbuild.client.sockets import asking_transport
from flowbuild.core.errors import FlowError, ServerUnreachable
from flowbuild.runner.keys import Keys
from flowbuild.runner.servers import Servers

log = structlog.get_logger()
T = TypeVar("T")
DEADLINE = 30.0  # seconds of a request, besides what it is to wait
PHASE_DEADLINE = 5.0  # nobody needs to know an old one
PATIENCE = 1800.0  # seconds without a server, after which an attempt gives up
RETRY_SECONDS = 0.5  # before the first repetition; twice as long before each further one
RETRY_MOST = 10.0
AWAY = frozenset({429, 502, 503, 504, 507})  # the server, or what stands in front of it, will answer later
BASE = "/api/v1/runner"


class RemoteClient:
    """See client.runner.RunnerClient; `key` is that of the runner; `keys` know how it changes. Raises ServerUnreachable, and what the server names."""

    def __init__(
        self,
        servers: Servers,
        key: str,
        *,
        keys: Keys | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        deadline: float = DEADLINE,
    ) -> None:
        self._http = httpx2.AsyncClient(timeout=None, transport=transport or asking_transport())
        self._key, self._keys = key, keys
        self._servers = servers
        self._sleep = sleep
        self._deadline = deadline
        self._phases: dict[Lease, str] = {}
        self._telling: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Let go of the connections."""
        for task in self._telling:
            task.cancel()
        await self._http.aclose()

    async def register(
        self,
        code: str,
        name: str,
        *,
        capacity: int,
        labels: Mapping[str, str],
        facts: Facts,
        insist: bool = False,
    ) -> wire.Registered:
        """Register a new runner; return its name and key. Raises Unauthenticated, InvalidRequest, Conflict.

        `insist`: a server that is away is waited for, which is for who may come twice.
        """
        body = wire.register.dump_json(wire.Register(code, name, capacity, labels, facts))
        ask = self._insist if insist else self._ask
        return _read(wire.registered, await ask("POST", "/register", body))

    async def hello(self, runner: str, *, capacity: int, facts: Facts) -> Sequence[wire.Inherited]:
        """Begin a life of a runner; return what its earlier lives held."""
        body = wire.hello.dump_json(wire.Hello(runner, capacity, facts))
        return _read(wire.inherited, await self._insist("POST", "/hello", body))

    async def claim(self, runner: str, *, request_key: str, wait: float) -> Assignment | None:
        """See RunnerClient."""
        body = wire.claim.dump_json(wire.Claim(runner, request_key, wait))
        data = await self._ask("POST", "/claim", body, wait=wait)
        try:
            return wire.load_assignment(data) if data else None
        except ValidationError as error:
            raise _nonsense(error) from error

    async def phase(self, lease: Lease, phase: str) -> None:
        """See RunnerClient. Returns at once; only the newest is told."""
        told = lease in self._phases
        self._phases[lease] = phase
        if not told:
            task = asyncio.create_task(self._tell_phases(lease))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def cached(self, lease: Lease, key: str) -> AttemptResult | None:
        """See RunnerClient."""
        data = await self._insist("POST", f"{_path(lease)}/cached", wire.json({"key": key}))
        return _read(wire.result, data) if data else None

    async def launched(self, lease: Lease, compose: Mapping[str, Any]) -> None:
        """See RunnerClient."""
        await self._insist("POST", f"{_path(lease)}/launched", wire.json({"compose": compose}))

    async def healthy(self, lease: Lease, result: AttemptResult) -> None:
        """See RunnerClient."""
        await self._insist("POST", f"{_path(lease)}/healthy", wire.result.dump_json(result))

    async def append_log(self, lease: Lease, offset: int, entries: Sequence[LogEntry]) -> int:
        """See RunnerClient."""
        for part in wire.pieces(entries):
            data = await self._insist("POST", f"{_path(lease)}/log", wire.dump_log(offset, part))
            offset = _read(wire.log_state, data).offset
        return offset

    async def log_state(self, lease: Lease) -> tuple[int, Mapping[str, int]]:
        """See RunnerClient."""
        state = _read(wire.log_state, await self._insist("GET", f"{_path(lease)}/log"))
        return state.offset, state.last

    async def heartbeat(self, runner: str, report: Report, *, wait: float) -> Beat:
        """See RunnerClient."""
        body = wire.heartbeat.dump_json(wire.Heartbeat(runner, report, wait))
        told = _read(wire.beat, await self._ask("POST", "/heartbeat", body, wait=wait))
        if told.new_key:
            await self._change_key(runner)
        return told

    async def forgotten(self, runner: str, run: str) -> None:
        """See RunnerClient."""
        await self._ask("POST", "/forgotten", wire.json({"runner": runner, "run": run}))

    async def finish(self, lease: Lease, result: AttemptResult) -> None:
        """See RunnerClient."""
        await self._insist("POST", f"{_path(lease)}/finish", wire.result.dump_json(result))
        self._phases.pop(lease, None)

    async def _change_key(self, runner: str) -> None:
        """Announce a new key and use it, which ends the one before. What does not work is done at the next heartbeat."""
        if self._keys is None:
            return
        try:
            key = await asyncio.to_thread(self._keys.prepare)
            body = wire.new_key.dump_json(wire.NewKey(runner, key))
            await self._ask("POST", "/key", body)
            await self._ask("POST", "/key", body, key=key)
        except (FlowError, OSError) as error:
            log.warning("key_not_changed", error=str(error))

    async def _tell_phases(self, lease: Lease) -> None:
        told = ""
        while (phase := self._phases.get(lease, "")) not in ("", told):
            told = phase
            try:
                await self._ask("POST", f"{_path(lease)}/phase", wire.json({"phase": phase}), deadline=PHASE_DEADLINE)
            except FlowError as error:
                log.info("phase_lost", step=lease.step, error=error.message)
        self._phases.pop(lease, None)

    async def _insist(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Ask until there is an answer; raises ServerUnreachable when there is none for PATIENCE seconds."""
        waited, pause = 0.0, RETRY_SECONDS
        while True:
            try:
                return await self._ask(method, path, body)
            except ServerUnreachable as error:
                if waited >= PATIENCE:
                    raise
                log.warning("server_away", path=path, error=error.message)
            jittered = pause * random.uniform(0.5, 1.0)  # noqa: S311 (no secret)
            await self._sleep(jittered)
            waited, pause = waited + jittered, min(2 * pause, RETRY_MOST)

    async def _ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        wait: float = 0.0,
        deadline: float | None = None,
        key: str = "",
    ) -> bytes:
        url = self._servers.url
        try:
            async with asyncio.timeout(wait + (self._deadline if deadline is None else deadline)):
                answer = await self._answer(method, url + BASE + path, body, key)
        except (httpx2.TransportError, TimeoutError) as error:
            self._servers.silent(url)
            words = str(error) or type(error).__name__
            raise ServerUnreachable(f"{url} cannot be reached: {words}") from error
        if answer.status_code in AWAY:
            self._servers.silent(url)
            told = error_of(answer.status_code, answer.content)
            raise ServerUnreachable(f"{url} is not available: {told.message}")
        if not answer.is_success:
            raise error_of(answer.status_code, answer.content)
        return answer.content

    async def _answer(self, method: str, url: str, body: bytes | None, key: str) -> httpx2.Response:
        """Ask with a key, the current one if none is given; when that is refused, with the other one while the key changes."""
        headers = {} if body is None else {"Content-Type": "application/json"}
        if self._keys is None:
            return await self._http.request(method, url, content=body, headers=headers | _bearer(self._key))
        key = key or self._keys.current
        answer = await self._http.request(method, url, content=body, headers=headers | _bearer(key))
        if answer.status_code == httpx2.codes.UNAUTHORIZED and (other := self._keys.other(key)):
            key, refused = other, answer
            answer = await self._http.request(method, url, content=body, headers=headers | _bearer(key))
            if answer.status_code == httpx2.codes.UNAUTHORIZED:
                return refused
        if key != self._keys.current and answer.is_success:
            await asyncio.to_thread(self._keys.used, key)
        return answer


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


def _path(lease: Lease) -> str:
    return f"/attempts/{quote(lease.run, safe='')}/{quote(lease.step, safe='')}/{lease.attempt}/{lease.epoch}"


def _read(kind: TypeAdapter[T], data: bytes) -> T:
    try:
        return kind.validate_json(data)
    except ValidationError as error:
        raise _nonsense(error) from error


def _nonsense(error: ValidationError) -> ServerUnreachable:
    return ServerUnreachable(f"that is no answer of a flow server: {error.errors()[0]['msg']}")
