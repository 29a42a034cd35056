"""(k) The web app in Chromium: what is loaded, how soon pages stand with the history of years, a log of a million lines, live lines.

Chromium, the server and this process share the processors. What a step says reaches the page through Docker and all of the server.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from bench.api import fill
from bench.figures import Figures
from bench.store import STEPS, History
from playwright.sync_api import Browser, Page

from flowbuild.client.runner import Lease, LogEntry
from flowbuild.services.logbook import Logbook
from flowbuild.store.database import Database
from flowbuild.testing.browser import chromium, open_context, settled, until
from flowbuild.testing.website import RunAddress, WebSite, pipelines, repository, shell
from flowbuild.web.pages import STATIC

LINES = 1_000_000
SAYS = 400  # lines of the step that says its clock
PAUSE = 0.025  # seconds between them
SCREENS = 300  # turns of the wheel, a screen each
BUDGET = 260  # kB
TELL = f"""
import time
for _ in range({SAYS}):
    print(f"clock {{time.time():.6f}}", flush=True)
    time.sleep({PAUSE})
"""
# A line counts as seen in the frame after the one in which it came into the page.
SEEN = """
window.__late = [];
const known = new Set();
new MutationObserver(() => {
  for (const line of document.querySelectorAll('[role=log] [data-row]')) {
    const said = line.textContent.match(/clock (\\d+\\.\\d+)/);
    if (!said || known.has(said[1])) continue;
    known.add(said[1]);
    requestAnimationFrame(() => {
      const channel = new MessageChannel(); // its turn comes after the frame was drawn
      channel.port1.onmessage = () =>
        window.__late.push((performance.timeOrigin + performance.now()) / 1000 - Number(said[1]));
      channel.port2.postMessage(0);
    });
  }
}).observe(document, { childList: true, subtree: true, characterData: true });
"""
FRAMES = """window.__frames = []; window.__go = true;
(() => { let before = performance.now(); const frame = (now) => {
  window.__frames.push(now - before); before = now; if (window.__go) requestAnimationFrame(frame); };
  requestAnimationFrame(frame); })()"""
PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000"


def web(top: Path, *, rounds: int, number: int = 100_000) -> list[Figures]:
    """Measure; `number`: runs that the server knows of."""
    return [_pages(top / "pages", rounds, number), _logs(top / "live", rounds)]


def _pages(top: Path, rounds: int, number: int) -> Figures:
    figures = Figures("web pages", f"(k) pages of a server with {number} runs, {number * STEPS} attempts")
    history = History(number, waiting=0)
    history.projects = [name.replace("/", "-") for name in history.projects]  # they stand in addresses
    with _site(top, FLOW_RUNNER="false") as site:
        site.stop()
        with closing(Database(f"sqlite:///{top / 'home' / 'flow.db'}")) as database:
            fill(database, top / "home" / "flow.db", history)
        _write_log(top / "home" / "logs", history.ids[-1])
        site.start()
        newest = site.ask("GET", f"runs/{history.ids[-1]}")
        run = RunAddress(newest["id"], newest["number"], newest["project"])
        kinds = {
            "home": ("/", "main a[href*='/runs/']"),
            "runs": ("/runs", "main a[href*='/runs/']"),
            "page of a run": (f"{run.page}?step=step-0&tab=overview", "[data-step]"),
        }
        with chromium() as browser:  # its loop is that of this thread, in which a database must not be asked then
            for name, (path, ready) in kinds.items():
                for _ in range(rounds):
                    _load(figures, name, browser, site, path=path, ready=ready)
    for suffix in (".js", ".css", ".woff2"):
        sizes = [_packed(path).stat().st_size for path in STATIC.rglob(f"*{suffix}")]
        figures.note(f"all {suffix} files, kB as sent", sum(sizes) / 1000)
    return figures


def _packed(path: Path) -> Path:
    small = path.with_name(f"{path.name}.gz")
    return small if small.is_file() else path


def _load(figures: Figures, name: str, browser: Browser, site: WebSite, *, path: str, ready: str) -> None:
    """Load a page with an empty cache; add when it first showed something and when it showed what it is for."""
    context = open_context(browser, site)
    page = context.new_page()
    page.goto(path)
    page.locator(ready).first.wait_for()
    figures.add(f"{name}: what it is for", page.evaluate("performance.now() / 1000"))
    figures.add(f"{name}: first paint", page.evaluate(PAINT))
    if path == "/":
        settled(page)
        names = page.evaluate("performance.getEntriesByType('resource').map((each) => new URL(each.name).pathname)")
        files = {STATIC / each.lstrip("/") for each in names if each.endswith((".js", ".css"))}
        loaded = sum(_packed(each).stat().st_size for each in files) / 1000
        figures.aim("scripts and style sheets of the first page, kB", loaded, aim=BUDGET)
    context.close()


def _logs(top: Path, rounds: int) -> Figures:
    figures = Figures(
        "web logs", f"(k) a log of {LINES} lines, and {SAYS} lines from the container's clock to the screen"
    )
    speak = shell('exec python3 -c "$TELL"', image="flow-demo/base")
    speak["compose"]["services"]["main"]["environment"] = {"TELL": TELL}
    talk = shell(f"seq 1 {LINES} | sed 's/$/ the quick brown fox jumps over the lazy dog/'")
    with _site(top) as site:
        files = {".flow.yml": pipelines(speak={"steps": {"speak": speak}}, talk={"steps": {"talk": talk}})}
        site.add_project("loud", repository(top / "loud", files))
        long = site.run("loud", "talk")
        with chromium() as browser:
            for _ in range(rounds):
                _jump(figures, browser, site, long)
            _scroll(figures, browser, site, long)
            late = _live(browser, site)
    for each in late:
        figures.add("line: from its clock to the screen", each)
    figures.note("line: p50 in ms", statistics.median(late) * 1e3)
    figures.note("line: p99 in ms", statistics.quantiles(late, n=100)[-1] * 1e3)
    figures.note("lines seen", len(late))
    return figures


def _jump(figures: Figures, browser: Browser, site: WebSite, run: RunAddress) -> None:
    context = open_context(browser, site)
    page = context.new_page()
    page.goto(f"{run.page}?step=talk&tab=logs&line={LINES // 2}")
    page.locator("[role=log] [data-marked]", has_text=f"{LINES // 2} the quick").wait_for()
    figures.add("line in the middle by its address", page.evaluate("performance.now() / 1000"))
    began = page.evaluate("performance.now()")
    page.keyboard.press("End")
    page.locator("[role=log] [data-row]", has_text=f"{LINES} the quick").wait_for()
    figures.add("then the end", (page.evaluate("performance.now()") - began) / 1000)
    context.close()


def _scroll(figures: Figures, browser: Browser, site: WebSite, run: RunAddress) -> None:
    """Turn the wheel as fast as a hand can, then draw the bar over all of the log; count the frames that came late."""
    context = open_context(browser, site)
    page = context.new_page()
    page.goto(f"{run.page}?step=talk&tab=logs&line=1000")
    page.locator("[role=log] [data-marked]").wait_for()
    page.locator("[role=log]").hover()
    _frames(figures, page, "at rest", lambda: page.wait_for_timeout(2000))
    _frames(figures, page, "wheel", lambda: turn(page))
    drag = f"""async () => {{ const log = document.querySelector('[role=log]');
      for (let turn = 0; turn <= {SCREENS}; turn += 1) {{
        log.scrollTop = (log.scrollHeight - log.clientHeight) * turn / {SCREENS};
        await new Promise(requestAnimationFrame); }} }}"""
    _frames(figures, page, "bar", lambda: page.evaluate(drag))
    context.close()


def turn(page: Page) -> None:
    for _ in range(SCREENS):
        page.mouse.wheel(0, 600)


def _frames(figures: Figures, page: Page, name: str, act: Callable[[], object]) -> None:
    page.evaluate(FRAMES)
    act()
    times = page.evaluate("(window.__go = false, window.__frames)")[1:]
    usual = 1000 / 60
    late = sum(max(0, round(each / usual) - 1) for each in times)
    figures.note(f"{name}: frames", len(times))
    figures.note(f"{name}: dropped frames of 60 a second", late)
    figures.note(f"{name}: longest frame, ms", max(times))


def _live(browser: Browser, site: WebSite) -> list[float]:
    """Return how late each line of a running step came to the screen, in seconds."""
    context = open_context(browser, site)
    context.add_init_script(SEEN)
    page = context.new_page()
    run = site.begin("loud", "speak")
    page.goto(f"{run.page}?step=speak&tab=logs")
    page.locator("h1", has_text="succeeded").wait_for()
    until(page, f"document.querySelector('[role=log] [data-row=\"{SAYS - 1}\"]') !== null")
    late: list[float] = page.evaluate("window.__late")
    context.close()
    return late[SAYS // 10 :]  # the first ones waited for the page


@contextmanager
def _site(top: Path, **settings: str) -> Iterator[WebSite]:
    site = WebSite(top, settings)
    site.start()
    try:
        site.set_up()
        yield site
    finally:
        site.close()


def _write_log(logs: Path, run: str) -> None:
    logbook, lease = Logbook(logs), Lease(run, "step-0", 1, 1)
    logbook.append(lease, 0, [LogEntry("main", "stdout", 1, b"one line\n")])
    logbook.close(lease)
    logbook.close_all()


def build() -> None:
    """Build the web app. Raises subprocess.CalledProcessError."""
    subprocess.run([Path(__file__).parents[1] / "scripts" / "web"], check=True, stdout=sys.stderr)
