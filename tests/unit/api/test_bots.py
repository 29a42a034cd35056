"""Bots over HTTP: who they are, and for whom they act; people, tokens and links are real."""

import asyncio
from contextlib import asynccontextmanager
from time import time

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowbuild.api.app import create_app, guarded
from flowbuild.auth.tokens import TokenKind, kind_of, new_token
from flowbuild.core.chat import provider_of
from flowbuild.core.project import Visibility
from flowbuild.services.accounts import Browser, Lifetimes
from flowbuild.services.audit import Actor
from flowbuild.services.bots import NOTED, BotKeys, BotService
from flowbuild.services.principals import Principals
from flowbuild.services.projects import ProjectChange
from flowbuild.services.signals import Signals
from flowbuild.services.users import UserChange
from flowbuild.store.users import IdentityRow
from flowbuild.testing.databases import new_sqlite
from flowbuild.testing.home import step
from flowbuild.testing.site import PROJECT
from flowbuild.testing.triggers import Clock

ROOT, GOOD = Actor("root"), "correct horse battery"
ANN = "@ann:example.org"
RUNS = f"/api/v1/projects/{PROJECT}/pipelines/test/runs"


class Town:
    """A site with an admin, ann with a role, and a bot on Matrix; see `open_town`."""

    def __init__(self, site):
        self.site, self.people = site, site.backend.people
        self.database = site.life.local.database
        self.people.users.add(ROOT, "root", GOOD, role="admin", change=UserChange())
        self.people.users.add(ROOT, "ann", GOOD, change=UserChange())
        self.bot, _ = self.people.bots.create(ROOT, "chatty", "matrix")

    def link(self, name="ann", sender=ANN, network="matrix"):
        with self.database.write() as tx:
            tx.users.link(IdentityRow(provider_of(network), sender, tx.users.named(name).id, 1.0))

    def role(self, role, name="ann"):
        self.people.members.put(ROOT, PROJECT, name, role)

    def login(self, name):
        """Return the headers of a browser in which somebody is logged in."""
        login = self.people.accounts.login(name, GOOD, Browser("10.0.0.1"))
        return {"Cookie": f"__Host-flow_session={login.cookie}", "X-Flow-Form-Token": login.form_token}

    async def ask(self, method, path, *, sender=ANN, token=None, headers=None, **options):
        """Ask as the bot; for somebody, unless `sender` is empty."""
        sent = {b"Authorization": f"Bearer {token or self.bot}".encode()} | (headers or {})
        sent |= {b"Flow-Sender": sender.encode()} if sender else {}
        return await self.site.http.request(method, path, headers=sent, **options)

    async def audit(self, *actions):
        rows = await asyncio.to_thread(self.people.audit.page, before=None, limit=200, project=None)
        return [row for row in rows if row.action in actions]


@pytest.fixture
def open_town(home, open_site):
    @asynccontextmanager
    async def town(steps=None):
        home.write(steps or {"a": step()})
        async with open_site() as site:
            assert (await site.add_project(home))["name"] == PROJECT
            site.backend.authenticator = Principals(site.life.local.database, time, Lifetimes())
            yield await asyncio.to_thread(Town, site)

    return town


