"""Runs that begin because something happened at the source: at the right commit, with the right trust, each once."""

import asyncio
from dataclasses import replace

import pytest
import yaml

from flowbuild.core.errors import NotFound
from flowbuild.core.giturl import Policy
from flowbuild.core.project import ProjectSettings
from flowbuild.core.sources import PullRequest, PullRequestChange, SourceEvent, SourceKind, Trust
from flowbuild.services.audit import Actor
from flowbuild.services.launching import Launcher
from flowbuild.services.projects import ProjectChange, ProjectService
from flowbuild.services.starter import Cause
from flowbuild.spec.findings import InvalidFile
from flowbuild.testing.git_remote import Source
from flowbuild.testing.home import Home, service
from flowbuild.testing.triggers import PlainSealer

ANN = Actor("ann")


def pipeline(**more):
    steps = {"a": {"compose": {"services": {"main": service(log="done\n")}}}}
    return yaml.safe_dump({"pipelines": {"build": {"steps": steps, **more}, "other": {"steps": steps}}})


def push(commit="", branch="main", **more):
    return SourceEvent(SourceKind.PUSH, branch=branch, commit=commit, **more)


def pull(commit, number, *, fork=True, base_commit="", branch="ann:main"):
    request = PullRequest(number, PullRequestChange.OPENED, "main", "main", base_commit, fork)
    return SourceEvent(SourceKind.PULL_REQUEST, branch=branch, commit=commit, pull_request=request, actor="ann")


@pytest.fixture
def source(tmp_path):
    source = Source(tmp_path / "remote")
    source.commit({".flow.yml": pipeline(), "file": "1\n"})
    return source


@pytest.fixture
async def life(tmp_path):
    home = Home(tmp_path / "server")
    home.project.mkdir(parents=True)
    async with home.life() as life:
        yield life
    assert home.leftovers() == []


class Starting:
    """The launcher over a project `app`; every call in a thread, as the triggers do it."""

    def __init__(self, tmp_path, life, source):
        database = life.local.database
        policy = Policy(local=(str(tmp_path),))
        self.life = life
        self.projects = ProjectService(
            database=database,
            directory=tmp_path / "mirrors",
            policy=policy,
            sealer=PlainSealer(),
            signals=life.local.signals,
            clock=lambda: 1.0,
        )
        self.launcher = Launcher(database, self.projects, life.local.runs)
        self.projects_added = asyncio.to_thread(self.projects.add, ANN, "app", str(source.path))

    async def pipelines(self, event):
        return [one.name for one in await asyncio.to_thread(self.launcher.pipelines, "app", event)]

    async def changed(self, event):
        return await asyncio.to_thread(self.launcher.changed, "app", event)

    async def start(self, event, key, name="build", **inputs):
        """Return the row of the run, when it has ended."""
        cause = Cause(key, {"title": "t"})
        run = await asyncio.to_thread(self.launcher.start, "app", name, event, inputs, cause)
        if run is None:
            return None
        await self.life.finished(run)
        return await asyncio.to_thread(self.row, run)

    def row(self, run):
        with self.life.local.database.read() as tx:
            return tx.runs.get(run)


@pytest.fixture
async def starting(tmp_path, life, source):
    starting = Starting(tmp_path, life, source)
    await starting.projects_added
    return starting


async def test_a_push(starting, source):
    first = source.git("rev-parse", "HEAD")
    second = source.commit({"file": "2\n", "new": "x"})
    event = push(second, before=first, actor="ann")
    assert await starting.pipelines(event) == ["build", "other"]
    assert sorted(await starting.changed(event)) == ["file", "new"]
    row = await starting.start(event, "one")
    assert (row.run.context.commit, row.run.context.branch, row.run.context.event) == (second, "main", "push")
    assert (row.actor, row.trust, row.cause, row.project) == ("ann", "trusted", {"title": "t"}, "app")
    assert str(row.run.state) == "succeeded"
    shortened = await starting.start(push(second[:12]), "two")
    assert shortened.run.context.commit == second
    old = await starting.start(push(first), "three")  # another push came meanwhile: the commit counts
    assert old.run.context.commit == first


async def test_the_same_key_begins_one_run(starting, source):
    event = push(source.git("rev-parse", "HEAD"))
    rows = await asyncio.gather(*(starting.start(event, "key") for _ in range(4)))
    assert len({row.run.id for row in rows}) == 1
    again = await starting.start(event, "key")
    other = await starting.start(event, "other")
    assert (again.run.id, other.run.id != again.run.id) == (rows[0].run.id, True)
    assert len(await starting.life.client.runs(everything=True)) == 2


async def test_a_new_branch_has_nothing_to_compare_with(starting, source):
    assert await starting.changed(push(source.git("rev-parse", "HEAD"))) is None
    assert await starting.changed(push(source.git("rev-parse", "HEAD"), before="1" * 40)) is None


async def test_a_tag(starting, source):
    source.git("tag", "-m", "x", "v1")
    source.push("--tags")
    tag_object = source.git("rev-parse", "v1")
    commit = source.git("rev-parse", "v1^{commit}")
    for number, named in enumerate([commit, "", tag_object]):
        event = SourceEvent(SourceKind.TAG, tag="v1", commit=named)
        row = await starting.start(event, f"tag {number}")
        assert (row.run.context.commit, row.run.context.tag, row.trust) == (commit, "v1", "trusted")


async def test_what_names_no_commit_means_the_newest_one(starting, source):
    newest = source.commit({"file": "9\n"})
    for kind, branch in ((SourceKind.SCHEDULE, "main"), (SourceKind.WEBHOOK, "")):
        row = await starting.start(SourceEvent(kind, branch=branch), str(kind))
        context = row.run.context
        assert (context.commit, context.branch, context.event, row.trust) == (newest, "main", str(kind), "trusted")


