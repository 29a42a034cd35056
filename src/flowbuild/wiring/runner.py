"""`flow runner`: executes attempts on this machine for a server elsewhere.

Start/stop contract: `run_runner` returns after SIGTERM or SIGINT, and when the runner was drained. After a signal
containers go on running: the next start finds them, as long as their leases last. When the cluster drains the machine there is no
next start, so what it has is finished first.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path

import structlog

from flowbuild.auth.tokens import TokenKind, new_token
from flowbuild.client.base import RunnerRequest
from flowbuild.client.runner import Facts
from flowbuild.core.errors import Conflict, InvalidRequest, Unauthenticated, WorkspaceError
from flowbuild.engine.base import Engine
from flowbuild.engine.compose import ComposeEngine
from flowbuild.runner.identity import Identity, keep_identity, kept_identity
from flowbuild.runner.keys import Keys
from flowbuild.runner.patience import LONG
from flowbuild.runner.plan import project_name
from flowbuild.runner.remote import RemoteClient
from flowbuild.runner.repositories import FarRepositories
from flowbuild.runner.servers import Servers
from flowbuild.runner.spool import Spool
from flowbuild.runner.tools import RunnerPlaces
from flowbuild.runner.watchdog import Watchdog
from flowbuild.runner.worker import Worker
from flowbuild.settings import NETWORK_PREFIX, Settings
from flowbuild.wiring.facts import facts_of, load_of
from flowbuild.wiring.journal import close_journal, open_journal
from flowbuild.workspace.slots import Slots

log = structlog.get_logger()
IDENTITY = "identity.json"


async def run_runner(settings: Settings, request: RunnerRequest) -> None:
    """Work for a server until told to stop. Raises the errors of `core.errors` when it cannot begin."""
    engine = ComposeEngine(host=settings.docker_host, network_pool=settings.network_pool, network_prefix=NETWORK_PREFIX)
    try:
        home = await engine.place_on_machine(settings.home) / "runner"
        with ExitStack() as stack:
            stack.enter_context(alone(home))
            stack.callback(close_journal, open_journal(home / "flow.log", settings.log_level))
            async with _living(home, settings, request, engine) as worker:
                await _until_told(worker, settings.leave_seconds)
            if worker.refused is not None:
                raise worker.refused
    finally:
        await engine.close()


@asynccontextmanager
async def _living(home: Path, settings: Settings, request: RunnerRequest, engine: Engine) -> AsyncIterator[Worker]:
    """Begin a life as who this runner is. With the join token, one that the server does not know (any more) joins anew."""
    join, capacity = settings.join_token.get_secret_value(), settings.capacity
    identity = await identify(home, request, capacity, engine, join=join)
    async with AsyncExitStack() as stack:
        alive = stack.enter_context(Watchdog(_restart)).alive
        begin = partial(machine, home, store_bytes=settings.store_bytes, alive=alive)
        try:
            worker = await stack.enter_async_context(begin(identity, capacity, engine))
        except Unauthenticated:
            if not join:
                raise
            servers = replace(request, servers=identity.urls)
            identity = await register(home, servers, join, capacity, engine, insist=True)
            worker = await stack.enter_async_context(begin(identity, capacity, engine))
        print(f"runner {identity.name} of {', '.join(identity.urls)}", flush=True)  # noqa: T201 (for who started it)
        yield worker


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """Keep the directory of a runner for this process. Raises Conflict when another one has it, WorkspaceError."""
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (home / "lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
    except BlockingIOError as error:
        hint = "one runner per data directory: FLOW_HOME names another one"
        raise Conflict(f"another runner works in {home}", hint=hint) from error
    except OSError as error:
        raise WorkspaceError(f"the data directory {home} cannot be used: {error.strerror}") from error


async def identify(home: Path, request: RunnerRequest, capacity: int, engine: Engine, *, join: str = "") -> Identity:
    """Return who this runner is; with a code it registers, and with the join token when it is none of that server's.

    Raises InvalidRequest when that is not known.
    """
    if request.code:
        return await register(home, request, request.code, capacity, engine)
    path = home / IDENTITY
    known = await asyncio.to_thread(kept_identity, path)
    if known is None or not set(request.servers or known.urls) & set(known.urls):
        if join:
            return await register(home, request, join, capacity, engine, insist=True)
        raise InvalidRequest(
            "this machine is no runner of that server yet",
            hint="flow runners add makes a code: --server URL --code CODE",
        )
    if request.servers not in ((), known.urls):  # it has further addresses now, or fewer
        known = replace(known, urls=request.servers)
        await asyncio.to_thread(keep_identity, path, known)
    return known


async def register(
    home: Path, request: RunnerRequest, code: str, capacity: int, engine: Engine, *, insist: bool = False
) -> Identity:
    """Become a runner of a server with a code or its join token; `insist`: wait for a server that is away.

    What the machine made in the engine as another runner stays its own.
    """
    if not request.servers:
        raise InvalidRequest("a code of which server?", hint="give --server URL")
    path = home / IDENTITY
    known = await asyncio.to_thread(kept_identity, path)
    client = RemoteClient(Servers(request.servers), "")
    try:
        facts = await facts_of(engine)
        name = request.name or facts.hostname.partition(".")[0].lower()
        made = await client.register(code, name, capacity=capacity, labels=request.labels, facts=facts, insist=insist)
    finally:
        await client.close()
    instance = known.instance if known is not None else _instance(facts, made.name)
    identity = Identity(request.servers, made.name, made.key, instance)
    await asyncio.to_thread(keep_identity, path, identity)
    return identity


def _instance(facts: Facts, name: str) -> str:
    """Return how a new runner marks what it makes in the engine: on a node of a Swarm as before its disk was lost."""
    return sha256(f"{facts.node}/{name}".encode()).hexdigest()[:12] if facts.node else secrets.token_hex(6)


@asynccontextmanager
async def machine(
    home: Path,
    identity: Identity,
    capacity: int,
    engine: Engine,
    *,
    alive: Callable[[], None] = lambda: None,
    store_bytes: int = 0,
) -> AsyncIterator[Worker]:
    """Begin a life of a runner: yields the worker, to be run; what earlier lives left is swept first."""
    await engine.ready()
    name = f"{identity.name}/{secrets.token_hex(8)}"
    servers = Servers(identity.urls)
    keys = Keys(home / IDENTITY, identity, partial(new_token, TokenKind.RUNNER))
    client = RemoteClient(servers, identity.key, keys=keys)
    slots, spool = Slots(home / "work"), Spool(home / "spool")
    repositories = FarRepositories(servers, home / "runs", home / "lfs", limit=store_bytes)
    try:
        held = await client.hello(name, capacity=capacity, facts=await facts_of(engine))
        launched = frozenset(project_name(each.lease) for each in held if each.launched)
        runs = frozenset(each.lease.run for each in held)

        async def clear(runs: frozenset[str], objects: frozenset[str]) -> None:
            """Remove all that is here but what belongs to some runs."""
            await engine.sweep(identity.instance, keep=objects)
            for sweep in (slots.sweep, spool.sweep, repositories.sweep):
                await asyncio.to_thread(sweep, runs)

        await clear(runs, launched)
        worker = Worker(
            name=name,
            client=client,
            engine=engine,
            places=RunnerPlaces(home / "work", identity.instance),
            spool=spool,
            slots=slots,
            capacity=capacity,
            repositories=repositories,
            patience=LONG,
            picky=True,
            alive=alive,
            load=lambda: load_of(home),
        )
        yield worker
        if worker.drained:
            await worker.close()
            await clear(frozenset(), frozenset())
    finally:
        await client.close()
        await repositories.close()


async def _until_told(worker: Worker, leave_seconds: float) -> None:
    """Run the worker until it is drained, or a signal comes and the machine is not being drained."""
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    working, stopping = asyncio.create_task(worker.run()), asyncio.create_task(told.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
            return
        log.info("stopping")
        if await worker.is_to_finish():
            await _finish(worker, working, leave_seconds)
    finally:
        for task in (working, stopping):
            task.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)


async def _finish(worker: Worker, working: asyncio.Task[None], seconds: float) -> None:
    """Let the worker finish what it has; what takes longer than some seconds (0: for ever) is given up."""
    log.info("finishing")
    await asyncio.wait({working}, timeout=seconds or None)
    if not working.done():
        worker.give_up("its machine is being drained, and it took too long")
        await asyncio.wait({working})
    working.result()


def _restart() -> None:
    """Begin anew in place: containers go on, and the new life finds them."""
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 (itself)
