"""Pages are current by themselves: nobody looks again to see what others do."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import httpx2
import pytest
from playwright.sync_api import expect

from flowbuild.store.database import Database
from flowbuild.testing.browser import load, settled
from flowbuild.testing.payloads import FORGES, Push
from flowbuild.testing.program import LIMIT
from flowbuild.testing.website import in_container, pipelines, repository, shell

FACTS = {"version": "1.0", "machine": "x86_64", "engine": "20.10", "compose": "2.26", "cpus": 4, "memory": 8 << 30}


def card(page, name):
    return page.get_by_role("listitem").filter(has=page.get_by_role("heading", name=name, exact=True))


def register(site, name, **more) -> dict[str, str]:
    """Let a runner in that nobody has started; return the header with its key."""
    body = {"code": site.ask("POST", "runners/codes")["code"], "name": name, "labels": {}, "facts": FACTS, **more}
    made = httpx2.post(f"{site.url}/api/v1/runner/register", json=body, timeout=LIMIT).raise_for_status().json()
    return {"Authorization": f"Bearer {made['key']}"}


def say(site, key, what, **body) -> httpx2.Response:
    """Say something to the server as a runner."""
    return httpx2.post(f"{site.url}/api/v1/runner/{what}", json=body, headers=key, timeout=LIMIT).raise_for_status()


def not_heard_of(site, name, seconds) -> None:
    """Let it be so long ago that a runner was heard of."""

    def write():
        with closing(Database(f"sqlite:///{site.top}/home/flow.db")) as database, database.write() as tx:
            tx.runners.seen(name, time.time() - seconds)

    with ThreadPoolExecutor(1) as aside:  # here is the event loop of the browser, in which nothing may block
        aside.submit(write).result()


def test_a_runner_that_comes_changes_and_goes_is_seen(visit, site):
    page = settled(visit("/runners", who="dev"))
    expect(card(page, "far")).to_have_count(0)
    key = register(site, "far", capacity=3, labels={"disk": "fast"})
    expect(card(page, "far")).to_contain_text("0 of 3")
    say(site, key, "hello", runner=f"far/{'1' * 16}", capacity=5, facts=FACTS)
    expect(card(page, "far")).to_contain_text("ready")
    expect(card(page, "far")).to_contain_text("0 of 5")
    site.ask("POST", "runners/far/drain")
    expect(card(page, "far")).to_contain_text("draining")
    site.ask("DELETE", "runners/far")
    expect(card(page, "far")).to_have_count(0)


def test_a_runner_that_never_came_is_added_again_under_its_name(visit, site):
    page = settled(visit("/runners"))
    register(site, "lost", capacity=1)
    expect(card(page, "lost")).to_contain_text("never seen")
    expect(card(page, "lost")).to_contain_text("add it again under this name")
    key = register(site, "lost", capacity=2)
    expect(card(page, "lost")).to_contain_text("0 of 2")
    say(site, key, "hello", runner=f"lost/{'1' * 16}", capacity=2, facts=FACTS)
    expect(card(page, "lost")).to_contain_text("ready")
    expect(card(page, "lost")).not_to_contain_text("never seen")
    site.ask("DELETE", "runners/lost")


def test_a_drained_runner_that_is_silent_is_told_of_by_what_it_has(visit, site, triggered):
    page, life = settled(visit("/runners")), f"gone/{'1' * 16}"
    gone, project = card(page, "gone"), triggered[0]
    key = register(site, "gone", capacity=1)
    say(site, key, "hello", runner=life, capacity=1, facts=FACTS)
    site.ask("POST", "runners/local/drain")
    run = site.begin(project, "night")
    say(site, key, "claim", runner=life, request_key="a" * 32, wait=30)
    site.ask("POST", "runners/local/activate")
    expect(gone).to_contain_text("busy")
    gone.get_by_role("button", name="Drain").click()
    expect(gone).to_contain_text("draining")
    not_heard_of(site, "gone", 61)
    load(page, page.url)
    expect(gone).to_contain_text("silent")
    expect(gone).to_contain_text("What it works on will be lost")
    site.ask("POST", f"runs/{run.id}/cancel", {"force": True})
    gone.get_by_role("button", name="Revoke").click()
    page.get_by_role("dialog").get_by_role("textbox").fill("gone")
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    gone.wait_for(state="detached")
    site.wait(run)

    say(site, register(site, "gone", capacity=1), "hello", runner=life, capacity=1, facts=FACTS)
    gone.get_by_role("button", name="Drain").click()
    expect(gone).to_contain_text("draining")
    not_heard_of(site, "gone", 61)
    load(page, page.url)
    expect(gone).to_contain_text("drained")
    expect(gone).to_contain_text("activate it and start flow runner there")
    gone.get_by_role("button", name="Activate").click()
    expect(gone).to_contain_text("silent")
    site.ask("DELETE", "runners/gone")


def test_a_machine_tells_what_it_offers_and_can_be_cordoned(visit, site):
    page, life = settled(visit("/runners")), f"box/{'2' * 16}"
    facts = {**FACTS, "hostname": "box-7", "arch": "aarch64", "generic": {"GPU": 2}}
    key = register(site, "box", capacity=1, labels={"disk": "ssd"}, facts=facts)
    say(site, key, "hello", runner=life, capacity=1, facts=facts)
    load = {"processes": 1.5, "memory_free": 3 << 30, "disk_free": 9 << 30, "kept": 0}
    say(site, key, "heartbeat", runner=life, report={"held": [], "forgetting": [], "load": load}, wait=0)
    page.reload()
    box = card(page, "box")
    expect(box).to_contain_text("1.5; free: 3.0 GiB of memory")
    box.get_by_text("What constraints of steps see").click()
    for told in ("node.hostname == box-7", "node.platform.arch == aarch64", "node.labels.disk == ssd"):
        expect(box).to_contain_text(told)
    box.get_by_role("button", name="Cordon").click()
    expect(box).to_contain_text("cordoned")
    expect(box).to_contain_text("It gets no work until it is activated")
    box.get_by_role("button", name="Activate").click()
    expect(box).to_contain_text("ready")
    site.ask("DELETE", "runners/box")


def test_the_runner_inside_the_server_is_one_of_them(visit, site):
    page = settled(visit("/runners"))
    local = card(page, "local")
    expect(local).to_contain_text("of 6")
    expect(local).to_contain_text("inside the server")
    expect(local.get_by_role("button", name="Revoke")).to_have_count(0)
    local.get_by_role("button", name="Drain").click()
    expect(local).to_contain_text("drained")
    expect(local).to_contain_text("It gets no work until it is activated")
    local.get_by_role("button", name="Activate").click()
    expect(local).to_contain_text("ready")


@pytest.fixture(scope="module")
def triggered(site):
    """A project that a webhook and a schedule begin; returns its name and the secret of the webhook."""
    nightly = {"night": {"on": {"schedule": [{"cron": "0 3 * * *"}]}, "steps": {"a": shell("true")}}}
    site.add_project("triggered", repository(site.top / "triggered", {".flow.yml": pipelines(**nightly)}))
    hook = site.ask("POST", "projects/triggered/hooks", {"kind": "github", "name": "forge"})
    return "triggered", hook["secret"]


def test_a_delivery_and_what_followed_are_seen(visit, site, triggered):
    project, secret = triggered
    page = settled(visit(f"/projects/{project}?tab=triggers"))
    expect(page.get_by_text("Nothing was delivered yet")).to_be_visible()
    sent = FORGES["github"](Push()).signed("github", secret)
    httpx2.post(f"{site.url}/hooks/{project}/forge", content=sent.body, headers=dict(sent.headers)).raise_for_status()
    expect(page.get_by_role("link", name="push main")).to_be_visible()
    expect(page.get_by_text("the source has no bbbb")).to_be_visible()


def test_a_schedule_that_somebody_pauses_is_seen(visit, site, triggered):
    project, _ = triggered
    page = settled(visit(f"/projects/{project}?tab=schedules"))
    expect(page.get_by_role("link", name="night")).to_be_visible()
    for paused in (True, False):
        site.ask("PATCH", f"projects/{project}/schedules/night/0", {"paused": paused})
        expect(page.get_by_text("paused", exact=True)).to_have_count(int(paused))


def test_phases_of_a_step_that_runs_are_seen(visit, site):
    run = site.begin("shop", "talk")
    page = visit(f"{run.page}?step=speak&tab=details")
    times = page.get_by_role("region", name="Where the time went")
    expect(times.get_by_text("run", exact=True)).to_be_visible(timeout=120_000)
    expect(times).to_contain_text("so far")
    for phase in ("wait", "checkout", "create"):
        expect(times.get_by_text(phase, exact=True)).to_be_visible()
    load(page, f"{run.page}?view=timeline")
    expect(page.get_by_role("button", name="speak; attempt 1: wait")).to_have_accessible_name(
        re.compile(r"checkout .* s, .*create .* s, run now$")
    )
    in_container(run, "speak", "touch", "/tmp/go")
    in_container(run, "speak", "touch", "/tmp/end")
    site.wait(run)
