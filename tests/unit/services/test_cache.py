"""The step cache from run to run: the real server and runner over one data directory, an engine without containers."""

import asyncio
import shutil
import threading
from pathlib import Path

import pytest

from flowbuild.core.errors import StoreError
from flowbuild.core.ids import RunId, StepKey
from flowbuild.services import cache as cache_module
from flowbuild.services.cache import KEY, SecretVersions, StepCache
from flowbuild.services.runners import RunnerService
from flowbuild.store.attempts import AttemptKey
from flowbuild.store.tables import attempts
from flowbuild.testing.engine import DummyEngine
from flowbuild.testing.home import Home, step
from flowbuild.workspace.repo import MAIN, RunRepository
from flowbuild.workspace.slots import Slots

FOREVER = 100_000
DECLARED = {"cache": {"inputs": "src/**"}}


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


class Counting(DummyEngine):
    """An engine that remembers which steps had containers made."""

    def __init__(self, home):
        super().__init__(home.machine, sleep=home.engine()._sleep)
        self.made = []

    async def create(self, spec, progress):
        self.made.append(spec.labels.step)
        return await super().create(spec, progress)


async def run(home, **request):
    """Run the pipeline in a life of its own; return the steps by key, the run, and what containers were made for."""
    engine = Counting(home)
    async with home.life(engine=engine) as life:
        view = await life.finished((await life.start(home, **request)).id)
    assert home.leftovers() == []
    return {found.key: found for found in view.steps}, view, engine.made


def cached(steps):
    return {key: found.cached for key, found in steps.items()}


def contents(view):
    """Return the files, without `.git`, of the merge of all results."""
    repository = RunRepository.open(Path(view.repository))
    changes = repository.changes(None, repository.refs.read(MAIN))
    return {change.path.decode() for change in changes if not change.path.startswith(b".git/")}


async def test_a_hit_makes_and_checks_out_nothing(home, monkeypatch):
    home.write(
        {"a": step(write="a=1", log="at work\n", then="b", more={"cache": True}), "b": step(more={"cache": True})}
    )
    first, view, made = await run(home)
    assert (cached(first), sorted(made)) == ({"a": False, "b": False}, ["a", "b"])
    assert first["a"].attempts[0].cached is None

    def acquire(*_arguments):
        raise AssertionError("nothing is to be checked out")

    monkeypatch.setattr(Slots, "acquire", acquire)
    second, again, made = await run(home)
    assert (again.state, cached(second), made) == ("succeeded", {"a": True, "b": True}, [])
    (attempt,) = second["a"].attempts
    origin = attempt.cached
    assert (origin.run, origin.number, origin.step, origin.attempt) == (view.id, 1, "a", 1)
    assert origin.finished_at == first["a"].attempts[0].finished_at
    assert (attempt.outcome, attempt.exit_code, attempt.changes) == ("succeeded", 0, {"A": 1})
    assert attempt.images == first["a"].attempts[0].images
    assert set(attempt.phases) == {"fetch", "cache"}
    assert contents(again) == contents(view) >= {"a", ".flow.yml"}


async def test_the_log_and_the_commit_say_whose_result_it_is(home):
    home.write({"a": step(write="a=1", log="at work\n", more={"cache": True})})
    _, first, _ = await run(home)
    steps, view, _ = await run(home)
    async with home.looking() as life:
        log = (await life.log(view.id, "a")).decode()
        events = [update.event async for update in life.client.watch(view.id)]
    assert log.startswith("cached: result of run 1, step a, attempt 1, of 20")
    assert log.endswith(" UTC\n")
    assert "at work" not in log
    assert [event["cached"] for event in events if event["type"] == "attempt_finished"] == [True]
    repository = RunRepository.open(Path(view.repository))
    commit = repository.commit(steps["a"].result_commit)
    assert commit.parents == (steps["a"].input_commit,)
    said = commit.trailers
    assert (said["Flow-Run"], said["Flow-Attempt"], said["Flow-Outcome"]) == (view.id, "1", "succeeded")
    assert (said["Flow-Cached-Run"], said["Flow-Cached-Step"], said["Flow-Cached-Attempt"]) == (first.id, "a", "1")
    assert repository.attempt_result("a", 1, 1) == steps["a"].result_commit


