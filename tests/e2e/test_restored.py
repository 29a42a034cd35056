"""Backup, wipe, restore while runs are going and webhooks come in: what was stored before the backup began is there again.

Two runners on other machines go on meanwhile, with steps of which the restored server may know nothing. FLOW_RUNS says how many
runs are under way at any time. The restored server stands at another place than the first one, over another database.
"""

import asyncio
import os
import shutil
import time
from collections import Counter
from dataclasses import replace

import httpx2
import pytest
from sqlalchemy import update

from flowbuild.services.backup import read_manifest
from flowbuild.store.database import Database
from flowbuild.store.tables import attempts
from flowbuild.testing.fleet import PROJECT, Fleet
from flowbuild.testing.payloads import FORGES, Push
from flowbuild.testing.program import git, leftovers

RUNS = int(os.environ.get("FLOW_RUNS", "2"))
MOMENT = 3.0  # seconds that runs go on before the backup

pytestmark = [pytest.mark.docker, pytest.mark.slow]


@pytest.fixture
def top(tmp_path_factory):
    return tmp_path_factory.mktemp("r")  # sockets have short paths


class Forge:
    """Sends webhooks, one after the other; `acknowledged` tells when each was."""

    def __init__(self, fleet):
        self.fleet, self.acknowledged = fleet, {}
        self.commit = git(fleet.home.project, "rev-parse", "HEAD").strip()

    async def send(self):
        async with httpx2.AsyncClient(base_url=self.fleet.url, timeout=60) as http:
            headers = {"Authorization": f"Bearer {self.fleet.token}"}
            made = await http.post(
                f"/api/v1/projects/{PROJECT}/hooks", headers=headers, json={"kind": "github", "name": "forge"}
            )
            secret, number = made.json()["secret"], 0
            while not self.fleet.enough.is_set():
                number += 1
                delivery = FORGES["github"](Push(after=self.commit, message=f"push {number}")).signed("github", secret)
                answer = await http.post(
                    f"/hooks/{PROJECT}/forge", content=delivery.body, headers=dict(delivery.headers)
                )
                assert answer.status_code == 202
                self.acknowledged[answer.json()["id"]] = time.time()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_what_was_stored_before_a_backup_is_in_it(top, kind, request):
    databases = [f"sqlite:///{top / home / 'flow.db'}" for home in ("home", "elsewhere")]
    if kind == "postgresql":
        postgres = request.getfixturevalue("postgres")
        databases = [postgres.database(), postgres.empty()]
    fleet = Fleet(top, databases[0] if kind == "postgresql" else "")
    async with fleet.working():
        await fleet.person(0, times=1)
        forge = Forge(fleet)
        work = [asyncio.create_task(fleet.person(number)) for number in range(RUNS)]
        work.append(asyncio.create_task(forge.send()))
        before = await asyncio.to_thread(stored, databases[0])
        await asyncio.sleep(MOMENT)
        began = time.monotonic()
        output = await asyncio.to_thread(
            fleet.server.program.call, "server", "backup", str(top / "backup"), "--with-keys"
        )
        took = time.monotonic() - began
        assert output.code == 0, output.text
        await fleet.server.kill()
        wiped_at = time.time()
        for task in work:
            task.cancel()
        ends = await asyncio.gather(*work, return_exceptions=True)
        assert [end for end in ends if not isinstance(end, asyncio.CancelledError | httpx2.TransportError)] == []
        await asyncio.to_thread(shutil.rmtree, fleet.home.data)
        environment = {**fleet.server.program.environment, "FLOW_DATABASE": databases[1] if fleet.database else ""}
        moved = fleet.server.program = replace(fleet.server.program, home=top / "elsewhere", environment=environment)
        output = await asyncio.to_thread(moved.call, "server", "restore", str(top / "backup"))
        assert output.code == 0, output.text
        found = await asyncio.to_thread(stored, databases[1])
        await asyncio.to_thread(hurry, databases[1])
        await fleet.server.start()
        client = fleet.client()
        views = [
            await fleet.follow(client, run) for run in sorted({what[0] for what in found if isinstance(what, tuple)})
        ]
        again = await fleet.follow(client, await fleet.start(client, 0))
        await client.close()
        await fleet.rest()
    taken_at = (await asyncio.to_thread(read_manifest, top / "backup")).taken_at
    known = {event: at for event, at in fleet.seen.items() if at < wiped_at} | forge.acknowledged
    lost = [at for what, at in known.items() if what not in found]
    print(
        f"{kind}: backup {took:.1f} s beside {RUNS} runs, load {os.getloadavg()[0]:.1f}; {len(known)} events and deliveries known outside,"
        f" {len(lost)} lost, the oldest {wiped_at - min(lost, default=wiped_at):.1f} s before the wipe"
    )
    assert [at for at in lost if at < taken_at] == []
    assert found_out(known, before, taken_at)
    assert again.state == "failed", "as the pipeline says"
    steps = [(view.id, step) for view in views for step in view.steps]
    print(Counter(f"{step.outcome} {step.reason or ''}".strip() for _, step in steps))
    assert [
        (run, step.key, step.message)
        for run, step in steps
        if step.outcome == "errored" and step.reason != "infra_lost"
    ] == []
    assert leftovers([view.id for view in views]) == []
    assert fleet.left_far() == []


def found_out(known, before, taken_at):
    """Whether a loss would be seen: of events and of deliveries some came between the beginning and the backup."""
    later = [what for what, at in known.items() if what not in before and at < taken_at]
    return {type(what) for what in later} == {tuple, str}


def hurry(url):
    """Let runners lose what they do not have any more after half a minute, not after one, or after 15 where there are environments."""
    database = Database(url)
    try:
        with database._engine.begin() as connection:
            connection.execute(update(attempts).values(lease_seconds=20.0))
    finally:
        database.close()


def stored(url):
    """Return what a database holds: events by run and number, deliveries by id."""
    database = Database(url)
    try:
        with database.read() as tx:
            events = {(run, row.seq) for run in tx.runs.ids() for row in tx.runs.events(run)}
            return events | {row.id for row in tx.deliveries.page(PROJECT, None, 100_000)}
    finally:
        database.close()
