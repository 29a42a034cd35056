"""What the API tells of the environments of a project, while runs take turns at one and afterwards."""

import asyncio

from flowbuild.testing.home import step
from flowbuild.testing.program import git

PROJECT = "/api/v1/projects/project"


async def test_who_has_an_environment_who_waits_and_what_is_deployed(home, open_site):
    home.write({"a": step(sleep=1_000_000, more={"environment": "prod"})})
    async with open_site() as site:
        added = await site.post("/api/v1/projects", "admin", json={"name": "project", "url": str(home.project)})
        assert added.status_code == 201

        async def start():
            answer = await site.post(f"{PROJECT}/pipelines/test/runs", "developer", json={})
            return answer.json()["id"]

        async def environments():
            answer = await site.get(f"{PROJECT}/environments", "viewer")
            assert answer.status_code == 200, answer.text
            return answer.json()

        assert await environments() == []
        first = await start()
        await site.life.until(first, "a", "run")
        second = await start()
        await site.life.until(second, "a", "waiting")
        [during] = await environments()
        await site.life.client.cancel(first, force=True)
        await site.life.until(second, "a", "run")
        home.write_again({"a": step(more={"environment": "prod"})})
        await asyncio.to_thread(git, home.project, "commit", "--quiet", "--all", "--message", "Hurry")
        await site.post(f"{PROJECT}/fetch", "developer")
        await site.life.client.cancel(second, force=True)
        third = await start()
        await site.life.finished(third)
        fourth = await start()
        await site.life.finished(fourth)
        [after] = await environments()
        pipelines = (await site.get(f"{PROJECT}/pipelines", "viewer")).json()["pipelines"]
        unknown = await site.get("/api/v1/projects/another/environments", "admin")
    assert (during["name"], during["holder"]["run"], during["latest"]["run"]) == ("prod", first, first)
    assert [each["run"] for each in during["waiting"]] == [second]
    assert (during["latest"]["outcome"], during["deployed"]) == (None, None)
    assert (after["holder"], after["waiting"]) == (None, [])
    assert (after["latest"]["run"], after["deployed"]["run"]) == (fourth, fourth)
    assert (after["deployed"]["outcome"], after["deployed"]["step"]) == ("succeeded", "a")
    assert [each["environment"] for each in pipelines[0]["steps"]] == ["prod"]
    assert unknown.status_code == 404
