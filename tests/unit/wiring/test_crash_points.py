"""The server is killed at every point where it could have changed something; the next life finishes what it began.

FLOW_CRASH_POINTS says at how many of the points (default 12, spread evenly, "all" for every one, or their names),
FLOW_SEED where the first one is.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
from collections import Counter

import pytest

from flowbuild.testing import crash
from flowbuild.testing.home import Home, step

WANTED = os.environ.get("FLOW_CRASH_POINTS", "12")
SEED = int(os.environ.get("FLOW_SEED", "1"))
STEPS = {
    "a": step(write="a=1", log="from a\n", then="b c served"),
    "b": step(write="b=1", log="from b\n", then="d"),
    "c": step(write="c=1", then="d", sleep=1),
    "served": step(write="s=1", sleep=10000, health=True, log="up\n", then="d", more={"background": True}),
    "d": step(write="d=1", log="merged\n", then="flaky deploy"),
    "flaky": step(exit=3, write="f=1", fail="mail", more={"retry": {"max": 1, "on": ["failed"]}}),
    "mail": step(log="sent\n"),
    "deploy": step(write="e=1", more={"environment": {"name": "qa"}}),
}


# A step that takes its result, one that runs and is recorded, one that takes what that one made possible.
CACHED = {
    "a": step(write="a=1", log="from a\n", then="b", more={"cache": {"variables": []}}),
    "b": step(write="b=1", log="from b\n", then="c", more={"cache": {"variables": "NEW"}, "retry": 1}),
    "c": step(write="c=1", log="from c\n", more={"cache": {"inputs": ["a", "b"], "variables": []}}),
}


pytestmark = [
    pytest.mark.timeout(3600),
    # What is killed closes nothing; the real program leaves that to the kernel.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A project and a data directory whose database is up to date."""
    return made(tmp_path_factory.mktemp("template"), STEPS)


def made(top, steps):
    top.mkdir(exist_ok=True)
    home = Home(top)
    home.write(steps)
    local = home.local(drive=False)
    local.instance()
    local.close()
    return home


def fresh(template, path):
    shutil.copytree(template.top, path, symlinks=True)
    return Home(path)


async def whole_run(home, life):
    await life.finished((await life.start(home)).id)


async def undisturbed(home):
    """Return the points of a life in which nothing happens, and what it made."""
    ledger, reaper = [], crash.Reaper()
    await crash.live_and_die(home, ledger, reaper, lambda life: whole_run(home, life))
    async with home.looking() as life:
        facts = await crash.facts_of(life, "last")
    assert await crash.examine(home, ledger, "last", facts) == []
    return reaper.points, facts


def chosen(points):
    if WANTED == "all":
        return points
    if "#" in WANTED:
        return WANTED.split(",")
    count = min(int(WANTED), len(points))
    first = random.Random(SEED).random() * len(points) / count
    return [points[int(first + number * len(points) / count)] for number in range(count)]


async def test_killed_anywhere(template, tmp_path):
    points, facts = await undisturbed(fresh(template, tmp_path / "undisturbed"))
    assert facts["run"] == "failed"
    wrong, hit, begun = {}, 0, 0
    for number, point in enumerate(chosen(points)):
        home, ledger, reaper = fresh(template, tmp_path / str(number)), [], crash.Reaper(point)
        try:
            await crash.live_and_die(home, ledger, reaper, lambda life, home=home: whole_run(home, life))
            run = await crash.recover(home, ledger)
            found = await crash.examine(home, ledger, run, facts)
        except Exception as error:  # noqa: BLE001 (whatever it is, the other points are still to be looked at)
            found = [f"{type(error).__name__}: {error}"]
        hit, begun = hit + reaper.dead, begun + bool(ledger)
        if found:
            wrong[point] = found
        else:
            shutil.rmtree(home.top)
    print(f"{len(points)} points, killed at {hit}, of these {begun} after a container had started")
    print(Counter(point.partition("#")[0] for point in points))
    assert not wrong, "\n".join(f"{point}: {found}" for point, found in wrong.items())
    assert hit >= 0.9 * len(chosen(points))


async def test_killed_anywhere_with_the_step_cache(tmp_path):
    """Takes what an undisturbed run recorded, and what is recorded at the end can be taken."""

    async def second_run(home, life):
        await life.finished((await life.start(home, variables={"NEW": "1"})).id)

    template = await asyncio.to_thread(made, tmp_path / "template", CACHED)

    async def prepared(path):
        home = fresh(template, path)
        async with home.life() as life:
            await whole_run(home, life)
        return home

    async def taken(home):
        async with home.looking() as life:
            return {found.key: found.cached for found in (await life.client.get("last")).steps}

    home, reaper = await prepared(tmp_path / "undisturbed"), crash.Reaper()
    await crash.live_and_die(home, [], reaper, lambda life: second_run(home, life))
    assert await taken(home) == {"a": True, "b": False, "c": True}
    async with home.looking() as life:
        facts = await crash.facts_of(life, "last")
    wrong, hit = {}, 0
    points = [point for point in reaper.points if "cached" in point] + chosen(reaper.points)
    for number, point in enumerate(points):
        home, ledger, killer = await prepared(tmp_path / str(number)), [], crash.Reaper(point)
        await crash.live_and_die(home, ledger, killer, lambda life, home=home: second_run(home, life))
        run = await crash.recover(home, ledger)
        async with home.looking() as life:
            second = (await life.client.get(run)).number == 2  # else it was killed before that run was begun
        found = await crash.examine(home, ledger, run if second else "", facts)
        if second and await taken(home) != {"a": True, "b": False, "c": True}:
            found.append(f"taken: {await taken(home)}")
        async with home.life() as life:
            await second_run(home, life)
        if await taken(home) != {"a": True, "b": second, "c": True}:
            found.append(f"the next run takes {await taken(home)}")
        hit += killer.dead
        if found:
            wrong[point] = found
        else:
            shutil.rmtree(home.top)
    assert not wrong, "\n".join(f"{point}: {found}" for point, found in wrong.items())
    assert hit >= 0.9 * len(points)
    assert sum("cached" in point for point in points) >= 6
