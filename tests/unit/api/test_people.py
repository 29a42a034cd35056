"""Accounts, people, tokens, roles, secrets and the audit log over HTTP, with real logins."""

import asyncio
import re
from contextlib import asynccontextmanager
from time import time

import pytest

from flowbuild.services.accounts import Lifetimes
from flowbuild.services.principals import Principals
from flowbuild.store.projects import ProjectRow

GOOD, BETTER = "correct horse battery", "tea with a purple zebra"
PROJECT = "project"


class Browser:
    """What a browser does with one server: it keeps cookies, and our pages send the token of the form along."""

    def __init__(self, site, cookies):
        self.site = site
        self.cookies = cookies

    async def ask(self, method, path, *, forged=False, **options):
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        if not forged:
            headers["X-Flow-Form-Token"] = self.cookies["flow_form_token"]
        return await self.site.http.request(method, f"/api/v1{path}", headers=headers, **options)

    async def ok(self, method, path, **options):
        answer = await self.ask(method, path, **options)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    async def token(self, *scopes, **more):
        made = await self.ok("POST", "/tokens", json={"name": "ci", "scopes": list(scopes), **more})
        return made["token"], made["about"]

    async def person(self, name, role=None):
        """Make a person, log them in, and give them a role in the project."""
        await self.ok("POST", "/users", json={"name": name, "password": GOOD})
        if role:
            await self.ok("PUT", f"/projects/{PROJECT}/members/{name}", json={"role": role})
        return await login(self.site, name)


def cookies_of(answer):
    pairs = [header.split(";")[0].split("=", 1) for header in answer.headers.get_list("set-cookie")]
    return dict(pairs)


async def login(site, name, password=GOOD):
    site.http.cookies.clear()
    answer = await site.http.post("/api/v1/login", json={"name": name, "password": password})
    site.http.cookies.clear()
    assert answer.status_code == 200, answer.text
    return Browser(site, cookies_of(answer))


async def with_token(site, token, method, path, **options):
    return await site.http.request(method, f"/api/v1{path}", headers=site.as_(token), **options)


@pytest.fixture
def open_town(open_site):
    """A site whose people are real, with a project; gives its first admin."""

    @asynccontextmanager
    async def town():
        async with open_site() as site:
            database = site.life.local.database
            site.backend.authenticator = Principals(database, time, Lifetimes())
            code = await asyncio.to_thread(site.backend.people.accounts.setup_code)
            answer = await site.http.post("/api/v1/setup", json={"code": code, "name": "root", "password": GOOD})
            site.http.cookies.clear()
            assert answer.status_code == 201, answer.text
            await asyncio.to_thread(add_project, database)
            yield Browser(site, cookies_of(answer))

    return town


def add_project(database, identity="01AAAAAAAAAAAAAAAAAAAAAAP1"):
    with database.write() as tx:
        tx.projects.add(ProjectRow(identity, PROJECT, "https://git.example/p", 1.0))


async def test_setting_a_server_up(open_site):
    async with open_site() as site:
        needed = (await site.http.get("/api/v1/setup")).json()
        wrong = await site.http.post("/api/v1/setup", json={"code": "x", "name": "eve", "password": GOOD})
        code = await asyncio.to_thread(site.backend.people.accounts.setup_code)
        wanted = {"code": code, "name": "root", "password": GOOD}
        first, second = [await site.http.post("/api/v1/setup", json=wanted) for _ in range(2)]
        after = (await site.http.get("/api/v1/setup")).json()
    assert [needed, after] == [{"needed": True}, {"needed": False}]
    assert [wrong.status_code, first.status_code, second.status_code] == [401, 201, 401]
    assert (first.json()["name"], first.json()["admin"]) == ("root", True)


async def test_cookies_are_closed_to_scripts_and_other_sites(open_town):
    async with open_town() as root:
        answer = await root.site.http.post("/api/v1/login", json={"name": "root", "password": GOOD})
    session, form = answer.headers.get_list("set-cookie")
    assert session.startswith("__Host-flow_session=flows_")
    assert form.startswith("flow_form_token=flowf_")
    assert ("HttpOnly" in session, "HttpOnly" in form) == (True, False)
    for cookie in (session, form):
        assert "Secure" in cookie
        assert "SameSite=lax" in cookie
        assert "Path=/" in cookie
        assert "Domain" not in cookie