async def test_a_step_without_cache_runs_every_time(home):
    """The negative control."""
    home.write({"a": step(write="a=1", then="b"), "b": step(more={"cache": False})})
    await run(home)
    steps, _, made = await run(home)
    assert (cached(steps), sorted(made)) == ({"a": False, "b": False}, ["a", "b"])


async def test_containers_are_not_made_ahead_for_a_step_that_may_not_need_them(home):
    home.write({"a": step(then="b"), "b": step(more={"cache": True})})
    await run(home)
    steps, _, made = await run(home)
    assert (cached(steps), made) == ({"a": False, "b": True}, ["a"])


async def test_undeclared_files_are_carried_through(home):
    home.write({"a": step(write="out/a=1", more=DECLARED)})
    (home.project / "src").mkdir()
    (home.project / "src" / "x").write_text("1")
    await run(home)
    (home.project / "out").mkdir()
    (home.project / "out" / "mine").write_text("mine")
    steps, view, _ = await run(home)
    assert cached(steps) == {"a": True}
    assert contents(view) == {".flow.yml", "src/x", "out/a", "out/mine"}
    (home.project / "src" / "x").write_text("2")
    steps, _, _ = await run(home)
    assert cached(steps) == {"a": False}


async def test_what_does_not_fit_runs(home):
    home.write({"a": step(write="out=1", more=DECLARED)})
    await run(home)
    (home.project / "out").write_text("mine")
    (home.project / "out").chmod(0o755)  # written in place it stays so, written anew it does not: nobody knows
    steps, view, _ = await run(home)
    assert (view.state, cached(steps)) == ("succeeded", {"a": False})
    steps, _, _ = await run(home)
    assert cached(steps) == {"a": True}, "now there is a result that fits"
    assert steps["a"].attempts[0].cached.number == 2


async def test_a_pattern_that_matches_nothing_is_told(home):
    home.write({"a": step(more={"cache": {"inputs": ["srx/**", ".flow.yml"]}})})
    _, view, _ = await run(home)
    async with home.looking() as life:
        log = (await life.log(view.id, "a")).decode()
    assert "cache: nothing in the workspace matches 'srx/**'" in log
    assert ".flow.yml" not in log


@pytest.mark.parametrize(
    "end", [{"exit": 1}, {"lost": 1}, {"sleep": FOREVER, "more": {"timeout": "1s", "cache": True}}]
)
async def test_only_success_is_recorded(home, end):
    home.write({"a": step(**{"more": {"cache": True}, **end})})
    await run(home)
    steps, view, _ = await run(home)
    assert (cached(steps), str(view.state)) != ({"a": True}, "succeeded")
    assert not steps["a"].cached
    assert steps["a"].outcome in ("failed", "errored")


async def test_no_cache_reads_nothing_but_records(home):
    home.write({"a": step(more={"cache": True})})
    await run(home)
    steps, _, _ = await run(home, fresh=True)
    assert cached(steps) == {"a": False}
    steps, _, _ = await run(home)
    assert steps["a"].attempts[0].cached.number == 2, "the latest result stands"


async def test_a_rerun_from_a_step_runs_it(home):
    home.write({"a": step(write="a=1", then="b", more={"cache": True}), "b": step(more={"cache": True})})
    _, view, _ = await run(home)
    async with home.life() as life:
        named = await life.finished((await life.client.rerun(view.id, from_steps=["a"], variables={}, secrets={})).id)
        whole = await life.finished((await life.client.rerun(view.id, variables={}, secrets={})).id)
        forced = await life.finished((await life.client.rerun(view.id, variables={}, secrets={}, fresh=True)).id)
    assert [found.cached for found in named.steps] == [False, True]
    assert [found.cached for found in whole.steps] == [True, True]
    assert whole.steps[0].attempts[0].cached.number == 2, "what a rerun made is recorded"
    assert [found.cached for found in forced.steps] == [False, False]


