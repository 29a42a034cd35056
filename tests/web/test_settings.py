"""What people decide beside their runs: deliveries, webhooks, schedules, runners, roles, logins. Pressed as they press it.

Tests of this file have a server of their own, because they change what others count on.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import expect

from flowbuild.testing.browser import load, settled
from flowbuild.testing.payloads import FORGES, Push, Request
from flowbuild.testing.program import LIMIT, git
from flowbuild.testing.website import PASSWORD, WebSite, commit, pipelines, repository, shell

OTHER = "tea with a purple zebra"
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAFUlEQVR4nGP8z8DwnwEPYMInOXwUAAASWwIH0dVbVQAAAABJRU5ErkJggg=="
DAILY, WEEKLY = "0 3 * * *", "30 4 * * 1"
# More than a list shows of a delivery; what begins is the last of them.
SILENT = {f"part{number}": {"steps": {"do": shell("echo")}} for number in range(7)}


def files(cron: str = DAILY) -> dict[str, str]:
    """Return the files of the shop."""
    found = {
        **SILENT,
        "nightly": {"on": {"schedule": [{"cron": cron, "timezone": "Europe/Riga"}]}, "steps": {"do": shell("echo")}},
        "checks": {
            "on": {"push": {"branches": ["main"]}, "pull_request": {"branches": ["main"]}},
            "steps": {"do": shell("echo checked")},
        },
        "called": {"on": {"webhook": {"name": "bell"}}, "steps": {"do": shell("echo")}},
        "draw": {
            "steps": {
                "draw": shell(
                    f"echo {PNG} | base64 -d > dot.png",
                    'echo \'<svg xmlns="http://www.w3.org/2000/svg" width="40" height="9" onload="window.__xss=1"/>\' > sign.svg',
                    "echo drawn by hand",
                    cache=True,
                )
            }
        },
    }
    return {".flow.yml": pipelines(**found)}


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    """The repository of the project."""
    return repository(tmp_path_factory.mktemp("office") / "shop", files())


@pytest.fixture(scope="module")
def site(web_app, shop) -> Iterator[WebSite]:
    """A server of this file's own; see `conftest.site`."""
    made = WebSite(shop.parent)
    made.start()
    try:
        made.set_up()
        made.add_project("shop", shop)
        for name, role in {"max": "maintainer", "ann": "approver", "dev": "developer", "vera": "viewer"}.items():
            made.add_user(name, shop=role)
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def hook(site) -> dict[str, str]:
    """A webhook of GitHub, with its secret."""
    return site.ask("POST", "projects/shop/hooks", {"kind": "github", "name": "forge"})


def deliver(site, what, secret) -> httpx2.Response:
    sent = FORGES["github"](what).signed("github", secret)
    return httpx2.post(f"{site.url}/hooks/shop/forge", content=sent.body, headers=dict(sent.headers), timeout=LIMIT)


def log_in(page, name, password=PASSWORD):
    page.locator("[autocomplete=username]").fill(name)
    page.locator("[autocomplete=current-password]").fill(password)
    page.get_by_role("button", name="Log in").click()


def notice(page, text) -> None:
    page.get_by_role("alert").filter(has_text=text).first.wait_for()


def listed(page, name, text):
    """Return the row of a list that has a text."""
    return page.get_by_role("list", name=name).get_by_role("listitem").filter(has_text=text)


def complaint(field) -> str:
    """Return what is said of a field of a form, when something is."""
    said = field.page.locator(f"[id='{field.get_attribute('id')}-error']")
    said.wait_for()
    return said.inner_text()


def fork_of(shop, number, text) -> str:
    """Make the pull request of a fork; return its commit."""
    git(shop, "switch", "--quiet", "--create", "theirs")
    made = commit(shop, {"theirs.txt": text}, "Theirs")
    git(shop, "switch", "--quiet", "main")
    git(shop, "update-ref", f"refs/pull/{number}/head", made)
    git(shop, "branch", "--quiet", "-D", "theirs")
    return made


