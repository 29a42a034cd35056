"""What clients can do and what they are told when they cannot; several programs over one home."""

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from flowbuild.client.base import StartRequest
from flowbuild.client.runner import Lease
from flowbuild.core.errors import Conflict, InvalidRequest, NotFound, UserError
from flowbuild.services.owners import Ownership
from flowbuild.services.signals import Signals
from flowbuild.testing.home import LIMIT, Home, step

CHAIN = {"a": step(write="a=1", log="one\n", then="b"), "b": step(write="b=1", log="two\n")}
FOREVER = 100_000


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


@pytest.mark.parametrize(
    ("request_", "error", "text"),
    [
        ({"pipeline": "tset"}, NotFound, "no pipeline 'tset'"),
        ({"file": "nothing.yml"}, UserError, "nothing.yml"),
        ({"file": "../outside.yml"}, UserError, "outside.yml"),
        ({"inputs": {"nope": "1"}}, InvalidRequest, "nope"),
        ({"inputs": {"count": "many"}}, InvalidRequest, "many"),
        ({"inputs": {"count": "nan"}}, InvalidRequest, "nan"),
        ({"inputs": {"count": "inf"}}, InvalidRequest, "inf"),
        ({"inputs": {"where": "moon"}}, InvalidRequest, "moon"),
        ({"variables": {"not a name": "x"}}, InvalidRequest, "not a name"),
        ({"variables": {"A": "x" * 100_000}}, InvalidRequest, "A"),
        ({"secrets": {}}, InvalidRequest, "KEY"),
        ({"secrets": {"KEY": " abc "}}, InvalidRequest, "KEY has fewer"),
        ({"secrets": {"KEY": "no text \udcff"}}, InvalidRequest, "KEY is not text"),
        ({"secrets": {"KEY": "no text \0"}}, InvalidRequest, "KEY is not text"),
    ],
)
async def test_what_cannot_be_started(home, request_, error, text):
    inputs = {
        "count": {"type": "number", "default": 1},
        "where": {"type": "choice", "options": ["qa"], "default": "qa"},
    }
    home.write({"a": step(more={"secrets": ["KEY"]})}, inputs=inputs)
    async with home.looking() as life:
        with pytest.raises(error) as raised:
            await life.client.start(StartRequest(str(home.project), **{"secrets": {"KEY": "s" * 8}, **request_}))
        told = [raised.value.message, *map(str, getattr(raised.value, "findings", ()))]
        assert any(text in line for line in told)
        assert await life.client.runs(everything=True) == []
    assert list(home.data.glob("runs/*")) == []


async def test_a_directory_that_is_no_repository(home, tmp_path):
    home.write(CHAIN)
    async with home.looking() as life:
        for directory in (tmp_path / "missing", "/proc", "/"):
            with pytest.raises(UserError, match=str(directory)):
                await life.client.start(StartRequest(str(directory)))


async def test_questions_about_what_is_not_there(home):
    home.write(CHAIN)
    async with home.life() as life:
        await life.finished((await life.start(home)).id)
        client = life.client
        for question in (
            client.get("7"),
            client.cancel("x"),
            client.diff("1", "c"),
            client.diff("1", "a", "c"),
            client.rerun("1", from_steps=["c"], variables={}, secrets={}),
            client.resume("", secrets={}),
            client.approve("1", "c"),
            life.log("1", "c"),
            life.log("1", "a", attempt=9),
            life.updates("9"),
        ):
            with pytest.raises(NotFound):
                await question
        for question in (client.approve("1", "a"), client.reject("1", "b"), client.resume("1", secrets={})):
            with pytest.raises(Conflict):
                await question
        await client.cancel("1")  # over already: nothing happens
        assert (await client.get("1")).state == "succeeded"
        assert [change.path for change in (await client.diff("1", "b")).files] == ["b"]
        assert b"+1" in (await client.diff("1", "a", patch=True)).patch
        assert (await client.diff("1", "a", "a")).files == ()


async def test_rerun_takes_over_what_stands_before(home):
    home.write(CHAIN, variables={"V": "1"})
    async with home.life() as life:
        await life.finished((await life.start(home)).id)
        again = await life.client.rerun("last", from_steps=["b"], variables={"V": "2"}, secrets={})
        view = await life.finished(again.id)
        assert (view.rerun_of, view.state, [found.reused for found in view.steps]) == (1, "succeeded", [True, False])
        assert (view.variables, (await life.client.get("1")).variables) == ({"V": "2"}, {"V": "1"})
        for bad in ({"not a name": "x"}, {"A": "x" * 100_000}):
            with pytest.raises(InvalidRequest):
                await life.client.rerun("last", from_steps=["b"], variables=bad, secrets={})
    assert home.leftovers() == []


