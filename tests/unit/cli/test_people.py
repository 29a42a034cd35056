"""Commands around people, against a server over HTTP."""

import asyncio
import re

from sqlalchemy import update

from flowbuild.core.scoping import SecretScope
from flowbuild.services.accounts import Browser
from flowbuild.services.audit import Actor
from flowbuild.store.server_tables import audit
from flowbuild.testing.site import PROJECT

GOOD = "correct horse battery"


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
