"""A server with a shop on it, a browser, and pages that are watched: what they complain about fails the test that made them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from flowbuild.testing.browser import Watch, chromium, load, open_context
from flowbuild.testing.website import ADMIN, RunAddress, WebSite, repository

from .shop import FILES

ROOT = Path(__file__).parents[2]
FAILURES = ROOT / "build" / "web-failures"
HERE = Path(__file__).parent
REPORTS = pytest.StashKey[dict[str, pytest.TestReport]]()

Visit = Callable[..., Page]


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist looks for groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of them need Docker, and share one server and one browser: they stay in one process, which begins with them."""
    items.sort(key=lambda item: HERE not in item.path.parents)  # at the end one process would wait for the other
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.docker)
            item.add_marker(pytest.mark.xdist_group("web"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    item.stash.setdefault(REPORTS, {})[report.when] = report
    return report


@pytest.fixture(scope="package")
def web_app() -> Path:
    """Build the web app; return the folder of its files."""
    built = subprocess.run([ROOT / "scripts" / "web"], check=False, capture_output=True, text=True)
    assert built.returncode == 0, f"scripts/web could not build the web app:\n{built.stdout}{built.stderr}"
    return ROOT / "src" / "flowbuild" / "web" / "static"


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="package")
def site(web_app: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebSite]:
    """A server with the project `shop`: ada is the admin, max maintains it, dev develops, vera looks on."""
    top = tmp_path_factory.mktemp("site")
    made = WebSite(top)
    made.start()
    try:
        made.set_up()
        made.add_project("shop", repository(top / "shop", FILES))
        for name, role in {"max": "maintainer", "dev": "developer", "vera": "viewer"}.items():
            made.add_user(name, shop=role)
        yield made
    finally:
        made.close()


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def visit(request: pytest.FixtureRequest, browser: Browser, site: WebSite, watch: Watch) -> Iterator[Visit]:
    """Return a function that opens a path as somebody: `visit("/runs", who="vera", dark=True)`; `of` another site.

    `traced=False` for walks over many pages: keeping a copy of each at each step costs as much as the steps, and what such
    a test says names the page.
    """
    contexts: dict[BrowserContext, bool] = {}

    def open_page(path: str, *, who: str | None = ADMIN, of: WebSite = site, traced: bool = True, **more: bool) -> Page:
        context = open_context(browser, of, who, watch=watch, **more)
        if traced:
            context.tracing.start(screenshots=False, snapshots=True)
        contexts[context] = traced
        page = context.new_page()
        load(page, path)
        return page

    yield open_page
    ended = request.node.stash.get(REPORTS, {}).get("call")
    problems = watch.problems()
    failed = ended is None or ended.failed or bool(problems)
    for number, (context, traced) in enumerate(contexts.items()):
        if failed:
            _keep(context, request.node, number, traced=traced)
        context.close()
    assert not problems, "pages complained:\n" + "\n".join(problems)


def _keep(context: BrowserContext, item: pytest.Item, number: int, *, traced: bool) -> None:
    """Keep what a test that failed saw: pictures of its pages, and a trace for `playwright show-trace`."""
    FAILURES.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^\w.-]+", "-", f"{item.path.stem}-{item.name}-{number}")
    for place, page in enumerate(context.pages):
        page.screenshot(path=FAILURES / f"{name}-{place}.png")
    if traced:
        context.tracing.stop(path=FAILURES / f"{name}.zip")


@pytest.fixture(scope="package")
def released(site: WebSite) -> RunAddress:
    """A run of `release` that succeeded."""
    return site.run("shop", "release")


@pytest.fixture(scope="package")
def broken(site: WebSite) -> RunAddress:
    """A run of `broken`, whose step `check` failed."""
    return site.run("shop", "broken")