def test_what_a_fork_asks_for_waits_until_its_commit_is_approved(visit, site, shop, hook):
    page, other = visit("/projects/shop?tab=triggers", who="ann"), visit("/projects/shop?tab=triggers", who="dev")
    wanted = fork_of(shop, 7, "one")
    request = Request("opened", commit=wanted, source="mallory/app", head="main")
    assert deliver(site, request, hook["secret"]).status_code == 202
    page.get_by_role("button", name="Approve").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text(wanted).wait_for()
    assert "/pull/7" in dialog.get_by_role("link").get_attribute("href"), "one is to look at it first"
    listed(other, "Deliveries", "waits for approval").wait_for()
    expect(other.get_by_role("button", name="Approve")).to_have_count(0)
    assert site.ask("GET", "runs?pipeline=checks")["items"] == []
    dialog.get_by_role("button", name="Approve").click()
    listed(other, "Deliveries", "approved by ann").wait_for()
    page.get_by_role("link", name="started").click()  # though it is one line of many
    page.get_by_role("heading", name="checks").wait_for()
    [run] = site.ask("GET", "runs?pipeline=checks")["items"]
    assert run["commit"] == wanted


def test_what_is_pushed_while_somebody_looks_waits_anew(visit, site, shop, hook):
    """An approval is for the commit that was looked at: the question about the old one goes away."""
    page = visit("/projects/shop?tab=triggers", who="ann")
    dialog, approve = page.get_by_role("dialog"), page.get_by_role("button", name="Approve")
    newest = page.get_by_role("list", name="Deliveries").get_by_role("listitem").first
    first = fork_of(shop, 8, "one")
    deliver(site, Request("opened", number=8, commit=first, source="mallory/app", head="main"), hook["secret"])
    approve.click()
    dialog.get_by_text(first).wait_for()
    second = fork_of(shop, 8, "two")
    deliver(site, Request("synchronize", number=8, commit=second, source="mallory/app", head="main"), hook["secret"])
    dialog.wait_for(state="detached")
    approve.click()
    dialog.get_by_text(second).wait_for()
    dialog.get_by_role("button", name="Approve").click()
    newest.get_by_role("link", name="started").wait_for()
    expect(approve).to_have_count(0)
    commits = [run["commit"] for run in site.ask("GET", "runs?pipeline=checks")["items"]]
    assert second in commits
    assert first not in commits


def test_only_what_something_may_follow_from_is_delivered_again(visit, site, shop, hook):
    before = git(shop, "rev-parse", "HEAD").strip()
    push = Push("refs/heads/main", before, commit(shop, {"a": "1"}, "A [skip ci]"), message="A [skip ci]")
    identity = deliver(site, push, hook["secret"]).json()["id"]
    wanted = fork_of(shop, 9, "one")
    deliver(site, Request("opened", number=9, commit=wanted, source="mallory/app", head="main"), hook["secret"])
    page = visit("/projects/shop?tab=triggers", who="dev")
    waits = listed(page, "Deliveries", "waits for approval")
    waits.filter(has_text="checks: pull request 9").wait_for()  # what would begin is one line of many
    row = listed(page, "Deliveries", "its commit message asks for no runs")
    expect(row).to_have_count(1)
    expect(page.get_by_role("button", name="Deliver again")).to_have_count(0)
    row.get_by_role("link").first.click()
    page.get_by_role("heading", name="What was sent").wait_for()
    assert page.url.endswith(identity)
    expect(page.get_by_role("button", name="Deliver again")).to_have_count(0)


def test_a_delivery_that_failed_is_delivered_again(visit, site, shop):
    """It finds no repository, then the webhook understands no body any more; both are mended."""
    bell = site.ask("POST", "projects/shop/hooks", {"kind": "generic", "name": "bell"})
    page, away = visit("/projects/shop?tab=triggers", who="dev"), shop.with_name("away")
    row = page.get_by_role("list", name="Deliveries").get_by_role("listitem").first
    again = row.get_by_role("button", name="Deliver again")
    shop.rename(away)
    try:
        sent = {"json": {"to": "prod"}, "headers": {"X-Flow-Token": bell["secret"]}, "timeout": LIMIT}
        assert httpx2.post(f"{site.url}/hooks/shop/bell", **sent).status_code == 202
        row.filter(has_text="there is no git repository").wait_for()
        site.ask("PATCH", "projects/shop/hooks/bell", {"mapping": {"branch": "to.branch"}})
        again.click()
        row.get_by_text("failed", exact=True).first.wait_for()
        row.get_by_text("the body has no text, number or truth value at `to.branch`").wait_for()
    finally:
        away.rename(shop)
    site.ask("PATCH", "projects/shop/hooks/bell", {"mapping": {}})
    again.click()
    row.get_by_role("link", name="started").wait_for()
    expect(again).to_have_count(0)
    assert {noted["actor"] for noted in site.ask("GET", "audit?action=delivery.again")["items"]} == {"dev"}


