"""The database is away, or a disk is full, while runs are going: who asks is told, and every run ends as its pipeline says.

FLOW_AWAY says for how many seconds (default 3).
"""

import asyncio
import os
import subprocess
from contextlib import contextmanager

import httpx2
import pytest

from flowbuild.testing.fleet import PROJECT, Fleet
from flowbuild.testing.postgres import running

AWAY = float(os.environ.get("FLOW_AWAY", "3"))
SIZE = "64m"
RUNS = 4

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture
def top(tmp_path_factory):
    return tmp_path_factory.mktemp("s")  # sockets have short paths


@contextmanager
def mounted(place, *options):
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    subprocess.run(["mount", *options, place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


@contextmanager
def small_disk(home, place, top):
    """Let a place in the data directory be a small disk; the directories in which steps work are on another one."""
    with mounted(home / place, "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs"):
        (top / "roomy").mkdir()
        with mounted(home / "work", "--bind", top / "roomy"):
            yield home / place


def fill(place):
    """Take all room; return the file that does."""
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return filler


async def starting(fleet):
    """Return the answer to who starts a run just now."""
    headers = {"Authorization": f"Bearer {fleet.token}"}
    async with httpx2.AsyncClient(base_url=fleet.url, headers=headers, timeout=120) as http:
        return await http.post(f"/api/v1/projects/{PROJECT}/pipelines/test/runs", json={"ref": fleet.commit})


async def under_way(fleet):
    """Start runs; return what follows them as soon as containers run."""
    following = [asyncio.create_task(fleet.person(number, times=1)) for number in range(1, RUNS + 1)]
    while not any(
        each.state.status == "running" for _, unit in fleet.home.machine.units.values() for each in unit.values()
    ):
        await fleet.home.machine.change()
    return following


async def over(fleet, following, facts):
    """Wait for the end; return what is wrong."""
    fleet.up.set()
    await asyncio.gather(*following)
    await fleet.rest()
    return await fleet.examine(facts)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
@pytest.mark.parametrize(("place", "refused"), [(".", {503, 507}), ("logs", {201})])
async def test_a_full_disk(top, place, refused):
    fleet = Fleet(top, far=False)
    with small_disk(fleet.home.data, place, top) as disk:
        async with fleet.working():
            await fleet.person(0, times=1)
            facts = await fleet.facts()
            following = await under_way(fleet)
            fleet.up.clear()
            filler = await asyncio.to_thread(fill, disk)
            answer = await starting(fleet)
            await asyncio.sleep(AWAY)
            filler.unlink()
            wrong = await over(fleet, following, facts)
    assert answer.status_code in refused, answer.text
    assert answer.is_success or answer.headers["Retry-After"]
    assert wrong == []


async def test_a_database_that_is_away(top):
    with running() as postgres:
        fleet = Fleet(top, postgres.database(), far=False)
        async with fleet.working():
            await fleet.person(0, times=1)
            facts = await fleet.facts()
            following = await under_way(fleet)
            fleet.up.clear()
            await asyncio.to_thread(postgres.stop)
            answer = await starting(fleet)
            await asyncio.sleep(AWAY)
            await asyncio.to_thread(postgres.start)
            wrong = await over(fleet, following, facts)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5"), answer.text
    assert wrong == []