async def test_over_https_only_a_cookie_counts_that_no_other_host_can_set(open_town):
    """`__Host-`: else a page of a neighbour domain could log a browser in as somebody else. Logins from before it end."""
    async with open_town() as root:
        proof = root.cookies["__Host-flow_session"]
        plain = Browser(root.site, {"flow_session": proof, "flow_form_token": root.cookies["flow_form_token"]})
        tossed = await plain.ask("GET", "/me")
        both = await Browser(root.site, {**root.cookies, "flow_session": "flows_x"}).ask("GET", "/me")
        root.site.backend.public_url = "http://127.0.0.1"
        on_loopback = await plain.ask("GET", "/me")
        prefixed = await root.ask("GET", "/me")
        again = await login(root.site, "root")
        out = await again.ask("POST", "/logout")
    assert [each.json()["name"] for each in (tossed, both, on_loopback, prefixed)] == ["", "root", "root", ""]
    assert set(again.cookies) == {"flow_session", "flow_form_token"}
    assert [cookie.split("=")[0] for cookie in out.headers.get_list("set-cookie")] == [
        "flow_session",
        "flow_form_token",
    ]


async def test_a_login_and_its_end(open_town):
    async with open_town() as root:
        assert (await root.ok("GET", "/me"))["name"] == "root"
        assert (await root.ok("GET", "/account"))["role"] == "admin"
        out = await root.ask("POST", "/logout")
        for cookie in out.headers.get_list("set-cookie"):  # browsers ignore what would forget a `__Host-` without it
            assert "Secure" in cookie
            assert "Max-Age=0" in cookie
        gone = await root.ask("GET", "/me")
        wrong = await root.site.http.post("/api/v1/login", json={"name": "root", "password": BETTER})
    assert (gone.status_code, wrong.status_code) == (401, 401)
    assert wrong.json()["detail"] == "name or password is wrong"


async def test_other_sites_change_nothing(open_town):
    """What a form or a script elsewhere can send: the cookie comes along, the header and JSON do not."""
    async with open_town() as root:
        forged = await root.ask("POST", "/users", forged=True, json={"name": "eve", "password": GOOD})
        reading = await root.ask("GET", "/users", forged=True)
        as_form = await root.site.http.post("/api/v1/login", data={"name": "root", "password": GOOD})
        text = f'{{"name": "root", "password": "{GOOD}"}}'
        as_text = await root.site.http.post("/api/v1/login", content=text, headers={"Content-Type": "text/plain"})
        users = await root.ok("GET", "/users")
    assert forged.status_code == 403
    assert reading.status_code == 200
    assert [as_form.status_code, as_text.status_code] == [422, 422]
    assert [user["name"] for user in users["items"]] == ["root"]


async def test_guessing_has_to_wait(open_town):
    async with open_town() as root:
        answers = [
            await root.site.http.post("/api/v1/login", json={"name": "root", "password": BETTER}) for _ in range(8)
        ]
    assert {answer.status_code for answer in answers} == {401, 429}
    assert int(answers[-1].headers["retry-after"]) >= 1


async def test_people_come_and_go(open_town):
    async with open_town() as root:
        ann = await root.person("ann")
        taken = await root.ask("POST", "/users", json={"name": "ann", "password": GOOD})
        weak = await root.ask("POST", "/users", json={"name": "bob", "password": "short"})
        changed = await root.ok("PATCH", "/users/ann", json={"email": "ann@example.org"})
        own = await ann.ok("PATCH", "/account", json={"display_name": "Ann A."})
        await root.ok("PUT", "/users/ann/password", json={"password": BETTER})
        out = await ann.ask("GET", "/account")
        await login(root.site, "ann", BETTER)
        last = await root.ask("PATCH", "/users/root", json={"disabled": True})
        nobody = await root.ask("GET", "/users/a%00b")
        extra = await root.ask("PATCH", "/users/ann", json={"name": "eve"})
    assert [answer.status_code for answer in (taken, weak, out, last, nobody, extra)] == [409, 400, 401, 409, 404, 422]
    assert (changed["email"], own["display_name"], own["email"]) == ("ann@example.org", "Ann A.", "ann@example.org")
    assert GOOD not in weak.text


