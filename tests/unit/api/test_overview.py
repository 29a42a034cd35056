"""All pipelines at a glance, the queue, and the stream of what happens to runs."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from flowbuild.services.decisions import run_topic
from flowbuild.services.news import deliveries_topic, runner_topic, schedules_topic
from flowbuild.testing.far import FarMachine
from flowbuild.testing.home import Home, step
from flowbuild.testing.payloads import FORGES, Push
from flowbuild.testing.program import git
from flowbuild.testing.site import open_site


async def start(site, pipeline="test", **wanted):
    answer = await site.post(f"/api/v1/projects/shop/pipelines/{pipeline}/runs", "admin", json=wanted)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


async def glance(site, who="admin", **query):
    answer = await site.get("/api/v1/pipelines", who, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_pipelines_with_their_latest_runs(home):
    home.write({"a": step(exit=0)}, description="what it is for", inputs={"n": {"type": "number", "default": 1}})
    async with open_site(home) as site:
        await site.add_project(home, "shop")
        before = await glance(site)
        ids = [await start(site) for _ in range(3)]
        for run in ids:
            await site.life.finished(run)
        [shop] = await glance(site, last=2)
        none, stranger = await glance(site, project="other"), await glance(site, "stranger")
    assert (before[0]["branch"], before[0]["errors"], before[0]["problem"]) == ("main", 0, "")
    assert before[0]["pipelines"][0]["runs"] == []
    assert before[0]["pipelines"][0]["success_rate"] is None
    [pipeline] = shop["pipelines"]
    assert (pipeline["name"], pipeline["known"], pipeline["description"]) == ("test", True, "what it is for")
    assert [each["name"] for each in pipeline["inputs"]] == ["n"]
    assert [each["id"] for each in pipeline["runs"]] == ids[:0:-1]
    assert (pipeline["success_rate"], pipeline["median_seconds"] > 0) == (1, True)
    assert (none, stranger) == ([], [])


async def test_pipelines_of_other_branches_and_broken_files(home):
    home.write({"a": step()})
    async with open_site(home) as site:
        await site.add_project(home, "shop")
        git(home.project, "switch", "--quiet", "--create", "feature")
        text = (home.project / ".flow.yml").read_text().replace("test:", "new:")
        (home.project / ".flow.yml").write_text(text)
        git(home.project, "commit", "--quiet", "--all", "--message", "new")
        git(home.project, "switch", "--quiet", "main")
        await site.life.finished(await start(site, "new", ref="feature"))
        [shop] = await glance(site)
        (home.project / ".flow.yml").write_text("pipelines:\n  p: {steps: 5}\n")
        git(home.project, "commit", "--quiet", "--all", "--message", "broken")
        await site.post("/api/v1/projects/shop/fetch", "admin")
        [broken] = await glance(site)
    assert [(each["name"], each["known"], len(each["runs"])) for each in shop["pipelines"]] == [
        ("test", True, 0),
        ("new", False, 1),
    ]
    assert (broken["errors"] > 0, [each["name"] for each in broken["pipelines"]]) == (True, ["new"])


async def test_a_repository_that_is_gone_is_a_problem_of_its_project_only(home):
    home.write({"a": step()})
    async with open_site(home) as site:
        await site.add_project(home, "shop")
        home.project.rename(home.project.with_name("moved"))
        gone = await site.post("/api/v1/projects/shop/fetch", "admin")
        [shop] = await glance(site)
    assert gone.status_code in (400, 502, 503), gone.text
    assert (shop["problem"] != "", [each["name"] for each in shop["pipelines"]]) == (True, ["test"])


async def test_the_queue(tmp_path):
    home = Home(tmp_path, capacity=1)
    home.write({"a": step(sleep=1000), "b": step(sleep=1000)})
    async with open_site(home) as site:
        run = await site.life.start(home)
        await site.life.until(run.id, "a", "run")
        found = (await site.get("/api/v1/queue")).json()
        first, stranger = (
            (await site.get("/api/v1/queue", params={"limit": 1})).json(),
            (await site.get("/api/v1/queue", "stranger")).json(),
        )
        await site.life.client.cancel(run.id, force=True)
        await site.life.finished(run.id)
        after = (await site.get("/api/v1/queue")).json()
    assert [(each["step"], each["state"], each["runner"]) for each in found] == [
        ("a", found[0]["state"], "local"),
        ("b", "queued", ""),
    ]
    assert found[0]["state"] in ("leased", "launched")
    assert ([each["step"] for each in first], stranger, after) == (["a"], [], [])


@asynccontextmanager
async def following(site, who):
    """Yield a queue of the messages that somebody gets, after the first one; nobody in particular: empty."""
    messages = asyncio.Queue()

    async def read():
        headers = site.as_(who) if who else {}
        async with site.http.stream("GET", "/api/v1/events", headers=headers) as answer:
            kind = ""
            async for line in answer.aiter_lines():
                if line.startswith("event:"):
                    kind = line.removeprefix("event:").strip()
                elif line.startswith("data:"):
                    await messages.put((kind, json.loads(line.removeprefix("data:"))))

    reading = asyncio.create_task(read())
    try:
        assert await messages.get() == ("reset", {})
        yield messages
    finally:
        reading.cancel()


async def until(messages, kind):
    """Yield messages up to the first of a kind."""
    while True:
        message = await messages.get()
        yield message
        if message[0] == kind:
            return


async def test_what_happens_to_runs_is_told_to_those_who_may_see_them(home):
    async with open_site(home) as site, following(site, "viewer") as mine, following(site, "stranger") as theirs:
        run = await site.life.start(home)
        seen = []
        while not seen or seen[-1] != "succeeded":
            kind, line = await mine.get()
            if kind == "run":
                assert line["id"] == run.id
                seen.append(line["state"])
        site.life.local.signals.notify_all()
        kinds = set()
        while "reset" not in kinds:
            kinds.add((await mine.get())[0])
        kinds = [kind async for kind, _ in until(theirs, "reset")]
    assert set(kinds[:-1]) == {"runner"}, "and nothing of the run"
    assert seen[0] == "running"


@pytest.mark.parametrize(
    ("who", "public", "told"),
    [
        ("admin", False, {"deliveries", "schedules", "runner"}),
        ("maintainer", False, {"deliveries", "schedules", "runner"}),
        ("developer", False, {"deliveries", "schedules", "runner"}),
        ("viewer", False, {"schedules", "runner"}),
        ("stranger", False, {"runner"}),
        ("stranger", True, {"schedules", "runner"}),
        ("", False, set()),
        ("", True, {"schedules"}),
    ],
)
async def test_other_things_that_change_are_told_to_those_who_may_list_them(home, who, public, told):
    """As the lists themselves: what the API would not let somebody list it does not speak of."""
    lists = {
        "deliveries": "/api/v1/projects/project/deliveries",
        "schedules": "/api/v1/projects/project/schedules",
        "runner": "/api/v1/runners",
    }
    async with open_site(home, ["project"] if public else []) as site:
        await site.add_project(home)
        async with following(site, who) as messages:
            taken, runs, loop = asyncio.Event(), site.backend.overview.runs, asyncio.get_running_loop()

            def asked(*about):
                loop.call_soon_threadsafe(taken.set)
                return runs(*about)

            site.backend.overview.runs = asked
            topics = (deliveries_topic("project"), schedules_topic("project"), runner_topic("one"))
            site.life.local.signals.notify(*topics, run_topic("none"))
            await taken.wait()
            site.life.local.signals.notify_all()  # a message that everybody gets, after the others
            heard = [message async for message in until(messages, "reset")]
        headers = site.as_(who) if who else {}
        may = {kind for kind, path in lists.items() if (await site.http.get(path, headers=headers)).is_success}
    expected = {("deliveries", "project"), ("schedules", "project"), ("runner", "one")}
    assert {(kind, *data.values()) for kind, data in heard[:-1]} == {each for each in expected if each[0] in told}
    assert may == told


async def test_a_delivery_a_schedule_and_a_runner_reach_who_looks_at_them(tmp_path):
    home = Home(tmp_path)
    home.write({"a": step()}, on={"schedule": [{"cron": "0 3 * * *"}]})
    async with open_site(home) as site, following(site, "admin") as messages:
        await site.add_project(home)
        schedule = [message async for message in until(messages, "schedules")][-1]
        hook = {"kind": "github", "name": "forge"}
        made = (await site.post("/api/v1/projects/project/hooks", "admin", json=hook)).json()
        sent = FORGES["github"](Push()).signed("github", made["secret"])
        answer = await site.http.post("/hooks/project/forge", content=sent.body, headers=dict(sent.headers))
        delivery = [message async for message in until(messages, "deliveries")][-1]
        await FarMachine(tmp_path / "far").register(site)
        runner = [message async for message in until(messages, "runner")][-1]
    assert answer.status_code == 202, answer.text
    assert (schedule[1], delivery[1], runner[1]) == ({"project": "project"}, {"project": "project"}, {"name": "far"})
