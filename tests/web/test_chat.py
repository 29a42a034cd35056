"""Chat accounts, channels, bots and holds: pressed as people press them, with a bot on the other side of the API.

Tests of this file have a server of their own, because they change what others count on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from flowbuild.testing.browser import load, settled
from flowbuild.testing.website import WebSite, pipelines, repository, shell

from .chatting import Bot

FILES = {
    ".flow.yml": pipelines(
        release={"steps": {"do": shell("echo released")}},
        broken={"steps": {"do": shell("exit 3")}},
        asks={"inputs": {"version": {"type": "string"}}, "steps": {"do": shell("echo asked")}},
    )
}


# A mail server that is not there: channels of e-mail are taken, and nothing arrives.
ENVIRONMENT = {
    "FLOW_ALLOW_INTERNAL": "*",
    "FLOW_SMTP_URL": "smtp://127.0.0.1:9",
    "FLOW_MAIL_FROM": "flow@example.org",
}


@pytest.fixture(scope="module")
def site(web_app, tmp_path_factory) -> Iterator[WebSite]:
    """A server of this file's own; see `conftest.site`."""
    top = tmp_path_factory.mktemp("chat")
    made = WebSite(top, environment=ENVIRONMENT)
    made.start()
    try:
        made.set_up()
        made.add_project("shop", repository(top / "shop", FILES))
        for name, role in {"max": "maintainer", "dev": "developer", "vera": "viewer"}.items():
            made.add_user(name, shop=role)
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def bot(site) -> Bot:
    return Bot(site, "helper")


def listed(page, name, text):
    """Return the row of a list that has a text."""
    return page.get_by_role("list", name=name).get_by_role("listitem").filter(has_text=text)


def complaint(field) -> str:
    """Return what is said of a field of a form, when something is."""
    said = field.page.locator(f"[id='{field.get_attribute('id')}-error']")
    said.wait_for()
    return said.inner_text()


def choose(dialog, field, option) -> None:
    """Choose from a select of a dialog."""
    dialog.get_by_role("combobox", name=field).click()
    dialog.get_by_role("option", name=option, exact=True).click()


def come_back(page) -> None:
    """Do as the browser does when somebody comes back to the window."""
    page.evaluate("window.dispatchEvent(new Event('focus'))")


def code_of(page) -> str:
    """Ask for a code on the page of chat accounts; return it."""
    page.get_by_role("button", name="Link a chat account").click()
    return page.get_by_role("dialog").get_by_text(re.compile(r"^link \S+$")).inner_text().removeprefix("link ")


def test_a_code_that_is_said_to_the_bot_links_who_asked_for_it(visit, site, bot):
    bot.introduce("@flow:example.org")
    page = visit("/account?tab=chat", who="dev")
    page.get_by_text("No chat account is linked").wait_for()
    code = code_of(page)
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("@flow:example.org on Matrix").wait_for()
    expect(dialog).to_contain_text(re.compile(r"for another (10 min|9 min)"))
    dialog.get_by_role("button", name="I have sent it").click()
    dialog.get_by_text("Nobody has said the code").wait_for()
    assert bot.say(code, "@dev:example.org") == "dev"
    come_back(page)
    dialog.wait_for(state="detached")
    listed(page, "Chat accounts", "@dev:example.org").wait_for()
    page.get_by_role("button", name="Unlink @dev:example.org").click()
    page.get_by_role("dialog").get_by_role("button", name="Unlink").click()
    page.get_by_text("No chat account is linked").wait_for()
    assert site.ask("GET", "account/links", who="dev") == []


