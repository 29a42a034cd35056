"""The pictures of docs/images/web; called by scripts/screenshots."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

from flowbuild.testing.browser import chromium, open_context, settled
from flowbuild.testing.program import git
from flowbuild.testing.website import RunAddress, WebSite, commit, in_container, pipelines, repository, shell

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "images" / "web"
WAIT = "until [ -e /tmp/go ]; do sleep 0.1; done"
TEST = [
    "echo testing on $SYSTEM",
    "i=0; while [ $i -lt 40 ]; do i=$((i+1)); printf 'test_%02d_cart \\033[32mok\\033[0m\\n' $i; done",
    "if [ \"$BREAK\" = tests ]; then printf 'test_41_cart \\033[1;31mFAILED\\033[0m\\n'",
    "printf '\\033[31mERROR: tests/test_cart.py:41: the sum of 3 apples is 2.97, not 3.00\\033[0m\\n'; exit 1; fi",
    "mkdir -p reports",
    'echo \'<testsuite name="cart"><testcase classname="cart" name="adds up"/></testsuite>\' > reports/junit-$SYSTEM.xml',
]


def deliver() -> dict[str, Any]:
    """Return the pipeline of the pictures: branches side by side, a matrix, a service that stays up, an approval, a mail on failure."""
    tests = shell(*TEST, f'[ -z "$SLOW" ] || {{ {WAIT}; }}', success=["preview"], fail=["tell"])
    tests["compose"]["services"]["main"]["environment"] = {"SYSTEM": "${{ matrix.system }}"}
    return {
        "description": "Build, test on three systems, try it out, ask, deploy",
        "on": {"push": {"branches": ["main"]}, "schedule": {"cron": "30 4 * * 1-5", "timezone": "Europe/Riga"}},
        "inputs": {"target": {"type": "choice", "options": ["staging", "production"], "default": "staging"}},
        "variables": {"BREAK": "", "SLOW": "", "GREETING": "hello"},
        "steps": {
            "build": shell(
                "i=0; while [ $i -lt 60 ]; do i=$((i+1)); printf '\\033[32m[%2d/60]\\033[0m compiling part_%d.c\\n' $i $i; done",
                "mkdir -p build; echo 'version = \"1.4.0\"' > build/version.py; echo built > build/log.txt",
                "echo 1.4.0 > /variables/VERSION; sed -i 's/0.99/1.00/' src/cart.py; rm -f TODO.md",
                success=["tests", "lint", "docs"],
                fail=["tell"],
            ),
            "tests": {**tests, "matrix": {"system": ["debian", "alpine", "ubuntu"]}},
            "lint": shell("echo 'src/cart.py: clean'", success=["preview"], fail=["tell"]),
            "docs": shell(
                'for page in index start prices orders help; do echo "site/$page.md: written"; done',
                "mkdir -p site; echo '# Shop' > site/index.md; echo '**24** pages' > $FLOW_SUMMARY",
                f'[ -z "$SLOW" ] || {{ {WAIT}; }}',
                success=["deploy"],
                fail=["tell"],
            ),
            "preview": shell("echo serving; exec sleep 600", background=True, success=["try"], fail=["tell"]),
            "try": shell("echo trying it out; sleep 1", success=["deploy"], fail=["tell"]),
            "deploy": shell(
                "echo deploying $VERSION",
                environment={"name": "production", "approve": ["maintainers"]},
                fail=["tell"],
            ),
            "tell": shell("echo mail sent", join="any"),
        },
    }


def quick(*words: str) -> dict[str, Any]:
    """Return a pipeline of a few steps, one after another."""
    steps = {name: shell(f"echo {name}", *(["exit $((CODE))"] if name == words[-1] else [])) for name in words}
    for name, following in pairwise(words):
        steps[name]["success"] = [following]
    return {"variables": {"CODE": "0"}, "steps": steps}


FILES = {
    ".flow.yml": pipelines(deliver=deliver(), nightly=quick("fetch", "scan", "report")),
    "src/cart.py": "PRICE = 0.99\n\n\ndef total(apples):\n    return apples * PRICE\n",
    "tests/test_cart.py": "from cart import total\n",
    "README.md": "# Shop\n\nSells apples.\n",
    "TODO.md": "Prices\n",
}
# What the editor is to show: a step that does not exist, and a key that does not.
WRONG = """pipelines:
  release:
    description: From a commit to a release
    steps:
      build:
        compose:
          services:
            build: {image: flow-demo/busybox, command: make}
        success: [unit, lint]
      unit:
        compose:
          services:
            unit: {image: flow-demo/busybox, command: make test}
        success: [publsh]
        retires: 2
      lint:
        compose:
          services:
            lint: {image: flow-demo/busybox, command: make lint}
        success: [publish]
      publish:
        compose:
          services:
            publish: {image: flow-demo/busybox, command: make publish}
