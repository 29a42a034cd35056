"""From the link that a new server prints to a finished run, by nothing but the pages."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import expect

from flowbuild.testing.website import PASSWORD, WebSite, repository

from .shop import FILES


@pytest.fixture
def empty(web_app, tmp_path):
    """A server that nobody has visited."""
    made = WebSite(tmp_path)
    made.start()
    yield made
    made.close()


def begin(page, name):
    page.locator("[autocomplete=username]").fill(name)
    page.locator("[autocomplete=new-password]").fill(PASSWORD)
    page.get_by_role("button", name="Begin").click()


def set_up(visit, site):
    page = visit(site.setup_page, who=None, of=site)
    begin(page, "ada")
    return page


def test_from_the_setup_link_to_a_finished_run(visit, empty):
    repository(empty.top / "shop", FILES)
    began = time.monotonic()
    page = set_up(visit, empty)
    page.get_by_role("link", name="Add a repository").click()
    page.get_by_label("Address").fill(str(empty.top / "shop"))
    page.get_by_role("button", name="Add and fetch").click()
    page.get_by_role("button", name="Run release").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("release #1 succeeded", timeout=120_000)
    print(f"\nfirst visit to finished run: {time.monotonic() - began:.1f} s")
    assert page.title() == "release #1 succeeded · flow"


def test_the_demo_project_is_one_click_away(visit, empty):
    began = time.monotonic()
    page = set_up(visit, empty)
    page.get_by_role("button", name="demo").click()
    page.get_by_role("link", name="release").or_(page.get_by_role("button", name="Run release")).first.wait_for()
    print(f"\nfirst visit to the demo project: {time.monotonic() - began:.1f} s")
    (project,) = empty.client().get("/api/v1/projects").json()
    assert project["name"] == "demo"


def test_whoever_has_no_code_does_not_become_admin(visit, empty):
    page = visit("/setup#code=guessed", who=None, of=empty)
    begin(page, "eve")
    page.get_by_text("that is not the setup code").wait_for()
    assert empty.setup_page
    assert page.request.get("/api/v1/setup").json()["needed"]