def test_a_channel_is_added_tried_and_says_what_became_of_it(visit, site, bot):
    page = visit("/projects/shop?tab=notifications", who="max")
    page.get_by_role("button", name="Add a channel").click()
    dialog = page.get_by_role("dialog")
    choose(dialog, "Way", "Matrix")
    dialog.get_by_role("textbox", name="Name").fill("team")
    dialog.get_by_label("Room").fill("#team:example.org")
    dialog.get_by_role("checkbox", name="waiting for approval").uncheck()
    dialog.get_by_role("combobox", name="Branches").press_sequentially("main,release/*,")
    dialog.get_by_role("checkbox", name="Quiet hours").check()
    dialog.get_by_role("button", name="Add the channel").click()
    dialog.wait_for(state="detached")
    row = listed(page, "Channels", "team")
    expect(row).to_contain_text("failed, errored, recovered on main, release/*; quiet 22:00 to 07:00 Europe/Riga")
    [channel] = site.ask("GET", "projects/shop/channels")
    assert channel["target"] == "#team:example.org"
    assert channel["rule"]["branches"] == ["main", "release/*"]
    page.get_by_role("button", name="Test team").click()
    listed(page, "Log", "a test").get_by_text("waiting").wait_for()
    assert bot.settle("failed", "the bot is not in that room")["test"]
    entry = listed(page, "Log", "given up")
    expect(entry).to_contain_text("the bot is not in that room")  # though nobody pressed anything
    entry.get_by_role("button", name="Send again").click()
    listed(page, "Log", "waiting").wait_for()
    bot.settle("sent")
    listed(page, "Log", "sent").wait_for()
    load(page, page.url)
    expect(page.get_by_role("list", name="Log").get_by_role("listitem")).to_have_count(2)


def test_what_is_wrong_with_a_channel_stands_at_its_field(visit, site):
    page = visit("/projects/shop?tab=notifications", who="max")
    page.get_by_role("button", name="Add a channel").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Addresses").fill("nobody")
    dialog.get_by_role("textbox", name="Name").fill("ops")
    send = dialog.get_by_role("button", name="Add the channel")
    send.click()
    assert "not an e-mail address" in complaint(dialog.get_by_label("Addresses"))
    dialog.get_by_label("Addresses").fill("ops@example.org")
    dialog.get_by_role("textbox", name="Name").fill("no spaces please")
    send.click()
    assert "not a name" in complaint(dialog.get_by_role("textbox", name="Name"))
    dialog.get_by_role("textbox", name="Name").fill("ops")
    send.click()
    dialog.wait_for(state="detached")
    assert "ops@example.org" in [each["target"] for each in site.ask("GET", "projects/shop/channels")]


def test_the_secret_of_a_webhook_is_shown_once_and_an_edit_keeps_its_address(visit, site):
    page = visit("/account?tab=notifications", who="max")
    page.get_by_role("button", name="Add a channel").click()
    dialog = page.get_by_role("dialog")
    choose(dialog, "Way", "Webhook")
    dialog.get_by_role("textbox", name="Name").fill("mine")
    dialog.get_by_label("Address").fill("https://hooks.example.org/path-that-opens-it")
    dialog.get_by_role("checkbox", name="Only my runs").check()
    dialog.get_by_role("button", name="Add the channel").click()
    secret = page.get_by_role("status").filter(has_text="The secret of mine").locator("code").first.inner_text()
    assert len(secret) > 30
    load(page, page.url)
    row = listed(page, "Channels", "mine")
    expect(row).to_contain_text("failed, errored, recovered, waiting for approval of my runs")
    assert secret not in page.content()
    assert "path-that-opens-it" not in page.content()
    row.get_by_role("button", name="What can be done with mine").click()
    page.get_by_role("menuitem", name="Edit").click()
    dialog.get_by_role("checkbox", name="started", exact=True).check()
    dialog.get_by_role("button", name="Save").click()
    expect(row).to_contain_text("started")
    [channel] = site.ask("GET", "account/channels", who="max")
    assert channel["target"] == "https://hooks.example.org/…"
    row.get_by_role("button", name="What can be done with mine").click()
    page.get_by_role("menuitem", name="Remove").click()
    dialog.get_by_role("button", name="Remove").click()
    page.get_by_text("Nobody is told anything here yet").wait_for()


def test_the_log_of_ones_own_channel_leads_to_the_run(visit, site, bot):
    for channel in site.ask("GET", "projects/shop/channels"):
        site.ask("DELETE", f"projects/shop/channels/{channel['name']}")  # what they are told would be taken first
    bot.link("max", "@max:example.org")
    site.ask("POST", "account/channels", {"name": "told", "kind": "matrix", "rule": {"on": ["failed"]}}, who="max")
    run = site.run("shop", "broken")
    assert bot.settle("sent")["news"]["number"] == run.number
    page = visit("/account?tab=notifications", who="max")
    page.get_by_role("link", name="Log of told").click()
    entry = listed(page, "Log", "failed")
    expect(entry).to_contain_text("sent")
    entry.get_by_role("button", name=f"broken #{run.number}").click()
    page.wait_for_url(f"**{run.page}")
    site.ask("DELETE", "account/channels/told", who="max")


