"""Channels over HTTP: of projects, one's own, and what bots take and settle."""

import asyncio
from dataclasses import replace
from time import time

import pytest

from flowbuild.core.access import OF_CHAT, Principal, Role
from flowbuild.core.chat import provider_of
from flowbuild.core.errors import Unauthenticated
from flowbuild.core.notifying import News, NewsKind, StepNews
from flowbuild.services.ids import new_id
from flowbuild.services.users import new_user
from flowbuild.store.bots import BotRow
from flowbuild.store.dispatches import DispatchRow
from flowbuild.store.projects import ProjectRow
from flowbuild.store.users import IdentityRow
from flowbuild.testing.home import step
from flowbuild.testing.program import git
from flowbuild.testing.site import PROJECT

CHANNELS, OWN = f"/api/v1/projects/{PROJECT}/channels", "/api/v1/account/channels"
TAKE = "/api/v1/bot/dispatches/take"
AUTHOR = "test@localhost"
URL = "https://hooks.example.org/T0/secret?x=1"


class WithBots:
    """Who asks, as ever, and bots by the name of their network; `person` has an account."""

    def __init__(self, others, person):
        self.others, self.person = others, person

    def of_token(self, token):
        if token in ("matrix", "slack"):
            return Principal("bot", f"bot-{token}", token, via=f"bot:{token}")
        if token in ("ann", "ann by chat"):
            ann = Principal("user", self.person, "ann", roles={PROJECT: Role.VIEWER}, via="token:ann")
            return ann if token == "ann" else replace(ann, kind="token", scopes=OF_CHAT)
        if token.endswith(" by chat"):
            return replace(self.others.of_token(token.removesuffix(" by chat")), kind="token", scopes=OF_CHAT)
        return self.others.of_token(token)

    def of_session(self, cookie, form_token):
        raise Unauthenticated("there are none here")


def add_bots(tx):
    """Store a bot for each of two networks."""
    for network in ("matrix", "slack"):
        assert tx.bots.add(BotRow(f"bot-{network}", network, network, network[0] * 64, "root", 1.0))


@pytest.fixture
async def site(open_site):
    async with open_site() as made:
        user = replace(new_user("ann", "user", 1.0), email="ann@example.org")

        def fill():
            with made.life.local.database.write() as tx:
                tx.projects.add(ProjectRow("01AAAAAAAAAAAAAAAAAAAAAAP1", PROJECT, "https://127.0.0.1/p", 1.0))
                tx.users.add(user)
                add_bots(tx)
                tx.users.link(IdentityRow(provider_of("matrix"), "@ann:x", user.id, 1.0))

        await asyncio.to_thread(fill)
        made.backend.authenticator = WithBots(made.backend.authenticator, user.id)
        yield made


async def add(site, who="maintainer", path=CHANNELS, **wanted):
    answer = await site.post(path, who, json={"name": "team", "kind": "matrix", "target": "!r:x", **wanted})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def send(site, channel, *kinds, message="m"):
    """Let a channel of the project be told things."""

    def work():
        with site.life.local.database.write() as tx:
            (row,) = [each for each in tx.channels.listening(PROJECT) if each.name == channel]
            about = tx.dispatches.message(message * 26, row.id, message)
            for kind in kinds:
                steps = [StepNews("a", "failed", "exit code 2", 2, ["error: x"])] if kind is NewsKind.FAILED else []
                news = News(kind, 5.0, PROJECT, "build", "R" * 26, 7, steps=steps)
                tx.dispatches.add(DispatchRow(new_id(time()), about, news, time(), 1.0))

    await asyncio.to_thread(work)
    site.life.local.signals.notify("dispatch")


