"""The runner inside a server is a runner among others: listed, drained, given work again; but it has no key."""

import asyncio
from dataclasses import replace

import pytest

from flowbuild.core.errors import Conflict
from flowbuild.services.audit import Actor
from flowbuild.services.runner_keys import RunnerKeys
from flowbuild.testing.far import FarMachine
from flowbuild.testing.home import Home, step
from flowbuild.testing.site import open_site

ADA = Actor("ada")


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path, capacity=2)
    made.write({"a": step()})
    return made


async def listed(site, who="viewer"):
    return {each["name"]: each for each in (await site.get("/api/v1/runners", who)).json()}


async def change(site, verb):
    return await site.post(f"/api/v1/runners/local/{verb}", "admin")


async def why(site, run):
    return (await site.get(f"/api/v1/runs/{run}/steps/a/waiting")).json()


async def waits(site, run):
    """Whether a run's only step is in the queue, and the runner inside gets nothing."""
    await site.life.until(run, "a", "queued")
    claimed = await site.life.local.runners.claim("local/x", request_key="k", wait=0)
    return claimed is None and (await site.life.client.get(run)).steps[0].state == "queued"


async def test_it_is_listed_with_its_load_and_its_machine(tmp_path, home):
    home.write_again({"a": step(sleep=100_000)})
    async with open_site(home, serving=True) as site:
        await FarMachine(tmp_path / "far", capacity=5).register(site)
        idle = await listed(site)
        run = await site.life.start(home)
        await site.life.until(run.id, "a", "run")
        busy = (await listed(site))["local"]
        await site.life.client.cancel(run.id, force=True)
        await site.life.finished(run.id)
    local = idle["local"]
    assert (local["embedded"], local["state"], local["heard"], local["capacity"]) == (True, "active", True, 2)
    assert (local["key_made_at"], local["key_ends_at"], local["key_wanted"]) == (None, None, False)
    assert local["facts"]["version"] == site.backend.version
    assert (local["busy"], busy["busy"]) == (0, 1)
    assert (idle["far"]["embedded"], idle["far"]["capacity"], idle["far"]["key_made_at"] is None) == (False, 5, False)


async def test_drained_it_gets_nothing_until_it_is_activated(home):
    async with open_site(home, serving=True) as site:
        assert (await change(site, "drain")).status_code == 204
        run = (await site.life.start(home)).id
        assert await waits(site, run)
        drained, waiting = (await listed(site))["local"], await why(site, run)
        assert (await change(site, "activate")).status_code == 204
        view = await site.life.finished(run)
    assert (drained["state"], waiting["message"]) == ("draining", "no runner is connected")
    assert (view.state, view.steps[0].attempts[0].node) == ("succeeded", "")


async def test_a_drained_one_stays_so_when_the_server_is_started_anew(home):
    async with open_site(home, serving=True) as site:
        await change(site, "drain")
    async with open_site(home, serving=True) as site:
        assert (await listed(site))["local"]["state"] == "draining"
        run = (await site.life.start(home)).id
        assert await waits(site, run)
        await site.life.client.cancel(run)
        await site.life.finished(run)


async def test_a_program_that_is_no_server_does_its_own_work_all_the_same(home):
    """`flow run` over the home directory of a server whose runner is drained."""
    async with open_site(home, serving=True) as site:
        await change(site, "drain")
        async with home.life() as life:
            assert (await life.finished((await life.start(home)).id)).state == "succeeded"


async def test_a_server_without_one_has_none(home):
    """Also when it had one before."""
    async with open_site(home, serving=True):
        pass
    home.runner = False
    async with open_site(home, embedded=False) as site:
        assert await listed(site) == {}
        assert (await why(site, (await site.life.start(home)).id))["details"]["places"] == 0


async def test_it_has_no_key_to_change_or_to_take_away(home):
    async with open_site(home, serving=True) as site:
        rotated = await change(site, "rotate")
        revoked = await site.http.delete("/api/v1/runners/local", headers=site.as_("admin"))
        assert [each.status_code for each in (rotated, revoked)] == [409, 409]
        assert "has no key" in revoked.json()["detail"]
        assert "FLOW_RUNNER=false" in revoked.json()["hint"]
        assert (await listed(site))["local"]["state"] == "active"
        old = RunnerKeys(site.life.local.database, site.life.local.signals, lambda: 1e12, max_days=1)
        (row,) = await asyncio.to_thread(site.backend.machines.registration.runners)
        assert (old.ends_at(row), old.is_wanted(row)) == (None, False)
        other = replace(row, name="far")  # the control
        assert (old.ends_at(other) is None, old.is_wanted(other)) == (False, True)
        with pytest.raises(Conflict):
            await asyncio.to_thread(site.backend.machines.registration.revoke, "local", ADA)


async def test_it_never_falls_silent(home):
    async with open_site(home, serving=True) as site:
        assert await asyncio.to_thread(site.backend.machines.registration.heard_until) == {}
