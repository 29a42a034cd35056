"""Commands around webhooks, deliveries and schedules, against a server over HTTP."""

import pytest

from flowbuild.testing.home import Home, step
from flowbuild.testing.payloads import FORGES, Push
from flowbuild.testing.program import git

NIGHTLY = {"on": {"push": {}, "schedule": [{"cron": "0 3 * * *"}]}}


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path)
    home.write({"a": step()}, **NIGHTLY)
    return home


async def deliver(site, address, secret, what):
    sent = FORGES["github"](what).signed("github", secret)
    return await site.http.post(address.removeprefix("https://flow.example"), content=sent.body, headers=sent.headers)


async def looked_at(desk, changes):
    """Return the newest delivery once it was dealt with; what began of it changes for a while longer."""
    while (found := (await desk.json("deliveries", "list", "shop"))[0])["state"] == "received":
        await changes.changed()
    return found


async def test_from_a_webhook_to_what_followed(home, open_desk):
    async with open_desk() as desk:
        await desk.site.life.start(home)  # makes the repository
        await desk.flow("projects", "add", "shop", str(home.project))
        printed = await desk.flow("hooks", "add", "shop", "github")
        (address, secret), words = (line.split()[1] for line in printed.splitlines()[:2]), printed.splitlines()[2]
        listed = await desk.flow("hooks", "list", "shop")
        commit = git(home.project, "rev-parse", "HEAD").strip()
        with desk.site.backend.changes() as changes:
            answers = [
                (await deliver(desk.site, address, key, Push(after=commit))).status_code
                for key in (secret, "another secret of some length")
            ]
            done = await looked_at(desk, changes)
        shown = await desk.flow("deliveries", "list", "shop")
        refused = await desk.flow("deliveries", "again", "shop", done["id"], code=2)
        await desk.flow("hooks", "remove", "shop", "forge")
        none = await desk.flow("hooks", "list", "shop")
    assert (address, listed) == ("https://flow.example/hooks/shop/forge", f"forge  github  {address}\n")
    assert "FLOW_FORGE_TOKEN" in words
    assert answers == [202, 401]
    assert (done["hook"], done["event"], done["state"]) == ("forge", "push", "done")
    assert "test: run 0" in shown
    assert "cannot be taken again" in refused
    assert none == ""


async def test_schedules_are_paused_and_resumed(home, open_desk):
    async with open_desk() as desk:
        await desk.site.life.start(home)
        await desk.flow("projects", "add", "shop", str(home.project))
        before = await desk.flow("schedules", "list", "shop")
        await desk.flow("schedules", "pause", "shop", "test")
        paused = await desk.flow("schedules", "list", "shop")
        await desk.flow("schedules", "resume", "shop", "test")
        after = await desk.flow("schedules", "list", "shop")
        missing = await desk.flow("schedules", "pause", "shop", "test", "--position", "1", code=2)
    assert before == after
    assert "03:00" in before
    assert before.startswith("test  0  ")
    assert paused == before.partition("  next ")[0] + "  paused\n"
    assert missing.startswith("flow: ")