async def test_a_rerun_works_on_a_replayed_result_after_its_origin_is_gone(home):
    home.write({"a": step(write="a=1", then="b", more={"cache": True}), "b": step(write="b=1")})
    _, first, _ = await run(home)
    steps, second, _ = await run(home)
    assert cached(steps) == {"a": True, "b": False}
    shutil.rmtree(Path(first.repository))
    async with home.life() as life:
        again = await life.client.rerun(second.id, from_steps=["b"], variables={}, secrets={})
        again = await life.finished(again.id)
    assert again.state == "succeeded"
    assert contents(again) >= {"a", "b"}


def cut(repository):
    for pack in repository.glob("objects/pack/*.pack"):
        pack.chmod(0o644)
        pack.write_bytes(pack.read_bytes()[:-40])


@pytest.mark.parametrize("damage", [shutil.rmtree, cut, lambda path: (path / "config").unlink()])
async def test_a_recorded_run_that_is_gone_or_damaged_is_a_miss_once(home, damage):
    home.write({"a": step(write="a=1", more={"cache": True})})
    _, first, _ = await run(home)
    damage(Path(first.repository))
    steps, view, _ = await run(home)
    assert (view.state, cached(steps)) == ("succeeded", {"a": False})
    steps, _, _ = await run(home)
    assert steps["a"].attempts[0].cached.number == 2


@pytest.mark.parametrize("error", [ValueError("a bug"), OSError(28, "No space left"), RecursionError()])
async def test_whatever_goes_wrong_the_step_runs_and_the_entry_is_dropped(home, monkeypatch, error):
    home.write({"a": step(more={"cache": True})})
    await run(home)

    def broken(*_arguments, **_options):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(cache_module, "replay", broken)
        patched.setattr(StepCache, "record", lambda *_arguments: None)
        steps, view, _ = await run(home)
    assert (view.state, cached(steps)) == ("succeeded", {"a": False})
    steps, _, _ = await run(home)
    assert cached(steps) == {"a": False}, "it was dropped"


async def test_a_server_that_cannot_look_up_does_not_stop_the_step(home, monkeypatch):
    home.write({"a": step(more={"cache": True})})

    async def broken(*_arguments):
        raise StoreError("the disk is full")

    monkeypatch.setattr(RunnerService, "cached", broken)
    steps, view, _ = await run(home)
    assert (view.state, cached(steps)) == ("succeeded", {"a": False})


async def test_cancelled_while_it_is_looked_up(home, monkeypatch):
    home.write({"a": step(more={"cache": True}, then="b"), "b": step()})
    asked = asyncio.Event()

    async def never(*_arguments):
        asked.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(RunnerService, "cached", never)
    async with home.life() as life:
        begun = await life.start(home)
        await asked.wait()
        await life.client.cancel(begun.id)
        view = await life.finished(begun.id)
    assert [str(found.outcome) for found in view.steps] == ["cancelled", "cancelled"]
    assert home.leftovers() == []


async def test_two_runs_at_once_with_the_same_key(home):
    """Both find nothing and run; one of the two is what the next run takes."""
    home.write({"a": step(write="a=1", more={"cache": True})})
    both = threading.Barrier(2)
    engine = Counting(home)
    real = StepCache.look_up

    def together(self, attempt, key):
        found = real(self, attempt, key)
        both.wait(30)
        return found

    async with home.life(engine=engine) as life:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(StepCache, "look_up", together)
            begun = [await life.start(home) for _ in range(2)]
            views = [await life.finished(one.id) for one in begun]
        third = await life.finished((await life.start(home)).id)
    assert [(view.state, view.steps[0].cached) for view in views] == [("succeeded", False)] * 2
    assert engine.made == ["a", "a"]
    assert third.steps[0].attempts[0].cached.number in (1, 2)


async def test_two_runs_at_once_take_the_same_result(home):
    home.write({"a": step(write="a=1", more={"cache": True})})
    await run(home)
    async with home.life() as life:
        begun = [await life.start(home) for _ in range(4)]
        views = [await life.finished(one.id) for one in begun]
    assert all(view.steps[0].cached for view in views)


