"""The server: the API in front of the services, with the orchestrator and, unless told otherwise, a runner in the process.

Start/stop contract: `serve` returns after SIGTERM or SIGINT. Then nothing new is accepted, streams end, requests have
GRACE seconds; containers go on running, and the next life of the server finds them.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from importlib.metadata import version
from time import time

import structlog
import uvicorn

from flowbuild.api.app import create_app, guarded
from flowbuild.api.backend import Backend
from flowbuild.api.figures import Measures
from flowbuild.api.limits import App
from flowbuild.api.log_messages import LogMessages
from flowbuild.api.places import Downloads, clones
from flowbuild.core.errors import SystemFailed
from flowbuild.services.accounts import Lifetimes
from flowbuild.services.approvals import Approvals
from flowbuild.services.browsing import Browsing
from flowbuild.services.comparing import Comparing
from flowbuild.services.environments import Environments
from flowbuild.services.history import History
from flowbuild.services.holds import HoldService
from flowbuild.services.launching import Launcher
from flowbuild.services.linting import Linting
from flowbuild.services.news import FOLLOWED, RIGHTS
from flowbuild.services.overview import Overview
from flowbuild.services.principals import Principals
from flowbuild.services.reports import ReportService
from flowbuild.services.repositories import Repositories
from flowbuild.services.secrets import ProjectSecrets, SecretService
from flowbuild.services.waiting import WaitService
from flowbuild.settings import Settings
from flowbuild.web.pages import Pages
from flowbuild.wiring.driving import directing, driving
from flowbuild.wiring.local import Local
from flowbuild.wiring.machines import inside, known_by, machines
from flowbuild.wiring.people import people, providers_of
from flowbuild.wiring.projects import demo_project, open_vault, policy_of, project_service
from flowbuild.wiring.telling import make_telling
from flowbuild.wiring.triggers import make_triggers, triggering
from flowbuild.workspace.serve import Bounds, GitServer

log = structlog.get_logger()
GRACE = 5  # seconds for requests that are being answered
BACKLOG = 2048
THREADS = (
    64  # for all that blocks: deciding, heartbeats, intake; some of it waits for others, and must not hold up the rest
)


class _WebServer(uvicorn.Server):
    """uvicorn without its signal handlers: it would end the process with the signal before we have cleaned up."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `serve`."""
        yield


async def serve(settings: Settings) -> None:
    """Serve until told to stop. Raises the errors of `core.errors` when it cannot begin."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, thread_name_prefix="work"))
    with _listen(settings) as listening:  # first: if another server is there nothing is touched
        local = Local(settings, None)
        local.secrets = ProjectSecrets(SecretService(local.database, open_vault(local), time))
        await asyncio.to_thread(local.open, drive=True, serve=True)
        try:
            local.ownership.listen(local.signals)
            async with _working(local), driving(local) if settings.runner else directing(local):
                backend = make_backend(local)
                began = triggering(
                    local,
                    backend.triggers,
                    backend.telling,
                    backend.projects,
                    policy=policy_of(local),
                    public_url=backend.public_url,
                )
                async with began:
                    await _greet(backend)
                    await _answer(backend, listening, settings.trusted_proxies)
        finally:
            local.ownership.release()
            local.close()


def _working(local: Local) -> AbstractAsyncContextManager[None]:
    return contextlib.nullcontext() if local.clustered is None else local.clustered.working()


def make_backend(local: Local) -> Backend:
    """Return what the endpoints work with."""
    settings = local.settings
    database = local.database
    measures = Measures(database, time)
    vault = open_vault(local)
    there = machines(local, time)
    projects = project_service(local, vault)
    launcher = Launcher(database, projects, local.runs)
    telling = make_telling(local, vault)
    public_url = settings.public_url.rstrip("/") or f"http://{settings.host}:{settings.port}"
    return Backend(
        version=version("flow-build-server"),
        public_url=public_url,
        authenticator=Principals(database, time, Lifetimes(), known_by(there)),
        people=people(database, local.signals, time, vault, providers_of(settings, public_url, time)),
        approvals=Approvals(database, local.looking, projects),
        projects=projects,
        demo=demo_project(local, projects),
        launcher=launcher,
        holds=HoldService(database, projects, local.signals, time),
        removal=local.removal,
        triggers=make_triggers(local, vault, projects, launcher),
        telling=telling,
        machines=there,
        looking=local.looking,
        debugging=local.debugging,
        overview=Overview(database, projects),
        history=History(database),
        environments=Environments(database),
        linting=Linting(projects, telling.channels.names),
        browsing=Browsing(database),
        comparing=Comparing(database),
        reports=ReportService(database),
        repositories=Repositories(database),
        git=GitServer(_bounds(settings)),
        downloads=Downloads(clones=clones(settings.git_clients)),
        waiting=WaitService(database, local.looking, local.placing, time, lambda: inside(local)),
        client=local.client,
        changes=lambda: local.signals.follow(*FOLLOWED),
        rights=lambda: local.signals.follow(*RIGHTS),
        public_projects=projects.public,
        ready=lambda: _ready(local),
        log_messages=LogMessages(local.looking),
        measures=measures,
        clock=time,
    )


def _bounds(settings: Settings) -> Bounds:
    """Return what clients of git may cost."""
    return Bounds(
        seconds=settings.git_seconds,
        slow=settings.git_slow,
        push_bytes=settings.git_push_bytes,
        children=settings.git_clients,
    )


def _ready(local: Local) -> None:
    with local.database.read() as tx:
        tx.runs.owners()


async def _greet(backend: Backend) -> None:
    """Say where we are; to the first to come also how to get in."""
    code = await asyncio.to_thread(backend.people.accounts.setup_code)
    lines = [f"flow server {backend.version} at {backend.public_url}"]
    if code is not None:
        lines.append("Nobody has an account yet. Make the first one in a browser:")
        lines.append(f"    {backend.public_url}/setup#code={code}")  # behind the #: browsers keep that to themselves
        lines.append(f"or with: flow setup {backend.public_url} --code {code}")
    print("\n".join(lines), flush=True)  # noqa: T201 (for who started it)


async def _answer(backend: Backend, listening: socket.socket, proxies: Sequence[str]) -> None:
    """Answer requests until a signal comes."""
    config = web_config(
        backend.measures.app(guarded(Pages(create_app(backend)), slow=backend.git.bounds.slow)), proxies
    )
    server = _WebServer(config)
    with _signals(lambda: _stop(server, backend)):
        await server.serve([listening])


def web_config(app: App, proxies: Sequence[str] = ()) -> uvicorn.Config:
    """Return how an application is served. Of what `proxies` say about who asks, the last address that is none of them counts."""
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=GRACE,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=list(proxies),
    )


def _stop(server: uvicorn.Server, backend: Backend) -> None:
    log.info("stopping")
    backend.stop.set()
    server.should_exit = True


@contextlib.contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _listen(settings: Settings) -> socket.socket:
    """Open the port; raises SystemFailed when that cannot be done."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listening = socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise SystemFailed(
            f"{settings.host}:{settings.port} cannot be listened on: {error.strerror}",
            hint="FLOW_HOST and FLOW_PORT name another address",
        ) from error
    # asyncio does this only for sockets that were made with a protocol. Without it each answer on a connection that is
    # kept waits 40 ms: its body for the acknowledgement of its head.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening
