"""Held pipelines: nothing of them begins, whatever would have begun it, and everybody is told why."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from flowbuild.services.news import pipelines_topic
from flowbuild.services.runs import RunService
from flowbuild.store.holds import HoldRow
from flowbuild.testing.home import step
from flowbuild.testing.program import git
from flowbuild.testing.site import PROJECT

PATH = f"/api/v1/projects/{PROJECT}/pipelines"
HOLD, RUNS = f"{PATH}/test/hold", f"{PATH}/test/runs"
WHY = {"reason": "the database moves"}


class Place:
    """A site with a project of one pipeline, `test`."""

    def __init__(self, site):
        self.site = site

    async def hold(self, who="developer", path=HOLD, **options):
        return await self.site.http.put(path, headers=self.site.as_(who), **options)

    async def let_go(self, who="developer", path=HOLD):
        return await self.site.http.delete(path, headers=self.site.as_(who))

    async def start(self):
        return await self.site.post(RUNS, json={})

    async def done(self):
        """Start a run and wait for its end; return its id."""
        begun = await self.start()
        assert begun.status_code == 201, begun.text
        return (await self.site.life.finished(begun.json()["id"])).id

    async def audit(self):
        rows = await asyncio.to_thread(self.site.backend.people.audit.page, before=None, limit=50, project=PROJECT)
        return [
            (row.actor, row.action, row.object, dict(row.detail)) for row in rows if row.action.startswith("pipeline.")
        ]


@pytest.fixture
def open_place(home, open_site):
    @asynccontextmanager
    async def place(steps=None):
        home.write(steps or {"a": step()})
        async with open_site() as site:
            await site.add_project(home)
            yield Place(site)

    return place


async def test_a_held_pipeline_is_neither_started_nor_started_again(open_place):
    async with open_place() as place:
        run = await place.done()
        held = await place.hold(json=WHY)
        begun = await place.start()
        again = await place.site.post(f"/api/v1/runs/{run}/rerun", json={})
        listed = (await place.site.get(f"/api/v1/runs?project={PROJECT}")).json()["items"]
        left = [path.name for path in place.site.life.local.settings.home.glob("runs/*")]
        freed = await place.let_go("maintainer")
        fine = [await place.start(), await place.site.post(f"/api/v1/runs/{run}/rerun", json={})]
        for each in fine:
            await place.site.life.finished(each.json()["id"])
        noted = await place.audit()
    assert held.status_code == 200
    assert (held.json()["by"], held.json()["reason"]) == ("developer", "the database moves")
    for refused in (begun, again):
        problem = refused.json()
        assert (refused.status_code, problem["code"]) == (409, "held")
        assert problem["detail"].startswith("test is held by developer since 20")
        assert problem["detail"].endswith(" UTC: the database moves")
        assert f"flow unhold {PROJECT} test" in problem["hint"]
    assert [each["id"] for each in listed] == [run]
    assert left == [run], "nothing is left of what did not begin"
    assert freed.status_code == 204
    assert [each.status_code for each in fine] == [201, 201]
    assert [each[:3] for each in noted] == [
        ("maintainer", "pipeline.unhold", "pipeline:test"),
        ("developer", "pipeline.hold", "pipeline:test"),
    ]
    assert noted[1][3] == WHY
    assert noted[0][3]["held_by"] == "developer"


async def test_what_runs_goes_on(open_place):
    async with open_place({"a": step(sleep=1)}) as place:
        begun = (await place.start()).json()["id"]
        await place.hold()
        assert (await place.site.life.finished(begun)).state == "succeeded"


async def test_who_holds_it_first_does(open_place):
    async with open_place() as place:
        first = (await place.hold(json=WHY)).json()
        second = await place.hold("maintainer", json={"reason": "because"})
        noted = await place.audit()
    assert (second.status_code, second.json()) == (200, first)
    assert len(noted) == 1


async def test_who_may_hold_what(open_place):
    async with open_place() as place:
        answers = [(await place.hold(who)).status_code for who in ("viewer", "stranger", "developer")]
        freed = [(await place.let_go(who)).status_code for who in ("viewer", "developer", "developer")]
        unknown = await place.hold(path=f"{PATH}/tset/hold")
        odd = [(await place.hold(path=f"{PATH}/{name}/hold")).status_code for name in ("%00", "a%0Ab", "x" * 200)]
        odd += [(await place.let_go(path=f"{PATH}/{name}/hold")).status_code for name in ("%00", "%C3%28")]
        bad = [await place.hold(json={"reason": reason}) for reason in ("a\nb", "x" * 1001)]
    assert (answers, freed) == ([403, 404, 200], [403, 204, 404])
    assert (unknown.status_code, unknown.json()["hint"]) == (404, "did you mean `test`?")
    assert odd == [404] * 5
    assert [each.status_code for each in bad] == [400, 422]


async def test_lists_say_who_holds_it(open_place):
    async with open_place() as place:
        before = [(await place.site.get(path)).json() for path in (PATH, f"{PATH}/test", "/api/v1/pipelines")]
        held = (await place.hold(json=WHY)).json()
        after = [(await place.site.get(path)).json() for path in (PATH, f"{PATH}/test", "/api/v1/pipelines")]
    for told, expected in ((before, None), (after, held)):
        assert told[0]["pipelines"][0]["hold"] == expected
        assert told[1]["hold"] == expected
        assert told[2][0]["pipelines"][0]["hold"] == expected


async def test_one_that_is_there_no_more_can_be_let_go_and_one_of_another_branch_be_held(home, open_place):
    async with open_place() as place:
        await place.hold(json=WHY)
        git(home.project, "checkout", "--quiet", "-b", "side")
        text = (home.project / ".flow.yml").read_text()
        (home.project / ".flow.yml").write_text(text.replace("test", "other", 1))
        git(home.project, "commit", "--quiet", "--all", "--message", "renamed")
        begun = await place.site.post(f"{PATH}/other/runs", json={"ref": "side"})
        unknown = await place.hold(path=f"{PATH}/third/hold")
        await place.site.life.finished(begun.json()["id"])
        held = await place.hold(path=f"{PATH}/other/hold")
        refused = await place.site.post(f"{PATH}/other/runs", json={"ref": "side"})
        git(home.project, "branch", "--force", "main", "side")
        await place.site.post(f"/api/v1/projects/{PROJECT}/fetch", "admin")
        listed = (await place.site.get("/api/v1/pipelines")).json()[0]["pipelines"]
        freed = await place.let_go()
        gone = await place.hold()
    assert (unknown.status_code, held.status_code, refused.status_code) == (404, 200, 409)
    assert [(each["name"], each["known"], each["hold"] is not None) for each in listed] == [
        ("other", True, True),
        ("test", False, True),
    ]
    assert (freed.status_code, gone.status_code) == (204, 404)


async def test_whoever_looks_at_the_pipelines_is_told(open_place):
    async with open_place() as place:
        signals = place.site.life.local.signals
        for change in (place.hold, place.let_go):
            token = signals.token(pipelines_topic(PROJECT))
            await change()
            assert signals.token(pipelines_topic(PROJECT)) != token
        headers = place.site.as_("viewer")
        async with place.site.http.stream("GET", "/api/v1/events", headers=headers) as answer:
            lines = answer.aiter_lines()
            while await anext(lines) != "event: reset":
                pass
            await place.hold()
            told = [line async for line in until(lines, "event: pipelines")]
    assert told[-1] == "event: pipelines"


async def until(lines, last):
    async for line in lines:
        yield line
        if line == last:
            return


@pytest.mark.parametrize("again", [False, True])
async def test_a_hold_that_comes_while_a_run_is_made_keeps_it_from_beginning(open_place, monkeypatch, again):
    """What is asked first only saves work: what counts is asked in the transaction that begins the run."""
    async with open_place() as place:
        run = await place.done()
        local = place.site.life.local
        describe = RunService._row

        def hold_meanwhile(service, *arguments, **options):
            with local.database.write() as tx:
                tx.holds.put(tx.projects.get(PROJECT).id, HoldRow(PROJECT, "test", "ann", 0.0))
            return describe(service, *arguments, **options)

        monkeypatch.setattr(RunService, "_row", hold_meanwhile)
        refused = await (place.site.post(f"/api/v1/runs/{run}/rerun", json={}) if again else place.start())
        listed = (await place.site.get(f"/api/v1/runs?project={PROJECT}")).json()["items"]
        left = [path.name for path in local.settings.home.glob("runs/*")]
    assert (refused.status_code, refused.json()["code"]) == (409, "held")
    assert ([each["id"] for each in listed], left) == ([run], [run])


async def test_of_a_hold_and_many_starts_at_once_nothing_begins_after_the_hold(open_place):
    """Whoever is told of the hold finds all that began before it: nothing appears later."""
    async with open_place() as place:
        starts = [asyncio.create_task(place.start()) for _ in range(6)]
        held = await place.hold()
        at_once = (await place.site.get(f"/api/v1/runs?project={PROJECT}")).json()["items"]
        answers = await asyncio.gather(*starts)
        later = (await place.site.get(f"/api/v1/runs?project={PROJECT}")).json()["items"]
        for each in later:
            await place.site.life.finished(each["id"])
    assert held.status_code == 200
    assert {each["id"] for each in at_once} == {each["id"] for each in later}
    assert sorted({answer.status_code for answer in answers} - {201}) in ([], [409])
    assert sum(answer.status_code == 201 for answer in answers) == len(later)
