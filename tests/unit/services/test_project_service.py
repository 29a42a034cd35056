"""Projects of a server: added, changed, fetched, and runs of them begun at a branch, tag or commit."""

import asyncio
from dataclasses import replace

import pytest
import yaml

from flowbuild.core.errors import Conflict, InvalidRequest, NotFound, VaultError
from flowbuild.core.giturl import Policy
from flowbuild.core.ids import RunId
from flowbuild.core.project import ProjectSettings, Visibility
from flowbuild.services.audit import Actor, AuditLog
from flowbuild.services.launching import Launcher, LaunchRequest
from flowbuild.services.projects import ProjectChange, ProjectService
from flowbuild.services.signals import Signals
from flowbuild.spec.findings import InvalidFile
from flowbuild.testing.databases import new_sqlite
from flowbuild.testing.git_remote import PASSWORD, USER, Source, served
from flowbuild.testing.home import Home, service
from flowbuild.vault.keys import KeyFile
from flowbuild.vault.sealing import Vault
from flowbuild.workspace.remote import Credential, Unreachable

BOTH = Credential(USER, PASSWORD)


def pipeline(**more):
    steps = {"a": {"compose": {"services": {"main": service(log="done\n")}}}}
    return yaml.safe_dump({"pipelines": {"build": {"steps": steps, **more}}})


@pytest.fixture
def source(tmp_path):
    source = Source(tmp_path / "remote")
    source.commit({".flow.yml": pipeline(), "file": "1\n"})
    return source


@pytest.fixture
def database(tmp_path):
    database = new_sqlite(tmp_path / "flow.db")
    yield database
    database.close()


ANN = Actor("ann", "10.0.0.1")


def made(tmp_path, database, **policy):
    known = {"plain_http": True, "internal": ("localhost",), "local": (str(tmp_path),)} | policy
    vault = Vault(KeyFile(tmp_path / "keys").ring)
    return ProjectService(
        database=database,
        directory=tmp_path / "projects",
        policy=Policy(**known),
        sealer=vault,
        signals=Signals(),
        clock=lambda: 1000.0,
    )


@pytest.fixture
def projects(tmp_path, database):
    return made(tmp_path, database)


def test_add_and_look(projects, source):
    row = projects.add(ANN, "app", str(source.path), visibility=Visibility.PUBLIC)
    assert projects.get("app") == row
    assert (row.fetched_at, row.visibility, row.created_at) == (None, Visibility.PUBLIC, 1000.0)
    projects.fetch("app")
    assert projects.get("app").fetched_at == 1000.0
    assert list(projects.branches("app")) == ["main"]
    assert projects.default_branch("app") == "main"
    found = projects.pipelines("app")
    assert (list(found.pipelines), found.findings, found.point.branch) == (["build"], [], "main")
    assert [one.name for one in projects.list()] == ["app"]


@pytest.mark.parametrize(
    "name", ["", "App", "a/b", "a/b/c", "-a", "a b", "../a", "a..b", "a/", "/a", "a" * 65, "ä", "a\n"]
)
def test_names(projects, source, name):
    with pytest.raises(InvalidRequest, match="cannot be the name"):
        projects.add(ANN, name, str(source.path))


def test_what_cannot_be_added(projects, source, tmp_path):
    with pytest.raises(InvalidRequest, match="no git repository"):
        projects.add(ANN, "a", str(tmp_path / "nowhere"))
    with pytest.raises(InvalidRequest, match="no branch 'trunk'"):
        projects.add(ANN, "a", str(source.path), default_branch="trunk")
    with pytest.raises(InvalidRequest, match="refused"):
        projects.add(ANN, "a", "file:///etc")
    assert projects.list() == []
    projects.add(ANN, "a", str(source.path))
    with pytest.raises(Conflict, match="already"):
        projects.add(ANN, "a", str(source.path))


def test_a_credential_is_sealed_and_used(projects, source, database, tmp_path):
    with served(source.path.parent, password=PASSWORD) as server:
        url = f"{server.url}/source.git"
        with pytest.raises(InvalidRequest, match="does not let the server in"):
            projects.add(ANN, "a", url)
        row = projects.add(ANN, "a", url, credential=BOTH)
        assert PASSWORD not in row.sealed_credential
        assert row.sealed_credential not in repr(row)
        projects.fetch("a")
        other = projects.add(ANN, "b", str(source.path))
        with database.write() as tx:  # moved to another project it opens nothing
            tx.projects.save(replace(other, url=url, sealed_credential=row.sealed_credential))
        with pytest.raises(VaultError):
            projects.fetch("b")


