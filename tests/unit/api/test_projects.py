"""Projects over HTTP: from a repository to a finished run."""

import asyncio
import threading
from pathlib import Path

import pytest

from flowbuild.services.demo import Demo
from flowbuild.store.server_tables import notices
from flowbuild.testing.home import step
from flowbuild.testing.program import git
from flowbuild.workspace.remote import Unreachable

REFS = "/api/v1/projects/project/refs"
INPUTS = {"inputs": {"n": {"type": "number", "default": 1}}}


async def added(site, home, name="project", **more):
    return await site.add_project(home, name, **more)


async def test_from_a_repository_to_a_finished_run(home, open_site):
    home.write({"a": step(write="x=${{ inputs.n }}")}, **INPUTS)
    async with open_site() as site:
        made = await added(site, home, "shop")
        pipelines = (await site.get("/api/v1/projects/shop/pipelines", "admin")).json()
        one = (await site.get("/api/v1/projects/shop/pipelines/test", "admin")).json()
        wanted = {"inputs": {"n": "5"}, "variables": {"V": "w"}}
        begun = await site.post("/api/v1/projects/shop/pipelines/test/runs", "admin", json=wanted)
        assert begun.status_code == 201, begun.text
        run = await site.life.finished(begun.json()["id"])
        found = [
            (await site.get(f"/api/v1/projects/shop/runs/{name}", "admin")).json() for name in ("1", "last", run.id)
        ]
    assert (made["has_credential"], made["default_branch"]) == (False, "")
    assert pipelines["branch"] == "main"
    assert pipelines["findings"] == []
    assert [each["name"] for each in pipelines["pipelines"]] == ["test"]
    assert (one["inputs"][0]["name"], one["steps"][0]["key"]) == ("n", "a")
    assert (run.state, run.project, run.branch, run.inputs["n"], run.variables["V"]) == (
        "succeeded",
        "shop",
        "main",
        5,
        "w",
    )
    assert run.commit == pipelines["commit"]
    assert {each["id"] for each in found} == {run.id}


async def test_new_commits_and_branches_are_seen(home, open_site):
    home.write({"a": step()})
    async with open_site() as site:
        await added(site, home)
        git(home.project, "switch", "--quiet", "--create", "feature")
        git(home.project, "commit", "--quiet", "--allow-empty", "--message", "more")
        git(home.project, "tag", "v1")
        commit = git(home.project, "rev-parse", "HEAD").strip()
        begun = (await site.post("/api/v1/projects/project/pipelines/test/runs", json={"ref": "feature"})).json()
        await site.life.finished(begun["id"])
        branches = (await site.get("/api/v1/projects/project/branches")).json()
        tags = (await site.get("/api/v1/projects/project/tags")).json()
        shown = (await site.get("/api/v1/projects/project")).json()
        missing = await site.post("/api/v1/projects/project/pipelines/test/runs", json={"ref": "featur"})
    assert begun["commit"] == commit
    assert [each["name"] for each in branches] == ["feature", "main"], "what is checked out there comes first"
    assert tags == [{"name": "v1", "commit": commit}]
    assert (shown["fetched_at"] > 0, shown["fetch_error"]) == (True, "")
    assert (missing.status_code, "feature" in missing.json()["hint"]) == (404, True)


async def test_what_is_wrong_with_a_pipeline_is_told_with_its_place(home, open_site):
    home.write({"a": step()})
    (home.project / ".flow.yml").write_text("pipelines:\n  p:\n    steps: 5\n")
    git(home.project, "commit", "--quiet", "--all", "--message", "broken")
    async with open_site() as site:
        await added(site, home)
        shown = (await site.get("/api/v1/projects/project/pipelines")).json()
        begun = await site.post("/api/v1/projects/project/pipelines/p/runs", json={})
        source = (await site.get("/api/v1/projects/project/file", params={"path": shown["files"][0]})).json()
        ways = ["nothing", "../etc/passwd", "/etc/passwd", ".git/config", "\0", "a" * 4097]
        wrong = [await site.get("/api/v1/projects/project/file", params={"path": way}) for way in ways]
    assert (shown["pipelines"], shown["findings"][0]["line"]) == ([], 3)
    assert (source["path"], source["commit"]) == (".flow.yml", shown["commit"])
    assert source["text"].splitlines()[2] == "    steps: 5"
    assert [each.status_code for each in wrong] == [404] * 5 + [422]
    assert begun.status_code == 422
    assert begun.json()["findings"][0]["file"] == ".flow.yml"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("--upload-pack=touch /tmp/x", ""),
        ("ext::sh -c id", ""),
        ("file:///etc", ""),
        ("https://127.0.0.1/x.git", "not public"),
        ("https://user:hunter2@example.org/x.git", ""),
        ("/etc", ""),
        ("ssh://-oProxyCommand=id/x", ""),
    ],
)
async def test_hostile_addresses(home, open_site, url, words):
    async with open_site() as site:
        answer = await site.post("/api/v1/projects", "admin", json={"name": "evil", "url": url})
        listed = (await site.get("/api/v1/projects", "admin")).json()
    assert answer.status_code == 400, answer.text
    assert "hunter2" not in answer.text
    assert listed == []