"""


@dataclass
class Scene:
    """What is on the server, and a camera."""

    site: WebSite
    browser: Browser
    good: RunAddress
    failed: RunAddress
    running: RunAddress

    def shoot(
        self,
        name: str,
        path: str,
        *,
        ready: Callable[[Page], None] = lambda _page: None,
        dark: bool = False,
        phone: bool = False,
    ) -> None:
        """Take a picture of a page when `ready` returns."""
        context = open_context(self.browser, self.site, dark=dark, phone=phone)
        page = context.new_page()
        page.goto(path)
        settled(page)
        ready(page)
        page.wait_for_load_state("networkidle" if path == "/login" else "load")
        page.evaluate("document.fonts.ready")
        page.mouse.move(0, 0)
        kind = ("-dark" if dark else "") + ("-phone" if phone else "")
        page.screenshot(path=PICTURES / f"{name}{kind}.png", animations="disabled")
        context.close()
        print(f"{name}{kind}.png")


def see(selector: str, text: str = "") -> Callable[[Page], None]:
    """Return what waits for an element, perhaps with a text."""
    return lambda page: page.locator(selector, has_text=text or None).first.wait_for()


def home(scene: Scene) -> None:
    """All pipelines."""
    for dark, phone in ((False, False), (True, False), (False, True)):
        scene.shoot("home", "/", ready=see("main a", "deliver"), dark=dark, phone=phone)


def run(scene: Scene) -> None:
    """A run with branches side by side, of which some still run."""
    path = f"{scene.running.page}?step=docs&tab=logs"
    for dark, phone in ((False, False), (True, False), (False, True)):
        scene.shoot("run", path, ready=see("[data-step=docs][data-look=running]"), dark=dark, phone=phone)


def failed(scene: Scene) -> None:
    """The first error of a failed run."""

    def first_error(page: Page) -> None:
        page.keyboard.press("f")
        see("[role=log]", "test_40_cart")(page)
        page.keyboard.press("e")
        see("[role=log] [data-current]")(page)

    for dark, phone in ((False, False), (True, False), (True, True)):
        scene.shoot("failed", f"{scene.failed.page}?tab=overview", ready=first_error, dark=dark, phone=phone)


def changes(scene: Scene) -> None:
    """What a step changed."""
    path = f"{scene.good.page}?step=build&tab=changes&path=src%2Fcart.py"
    for dark in (False, True):
        scene.shoot("changes", path, ready=see("main", "VERSION"), dark=dark)


def timeline(scene: Scene) -> None:
    """When what ran."""
    for dark in (False, True):
        scene.shoot("timeline", f"{scene.good.page}?view=timeline&step=build", ready=see("main", "try"), dark=dark)


def compare(scene: Scene) -> None:
    """Two runs side by side."""
    for dark in (False, True):
        path = f"{scene.good.page}/compare/{scene.failed.number}"
        scene.shoot("compare", path, ready=see("main", "BREAK"), dark=dark)


def file(scene: Scene) -> None:
    """A pipeline file that is being edited, with what is wrong in it."""
    for dark in (False, True):
        path = "/projects/docs/pipelines/release/file?ref=broken"
        scene.shoot("file", path, ready=see("main", "publsh"), dark=dark)


def runners(scene: Scene) -> None:
    """Machines and what they run."""
    for dark in (False, True):
        scene.shoot("runners", "/runners", ready=see("main"), dark=dark)


def environments(scene: Scene) -> None:
    """What is deployed where."""
    path = "/projects/shop?tab=environments"
    for dark, phone in ((False, False), (True, False), (False, True)):
        scene.shoot("environments", path, ready=see("main", "#"), dark=dark, phone=phone)


VIEWS = (home, run, failed, changes, timeline, compare, file, runners, environments)
SHOTS = {each.__name__: each for each in VIEWS}


def arrange(site: WebSite) -> tuple[RunAddress, RunAddress, RunAddress]:
    """Fill a server with a history; return a run that succeeded, one that failed, and one that runs."""
    site.set_up()
    site.add_project("shop", repository(site.top / "shop", FILES))
    site.add_user("mia", shop="maintainer")
    docs = repository(site.top / "docs", {".flow.yml": pipelines(release=quick("build", "check", "publish"))})
    site.add_project("docs", docs)
    for code in "001000010":
        site.run("shop", "nightly", variables={"CODE": code})
    for code in "00010":
        site.run("docs", "release", variables={"CODE": code})
    git(docs, "switch", "--quiet", "--create", "broken")
    commit(docs, {".flow.yml": WRONG}, "Retry the tests")
    git(docs, "switch", "--quiet", "main")
    site.ask("POST", "projects/docs/fetch")
    bad = site.run("shop", "deliver", variables={"BREAK": "tests"})
    good = _approved(site, site.begin("shop", "deliver"))
    running = site.begin("shop", "deliver", variables={"SLOW": "yes"})
    site.wait(running, "docs", "running")
    debian = next(step["key"] for step in site.view(running)["steps"] if "debian" in step["key"])
    site.wait(running, debian, "running")
    in_container(running, debian, "touch", "/tmp/go")  # its branch goes on; the others still run
    site.wait(running, debian)
    return good, bad, running


def _approved(site: WebSite, run: RunAddress) -> RunAddress:
    site.wait(run, "deploy", "waiting")
    site.ask("POST", f"runs/{run.id}/steps/deploy/approve", {"comment": "Looks good"}, who="mia")
    site.wait(run)
    return run


def main(names: list[str]) -> None:
    """Take the pictures with these names, without any all of them."""
    if unknown := set(names) - set(SHOTS):
        sys.exit(f"error: there is no picture {', '.join(sorted(unknown))}; there are {', '.join(SHOTS)}")
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="flow-pictures-") as top, chromium() as browser:
        site = WebSite(Path(top))
        site.start()
        try:
            scene = Scene(site, browser, *arrange(site))
            for name in names or SHOTS:
                SHOTS[name](scene)
        finally:
            site.close()


if __name__ == "__main__":
    main(sys.argv[1:])
