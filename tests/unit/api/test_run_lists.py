"""Lists of runs over HTTP: pages, filters, and what one may not see is not in them."""

import pytest

from flowbuild.testing.home import step


@pytest.fixture
def lists(home, open_site):
    """A site with seven finished runs: of three pipelines, one of them failed."""
    home.write({"a": step()})
    text = "pipelines:\n"
    for name, code in (("test", 0), ("good", 0), ("bad", 1)):
        text += f"  {name}:\n    steps:\n      a: {{compose: {{services: {{main: {{image: x, environment: {{FLOW_TEST_EXIT: '{code}'}}}}}}}}}}\n"
    (home.project / ".flow.yml").write_text(text.replace("image: x", "image: flow-test/busybox:1"))
    return open_site


async def begin(site, home, *names):
    return [(await site.life.finished((await site.life.start(home, pipeline=name)).id)).id for name in names]


async def test_pages_follow_one_another_and_end(home, lists):
    async with lists() as site:
        ids = await begin(site, home, *["good"] * 5)
        seen, cursor = [], ""
        while cursor is not None:
            page = (await site.get("/api/v1/runs", params={"limit": 2, "cursor": cursor})).json()
            seen += [each["id"] for each in page["items"]]
            cursor = page["next"]
        wrong = [await site.get("/api/v1/runs", params={"cursor": text}) for text in ("x", "%%%", "MQ", "a" * 401)]
    assert seen == ids[::-1]
    assert [each.status_code for each in wrong] == [400, 400, 400, 422]


async def test_filters(home, lists):
    async with lists() as site:
        await begin(site, home, "good", "bad", "test", "bad")

        async def of(**wanted):
            return [each["pipeline"] for each in (await site.get("/api/v1/runs", params=wanted)).json()["items"]]

        every = (await site.get("/api/v1/runs")).json()["items"]
        assert await of(pipeline="bad") == ["bad", "bad"]
        assert await of(state="succeeded") == ["test", "good"]
        assert await of(state=["succeeded", "failed"], pipeline="good") == ["good"]
        assert await of(branch="main", event="manual") == ["bad", "test", "bad", "good"]
        assert await of(branch="mai") == []
        assert await of(commit=every[0]["commit"][:7].upper(), actor=every[0]["actor"]) == [
            "bad",
            "test",
            "bad",
            "good",
        ]
        assert await of(since=every[1]["created_at"]) == ["bad", "test"]
        assert await of(until=every[1]["created_at"]) == ["bad", "good"]
        assert await of(project="project") == ["bad", "test", "bad", "good"]
        assert await of(project="other") == []
        odd = [
            await site.get("/api/v1/runs", params=q)
            for q in ({"state": "x"}, {"since": "nan"}, {"commit": "x"}, {"limit": 0})
        ]
    assert {each.status_code for each in odd} == {422}


async def test_what_one_may_not_see(home, lists, public):
    async with lists() as site:
        await begin(site, home, "good")
        seen = {
            who: len((await site.get("/api/v1/runs", who)).json()["items"]) for who in ("viewer", "stranger", "admin")
        }
        named = (await site.get("/api/v1/runs", "stranger", params={"project": "project"})).json()["items"]
        anonymous = (await site.http.get("/api/v1/runs")).json()["items"]
        public.add("project")
        opened = (await site.http.get("/api/v1/runs")).json()["items"]
    assert seen == {"viewer": 1, "stranger": 0, "admin": 1}
    assert (named, anonymous, len(opened)) == ([], [], 1)


async def test_how_a_pipeline_has_done(home, lists):
    async with lists() as site:
        await begin(site, home, "good", "good", "bad")
        path = "/api/v1/projects/project/pipelines/{}/figures"
        good, bad, none = [(await site.get(path.format(name))).json() for name in ("good", "bad", "none")]
    assert ([each["number"] for each in good["runs"]], good["success_rate"], bad["success_rate"]) == ([2, 1], 1, 0)
    assert (good["median_seconds"] > 0, bad["median_seconds"]) == (True, None)
    assert (good["states"], bad["states"]) == ({"succeeded": 2}, {"failed": 1})
    assert [(each["step"], each["succeeded"], each["failed"], each["flaky"]) for each in good["steps"]] == [
        ("a", 2, 0, 0)
    ]
    assert (good["reasons"], bad["reasons"]) == ([], [{"outcome": "failed", "reason": "exit_code", "count": 1}])
    assert good["p90_seconds"] >= good["median_seconds"]
    assert none == {
        "runs": [], "median_seconds": None, "p90_seconds": None, "success_rate": None, "states": {}, "steps": [], "reasons": [],
    }  # fmt: skip


async def test_figures_of_a_branch(home, lists):
    async with lists() as site:
        await begin(site, home, "good")
        path = "/api/v1/projects/project/pipelines/good/figures"
        found = [(await site.get(path, params={"branch": name})).json()["runs"] for name in ("main", "topic")]
    assert [[each["branch"] for each in runs] for runs in found] == [["main"], []]


async def test_a_step_that_failed_without_an_attempt_is_counted(home, open_site):
    home.write(
        {"a": step(write="x=1", then="c"), "b": step(write="x=2", then="c"), "c": step()},
    )
    async with open_site() as site:
        await site.life.finished((await site.life.start(home)).id)
        found = (await site.get("/api/v1/projects/project/pipelines/test/figures")).json()
    assert found["reasons"] == [{"outcome": "failed", "reason": "merge_conflict", "count": 1}]
    assert [(each["step"], each["failed"]) for each in found["steps"]][-1] == ("c", 1)
