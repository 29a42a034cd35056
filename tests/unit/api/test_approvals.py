"""Four eyes: where a project wants it, nobody approves what they started, pushed or wrote."""

import asyncio

import pytest

from flowbuild.services.deliveries import INTAKE
from flowbuild.store.users import UserRow
from flowbuild.testing.forge import forge
from flowbuild.testing.home import step
from flowbuild.testing.payloads import Request
from flowbuild.testing.program import git

AUTHOR = "test@localhost"  # of all commits
PEOPLE = {"maintainer": "m@example.org", "approver": AUTHOR.upper(), "admin": ""}
PROJECT = "/api/v1/projects/project"


@pytest.fixture
def home(home):
    steps = {"a": {**step(), "environment": {"name": "prod", "approve": ["approvers"]}}}
    home.write(steps, on={"pull_request": {"branches": ["main"]}})
    return home


@pytest.fixture
def begin(home, open_site):
    """Open a site whose project wants four eyes or not; gives a function that starts, or reruns, as somebody."""

    def add_people(database):
        with database.write() as tx:
            for name, email in PEOPLE.items():
                ident = "1" if name == "admin" else name
                tx.users.add(UserRow(ident, name, email, "", "", "user", 1.0))

    async def opened(site, *, four_eyes):
        wanted = {"name": "project", "url": str(home.project), "settings": {"four_eyes": four_eyes}}
        assert (await site.post("/api/v1/projects", "admin", json=wanted)).status_code == 201
        await asyncio.to_thread(add_people, site.life.local.database)

        async def start(who, of=None):
            path = f"{PROJECT}/pipelines/test/runs" if of is None else f"/api/v1/runs/{of}/rerun"
            answer = await site.post(path, who, json={})
            assert answer.status_code == 201, answer.text
            await site.life.until(answer.json()["id"], "a", "waiting")
            return answer.json()["id"]

        return start

    return opened


async def waiting(site, identifier):
    """Return when a delivery waits for approval."""
    while True:
        token = site.life.local.signals.token(INTAKE)
        found = (await site.get(f"{PROJECT}/deliveries/{identifier}", "developer")).json()
        if found["state"] != "received":
            assert found["state"] == "waiting", found
            return
        await site.life.local.signals.wait(INTAKE, token, 60)


async def judge(site, run, who, verb="approve"):
    return (await site.post(f"/api/v1/runs/{run}/steps/a/{verb}", who)).status_code


async def test_who_started_it_does_not_approve_it(open_site, begin):
    async with open_site() as site:
        start = await begin(site, four_eyes=True)
        run = await start("maintainer")
        told = (await site.post(f"/api/v1/runs/{run}/steps/a/approve", "maintainer")).json()
        answers = [await judge(site, run, who) for who in ("developer", "admin")]
        await site.life.finished(run)
        again = await start("admin", of=run)
        answers += [await judge(site, again, "admin"), await judge(site, again, "maintainer")]
        await site.life.finished(again)
    assert (told["status"], "four eyes" in told["hint"]) == (403, True)
    assert answers == [403, 202, 403, 202]


async def test_who_wrote_the_commit_does_not_approve_it(open_site, begin):
    async with open_site() as site:
        start = await begin(site, four_eyes=True)
        run = await start("maintainer")
        answers = [await judge(site, run, "approver"), await judge(site, run, "admin")]
        await site.life.finished(run)
        other = await start("maintainer")
        answers.append(await judge(site, other, "approver", "reject"))  # to say no it takes no others
        await site.life.finished(other)
    assert answers == [403, 202, 202]


async def test_without_the_setting_one_pair_is_enough(open_site, begin):
    async with open_site() as site:
        start = await begin(site, four_eyes=False)
        for who in ("maintainer", "approver"):
            run = await start("maintainer")
            assert await judge(site, run, who) == 202
            await site.life.finished(run)


@pytest.mark.parametrize(("author", "status"), [("maintainer", 403), ("somebody", 204)])
async def test_who_proposed_it_does_not_let_it_in(home, open_site, begin, author, status):
    home.internal = ("127.0.0.1",)
    async with open_site() as site, forge() as made:
        await begin(site, four_eyes=True)
        hook = (await site.post(f"{PROJECT}/hooks", "maintainer", json={"kind": "github", "name": "forge"})).json()
        head = git(home.project, "rev-parse", "HEAD").strip()
        proposed = Request("opened", commit=head, source="somebody/app", author=author)
        to = site.url + hook["url"].removeprefix("https://flow.example")
        identifier = (await made.deliver("github", proposed, to, hook["secret"])).json()["id"]
        await waiting(site, identifier)
        path = f"{PROJECT}/deliveries/{identifier}/approve"
        by_writer = await site.post(path, "approver", json={"commit": head})
        answer = await site.post(path, "maintainer", json={"commit": head})
    assert (by_writer.status_code, answer.status_code) == (403, status)


async def test_what_people_do_with_runs_is_in_the_audit_log(home, open_site, begin):
    async with open_site() as site:
        start = await begin(site, four_eyes=False)
        first = await start("developer")
        await judge(site, first, "developer")  # refused: nothing was done
        await site.post(f"/api/v1/runs/{first}/steps/a/approve", "approver", json={"comment": "c" * 2000})
        await site.life.finished(first)
        await site.post(f"/api/v1/runs/{first}/cancel", "developer", json={})  # it is over: nothing happens
        second = await start("maintainer", of=first)
        await judge(site, second, "approver", "reject")
        await site.life.finished(second)
        third = await start("maintainer", of=first)
        await site.post(f"/api/v1/runs/{third}/cancel", "admin", json={"force": True})
        await site.life.finished(third)
        local = await site.life.start(home)  # on this machine everybody is who they are
        await site.life.client.cancel(local.id)
        await site.life.finished(local.id)
        rows = (await site.get(f"{PROJECT}/audit", "maintainer")).json()["items"][::-1]
        verdict = (await site.get("/api/v1/audit/verify", "admin")).json()
    rows = [row for row in rows if row["action"].startswith("run.")]
    assert [(row["actor"], row["action"], row["object"], row["via"]) for row in rows] == [
        ("developer", "run.start", f"run:{first}", "token:developer"),
        ("approver", "run.approve", f"run:{first}", "token:approver"),
        ("maintainer", "run.rerun", f"run:{second}", "token:maintainer"),
        ("approver", "run.reject", f"run:{second}", "token:approver"),
        ("maintainer", "run.rerun", f"run:{third}", "token:maintainer"),
        ("admin", "run.cancel", f"run:{third}", "token:admin"),
    ]
    assert (rows[0]["detail"]["pipeline"], rows[0]["detail"]["branch"], rows[0]["detail"]["number"]) == (
        "test",
        "main",
        1,
    )
    assert (len(rows[1]["detail"]["comment"]), rows[2]["detail"]["of"], rows[5]["detail"]["force"]) == (
        1000,
        first,
        True,
    )
    assert {row["address"] for row in rows} == {"127.0.0.1"}
    assert verdict["problem"] == ""