async def test_lists_of_people_have_pages(open_town):
    async with open_town() as root:
        for name in ("ann", "bob", "carl"):
            await root.ok("POST", "/users", json={"name": name})
        first = await root.ok("GET", "/users?limit=3")
        second = await root.ok("GET", f"/users?limit=3&cursor={first['next']}")
        odd = await root.ask("GET", "/users?cursor=AAAA")
    assert [user["name"] for user in first["items"] + second["items"]] == ["ann", "bob", "carl", "root"]
    assert second["next"] is None
    assert first["items"][0]["has_password"] is False
    assert odd.status_code == 400


async def test_a_new_password_ends_other_logins(open_town):
    async with open_town() as root:
        other = await login(root.site, "root")
        shown = await root.ok("GET", "/account/sessions")
        wrong = await root.ask("PUT", "/account/password", json={"old": BETTER, "new": BETTER})
        await root.ok("PUT", "/account/password", json={"old": GOOD, "new": BETTER})
        left = await root.ok("GET", "/account/sessions")
        gone = await other.ask("GET", "/me")
        third = await login(root.site, "root", BETTER)
        (there,) = [each for each in await root.ok("GET", "/account/sessions") if not each["current"]]
        await root.ok("DELETE", f"/account/sessions/{there['id']}")
        ended = await third.ask("GET", "/me")
        unknown = await root.ask("DELETE", f"/account/sessions/{there['id']}")
    assert (len(shown), sum(each["current"] for each in shown)) == (2, 1)
    assert [each["current"] for each in left] == [True]
    assert [each.status_code for each in (wrong, gone, ended, unknown)] == [403, 401, 401, 404]


async def test_tokens(open_town):
    async with open_town() as root:
        site = root.site
        token, about = await root.token("read", "account")
        me = (await with_token(site, token, "GET", "/me")).json()
        lacking = await with_token(site, token, "POST", "/users", json={"name": "eve"})
        more = await with_token(site, token, "POST", "/tokens", json={"name": "x", "scopes": ["admin"]})
        listed = await root.ok("GET", "/tokens")
        await root.ok("DELETE", f"/tokens/{about['id']}")
        revoked = await with_token(site, token, "GET", "/me")
        bad = [
            await root.ask("POST", "/tokens", json={"name": "x", **wrong})
            for wrong in ({"scopes": []}, {"scopes": ["all"]}, {"scopes": ["read"], "days": 9999}, {"scopes": "read"})
        ]
    assert (me["kind"], me["name"], me["scopes"]) == ("token", "root", ["account", "read"])
    assert [lacking.status_code, more.status_code, revoked.status_code] == [403, 403, 401]
    assert [answer.status_code for answer in bad] == [422] * 4
    assert token not in repr(listed)
    assert listed[0]["hint"] == token[-4:]


async def test_admins_take_back_tokens_of_others(open_town):
    async with open_town() as root:
        ann = await root.person("ann")
        token, about = await ann.token("account")
        theirs = await ann.ask("DELETE", f"/users/root/tokens/{about['id']}")
        elsewhere = await root.ask("DELETE", f"/users/root/tokens/{about['id']}")
        listed = await root.ok("GET", "/users/ann/tokens")
        await root.ok("DELETE", f"/users/ann/tokens/{about['id']}")
        gone = await with_token(root.site, token, "GET", "/account")
    assert [theirs.status_code, elsewhere.status_code, gone.status_code] == [403, 404, 401]
    assert [each["id"] for each in listed] == [about["id"]]