def test_a_webhook_is_changed_and_what_is_refused_stands_at_its_field(visit, site, shop, hook):
    page = visit("/projects/shop?tab=triggers", who="max")
    row, dialog = listed(page, "Webhooks", "forge"), page.get_by_role("dialog")
    row.get_by_role("button", name="Edit").click()
    dialog.get_by_label("Secret", exact=True).fill("short")
    dialog.get_by_role("button", name="Save").click()
    assert complaint(dialog.get_by_label("Secret", exact=True)).startswith(
        "the secret of the webhook is too short: at least 16"
    )
    dialog.get_by_label("Secret", exact=True).fill("")
    dialog.get_by_label("Token of GitHub").fill("a-token")
    dialog.get_by_role("button", name="Save").click()
    row.filter(has_text="tells statuses").wait_for()
    dialog.wait_for(state="detached")  # the old one is on its way out for a moment
    row.get_by_role("button", name="Edit").click()
    dialog.get_by_label("Address of its API").fill("https://other.example/api")
    dialog.get_by_role("button", name="Save").click()
    assert complaint(dialog.get_by_label("Token of GitHub")).startswith("the token belongs to the old address")
    dialog.get_by_label(re.compile("Forget the token")).check()
    dialog.get_by_role("button", name="Save").click()
    row.filter(has_text="tells no statuses").wait_for()

    row.get_by_role("button", name="New secret").click()
    dialog.get_by_role("button", name="New secret").click()
    page.get_by_text("The secret of forge").wait_for()
    shown = page.get_by_role("main").locator("code").first.inner_text()
    push = Push("refs/heads/other", "0" * 40, git(shop, "rev-parse", "HEAD").strip())
    assert deliver(site, push, hook["secret"]).status_code == 401
    hook["secret"] = shown
    assert deliver(site, push, shown).status_code == 202


def test_a_form_that_was_closed_is_empty_when_it_is_opened_again(visit, hook):
    page = visit("/projects/shop?tab=triggers", who="max")
    edit, dialog = listed(page, "Webhooks", "forge").get_by_role("button", name="Edit"), page.get_by_role("dialog")
    edit.click()
    dialog.get_by_label("Secret", exact=True).fill("typed in vain")
    dialog.get_by_role("button", name="Cancel").evaluate("button => button.click()")
    edit.evaluate("button => button.click()")  # sooner than anything could have faded away
    expect(dialog.get_by_label("Secret", exact=True)).to_have_value("")


def test_schedules_are_paused_and_resumed_before_the_eyes_of_others(visit, site, shop):
    page = visit("/projects/shop?tab=schedules", who="max")
    other = visit("/projects/shop?tab=schedules", who="vera", phone=True)
    row, theirs = listed(page, "Schedules", "nightly"), listed(other, "Schedules", "nightly")
    expect(theirs.get_by_role("row")).to_have_count(4)  # the head, and the next three times
    row.get_by_role("button", name="Pause").click()
    theirs.filter(has_text="paused").wait_for()
    expect(theirs.get_by_role("row")).to_have_count(0)
    expect(theirs.get_by_role("button")).to_have_count(0)
    row.get_by_role("button", name="Resume").click()
    theirs.get_by_role("row").first.wait_for()

    commit(shop, files(WEEKLY), "Weekly")
    page.get_by_role("button", name="Fetch now").click()
    theirs.filter(has_text="At 04:30 on Monday").wait_for()
    commit(shop, files("at noon"), "Broken")
    page.get_by_role("button", name="Fetch now").click()
    page.get_by_text("have errors, so these schedules are still those of before").wait_for()
    expect(row).to_contain_text(WEEKLY)
    page.get_by_role("link", name="What is wrong").click()
    page.get_by_role("list", name="Findings").wait_for()
    commit(shop, files(), "Mended")
    site.ask("POST", "projects/shop/fetch")


