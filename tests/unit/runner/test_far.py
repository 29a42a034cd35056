"""Runs whose steps are executed on other machines: over HTTP with git and git-lfs' API, through deaths of both sides."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import time
from types import SimpleNamespace

import pytest

from flowbuild.client.base import RunnerRequest
from flowbuild.client.runner import LEASE_SECONDS, Lease
from flowbuild.core.errors import Conflict, FlowError, InvalidRequest, Unauthenticated
from flowbuild.runner import attempt
from flowbuild.runner.attempt import Attempt
from flowbuild.runner.identity import keep_identity, kept_identity
from flowbuild.runner.remote import RemoteClient
from flowbuild.runner.repositories import FarRepositories
from flowbuild.runner.servers import Servers
from flowbuild.runner.transfer import Transfer
from flowbuild.runner.worker import Worker
from flowbuild.services.attempt_tokens import AttemptTokens
from flowbuild.services.decisions import run_topic
from flowbuild.services.leases import MARGIN, Leases
from flowbuild.settings import Settings
from flowbuild.testing import site
from flowbuild.testing.far import FarMachine
from flowbuild.testing.home import LIMIT, step
from flowbuild.testing.program import git
from flowbuild.wiring.runner import IDENTITY, _living, alone, identify
from flowbuild.workspace.repo import RunRepository

LARGE = 1 << 20  # bytes from which a file is an LFS object


@pytest.fixture
def open_site(home):
    home.top.mkdir()
    return partial(site.open_site, home, embedded=False)


async def over(served, run):
    async with asyncio.timeout(LIMIT):
        return (await served.life.updates(run))[-1].run


async def clean(far, worker):
    """Return as soon as the machine has cleared away what its runs left."""
    async with asyncio.timeout(LIMIT):
        while far.leftovers():
            await worker._clean.drain()
            await asyncio.sleep(0.05)


def expire_all(local):
    """Give up what runners have as if they had been silent for too long."""
    late = Leases(
        database=local.database,
        decisions=local.decisions,
        owner=local.ownership.token,
        clock=lambda: time() + LEASE_SECONDS + MARGIN,
    )
    late.expire()


async def test_a_run_on_another_machine(home, open_site, far):
    home.write(
        {
            "a": step(write="a=1", log="from a\n", then="b c"),
            "b": step(write="b=1", then="d"),
            "c": step(write="c=1", then="d"),
            "d": step(write="d=1", log="merged\n"),
        }
    )
    async with open_site() as served:
        await far.register(served)
        async with far.life() as worker:
            run = (await served.life.start(home)).id
            view = await over(served, run)
            assert view.state == "succeeded"
            assert {each.attempts[0].node for each in view.steps} == {"far"}
            diff = await served.life.client.diff(run, "d")
            assert [each.path for each in diff.files] == ["d"]
            assert await served.life.log(run, "d", service="main") == b"merged\n"
            assert {"fetch", "checkout", "run", "commit", "push"} <= set(view.steps[3].attempts[0].phases)
            await clean(far, worker)


async def test_two_machines_share_a_run(home, open_site, far, tmp_path):
    """What one of them left is what the other one finds, large files included, in both directions."""
    home.write(
        {
            "a": step(write=f"big=x*{LARGE}", then="b c"),
            "b": step(write="b=1", then="d", sleep=10),
            "c": step(write="c=1", then="d", sleep=10),
            "d": step(write="d=1"),
        }
    )
    far.capacity = 1
    other = FarMachine(tmp_path / "other", "other", 1)
    async with open_site() as served:
        for each in (far, other):
            await each.register(served)
        async with far.life(), other.life():
            run = (await served.life.start(home)).id
            view = await over(served, run)
        assert view.state == "succeeded"
        runners = {
            event["runner"].partition("/")[0]
            for event in await events(served, run)
            if event["type"] == "attempt_started"
        }
        assert runners == {"far", "other"}


async def events(served, run):
    return [update.event async for update in served.life.client.watch(run)]


@pytest.mark.parametrize("phase", ["run", "serving"])
async def test_the_next_life_of_a_runner_finds_its_containers(home, open_site, far, phase):
    served_step = step(write="s=1", sleep=100_000, health=True, then="b", more={"background": True})
    home.write(
        {"a": served_step if phase == "serving" else step(write="a=1", sleep=300, log="once\n"), "b": step(sleep=300)}
    )
    async with open_site() as served:
        await far.register(served)
        async with far.life():
            run = (await served.life.start(home)).id
            await served.life.until(run, "a", phase)
        async with far.life() as worker:
            view = await over(served, run)
            await clean(far, worker)
        assert view.state == "succeeded"
        assert [len(each.attempts) for each in view.steps] == [1, 1]
        assert [each.attempts[0].epoch for each in view.steps] == [1, 1]


@pytest.mark.parametrize("wrong_by", [-100_000, 100_000])
async def test_the_clock_of_a_machine_is_nothing_to_go_by(home, open_site, far, monkeypatch, wrong_by):
    """What is left of the timeout of a step that it finds again is a matter of the server's clock."""
    home.write({"a": step(sleep=100_000, more={"timeout": "1h"})})
    async with open_site() as served:
        await far.register(served)
        async with far.life():
            run = (await served.life.start(home)).id
            await served.life.until(run, "a", "run")
        left, until = asyncio.Queue(), attempt.Attempt._bounded

        async def bounded(self, unit, work, seconds):
            left.put_nowait(seconds)
            return await until(self, unit, work, seconds)

        monkeypatch.setattr(attempt.Attempt, "_bounded", bounded)
        monkeypatch.setattr(attempt.time, "time", lambda: time() + wrong_by)
        async with far.life(), asyncio.timeout(LIMIT):
            assert 3600 - LIMIT < await left.get() <= 3600
            monkeypatch.undo()
            await served.life.client.cancel(run, force=True)
            await over(served, run)