def test_developers_see_channels_and_change_none(visit, site):
    site.ask("POST", "projects/shop/channels", {"name": "seen", "kind": "email", "target": "a@example.org"})
    page = visit("/projects/shop?tab=notifications", who="dev")
    row = listed(page, "Channels", "seen")
    expect(row).to_contain_text("a@example.org")
    expect(row.get_by_role("link", name="Log of seen")).to_have_count(1)
    for name in ("Test seen", "What can be done with seen"):
        expect(row.get_by_role("button", name=name)).to_have_count(0)
    expect(page.get_by_role("button", name="Add a channel")).to_have_count(0)


def test_a_bot_gets_a_token_that_works_until_it_is_revoked(visit, site):
    page = visit("/bots")
    page.get_by_role("button", name="Add a bot").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("second")
    dialog.get_by_role("button", name="Add the bot").click()
    shown = page.get_by_role("status").filter(has_text="The token of second")
    expect(shown).to_contain_text(f"FLOW_SERVER={site.url} FLOW_BOT_NETWORK=matrix flow bot")
    token = shown.get_by_text(re.compile("^flowb_")).inner_text()
    Bot(site, "second", token).link("vera", "@vera:example.org")
    page.get_by_role("button", name="I have it").click()
    expect(shown).to_have_count(0)
    load(page, page.url)
    expect(listed(page, "Bots", "second")).to_contain_text("heard of")
    assert token not in page.content()
    page.get_by_role("button", name="Revoke second").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    listed(page, "Bots", "second").wait_for(state="detached")
    with pytest.raises(AssertionError, match="401"):
        Bot(site, "second", token).link("vera", "@other:example.org")


def test_a_pipeline_that_is_held_begins_by_no_button(visit, site, watch):
    run = site.run("shop", "release")
    page, other = visit("/projects/shop/pipelines/release", who="dev"), visit("/projects/shop", who="max")
    page.get_by_role("button", name="Hold release").click()
    page.get_by_role("dialog").get_by_label("Why").fill("The database moves")
    page.get_by_role("dialog").get_by_role("button", name="Hold").click()
    expect(page.get_by_role("status").filter(has_text="Held by dev")).to_contain_text("The database moves")
    button = page.get_by_role("main").get_by_role("button", name="Run", exact=True)
    expect(button).to_be_disabled()
    expect(button).to_have_attribute("title", "Held by dev: The database moves")
    expect(listed(other, "Pipelines", "release")).to_contain_text("held by dev")  # by itself
    expect(other.get_by_role("button", name="Run release")).to_be_disabled()
    expect(other.get_by_role("link", name="Run asks")).to_have_count(1)  # another pipeline
    load(page, "/")
    expect(page.get_by_role("button", name="Run release")).to_be_disabled()
    load(page, f"{run.page}")
    settled(page)
    page.keyboard.press("r")
    page.get_by_role("dialog").get_by_role("button", name=re.compile("Run again")).click()
    page.get_by_role("dialog").get_by_role("alert").filter(has_text="The database moves").wait_for()
    other.get_by_role("button", name="Unhold release").click()
    other.get_by_role("dialog").get_by_role("button", name="Unhold").click()
    expect(other.get_by_role("button", name="Run release")).to_be_enabled()
    assert len(site.ask("GET", "runs?pipeline=release")["items"]) == 1


def test_who_starts_what_was_held_meanwhile_is_told_why_not(visit, site):
    """The page does not hear of it: that is how it is for a moment."""
    page = visit("/projects/shop/pipelines/release/start", who="dev")
    page.get_by_role("button", name="Run release").wait_for()
    page.context.set_offline(True)
    site.ask("PUT", "projects/shop/pipelines/release/hold", {"reason": "Not before noon"})
    before = len(site.ask("GET", "runs?pipeline=release")["items"])
    page.route("**/api/v1/events", lambda route: route.abort())
    page.route("**/api/v1/projects/shop/pipelines/release?*", lambda route: route.abort())
    page.context.set_offline(False)
    try:
        page.get_by_role("button", name="Run release").click()
        expect(page.get_by_role("alert").filter(has_text="Not before noon")).to_contain_text("ada")
        assert len(site.ask("GET", "runs?pipeline=release")["items"]) == before
    finally:
        site.ask("DELETE", "projects/shop/pipelines/release/hold")