async def test_roles(open_town):
    async with open_town() as root:
        ann, bob = await root.person("ann", "maintainer"), await root.person("bob")
        hidden = await bob.ask("GET", f"/projects/{PROJECT}/members")
        unknown = await bob.ask("GET", "/projects/nosuch/members")
        await ann.ok("PUT", f"/projects/{PROJECT}/members/bob", json={"role": "developer"})
        listed = await bob.ok("GET", f"/projects/{PROJECT}/members")
        higher = await bob.ask("PUT", f"/projects/{PROJECT}/members/bob", json={"role": "maintainer"})
        await ann.ok("DELETE", f"/projects/{PROJECT}/members/bob")
        again = await ann.ask("DELETE", f"/projects/{PROJECT}/members/bob")
        odd = await ann.ask("PUT", f"/projects/{PROJECT}/members/bob", json={"role": "admin"})
    assert [(each["name"], each["role"]) for each in listed] == [("ann", "maintainer"), ("bob", "developer")]
    assert [each.status_code for each in (hidden, unknown, higher, again, odd)] == [404, 404, 403, 404, 422]
    assert hidden.json() == unknown.json() | {"detail": hidden.json()["detail"]}  # as if it did not exist


async def test_secrets_go_in_and_never_come_out(open_town):
    secret = "sesame, open the door"
    place = f"/projects/{PROJECT}/secrets"
    async with open_town() as root:
        ann, bob = await root.person("ann", "maintainer"), await root.person("bob", "developer")
        wanted = {"value": secret, "environment": "prod", "branches": "main", "steps": ["deploy"]}
        made = await ann.ask("PUT", f"{place}/KEY", json=wanted)
        again = await ann.ask("PUT", f"{place}/KEY", json={**wanted, "value": secret.upper()})
        refused = await bob.ask("PUT", f"{place}/KEY", json=wanted)
        listed = await bob.ask("GET", place)
        weak = await ann.ask("PUT", f"{place}/KEY", json={"value": "abc"})
        name = await ann.ask("PUT", f"{place}/FLOW_X", json=wanted)
        log = await ann.ask("GET", f"/projects/{PROJECT}/audit")
        gone = await ann.ask("DELETE", f"{place}/{made.json()['id']}")
        unknown = await ann.ask("DELETE", f"{place}/{made.json()['id']}")
    assert [each.status_code for each in (made, refused, weak, name, gone, unknown)] == [200, 403, 400, 400, 204, 404]
    assert again.json()["version"] == 2
    assert [(each["name"], each["environment"], each["steps"]) for each in listed.json()] == [
        ("KEY", "prod", ["deploy"])
    ]
    told = "".join(each.text for each in (made, again, refused, listed, weak, name, log))
    assert secret not in told
    assert secret.upper() not in told
    assert "KEY" in told


async def test_the_audit_log(open_town):
    async with open_town() as root:
        ann, bob = await root.person("ann", "maintainer"), await root.person("bob", "developer")
        everything = await root.ok("GET", "/audit?limit=200")
        mine = await ann.ok("GET", f"/projects/{PROJECT}/audit")
        refused = [
            (await bob.ask("GET", f"/projects/{PROJECT}/audit")).status_code,
            (await ann.ask("GET", "/audit")).status_code,
            (await ann.ask("GET", "/audit/verify")).status_code,
        ]
        first = await root.ok("GET", "/audit?limit=3")
        second = await root.ok("GET", f"/audit?limit=3&cursor={first['next']}")
        logins = await root.ok("GET", "/audit?action=login.accept&actor=ann")
        nothing = await root.ok("GET", "/audit?actor=%00")
        odd = await root.ask("GET", "/audit?cursor=AAAA")
        newest = everything["items"][0]
        good = await root.ok("GET", "/audit/verify")
        noted = await root.ok("GET", f"/audit/verify?seq={newest['seq']}&noted={newest['hash']}")
        cut = await root.ok("GET", f"/audit/verify?seq=999&noted={newest['hash']}")
    assert [(each["actor"], each["action"], each["object"]) for each in mine["items"]] == [
        ("root", "member.put", "user:bob"),
        ("root", "member.put", "user:ann"),
    ]
    assert refused == [403, 403, 403]
    assert [each["seq"] for each in first["items"] + second["items"]] == [
        each["seq"] for each in everything["items"][:6]
    ]
    assert [each["object"] for each in logins["items"]] == ["user:ann"]
    assert (nothing["items"], odd.status_code) == ([], 400)
    assert [each["problem"] for each in (good, noted)] == ["", ""]
    assert "noted" in cut["problem"]
    assert everything["items"][0]["address"] == "127.0.0.1"
    assert re.fullmatch("session:[0-9a-f]{16}", everything["items"][1]["via"])