async def test_a_channel_from_its_beginning_to_its_end(site):
    made = await add(site, kind="webhook", target=URL, rule={"on": ["failed"], "branches": ["main"]})
    assert len(made["secret"]) >= 32
    assert made["target"] == "https://hooks.example.org/…"
    (listed,) = (await site.get(CHANNELS, "developer")).json()
    assert listed == {**made, "secret": None}
    assert listed["rule"] == {
        "on": ["failed"],
        "pipelines": [],
        "branches": ["main"],
        "mine": False,
        "quiet": None,
        "digest": "",
        "timezone": "UTC",
        "mention": True,
    }
    patch = {"rule": {"quiet": {"begin": "22:00", "end": "07:00", "timezone": "Europe/Riga", "urgent": ["approval"]}}}
    changed = (await site.http.patch(f"{CHANNELS}/team", json=patch, headers=site.as_("maintainer"))).json()
    assert changed["rule"]["quiet"] == patch["rule"]["quiet"]
    assert changed["rule"]["on"] == ["failed", "errored", "recovered", "approval"]
    renewed = await site.http.patch(f"{CHANNELS}/team", json={"renew_secret": True}, headers=site.as_("maintainer"))
    assert renewed.json()["secret"] not in (None, made["secret"])
    gone = await site.http.delete(f"{CHANNELS}/team", headers=site.as_("maintainer"))
    assert gone.status_code == 204
    assert (await site.get(CHANNELS, "developer")).json() == []


@pytest.mark.parametrize(
    ("wanted", "status", "where"),
    [
        ({"kind": "mail"}, 422, "body.kind"),
        ({"rule": {"on": ["fail"]}}, 422, "body.rule.on.0"),
        ({"rule": {"digest": "often"}}, 400, "body.rule.digest"),
        ({"rule": {"quiet": {"begin": "25:00", "end": "07:00"}}}, 400, "body.rule.quiet.begin"),
        ({"rule": {"unknown": 1}}, 422, "body.rule.unknown"),
        ({"kind": "email", "target": "nobody"}, 400, "body.target"),
        ({"name": "a b"}, 400, "body.name"),
    ],
)
async def test_what_is_wrong_is_named(site, wanted, status, where):
    answer = await site.post(
        CHANNELS, "maintainer", json={"name": "team", "kind": "matrix", "target": "!r:x", **wanted}
    )
    assert answer.status_code == status, answer.text
    assert [each["where"] for each in answer.json()["errors"]] == [where]


async def test_own_channels_are_nobody_elses(site):
    await add(site, "ann", OWN, target="", rule={"mine": True})
    assert [each["name"] for each in (await site.get(OWN, "ann")).json()] == ["team"]
    assert (await site.get(OWN, "admin")).json() == []
    for call in (
        site.http.delete(f"{OWN}/team", headers=site.as_("admin")),
        site.post(f"{OWN}/team/test", "admin"),
        site.get(f"{OWN}/team/dispatches", "admin"),
    ):
        assert (await call).status_code == 404
    test = await site.post(f"{OWN}/team/test", "ann")
    assert test.status_code == 202
    (task,) = (await site.post(TAKE, "matrix", json={})).json()
    assert (task["id"], task["test"], task["direct"], task["sender"], task["room"]) == (
        test.json()["id"],
        True,
        True,
        "@ann:x",
        "",
    )


async def test_through_a_bot_one_is_told_things_oneself_and_sends_them_nowhere_else(site):
    by_chat = site.as_("ann by chat")
    await add(site, "ann by chat", OWN, target="", rule={"on": ["failed"]})
    changed = await site.http.patch(f"{OWN}/team", json={"rule": {"on": ["started"]}}, headers=by_chat)
    assert changed.json()["rule"]["on"] == ["started"]
    hook = {"name": "hook", "kind": "webhook", "target": URL}
    assert (await site.post(OWN, "ann by chat", json=hook)).status_code == 403
    await add(site, "ann", OWN, **hook)
    for patch in ({"target": "https://other.example.org"}, {"renew_secret": True}):
        assert (await site.http.patch(f"{OWN}/hook", json=patch, headers=by_chat)).status_code == 403
    assert (await site.http.delete(f"{OWN}/team", headers=by_chat)).status_code == 204


