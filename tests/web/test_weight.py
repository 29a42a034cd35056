"""What a browser loads, and pages with much on them. Times are printed, never judged: they say something about the machine."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from flowbuild.testing.browser import settled
from flowbuild.testing.website import pipelines, repository, shell

BUDGET = 260_000  # bytes of scripts and style sheets, packed, until the first page stands
# Words that are in what is only for some pages, and in nothing else.
LATER = {"graph": "react-flow__", "editor": "cm-editor", "charts": "u-over", "Markdown": "remark", "diff": "diff-gutter"}
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
    print(f"\nfirst load: {len(code)} scripts and style sheets, {sum(code.values()) / 1000:.1f} kB packed, of {BUDGET / 1000:.0f}")
    print(f"fonts: {len(fonts)}, {sum(fonts.values()) / 1000:.1f} kB")
    assert sum(name.endswith(".js") for name in code) > 1
    assert sum(name.endswith(".css") for name in code) > 0
    assert sum(code.values()) <= BUDGET, code
    texts = {path.name: path.read_text() for path in files if path.suffix in {".js", ".css"}}
    for part, word in LATER.items():
        assert [name for name, text in texts.items() if word in text] == [], f"{part} is loaded too early"


def test_what_comes_later_is_known_by_its_words(web_app):
    """The negative control of the test above: each of the words is in some file."""
    texts = [path.read_text() for path in web_app.rglob("*") if path.suffix in {".js", ".css"}]
    for part, word in LATER.items():
        assert any(word in text for text in texts), f"{part} is not known by {word!r} any more"


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
    page.goto(run.page)
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
    """A run whose only step wrote a million lines."""
    text = f"seq 1 {LINES} | sed 's/$/ the quick brown fox jumps over the lazy dog/'"
    place = repository(site.top / "long", {".flow.yml": pipelines(long={"steps": {"talk": shell(text)}})})
    site.add_project("long", place)
    return site.run("long", "long")


def test_a_log_of_a_million_lines(visit, long):
    page = visit("/")
    settled(page)
    log = page.get_by_role("log")
    began = time.monotonic()
    page.goto(f"{long.page}?step=talk&tab=logs&line=500000")
    expect(log.locator("[data-marked]")).to_contain_text("500000 the quick")
    expect(log.locator("[data-marked]")).to_be_in_viewport()
    there = time.monotonic() - began
    began = time.monotonic()
    page.keyboard.press("End")
    expect(log).to_contain_text(f"{LINES} the quick brown fox")
    print(f"\n{LINES} lines: the middle by its address after {there:.2f} s, then the end after {time.monotonic() - began:.2f} s")
    page.keyboard.press("Home")
    expect(log.locator("[data-row='0']")).to_contain_text("1 the quick brown fox")
    log.hover()
    for _ in range(40):
        page.mouse.wheel(0, 4000)
    # Lines that come into view are filled, and of all these there are never more than a screen or two on the page.
    page.wait_for_function("Number(document.querySelector('[role=log] [data-row]').dataset.row) > 100")
    expect(log.locator("[data-row]").nth(20)).to_contain_text("the quick brown fox")
    assert log.locator("[data-row]").count() < 200