async def test_containers_that_are_gone_are_an_error_of_ours(home, open_site, far):
    home.write({"a": step(sleep=100_000)})
    async with open_site() as served:
        await far.register(served)
        async with far.life():
            run = (await served.life.start(home)).id
            await served.life.until(run, "a", "run")
        far.machine.units.clear()
        async with far.life():
            view = await over(served, run)
    assert (view.steps[0].outcome, view.steps[0].reason) == ("errored", "infra_lost")


async def taken_over(served, run):
    """Return as soon as this life of the server drives the run."""
    local = served.life.local
    async with asyncio.timeout(LIMIT):
        while True:
            token = local.signals.token(run_topic(run))
            if await asyncio.to_thread(local.looking.owner, run) == local.ownership.token:
                return
            await local.signals.wait(run_topic(run), token)


@asynccontextmanager
async def first_life(open_site, far):
    async with open_site() as served:
        await far.register(served)
        yield served


async def test_steps_go_on_without_a_server(home, open_site, far):
    """The server dies while a step runs, which ends meanwhile; the next life of the server gets its result."""
    home.write({"a": step(write="a=1", sleep=20, log="all of it\n", then="b"), "b": step(write="b=1")})
    async with AsyncExitStack() as stack:
        async with first_life(open_site, far) as served:
            run = (await served.life.start(home)).id
            port = int(served.url.rpartition(":")[2])
            worker = await stack.enter_async_context(far.life())
            await served.life.until(run, "a", "run")
        _, unit = next(iter(far.machine.units.values()))
        async with asyncio.timeout(LIMIT):
            await asyncio.wait([container.life for container in unit.values()])
        async with open_site(port=port) as served:
            await taken_over(served, run)
            view = await over(served, run)
            assert view.state == "succeeded"
            assert [len(each.attempts) for each in view.steps] == [1, 1]
            assert await served.life.log(run, "a", service="main") == b"all of it\n"
            await clean(far, worker)