async def test_retries_and_matrices(home):
    home.write(
        {
            "a": step(exit=1, fail="b", more={"cache": True, "retry": {"max": 1}}),
            "b": step(more={"cache": True, "matrix": {"n": ["1", "2"]}}),
        }
    )
    await run(home)
    steps, _, made = await run(home)
    assert cached(steps) == {"a": False, "b-1": True, "b-2": True}
    assert made == ["a", "a"]
    assert steps["b-2"].attempts[0].cached.step == "b-2"


async def test_an_attempt_that_a_second_life_finishes_is_recorded(home):
    home.write({"a": step(write="a=1", sleep=200, more={"cache": True})})
    async with home.life() as life:
        begun = await life.start(home)
        await life.until(begun.id, "a", "run")
    async with home.life() as life:
        await life.client.resume(begun.id, secrets={})
        view = await life.finished(begun.id)
    assert view.steps[0].attempts[0].epoch == 1, "it was adopted, not begun again"
    steps, _, _ = await run(home)
    assert steps["a"].attempts[0].cached.number == 1


async def test_a_second_life_keeps_what_the_first_one_committed(home):
    """The attempt has one ref; that a newer result is recorded meanwhile must not put another commit there."""
    home.write({"a": step(write="a=1", more={"cache": True})})
    await run(home)
    steps, second, _ = await run(home)
    await run(home, fresh=True)
    attempt = AttemptKey(RunId(second.id), StepKey("a"), 1, 1)

    def ask_again(local):
        with local.database.write() as tx:
            key = tx.attempts.get(attempt).details[KEY]
            tx._connection.execute(attempts.update().where(attempts.c.run_id == second.id).values(state="leased"))
        found = local.runners._cache.look_up(attempt, key)
        with local.database.write() as tx:
            tx._connection.execute(attempts.update().where(attempts.c.run_id == second.id).values(state="done"))
            assert tx.cache.get(cache_module.Scope(second.project, "trusted"), key).origin.number == 3
        return found

    async with home.looking() as life:
        found = await asyncio.to_thread(ask_again, life.local)
    assert found.commit == steps["a"].result_commit
    assert found.cached == steps["a"].attempts[0].cached
    assert found.cached.number == 1
    assert (found.changes, found.exit_code) == ({"A": 1}, 0)


async def test_projects_do_not_see_each_other(tmp_path):
    one, other = Home(tmp_path / "one"), Home(tmp_path / "other")
    for home in (one, other):
        home.top.mkdir()
        home.write({"a": step(more={"cache": True})})
    await run(one)
    shared = Home(tmp_path / "other", machine=other.machine)
    shutil.copytree(one.data, shared.data, symlinks=True)  # the same database, another project
    steps, _, _ = await run(shared)
    assert cached(steps) == {"a": False}
    steps, _, _ = await run(one)
    assert cached(steps) == {"a": True}, "the control"


async def test_secrets_decide_and_are_kept_nowhere(home):
    home.write({"a": step(more={"cache": True, "secrets": "TOKEN"})})
    await run(home, secrets={"TOKEN": "correct horse"})
    steps, _, _ = await run(home, secrets={"TOKEN": "correct horse"})
    assert cached(steps) == {"a": True}
    steps, _, _ = await run(home, secrets={"TOKEN": "battery staple"})
    assert cached(steps) == {"a": False}
    for path in home.data.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert b"correct horse" not in data
            assert b"battery staple" not in data


async def test_versions_of_secrets_differ_from_home_to_home(tmp_path):
    def versions(name):
        home = Home(tmp_path / name)
        home.top.mkdir(exist_ok=True)
        if not home.project.exists():
            home.write({"a": step()})
        local = home.local(drive=False)
        try:
            return SecretVersions(local.database).of({"A": "x", "B": "x", "C": "y"})
        finally:
            local.close()

    one, again, other = [await asyncio.to_thread(versions, name) for name in ("one", "one", "other")]
    assert one == again
    assert len(set(one.values())) == 3, "equal values of different secrets do not show"
    assert not set(one.values()) & set(other.values())
