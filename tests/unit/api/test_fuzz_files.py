"""Pipeline files that somebody spoilt, through the lint endpoint and through a push: an answer, never an error of ours."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from flowbuild.services.deliveries import INTAKE
from flowbuild.testing.home import step
from flowbuild.testing.payloads import FORGES, Push
from flowbuild.testing.program import git

FUZZED = int(os.environ.get("FLOW_FUZZ_FILES", "100"))
PUSHED = max(5, FUZZED // 20)
PROJECT = "/api/v1/projects/project"
SEEDS = [path.read_text() for path in sorted((Path(__file__).parents[3] / "examples").glob("*/.flow.yml"))]
WITH_TRIGGERS = """
pipelines:
  build:
    on: {push: {branches: [main, "**"]}, schedule: [{cron: "0 3 * * *", timezone: Europe/Riga, branch: main}]}
    concurrency: {group: "g-${{ branch }}", cancel_running: true}
    steps:
      a: {compose: {services: {main: {image: flow-demo/busybox}}}, success: [b]}
      b: {compose: {services: {main: {image: flow-demo/busybox}}}, if: "branch == 'main'"}
  then: {on: {after: build, push: }, steps: {a: {compose: {services: {main: {image: flow-demo/busybox}}}}}}
"""
WORDS = [
    "", "~", "[", "]", "{", "}", ":", "- ", "? ", "\n", "\t", "  ", "'", '"', "&a ", "*a", "<<: ", "!!binary ", "|\n", "---\n", "#",
    "1e999", "-1", "null", "${{", "}}", "${{ inputs.x }}", "on: push\n", "on: {schedule: [{cron: '* * * * *'}]}\n", "\u2028", "\0",
    "\udc80", "a" * 3000, "[" * 200, "99999999999999999999", "../", "steps: ", "compose: {}", "if: x.y", "matrix: {n: [1, 2]}", "\U0001f600",
]  # fmt: skip


def spoilt(random: Random, seed: str = "") -> str:
    """Return a pipeline file of which lines were lost, moved or mixed with other things."""
    lines = (seed or random.choice(SEEDS)).splitlines(keepends=True)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(lines) + 1)
        match random.randrange(4):
            case 0:
                del lines[at : at + random.randint(1, 3)]
            case 1:
                lines.insert(at, random.choice(random.choice(SEEDS).splitlines(keepends=True)))
            case 2:
                lines.insert(at, random.choice(WORDS))
            case _:
                text, cut = "".join(lines), random.randint(0, 8)
                place = random.randrange(len(text) + 1)
                lines = (text[:place] + random.choice(WORDS) + text[place + cut :]).splitlines(keepends=True)
    return "".join(lines)


def test_some_files_are_spoilt_and_some_are_not() -> None:
    random = Random(1)
    assert len({spoilt(random) for _ in range(50)}) > 45
    assert len(SEEDS) > 5


async def test_no_file_breaks_the_lint_endpoint(home, open_site) -> None:
    random, codes, slowest, clean = Random(FUZZED), Counter[int](), 0.0, 0
    async with open_site() as site:
        for _ in range(FUZZED):
            begun = time.perf_counter()
            body = json.dumps({"files": {".flow.yml": spoilt(random)}})  # halves of characters are escaped
            answer = await site.http.post("/api/v1/lint", content=body, headers={"content-type": "application/json"})
            slowest = max(slowest, time.perf_counter() - begun)
            codes[answer.status_code] += 1
            if answer.status_code == 200:
                found = answer.json()
                assert found["pipelines"] or found["findings"]
                clean += not any(finding["severity"] == "error" for finding in found["findings"])
    print(f"{FUZZED} files: {dict(codes)}, {clean} without errors, slowest {slowest:.3f} s")
    assert set(codes) <= {200, 400, 413}
    assert 0 < clean < FUZZED


async def test_no_file_that_is_pushed_breaks_the_server(home, open_site) -> None:
    random, states, slowest = Random(FUZZED), Counter[str](), 0.0
    home.write({"a": step()}, on={"push": {}})
    async with open_site() as site:
        wanted = {"name": "project", "url": str(home.project)}
        assert (await site.post("/api/v1/projects", "admin", json=wanted)).status_code == 201
        hook = (await site.post(f"{PROJECT}/hooks", "maintainer", json={"kind": "github", "name": "forge"})).json()
        to = site.url + hook["url"].removeprefix("https://flow.example")
        for number in range(PUSHED):
            (home.project / ".flow.yml").write_text(spoilt(random, WITH_TRIGGERS), errors="surrogateescape")
            git(home.project, "commit", "--quiet", "--all", "--allow-empty", "--message", str(number))
            push = Push(after=git(home.project, "rev-parse", "HEAD").strip(), message=str(number))
            sent = FORGES["github"](push).signed("github", hook["secret"])
            begun = time.perf_counter()
            answer = await site.http.post(to, content=sent.body, headers=dict(sent.headers))
            assert answer.status_code == 202
            delivery = await settled(site, answer.json()["id"])
            slowest = max(slowest, time.perf_counter() - begun)
            states[delivery["state"]] += 1
            (event,) = delivery["result"]["events"]
            assert "problem" in event or "pipelines" in event
    print(f"{PUSHED} pushes: {dict(states)}, slowest {slowest:.3f} s from the push to what followed")
    assert set(states) <= {"done", "ignored"}


async def settled(site, identifier: str) -> dict:
    """Return a delivery when what follows from it has followed."""
    while True:
        token = site.life.local.signals.token(INTAKE)
        found = (await site.get(f"{PROJECT}/deliveries/{identifier}", "developer")).json()
        if found["state"] != "received":
            return found
        await site.life.local.signals.wait(INTAKE, token, 60)


@pytest.fixture
def home(home):
    home.internal = ("127.0.0.1",)
    return home
