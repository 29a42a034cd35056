"""Addresses, keys, small screens."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from flowbuild.testing.browser import go, load, settled

from .test_people import pages_of


def test_filters_of_the_home_page_are_in_its_address(visit, released, broken):
    page = visit("/")
    page.get_by_text("Failing").first.click()
    page.get_by_label("Find a pipeline").fill("bro")
    expect(page).to_have_url(re.compile(r"(?=.*state=failing)(?=.*q=bro)"))
    main = page.get_by_role("main")
    for _ in range(2):
        expect(main.get_by_role("link", name="broken", exact=True)).to_be_visible()
        expect(main.get_by_role("link", name="release", exact=True)).to_have_count(0)
        load(page, page.url)
    main.get_by_role("link", name="broken", exact=True).click()
    page.wait_for_url("**/pipelines/broken*")
    page.go_back()
    expect(page).to_have_url(re.compile(r"(?=.*state=failing)(?=.*q=bro)"))
    expect(page.get_by_label("Find a pipeline")).to_have_value("bro")


def test_a_chosen_step_and_tab_survive_reload_and_back(visit, released):
    page = visit(released.page)
    page.locator("[data-step=lint]").click()
    expect(page).to_have_url(re.compile("step=lint"))
    page.keyboard.press("d")
    expect(page).to_have_url(re.compile("tab=details"))
    load(page, page.url)
    expect(page.get_by_role("tab", name="Details")).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("heading", level=2, name="lint")).to_be_visible()
    page.go_back()
    expect(page).not_to_have_url(re.compile("tab=details"))


def focused(page: Page) -> str:
    return page.evaluate("document.activeElement.textContent + ' ' + (document.activeElement.ariaLabel ?? '')")


def tab_to(page: Page, text: str, limit: int = 80) -> None:
    """Press the tabulator until something with a text has the focus."""
    for _ in range(limit):
        page.keyboard.press("Tab")
        if text in focused(page):
            return
    raise AssertionError(f"the tabulator never reached {text!r}")


def test_from_home_to_the_log_of_a_step_without_a_mouse(visit, broken):
    page = visit("/")
    settled(page)
    page.locator(f'main a[href="{broken.page}"]').first.wait_for()
    tab_to(page, f"#{broken.number} failed")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{broken.page}*")
    page.get_by_role("heading", level=1).wait_for()
    page.locator("[data-step]").first.wait_for()
    page.keyboard.press("f")
    expect(page.get_by_role("log")).to_contain_text("cleaning up 200")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") is not None


def test_question_mark_lists_the_keys(visit, released):
    page = visit(released.page)
    page.locator("[data-step]").first.wait_for()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_contain_text("next failure")


WIDE = """() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  return [...document.querySelectorAll('body *')]
    .filter((each) => each.getBoundingClientRect().right > width + 1)
    .map((each) => `${each.tagName}.${each.className}: ${Math.round(each.getBoundingClientRect().right)} of ${width}`)
    .slice(0, 5);
}"""


def test_no_page_of_a_phone_scrolls_sideways(visit, released):
    page, wide = visit("/", phone=True, traced=False), {}
    for path in [*pages_of(released), "/projects/new", "/users", "/audit"]:
        go(page, path)
        if found := page.evaluate(WIDE):
            wide[path] = found
    assert wide == {}


def test_what_is_too_wide_for_a_phone_is_found(visit):
    """The negative control of the test above."""
    page = visit("/", phone=True)
    settled(page)
    page.evaluate("document.querySelector('main').style.width = '500px'")
    assert page.evaluate(WIDE)


def test_walks_see_each_page_as_a_whole(visit, released):
    """What the tests that look at many pages rest on: they look at once, and do not wait for anything in particular."""
    page, loads = visit("/", traced=False), []
    page.on("load", lambda _: loads.append(page.url))
    parts = {"changes": "made.txt", "details": "Where the time went", "workspace": "made.txt", "logs": "building"}
    for _ in range(2):
        for tab, text in parts.items():
            go(page, f"{released.page}?step=build&tab={tab}")
            assert text in page.get_by_role("tabpanel").last.inner_text()
    assert len(loads) == 1, "another query is no reason to load a page"


@pytest.mark.parametrize("path", ["/nowhere", "/projects/none", "/projects/shop/runs/4711"])
def test_what_does_not_exist_is_said_in_words(visit, path):
    page = visit(path)
    expect(page.get_by_text("There is no").or_(page.get_by_text("there is no")).first).to_be_visible()
