"""HTML of a workspace as a page: its own styles work, and it tells nobody that somebody looks at it."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from flowbuild.testing.browser import load
from flowbuild.testing.program import LIMIT
from flowbuild.testing.website import pipelines, repository, shell

STYLED = (
    "<!doctype html><title>Coverage</title><style>h1 { color: rgb(0, 128, 128) } .bar { background: url(data:image/gif,x) }</style>"
    '<h1>92 %</h1><p style="width: 123px" class=bar>by line</p>'
    '<img alt=dot src="data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==">'
)
# Each calls the stranger AT in a way of its own, without being touched.
LOADING = (
    "<link rel=preconnect href=AT>", "<link rel=dns-prefetch href=AT>", "<link rel=prefetch href=AT/prefetch>",
    "<link rel=preload as=image href=AT/preload>", "<link rel=stylesheet href=AT/sheet>", "<link rel=icon href=AT/icon>",
    "<link rel=modulepreload href=AT/module>", "<LINK REL=preconnect HREF=AT>",
    "<img src=AT/img>", "<img srcset='AT/srcset 1x'>", "<picture><source srcset=AT/source><img></picture>",
    "<input type=image src=AT/input>", "<body background=AT/body>", "<table background=AT/table><tr><td>x</table>",
    "<video src=AT/video poster=AT/poster autoplay></video>", "<audio src=AT/audio autoplay></audio>",
    "<object data=AT/object></object>", "<embed src=AT/embed>", "<iframe src=AT/iframe></iframe>",
    '<iframe srcdoc="&lt;link rel=preconnect href=AT&gt;&lt;img src=AT/within&gt;"></iframe>',
    "<style>@import url(AT/import);</style>", "<style>#end { list-style: url(AT/list); cursor: url(AT/cursor), auto }</style>",
    "<style>@font-face { font-family: f; src: url(AT/font) } #end { font-family: f; background: url(AT/css) }</style>",
    "<p style='background-image: url(AT/style)'>x</p>",
    "<svg><image href=AT/svg /><use href=AT/use#x /><style>@import url(AT/svgstyle);</style></svg>",
    "<script src=AT/script></script>", '<script type=speculationrules>{"prefetch":[{"urls":["AT/rules"]}]}</script>',
)  # fmt: skip
# What a drawing of its own would call; as an image it may not.
DRAWING = (
    "<?xml-stylesheet href='AT/sheet' type='text/css'?><svg xmlns='http://www.w3.org/2000/svg' width='40' height='9' onload='alert(1)'>"
    "<style>@import url(AT/import); rect { fill: url(AT/css#a) }</style><script href='AT/script'/><script>alert(1)</script>"
    "<image href='AT/img'/><use href='AT/use#a'/><filter id='f'><feImage href='AT/filter'/></filter><rect filter='url(#f)'/>"
    "<foreignObject><img xmlns='http://www.w3.org/1999/xhtml' src='AT/within'/></foreignObject></svg>"
)
LEAVING = ("<meta http-equiv=refresh content='0;url=AT/refresh'>",)
HEARD = {"", "/img", "/css", "/import", "/sheet", "/within", "/style", "/svg", "/iframe", "/refresh"}
HEARD_DRAWN = {"/img", "/import", "/within", "/filter"}
END = "<p id=end>the end</p>"


class Stranger(socketserver.ThreadingTCPServer):
    """A server that remembers who connected: `""` at once, and the path of a request when one comes."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Call)
        self.calls: set[str] = set()
        self.changed = threading.Condition()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def called(self, path: str) -> None:
        with self.changed:
            self.calls.add(path)
            self.changed.notify_all()

    def wait_for(self, paths: set[str]) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: paths <= self.calls, LIMIT), paths - self.calls


class _Call(socketserver.StreamRequestHandler):
    server: Stranger

    def handle(self) -> None:
        self.server.called("")
        if words := self.rfile.readline().split():
            self.server.called(words[1].decode())
            self.wfile.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    with Stranger() as made:
        yield made
        made.shutdown()


def pages_calling(stranger: Stranger) -> dict[str, str]:
    """Return pages by name; what leaves its page has one of its own."""
    pages = ("\n".join(LOADING), *LEAVING)
    return {f"call{number}.html": call.replace("AT", stranger.url) + END for number, call in enumerate(pages)}


def framed(page: Page):
    return page.frame_locator("iframe")


