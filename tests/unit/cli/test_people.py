"""Commands around people, against a server over HTTP."""

import asyncio
import json
import re
from contextlib import asynccontextmanager
from time import time

import pytest
from sqlalchemy import update

from flowbuild.cli.main import run_program
from flowbuild.core.scoping import SecretScope
from flowbuild.services.accounts import Browser, Lifetimes
from flowbuild.services.audit import Actor
from flowbuild.services.principals import Principals
from flowbuild.store.projects import ProjectRow
from flowbuild.store.server_tables import audit
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


async def test_people(open_desk):
    async with open_desk() as desk:
        await desk.flow("users", "add", "ann", "--email", "ann@example.org")
        await desk.flow("users", "add", "bot", "--no-password", "--admin")
        again = await desk.flow("users", "add", "ann", code=2)
        await desk.flow("users", "disable", "ann")
        listed = await desk.flow("users", "list")
        await desk.flow("users", "enable", "ann")
        await desk.flow("users", "password", "ann")
        users = await desk.json("users", "list")
        await asyncio.to_thread(desk.site.backend.people.accounts.login, "ann", GOOD, Browser("10.0.0.1"))
    assert "there is a user 'ann' already" in again
    assert listed.splitlines() == ["ann  ann@example.org  disabled", "bot  admin", "root  admin"]
    assert [(user["name"], user["has_password"]) for user in users] == [("ann", True), ("bot", False), ("root", True)]


async def test_roles(open_desk):
    async with open_desk() as desk:
        await desk.flow("users", "add", "ann")
        await desk.flow("members", "set", PROJECT, "ann", "approver")
        listed = await desk.flow("members", "list", PROJECT)
        wrong = await desk.flow("members", "set", PROJECT, "ann", "king", code=2)
        await desk.flow("members", "remove", PROJECT, "ann")
        empty = await desk.json("members", "list", PROJECT)
        nobody = await desk.flow("members", "remove", PROJECT, "ann", code=2)
    assert listed == "ann  approver\n"
    assert "viewer" in wrong
    assert empty == []
    assert "has no role" in nobody


async def test_tokens(open_desk, monkeypatch):
    async with open_desk() as desk:
        token = (await desk.flow("tokens", "create", "ci", "--scope", "read", "--days", "2", "--name", "root")).strip()
        bound = await desk.flow("tokens", "create", "p", "--scope", "run", "--only", PROJECT, "--name", "root")
        wrong = await desk.flow("tokens", "create", "x", "--scope", "all", "--name", "root", code=2)
        listed = await desk.flow("tokens", "list")
        with monkeypatch.context() as other:
            other.setenv("FLOW_TOKEN", token)
            await desk.flow("projects", "list")
            refused = await desk.flow("users", "list", code=2)
        mine = next(each for each in await desk.json("tokens", "list") if each["name"] == "ci")
        await desk.flow("tokens", "revoke", mine["id"])
        with monkeypatch.context() as other:
            other.setenv("FLOW_TOKEN", token)
            gone = await desk.flow("projects", "list", code=2)
        after = await desk.flow("tokens", "list")
    assert re.fullmatch(r"flowt_[\w-]{43}", token)
    assert bound.startswith("flowt_")
    assert "scopes" in wrong
    assert f"ci  …{token[-4:]}  read  2 days left" in listed
    assert f"p  …{bound.strip()[-4:]}  run  only {PROJECT}  90 days left" in listed
    assert token not in listed + after
    assert "scope admin" in refused
    assert "not known" in gone
    assert f"ci  …{token[-4:]}  read  revoked" in after


async def test_secrets(open_desk):
    async with open_desk() as desk:
        put = desk.site.backend.people.secrets.put
        for scope in (SecretScope(), SecretScope("prod", "main")):
            await asyncio.to_thread(put, Actor("root"), PROJECT, "KEY", "some value", scope)
        await desk.flow("secrets", "remove", PROJECT, "KEY", "--environment", "prod", "--branches", "main")
        left = await desk.flow("secrets", "list", PROJECT)
        wrong = await desk.flow("secrets", "remove", PROJECT, "KEY", "--environment", "qa", code=2)
    assert left == "KEY  everywhere\n"
    assert "no such secret" in wrong


async def test_the_audit_log(open_desk):
    async with open_desk() as desk:
        await desk.flow("users", "add", "ann")
        await desk.flow("members", "set", PROJECT, "ann", "viewer")
        text = await desk.flow("audit", "-n", "2")
        of_project = await desk.json("audit", "--of", PROJECT)
        whole = await desk.flow("audit", "--verify")
        await asyncio.to_thread(tamper, desk.site.life.local.database)
        broken = await desk.flow("audit", "--verify", code=1)
    newest, before = text.splitlines()
    assert re.fullmatch(
        rf"\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\dZ  root  member.put  user:ann  {PROJECT}  127.0.0.1  token:\w+", newest
    )
    assert "root  user.add  user:ann" in before
    assert [row["action"] for row in of_project] == ["member.put"]
    assert whole.startswith("all ")
    assert broken == "row 1 was changed\n"


def tamper(database):
    with database.write() as tx:
        tx._connection.execute(update(audit).where(audit.c.seq == 1).values(actor="eve"))
