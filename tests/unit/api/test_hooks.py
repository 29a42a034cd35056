"""Webhooks over HTTP: from a push at a forge to a finished run, and back to the forge."""

import json
import os
import time
from collections import Counter
from dataclasses import replace
from random import Random

import httpx2
import pytest

from flowbuild.services.deliveries import INTAKE
from flowbuild.testing.forge import TOKEN, forge
from flowbuild.testing.home import step
from flowbuild.testing.payloads import FORGES, ZERO, Delivery, Push, Request
from flowbuild.testing.program import git

PROJECT = "/api/v1/projects/project"
PIPELINES = {
    "on": {
        "push": {"branches": ["main"], "paths": ["src/**", ".flow.yml"]},
        "tag": {},
        "pull_request": {"branches": ["main"]},
        "webhook": "by-token",
        "schedule": [{"cron": "0 3 * * *", "timezone": "Europe/Riga"}],
    },
    "inputs": {"who": {"default": "nobody"}},
}


def commit(home, path="src/a", message="Change something"):
    """Commit a file; return what a forge would say of the push."""
    before = git(home.project, "rev-parse", "HEAD").strip()
    file = home.project / path
    file.parent.mkdir(exist_ok=True)
    file.write_text(file.read_text() + "x" if file.exists() else "x")
    git(home.project, "add", "--all")
    git(home.project, "commit", "--quiet", "--message", message)
    return Push("refs/heads/main", before, git(home.project, "rev-parse", "HEAD").strip(), message=message)


async def set_up(site, home, kind, **hook):
    """Add the project and a webhook; return the webhook as the API shows it."""
    wanted = {"name": "project", "url": str(home.project)}
    assert (await site.post("/api/v1/projects", "admin", json=wanted)).status_code == 201
    answer = await site.post(f"{PROJECT}/hooks", "maintainer", json={"kind": kind, "name": "forge", **hook})
    assert answer.status_code == 201, answer.text
    return answer.json()


def address(site, hook):
    """Return where a forge sends to: the public address is not one of this machine."""
    return site.url + hook["url"].removeprefix("https://flow.example")


async def settled(site, identifier):
    """Return a delivery when what follows from it has followed."""
    while True:
        token = site.life.local.signals.token(INTAKE)
        found = (await site.get(f"{PROJECT}/deliveries/{identifier}", "developer")).json()
        if found["state"] != "received":
            return found
        await site.life.local.signals.wait(INTAKE, token, 60)


async def runs_of(site):
    return (await site.get("/api/v1/runs?project=project")).json()["items"]


@pytest.fixture
def home(home):
    home.internal = ("127.0.0.1",)
    home.write({"a": step()}, **PIPELINES)
    return home


@pytest.mark.parametrize("kind", ["github", "gitlab", "gitea", "bitbucket"])
async def test_from_a_push_to_its_status(home, open_site, kind):
    async with open_site() as site, forge() as made:
        hook = await set_up(site, home, kind, token=TOKEN, api_url=made.api_url(kind))
        push = commit(home)
        answer = await made.deliver(kind, push, address(site, hook), hook["secret"])
        assert (answer.status_code, answer.json()["duplicate"]) == (202, False)
        delivery = await settled(site, answer.json()["id"])
        (event,) = delivery["result"]["events"]
        run = await site.life.finished(event["pipelines"][0]["run"])
        while not any(told.state in ("success", "SUCCESSFUL") for told in made.statuses):
            await made.told(len(made.statuses) + 1)
        stored = (await runs_of(site))[0]
    assert (run.state, run.commit, run.branch, run.event) == ("succeeded", push.after, "main", "push")
    assert (stored["trust"], stored["actor"], stored["cause"]["delivery"]) == ("trusted", "ann", delivery["id"])
    last = made.statuses[-1]
    assert (last.commit, last.context, last.description) == (push.after, "flow/test", "run 1 succeeded")
    assert last.url == f"https://flow.example/runs/{run.id}"