def test_a_page_is_shown_with_its_own_styles(visit, watch, site):
    watch.tolerate("Blocked script execution")  # that of the test, which is put into every page
    site.add_project(
        "styled",
        repository(
            site.top / "styled",
            {".flow.yml": pipelines(p={"steps": {"a": shell("true")}}), "coverage.html": STYLED},
        ),
    )
    run = site.run("styled", "p")
    page = visit(f"{run.page}?step=a&tab=workspace&path=coverage.html")
    assert page.locator("iframe").get_attribute("sandbox") == ""
    expect(framed(page).get_by_role("heading")).to_have_css("color", "rgb(0, 128, 128)")
    expect(framed(page).get_by_text("by line")).to_have_css("width", "123px")
    assert framed(page).get_by_role("img").evaluate("each => each.complete && each.naturalWidth") == 1
    page.get_by_text("Links and scripts in it do not work here").wait_for()
    page.get_by_text("Source", exact=True).click()
    expect(page.get_by_text("<h1>92 %</h1>")).to_be_visible()


LINKING = """
[Guide](../guide%20+%20ü.md#start) [top](/top.txt) [folder](more) [web](https://elsewhere.example/a) [out](../../out)
[act](javascript:alert(1)) [gone](gone.txt) ![sign](../sign.svg) ![far](https://elsewhere.example/b.png)
"""


def test_links_of_markdown_lead_to_files_of_the_workspace(visit, site):
    files = {"docs/read.md": LINKING, "docs/more/a.txt": "a", "guide + ü.md": "# Guided", "top.txt": "at the top"}
    files |= {".flow.yml": pipelines(p={"steps": {"a": shell("true")}}), "sign.svg": DRAWING.replace("AT", "nowhere")}
    site.add_project("linking", repository(site.top / "linking", files))
    run = site.run("linking", "p")
    begin = f"{run.page}?step=a&tab=workspace&path=docs%2Fread.md"
    page = visit(begin)
    drawing = page.get_by_role("img", name="sign")
    assert drawing.evaluate("each => each.decode().then(() => each.naturalWidth)") == 40
    for name in ("out", "act"):
        expect(page.get_by_text(name, exact=True)).to_be_visible()
        expect(page.get_by_role("link", name=name, exact=True)).to_have_count(0)
    for name in ("web", "far"):  # a picture elsewhere is not loaded
        link = page.get_by_role("link", name=name, exact=True)
        assert (link.get_attribute("target"), link.get_attribute("rel")) == ("_blank", "noopener noreferrer")
    page.get_by_role("link", name="Guide").click()
    page.get_by_role("heading", name="Guided").wait_for()
    assert "step=a&tab=workspace&path=" in page.url
    page.go_back()
    page.get_by_role("link", name="top").click()
    page.get_by_text("at the top").wait_for()
    page.go_back()
    page.get_by_role("link", name="folder").click()
    page.get_by_text("Download it as zip").wait_for()
    page.go_back()
    page.get_by_role("link", name="gone").click()
    page.get_by_text("There is no such file here").wait_for()


@pytest.mark.timeout(600)
def test_a_page_calls_nobody(visit, watch, site, stranger):
    watch.tolerate("violates", "Refused", "Blocked", "sandboxed", "policy", "Unsafe attempt")
    files = pages_calling(stranger)
    others = {
        ".flow.yml": pipelines(p={"steps": {"a": shell("true")}}),
        "drawing.svg": DRAWING.replace("AT", stranger.url),
    }
    place = repository(site.top / "calling", {**others, **files})
    site.add_project("calling", place)
    run = site.run("calling", "p")
    page = visit(f"{run.page}?step=a&tab=workspace")
    for name in files:
        load(page, f"{run.page}?step=a&tab=workspace&path={name}")
        expect(framed(page).locator("#end")).to_be_visible()
    load(page, f"{run.page}?step=a&tab=workspace&path=drawing.svg")
    drawing = page.get_by_role("img", name="drawing.svg")
    assert drawing.evaluate("each => each.decode().then(() => each.naturalWidth)") == 40
    with Stranger() as control:  # what comes after is heard of: so would have been what came before
        context = page.context.browser.new_context()
        for text in pages_calling(control).values():
            context.new_page().set_content(text, wait_until="commit")
        control.wait_for(HEARD)
        control.calls.clear()
        (drawn := site.top / "drawing.svg").write_text(DRAWING.replace("AT", control.url))
        context.new_page().goto(drawn.as_uri(), wait_until="commit")  # a drawing that is no image
        control.wait_for(HEARD_DRAWN)
        context.close()
        control.shutdown()
    calls = f"{len(control.calls)} kinds of calls without the policy, {len(stranger.calls)} with it"
    print(f"\n{len(LOADING) + len(LEAVING)} ways to call: {calls}")
    assert stranger.calls == set()
