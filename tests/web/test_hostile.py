"""Content of a run never acts: payloads in logs, names of files and branches, variables, inputs, reports, Markdown, HTML and SVG."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import quote

import pytest
from playwright.sync_api import Error, Page

from flowbuild.testing.browser import go, load, settled, until
from flowbuild.testing.program import git
from flowbuild.testing.website import repository

from .hostile import BRANCHES, FILES, IMAGE, MARK, PAYLOADS

# Elements that only content could have made, and attributes that none of ours has.
FOREIGN = """() => {
  const acting = ['error', 'load', 'click', 'focus', 'toggle', 'begin', 'start', 'mouseover', 'animationstart'];
  const selectors = ['[xss]', 'script:not([src])', 'iframe:not([sandbox=""])', 'object', 'embed', 'base', 'marquee',
    'meta[http-equiv]', '[href^="javascript:" i]', '[src^="javascript:" i]', '[action]', 'a[href^="data:" i]',
    ...acting.map((name) => `[on${name}]`)];
  return [...document.querySelectorAll(selectors.join())].map((each) => each.outerHTML.slice(0, 200));
}"""
# A page of the workspace is shown in a sandbox without scripts; Chromium says for each that it did not run it.
SANDBOX = ("/workspace/page?", "about:srcdoc", "sandboxed")


@pytest.fixture(scope="package")
def hostile(site):
    """A run of the hostile repository on a hostile branch, with hostile variables and inputs."""
    place = repository(site.top / "hostile", FILES, message=MARK)
    for name in BRANCHES:
        git(place, "branch", name)
    site.add_project("hostile", place)
    for name in BRANCHES[1:]:
        site.run("hostile", "hostile", ref=name)
    return site.run("hostile", "hostile", ref=BRANCHES[0], inputs={"text": MARK}, variables={"GIVEN": PAYLOADS[9]})


def pages(run) -> list[str]:
    """Return all pages that show something of the run."""
    branch = quote(BRANCHES[0], safe="")
    pipeline = "/projects/hostile/pipelines/hostile"
    names = ["page.html", "page.md", "image.svg", "changed.txt", *(each.replace("/", "%") for each in PAYLOADS[:12])]
    return [
        *("/", "/queue", "/runs", f"/runs?branch={branch}", f"/?q={quote(MARK)}", "/projects/hostile", "/audit"),
        *(f"{pipeline}{rest}" for rest in ("", f"?branch={branch}", "/file", f"/file?ref={branch}")),
        *(f"{pipeline}/start{rest}" for rest in ("", f"?ref={branch}", f"?ref={quote(MARK)}")),
        *(f"{run.page}?step=say&tab={tab}" for tab in ("logs", "changes", "workspace", "details", "overview")),
        *(
            f"{run.page}?step=say&tab={tab}&path={quote(name, safe='')}"
            for tab in ("changes", "workspace")
            for name in names
        ),
        *(f"{run.page}?step={step}&tab=details" for step in ("gate", "more")),
        *(f"{run.page}?view={view}" for view in ("graph", "list", "timeline")),
        f"{run.page}/compare/{run.number - 1}",
        *(f"/{part}?q={quote(MARK)}&state={quote(MARK)}" for part in ("", "runs", "projects")),
        f"/login?problem={quote(MARK)}&next={quote('javascript:window.__xss=1')}",
    ]


def deeds(page: Page) -> list[str]:
    """Return what content has managed to do on a page."""
    did = page.evaluate(FOREIGN)
    return did + ["a script of it ran"] * (page.evaluate("window.__xss") is not None)


@pytest.mark.timeout(900)
def test_content_never_acts(visit, watch, hostile):
    watch.tolerate(*SANDBOX)
    page, did, shown = visit("/", traced=False), {}, 0
    for path in pages(hostile):
        go(page, path)
        if found := deeds(page):
            did[path] = found
        shown += "xss" in page.get_by_role("main").inner_text()
    print(f"\n{len(PAYLOADS)} payloads on {len(pages(hostile))} pages, {shown} of which showed some as text")
    assert did == {}
    assert watch.problems() == []
    assert shown > 15


def test_payloads_are_read_where_they_stand(visit, hostile):
    """What does not act must still be seen: a log that hides lines would be no safer."""
    page = visit(f"{hostile.page}?step=say&tab=logs")
    log = page.get_by_role("log")
    for payload in (PAYLOADS[0], PAYLOADS[10]):
        page.get_by_role("textbox", name="Search this log").fill(payload)
        log.get_by_text(payload, exact=True).first.wait_for()


def test_a_drawing_is_an_image_and_no_part_of_the_page(visit, watch, hostile):
    page = visit(f"{hostile.page}?step=say&tab=workspace&path=image.svg")
    drawing = page.get_by_role("img", name="image.svg")
    assert drawing.evaluate("each => each.decode().then(() => each.naturalWidth)") == 40
    assert drawing.evaluate("each => each.tagName") == "IMG"
    drawing.click()  # on a link of it
    assert deeds(page) == []
    assert watch.problems() == []
    watch.tolerate("")  # all that the control causes, which makes it a part of the page
    page.evaluate("text => { document.querySelector('main').innerHTML = text }", IMAGE)
    assert deeds(page)


@pytest.mark.parametrize("how", ["file", "page"])
@pytest.mark.parametrize("name", ["page.html", "image.svg", "page.md"])
def test_a_file_of_the_workspace_opened_by_its_address_does_not_act(visit, watch, hostile, how, name):
    watch.tolerate("Blocked script execution", "sandboxed")
    page = settled(visit("/"))  # it loads itself anew, if it has to, before it goes anywhere else
    # What is not shown is downloaded, and then the page does not go anywhere.
    with suppress(Error):
        load(page, f"/api/v1/runs/{hostile.id}/workspace/{how}?step=say&path={name}")
    assert page.evaluate("document.contentType") == "text/plain"
    assert page.evaluate("window.__xss") is None
    assert deeds(page) == []
    assert watch.dialogs == []


def test_content_that_acts_is_seen(visit, watch):
    """The negative control: what would be if a page took content for HTML. The policy stops the scripts, the tests see both."""
    page = visit("/")
    settled(page)
    page.evaluate("text => { document.querySelector('main').innerHTML = text }", "\n".join(PAYLOADS[:12]))
    until(page, "window.__violations.length > 0")
    assert deeds(page)
    assert any("policy violation: script-src" in said for said in watch.problems())
    assert page.evaluate("window.__xss") is None
    page.evaluate("window.__xss = 1")
    assert "a script of it ran" in deeds(page)
    watch.complaints.clear()
