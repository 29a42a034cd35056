"""What it takes to debug a step elsewhere: which attempt, which commit, what is named and not given."""

import pytest

from flowbuild.client import wire
from flowbuild.testing.home import step

PIPELINE = {
    "a": {**step(write="a=1", then="b"), "secrets": ["TOKEN"]},
    "b": {**step(write="b=1", then="c"), "environment": {"name": "prod", "approve": ["approvers"]}},
    "c": step(),
}


@pytest.fixture
async def place(home, open_site):
    """A site, and the address of a run whose second step waits for approval."""
    home.write(PIPELINE)
    async with open_site() as site:
        run = await site.life.start(home, secrets={"TOKEN": "hunter2hunter2"})
        async for update in site.life.client.watch(run.id):
            if update.run.steps[1].state == "waiting":
                break
        yield site, run.id


async def test_the_kit_has_all_but_secrets(place):
    site, run = place
    answer = await site.post(f"/api/v1/runs/{run}/steps/a/debug", json={"attempt": 1, "output": True})
    assert answer.status_code == 200, answer.text
    assert "hunter2" not in answer.text
    assert str(site.life.local.settings.home) not in answer.text
    kit = wire.unpacked(wire.debug_kit.validate_json(answer.content))
    view = await site.life.client.get(run)
    assert kit.assignment.input_commit == view.steps[0].attempts[0].commit
    assert kit.assignment.repository == f"/git/runs/{run}.git"
    assert (kit.missing, kit.assignment.secrets, kit.assignment.token) == (("TOKEN",), {}, "")
    assert kit.command == f"flow --server https://flow.example debug {run} a --attempt 1 --output"


async def test_a_step_that_waits_has_an_input_and_nothing_else(place):
    site, run = place
    got = await site.post(f"/api/v1/runs/{run}/steps/b/debug")
    assert got.json()["assignment"]["input_commit"] == (await site.life.client.get(run)).steps[1].input_commit
    for step_, wanted, status, words in (
        ("b", {"output": True}, 409, "has no result"),
        ("c", {}, 409, "has no input"),
        ("a", {"attempt": 2}, 404, "has no attempt 2"),
        ("b", {"attempt": 1}, 404, "has no attempt 1"),
        ("d", {}, 404, "there is no step 'd'"),
        ("a", {"attempt": 0}, 422, ""),
        ("a", {"other": 1}, 422, ""),
    ):
        answer = await site.post(f"/api/v1/runs/{run}/steps/{step_}/debug", json=wanted)
        assert (answer.status_code, words in answer.text) == (status, True), answer.text


async def test_who_asked_is_noted_and_who_may_not_is_refused(place):
    site, run = place
    assert (await site.post(f"/api/v1/runs/{run}/steps/a/debug")).status_code == 200
    assert (await site.post(f"/api/v1/runs/{run}/steps/a/debug", "viewer")).status_code == 403
    noted = (await site.get("/api/v1/audit", "admin", params={"action": "run.debug"})).json()["items"]
    assert [(each["actor"], each["object"], each["detail"]["step"]) for each in noted] == [
        ("developer", f"run:{run}", "a")
    ]