async def test_who_may(home, open_site):
    home.write({"a": step()})
    async with open_site() as site:
        refused = await site.post("/api/v1/projects", "maintainer", json={"name": "x", "url": "y"})
        await added(site, home)
        names = {
            who: [each["name"] for each in (await site.get("/api/v1/projects", who)).json()]
            for who in ("admin", "viewer", "stranger")
        }
        hidden = await site.get("/api/v1/projects/project", "stranger")
        no_such = await site.get("/api/v1/projects/nothing", "stranger")
        start = await site.post("/api/v1/projects/project/pipelines/test/runs", "viewer", json={})
        change = await site.http.patch(
            "/api/v1/projects/project", headers=site.as_("developer"), json={"visibility": "public"}
        )
        opened = await site.http.patch(
            "/api/v1/projects/project", headers=site.as_("maintainer"), json={"visibility": "public"}
        )
        public = (await site.http.get("/api/v1/projects")).json()
        archived = await site.http.patch(
            "/api/v1/projects/project", headers=site.as_("maintainer"), json={"archived": True}
        )
        late = await site.post("/api/v1/projects/project/pipelines/test/runs", json={})
    assert names == {"admin": ["project"], "viewer": ["project"], "stranger": []}
    assert hidden.json()["detail"] == no_such.json()["detail"].replace("nothing", "project")
    assert (refused.status_code, start.status_code, change.status_code, opened.status_code) == (403, 403, 403, 200)
    assert [each["name"] for each in public] == ["project"]
    assert (archived.status_code, late.status_code) == (200, 409)


async def test_the_same_name_twice_and_bad_names(home, open_site):
    home.write({"a": step()})
    async with open_site() as site:
        answers = await asyncio.gather(
            *(site.post("/api/v1/projects", "admin", json={"name": "p", "url": str(home.project)}) for _ in range(5))
        )
        bad = [
            await site.post("/api/v1/projects", "admin", json={"name": name, "url": "x"})
            for name in ("", "A", "a/b", "..", "-x", "a" * 65)
        ]
    assert sorted(each.status_code for each in answers) == [201, 409, 409, 409, 409]
    assert {each.status_code for each in bad} == {400}


async def test_a_project_is_deleted_with_its_runs(home, open_site):
    home.write({"a": step(sleep=1e6)})
    async with open_site() as site:
        await added(site, home)
        begun = (await site.post("/api/v1/projects/project/pipelines/test/runs", json={})).json()
        assert (await site.http.delete("/api/v1/projects/project", headers=site.as_("maintainer"))).status_code == 403
        busy = await site.http.delete("/api/v1/projects/project", headers=site.as_("admin"))
        assert (busy.status_code, busy.json()["code"]) == (409, "conflict")
        await site.life.client.cancel(begun["id"], force=True)
        await site.life.finished(begun["id"])
        await asyncio.to_thread(_told, site.life.local.database)
        gone = await site.http.delete("/api/v1/projects/project", headers=site.as_("admin"))
        assert (gone.status_code, gone.content) == (204, b"")
        assert (await site.get("/api/v1/projects/project", "admin")).status_code == 404
        assert (await site.get(f"/api/v1/runs/{begun['id']}", "admin")).status_code == 404
    assert list((home.data / "runs").iterdir()) == list((home.data / "mirrors").iterdir()) == []


def _told(database):
    """Everything that is to be told about runs was told: until then they stay."""
    with database.write() as tx:
        tx.notices._connection.execute(notices.delete())


async def test_the_runs_of_others_are_not_found_by_the_beginning_of_their_ids(home, open_site):
    home.write({"a": step()})
    async with open_site() as site:
        await added(site, home)
        await added(site, home, "secret")
        ids = {}
        for name in ("project", "secret"):
            begun = await site.post(f"/api/v1/projects/{name}/pipelines/test/runs", "admin", json={})
            ids[name] = (await site.life.finished(begun.json()["id"])).id
        theirs = ids["secret"]
        asked = [theirs, theirs[:25], theirs[:-1] + ("0" if theirs[-1] != "0" else "1"), "01ZZZ"]
        answers = [await site.get(f"/api/v1/projects/project/runs/{name}") for name in asked]
        both = await site.get(f"/api/v1/projects/project/runs/{theirs[:3]}")  # both begin like this
    told = {answer.text.replace(name, "X") for answer, name in zip(answers, asked, strict=True)}
    assert ([answer.status_code for answer in answers], len(told)) == ([404] * 4, 1)
    assert (both.status_code, both.json()["id"]) == (200, ids["project"])