def test_a_secret_never_goes_to_another_address(projects, source):
    with served(source.path.parent, password=PASSWORD) as server, served(source.path.parent) as other:
        projects.add(ANN, "a", f"{server.url}/source.git", credential=BOTH)
        moved = f"{other.url}/source.git"
        with pytest.raises(InvalidRequest, match="belongs to the old address"):
            projects.change(ANN, "a", ProjectChange(url=moved))
        assert other.requests == []
        projects.change(ANN, "a", ProjectChange(url=moved, credential=Credential()))
        assert projects.get("a").sealed_credential == ""
        projects.fetch("a")
        with pytest.raises(InvalidRequest, match="does not let"):
            projects.change(ANN, "a", ProjectChange(url=f"{server.url}/source.git", credential=Credential(USER, "no")))
        assert projects.get("a").url == moved


def test_change(projects, source):
    projects.add(ANN, "a", str(source.path))
    settings = ProjectSettings(protected=("release/*",))
    projects.change(ANN, "a", ProjectChange(visibility=Visibility.PUBLIC, settings=settings))
    row = projects.get("a")
    assert (row.visibility, row.settings, row.url) == (Visibility.PUBLIC, settings, str(source.path))
    with pytest.raises(NotFound):
        projects.change(ANN, "b", ProjectChange(visibility=Visibility.PUBLIC))


def test_why_a_fetch_did_not_work_is_kept(projects, source):
    projects.add(ANN, "a", str(source.path))
    projects.fetch("a")
    away = source.path.rename(source.path.with_name("away"))
    with pytest.raises(InvalidRequest):
        projects.fetch("a")
    row = projects.get("a")
    assert (row.fetched_at, "no git repository" in row.fetch_error) == (1000.0, True)
    assert list(projects.branches("a")) == ["main"]  # what is here can still be looked at
    away.rename(source.path)
    projects.fetch("a")
    assert projects.get("a").fetch_error == ""


def test_points(projects, source):
    one = source.git("rev-parse", "HEAD")
    source.git("tag", "-m", "x", "v1", one)
    source.push("--tags")
    two = source.commit({"file": "2\n"}, branch="topic/x")
    projects.add(ANN, "a", str(source.path))
    projects.fetch("a")
    for ref, commit, branch, tag in [
        ("", one, "main", ""),
        ("topic/x", two, "topic/x", ""),
        ("refs/heads/topic/x", two, "topic/x", ""),
        ("v1", one, "", "v1"),
        ("refs/tags/v1", one, "", "v1"),
        (two, two, "", ""),
        (two[:9], two, "", ""),
    ]:
        point = projects.at("a", ref)
        assert (point.commit, point.branch, point.tag) == (commit, branch, tag), ref
    for bad in ["topic/y", "v2", "-x", "HEAD", "0" * 40, "refs/heads/nope", "main~1", "main..topic/x"]:
        with pytest.raises((NotFound, InvalidRequest)):
            projects.at("a", bad)
    with pytest.raises(NotFound) as unknown:
        projects.at("a", "topic/y")
    assert "topic/x" in unknown.value.hint


def test_findings_of_a_ref(projects, source):
    bad = source.commit({".flow.yml": "pipelines:\n  build:\n    steps: {a: {}}\n"}, branch="bad")
    projects.add(ANN, "a", str(source.path))
    projects.fetch("a")
    found = projects.pipelines("a", "bad")
    assert found.point.commit == bad
    assert found.findings[0].position.file == ".flow.yml"
    assert projects.pipelines("a", "main").findings == []


# Runs of projects. The engine is one without containers, everything else is real.


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "server")
    home.project.mkdir(parents=True)
    return home


async def test_a_run_of_a_branch(home, source, tmp_path):
    topic = source.commit({"file": "2\n"}, branch="topic")
    async with home.life() as life:

        def start():
            projects = made(tmp_path, life.local.database)
            projects.add(ANN, "app", str(source.path))
            request = LaunchRequest("app", ref="topic", by=Actor("ann"), variables={"X": "1"})
            return Launcher(life.local.database, projects, life.local.runs).launch(request)

        def row(run):
            with life.local.database.read() as tx:
                return tx.runs.get(RunId(run))

        view = await life.finished(await asyncio.to_thread(start))
        first = await asyncio.to_thread(row, view.id)
        again = await life.finished((await life.client.rerun(view.id, variables={}, secrets={})).id)
        second = await asyncio.to_thread(row, again.id)
    assert (view.state, view.project, view.branch, view.commit) == ("succeeded", "app", "topic", topic)
    assert (first.actor, first.trust, first.dirty, first.run.context.event) == ("ann", "internal", False, "manual")
    assert first.run.variables == {"X": "1"}
    assert (again.state, again.project, again.number) == ("succeeded", "app", 2)
    assert (second.trust, second.directory) == ("internal", first.directory)
    assert home.leftovers() == []