async def test_through_a_bot_maintainers_say_what_rooms_are_told_and_send_nothing_elsewhere(site):
    def calls(who, name, **patch):
        headers = site.as_(who)
        yield site.http.patch(f"{CHANNELS}/{name}", json=patch or {"rule": {"on": ["started"]}}, headers=headers)
        yield site.http.delete(f"{CHANNELS}/{name}", headers=headers)

    room, hook = {"name": "room", "kind": "slack", "target": "C1"}, {"name": "hook", "kind": "webhook", "target": URL}
    assert (await site.post(CHANNELS, "developer by chat", json=room)).status_code == 403
    assert (await site.post(CHANNELS, "maintainer by chat", json=hook)).status_code == 403
    await add(site, "maintainer by chat", **room)
    await add(site, "maintainer", **hook)
    assert [(await call).status_code for call in calls("developer by chat", "room")] == [403, 403]
    assert [(await call).status_code for call in calls("maintainer by chat", "hook")] == [403, 403]
    assert (await next(calls("maintainer by chat", "room", target="C2"))).status_code == 403
    assert [(await call).status_code for call in calls("maintainer by chat", "room")] == [200, 204]
    assert [(await call).status_code for call in calls("maintainer by chat", "room")] == [404, 404]


async def test_what_a_bot_takes_says_and_settles(site):
    await add(site)
    await send(site, "team", NewsKind.STARTED)
    await send(site, "team", NewsKind.FAILED)
    (task,) = (await site.post(TAKE, "matrix", json={"limit": 5})).json()
    assert (task["event"], task["room"], task["direct"], task["remote"], task["digest"]) == (
        "started",
        "!r:x",
        False,
        "",
        [],
    )
    assert (await site.post(TAKE, "matrix", json={})).json() == [], "claimed, and what follows waits"
    said = {"state": "sent", "remote": "$event"}
    assert (await site.post(f"/api/v1/bot/dispatches/{task['id']}", "matrix", json=said)).status_code == 204
    (task,) = (await site.post(TAKE, "matrix", json={})).json()
    assert (task["event"], task["remote"], [each["kind"] for each in task["earlier"]]) == (
        "failed",
        "$event",
        ["started"],
    )
    (step,) = task["news"]["steps"]
    assert step == {"key": "a", "outcome": "failed", "message": "exit code 2", "exit_code": 2, "lines": ["error: x"]}
    later = {"state": "again", "error": "too fast", "again_after": 3600}
    await site.post(f"/api/v1/bot/dispatches/{task['id']}", "matrix", json=later)
    assert (await site.post(TAKE, "matrix", json={})).json() == []
    page = (await site.get(f"{CHANNELS}/team/dispatches?limit=1", "developer")).json()
    (newest,) = page["items"]
    assert (newest["state"], newest["tries"], newest["error"], newest["event"]) == ("waiting", 1, "too fast", "failed")
    rest = (await site.get(f"{CHANNELS}/team/dispatches?cursor={page['next']}", "developer")).json()
    assert ([each["state"] for each in rest["items"]], rest["next"]) == (["sent"], None)


async def test_what_failed_is_sent_again_when_somebody_asks(site):
    await add(site)
    await send(site, "team", NewsKind.FAILED)
    (task,) = (await site.post(TAKE, "matrix", json={})).json()
    place = f"{CHANNELS}/team/dispatches/{task['id']}/again"
    assert (await site.post(place, "maintainer")).status_code == 409
    no = {"state": "failed", "error": "no such room"}
    await site.post(f"/api/v1/bot/dispatches/{task['id']}", "matrix", json=no)
    answer = await site.post(place, "maintainer")
    assert answer.status_code == 202
    (again,) = (await site.post(TAKE, "matrix", json={})).json()
    assert again["id"] == answer.json()["id"] != task["id"]


