"""Chromium with a page that is watched: what it complains about, and who looks at it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Error,
    Page,
    Request,
    Response,
    sync_playwright,
)

from flowbuild.testing.website import ADMIN, WebSite

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
DESKTOP = (1400, 900)
PHONE = (390, 844)
RELOADS = 4
# Runs in each page before anything of it. What is written to window.__xss is what hostile content would write.
WATCH = """
window.__xss = undefined;
window.__asking = 0;
const fetched = window.fetch;
window.fetch = (...request) => {
  window.__asking += 1;
  return fetched(...request).finally(() => { window.__asking -= 1; });
};
window.__violations = [];
document.addEventListener('securitypolicyviolation', (event) => {
  const said = `${event.effectiveDirective} ${event.blockedURI} ${event.sample} at ${event.sourceFile}:${event.lineNumber}`;
  window.__violations.push(said);
  console.error('policy violation: ' + said);
});
"""


# A test went on while a page was still loading; or Docker made a network, and Chromium begins all its connections anew.
PASSING = {"net::ERR_ABORTED", "net::ERR_NETWORK_CHANGED"}
COMING = "[aria-busy=true], [aria-label^=Loading], [role=tabpanel]:empty, .mantine-Skeleton-root"
# The router has drawn what the history of the browser says.
SHOWN = """(({ state, history }) =>
  state.status === 'idle' && state.resolvedLocation?.state.__TSR_key === history.location.state.__TSR_key
)(window.__TSR_ROUTER__)"""
PATIENCE = 90_000  # ms; for a machine that does many things at once


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the Chromium of this machine. Raises AssertionError when it has none."""
    program = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        raise AssertionError(f"none of {', '.join(PROGRAMS)} is installed: scripts/setup --dev does that")
    with sync_playwright() as playwright:
        # Containers have neither what its sandbox needs nor a large /dev/shm.
        options = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=program, args=options)
        try:
            yield browser
        finally:
            browser.close()


@dataclass  # no slots: Playwright keeps something of its own in whose methods it calls
class Watch:
    """What pages complained about: errors of their console and of their scripts, breaches of the policy, answers of 5xx."""

    complaints: list[str] = field(default_factory=list)
    forbidden: list[str] = field(default_factory=list)  # requests that were answered by 403
    dialogs: list[str] = field(default_factory=list)
    _tolerated: list[str] = field(default_factory=list)
    _passed: list[str] = field(default_factory=list)  # addresses whose loading ended in a way that is nobody's fault

    def tolerate(self, *texts: str) -> None:
        """Let complaints that hold one of these texts be: the test causes them."""
        self._tolerated += texts

    def problems(self) -> list[str]:
        """Return the complaints that nobody expected."""
        found = self.complaints + [f"dialog: {text}" for text in self.dialogs]
        return [said for said in found if not any(text in said for text in self._tolerated + self._passed)]

    def over(self, context: BrowserContext) -> None:
        """Watch all pages of a context."""
        context.on("console", self._console)
        context.on("weberror", lambda error: self.complaints.append(f"script: {error.error}"))
        context.on("response", self._response)
        context.on("requestfailed", self._failed)
        context.on("dialog", self._dialog)  # Playwright would close it without a word

    def _console(self, message: ConsoleMessage) -> None:
        # Chromium tells of each answer of 4xx and 5xx; those that are a fault are told of below, with their address.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.complaints.append(f"console: {message.text} ({message.location.get('url', '')})")

    def _dialog(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def _failed(self, request: Request) -> None:
        if request.failure in PASSING:
            self._passed.append(request.url)

    def _response(self, response: Response) -> None:
        if response.status >= 500:
            self.complaints.append(f"{response.status}: {response.request.method} {response.url}")
        elif response.status == 403:
            self.forbidden.append(f"{response.request.method} {response.url}")


def open_context(
    browser: Browser,
    site: WebSite,
    who: str | None = ADMIN,
    *,
    watch: Watch | None = None,
    dark: bool = False,
    phone: bool = False,
) -> BrowserContext:
    """Return a context whose pages see a site as somebody who is logged in; None: as nobody."""
    width, height = PHONE if phone else DESKTOP
    context = browser.new_context(
        base_url=site.url,
        viewport={"width": width, "height": height},
        color_scheme="dark" if dark else "light",
        has_touch=phone,
        locale="en-GB",
        timezone_id="Europe/Riga",
    )
    context.add_init_script(WATCH)
    context.set_default_timeout(PATIENCE)
    if watch is not None:
        watch.over(context)
    if who is not None:
        context.add_cookies(
            [{"name": name, "value": value, "url": site.url} for name, value in site.client(who).cookies.items()]
        )
    return context


def until(page: Page, condition: str) -> None:
    """Wait until an expression is true on a page. `Page.wait_for_function` would need a policy that lets text be run."""
    _evaluate(
        page,
        f"""new Promise((resolve, reject) => {{
      const look = () => ({condition}) ? resolve() : requestAnimationFrame(look);
      setTimeout(() => reject(new Error('never came true: ' + {json.dumps(condition)})), {PATIENCE});
      look();
    }})""",
    )


def _evaluate(page: Page, expression: str) -> None:
    """Evaluate something on a page, again when it loads itself anew in between: see web/src/app/recover.ts."""
    for _ in range(RELOADS):
        try:
            page.evaluate(expression)
        except Error as error:
            if "Execution context was destroyed" not in str(error):
                raise
        else:
            return
    raise AssertionError(f"the page was loaded anew {RELOADS} times")


def load(page: Page, path: str) -> None:
    """Load a page from the server, again when that ended because a network of the machine changed: containers start beside it."""
    for _ in range(RELOADS):
        try:
            page.goto(path)
        except Error as error:
            if "net::ERR_NETWORK_CHANGED" not in str(error):
                raise
        else:
            return
    raise AssertionError(f"the networks of the machine changed {RELOADS} times while {path} was loaded")


def go(page: Page, path: str) -> Page:
    """Bring a page to an address and return it when it shows that; another query as a click does it, all else by loading it.

    Most of the time of tests that look at many pages was that of loading the app again and again.
    """
    if urlsplit(page.url).path == urlsplit(path).path:
        page.evaluate("path => window.__TSR_ROUTER__.history.push(path)", path)
        until(page, SHOWN)
    else:
        load(page, path)
    return settled(page)


def settled(page: Page) -> Page:
    """Return a page when it shows what it was asked for: nothing of it is asked for or loaded any more."""
    until(page, "document.getElementById('root').innerText.trim() !== ''")
    until(page, f"window.__asking === 0 && document.querySelector({json.dumps(COMING)}) === null")
    _evaluate(page, "new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(() => drawn())))")
    until(page, f"window.__asking === 0 && document.querySelector({json.dumps(COMING)}) === null")
    return page