async def test_admins_make_list_and_revoke_bots(open_town):
    async with open_town() as town:
        http, root = town.site.http, await asyncio.to_thread(town.login, "root")
        made = await http.post("/api/v1/bots", headers=root, json={"name": "slacky", "network": "slack"})
        again = await http.post("/api/v1/bots", headers=root, json={"name": "slacky", "network": "slack"})
        bad = [
            await http.post("/api/v1/bots", headers=root, json={"name": name, "network": network})
            for name, network in (("Upper", "slack"), ("", "slack"), ("a" * 41, "slack"), ("x", "irc"))
        ]
        token = made.json()["token"]
        itself = (await town.ask("GET", "/api/v1/me", sender="", token=token)).json()
        names = ["@flow", "", "x" * 129, "a\nb"]
        called = [
            await town.ask("PUT", "/api/v1/bot/called", sender="", token=token, json={"called": name}) for name in names
        ]
        by_others = await http.put("/api/v1/bot/called", headers=root, json={"called": "@mine"})
        shown = [(await http.get("/api/v1/account/bots", headers=root)).json()]
        listed = await http.get("/api/v1/bots", headers=root)
        gone = [await http.delete(f"/api/v1/bots/{name}", headers=root) for name in ("slacky", "slacky", "none")]
        refused = await town.ask("GET", "/api/v1/me", sender="", token=token)
        shown.append((await http.get("/api/v1/account/bots", headers=root)).json())
        after = (await http.get("/api/v1/bots", headers=root)).json()
        anew = await http.post("/api/v1/bots", headers=root, json={"name": "slacky", "network": "slack"})
        noted = await town.audit("bot.add", "bot.revoke")
    assert kind_of(token) is TokenKind.BOT
    assert (again.status_code, [each.status_code for each in bad]) == (409, [400, 400, 400, 422])
    assert (itself["kind"], itself["name"], itself["may"], itself["linked"]) == ("bot", "slacky", ["bot.work"], None)
    assert [(bot["name"], bot["seen_at"] is not None) for bot in listed.json()] == [("chatty", False), ("slacky", True)]
    assert ([each.status_code for each in called], by_others.status_code) == ([204, 400, 400, 400], 403)
    assert [[(bot["name"], bot["called"]) for bot in bots] for bots in shown] == [
        [("chatty", ""), ("slacky", "@flow")],
        [("chatty", "")],
    ]
    assert [bot["called"] for bot in listed.json()] == ["", "@flow"]
    assert token not in listed.text
    assert [each.status_code for each in gone] == [204, 204, 404]
    assert refused.status_code == 401
    assert [bot["revoked_at"] is not None for bot in after] == [False, True]
    assert anew.status_code == 201
    told = [(row.actor, row.action, row.object) for row in noted[:3]]
    assert told == [
        (("root", "bot.add", "bot:slacky")),
        ("root", "bot.revoke", "bot:slacky"),
        ("root", "bot.add", "bot:slacky"),
    ]


async def test_who_is_not_linked_may_what_anybody_may(open_town):
    async with open_town() as town:
        path = f"/api/v1/projects/{PROJECT}"
        private = await town.ask("GET", path)
        hidden = (await town.ask("GET", "/api/v1/projects")).json()
        public = ProjectChange(visibility=Visibility.PUBLIC)
        await asyncio.to_thread(town.site.backend.projects.change, ROOT, PROJECT, public)
        shown = [await town.ask("GET", path), await town.ask("GET", "/api/v1/projects")]
        begun = await town.ask("POST", RUNS, json={})
        itself = [await town.ask("GET", path, sender=""), await town.ask("POST", RUNS, sender="", json={})]
        me = (await town.ask("GET", "/api/v1/me")).json()
    assert (private.status_code, hidden) == (401, [])
    assert [each.status_code for each in shown] == [200, 200]
    assert len(shown[1].json()) == 1
    assert begun.status_code == 401
    assert [each.status_code for each in itself] == [404, 404], "a bot has no rights of its own"
    assert (me["kind"], me["name"], me["linked"], me["may"]) == ("anonymous", "", False, [])


async def test_a_bot_acts_as_the_person_and_the_audit_log_says_how(open_town):
    async with open_town() as town:
        await asyncio.to_thread(town.link)
        stranger = await town.ask("POST", RUNS, json={})
        await asyncio.to_thread(town.role, "developer")
        begun = (await town.ask("POST", RUNS, json={})).json()
        await town.site.life.finished(begun["id"])
        again = (await town.ask("POST", f"/api/v1/runs/{begun['id']}/rerun", json={})).json()
        await town.site.life.finished(again["id"])
        me = (await town.ask("GET", "/api/v1/me")).json()
        other = (await town.ask("GET", "/api/v1/me", sender="@Ann:example.org")).json()
        noted = await town.audit("run.start", "run.rerun")
        line = (await town.ask("GET", f"/api/v1/runs?project={PROJECT}")).json()["items"]
    assert stranger.status_code == 404
    assert (me["kind"], me["name"], me["linked"]) == ("token", "ann", True)
    assert me["scopes"] == ["approve", "read", "run"]
    assert other["linked"] is False, "names on networks are not what they look like"
    assert [(row.actor, row.via) for row in noted] == [("ann", f"chat:matrix/{ANN}")] * 2
    assert [each["actor"] for each in line] == ["ann", "ann"]


async def test_a_long_name_stands_whole_in_the_audit_log(open_town):
    sender = f"@{'ä' * 240}:example.org"
    async with open_town() as town:
        await asyncio.to_thread(town.link, sender=sender)
        await asyncio.to_thread(town.role, "developer")
        begun = (await town.ask("POST", RUNS, sender=sender, json={})).json()
        await town.site.life.finished(begun["id"])
        noted = await town.audit("run.start")
        verdict = await asyncio.to_thread(town.people.audit.verify)
    assert [row.via for row in noted] == [f"chat:matrix/{sender}"]
    assert verdict.problem == ""