async def test_a_result_that_was_not_handed_in_is_kept(home, open_site, far, monkeypatch):
    home.write({"a": step(write="a=1", log="done\n")})
    handing, finish = asyncio.Event(), RemoteClient.finish

    async def hang(*_):
        handing.set()
        await asyncio.Event().wait()

    async with open_site() as served:
        await far.register(served)
        monkeypatch.setattr(RemoteClient, "finish", hang)
        async with far.life():
            run = (await served.life.start(home)).id
            async with asyncio.timeout(LIMIT):
                await handing.wait()
        assert len(list((far.home / "spool").iterdir())) == 1
        monkeypatch.setattr(RemoteClient, "finish", finish)
        async with far.life() as worker:
            view = await over(served, run)
            await clean(far, worker)
        assert (view.state, len(view.steps[0].attempts)) == ("succeeded", 1)


async def test_a_push_that_was_cut_off_is_done_again(home, open_site, far, monkeypatch):
    """The runner died when its result was committed there, and not yet here."""
    home.write({"a": step(write=f"big=x*{LARGE}"), "b": step()})
    pushing, push = asyncio.Event(), FarRepositories._push

    async def hang(*_):
        pushing.set()
        await asyncio.Event().wait()

    async with open_site() as served:
        await far.register(served)
        monkeypatch.setattr(FarRepositories, "_push", hang)
        async with far.life():
            run = (await served.life.start(home)).id
            async with asyncio.timeout(LIMIT):
                await pushing.wait()
        monkeypatch.setattr(FarRepositories, "_push", push)
        async with far.life():
            view = await over(served, run)
        assert view.state == "succeeded"


async def test_a_runner_that_lost_its_lease_stops(home, open_site, far):
    """It was silent for too long: somebody else has the attempt, and what it does is stopped at the first contact."""
    home.write({"a": step(log="on it\n", sleep=100_000)})
    async with open_site() as served:
        await far.register(served)
        async with far.life() as worker:
            run = (await served.life.start(home)).id
            await served.life.speaks(run, "a")
            await asyncio.to_thread(expire_all, served.life.local)
            view = await over(served, run)
            assert (view.steps[0].reason, view.state) == ("infra_lost", "errored")
            await clean(far, worker)


async def test_what_is_still_being_written_down_is_cleared_away_too(home, open_site, far, monkeypatch):
    """The run is over before the attempt that lost its lease has written down what it left."""
    writing, write, forgetting = asyncio.Event(), asyncio.Event(), asyncio.Event()
    commit, forget = Attempt._commit, Worker._forget

    async def slowly(*arguments):
        writing.set()
        await write.wait()
        return await commit(*arguments)

    async def told(worker, run):
        forgetting.set()
        await forget(worker, run)

    monkeypatch.setattr(Attempt, "_commit", slowly)
    monkeypatch.setattr(Worker, "_forget", told)
    home.write({"a": step(log="on it\n", sleep=100_000)})
    async with open_site() as served:
        await far.register(served)
        async with far.life() as worker:
            run = (await served.life.start(home)).id
            await served.life.speaks(run, "a")
            await asyncio.to_thread(expire_all, served.life.local)
            await over(served, run)
            async with asyncio.timeout(LIMIT):
                await writing.wait()
                await forgetting.wait()

            with pytest.raises(TimeoutError):  # it does not say yet that nothing is left
                await asyncio.wait_for(worker._clean.drain(), 1)
            write.set()
            await clean(far, worker)


async def test_cancelling(home, open_site, far):
    home.write({"a": step(sleep=100_000)})
    async with open_site() as served:
        await far.register(served)
        async with far.life() as worker:
            run = (await served.life.start(home)).id
            await served.life.until(run, "a", "run")
            await served.life.client.cancel(run)
            assert (await over(served, run)).state == "cancelled"
            await clean(far, worker)


