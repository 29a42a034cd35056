"""Pages are current by themselves: nobody looks again to see what others do."""

from __future__ import annotations

import re

import httpx2
import pytest
from playwright.sync_api import expect

from flowbuild.testing.browser import settled
from flowbuild.testing.payloads import FORGES, Push
from flowbuild.testing.website import in_container, pipelines, repository, shell

FACTS = {"version": "1.0", "machine": "x86_64", "engine": "20.10", "compose": "2.26", "cpus": 4, "memory": 8 << 30}


def card(page, name):
    return page.get_by_role("listitem").filter(has=page.get_by_role("heading", name=name, exact=True))


def test_a_runner_that_comes_changes_and_goes_is_seen(visit, site):
    page = settled(visit("/runners", who="dev"))
    expect(card(page, "far")).to_have_count(0)
    code = site.ask("POST", "runners/codes")["code"]
    body = {"code": code, "name": "far", "capacity": 3, "labels": {"disk": "fast"}, "facts": FACTS}
    made = httpx2.post(f"{site.url}/api/v1/runner/register", json=body).json()
    expect(card(page, "far")).to_contain_text("0 of 3")
    expect(card(page, "far")).to_contain_text("silent")
    key = {"Authorization": f"Bearer {made['key']}"}
    hello = {"runner": f"far/{'1' * 16}", "capacity": 5, "facts": FACTS}
    httpx2.post(f"{site.url}/api/v1/runner/hello", json=hello, headers=key).raise_for_status()
    expect(card(page, "far")).to_contain_text("ready")
    expect(card(page, "far")).to_contain_text("0 of 5")
    site.ask("POST", "runners/far/drain")
    expect(card(page, "far")).to_contain_text("draining")
    site.ask("DELETE", "runners/far")
    expect(card(page, "far")).to_have_count(0)


def test_the_runner_inside_the_server_is_one_of_them(visit, site):
    page = settled(visit("/runners"))
    local = card(page, "local")
    expect(local).to_contain_text("of 6")
    expect(local).to_contain_text("inside the server")
    expect(local.get_by_role("button", name="Revoke")).to_have_count(0)
    local.get_by_role("button", name="Drain").click()
    expect(local).to_contain_text("draining")
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
    page.goto(f"{run.page}?view=timeline")
    expect(page.get_by_role("button", name="speak; attempt 1: wait")).to_have_accessible_name(
        re.compile(r"checkout .* s, .*create .* s, run now$")
    )
    in_container(run, "speak", "touch", "/tmp/go")
    in_container(run, "speak", "touch", "/tmp/end")
    site.wait(run)
