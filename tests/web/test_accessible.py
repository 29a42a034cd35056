"""Every page, light and dark, asked by axe: nothing serious or critical. It looks at pages from outside; their policy stays as it is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Page

from flowbuild.testing.browser import go, settled, until

from .chatting import Bot

AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
GRAVE = {"serious", "critical"}
SCHEME = "document.documentElement.dataset.mantineColorScheme"
# What a page looks like after something was done on it: keys, or a button.
DIALOGS = {
    "run: run again": ("{broken}?step=check&tab=logs", "r"),
    "run: keys": ("{broken}", "?"),
    "project: add a secret": ("/projects/shop?tab=secrets", "Add a secret"),
    "project: add a channel": ("/projects/shop?tab=notifications", "Add a channel"),
    "pipeline: hold": ("/projects/shop/pipelines/ship", "Hold ship"),
    "account: link a chat account": ("/account?tab=chat", "Link a chat account"),
    "bots: add one": ("/bots", "Add a bot"),
}
PAGES = {
    "home": "/",
    "home, filtered": "/?state=failing",
    "home, nothing fits": "/?q=nothing-is-called-so",
    "runs": "/runs",
    "queue": "/queue",
    "runners": "/runners",
    "projects": "/projects",
    "add a project": "/projects/new",
    "added a project": "/projects/new?added=shop",
    **{f"project: {tab}": f"/projects/shop?tab={tab}" for tab in ("pipelines", "triggers", "schedules", "secrets")},
    **{f"project: {tab}": f"/projects/shop?tab={tab}" for tab in ("members", "settings", "notifications")},
    "project: log of a channel": "/projects/shop?tab=notifications&channel=team",
    "pipeline: history": "/projects/shop/pipelines/release",
    "pipeline: file": "/projects/shop/pipelines/release/file",
    "pipeline: start": "/projects/shop/pipelines/asks/start",
    "pipeline: held": "/projects/shop/pipelines/paint",
    "pipeline: held, start": "/projects/shop/pipelines/paint/start",
    **{f"run: {tab}": "{released}?step=unit&tab=" + tab for tab in ("changes", "workspace", "details", "overview")},
    "run: workspace, file": "{released}?step=unit&tab=workspace&path=README.md",
    "run: failed, logs": "{broken}?step=check&tab=logs",
    "run: failed, overview": "{broken}?tab=overview",
    "run: list": "{broken}?view=list",
    "run: timeline": "{released}?view=timeline",
    "run: waits for approval": "{waiting}",
    "run: waits, details": "{waiting}?step=deploy&tab=details",
    "compare": "{broken}/compare/{number}",
    "account": "/account",
    "account: tokens": "/account?tab=tokens",
    "account: logins": "/account?tab=logins",
    "account: chat": "/account?tab=chat",
    "account: notifications": "/account?tab=notifications&channel=me",
    "users": "/users",
    "bots": "/bots",
    "audit": "/audit",
    "no such page": "/nowhere",
    "no such run": "/projects/shop/runs/4711",
}


@dataclass
class Asked:
    """What axe found on a page, in words."""

    checks: int
    violations: list[str]


def ask(page: Page) -> Asked:
    """Let axe look at a page as it is now."""
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(AXE.read_text())
    # `preload` would fetch style sheets a second time; no check that is on needs it.
    found = page.evaluate("axe.run(document, { preload: false, resultTypes: ['violations'] })")
    return Asked(
        checks=len(found["passes"]),
        violations=[
            f"{each['impact']} {each['id']}: {node['target']} {json.dumps(node['html'][:160])} {node['failureSummary']}"
            for each in found["violations"]
            if each["impact"] in GRAVE
            for node in each["nodes"][:3]
        ],
    )


@pytest.fixture(scope="package")
def waiting(site):
    """A run whose step `deploy` waits for approval."""
    run = site.begin("shop", "ship")
    site.wait(run, "deploy", "waiting")
    return run


@pytest.fixture
def told(site):
    """Channels that were told something, a bot, a chat account, and a pipeline that is held as long as the test goes on."""
    bot = Bot(site, "helper")
    bot.link("ada", "@ada:example.org")
    for place, target in {"projects/shop": "#team:example.org", "account": ""}.items():
        name = "team" if target else "me"
        site.ask("POST", f"{place}/channels", {"name": name, "kind": "matrix", "target": target})
        for state, error in (("sent", ""), ("failed", "nobody is in that room"), ("again", "no answer"), ("", "")):
            site.ask("POST", f"{place}/channels/{name}/test")
            if state:
                bot.settle(state, error)
    site.ask("PUT", "projects/shop/pipelines/paint/hold", {"reason": "The brushes dry"})
    yield
    site.ask("DELETE", "projects/shop/pipelines/paint/hold")
    site.ask("DELETE", "projects/shop/channels/team")
    site.ask("DELETE", "account/channels/me")
    site.ask("DELETE", "bots/helper")


@pytest.fixture
def addresses(released, broken, waiting, site):
    """Fill in the addresses of pages."""
    other = site.run("shop", "broken").number

    def filled(path: str) -> str:
        return path.format(released=released.page, broken=broken.page, waiting=waiting.page, number=other)

    return filled


def at_rest(page: Page) -> None:
    """Wait until nothing of a page moves: colours that are on their way are those of no state."""
    settled(page)
    until(page, "document.getAnimations().every((each) => each.effect.getTiming().iterations === Infinity)")


def ask_in_both(page: Page, name: str) -> dict[str, list[str]]:
    """Return what axe found, by name and scheme, on a page as it is and then in the other scheme; it stays in that."""
    found = {}
    for switch in (False, True):
        was = page.evaluate(SCHEME)
        if switch:
            page.emulate_media(color_scheme="light" if was == "dark" else "dark")
        at_rest(page)
        scheme = page.evaluate(SCHEME)
        assert (scheme != was) is switch, "the page does not follow the browser"
        asked = ask(page)
        assert asked.checks > 5, f"axe saw nothing on {name}"
        found[f"{name}, {scheme}"] = asked.violations
    return found


def said(found: dict[str, list[str]], what: str) -> str:
    """Return all that was found in words, none when there was nothing."""
    print(f"\naxe: {len(found)} {what}, {sum(map(len, found.values()))} serious or critical")
    return "\n".join(f"{name}: {each}" for name, violations in found.items() for each in violations)


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("told")
def test_pages_are_accessible(visit, addresses):
    """Every page in the scheme in which the one before was left, then in the other one."""
    page, found = visit("/", traced=False), {}
    for name, path in PAGES.items():
        go(page, addresses(path))
        found |= ask_in_both(page, name)
    assert len(found) == 2 * len(PAGES)
    assert not said(found, "pages")


def test_dialogs_are_accessible(visit, addresses):
    page, found = visit("/", traced=False), {}
    for name, (path, how) in DIALOGS.items():
        go(page, addresses(path))
        at_rest(page)
        if len(how) == 1:
            page.keyboard.press(how)
        else:
            page.get_by_role("button", name=how).click()
        page.get_by_role("dialog").wait_for()
        found |= ask_in_both(page, name)
        page.keyboard.press("Escape")
        page.get_by_role("dialog").wait_for(state="detached")
    assert len(found) == 2 * len(DIALOGS)
    assert not said(found, "dialogs")


@pytest.mark.parametrize("path", ["/login", "/setup"])
@pytest.mark.parametrize("dark", [False, True])
def test_pages_for_those_who_are_not_known_are_accessible(visit, path, dark):
    """These are loaded in each scheme; what a page shows at once is no other than after a switch."""
    page = visit(path, who=None, dark=dark)
    at_rest(page)
    assert page.evaluate(SCHEME) == ("dark" if dark else "light")
    assert ask(page).violations == []


def test_axe_finds_what_is_wrong(visit):
    """The negative control: a button without a name, and grey on grey."""
    page = visit("/")
    at_rest(page)
    page.evaluate("""() => {
      const button = document.querySelector('main').appendChild(document.createElement('button'));
      button.style.padding = '1em';
      const text = document.querySelector('main').appendChild(document.createElement('p'));
      text.textContent = 'grey on grey';
      text.style.color = '#888';
      text.style.background = '#777';
    }""")
    said = "\n".join(ask(page).violations)
    assert "critical button-name" in said
    assert "serious color-contrast" in said
