"""Logging in by a provider, and accounts that are linked to one: there and back in a browser, with a provider of the tests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from time import time

import pytest
from playwright.sync_api import expect

from flowbuild.testing.browser import load
from flowbuild.testing.oidc import CLIENT_ID, CLIENT_SECRET, Provider
from flowbuild.testing.program import LIMIT
from flowbuild.testing.serving import serving
from flowbuild.testing.website import PASSWORD, WebSite, free_port, pipelines, repository, shell

ANN = {"sub": "subject-42", "preferred_username": "ann", "email": "ann@example.org", "email_verified": True}


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    """A provider that listens: in a thread, for this one belongs to the browser."""
    made, listening, over = Provider(time), threading.Event(), threading.Event()

    async def serve():
        async with serving(made.app()) as made.issuer:
            listening.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert listening.wait(LIMIT)
    yield made
    over.set()
    thread.join(LIMIT)


@pytest.fixture(scope="module")
def site(web_app, tmp_path_factory, provider) -> Iterator[WebSite]:
    """A server of this file's own, which knows the provider; see `conftest.site`."""
    port = free_port()
    settings = {"ISSUER": provider.issuer, "CLIENT_ID": CLIENT_ID, "CLIENT_SECRET": CLIENT_SECRET, "TITLE": "The house"}
    environment = {f"FLOW_OIDC_{name}": value for name, value in settings.items()}
    environment["FLOW_PUBLIC_URL"] = f"http://127.0.0.1:{port}"
    made = WebSite(tmp_path_factory.mktemp("house"), environment, port=port)
    made.start()
    try:
        made.set_up()
        steps = pipelines(p={"steps": {"a": shell("true")}})
        made.add_project("shop", repository(made.top / "shop", {".flow.yml": steps}))
        yield made
    finally:
        made.close()


def test_who_was_prepared_comes_in_by_the_provider_and_to_where_they_wanted(visit, site, provider):
    provider.person = dict(ANN)
    admin = visit("/users")
    admin.get_by_role("button", name="Add a user").click()
    dialog = admin.get_by_role("dialog")
    dialog.get_by_role("textbox", name="Name", exact=True).fill("ann")
    dialog.get_by_label("They log in by The house").check()
    expect(dialog.locator("[autocomplete=new-password]")).to_have_count(0)
    dialog.get_by_role("textbox", name="E-mail").fill("ann@example.org")
    dialog.get_by_role("button", name="Add", exact=True).click()
    admin.get_by_role("list", name="Users").get_by_text("logs in by a provider").wait_for()
    site.ask("PUT", "projects/shop/members/ann", {"role": "developer"})

    page = visit("/projects/shop?tab=members", who=None)
    page.get_by_role("link", name="Log in with The house").click()
    page.get_by_role("list", name="Members").get_by_text("can also start").wait_for()
    expect(page).to_have_url(f"{site.url}/projects/shop?tab=members")
    load(page, "/account?tab=logins")
    row = page.get_by_role("list", name="Accounts elsewhere").get_by_role("listitem")
    expect(row).to_contain_text("subject-42")
    row.get_by_role("button", name="Unlink").click()
    page.get_by_role("dialog").get_by_role("button", name="Unlink").click()
    page.get_by_role("dialog").get_by_role("alert").wait_for()  # it is the only way in


def test_an_account_is_linked_used_and_unlinked(visit, watch, site, provider):
    watch.tolerate("Blocked script execution")  # that of the test, on the page that says what is wrong
    provider.person = {**ANN, "sub": "subject-7", "email": "bob@example.org"}
    site.add_user("bob", shop="viewer")
    page, elsewhere = visit("/account?tab=logins", who="bob"), visit("/login", who=None)
    row = page.get_by_role("list", name="Accounts elsewhere").get_by_role("listitem")
    row.get_by_role("button", name="Link", exact=True).click()
    row.get_by_text("subject-7").wait_for()
    expect(page).to_have_url(f"{site.url}/account?tab=logins")
    elsewhere.get_by_role("link", name="Log in with The house").click()
    elsewhere.get_by_role("button", name="bob", exact=True).wait_for()
    row.get_by_role("button", name="Unlink").click()
    page.get_by_role("dialog").get_by_role("button", name="Unlink").click()
    row.get_by_role("button", name="Link", exact=True).wait_for()
    elsewhere.context.clear_cookies()
    load(elsewhere, "/login")
    elsewhere.get_by_role("link", name="Log in with The house").click()
    elsewhere.get_by_role("link", name="to the start page").wait_for()
    load(elsewhere, "/login")
    elsewhere.locator("[autocomplete=username]").fill("bob")
    elsewhere.locator("[autocomplete=current-password]").fill(PASSWORD)
    elsewhere.get_by_role("button", name="Log in", exact=True).click()
    elsewhere.get_by_role("button", name="bob", exact=True).wait_for()


@pytest.mark.parametrize("wrong", ["denied", "foreign key"])
def test_who_is_refused_reads_why_and_gets_back(visit, watch, site, provider, wrong):
    watch.tolerate("Blocked script execution")
    page = visit("/login", who=None)
    provider.wrong = wrong
    page.get_by_role("link", name="Log in with The house").click()
    page.get_by_role("link", name="to the start page").click()
    provider.wrong = ""
    page.locator("#root").wait_for()
    assert page.request.get(f"{site.url}/api/v1/me").json()["kind"] == "anonymous"