@pytest.mark.parametrize("ref", ["refs/pull/7/head", "refs/merge-requests/7/head"])
async def test_a_pull_request_of_a_fork(starting, source, ref):
    base = source.git("rev-parse", "HEAD")
    commit = source.commit({"file": "theirs\n"}, branch="theirs")
    source.push(f"HEAD:{ref}", ":theirs")
    source.git("checkout", "--quiet", base)
    source.commit({"main only": "x"})
    event = pull(commit, 7)
    assert await starting.pipelines(event) == ["build", "other"]
    assert await starting.changed(event) == ["file"]
    row = await starting.start(event, "pull")
    assert (row.run.context.commit, row.run.context.branch, row.trust) == (commit, "ann:main", "untrusted")
    # What a fork calls its branch makes it no branch of ours, and neither does the name of the event.
    liar = await starting.start(replace(pull(commit, 7, branch="main")), "liar")
    assert liar.trust == "untrusted"
    pushed = await starting.start(push(commit, branch="main"), "pushed")
    assert pushed.trust == "untrusted"
    # Once it is merged it is ours.
    source.push(f"+{commit}:refs/heads/main")
    merged = await starting.start(push(commit), "merged")
    assert (merged.trust, merged.run.context.commit) == ("trusted", commit)


async def test_a_pull_request_of_the_same_repository(starting, source):
    commit = source.commit({"file": "topic\n"}, branch="topic")
    event = pull(commit, 8, fork=False, branch="topic")
    assert await asyncio.to_thread(starting.launcher.message, "app", event) == "change\n\n"
    row = await starting.start(event, "pull")
    assert (row.run.context.commit, row.trust) == (commit, "internal")


async def test_who_names_a_protected_branch_needs_a_commit_of_it(starting, source):
    main = source.git("rev-parse", "HEAD")
    topic = source.commit({"file": "topic\n"}, branch="topic")
    hook = SourceEvent(SourceKind.WEBHOOK, branch="main", hook="by-token")
    found = [
        await asyncio.to_thread(starting.launcher.trust, "app", replace(hook, commit=each)) for each in (main, topic)
    ]
    assert found == [Trust.TRUSTED, Trust.INTERNAL]
    assert (await starting.start(replace(hook, commit=topic), "liar")).trust == "internal"
    lost = source.commit({"file": "lost\n"}, branch="lost")
    await starting.pipelines(push(lost, branch="lost"))
    source.push(":lost")
    stranger = replace(hook, branch="", commit=lost)
    assert await asyncio.to_thread(starting.launcher.trust, "app", stranger) is Trust.UNTRUSTED


async def test_a_run_after_another_one_has_its_trust(starting, source):
    commit = source.git("rev-parse", "HEAD")
    for trust in Trust:
        event = SourceEvent(SourceKind.AFTER, branch="main", commit=commit, pipeline="build", trust=trust)
        assert (await starting.start(event, f"after {trust}")).trust == trust


async def test_what_is_gone(starting, source):
    source.commit({"file": "2\n"}, branch="topic")
    source.push(":topic")
    for event in (
        push("1" * 40),
        push(branch="topic"),
        push(branch="nope"),
        SourceEvent(SourceKind.TAG, tag="nope"),
        pull("1" * 40, 9),
        pull("", 9),
    ):
        with pytest.raises(NotFound):
            await starting.pipelines(event)
        with pytest.raises(NotFound):
            await starting.start(event, "x")
    with pytest.raises(NotFound, match="no project"):
        await asyncio.to_thread(starting.launcher.start, "none", "build", push(), {}, Cause("y"))
    with pytest.raises(NotFound, match="no pipeline"):
        await starting.start(push(), "z", name="nope")


async def test_a_branch_that_is_called_like_a_commit_is_none(starting, source):
    first = source.git("rev-parse", "HEAD")
    source.commit({"file": "evil\n"}, branch=first[:10])
    event = pull(first[:10], 9)
    row = await starting.start(event, "x")
    assert row.run.context.commit == first


async def test_files_without_pipelines_and_with_errors(starting, source):
    (source.tree / ".flow.yml").unlink()
    source.commit({}, branch="none")
    assert await starting.pipelines(push(branch="none")) == []
    source.commit({".flow.yml": "pipelines: {build: {steps: {a: {}}}}"}, branch="bad")
    with pytest.raises(InvalidFile):
        await starting.pipelines(push(branch="bad"))
    with pytest.raises(InvalidFile):
        await starting.start(push(branch="bad"), "x")


async def test_an_archived_project_takes_no_runs(starting, source):
    await asyncio.to_thread(starting.projects.archive, ANN, "app")
    assert await starting.start(push(), "x") is None


async def test_protected_branches_are_a_matter_of_settings(starting, source):
    settings = ProjectSettings(protected=("release/*",))
    await asyncio.to_thread(starting.projects.change, ANN, "app", ProjectChange(settings=settings))
    source.commit({"file": "2\n"}, branch="release/1")
    assert (await starting.start(push(branch="release/1"), "a")).trust == "trusted"
    assert (await starting.start(push(branch="main"), "b")).trust == "internal"


async def test_groups_count_for_events_and_not_for_flow_run(starting, source, life):
    source.commit({".flow.yml": pipeline(concurrency={"group": "g-${{ branch }}", "limit": 1})}, branch="grouped")
    row = await starting.start(push(branch="grouped"), "a")
    assert row.run.pipeline.concurrency.group == "g-grouped"
    assert str(row.run.state) == "succeeded"
    again = await starting.start(push(branch="grouped"), "b")  # the place is free again
    assert str(again.run.state) == "succeeded"