async def test_a_duplicate_and_a_forged_one(home, open_site):
    async with open_site() as site, forge() as made:
        hook = await set_up(site, home, "github")
        push, to = commit(home), address(site, hook)
        first = await made.deliver("github", push, to, hook["secret"])
        await settled(site, first.json()["id"])
        again = await made.deliver("github", push, to, hook["secret"])
        forged = await made.deliver("github", replace(push, actor="eve"), to, "another secret of some length")
        nowhere = await made.deliver("github", push, site.url + "/hooks/project/other", hook["secret"])
        assert (again.status_code, again.json()["id"], again.json()["duplicate"]) == (200, first.json()["id"], True)
        assert (forged.status_code, forged.json()["code"]) == (401, "unauthenticated")
        assert nowhere.json() == forged.json()
        assert len(await runs_of(site)) == 1
        assert len((await site.get(f"{PROJECT}/deliveries", "developer")).json()["items"]) == 1


async def test_filters_look_at_the_files_that_really_changed(home, open_site):
    async with open_site() as site, forge() as made:
        hook = await set_up(site, home, "github")

        async def push(what):
            answer = await made.deliver("github", what, address(site, hook), hook["secret"])
            return (await settled(site, answer.json()["id"]))["result"]["events"][0]["pipelines"][0]

        assert "no changed file" in (await push(commit(home, "docs/x")))["why"]
        assert "run" in await push(commit(home, "src/x"))
        skipped = commit(home, "src/y", "More [skip ci]")
        answer = await made.deliver("github", skipped, address(site, hook), hook["secret"])
        assert (await settled(site, answer.json()["id"]))["state"] == "ignored"
        git(home.project, "tag", "--annotate", "--message", "first", "v1")
        tag = git(home.project, "rev-parse", "v1").strip()
        tagged = Push("refs/tags/v1", ZERO, skipped.after, message="tagged", tag_object=tag)
        assert "run" in await push(tagged)
        runs = await runs_of(site)
    assert [(run["event"], run["commit"] == skipped.after) for run in runs] == [("tag", True), ("push", False)]


async def test_a_fork_waits_for_approval_of_its_commit(home, open_site):
    git(home.project, "switch", "--quiet", "--create", "theirs")
    theirs = commit(home, "src/evil")
    git(home.project, "switch", "--quiet", "main")
    git(home.project, "update-ref", "refs/pull/7/head", theirs.after)
    git(home.project, "branch", "--quiet", "-D", "theirs")
    async with open_site() as site, forge() as made:
        hook = await set_up(site, home, "github")
        request = Request("opened", commit=theirs.after, source="mallory/app", head="main")
        answer = await made.deliver("github", request, address(site, hook), hook["secret"])
        delivery = await settled(site, answer.json()["id"])
        assert (delivery["state"], delivery["result"]["commit"]) == ("waiting", theirs.after)
        assert await runs_of(site) == []
        path, wanted = f"{PROJECT}/deliveries/{delivery['id']}/approve", {"commit": theirs.after}
        assert (await site.post(path, "developer", json=wanted)).status_code == 403
        assert (await site.post(path, "approver", json={"commit": "f" * 40})).status_code == 409
        assert (await site.post(path, "approver", json=wanted)).status_code == 204
        delivery = await settled(site, delivery["id"])
        run = await site.life.finished(delivery["result"]["events"][0]["pipelines"][0]["run"])
        (stored,) = await runs_of(site)
    assert (run.state, run.commit, run.branch) == ("succeeded", theirs.after, "mallory:main")
    assert (stored["trust"], stored["cause"]["approved_by"], delivery["approved_by"]) == (
        "untrusted",
        "approver",
        "approver",
    )


async def test_a_token_is_enough_for_a_generic_one(home, open_site):
    async with open_site() as site, httpx2.AsyncClient() as http:
        await set_up(site, home, "github")
        hook = await site.post(f"{PROJECT}/hooks", "maintainer", json={"kind": "generic", "name": "by-token"})
        headers = {"authorization": f"Bearer {hook.json()['secret']}"}
        answer = await http.post(
            address(site, hook.json()), json={"who": "somebody", "LD_PRELOAD": "x"}, headers=headers
        )
        delivery = await settled(site, answer.json()["id"])
        run = await site.life.finished(delivery["result"]["events"][0]["pipelines"][0]["run"])
        wrong = await http.post(address(site, hook.json()), json={}, headers={"authorization": "Bearer x"})
    assert (run.event, run.inputs, run.branch) == ("webhook", {"who": "somebody"}, "main")
    assert run.variables == {}  # a webhook sets what the pipeline declares as an input, nothing else
    assert wrong.status_code == 401
    assert "authorization" not in delivery["headers"]


