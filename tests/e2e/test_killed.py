"""kill -9 of a server and of runners at random moments while many runs are under way: nothing is lost, nothing happens twice.

FLOW_SERVER_KILLS and FLOW_RUNNER_KILLS say how often (default once each), FLOW_RUNS how many runs are under way at any time,
FLOW_SEED where the random order and moments come from, FLOW_KILLS_SECONDS after how many seconds there are no further kills, and
FLOW_KILLS_TABLE names a file for the figures.
"""

import asyncio
import os
import statistics
import time
from pathlib import Path
from random import Random

import pytest

from flowbuild.testing.fleet import Fleet

SERVER_KILLS = int(os.environ.get("FLOW_SERVER_KILLS", "1"))
RUNNER_KILLS = int(os.environ.get("FLOW_RUNNER_KILLS", "1"))
RUNS = int(os.environ.get("FLOW_RUNS", "2"))
SECONDS = float(os.environ.get("FLOW_KILLS_SECONDS", "inf"))
SEED = int(os.environ.get("FLOW_SEED", "1"))
CUT = 0.2  # of the kills of a server come while it starts
WORKS = {"sqlite": 3.0, "postgresql": 8.0}  # seconds until a kill, at most; with PostgreSQL runs are taken over after 3

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(300 + 60 * (SERVER_KILLS + RUNNER_KILLS))]


@pytest.fixture
def top(tmp_path_factory):
    return tmp_path_factory.mktemp("k")  # sockets have short paths


class Reaper:
    """Kills the members of a fleet in an order, and at moments, that depend on the seed alone."""

    def __init__(self, fleet, seed):
        self.works = WORKS["postgresql" if fleet.database else "sqlite"]
        self.fleet, self.random = fleet, Random(seed)
        self.kills, self.hits, self.cut = 0, 0, 0

    async def reap(self, server_kills, runner_kills):
        order = ["server"] * server_kills + ["runner"] * runner_kills
        self.random.shuffle(order)
        end = time.monotonic() + SECONDS
        for victim in order:
            if time.monotonic() > end:
                return
            await asyncio.sleep(self.random.uniform(0, self.works))
            await (self.kill_server() if victim == "server" else self.kill_runner())

    async def kill_server(self):
        server, cut = self.fleet.server, self.random.random() < CUT
        moment = self.random.uniform(0, 1)
        if cut:  # the one that is killed while it starts counts; the one before had to go for it
            began, up = server.began[-1] if server.began else (0.0, 2.0)
            await self.stop(server)
            await server.cut(moment * (up - began))
            self.cut += 1
        else:
            await self.stop(server)
        await self.count()
        await server.start()
        self.fleet.up.set()

    async def stop(self, server):
        self.fleet.up.clear()
        await server.kill()

    async def kill_runner(self):
        member = self.random.choice(self.fleet.runners)
        await member.kill()
        await self.count()
        await member.start()

    async def count(self):
        self.kills += 1
        self.hits += bool(await self.fleet.work_under_way())


async def killed(fleet, seed, server_kills, runner_kills, runs):
    """Return what is wrong, and the figures."""
    async with fleet.working():
        await fleet.person(0, times=1)
        facts = await fleet.facts()
        people = [asyncio.create_task(fleet.person(number)) for number in range(runs)]
        reaper, began = Reaper(fleet, seed), time.monotonic()
        await reaper.reap(server_kills, runner_kills)
        fleet.enough.set()
        await asyncio.gather(*people)
        await fleet.rest()
        seconds = time.monotonic() - began
        return facts, await fleet.examine(facts), await asyncio.to_thread(figures, fleet, reaper, seconds)


def figures(fleet, reaper, seconds):
    up, moved = zip(*fleet.moved(), strict=True)

    def line(name, values):
        ordered = sorted(values)
        p99 = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
        return f"{name}: median {statistics.median(ordered):.1f} s, p99 {p99:.1f} s, max {ordered[-1]:.1f} s"

    return "\n".join(
        [
            f"kills {reaper.kills} (of the server {len(fleet.server.began)}, {reaper.cut} of these while it started), that hit work {reaper.hits}",
            f"runs {len(fleet.runs)}, containers of dummy engines {len(fleet.ledger)}, {seconds:.0f} s",
            line("server up after", up),
            line("a run moved after", moved),
        ]
    )


def keep(kind, told, wrong):
    text = f"{kind}, seed {SEED}, {RUNS} runs at once, load {os.getloadavg()[0]:.1f}\n{told}\nwrong {len(wrong)}\n"
    print(text)
    if path := os.environ.get("FLOW_KILLS_TABLE"):
        with Path(path).open("a") as file:
            file.write(text)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_nothing_is_lost_and_nothing_happens_twice(top, kind, request):
    database = "" if kind == "sqlite" else request.getfixturevalue("postgres").database()
    fleet = Fleet(top, database)
    facts, wrong, told = await killed(fleet, SEED, SERVER_KILLS, RUNNER_KILLS, RUNS)
    await asyncio.to_thread(keep, kind, told, wrong)
    assert facts["run"] == "failed", facts
    assert wrong == []


FORGETFUL = """
from flowbuild.wiring import driving
driving._kept = lambda local: (frozenset(), frozenset())
"""


def containers(fleet, step):
    units = fleet.home.machine.units
    return [each for name, (_, unit) in units.items() if f"-{step}-" in name for each in unit.values()]


async def test_a_server_that_sweeps_away_what_still_runs_is_found_out(top):
    """The negative control."""
    fleet = Fleet(top, server_code=FORGETFUL, far=False)
    async with fleet.working():
        await fleet.person(0, times=1)
        facts = await fleet.facts()
        following = asyncio.create_task(fleet.person(1, times=1))
        while not any(container.state.status == "running" for container in containers(fleet, "served")):
            await fleet.home.machine.change()
        await Reaper(fleet, SEED).kill_server()
        await following
        await fleet.rest()
        wrong = await fleet.examine(facts)
    assert [line for line in wrong if "run: errored, not failed" in line], wrong
