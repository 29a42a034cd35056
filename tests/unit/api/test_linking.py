"""Linking over HTTP: a code from one's account, said to a bot, once and in time."""

import asyncio
import re
from contextlib import asynccontextmanager
from dataclasses import replace
from time import time

import pytest

from flowbuild.core.access import Principal
from flowbuild.core.errors import InvalidRequest, RateLimited
from flowbuild.services.accounts import Browser, Lifetimes
from flowbuild.services.audit import Actor
from flowbuild.services.bots import BotKeys, BotService
from flowbuild.services.linking import CODE_SECONDS, PER_BOT, Linking, Said
from flowbuild.services.principals import Principals
from flowbuild.services.signals import Signals
from flowbuild.services.users import UserChange
from flowbuild.store.chat_tables import link_codes
from flowbuild.store.users import IdentityRow, UserRow
from flowbuild.testing.databases import new_sqlite
from flowbuild.testing.triggers import Clock

ROOT, GOOD = Actor("root"), "correct horse battery"
ANN, BOB = "@ann:example.org", "@bob/x:example.org"
CODES, LINKS, USE = "/api/v1/account/link-codes", "/api/v1/account/links", "/api/v1/bot/links"


class Town:
    """A site with ann, bob and a bot on Matrix."""

    def __init__(self, site):
        self.site, self.people = site, site.backend.people
        for name in ("ann", "bob"):
            self.people.users.add(ROOT, name, GOOD, change=UserChange())
        self.bot, _ = self.people.bots.create(ROOT, "chatty", "matrix")
        self.ann, self.bob = self.login("ann"), self.login("bob")

    def login(self, name):
        login = self.people.accounts.login(name, GOOD, Browser("10.0.0.1"))
        return {"Cookie": f"__Host-flow_session={login.cookie}", "X-Flow-Form-Token": login.form_token}

    async def code(self, who):
        return (await self.site.http.post(CODES, headers=who)).json()["code"]

    async def say(self, code, sender=ANN, **more):
        headers = {"Authorization": f"Bearer {self.bot}"}
        return await self.site.http.post(USE, headers=headers, json={"code": code, "sender": sender, **more})

    async def whoami(self, sender):
        headers = {"Authorization": f"Bearer {self.bot}", "Flow-Sender": sender}
        return (await self.site.http.get("/api/v1/me", headers=headers)).json()["name"]

    async def audit(self):
        rows = await asyncio.to_thread(self.people.audit.page, before=None, limit=200, project=None)
        return [row for row in rows if row.action.startswith("identity.")][::-1]


@pytest.fixture
def open_town(open_site):
    @asynccontextmanager
    async def town():
        async with open_site() as site:
            site.backend.authenticator = Principals(site.life.local.database, time, Lifetimes())
            yield await asyncio.to_thread(Town, site)

    return town


async def test_from_a_code_to_who_one_is_and_back(open_town):
    async with open_town() as town:
        http = town.site.http
        made = await http.post(CODES, headers=town.ann)
        before = await town.whoami(ANN)
        linked = await town.say(made.json()["code"], name="Ann\u202e B.")
        again = await town.say(made.json()["code"], "@eve:example.org")
        after = await town.whoami(ANN)
        listed = [(await http.get(LINKS, headers=who)).json() for who in (town.ann, town.bob)]
        wrong = [
            await http.delete(f"{LINKS}/{path}", headers=who)
            for who, path in ((town.bob, f"matrix/{ANN}"), (town.ann, f"slack/{ANN}"), (town.ann, "oidc/x"))
        ]
        gone = await http.delete(f"{LINKS}/matrix/{ANN}", headers=town.ann)
        at_last = await town.whoami(ANN)
        noted = await town.audit()
        whole = await asyncio.to_thread(town.people.audit.verify)
    assert re.fullmatch(r"[2-9A-HJ-NP-Z]{4}-[2-9A-HJ-NP-Z]{4}", made.json()["code"])
    assert abs(made.json()["expires_at"] - time() - CODE_SECONDS) < 60
    assert (linked.status_code, linked.json()) == (201, {"user": "ann"})
    assert (again.status_code, again.json()["errors"][0]["where"]) == (400, "body.code")
    assert (before, after, at_last) == ("", "ann", "")
    assert [[(each["network"], each["sender"]) for each in links] for links in listed] == [[("matrix", ANN)], []]
    assert [each.status_code for each in wrong] == [404] * 3
    assert gone.status_code == 204
    told = [(row.action, row.actor, row.object, row.via.partition(":")[0]) for row in noted]
    assert told == [
        ("identity.code", "ann", "user:ann", "session"),
        ("identity.link", "ann", "user:ann", "chat"),
        ("identity.refuse", "", "bot:chatty", "chat"),
        ("identity.unlink", "ann", "user:ann", "session"),
    ]
    assert noted[1].via == f"chat:matrix/{ANN}"
    assert noted[1].detail == {"provider": "chat:matrix", "subject": ANN, "name": "Ann B.", "bot": "chatty"}
    assert whole.problem == ""


