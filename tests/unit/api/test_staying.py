"""Streams end with the right to them, at once, and with nobody else's; people, logins and tokens are real."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from time import time

import pytest

from flowbuild.core.project import Visibility
from flowbuild.services.accounts import Browser, Lifetimes
from flowbuild.services.audit import Actor
from flowbuild.services.principals import Principals
from flowbuild.services.projects import ProjectChange
from flowbuild.services.users import UserChange
from flowbuild.store.projects import ProjectRow
from flowbuild.testing.home import LIMIT, step
from flowbuild.testing.site import PROJECT

ROOT, GOOD = Actor("root"), "correct horse battery"
STREAMS = ("/api/v1/events", "/api/v1/runs/{run}/events", "/api/v1/runs/{run}/steps/a/logs/stream")


class Town:
    """A site with a run that goes on, and two people who may look at it; see `open_town`."""

    def __init__(self, site, run):
        self.site, self.run = site, run
        with site.life.local.database.write() as tx:
            tx.projects.add(ProjectRow("01AAAAAAAAAAAAAAAAAAAAAAP1", PROJECT, "https://git.example/p", 1.0))
        self.people, self.projects = site.backend.people, site.backend.projects
        self.ann, self.bob = (self.person(name) for name in ("ann", "bob"))

    def person(self, name):
        """Return the login of a new person."""
        self.people.users.add(ROOT, name, GOOD, change=UserChange())
        self.people.members.put(ROOT, PROJECT, name, "viewer")
        return self.people.accounts.login(name, GOOD, Browser("10.0.0.1"))

    def token(self, login):
        """Return a token of somebody, and its id."""
        owner = self.site.backend.authenticator.of_session(login.cookie, None)
        token, about = self.people.tokens.create(ROOT, owner, "ci", scopes=["read"])
        return token, about.id

    @asynccontextmanager
    async def streams(self, **headers):
        """Open all streams there are with the same proof; yield tasks that read them to their ends."""
        async with AsyncExitStack() as stack:
            tasks = []
            for path in STREAMS:
                opened = self.site.http.stream("GET", path.format(run=self.run), headers=headers)
                answer = await stack.enter_async_context(opened)
                assert answer.status_code == 200
                tasks.append(asyncio.create_task(read(answer)))
            yield tasks


async def read(answer):
    return [line async for line in answer.aiter_lines() if line.startswith("event:")]


async def ended(tasks):
    async with asyncio.timeout(LIMIT):
        return await asyncio.gather(*tasks)


def cookie(login):
    return {"Cookie": f"__Host-flow_session={login.cookie}"}


@pytest.fixture
def open_town(home, open_site):
    @asynccontextmanager
    async def town():
        home.write({"a": step(log="first\n", sleep=100_000)})
        async with open_site() as site:
            site.backend.authenticator = Principals(site.life.local.database, time, Lifetimes())
            run = await site.life.start(home)
            await site.life.until(run.id, "a", "run")
            yield await asyncio.to_thread(Town, site, run.id)

    return town


TAKEN = {
    "the role": lambda town: town.people.members.remove(ROOT, PROJECT, "ann"),
    "the account": lambda town: town.people.users.change(ROOT, "ann", UserChange(disabled=True)),
    "the password": lambda town: town.people.users.set_password(ROOT, "ann", GOOD + " new"),
    "the login": lambda town: town.people.accounts.end_session(
        ROOT, town.ann.user.id, town.people.accounts.sessions(town.ann.user.id)[0].label
    ),
    "one's own login": lambda town: town.people.accounts.logout(town.ann.cookie),
}


@pytest.mark.parametrize("what", TAKEN)
async def test_a_stream_ends_with_the_right_to_it(open_town, what):
    """Those of somebody else go on until the run ends: then they say so."""
    async with open_town() as town, town.streams(**cookie(town.ann)) as anns, town.streams(**cookie(town.bob)) as bobs:
        await asyncio.to_thread(TAKEN[what], town)
        left = await ended(anns)
        assert not any(task.done() for task in bobs)
        path = STREAMS[1].format(run=town.run)
        again = [(await town.site.http.get(path, headers=cookie(town.ann))).status_code]
        await town.site.life.client.cancel(town.run, force=True)
        told = await ended(bobs[1:])
    assert [lines[-1:] for lines in told] == [["event: end"]] * 2
    assert all("event: end" not in lines for lines in left), "that would say that there is nothing more to come"
    assert again[0] in (401, 404)


async def test_a_stream_ends_with_the_token_that_opened_it(open_town):
    """And not with another one of the same person."""
    async with open_town() as town:
        (first, number), (second, _) = [await asyncio.to_thread(town.token, town.ann) for _ in range(2)]
        streams = [town.streams(Authorization=f"Bearer {token}") for token in (first, second)]
        async with streams[0] as mine, streams[1] as others:
            await asyncio.to_thread(town.people.tokens.revoke, ROOT, None, number)
            await ended(mine)
            await town.site.life.client.cancel(town.run, force=True)
            told = await ended(others[1:])
    assert [lines[-1:] for lines in told] == [["event: end"]] * 2


@pytest.mark.parametrize("put_away", [True, False])
async def test_a_stream_of_a_project_that_is_public_no_more_ends_for_the_public(open_town, put_away):
    async with open_town() as town:
        public, private = ProjectChange(visibility=Visibility.PUBLIC), ProjectChange(visibility=Visibility.PRIVATE)
        await asyncio.to_thread(town.projects.change, ROOT, PROJECT, public)
        async with town.streams() as tasks:
            if put_away:
                await asyncio.to_thread(town.projects.archive, ROOT, PROJECT)
            else:
                await asyncio.to_thread(town.projects.change, ROOT, PROJECT, private)
            left = await ended(tasks)
        again = await town.site.http.get(STREAMS[1].format(run=town.run))
    assert all("event: end" not in lines for lines in left)
    assert again.status_code == 401


async def test_what_takes_nothing_away_ends_nothing(open_town):
    """Another login of the same person, their address, a project that stays private, and what may be anything."""
    async with open_town() as town:
        other = await asyncio.to_thread(town.people.accounts.login, "ann", GOOD, Browser("10.0.0.2"))
        async with town.streams(**cookie(town.ann)) as tasks:
            await asyncio.to_thread(town.people.users.change, ROOT, "ann", UserChange(email="ann@example.org"))
            await asyncio.to_thread(town.people.accounts.logout, other.cookie)
            await asyncio.to_thread(town.projects.change, ROOT, PROJECT, ProjectChange(default_branch=""))
            town.site.life.local.signals.notify_all()
            await town.site.life.client.cancel(town.run, force=True)
            told = await ended(tasks[1:])
            assert not tasks[0].done()
    assert [lines[-1:] for lines in told] == [["event: end"]] * 2
