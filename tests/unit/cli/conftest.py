"""A terminal at a server over HTTP."""

import asyncio
import json
from contextlib import asynccontextmanager
from time import time

import pytest

from flowbuild.cli.main import run_program
from flowbuild.services.accounts import Lifetimes
from flowbuild.services.principals import Principals
from flowbuild.store.projects import ProjectRow
from flowbuild.testing.home import Home
from flowbuild.testing.site import PROJECT, open_site
from flowbuild.wiring import connect
from flowbuild.wiring.remote import dial

GOOD = "correct horse battery"


class Desk:
    """A terminal at which somebody is logged in."""

    def __init__(self, site, capsys):
        self.site = site
        self.capsys = capsys

    async def flow(self, *arguments, code=0):
        """Run a command; return what it printed."""
        ended = await asyncio.to_thread(run_program, connect, list(arguments), dial=dial)
        out, err = self.capsys.readouterr()
        assert ended == code, (arguments, ended, out, err)
        return out + err

    async def json(self, *arguments):
        return json.loads(await self.flow(*arguments, "--json"))


def add_project(database):
    with database.write() as tx:
        tx.projects.add(ProjectRow("01AAAAAAAAAAAAAAAAAAAAAAP1", PROJECT, "https://git.example/p", 1.0))


@pytest.fixture
def open_desk(tmp_path, capsys, monkeypatch):
    """A server, and `root` logged in to it by `flow setup`."""

    @asynccontextmanager
    async def desk():
        async with open_site(Home(tmp_path)) as site:
            database = site.life.local.database
            site.backend.authenticator = Principals(database, time, Lifetimes())
            monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
            monkeypatch.setenv("HOME", str(tmp_path))
            monkeypatch.setenv("FLOW_PASSWORD", GOOD)
            code = await asyncio.to_thread(site.backend.people.accounts.setup_code)
            await asyncio.to_thread(add_project, database)
            found = Desk(site, capsys)
            await found.flow("setup", site.url, "--code", code, "--name", "root")
            yield found

    return desk