async def test_what_went_wrong_runs_again(home):
    home.write({"a": step(write="a=1", then="b c"), "b": step(exit=1), "c": step(write="c=1")})
    async with home.life() as life:
        first = await life.finished((await life.start(home)).id)
        again = await life.client.rerun(first.id, failed=True, variables={}, secrets={})
        view = await life.finished(again.id)
        assert {found.key: found.reused for found in view.steps} == {"a": True, "b": False, "c": True}
        home.write_again({"a": step(write="a=1")})
        well = await life.finished((await life.start(home)).id)
        with pytest.raises(Conflict, match="nothing went wrong"):
            await life.client.rerun(well.id, failed=True, variables={}, secrets={})


@pytest.mark.parametrize(("verb", "outcome"), [("approve", "succeeded"), ("reject", "failed")])
async def test_approval(home, verb, outcome):
    home.write({"a": step(more={"environment": {"name": "qa", "approve": ["me"]}})})
    async with home.life() as life:
        run = await life.start(home)
        await life.until(run.id, "a", "waiting")
        with pytest.raises(Conflict):
            await life.client.rerun("last", variables={}, secrets={})
        await getattr(life.client, verb)("last", "a", comment="why")
        view = await life.finished(run.id)
    assert str(view.steps[0].outcome) == outcome


async def test_watchers_miss_nothing(home):
    home.write(CHAIN)
    async with home.life() as life, home.looking() as other:
        run = await life.start(home)
        views = await asyncio.gather(*(watcher.updates(run.id) for watcher in (life, life, other)))
        for updates in views:
            stored = [update.seq for update in updates if update.event["type"] != "attempt_phase"]
            assert stored == list(range(1, len(stored) + 1))
            assert updates[-1].run.state == "succeeded"
        assert len({max(update.seq for update in updates) for updates in views}) == 1
        await life.local.runners.settled(run.id)
        last = views[0][-1].seq
        # As it is between the moment when the end of a step is stored and the one when its phase is forgotten.
        await life.local.runners.phase(Lease(run.id, "b", 1, 1), "push")
        assert [update.seq async for update in life.client.watch(run.id, after=last - 1)] == [last]


async def test_logs_are_followed_to_the_end_of_their_attempt(home):
    retry = {"retry": {"max": 1, "on": ["failed"]}}
    home.write({"a": step(log="tried\n", exit=1, sleep=20, more=retry)})
    async with home.life() as life:
        run = await life.start(home)
        await life.until(run.id, "a", "run")
        text = await life.log(run.id, "a", follow=True)
        view = await life.finished(run.id)
        assert text.count(b"tried") == 1
        assert text == await life.log(run.id, "a", attempt=1)
        assert len(view.steps[0].attempts) == 2


async def test_secrets_are_masked_and_stored_nowhere(home):
    secret = "correct horse battery staple"
    home.write({"a": step(log=f"it is {secret}!\n", sleep=20, more={"secrets": ["KEY"]})})
    # The pipeline file itself holds the text here; what is stored of the run's definition does, too. So look at logs.
    async with home.life() as life:
        run = await life.start(home, secrets={"KEY": secret, "OTHER": "not declared"})
        await life.finished(run.id)
        text = await life.log(run.id, "a")
    assert b"it is" in text
    assert secret.encode() not in text
    for path in [*home.data.rglob("*.log"), *home.data.glob("logs/**/*"), *home.data.glob("spool/*")]:
        assert not path.is_file() or secret.encode() not in path.read_bytes()


async def test_secrets_are_masked_in_what_is_said_of_the_end(home):
    secret = "correct-horse"
    told = step(error=f"it says {secret}", more={"secrets": ["KEY"]})
    home.write({"a": {**told, "background": True}, "b": told})
    async with home.life() as life:
        run = await life.start(home, secrets={"KEY": secret})
        view = await life.finished(run.id)
        updates = await life.updates(run.id)
    for found in view.steps:
        assert "it says ***" in found.message
    assert secret not in str(view)
    assert secret not in str([update.event for update in updates])


