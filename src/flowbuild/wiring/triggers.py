"""What goes on by itself: webhooks, schedules, polling, the end of other runs; what is told to forges; tidying up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import time

import httpx2

from flowbuild.api.backend import Telling, Triggers
from flowbuild.core.giturl import GitUrl, Policy, Transport, judge
from flowbuild.core.sources import SourceEvent
from flowbuild.forges.client import DEADLINE, ForgeClient, Target
from flowbuild.services.consequences import Consequences
from flowbuild.services.deliveries import DeliveryService
from flowbuild.services.following import FollowService
from flowbuild.services.hooks import HookService
from flowbuild.services.intake import IntakeService
from flowbuild.services.launching import Launcher
from flowbuild.services.missed import Missed
from flowbuild.services.news import deliveries_topic
from flowbuild.services.polling import PROJECTS, PollService, Requests
from flowbuild.services.projects import ProjectService
from flowbuild.services.reactions import Reactions
from flowbuild.services.retention import RetentionService
from flowbuild.services.schedules import ScheduleService
from flowbuild.services.statuses import StatusService
from flowbuild.store.hooks import HookRow
from flowbuild.store.runs import RunRow
from flowbuild.triggers.after import After
from flowbuild.triggers.housekeeping import Housekeeper
from flowbuild.triggers.intake import Intake
from flowbuild.triggers.polling import Polling
from flowbuild.triggers.scheduler import Scheduler
from flowbuild.triggers.statuses import Statuses
from flowbuild.vault.sealing import Vault
from flowbuild.wiring.local import Local
from flowbuild.wiring.sending import mail_sender, sending_of
from flowbuild.wiring.telling import announcing
from flowbuild.workspace.mirror import HEADS, TAGS

PATIENCE = 5.0  # seconds for remotes to end their answers


def make_triggers(local: Local, vault: Vault, projects: ProjectService, launcher: Launcher) -> Triggers:
    """Return them; nothing happens before `triggering`."""
    database, signals = local.database, local.signals
    hooks = HookService(database, vault, time, lambda project: signals.notify(PROJECTS, deliveries_topic(project)))
    branch = projects.default_branch
    schedules = ScheduleService(database=database, starter=launcher, signals=signals, clock=time, default_branch=branch)
    deliveries = DeliveryService(database=database, hooks=hooks, signals=signals, clock=time)
    return Triggers(hooks, deliveries, schedules, Reactions(launcher, schedules.moved))


@asynccontextmanager
async def triggering(
    local: Local, triggers: Triggers, telling: Telling, projects: ProjectService, *, policy: Policy, public_url: str
) -> AsyncIterator[None]:
    """Let things begin runs, and people be told, while the context is open; what is under way at its end is done to its end.

    What waits for a remote even then is given up after PATIENCE; the next life does it.
    """
    database, signals = local.database, local.signals

    def refs(project: str) -> dict[str, str]:
        projects.fetch(project)
        branches = {HEADS + name: commit for name, commit in projects.branches(project).items()}
        return branches | {TAGS + name: commit for name, commit in projects.tags(project).items()}

    def page_of(row: RunRow) -> str:
        return f"{public_url}/runs/{row.run.id}"

    statuses = StatusService(database=database, hooks=triggers.hooks, link=page_of, clock=time)
    consequences = Consequences(
        database=database,
        reactions=triggers.reactions,
        cancel=local.decisions.cancel,
        link=lambda row: f"{public_url}/projects/{row.project}/deliveries/{row.id}",
        clock=time,
    )
    intake = IntakeService(database=database, consequences=consequences, signals=signals, clock=time)
    follows = FollowService(database=database, reactions=triggers.reactions, clock=time)
    retention = RetentionService(database, local.removal, time)
    mail = mail_sender(local.settings)
    async with (
        httpx2.AsyncClient(timeout=DEADLINE, follow_redirects=False, trust_env=False) as http,
        sending_of(mail, telling.dispatches, signals, policy=policy, public_url=public_url) as sending,
    ):
        client = ForgeClient(http, lambda host, addresses: _judge(host, addresses, policy))
        polls = PollService(
            database=database,
            refs=refs,
            message=projects.message,
            requests=_requests(client, triggers.hooks, asyncio.get_running_loop()),
            missed=Missed(database, signals, time),
            reactions=triggers.reactions,
            clock=time,
        )
        loops = (
            Intake(service=intake, signals=signals, clock=time),
            Scheduler(service=triggers.schedules, signals=signals, clock=time),
            Polling(service=polls, signals=signals, clock=time),
            After(service=follows, signals=signals, clock=time),
            Statuses(service=statuses, client=client, signals=signals, clock=time),
            announcing(local, projects, page_of),
            *sending,
            Housekeeper(service=retention, signals=signals, clock=time),
        )
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(loop.run()) for loop in loops]
            yield
            for task in tasks:
                task.cancel()
            overdue = asyncio.get_running_loop().call_later(PATIENCE, projects.hang_up)
        overdue.cancel()


def _requests(client: ForgeClient, hooks: HookService, loop: asyncio.AbstractEventLoop) -> Requests:
    """Return who asks a forge for its open pull requests, from a thread."""

    def requests(hook: HookRow) -> Sequence[SourceEvent]:
        target = Target(hook.kind, hook.api_url, hook.repository)
        return asyncio.run_coroutine_threadsafe(client.open_requests(target, hooks.token(hook)), loop).result()

    return requests


def _judge(host: str, addresses: Sequence[str], policy: Policy) -> None:
    """Raise InvalidRequest for a forge that the server must not speak to, by the rules for repositories."""
    judge(GitUrl(f"https://{host}", Transport.HTTPS, host, 443, "", "/"), policy, addresses)