@contextmanager
def remote_runner(arguments, top) -> Iterator[subprocess.Popen[bytes]]:
    program = [str(Path(sys.executable).with_name("flow")), *arguments, "--name", "far"]
    with (top / "runner.log").open("wb") as log:
        runner = subprocess.Popen(program, env={**os.environ, "FLOW_HOME": str(top / "runner")}, stdout=log, stderr=log)
    try:
        yield runner
    finally:
        if runner.poll() is None:
            runner.terminate()
        runner.wait(LIMIT)


def test_a_runner_is_let_in_drained_and_revoked(visit, tmp_path):
    page, other = visit("/runners"), visit("/runners", who="vera", phone=True)
    page.get_by_role("button", name="Add a runner").click()
    command = page.get_by_role("dialog").get_by_text("flow runner --server").inner_text()
    with remote_runner(command.split()[1:], tmp_path) as runner:
        page.keyboard.press("Escape")
        card, theirs = listed(page, "Runners", "far"), listed(other, "Runners", "far")
        card.filter(has_text="ready").wait_for()
        theirs.filter(has_text="ready").wait_for()
        card.get_by_role("button", name="Drain").click()
        theirs.filter(has_text="draining").wait_for()
        expect(theirs.get_by_role("button")).to_have_count(0)
        assert runner.wait(LIMIT) == 0, "a runner that is drained ends when it has nothing left"
        card.get_by_role("button", name="Revoke").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_role("button", name="Revoke")).to_be_disabled()
        dialog.get_by_role("textbox").fill("far")
        dialog.get_by_role("button", name="Revoke").click()
        theirs.wait_for(state="detached")
        other.get_by_role("heading", name="Revoked").wait_for()


def role_of(site, name) -> str:
    """Return the role of a member as the API has it."""
    [found] = [each["role"] for each in site.ask("GET", "projects/shop/members") if each["name"] == name]
    return found


def choose(role, name) -> None:
    role.click()
    role.page.get_by_role("option", name=name, exact=True).click()


def test_a_role_that_changes_shows_at_once(visit, site):
    site.add_user("eve", shop="developer")
    page, members = visit("/projects/shop", who="eve"), visit("/projects/shop?tab=members", who="max")
    run, settings = page.get_by_role("button", name="Run draw"), page.get_by_role("link", name="Settings")
    run.wait_for()
    expect(settings).to_have_count(0)
    role, dialog = members.get_by_role("combobox", name="Role of eve"), members.get_by_role("dialog")

    choose(role, "Viewer")
    dialog.get_by_text("eve can no longer start, cancel and rerun").wait_for()
    dialog.get_by_role("button", name="Cancel").click()
    expect(role).to_have_value("Developer")
    assert role_of(site, "eve") == "developer", "what takes rights away asks first"
    choose(role, "Viewer")
    dialog.get_by_role("button", name="Make eve a viewer").click()
    run.wait_for(state="detached")
    choose(role, "Developer")
    run.wait_for()
    expect(dialog).to_have_count(0)
    choose(role, "Maintainer")
    assert role_of(site, "eve") == "developer", "what lets her change roles asks, too"
    dialog.get_by_role("button", name="Make eve a maintainer").click()
    settings.wait_for()
    members.get_by_role("button", name="Remove eve").click()
    members.get_by_role("dialog").get_by_role("button", name="Remove").click()
    page.get_by_text("There is no such thing").wait_for()
    expect(page.get_by_role("list", name="Pipelines")).to_have_count(0)


def test_who_takes_the_own_role_is_told_that_it_is_for_good(visit, site):
    site.add_user("moe", shop="maintainer")
    page = visit("/projects/shop?tab=members", who="moe")
    choose(page.get_by_role("combobox", name="Role of moe"), "Developer")
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("You cannot take that back yourself").wait_for()
    dialog.get_by_role("button", name="Make me a developer").click()
    page.get_by_role("combobox").first.wait_for(state="detached")
    assert role_of(site, "moe") == "developer"


def test_an_admin_is_made_and_unmade_after_a_question(visit, site):
    site.add_user("amy", shop="viewer")
    page, theirs = visit("/users"), visit("/projects/shop", who="amy")
    settled(theirs)
    users, dialog = theirs.get_by_role("link", name="Users"), page.get_by_role("dialog")
    for button, shown in (("Make an admin", 1), ("Make a plain user", 0)):
        page.get_by_role("button", name="What can be done with amy").click()
        page.get_by_role("menuitem", name=button).click()
        dialog.get_by_role("button", name=button).wait_for()
        expect(users).to_have_count(1 - shown)
        dialog.get_by_role("button", name=button).click()
        expect(users).to_have_count(shown)