async def test_approvals_are_of_the_person(open_town):
    async with open_town({"a": {**step(), "environment": {"name": "prod", "approve": ["ann"]}}}) as town:
        await asyncio.to_thread(town.link)
        await asyncio.to_thread(town.role, "approver")
        run = (await town.ask("POST", RUNS, json={})).json()["id"]
        await town.site.life.until(run, "a", "waiting")
        unlinked = await town.ask("POST", f"/api/v1/runs/{run}/steps/a/approve", sender="@bob:example.org")
        answer = await town.ask("POST", f"/api/v1/runs/{run}/steps/a/approve", json={"comment": "fine"})
        ended = await town.site.life.finished(run)
        noted = await town.audit("run.approve")
    assert (unlinked.status_code, answer.status_code, ended.state) == (401, 202, "succeeded")
    assert [(row.actor, row.via, row.detail["comment"]) for row in noted] == [("ann", f"chat:matrix/{ANN}", "fine")]


FORBIDDEN = [
    ("GET", "/api/v1/users", None),
    ("POST", "/api/v1/bots", {"name": "x", "network": "matrix"}),
    ("POST", "/api/v1/tokens", {"name": "x", "scopes": ["read"]}),
    ("POST", "/api/v1/account/link-codes", None),
    ("GET", "/api/v1/account/links", None),
    ("GET", "/api/v1/account/bots", None),
    ("PUT", "/api/v1/bot/called", {"called": "@x"}),
    ("PUT", f"/api/v1/projects/{PROJECT}/members/ann", {"role": "maintainer"}),
    ("PATCH", f"/api/v1/projects/{PROJECT}", {"visibility": "public"}),
    ("DELETE", f"/api/v1/projects/{PROJECT}", None),
    ("GET", "/api/v1/audit", None),
    ("GET", "/metrics", None),
    ("POST", "/api/v1/bot/links", {"code": "x", "sender": ANN}),
]


async def test_even_an_admin_decides_nothing_through_a_bot(open_town):
    async with open_town() as town:
        await asyncio.to_thread(town.link, "root")
        listed = await town.ask("GET", "/api/v1/projects")
        answers = [await town.ask(method, path, json=body) for method, path, body in FORBIDDEN]
    assert len(listed.json()) == 1  # the control: it is an admin who sees
    assert [answer.status_code for answer in answers] == [403] * len(FORBIDDEN)


async def test_a_disabled_account_is_refused_and_so_is_a_revoked_bot(open_town):
    async with open_town() as town:
        await asyncio.to_thread(town.link)
        await asyncio.to_thread(town.people.users.change, ROOT, "ann", UserChange(disabled=True))
        disabled = [await town.ask("GET", path) for path in ("/api/v1/me", "/api/v1/projects")]
        await asyncio.to_thread(town.people.users.change, ROOT, "ann", UserChange(disabled=False))
        fine = await town.ask("GET", "/api/v1/me")
        await asyncio.to_thread(town.people.bots.revoke, ROOT, "chatty")
        revoked = [await town.ask("GET", "/api/v1/me", sender=sender) for sender in (ANN, "", "@bob:example.org")]
        unknown = await town.ask("GET", "/api/v1/me", token=new_token(TokenKind.BOT))
    assert [each.status_code for each in disabled] == [403, 403]
    assert "disabled" in disabled[0].json()["detail"]
    assert fine.status_code == 200
    assert [each.status_code for each in (*revoked, unknown)] == [401] * 4


async def test_each_network_has_names_of_its_own(open_town):
    async with open_town() as town:
        await asyncio.to_thread(town.link, sender="U1", network="slack")
        other = (await town.ask("GET", "/api/v1/me", sender="U1")).json()
        token, _ = await asyncio.to_thread(town.people.bots.create, ROOT, "slacky", "slack")
        mine = (await town.ask("GET", "/api/v1/me", sender="U1", token=token)).json()
    assert (other["linked"], mine["linked"], mine["name"]) == (False, True, "ann")