@pytest.mark.parametrize("limit", [0, 1])
async def test_what_is_kept_of_large_files(home, open_site, far, monkeypatch, limit):
    """A limit that is too small for anything costs the transfers, and nothing else."""
    home.write({"a": step(write=f"big=x*{LARGE}", then="b"), "b": step(write=f"more=y*{LARGE}")})
    (home.project / "large.bin").write_bytes(b"z" * LARGE)
    far.store_bytes, came, download = limit, [], Transfer._download

    async def counted(self, way, store):
        came.append(way.pointer)
        await download(self, way, store)

    monkeypatch.setattr(Transfer, "_download", counted)
    async with open_site() as served:
        await far.register(served)
        async with far.life() as worker:
            for _ in range(2):
                view = await over(served, (await served.life.start(home)).id)
                assert view.state == "succeeded"
                await clean(far, worker)
            kept = worker._repositories.kept_bytes
    here = len(list(far.home.glob("lfs/objects/*/*/*")))
    if limit:
        assert (here, kept) == (0, 0)
        assert len(came) >= 2
    else:
        assert (here, kept) == (3, 3 * LARGE)
        assert len(came) == 1


async def test_a_drained_runner_ends_when_it_has_nothing_left(home, open_site, far):
    home.write({"a": step(sleep=50, then="b"), "b": step()})
    async with open_site() as served:
        await far.register(served)
        async with far.life() as worker:
            run = (await served.life.start(home)).id
            await served.life.until(run, "a", "run")
            await served.post("/api/v1/runners/far/drain", "admin")
            async with asyncio.timeout(LIMIT):
                await worker._drained.wait()
            view = await served.life.client.get(run)
            assert [each.state for each in view.steps] == ["done", "queued"]
        assert far.leftovers() == []  # the rest of the run is done elsewhere, from what was pushed


@pytest.mark.parametrize(("serves", "retries"), [(False, 0), (True, 0), (False, 1)])
async def test_what_a_machine_that_goes_away_gives_up_counts_as_lost(home, open_site, far, serves, retries):
    """It is not cancelled, which nobody asked for; so it may be tried again elsewhere."""
    more = {"background": True} if serves else {"retry": {"max": retries, "on": ["infra_lost"]}}
    home.write({"a": step(health=serves, log="on it\n", sleep=100_000, more=more), "b": step(sleep=100_000)})
    async with open_site() as served:
        await far.register(served)
        async with far.life() as worker:
            run = (await served.life.start(home)).id
            await served.life.until(run, "a", "serving" if serves else "run")
            await served.life.until(run, "b", "run")
            await served.post("/api/v1/runners/far/cordon", "admin")
            worker.give_up("its machine is being drained, and it took too long")
            if not retries:
                view = await over(served, run)
                told = "succeeded" if serves else "errored"  # what a service did until then stays done
                assert (view.state, view.steps[0].outcome, view.steps[1].reason) == ("errored", told, "infra_lost")
                assert view.steps[0].message == "its machine is being drained, and it took too long"
                await clean(far, worker)
            else:
                view = await served.life.until(run, "a", "queued")
                assert [each.reason for each in view.steps[0].attempts] == ["infra_lost", None]


async def test_a_revoked_runner_stops_and_leaves_nothing(home, open_site, far):
    home.write({"a": step(log="on it\n", sleep=100_000)})
    async with open_site() as served:
        await far.register(served)
        async with far.life() as worker:
            run = (await served.life.start(home)).id
            await served.life.speaks(run, "a")
            await served.http.delete("/api/v1/runners/far", headers=served.as_("admin"))
            async with asyncio.timeout(LIMIT):
                await worker._drained.wait()
        assert far.leftovers() == []
        with pytest.raises(Unauthenticated, match="not known"):
            async with far.life():
                pass