async def test_a_code_however_somebody_types_it_and_names_with_slashes(open_town):
    async with open_town() as town:
        code = await town.code(town.bob)
        linked = await town.say(f" {code.lower().replace('-', ' ')}.", BOB)
        found = (await town.site.http.get(LINKS, headers=town.bob)).json()
        gone = await town.site.http.delete(f"{LINKS}/matrix/{BOB.replace('/', '%2F')}", headers=town.bob)
        left = (await town.site.http.get(LINKS, headers=town.bob)).json()
    assert linked.json() == {"user": "bob"}
    assert [each["sender"] for each in found] == [BOB]
    assert (gone.status_code, left) == (204, [])


async def test_nobody_is_moved_silently(open_town):
    async with open_town() as town:
        await town.say(await town.code(town.ann))
        code = await town.code(town.bob)
        taken = await town.say(code)
        who = await town.whoami(ANN)
        same = await town.say(await town.code(town.ann))
        second = await town.say(await town.code(town.ann), "@ann2:example.org")
        await town.site.http.delete(f"{LINKS}/matrix/{ANN}", headers=town.ann)
        now = await town.say(code)  # it is still good: nothing came of it
        moved = await town.whoami(ANN)
    assert (taken.status_code, "linked to ann" in taken.json()["detail"]) == (409, True)
    assert "unlink" in taken.json()["hint"]
    assert who == "ann"
    assert same.json() == {"user": "ann"}
    assert (second.status_code, ANN in second.json()["detail"]) == (409, True)
    assert (now.status_code, moved) == (201, "bob")


async def test_only_a_login_makes_codes_and_only_a_bot_uses_them(open_town):
    async with open_town() as town:
        http = town.site.http
        owner = await asyncio.to_thread(of_cookie, town, town.ann)
        token, _ = await asyncio.to_thread(
            town.people.tokens.create, ROOT, owner, "ci", scopes=["account", "run", "read"]
        )
        proof = {"Authorization": f"Bearer {token}"}
        made = await http.post(CODES, headers=proof)
        listed = await http.get(LINKS, headers=proof)
        nobody = await http.post(CODES)
        body = {"code": await town.code(town.ann), "sender": ANN}
        used = [await http.post(USE, headers=headers, json=body) for headers in (proof, town.ann, {})]
        acting = await http.post(USE, headers={"Authorization": f"Bearer {town.bot}", "Flow-Sender": ANN}, json=body)
        left = await town.say(body["code"])
    assert (made.status_code, "token" in made.json()["detail"]) == (403, True)
    assert (listed.status_code, nobody.status_code) == (200, 401)
    assert [each.status_code for each in used] == [403, 403, 401]
    assert acting.status_code == 401
    assert left.status_code == 201


def of_cookie(town, headers):
    return town.site.backend.authenticator.of_session(headers["Cookie"].partition("=")[2], None)


async def test_the_code_of_somebody_who_is_disabled_is_good_for_nothing(open_town):
    async with open_town() as town:
        code = await town.code(town.ann)
        await asyncio.to_thread(town.people.users.change, ROOT, "ann", UserChange(disabled=True))
        refused = await town.say(code)
    assert refused.status_code == 400