async def test_schedules_are_those_of_the_default_branch(home, open_site):
    async with open_site() as site:
        await set_up(site, home, "github")
        (found,) = (await site.get(f"{PROJECT}/schedules")).json()
        assert (found["pipeline"], found["words"]) == ("test", "At 03:00 every day (Europe/Riga)")
        assert len(found["next"]) == 5
        path = f"{PROJECT}/schedules/test/0"
        refused = await site.http.patch(path, headers=site.as_("developer"), json={"paused": True})
        paused = await site.http.patch(path, headers=site.as_("maintainer"), json={"paused": True})
        missing = await site.http.patch(
            f"{PROJECT}/schedules/test/1", headers=site.as_("maintainer"), json={"paused": True}
        )
    assert (refused.status_code, missing.status_code, paused.json()["next"]) == (403, 404, [])


async def test_hooks_are_changed_and_removed(home, open_site):
    async with open_site() as site:
        made = await set_up(site, home, "gitlab", token=TOKEN)
        assert (made["has_token"], made["url"]) == (True, "https://flow.example/hooks/project/forge")
        (listed,) = (await site.get(f"{PROJECT}/hooks", "developer")).json()
        assert listed["secret"] is None
        assert TOKEN not in str(listed)
        changed = await site.http.patch(f"{PROJECT}/hooks/forge", headers=site.as_("maintainer"), json={"secret": ""})
        assert changed.json()["secret"] not in (None, made["secret"])
        bad = await site.post(f"{PROJECT}/hooks", "maintainer", json={"kind": "github", "name": "x", "secret": "short"})
        assert bad.status_code == 400
        refused = await site.http.delete(f"{PROJECT}/hooks/forge", headers=site.as_("developer"))
        gone = await site.http.delete(f"{PROJECT}/hooks/forge", headers=site.as_("maintainer"))
        assert (refused.status_code, gone.status_code) == (403, 204)
        assert (await site.get(f"{PROJECT}/hooks", "developer")).json() == []


FUZZED = int(os.environ.get("FLOW_FUZZ_WEBHOOKS", "200"))


def spoilt(random, body):
    """Return a body in which a few things are not as the forge documents them: bytes, or values anywhere in the JSON."""
    if random.random() < 0.3:
        raw = bytearray(body)
        for _ in range(random.randint(1, 5)):
            raw[random.randrange(len(raw))] = random.randrange(256)
        return bytes(raw)
    value = json.loads(body)
    for _ in range(random.randint(1, 3)):
        part = value
        while isinstance(part, dict) and part:
            key = random.choice(list(part))
            if not isinstance(part[key], dict) or random.random() < 0.3:
                part[key] = random.choice(
                    [None, True, -1, 2**70, "", "\ud800", "x" * 5000, [], [[]], {}, "../..", "\0", 1e308]
                )
                break
            part = part[key]
    return json.dumps(value).encode()


async def test_no_delivery_breaks_the_server(home, open_site):
    """Signed by who knows the secret, and still anything: an answer, never an error of ours."""
    random, codes, slowest = Random(FUZZED), Counter(), 0.0
    async with open_site() as site, httpx2.AsyncClient() as http:
        hooks = {"github": await set_up(site, home, "github")}
        for kind in ("gitlab", "gitea", "bitbucket", "generic"):
            added = await site.post(f"{PROJECT}/hooks", "maintainer", json={"kind": kind, "name": kind})
            hooks[kind] = added.json()
        for number in range(FUZZED):
            kind = random.choice(list(hooks))
            what = random.choice([Push(message=f"{number}"), Push("refs/tags/v"), Request("opened"), Request("open")])
            sent = FORGES[kind](what) if kind in FORGES else Delivery({}, b'{"a": {"b": 1}, "c": "d"}')
            sent = replace(sent, body=spoilt(random, sent.body)).signed(kind, hooks[kind]["secret"])
            begun = time.perf_counter()
            answer = await http.post(address(site, hooks[kind]), content=sent.body, headers=dict(sent.headers))
            slowest = max(slowest, time.perf_counter() - begun)
            codes[answer.status_code] += 1
    print(f"{FUZZED} deliveries: {dict(codes)}, slowest {slowest:.3f} s")
    assert set(codes) <= {200, 202, 400}
    assert codes[202] > FUZZED / 10
    assert codes[400] > FUZZED / 10