async def test_a_stream_ends_with_the_link_and_with_the_bot(open_town):
    async with open_town({"a": step(log="x", sleep=100_000)}) as town:
        await asyncio.to_thread(town.link)
        await asyncio.to_thread(town.role, "developer")
        run = (await town.ask("POST", RUNS, json={})).json()["id"]
        await town.site.life.until(run, "a", "run")
        owner = await asyncio.to_thread(town.site.backend.authenticator.of_sender, town.bot, ANN)
        headers = {"Authorization": f"Bearer {town.bot}", "Flow-Sender": ANN}
        ends = (
            lambda: town.people.linking.unlink(ROOT, owner.id, "matrix", ANN),
            lambda: town.people.bots.revoke(ROOT, "chatty"),
        )
        told = []
        for end in ends:
            async with town.site.http.stream("GET", f"/api/v1/runs/{run}/events", headers=headers) as answer:
                assert answer.status_code == 200
                lines = answer.aiter_lines()
                await anext(lines)
                await asyncio.to_thread(end)
                told.append([line async for line in lines if line.startswith("event:")])
            await asyncio.to_thread(town.link) if not told[1:] else None
        await town.site.life.client.cancel(run, force=True)
    assert all("event: end" not in lines for lines in told), "that would say that there is nothing more to come"


def test_when_a_bot_was_heard_of_is_noted_now_and_then(tmp_path):
    clock, database = Clock(1000.0), new_sqlite(tmp_path / "flow.db")
    bots, keys = BotService(database, Signals(), clock), BotKeys(database, clock)
    token, _ = bots.create(ROOT, "chatty", "telegram")
    seen = []
    for _ in range(3):
        keys.principal(token)
        seen.append(bots.all()[0].seen_at)
        clock.pass_(NOTED / 2)
    database.close()
    assert seen == [1000.0, 1000.0, 1000.0 + NOTED]


HOSTILE = [
    b"",
    b" ",
    b"\xff\xfe",
    b"\xc3\x28",
    b"a\0b",
    b"a\tb",
    b"a\x7fb",
    b"a\x1b[31m",
    b"x" * 257,
    "ü".encode() * 257,
]
HOSTILE += ["a\u202eb".encode(), "a\u2028b".encode(), "\u00a0a".encode(), b"\xed\xa0\x80"]


async def raw(app, *headers, path="/api/v1/me"):
    """Ask with headers as no decent client sends them; return status and code."""
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://flow.example") as http:
        answer = await http.get(path, headers=list(headers))
    return answer.status_code, answer.json().get("code", "")


@pytest.fixture
async def app(open_town):
    """The application with a bot's token, without a network in between that would refuse odd headers itself."""
    async with open_town() as town:
        await asyncio.to_thread(town.link)
        yield guarded(create_app(town.site.backend)), (b"authorization", f"Bearer {town.bot}".encode())


async def test_hostile_senders(app):
    made, proof = app
    fine = await raw(made, proof, (b"flow-sender", ANN.encode()))
    answers = [await raw(made, proof, (b"flow-sender", sender)) for sender in HOSTILE]
    twice = await raw(made, proof, (b"flow-sender", ANN.encode()), (b"Flow-Sender", ANN.encode()))
    assert fine == (200, "")
    assert answers == [(400, "invalid_request")] * len(HOSTILE)
    assert twice == (400, "invalid_request")


async def test_without_the_token_of_a_bot_the_header_is_an_error(app, open_site):
    made, (_, bot) = app
    sender = (b"flow-sender", ANN.encode())
    proofs = [
        [],
        [(b"authorization", f"Bearer {new_token(TokenKind.API)}".encode())],
        [(b"authorization", f"Bearer {new_token(TokenKind.RUNNER)}".encode())],
        [(b"authorization", b"Bearer root")],
        [(b"authorization", bot.replace(b"Bearer", b"Basic"))],
        [(b"authorization", bot + b"x")],
        [(b"cookie", b"__Host-flow_session=flows_x")],
    ]
    paths = ["/api/v1/me", "/health", "/api/v1/server", "/git/runs/x.git/info/refs", "/api/v1/projects"]
    answers = [await raw(made, *proof, sender, path=path) for proof in proofs for path in paths]
    assert answers == [(400, "invalid_request")] * len(answers)
    beside = await raw(made, (b"authorization", bot), (b"cookie", b"__Host-flow_session=flows_x"), sender)
    assert beside == (200, ""), "a cookie beside it does not count"


async def test_whatever_the_header_holds_nothing_breaks(app):
    made, proof = app
    seen = set()

    @settings(max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(
        st.one_of(
            st.binary(max_size=300), st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass"))
        )
    )
    def once(value):
        status, code = asyncio.run(raw(made, proof, (b"flow-sender", value)))
        seen.add(status)
        assert (status, code) in {(200, ""), (400, "invalid_request")}, value

    await asyncio.to_thread(once)
    assert seen == {200, 400}  # the control: both happen
