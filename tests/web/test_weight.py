"""What a browser loads, and pages with much on them. Times are printed, never judged: they say something about the machine."""

from __future__ import annotations

import re
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from flowbuild.testing.browser import load, settled, until
from flowbuild.testing.website import in_container, pipelines, repository, shell

from .shop import WAIT

ROOT = Path(__file__).parents[2]
BUDGET = 245_000  # bytes of scripts and style sheets, packed, until the first page stands
# Words that are in what only some pages need, and in nothing else; and a file of the package that brings them.
LATER = {
    "react-flow__node": "@xyflow/react/dist/base.css",
    "cm-content": "@codemirror/view/dist/index.js",
    "u-over": "uplot/dist/uPlot.min.css",
    "footnoteDefinition": "mdast-util-gfm-footnote/lib/index.js",
    "diff-gutter-": "react-diff-view/es/index.js",
    "ModalBaseCloseButton": "@mantine/core/esm/components/ModalBase/ModalBaseCloseButton.mjs",
    "notifications-container-width": "@mantine/notifications/esm/Notifications.mjs",
    "getVirtualIndexes": "@tanstack/virtual-core/dist/esm/index.js",
}
PACKAGES = ROOT / "web" / "node_modules"
STEPS, LAYER = 300, 15
LINES = 1_000_000


def loaded(page: Page, static: Path) -> list[Path]:
    """Return the built files that a page has loaded, as Chromium tells; also those of workers."""
    names = page.evaluate("performance.getEntriesByType('resource').map((each) => each.name)")
    paths = {urlsplit(name).path.lstrip("/") for name in names}
    return sorted(static / path for path in paths if path and (static / path).is_file())


def packed(path: Path) -> int:
    return path.with_name(f"{path.name}.gz").stat().st_size


def test_the_first_page_is_light(visit, web_app, released):
    page = visit("/")
    settled(page)
    page.locator(f'main a[href="{released.page}"]').first.wait_for()
    files = loaded(page, web_app)
    code = {path.name: packed(path) for path in files if path.suffix in {".js", ".css"}}
    fonts = {path.name: path.stat().st_size for path in files if path.suffix == ".woff2"}
    print(
        f"\nfirst load: {len(code)} scripts and style sheets, {sum(code.values()) / 1000:.1f} kB packed, of {BUDGET / 1000:.0f}"
    )
    print(f"fonts: {len(fonts)}, {sum(fonts.values()) / 1000:.1f} kB")
    assert sum(name.endswith(".js") for name in code) > 1
    assert sum(name.endswith(".css") for name in code) > 0
    assert sum(code.values()) <= BUDGET, code
    texts = {path.name: path.read_text() for path in files if path.suffix in {".js", ".css"}}
    for word in LATER:
        assert [name for name, text in texts.items() if word in text] == [], f"what has {word} is loaded too early"


def test_what_comes_later_is_known_by_its_words(web_app):
    """The negative control of the test above: the words are in the packages, and the graph's are in what was built."""
    for word, file in LATER.items():
        assert word in (PACKAGES / file).read_text(), f"{file} is not known by {word} any more"
    assert any("react-flow__node" in path.read_text() for path in web_app.rglob("*.js"))


STYLED = re.compile(r"\bm_[0-9a-f]{6,8}\b")  # classes of Mantine


def test_all_components_that_are_used_have_their_styles(web_app):
    sheets = PACKAGES / "@mantine" / "core" / "styles"
    loaded = "".join(path.read_text() for path in web_app.rglob("*.css"))
    used = set(STYLED.findall("".join(path.read_text() for path in web_app.rglob("*.js"))))
    missing = {
        path.name: sorted(classes)
        for path in sheets.glob("*.css")
        if not path.name.endswith(".layer.css")
        and (classes := used & set(STYLED.findall(path.read_text())) - set(STYLED.findall(loaded)))
    }
    assert used
    assert missing == {}, "web/src/app/mantine.css must import these"


def graph(count: int, layer: int) -> dict:
    """Return steps in layers: an edge to the step below and to the one beside that. The first layer waits for one step, which fails."""
    steps = {"first": shell("exit 1", success=[f"s{number:03d}" for number in range(layer)])}
    for number in range(count - 1):
        below = number + layer
        beside = number - number % layer + layer + (number + 1) % layer
        targets = [f"s{target:03d}" for target in (below, beside) if target < count - 1]
        steps[f"s{number:03d}"] = shell("true", **({"success": targets} if targets else {}))
    return steps


def test_a_graph_of_300_steps_is_laid_out_and_answers(visit, site):
    place = repository(site.top / "wide", {".flow.yml": pipelines(wide={"steps": graph(STEPS, LAYER)})})
    site.add_project("wide", place)
    run = site.run("wide", "wide")
    page = visit("/")
    settled(page)
    began = time.monotonic()
    load(page, run.page)
    nodes = page.locator("[data-step]")
    expect(nodes).to_have_count(STEPS, timeout=60_000)
    laid_out = time.monotonic() - began
    began = time.monotonic()
    page.locator("[data-step=s007]").dispatch_event("click")  # wherever the view of the graph has it
    expect(page.get_by_role("heading", level=2, name="s007")).to_be_visible()
    print(f"\n{STEPS} steps: on the page after {laid_out:.2f} s, one selected after {time.monotonic() - began:.2f} s")
    assert "step=s007" in page.url
    places = page.evaluate("""() => [...document.querySelectorAll('[data-step]')].map((each) => {
      const { x, y } = each.getBoundingClientRect();
      return `${Math.round(x)} ${Math.round(y)}`;
    })""")
    assert len(set(places)) == STEPS, "some steps lie on others"


@pytest.fixture(scope="package")
def long(site):
    """A run whose only step wrote a million lines. It ends when all of them have arrived, however slow the machine is."""
    said = (f"seq 1 {LINES} | sed 's/$/ the quick brown fox jumps over the lazy dog/'", WAIT.format("end"))
    place = repository(site.top / "long", {".flow.yml": pipelines(long={"steps": {"talk": shell(*said)}})})
    site.add_project("long", place)
    run = site.begin("long", "long")
    site.wait(run, "talk", "running")
    with site.client().stream("GET", f"/api/v1/runs/{run.id}/steps/talk/logs/stream") as log:
        next(line for line in log.iter_lines() if f"{LINES} the quick" in line)
    in_container(run, "talk", "touch", "/tmp/end")
    site.wait(run)
    return run


def test_a_log_of_a_million_lines(visit, long):
    page = visit("/")
    settled(page)
    log = page.get_by_role("log")
    began = time.monotonic()
    load(page, f"{long.page}?step=talk&tab=logs&line=500000")
    expect(log.locator("[data-marked]")).to_contain_text("500000 the quick")
    expect(log.locator("[data-marked]")).to_be_in_viewport()
    there = time.monotonic() - began
    began = time.monotonic()
    page.keyboard.press("End")
    expect(log).to_contain_text(f"{LINES} the quick brown fox", timeout=60_000)
    print(
        f"\n{LINES} lines: the middle by its address after {there:.2f} s, then the end after {time.monotonic() - began:.2f} s"
    )
    page.keyboard.press("Home")
    expect(log.locator("[data-row='0']")).to_contain_text("1 the quick brown fox")
    log.hover()
    for _ in range(40):
        page.mouse.wheel(0, 4000)
    # Lines that come into view are filled, and of all these there are never more than a screen or two on the page.
    until(page, "Number(document.querySelector('[role=log] [data-row]').dataset.row) > 100")
    expect(log.locator("[data-row]").nth(20)).to_contain_text("the quick brown fox")
    assert log.locator("[data-row]").count() < 200