async def test_a_project_of_the_same_name_has_a_log_of_its_own(open_town):
    async with open_town() as root:
        ann = await root.person("ann", "maintainer")
        before = await ann.ok("GET", f"/projects/{PROJECT}/audit")
        await root.ok("DELETE", f"/projects/{PROJECT}")
        nobody = await root.ask("GET", f"/projects/{PROJECT}/audit")
        database = root.site.life.local.database
        await asyncio.to_thread(add_project, database, "01AAAAAAAAAAAAAAAAAAAAAAP2")
        bob = await root.person("bob", "maintainer")
        after = await bob.ok("GET", f"/projects/{PROJECT}/audit")
        everything = await root.ok("GET", "/audit?limit=200")
        good = await root.ok("GET", "/audit/verify")
    assert [each["object"] for each in before["items"]] == ["user:ann"]
    assert nobody.status_code == 404
    assert [each["object"] for each in after["items"]] == ["user:bob"]
    told = {each["object"]: each["project_id"] for each in everything["items"] if each["action"] == "member.put"}
    assert told["user:ann"] != told["user:bob"]
    assert "project.delete" in {each["action"] for each in everything["items"]}
    assert good["problem"] == ""


HOOK = {"kind": "github", "name": "forge"}
REFUSED = [  # what is asked for, and which part of it is to be another one
    ("POST", "/users", {"name": "Ann", "password": GOOD}, "body.name"),
    ("POST", "/users", {"name": "system", "password": GOOD}, "body.name"),
    ("POST", "/users", {"name": "ann", "password": "short"}, "body.password"),
    ("PUT", "/users/root/password", {"password": "a" * 20}, "body.password"),
    ("PATCH", "/account", {"email": "nobody"}, "body.email"),
    ("PATCH", "/account", {"display_name": "a" * 300}, "body.display_name"),
    ("PUT", "/account/password", {"old": BETTER, "new": BETTER}, "body.old"),
    ("PUT", "/account/password", {"old": GOOD, "new": "short"}, "body.new"),
    ("POST", "/tokens", {"name": " ", "scopes": ["read"]}, "body.name"),
    ("PUT", f"/projects/{PROJECT}/members/nobody", {"role": "viewer"}, "path.name"),
    ("PUT", f"/projects/{PROJECT}/secrets/A-B", {"value": "long enough"}, "path.name"),
    ("PUT", f"/projects/{PROJECT}/secrets/A", {"value": "abc"}, "body.value"),
    ("PUT", f"/projects/{PROJECT}/secrets/A", {"value": "long enough", "branches": "a\tb"}, "body.branches"),
    ("POST", f"/projects/{PROJECT}/hooks", {**HOOK, "secret": "short"}, "body.secret"),
    ("POST", f"/projects/{PROJECT}/hooks", {**HOOK, "api_url": "nowhere"}, "body.api_url"),
    ("POST", f"/projects/{PROJECT}/hooks", {**HOOK, "token": "ü"}, "body.token"),
    (
        "POST",
        f"/projects/{PROJECT}/hooks",
        {"kind": "generic", "name": "x", "mapping": {"branch": ""}},
        "body.mapping.branch",
    ),
    ("POST", "/projects", {"name": PROJECT, "url": "/x"}, "body.name"),
    ("POST", "/projects", {"name": "other", "url": "-x"}, "body.url"),
]


async def test_a_refusal_says_which_part_of_the_request_is_to_be_another_one(open_town):
    async with open_town() as root:
        found = []
        for method, path, body, _place in REFUSED:
            refused = await root.ask(method, path, json=body)
            assert not refused.is_success, (path, body)
            answer = refused.json()
            found.append([each["where"] for each in answer.get("errors", [])])
        unplaced = (await root.ask("PATCH", "/users/root", json={"role": "user"})).json()
    assert found == [[place] for *_, place in REFUSED]
    assert "errors" not in unplaced, "that there is one admin only is wrong with no part of it"
