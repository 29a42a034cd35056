"""What the endpoints work with. `wiring` builds it; a router takes it as the dependency `Back`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, ParamSpec, Protocol, TypeVar

from fastapi import Depends, Request

from flowbuild.api.figures import Measures
from flowbuild.api.log_messages import LogMessages
from flowbuild.api.places import Downloads
from flowbuild.core.access import Principal
from flowbuild.services.accounts import Accounts
from flowbuild.services.approvals import Approvals
from flowbuild.services.attempt_tokens import AttemptTokens
from flowbuild.services.audit import Actor, AuditLog
from flowbuild.services.bots import BotService
from flowbuild.services.browsing import Browsing
from flowbuild.services.channels import ChannelService
from flowbuild.services.client import LocalClient
from flowbuild.services.comparing import Comparing
from flowbuild.services.debugging import DebugService
from flowbuild.services.decisions import Clock
from flowbuild.services.deliveries import DeliveryService
from flowbuild.services.demo import Demo
from flowbuild.services.dispatching import DispatchService
from flowbuild.services.environments import Environments
from flowbuild.services.external import ExternalLogins
from flowbuild.services.history import History
from flowbuild.services.holds import HoldService
from flowbuild.services.hooks import HookService
from flowbuild.services.launching import Launcher
from flowbuild.services.linking import Linking
from flowbuild.services.linting import Linting
from flowbuild.services.looking import Looking
from flowbuild.services.members import MemberService
from flowbuild.services.overview import Overview
from flowbuild.services.projects import ProjectService
from flowbuild.services.reactions import Reactions
from flowbuild.services.registration import Registration
from flowbuild.services.removal import Removal
from flowbuild.services.reports import ReportService
from flowbuild.services.repositories import Repositories
from flowbuild.services.results import Results
from flowbuild.services.runner_keys import RunnerKeys
from flowbuild.services.runners import RunnerService
from flowbuild.services.schedules import ScheduleService
from flowbuild.services.secrets import SecretService
from flowbuild.services.signals import Following
from flowbuild.services.tokens import TokenService
from flowbuild.services.users import UserService
from flowbuild.services.waiting import WaitService
from flowbuild.workspace.serve import GitServer

T = TypeVar("T")
P = ParamSpec("P")
REMOTES = 16  # requests that may wait for repositories of projects at once; further ones wait for these


class Authenticator(Protocol):
    """Finds out who asks; see services.principals. Blocking; raises Unauthenticated for a proof that is no good."""

    def of_token(self, token: str) -> Principal:
        """Return whose API token that is."""
        ...

    def of_sender(self, token: str, sender: str) -> Principal:
        """Return for whom a bot with that token acts; `sender`: what its network calls them. Also raises Forbidden."""
        ...

    def of_session(self, cookie: str, form_token: str | None) -> Principal:
        """Return whose login that is; `form_token` must be given, and fit, when the request changes something."""
        ...


@dataclass(frozen=True, slots=True)
class People:
    """The use cases around people and their secrets."""

    accounts: Accounts
    external: ExternalLogins
    users: UserService
    tokens: TokenService
    members: MemberService
    bots: BotService
    linking: Linking
    audit: AuditLog
    secrets: SecretService


@dataclass(frozen=True, slots=True)
class Triggers:
    """The use cases around what begins runs by itself."""

    hooks: HookService
    deliveries: DeliveryService
    schedules: ScheduleService
    reactions: Reactions


@dataclass(frozen=True, slots=True)
class Telling:
    """The use cases around what people are told."""

    channels: ChannelService
    dispatches: DispatchService


@dataclass(frozen=True, slots=True)
class Machines:
    """The use cases around runners on other machines."""

    runners: RunnerService
    registration: Registration
    keys: RunnerKeys
    tokens: AttemptTokens
    results: Results


@dataclass(slots=True)
class Backend:
    """The services of a server. `client` acts for somebody, with `stop` all streams end."""

    version: str
    public_url: str
    authenticator: Authenticator
    people: People
    approvals: Approvals
    projects: ProjectService
    demo: Demo
    launcher: Launcher
    holds: HoldService
    removal: Removal
    triggers: Triggers
    telling: Telling
    machines: Machines
    looking: Looking
    debugging: DebugService
    overview: Overview
    history: History
    environments: Environments
    linting: Linting
    browsing: Browsing
    comparing: Comparing
    reports: ReportService
    repositories: Repositories
    git: GitServer
    waiting: WaitService
    client: Callable[[Actor], LocalClient]
    changes: Callable[[], Following]  # of the lists that services.news has
    rights: Callable[[], Following]  # of what people may, and of who they are
    public_projects: Callable[[], frozenset[str]]  # those that everybody may look at. Blocking
    ready: Callable[[], None]  # raises what is in the way of serving. Blocking
    log_messages: LogMessages
    measures: Measures
    clock: Clock
    downloads: Downloads = field(default_factory=Downloads)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    remotes: Executor = field(default_factory=lambda: ThreadPoolExecutor(REMOTES, thread_name_prefix="remotes"))

    async def at_remote(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do blocking work that may wait for the repository of a project, in threads that nothing else needs."""
        called = partial(copy_context().run, partial(work, *args, **kwargs))
        return await asyncio.get_running_loop().run_in_executor(self.remotes, called)


async def _backend(request: Request) -> Backend:
    backend = request.state.backend
    assert isinstance(backend, Backend)  # noqa: S101 (`create_app` put it there)
    return backend


Back = Annotated[Backend, Depends(_backend)]
