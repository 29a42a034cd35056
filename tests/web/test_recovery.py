"""Parts of a page that do not arrive: Chromium ends all that it loads when a network of the machine changes; servers restart."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from flowbuild.testing.browser import load, settled

FIRST = {"script": re.compile(r"/assets/index-.*\.js$"), "style": re.compile(r"/assets/index-.*\.css$")}
PART = re.compile(r"/assets/workspace-.*\.js$")
MARK = "window.__same = true"  # is gone when the page is loaded anew
SAME = "window.__same === true"


def open_log(visit, run):
    page = settled(visit(f"{run.page}?step=build&tab=logs"))
    expect(page.get_by_role("log")).to_contain_text("building")
    page.evaluate(MARK)
    return page


def test_a_page_whose_part_is_lost_is_loaded_anew(visit, watch, released):
    watch.tolerate("Failed to fetch dynamically imported module")
    page = open_log(visit, released)
    assert page.evaluate(SAME)
    documents: list[str] = []
    page.on("request", lambda request: request.is_navigation_request() and documents.append(request.url))
    page.route(PART, lambda route: route.continue_() if documents else route.abort())
    page.get_by_role("tab", name="Workspace").click()
    expect(page.get_by_role("treeitem", name="made.txt")).to_be_visible()
    assert len(documents) == 1
    assert not page.evaluate(SAME)


@pytest.mark.parametrize("part", FIRST)
def test_a_page_of_which_nothing_can_be_shown_is_loaded_anew(visit, watch, part):
    page = visit("/login")
    asked: list[str] = []
    page.on("request", lambda request: FIRST[part].search(request.url) and asked.append(request.url))
    page.route(FIRST[part], lambda route: route.abort() if len(asked) == 1 else route.continue_())
    load(page, "/")
    page.get_by_role("heading", name="Pipelines").wait_for()
    assert len(asked) == 2
    assert page.evaluate("[...document.styleSheets].length") > 0


def test_a_page_that_cannot_be_loaded_says_so(visit, watch):
    page = visit("/login")
    page.route(FIRST["script"], lambda route: route.abort())
    load(page, "/runs")
    expect(page.get_by_role("alert")).to_contain_text("did not arrive")
    page.unroute(FIRST["script"])
    page.get_by_role("link", name="Load it again").click()
    page.get_by_role("heading", name="Runs").wait_for()


def test_a_page_stays_while_the_server_is_away_and_goes_on_when_it_is_back(visit, site, watch, released):
    watch.tolerate("net::ERR", "Failed to fetch", "Unable to preload", "503: GET")
    page = open_log(visit, released)
    site.stop()
    page.get_by_role("tab", name="Workspace").click()
    expect(page.get_by_role("alert")).to_contain_text("The server does not answer")
    expect(page.get_by_text("No connection")).to_be_visible()
    site.start()
    expect(page.get_by_role("treeitem", name="made.txt")).to_be_visible()
    assert page.evaluate(SAME)