async def test_a_repository_that_hangs_keeps_nobody_else_waiting(home, open_site, monkeypatch):
    """Each request that waits for a remote takes a thread; there are 40 for all requests together."""
    home.write({"a": step()})
    asked, answered = threading.Event(), threading.Event()

    def hang(_name):
        asked.set()
        assert answered.wait(60)
        raise Unreachable("it does not answer")

    async with open_site() as site, asyncio.TaskGroup() as group:
        await added(site, home)
        run = await site.life.start(home)
        monkeypatch.setattr(site.backend.projects, "fetch", hang)
        try:
            waiting = [group.create_task(site.post("/api/v1/projects/project/fetch", timeout=60)) for _ in range(60)]
            assert await asyncio.to_thread(asked.wait, 60)
            listed = await site.get("/api/v1/projects", timeout=60)
            await site.life.finished(run.id)  # steps and their heartbeats go on, too
        finally:
            answered.set()
        statuses = {(await each).status_code for each in waiting}
    assert (listed.status_code, statuses) == (200, {502})


async def test_branches_and_tags_to_choose_from(home, open_site):
    home.write({"a": step()})
    for name in ("fix/login", "Login", "login-2", "other"):
        git(home.project, "branch", name)
    git(home.project, "tag", "login-1")
    async with open_site() as site:
        await site.add_project(home)

        async def names(**query):
            return [(each["name"], each["kind"]) for each in (await site.get(REFS, params=query)).json()]

        every = (await site.get(REFS)).json()
        assert [each["name"] for each in every] == ["main", "Login", "fix/login", "login-2", "other", "login-1"]
        assert [each["name"] for each in every if each["default"]] == ["main"]
        assert {each["commit"] for each in every} == {git(home.project, "rev-parse", "HEAD").strip()}
        assert await names(search="LOGIN") == [
            ("Login", "branch"), ("login-2", "branch"), ("login-1", "tag"), ("fix/login", "branch"),
        ]  # fmt: skip
        assert await names(search="login", limit=1) == [("Login", "branch")]
        assert await names(search="[") == []


async def test_what_is_wrong_with_inputs_is_told_by_input(home, open_site):
    inputs = {
        "n": {"type": "number"},
        "target": {"type": "choice", "options": ["qa", "prod"], "default": "qa"},
        "who": {},
    }
    home.write({"a": step()}, inputs=inputs)
    async with open_site() as site:
        await site.add_project(home)
        wanted = {"inputs": {"n": "many", "target": "prd", "odd": "x"}}
        answer = await site.post("/api/v1/projects/project/pipelines/test/runs", json=wanted)
    told = {each["where"]: each["message"] for each in answer.json()["errors"]}
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert set(told) == {f"body.inputs.{name}" for name in ("n", "target", "odd", "who")}
    assert "takes a number" in told["body.inputs.n"]
    assert "prod" in told["body.inputs.target"]
    assert all(message in answer.json()["detail"] for message in told.values())


async def test_the_demo_project_is_added_by_one_request(home, open_site):
    async with open_site() as site:
        about = (await site.http.get("/api/v1/server")).json()
        refused = await site.post("/api/v1/demo", "maintainer")
        made = await site.post("/api/v1/demo", "admin")
        again = await site.post("/api/v1/demo", "admin")
        found = (await site.get("/api/v1/projects/demo/pipelines", "admin")).json()
        tags = (await site.get("/api/v1/projects/demo/tags", "admin")).json()
        files = {
            path: (await site.get("/api/v1/projects/demo/file", "admin", params={"path": path})).status_code
            for path in ("ci/step.sh", ".flow.yml", "expect.json")
        }
    assert about["demo"]
    assert (refused.status_code, made.status_code, again.status_code) == (403, 201, 409)
    assert (made.json()["name"], made.json()["fetch_error"]) == ("demo", "")
    assert ([each["name"] for each in found["pipelines"]], found["findings"]) == (["release"], [])
    assert tags == [{"name": "v1.0", "commit": found["commit"]}]
    assert files == {"ci/step.sh": 200, ".flow.yml": 200, "expect.json": 404}


async def test_a_program_without_the_files_of_the_demo_says_so(open_site):
    async with open_site() as site:
        site.backend.demo = Demo(site.backend.projects, None, Path("/nowhere"))
        about = (await site.http.get("/api/v1/server")).json()
        answer = await site.post("/api/v1/demo", "admin")
    assert (about["demo"], answer.status_code) == (False, 404)
    assert "without the demo" in answer.json()["detail"]