async def test_what_earlier_lives_left_is_swept(home, open_site, far):
    home.write({"a": step(sleep=100_000)})
    async with open_site() as served:
        await far.register(served)
        async with far.life():
            run = (await served.life.start(home)).id
            await served.life.until(run, "a", "run")
        assert far.leftovers()
        await served.life.client.cancel(run, force=True)
        async with far.life() as worker:
            assert (await over(served, run)).state == "cancelled"
            await clean(far, worker)


async def test_the_step_cache_serves_other_machines(home, open_site, far):
    home.write({"a": step(write="a=1", log="ran\n", more={"cache": True})})
    async with open_site() as served:
        await far.register(served)
        async with far.life():
            await over(served, (await served.life.start(home)).id)
            run = (await served.life.start(home)).id
            view = await over(served, run)
    assert view.steps[0].cached


def mounts(far):
    """Return what is mounted into the only container on a machine, by where it is there."""
    ((spec, _),) = far.machine.units.values()
    (service,) = spec.compose["services"].values()
    return {each["target"]: each["source"] for each in service["volumes"]}


async def test_a_step_on_another_machine_has_the_history_of_the_source(home, open_site, far, monkeypatch):
    """What was tagged between two runs is there, too; who neither has an attempt of the run nor may debug it gets nothing."""
    home.write({"a": step(sleep=100_000)})
    async with open_site() as served:
        await served.add_project(home)
        await far.register(served)
        async with far.life():
            for tag in ("v1", "v2"):
                git(home.project, "commit", "--quiet", "--allow-empty", "--message", tag)
                git(home.project, "tag", "--annotate", "--message", tag, tag)
                git(home.project, "commit", "--quiet", "--allow-empty", "--message", f"after {tag}")
                await served.post("/api/v1/projects/project/fetch", "admin")
                begun = await served.post("/api/v1/projects/project/pipelines/test/runs", "developer", json={})
                run = begun.json()["id"]
                await served.life.until(run, "a", "run")
                found = mounts(far)
                with monkeypatch.context() as patch:
                    patch.setenv("GIT_ALTERNATE_OBJECT_DIRECTORIES", found["/.flow/source/0"])
                    assert git(Path(found["/workspace"]), "describe").startswith(f"{tag}-1-g")
                    assert git(Path(found["/workspace"]), "log", "--format=%s").startswith(f"after {tag}\n{tag}\n")
                for who in ("viewer", "stranger", "nobody"):
                    where = f"/git/sources/{run}.git/info/refs"
                    answer = await served.get(where, who, params={"service": "git-upload-pack"})
                    assert answer.status_code in (401, 403, 404), answer.text
                await served.life.client.cancel(run, force=True)
                await over(served, run)
                async with asyncio.timeout(LIMIT):
                    while far.machine.units:
                        await far.machine.change()


async def test_who_a_machine_is(home, open_site, far):
    async with open_site() as served:
        far.home.mkdir(parents=True)
        with pytest.raises(InvalidRequest, match="no runner of that server"):
            await identify(far.home, RunnerRequest(), 1, far.engine())
        with pytest.raises(Unauthenticated):
            await identify(far.home, RunnerRequest((served.url,), "flowc_" + "A" * 43, "far"), 1, far.engine())
        await far.register(served)
        kept = far.home / "identity.json"
        assert kept.stat().st_mode & 0o777 == 0o600
        known = await identify(far.home, RunnerRequest(), 1, far.engine())
        assert (known.urls, known.name) == ((served.url,), "far")
        with pytest.raises(InvalidRequest):
            await identify(far.home, RunnerRequest(("http://elsewhere.example",)), 1, far.engine())
        both = (served.url, "http://elsewhere.example")
        assert (await identify(far.home, RunnerRequest(both), 1, far.engine())).urls == both  # one more address
        assert (await identify(far.home, RunnerRequest(), 1, far.engine())).urls == both  # from now on