async def test_a_bot_gets_only_what_is_for_its_network(site):
    await add(site)
    await send(site, "team", NewsKind.FAILED)
    assert (await site.post(TAKE, "slack", json={})).json() == []
    (task,) = (await site.post(TAKE, "matrix", json={})).json()
    answer = await site.post(f"/api/v1/bot/dispatches/{task['id']}", "slack", json={"state": "sent"})
    assert answer.status_code == 403
    missing = await site.post(f"/api/v1/bot/dispatches/{'0' * 26}", "matrix", json={"state": "sent"})
    assert missing.status_code == 404


async def test_a_bot_waits_for_something(site):
    await add(site)
    waiting = asyncio.create_task(site.post(TAKE, "matrix", json={"wait": 30}))
    await send(site, "team", NewsKind.FAILED)
    assert [each["event"] for each in (await waiting).json()] == ["failed"]


async def test_a_bot_that_waits_is_told_when_the_server_stops(site):
    waiting = asyncio.create_task(site.post(TAKE, "matrix", json={"wait": 30}))
    site.backend.stop.set()
    assert (await waiting).status_code == 503


async def test_a_digest_is_one_thing_to_say(site):
    await add(site, rule={"digest": "hourly"})

    def work():
        with site.life.local.database.write() as tx:
            (row,) = tx.channels.listening(PROJECT)
            for number in (1, 2):
                about = tx.dispatches.message(f"{number:026d}", row.id, str(number))
                news = News(NewsKind.FAILED, 5.0, PROJECT, number=number)
                tx.dispatches.add(DispatchRow(f"{number:026d}", about, news, 1.0, 1.0, parcel=""))

    await asyncio.to_thread(work)
    (task,) = (await site.post(TAKE, "matrix", json={})).json()
    assert [each["news"]["number"] for each in task["digest"]] == [1, 2]
    await site.post(f"/api/v1/bot/dispatches/{task['id']}", "matrix", json={"state": "sent", "remote": "$x"})
    states = {each["state"] for each in (await site.get(f"{CHANNELS}/team/dispatches", "developer")).json()["items"]}
    assert states == {"sent"}


async def test_from_a_run_to_what_a_bot_says_of_it(home, open_site):
    """A real repository, a real log: who wrote the commit, what it is called, and why the step failed."""
    home.write({"a": step(exit=3, log="compiling\nerror: no such file\nat main.c:3\n")})
    git(home.project, "commit", "--quiet", "--allow-empty", "--message", "Break the build\n\nBadly.")
    async with open_site() as made:
        made.backend.authenticator = WithBots(made.backend.authenticator, "nobody")

        def fill():
            with made.life.local.database.write() as tx:
                add_bots(tx)

        await asyncio.to_thread(fill)
        await made.add_project(home)
        await add(made, rule={"on": ["started", "finished"]})
        begun = await made.post(f"/api/v1/projects/{PROJECT}/pipelines/test/runs", "developer", json={})
        assert begun.status_code == 201, begun.text
        said = []
        while len(said) < 2:
            (task,) = (await made.post(TAKE, "matrix", json={"wait": 30})).json()
            await made.post(f"/api/v1/bot/dispatches/{task['id']}", "matrix", json={"state": "sent", "remote": "$1"})
            said.append(task["news"])
        started, failed = said
        assert (started["kind"], failed["kind"], failed["run"]) == ("started", "failed", begun.json()["id"])
        assert (failed["subject"], failed["author"], failed["actor"]) == ("Break the build", AUTHOR, "developer")
        assert failed["url"] == f"https://flow.example/runs/{failed['run']}"
        (why,) = failed["steps"]
        assert (why["key"], why["outcome"], why["exit_code"]) == ("a", "failed", 3)
        assert why["lines"][-2:] == ["error: no such file", "at main.c:3"]