def test_nobody_is_made_a_member_who_is_not_there_or_is_one(visit, site):
    page = visit("/projects/shop?tab=members", who="max")
    page.get_by_role("combobox", name="Name of the user").fill("vera")
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_text("is a member already").wait_for()
    assert role_of(site, "vera") == "viewer"
    page.get_by_role("combobox", name="Name of the user").fill("nobody")
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_text("there is no user 'nobody'").wait_for()
    expect(page.get_by_role("alert")).to_have_count(0)  # it stands at the field


def test_a_new_password_ends_the_other_logins(visit, site):
    site.add_user("pat", shop="viewer")
    page, elsewhere = visit("/login?next=/account", who=None), visit("/login?next=/runs", who=None, phone=True)
    for each, heading in ((page, "pat"), (elsewhere, "Runs")):
        log_in(each, "pat")
        each.get_by_role("heading", name=heading).wait_for()
    page.get_by_role("link", name="Logins").click()
    expect(page.get_by_role("list", name="Logins").get_by_role("listitem")).to_have_count(2)
    page.get_by_role("link", name="Profile").click()

    passwords = [page.locator("input[type=password]").nth(place) for place in range(3)]

    def change(old, new, again):
        for field, value in zip(passwords, (old, new, again), strict=True):
            field.fill(value)
        page.get_by_role("button", name="Change it").click()

    change("not mine at all", OTHER, OTHER)
    assert complaint(passwords[0]) == "the old password is wrong"
    change(PASSWORD, "short", "short")
    assert complaint(passwords[1]).startswith("a password has 12 to 256 characters")
    change(PASSWORD, OTHER, "something else")
    assert complaint(passwords[2]) == "This is not the same"
    change(PASSWORD, OTHER, OTHER)
    notice(page, "You have a new password")
    elsewhere.locator("[autocomplete=current-password]").wait_for()  # nobody touched it
    page.get_by_role("link", name="Logins").click()
    expect(page.get_by_role("list", name="Logins").get_by_role("listitem")).to_have_count(1)

    log_in(elsewhere, "pat", OTHER)
    elsewhere.get_by_role("heading", name="Runs").wait_for()
    load(page, page.url)
    page.get_by_role("button", name="End it").click()
    notice(page, "That login has ended")
    elsewhere.locator("[autocomplete=current-password]").wait_for()
    settled(page)
    page.get_by_role("heading", name="pat").wait_for()


def test_a_login_that_is_over_leads_to_the_login_and_back(visit, site):
    page = visit("/login", who=None)
    page.context.add_cookies([{"name": "flow_session", "value": "flows_of_last_week", "url": site.url}])
    asked = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/me") else None)
    load(page, "/projects/shop?tab=members")
    page.locator("[autocomplete=current-password]").wait_for()
    assert len(asked) <= 2, "and the server is not asked over and over who this is"
    log_in(page, "max")
    page.get_by_role("list", name="Members").wait_for()


def test_who_is_disabled_is_out_at_once_and_can_be_let_in_again(visit, site):
    site.add_user("tom", shop="viewer")
    page, theirs = visit("/users"), visit("/projects/shop", who="tom")
    settled(theirs)
    page.get_by_role("button", name="What can be done with tom").click()
    page.get_by_role("menuitem", name="Disable").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox").fill("tom")
    dialog.get_by_role("button", name="Disable").click()
    log_in(theirs, "tom")  # it waits for the form
    theirs.get_by_text("name or password is wrong").wait_for()
    page.get_by_role("button", name="What can be done with tom").click()
    page.get_by_role("menuitem", name="Let in again").click()
    notice(page, "tom can log in again")
    log_in(theirs, "tom")
    theirs.get_by_role("list", name="Pipelines").wait_for()