async def test_a_machine_joins_with_the_token_and_anew_when_its_key_opens_nothing(open_site, far):
    token = "join-" + "x" * 32
    async with open_site() as served:
        served.backend.machines.registration._join_token = token
        far.home.mkdir(parents=True)
        asked = RunnerRequest((served.url,))
        joined = await identify(far.home, asked, 1, far.engine(), join=token)
        assert joined.name == "dummy", "what its engine is called"
        assert await identify(far.home, asked, 1, far.engine(), join=token) == joined, "it is one already"
        keep_identity(far.home / IDENTITY, replace(joined, key="flowr_" + "A" * 43))
        settings = Settings(home=far.home, capacity=1)
        with pytest.raises(Unauthenticated):
            async with _living(far.home, settings, asked, far.engine()):
                pass
        settings = Settings(home=far.home, capacity=1, join_token=token)
        async with _living(far.home, settings, asked, far.engine()) as worker:
            assert worker.refused is None
        anew = kept_identity(far.home / IDENTITY)
        assert anew == replace(joined, key=anew.key), "what it made in the engine is still its own"
        assert anew.key != joined.key


def test_one_program_per_machine(far):
    with alone(far.home), pytest.raises(Conflict, match="another runner"), alone(far.home):
        pass
    with alone(far.home):
        pass


def inode(objects):
    return Path(objects[0]).stat().st_ino


async def test_a_source_stays_for_others_when_one_is_refused_or_the_server_calls_it_anew(
    home, open_site, far, tmp_path
):
    """As after a restore: attempts of before are not known, and the mirror may lie elsewhere."""
    home.write({"a": step(sleep=100_000)})
    async with open_site() as served:
        await served.add_project(home)
        await far.register(served)
        async with far.life():
            begun = (await served.post("/api/v1/projects/project/pipelines/test/runs", "developer", json={})).json()
            await served.life.until(begun["id"], "a", "run")
            token = await asyncio.to_thread(
                AttemptTokens(served.life.local.database).make, Lease(begun["id"], "a", 1, 1)
            )
            repositories = FarRepositories(Servers([served.url]), tmp_path / "runs", tmp_path / "lfs")
            about = SimpleNamespace(
                lease=Lease(begun["id"], "a", 1, 1),
                environment={"FLOW_COMMIT": begun["commit"]},
                history=f"/git/sources/{begun['id']}.git",
                source="one",
                token=token,
            )
            first = await repositories.history(about)
            before = inode(first)
            moved = await repositories.history(SimpleNamespace(**{**vars(about), "source": "two"}))
            lease, stranger = Lease("0" * 26, "a", 1, 1), {"token": "flowa_" + "A" * 43}
            with pytest.raises(FlowError):
                await repositories.history(SimpleNamespace(**{**vars(about), "lease": lease, **stranger}))
            await repositories.close()
            await served.life.client.cancel(begun["id"], force=True)
            await over(served, begun["id"])
    assert first != moved
    assert inode(first) == before
    assert inode(moved) != before


async def test_an_attempt_that_a_restored_server_asks_for_again(home, open_site, far):
    """The machine has a result of it, of which the server does not know any more: the step is done again, with what it leaves now."""
    home.write({"a": step(sleep=500, then="b"), "b": step(write="b=1")})
    async with open_site() as served:
        await far.register(served)
        async with far.life():
            begun = await served.life.start(home)
            await served.life.until(begun.id, "a", "run")
            clone = RunRepository.open(far.home / "runs" / begun.id / "repository.git")
            (known,) = clone.refs.list("refs/have/").values()
            await asyncio.to_thread(clone.refs.update, "refs/attempts/b/1/1", known, old=None)
            view = await over(served, begun.id)
            changed = await served.life.client.diff(begun.id, "b", None, patch=False)
    assert (str(view.state), view.steps[1].message) == ("succeeded", "")
    assert [each.path for each in changed.files] == ["b"]
