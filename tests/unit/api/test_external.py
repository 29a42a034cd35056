"""Login by a provider, from a browser: there and back, with a real provider."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import time
from urllib.parse import quote, urlsplit

import httpx2
import pytest

from flowbuild.auth.oidc import OidcClient, OidcProvider
from flowbuild.services.accounts import Lifetimes
from flowbuild.services.audit import Actor
from flowbuild.services.external import PATIENCE, External
from flowbuild.services.principals import Principals
from flowbuild.services.users import UserChange
from flowbuild.testing.oidc import CLIENT_ID, CLIENT_SECRET, Provider
from flowbuild.testing.serving import serving
from flowbuild.wiring.people import people
from flowbuild.wiring.projects import open_vault

ROOT = Actor("root")
PASSWORD = "correct horse battery"
MINE = "/api/v1/account/identities"
ANN = {"sub": "42", "preferred_username": "ann", "email": "ann@example.org", "email_verified": True}


@dataclass
class Town:
    """A site and the provider that its people come by."""

    site: object
    provider: Provider
    now: list

    async def people(self, function, *values, **options):
        return await asyncio.to_thread(function, *values, **options)

    async def add(self, name, password=None, **about):
        return await self.people(self.site.backend.people.users.add, ROOT, name, password, change=UserChange(**about))

    @asynccontextmanager
    async def browser(self):
        async with httpx2.AsyncClient(base_url=self.site.url) as browser:
            yield browser

    async def away(self, browser, after="/"):
        """Go to the provider and return the address that it sends back to, on this machine."""
        there = await browser.get(f"/api/v1/login/oidc?after={quote(after)}")
        assert there.status_code == 303, there.text
        back = urlsplit((await browser.get(there.headers["location"])).headers["location"])
        assert f"{back.scheme}://{back.netloc}{back.path}" == "https://flow.example/api/v1/login/oidc/back"
        return f"{back.path}?{back.query}"

    async def come_in(self, browser, after="/"):
        return await self.ask(browser, await self.away(browser, after))

    async def ask(self, browser, path, *, method="GET", headers=(), **options):
        """Ask as a browser does that found the server behind https: all its cookies come along."""
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.cookies.jar)
        return await browser.request(method, path, headers={"Cookie": cookies, **dict(headers)}, **options)

    async def me(self, browser):
        return (await self.ask(browser, "/api/v1/me")).json()


@pytest.fixture
def open_town(open_site):
    @asynccontextmanager
    async def town(*, create=False):
        now = [time()]
        provider = Provider(lambda: now[0], person=dict(ANN))
        async with serving(provider.app()) as url, open_site() as site:
            provider.issuer = url
            client = OidcClient(url, CLIENT_ID, CLIENT_SECRET, "https://flow.example/api/v1/login/oidc/back")
            external = External("oidc", "The house", OidcProvider(client, lambda: now[0]), create=create)
            database = site.life.local.database
            site.backend.people = people(
                database, site.life.local.signals, lambda: now[0], open_vault(site.life.local), [external]
            )
            site.backend.authenticator = Principals(database, lambda: now[0], Lifetimes())
            yield Town(site, provider, now)

    return town


async def test_an_account_that_was_prepared(open_town):
    async with open_town() as town, town.browser() as first, town.browser() as second:
        await town.add("ann.a", email="Ann@Example.org")
        answer = await town.come_in(first, "/runs/1?x=y")
        me = await town.me(first)
        town.provider.person = {**ANN, "email": "new@example.org", "preferred_username": "other"}
        await town.come_in(second)
        again = await town.me(second)
        titles = (await first.get("/api/v1/login/providers")).json()
        rows = await town.people(town.site.backend.people.audit.page, before=None, limit=9, project=None)
    assert (answer.status_code, answer.headers["location"]) == (303, "/runs/1?x=y")
    assert (me["name"], again["name"]) == ("ann.a", "ann.a")  # whatever they are called by now
    assert titles == [{"name": "oidc", "title": "The house"}]
    assert [row.action for row in rows][::-1] == ["user.add", "identity.link", "login.accept", "login.accept"]


@pytest.mark.parametrize(
    ("account", "person"),
    [
        ({"email": "ann@example.org", "password": "correct horse battery"}, {}),  # it has an owner already
        ({"email": "ann@example.org"}, {"email_verified": False}),
        ({"email": ""}, {"email": ""}),
        ({"email": "someone@example.org"}, {}),
    ],
)
async def test_nobody_takes_an_account_over_by_an_address(open_town, account, person):
    async with open_town() as town, town.browser() as browser:
        await town.add("ann", account.pop("password", None), **account)
        town.provider.person |= person
        answer = await town.come_in(browser)
        me = await town.me(browser)
    assert (answer.status_code, answer.json()["code"], me["kind"]) == (403, "forbidden", "anonymous")


async def test_one_address_opens_one_account_once(open_town):
    async with open_town() as town, town.browser() as first, town.browser() as second:
        await town.add("ann", email="ann@example.org")
        await town.come_in(first)
        town.provider.person = {**ANN, "sub": "43"}  # somebody else got the address
        answer = await town.come_in(second)
        await town.add("a", email="two@example.org")
        await town.add("b", email="two@example.org")
        town.provider.person = {**ANN, "sub": "44", "email": "two@example.org"}
        ambiguous = await town.come_in(second)
    assert [answer.status_code, ambiguous.status_code] == [403, 403]


async def test_newcomers(open_town):
    async with open_town(create=True) as town:
        await town.add("ann", "correct horse battery")
        names = []
        for number, called in enumerate(("ann", "Ann A.", "maintainer", "ä", "", "x" * 200, "-._")):
            town.provider.person = {"sub": str(number), "preferred_username": called, "email": "a@b"}
            async with town.browser() as browser:
                assert (await town.come_in(browser)).status_code == 303
                me = await town.me(browser)
                names.append(me["name"])
                assert (me["admin"], me["roles"]) == (False, {})
    assert names == ["ann-2", "ann-a", "user-maintainer", "user", "user-2", "x" * 56, "user-3"]


async def test_one_who_is_disabled_stays_out(open_town):
    async with open_town() as town, town.browser() as browser:
        await town.add("ann", email="ann@example.org")
        await town.come_in(browser)
        await town.people(town.site.backend.people.users.change, ROOT, "ann", UserChange(disabled=True))
        answer = await town.come_in(browser)
    assert (answer.status_code, answer.json()["detail"]) == (401, "the account is disabled")


async def test_only_the_browser_that_began_can_end(open_town):
    async with open_town(create=True) as town, town.browser() as thief, town.browser() as victim:
        back = await town.away(thief)  # the thief's account, to be put upon the victim
        without = await town.ask(victim, back)
        await town.away(victim)
        other = await town.ask(victim, back)
        victim.cookies.set("flow_away", "v1.forged.by.hand")
        forged = await town.ask(victim, back)
        own = await town.ask(thief, back)
    assert [each.status_code for each in (without, other, forged, own)] == [401, 401, 401, 303]
    assert "not begun in this browser" in without.json()["detail"]


async def test_it_does_not_wait_for_ever(open_town):
    async with open_town(create=True) as town, town.browser() as browser:
        back = await town.away(browser)
        town.now[0] += PATIENCE + 1
        answer = await town.ask(browser, back)
    assert (answer.status_code, answer.json()["detail"]) == (401, "the login took too long")


@pytest.mark.parametrize(
    "after",
    ["//evil.example", "https://evil.example", "/\\evil.example", "\\/evil", "javascript:alert(1)", "/a\tb", ""],
)
async def test_nobody_is_sent_elsewhere(open_town, after):
    async with open_town(create=True) as town, town.browser() as browser:
        answer = await town.come_in(browser, after)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


async def test_providers_that_are_not_there_or_do_not_answer(open_town):
    async with open_town() as town, town.browser() as browser:
        unknown = [await browser.get(f"/api/v1/login/{name}") for name in ("nobody", "nobody/back")]
        town.provider.wrong = "down"
        down = await browser.get("/api/v1/login/oidc")
    assert [each.status_code for each in (*unknown, down)] == [404, 404, 502]
    assert down.json()["code"] == "provider_error"


async def test_a_browser_is_told_in_words(open_town):
    """Somebody who comes back from elsewhere has no page of ours that could show an error."""
    async with open_town() as town, town.browser() as browser:
        browser.headers["Accept"] = "text/html,application/xhtml+xml,*/*;q=0.8"
        stranger = await town.come_in(browser)
        town.provider.wrong = "denied"
        denied = await town.come_in(browser)
        back = (await town.away(browser)).replace("access_denied", "%3Cscript%3Ealert(1)%3C/script%3E")
        hostile = await town.ask(browser, back)
        town.provider.wrong = "down"
        unknown = await browser.get("/api/v1/login/nobody")
        listed = await browser.get("/api/v1/users")
    for answer, status, words in [
        (stranger, 403, "nobody here has that account"),
        (denied, 401, "the provider refused"),
        (hostile, 401, "&lt;script&gt;alert(1)"),
        (unknown, 404, "there is no such provider"),
    ]:
        assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
        assert words in answer.text
        assert '<a href="/">' in answer.text
        assert "<script" not in answer.text
        assert "sandbox" in answer.headers["content-security-policy"]
    assert (
        listed.headers["content-type"] == "application/problem+json"
    )  # the control: programs get what they understand


@pytest.fixture
def open_linking(open_town):
    """A town whose people ann and bob have passwords; gives it with a function that logs a browser in."""

    @asynccontextmanager
    async def linking():
        async with open_town() as town:
            for name in ("ann", "bob"):
                await town.add(name, PASSWORD)

            async def enter(browser, name):
                answer = await browser.post("/api/v1/login", json={"name": name, "password": PASSWORD})
                browser.headers["X-Flow-Form-Token"] = answer.json()["form_token"]
                return browser

            yield town, enter

    return linking


async def link(town, browser, after="/me"):
    """Link the account of a browser to the person that the provider knows; return the answer at its end."""
    begun = await town.ask(browser, f"{MINE}/oidc?after={after}", method="POST")
    if begun.is_error:
        return begun
    back = urlsplit((await browser.get(begun.json()["url"])).headers["location"])
    return await town.ask(browser, f"{back.path}?{back.query}")


async def test_people_link_their_own_account(open_linking):
    async with open_linking() as (town, enter), town.browser() as browser, town.browser() as later:
        await enter(browser, "ann")
        before = await town.ask(browser, MINE)
        linked = await link(town, browser)
        twice = await link(town, browser)
        listed = await town.ask(browser, MINE)
        came = await town.come_in(later)
        me = await town.me(later)
        removed = await town.ask(browser, f"{MINE}/oidc", method="DELETE")
        again = await town.ask(browser, f"{MINE}/oidc", method="DELETE")
        async with town.browser() as stranger:
            out = await town.come_in(stranger)
        rows = await town.people(town.site.backend.people.audit.page, before=None, limit=30, project=None, actor="ann")
    assert (linked.status_code, linked.headers["location"], twice.status_code) == (303, "/me", 303)
    assert "flow_session" not in linked.headers.get("set-cookie", "")  # the login stays the one that it was
    assert (before.json(), [(each["provider"], each["subject"]) for each in listed.json()]) == ([], [("oidc", "42")])
    assert (came.status_code, me["name"]) == (303, "ann")
    assert [each.status_code for each in (removed, again, out)] == [204, 404, 403]
    assert [row.action for row in rows if row.action.startswith("identity")] == ["identity.unlink", "identity.link"]


async def test_an_account_elsewhere_belongs_to_one_person(open_linking):
    async with open_linking() as (town, enter), town.browser() as ann, town.browser() as bob:
        await link(town, await enter(ann, "ann"))
        taken = await link(town, await enter(bob, "bob"))
        town.provider.person = {**ANN, "sub": "43"}
        second = await link(town, ann)
    assert (taken.status_code, taken.json()["detail"]) == (409, "somebody else here has that account")
    assert (second.status_code, second.json()["detail"]) == (
        409,
        "the account is linked to another one of that provider",
    )


async def test_linking_ends_in_the_login_that_began_it(open_linking):
    """Else a page elsewhere could link its own person to the account of who looks at it."""
    async with open_linking() as (town, enter), town.browser() as ann, town.browser() as bob:
        await enter(ann, "ann")
        forged = await town.ask(ann, f"{MINE}/oidc", method="POST", headers={"X-Flow-Form-Token": "flowf_x"})
        begun = await town.ask(ann, f"{MINE}/oidc", method="POST")
        back = urlsplit((await ann.get(begun.json()["url"])).headers["location"])
        bob.cookies.set("__Host-flow_away", ann.cookies["__Host-flow_away"])
        await enter(bob, "bob")
        other = await town.ask(bob, f"{back.path}?{back.query}")
        await town.ask(ann, "/api/v1/logout", method="POST")
        nobody = await town.ask(ann, f"{back.path}?{back.query}")
        left = [await town.people(town.site.backend.people.users.get, name) for name in ("ann", "bob")]
        linked = [await town.people(town.site.backend.people.external.identities, each.id) for each in left]
    assert [each.status_code for each in (forged, other, nobody)] == [403, 401, 401]
    assert linked == [[], []]


async def test_nobody_locks_themselves_out(open_town):
    async with open_town() as town, town.browser() as browser:
        await town.add("ann", email="ann@example.org")
        came = await town.come_in(browser)
        browser.headers["X-Flow-Form-Token"] = browser.cookies["flow_form_token"]
        alone = await town.ask(browser, f"{MINE}/oidc", method="DELETE")
        await town.people(town.site.backend.people.users.set_password, ROOT, "ann", PASSWORD)
        await town.come_in(browser)
        browser.headers["X-Flow-Form-Token"] = browser.cookies["flow_form_token"]
        then = await town.ask(browser, f"{MINE}/oidc", method="DELETE")
    assert (came.status_code, alone.status_code, then.status_code) == (303, 409, 204)


async def test_tokens_neither_link_nor_unlink(open_linking):
    async with open_linking() as (town, enter), town.browser() as browser:
        await enter(browser, "ann")
        wanted = {"name": "ci", "scopes": ["account"]}
        token = (await town.ask(browser, "/api/v1/tokens", method="POST", json=wanted)).json()["token"]
        headers = {"Authorization": f"Bearer {token}"}
        seen = await town.site.http.get(MINE, headers=headers)
        tried = [await town.site.http.request(method, f"{MINE}/oidc", headers=headers) for method in ("POST", "DELETE")]
    assert (seen.status_code, [each.status_code for each in tried]) == (200, [403, 403])