def test_the_demo_project_is_added_once_and_led_to_then(visit):
    page = visit("/projects/new")
    page.get_by_role("button", name="Add the demo project").click()
    page.get_by_role("heading", name="demo is here").wait_for()
    page.get_by_role("button", name="Run release").wait_for()
    load(page, "/projects/new")
    page.get_by_role("link", name="demo", exact=True).click()
    page.get_by_role("list", name="Pipelines").get_by_role("link", name="release").wait_for()
    load(page, "/projects/demo?tab=settings")
    page.get_by_role("button", name="Delete the project").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Delete the project")).to_be_disabled()
    dialog.get_by_role("textbox").fill("demo")
    dialog.get_by_role("button", name="Delete the project").click()
    notice(page, "demo is deleted")
    expect(page.get_by_role("link", name="demo", exact=True)).to_have_count(0)


def test_pictures_of_a_workspace_and_the_log_of_a_cached_step(visit, site):
    first, second = site.run("shop", "draw"), site.run("shop", "draw")
    page = visit(f"{second.page}?step=draw&tab=workspace", who="vera")
    page.get_by_text("dot.png", exact=True).first.click()
    picture = page.get_by_role("img", name="dot.png")
    picture.wait_for()
    assert picture.evaluate("each => each.decode().then(() => each.naturalWidth)") == 8
    page.get_by_text("sign.svg", exact=True).first.click()
    drawing = page.get_by_role("img", name="sign.svg")
    assert drawing.evaluate("each => each.decode().then(() => each.naturalWidth)") == 40
    page.get_by_text("Source", exact=True).click()
    page.get_by_role("region", name="sign.svg").get_by_text("onload").wait_for()
    assert page.evaluate("window.__xss") is None
    load(page, f"{second.page}?step=draw&tab=logs")
    page.get_by_text("This result was taken from the step cache").wait_for()
    page.get_by_role("link", name=f"run #{first.number}").click()
    page.get_by_text("drawn by hand").first.wait_for()


def test_tokens_and_secrets_are_taken_away(visit, site):
    page = visit("/account?tab=tokens", who="max")
    page.get_by_role("button", name="New token").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("bot")
    dialog.get_by_role("button", name="Make it").click()
    token = page.get_by_role("main").locator("code").filter(has_text=re.compile(r"^flow\w*_")).first.inner_text()
    headers = {"Authorization": f"Bearer {token}"}
    assert httpx2.get(f"{site.url}/api/v1/projects/shop", headers=headers, timeout=LIMIT).status_code == 200
    page.get_by_role("button", name="Revoke bot").click()
    dialog.get_by_role("button", name="Revoke").click()
    listed(page, "API tokens", "bot").wait_for(state="detached")
    assert httpx2.get(f"{site.url}/api/v1/projects/shop", headers=headers, timeout=LIMIT).status_code == 401

    site.ask("PUT", "projects/shop/secrets/KEY", {"value": "a value of some length"})
    load(page, "/projects/shop?tab=secrets")
    page.get_by_role("button", name="Remove KEY").click()
    dialog.get_by_role("textbox").fill("KEY")
    dialog.get_by_role("button", name="Remove").click()
    listed(page, "Secrets", "KEY").wait_for(state="detached")
    assert site.ask("GET", "projects/shop/secrets") == []


def test_the_audit_log_is_narrowed_by_what_by_whom_and_where(visit, site):
    site.ask("PUT", "projects/shop/members/vera", {"role": "viewer"}, who="max")
    page = visit("/audit?action=member.put")
    entries = page.get_by_role("list", name="What was done, the newest first").get_by_role("listitem")
    entries.first.wait_for()
    everybody = entries.count()
    page.get_by_role("combobox", name="By whom").fill("max")
    page.keyboard.press("Enter")
    entries.nth(everybody - 1).wait_for(state="detached")
    assert "actor=max" in page.url
    expect(entries.first).to_contain_text("max")
    page.get_by_role("combobox", name="By whom").fill("nobody-here")
    page.keyboard.press("Enter")
    page.get_by_text("Nothing of that kind was done").wait_for()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Everybody")).to_be_focused()
    page.keyboard.press("Enter")  # as it is for those who have no mouse
    entries.nth(everybody - 1).wait_for()
    expect(page.get_by_role("combobox", name="By whom")).to_be_focused()
    load(page, "/audit?project=shop&action=member.put")
    page.get_by_role("button", name="Every action").click()
    page.get_by_role("button", name="Every project").focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{site.url}/audit")
    page.get_by_role("button", name="Verify").click()
    page.get_by_text("entries are as they were written").wait_for()