async def test_a_second_program_sees_and_cancels_but_does_not_take_over(home):
    home.write({"a": step(sleep=FOREVER)})
    async with home.life() as life:
        run = await life.start(home)
        await life.until(run.id, "a", "run")
        async with home.looking() as other:
            assert (await other.client.get("last")).id == run.id
            with pytest.raises(Conflict) as raised:
                await other.client.resume("1", secrets={})
            assert "another program" in raised.value.message
            with pytest.raises(NotFound):
                await other.client.resume("", secrets={})
            began = asyncio.get_running_loop().time()
            await other.client.cancel("last")
        view = await life.finished(run.id)
        assert asyncio.get_running_loop().time() - began < 5  # woken, not found by looking now and then
    assert view.state == "cancelled"
    assert home.leftovers() == []


async def test_a_home_with_a_very_long_path(tmp_path):
    home = Home(tmp_path / ("d" * 120))
    home.top.mkdir()
    await test_a_second_program_sees_and_cancels_but_does_not_take_over(home)


async def test_missing_secrets_take_nothing_over(home):
    home.write({"a": step(sleep=FOREVER, more={"secrets": ["KEY"]})})
    async with home.life() as life:
        run = await life.start(home, secrets={"KEY": "s" * 8})
        await life.until(run.id, "a", "run")
        owner = life.local.ownership.token
        async with home.life() as other:

            def owned():
                with other.local.database.read() as tx:
                    return tx.runs.get(run.id).owner

            with pytest.raises(InvalidRequest, match="KEY"):
                await asyncio.to_thread(other.local.runs.resume, run.id, {}, [owner])
            assert await asyncio.to_thread(owned) == owner
        await life.client.cancel(run.id, force=True)
        await life.finished(run.id)


OWNER = """
import sys, time
from pathlib import Path
from flowbuild.services.owners import Ownership
own = Ownership(Path(sys.argv[1])); own.claim(); print(own.token, flush=True); time.sleep(600)
"""


def test_the_dead_are_known_however_they_died(tmp_path):
    started = [
        subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    one, two = (process.stdout.readline().strip() for process in started)
    me = Ownership(tmp_path)
    me.claim()
    assert me.dead([one, two, me.token, "never-there"]) == ["never-there"]
    assert me.living() == {one, two}
    os.kill(started[0].pid, signal.SIGKILL)
    started[0].wait()
    assert me.dead([one, two, me.token]) == [one]
    assert me.living() == {two}
    assert not (tmp_path / f"{one}.lock").exists()
    started[1].kill()
    started[1].wait()
    for process in started:
        process.stdout.close()
    me.release()


def test_who_asks_for_the_dead_is_not_taken_for_the_owner(tmp_path):
    owner = Ownership(tmp_path)
    owner.claim()
    os.close(owner._lock)  # what the kernel does to a dead process
    with (tmp_path / f"{owner.token}.lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)  # another program asks at the same moment
        assert Ownership(tmp_path).dead([owner.token]) == [owner.token]


def test_nobody_who_just_became_an_owner_is_taken_for_dead(tmp_path):
    observer = Ownership(tmp_path)
    wrong = []

    def observe(_):
        for _ in range(300):
            tokens = [path.stem for path in tmp_path.glob("*.lock")]
            wrong.extend(set(observer.dead(tokens)) & claimed)

    claimed: set[str] = set()
    owners = []
    with ThreadPoolExecutor(3) as pool:
        looking = [pool.submit(observe, None) for _ in range(2)]
        for _ in range(200):
            owner = Ownership(tmp_path)
            owner.claim()
            claimed.add(owner.token)
            owners.append(owner)
        for future in looking:
            future.result()
    assert wrong == []
    for owner in owners:
        owner.release()


async def test_wake_ups_are_never_lost():
    signals = Signals()
    seen = 0
    with ThreadPoolExecutor(1) as pool:
        count = [0]

        def work():
            for _ in range(2000):
                count[0] += 1
                signals.notify("t")

        working = pool.submit(work)
        async with asyncio.timeout(LIMIT):
            while seen < 2000:
                token = signals.token("t")
                seen = count[0]
                if seen < 2000:
                    assert await signals.wait("t", token, LIMIT)
        working.result()
    assert not await signals.wait("t", signals.token("t"), 0.001)
    assert not signals._waiting["t"]


async def test_another_program_wakes_also_who_is_just_looking():
    signals = Signals()
    token = signals.token("t")
    signals.notify_all()  # it changed what was looked at after that
    assert await signals.wait("t", token, 0.001)
    assert not await signals.wait("t", signals.token("t"), 0.001)