async def test_who_is_trusted(home, source, tmp_path):
    main = source.git("rev-parse", "HEAD")
    source.git("tag", "v1")
    source.push("--tags")
    source.commit({"file": "2\n"}, branch="release/1")
    source.commit({"file": "3\n"}, branch="topic")
    fork = source.commit({"file": "evil\n"}, branch="gone")
    source.push("HEAD:refs/pull/1/head", ":gone")
    async with home.life() as life:
        projects = made(tmp_path, life.local.database)
        launcher = Launcher(life.local.database, projects, life.local.runs)

        def trust(ref):
            with life.local.database.read() as tx:
                return tx.runs.get(launcher.launch(LaunchRequest("app", ref=ref))).trust

        def look():
            projects.add(ANN, "app", str(source.path))
            projects.fetch_ref("app", "refs/pull/1/head")
            found = {ref: trust(ref) for ref in ["", "main", "v1", "release/1", "topic", main, fork]}
            projects.change(
                ANN, "app", ProjectChange(settings=ProjectSettings(protected=("release/*",), protected_tags=()))
            )
            return found, {ref: trust(ref) for ref in ["main", "v1", "release/1"]}

        before, after = await asyncio.to_thread(look)
        for run in await life.client.runs(everything=True):
            await life.finished(run.id)
    assert before == {
        "": "trusted",
        "main": "trusted",
        "v1": "trusted",
        "release/1": "internal",
        "topic": "internal",
        main: "internal",
        fork: "untrusted",
    }
    assert after == {"main": "internal", "v1": "internal", "release/1": "trusted"}


async def test_what_does_not_start(home, source, tmp_path):
    source.commit({".flow.yml": "pipelines: {build: {steps: {a: {}}}}"}, branch="bad")
    source.commit({".flow.yml": pipeline(inputs={"n": {"type": "number"}})}, branch="inputs")
    async with home.life() as life:
        projects = made(tmp_path, life.local.database)
        launcher = Launcher(life.local.database, projects, life.local.runs)

        def attempt(error, **request):
            with pytest.raises(error):
                launcher.launch(LaunchRequest(**{"project": "app", **request}))

        def attempts():
            projects.add(ANN, "app", str(source.path))
            attempt(NotFound, project="other")
            attempt(NotFound, ref="nope")
            attempt(NotFound, pipeline="nope")
            attempt(InvalidFile, ref="bad")
            attempt(InvalidRequest, ref="inputs")
            attempt(InvalidRequest, ref="inputs", inputs={"n": "x"})
            attempt(InvalidRequest, variables={"not a name": "x"})
            projects.archive(ANN, "app")
            attempt(Conflict)
            projects.archive(ANN, "app", archived=False)
            source.path.rename(source.path.with_name("away"))
            attempt((InvalidRequest, Unreachable))

        await asyncio.to_thread(attempts)
        assert await life.client.runs(everything=True) == []
    assert home.leftovers() == []


async def test_the_newest_commit_of_a_branch_is_fetched_first(home, source, tmp_path):
    async with home.life() as life:
        projects = made(tmp_path, life.local.database)
        launcher = Launcher(life.local.database, projects, life.local.runs)

        def start():
            return launcher.launch(LaunchRequest("app"))

        await asyncio.to_thread(projects.add, ANN, "app", str(source.path))
        first = await life.finished(await asyncio.to_thread(start))
        newest = source.commit({"file": "2\n"})
        second = await life.finished(await asyncio.to_thread(start))
        assert (first.commit != newest, second.commit) == (True, newest)
        assert [second.number, first.number] == [2, 1]


def test_what_is_changed_is_told_without_the_credential(projects, source, database):
    projects.add(ANN, "a", str(source.path))
    settings = ProjectSettings(protected=("release/*",))
    projects.change(ANN, "a", ProjectChange(visibility=Visibility.PUBLIC, settings=settings))
    projects.change(ANN, "a", ProjectChange(credential=Credential("bot", "a password")))
    projects.archive(ANN, "a")
    projects.archive(ANN, "a", archived=False)
    rows = AuditLog(database).page(before=None, limit=9, project="a")[::-1]
    assert [(row.actor, row.address, row.action) for row in rows] == [
        ("ann", "10.0.0.1", action)
        for action in ("project.add", "project.change", "project.change", "project.archive", "project.unarchive")
    ]
    assert rows[1].detail["visibility"] == "public"
    assert rows[1].detail["settings"]["protected"] == ["release/*"]
    assert rows[2].detail == {"credential": "another one"}
    assert "a password" not in repr(rows)
