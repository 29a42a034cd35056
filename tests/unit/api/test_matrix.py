"""Every endpoint, asked by everybody: the table of routes against the rules of `core.access`, over HTTP."""

import asyncio
import re
from collections import Counter
from dataclasses import replace

import httpx2
import pytest

from flowbuild.api.access import InList, Public, declared
from flowbuild.api.app import create_app, describe, guarded
from flowbuild.auth.tokens import TokenKind, new_token
from flowbuild.core.access import ANONYMOUS, OF_CHAT, Principal, Role, Scope, allowed, no_project
from flowbuild.core.errors import Unauthenticated
from flowbuild.store.projects import ProjectRow
from flowbuild.testing.site import PROJECT

ADMIN = Principal("user", "u-root", "root", admin=True)
MEMBERS = {str(role): Principal("user", f"u-{role}", role, roles={PROJECT: role}) for role in Role}
SENDER = "chat:matrix/@somebody:example.org"
OWNERS = {"admin": ADMIN, "maintainer": MEMBERS["maintainer"]}
PEOPLE = {
    "anonymous": ANONYMOUS,
    "stranger": Principal("user", "u-stranger", "stranger", roles={"other": Role.MAINTAINER}),
    **MEMBERS,
    "admin": ADMIN,
    "runner": Principal("runner", "r1", "builder"),
    "bot": Principal("bot", "b1", "chatty", via="bot:chatty"),
    **{
        f"bot for {who.name}": replace(who, kind="token", scopes=OF_CHAT, via=SENDER)
        for who in (*MEMBERS.values(), ADMIN)
    },
    "bot for somebody unlinked": replace(ANONYMOUS, via=SENDER),
    **{
        f"{name}, token for {scope}": replace(owner, kind="token", scopes=frozenset({scope}))
        for name, owner in OWNERS.items()
        for scope in Scope
    },
    "admin, token for another project": replace(ADMIN, kind="token", scopes=frozenset(Scope), project="other"),
    "admin, token for the project": replace(ADMIN, kind="token", scopes=frozenset(Scope), project=PROJECT),
    "attempt of another project": Principal("attempt", "0" * 26, "refs/attempts/a/1/1", project="other"),
    "attempt of another run": Principal("attempt", "0" * 26, "refs/attempts/a/1/1", project=PROJECT),
    "attempt": Principal("attempt", "", "refs/attempts/a/1/1", project=PROJECT),  # of the run, which is filled in
}
RIGHTS = [(route, permission) for route, permission in declared(describe()) if not isinstance(permission, Public)]
BOT = new_token(TokenKind.BOT)
QUERY = {"/git/runs/{run}.git/info/refs": "?service=git-upload-pack"}


class Everybody:
    """An `api.backend.Authenticator` whose tokens are numbers of `PEOPLE`."""

    def __init__(self, run):
        self.people = [replace(who, id=run) if name == "attempt" else who for name, who in PEOPLE.items()]

    def of_token(self, token):
        if token == BOT:
            raise AssertionError("a bot that asks for somebody does not ask for itself")
        if not token.isdigit():
            raise Unauthenticated("the token is not known")
        return self.people[int(token)]

    def of_sender(self, token, sender):
        assert token == BOT
        return self.of_token(sender)

    def of_session(self, cookie, form_token):
        return self.of_token(cookie)


def proof(who, number):
    """Return the headers of somebody."""
    if who is ANONYMOUS:
        return {}
    if who.via == SENDER:
        return {"Authorization": f"Bearer {BOT}", "Flow-Sender": str(number)}
    return {"Authorization": f"Bearer {number}"}


def refused(answer):
    """Whether an answer says that one may not: openly, or as if the thing did not exist."""
    if not answer.is_error:
        return False
    detail = answer.json().get("detail", "") if "json" in answer.headers.get("content-type", "") else answer.text
    unknown = detail == no_project(PROJECT).message or detail.startswith("there is no run ")
    return answer.status_code == 401 or detail.startswith("you may not do") or (answer.status_code == 404 and unknown)


def expected(who, permission, route, run, *, public):
    project = PROJECT if "{project}" in route.path or "{run}" in route.path else None
    own = who.kind != "attempt" or "{run}" not in route.path or who.id == run
    return own and allowed(who, permission.action, project, public=public)


def address(route, run):
    values = {"project": PROJECT, "run": run, "other": run, "step": "a", "oid": "0" * 64, "name": "1"}
    return re.sub(r"{(\w+)}", lambda name: values.get(name[1], "nothing"), route.path) + QUERY.get(route.path, "")


OF_WORK = {"/api/v1/events", "/api/v1/queue"}  # empty when nothing goes on: test_overview has them


class Kept:
    """Removes nothing: the next one asks for the same project."""

    def project(self, actor, name):
        pass

    def delete(self, actor, run):
        pass


@pytest.fixture
async def town(home, open_site):
    """A site with a project and a run of it that has ended, and a client without a network in between."""
    async with open_site() as site:
        run = (await site.life.finished((await site.life.start(home)).id)).id
        await asyncio.to_thread(add_project, site.life.local.database)
        site.backend.authenticator = Everybody(run)
        site.backend.removal = Kept()
        site.backend.stop.set()  # what follows something ends at once
        transport = httpx2.ASGITransport(guarded(create_app(site.backend)))
        async with httpx2.AsyncClient(transport=transport, base_url="http://flow.example") as http:
            yield site, run, http


def add_project(database):
    """Add the project that runs of the site name."""
    with database.write() as tx:
        tx.projects.add(ProjectRow("01AAAAAAAAAAAAAAAAAAAAAAP1", PROJECT, "https://127.0.0.1/p", 1.0))


@pytest.mark.parametrize("public", [False, True], ids=["private", "public"])
async def test_everybody_at_every_endpoint(town, public):
    site, run, http = town
    site.backend.public_projects = lambda: frozenset({PROJECT} if public else ())
    wrong, seen = [], Counter({True: 0, False: 0})
    for route, permission in RIGHTS:
        for number, (name, who) in enumerate(zip(PEOPLE, site.backend.authenticator.people, strict=True)):
            headers = proof(who, number)
            (method,) = route.methods
            body = (
                {} if method in {"GET", "DELETE"} else {"json": {"unknown": 1}}
            )  # refused, but only who may ask is told
            answer = await http.request(method, address(route, run), headers=headers, **body)
            may = isinstance(permission, InList) or expected(who, permission, route, run, public=public)
            seen[may] += 1
            if answer.status_code >= 500 or refused(answer) is may:
                wrong.append((name, method, route.path, answer.status_code, answer.text[:100]))
    print(f"\n{len(RIGHTS)} endpoints x {len(PEOPLE)} callers = {seen.total()} requests, wrong: {len(wrong)}")
    assert not wrong, "\n".join(map(str, wrong))
    assert seen[True] + seen[False] == len(RIGHTS) * len(PEOPLE)
    assert min(seen.values()) > 300  # the control: both happen


@pytest.mark.parametrize("public", [False, True], ids=["private", "public"])
async def test_lists_hold_what_one_may_see(town, public):
    site, _, http = town
    site.backend.public_projects = lambda: frozenset({PROJECT} if public else ())
    for route, permission in RIGHTS:
        if not isinstance(permission, InList) or route.path in OF_WORK:
            continue
        for number, (name, who) in enumerate(PEOPLE.items()):
            headers = proof(who, number)
            text = (await http.get(route.path, headers=headers)).text
            may = allowed(who, permission.action, PROJECT, public=public)
            assert (f'"{PROJECT}"' in text) is may, (name, route.path, text[:200])
