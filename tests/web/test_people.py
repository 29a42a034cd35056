"""Who may what: the pages offer what is open to who looks at them, and ask for nothing that is not."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Error, expect

from flowbuild.testing.browser import go, load, settled
from flowbuild.testing.website import PASSWORD

TABS = ("pipelines", "triggers", "schedules", "notifications", "secrets", "members", "settings")
# Words of buttons and links that change something; a viewer is to see none of them.
CHANGING = r"^(Run( .*)?|Run again|Cancel|Approve|Reject|Add .*|Remove.*|Replace.*|Delete.*|Fetch now|Pause.*|Drain.*|Save.*|Hold.*|Unhold.*|Test|Send again)$"


def log_in(page, name, password=PASSWORD):
    page.locator("[autocomplete=username]").fill(name)
    page.locator("[autocomplete=current-password]").fill(password)
    page.get_by_role("button", name="Log in").click()


def test_logging_in_leads_to_where_one_wanted_to_go_and_out_again(visit, watch):
    page = visit("/projects/shop?tab=members", who=None)
    log_in(page, "max", "wrong")
    page.get_by_role("alert").wait_for()
    log_in(page, "max")
    expect(page.get_by_role("list", name="Members")).to_contain_text("vera")
    assert page.url.endswith("/projects/shop?tab=members")
    page.get_by_role("button", name="max", exact=True).click()
    page.get_by_role("menuitem", name="Log out").click()
    page.locator("[autocomplete=current-password]").wait_for()
    assert page.request.get("/api/v1/projects/shop").status in {401, 404}
    load(page, "/projects/shop")
    expect(page.get_by_text("vera")).to_have_count(0)


def test_the_login_leads_nowhere_else(visit, site):
    page = visit("/login?next=https://evil.example/", who=None)
    log_in(page, "max")
    page.get_by_role("heading", name="Pipelines").wait_for()
    assert page.url == f"{site.url}/"


def pages_of(run) -> list[str]:
    """Return the pages that who may look at the shop can reach."""
    tabs = ("logs", "changes", "workspace", "details", "overview")
    return [
        *("/", "/runs", "/queue", "/runners", "/projects", "/account"),
        *(f"/projects/shop?tab={tab}" for tab in TABS),
        *(f"/projects/shop/pipelines/release{rest}" for rest in ("", "/file", "/start")),
        *(f"{run.page}?step=unit&tab={tab}" for tab in tabs),
        *(f"{run.page}?view={view}" for view in ("list", "timeline")),
    ]


def forbidden_actions(page) -> list[str]:
    """Return the buttons and links of the page that change something."""
    main = page.get_by_role("main")
    found = [main.get_by_role(role, name=re.compile(CHANGING)) for role in ("button", "link")]
    return [each.text_content() for locator in found for each in locator.all()]


def test_a_viewer_sees_no_forbidden_action_and_meets_no_refusal(visit, watch, released):
    page, seen = visit("/", who="vera", traced=False), {}
    for path in pages_of(released):
        go(page, path)
        if actions := [name for name in forbidden_actions(page) if path != "/account"]:
            seen[path] = actions
    assert seen == {}
    assert watch.forbidden == []
    for name in ("Users", "Audit"):
        expect(page.get_by_role("navigation", name="Main").get_by_role("link", name=name)).to_have_count(0)


def test_those_who_may_see_the_actions(visit, released):
    """The negative control of the test above."""
    page = visit(released.page, who="ada")
    settled(page)
    assert "Run again" in forbidden_actions(page)
    load(page, "/projects/shop?tab=secrets")
    settled(page)
    page.get_by_role("button", name="Add a secret").wait_for()
    assert "Add a secret" in forbidden_actions(page)


@pytest.mark.parametrize("who", ["dev", "max"])
def test_developers_and_maintainers_meet_no_refusal(visit, watch, released, who):
    page = visit("/", who=who, traced=False)
    for path in pages_of(released):
        go(page, path)
    assert watch.forbidden == []


def told(request) -> str:
    """Return what the API answered, unless it is a stream or the page has gone on."""
    try:
        return request.response().text() if "/api/" in request.url and "events" not in request.url else ""
    except Error:
        return ""


def test_a_secret_is_written_and_never_shown(visit, site):
    value = "hunter2-hunter2-hunter2"
    page = visit("/projects/shop?tab=secrets", who="max")
    answers = []
    page.on("requestfinished", lambda request: answers.append(told(request)))
    page.get_by_role("button", name="Add a secret").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("DEPLOY_KEY")
    dialog.get_by_label("Value").fill(value)
    dialog.get_by_role("button", name="Add").click()
    expect(page.get_by_role("list", name="Secrets")).to_contain_text("DEPLOY_KEY")
    load(page, page.url)
    expect(page.get_by_role("list", name="Secrets")).to_contain_text("DEPLOY_KEY")
    page.get_by_role("button", name="Replace DEPLOY_KEY").click()
    expect(page.get_by_role("dialog").get_by_label("Value")).to_have_value("")
    assert value not in page.content()
    assert any("DEPLOY_KEY" in text for text in answers)
    assert all(value not in text for text in answers)