@pytest.mark.parametrize("sender", ["", " ", "a\0b", "x" * 257, "a\nb", "\u202ea"])
async def test_hostile_senders(open_town, sender):
    async with open_town() as town:
        answer = await town.say(await town.code(town.ann), sender)
        fine = await town.say(await town.code(town.ann), name="\0\u202e" * 100)
    assert (answer.status_code, answer.json()["errors"][0]["where"]) == (400, "body.sender")
    assert fine.status_code == 201


async def test_a_chat_network_lets_nobody_in(open_town):
    """Who came by a provider and is linked on a network still has one door only, and it stays open."""
    async with open_town() as town:
        await asyncio.to_thread(make_carl, town)
        http, carl = town.site.http, town.carl
        doors = (await http.get("/api/v1/account/identities", headers=carl)).json()
        other = await http.delete("/api/v1/account/identities/chat:matrix", headers=carl)
        last = await http.delete("/api/v1/account/identities/oidc", headers=carl)
    assert [door["provider"] for door in doors] == ["oidc"]
    assert (other.status_code, last.status_code) == (404, 409)


def make_carl(town):
    town.people.users.add(ROOT, "carl", GOOD, change=UserChange())
    town.carl = town.login("carl")
    with town.site.life.local.database.write() as tx:
        carl = tx.users.named("carl")
        tx.users.change(replace(carl, password_hash=""))
        for provider in ("oidc", "chat:matrix"):
            tx.users.link(IdentityRow(provider, "carl", carl.id, 1.0))


@pytest.fixture
def service(tmp_path):
    """The service by itself, with a clock that is moved; ann is logged in, and there is a bot."""
    database = new_sqlite(tmp_path / "flow.db")
    made = Service(database)
    yield made
    database.close()


class Service:
    def __init__(self, database):
        self.database, self.clock = database, Clock(1000.0)
        self.linking = Linking(database, Signals(), self.clock)
        token, _ = BotService(database, Signals(), self.clock).create(ROOT, "chatty", "matrix")
        self.bot = BotKeys(database, self.clock).principal(token)
        with database.write() as tx:
            tx.users.add(UserRow("01AAAAAAAAAAAAAAAAAAAAAAA1", "ann", "", "", "", "user", 1.0))
        self.ann = Principal("user", "01AAAAAAAAAAAAAAAAAAAAAAA1", "ann")

    def code(self):
        return self.linking.code(Actor("ann"), self.ann).code

    def say(self, code, sender=ANN):
        """Return what becomes of a code, in a word."""
        try:
            return self.linking.link(self.bot, "10.0.0.1", Said(code, sender)).name
        except RateLimited:
            return "wait"
        except InvalidRequest as error:
            return error.message


def test_a_code_ends_after_ten_minutes_and_with_the_next_one(service):
    first = service.code()
    second = service.code()
    assert [service.say(first), service.say(second)] == ["the code is not good", "ann"]
    late = service.code()
    service.clock.pass_(CODE_SECONDS)
    assert service.say(late) == "the code is not good"


def test_what_is_kept_does_not_tell_the_code(service):
    code = service.code()
    with service.database.read() as tx:
        kept = [row.hash for row in tx._connection.execute(link_codes.select())]
    assert len(kept) == 1
    assert code not in kept[0]
    assert len(kept[0]) == 64


def test_who_guesses_has_to_wait_and_so_has_a_whole_crowd(service):
    code = service.code()
    tries = [service.say("AAAA-AAAA") for _ in range(6)]
    assert tries == ["the code is not good"] * 5 + ["wait"]
    assert service.say(code) == "wait"  # also with the right one: it is too late
    assert service.say(code, BOB) == "ann"  # somebody else is heard
    crowd = [service.say("AAAA-AAAA", f"@eve{number}:example.org") for number in range(PER_BOT.burst + 1)]
    assert crowd[-1] == "wait"
    assert crowd.count("the code is not good") == PER_BOT.burst - 5
    service.clock.pass_(PER_BOT.seconds)
    assert service.say("AAAA-AAAA", "@mallory:example.org") == "the code is not good"
