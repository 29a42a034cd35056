"""What a process needs to drive runs: orchestrator, engine and embedded runner."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from time import time

from flowbuild.client.base import Check, RunView
from flowbuild.client.runner import Lease
from flowbuild.core.ids import EMBEDDED, RunId
from flowbuild.engine.base import Engine
from flowbuild.engine.compose import ComposeEngine
from flowbuild.orchestrator.effects import Effects
from flowbuild.orchestrator.loop import Orchestrator
from flowbuild.orchestrator.roll_call import RollCall
from flowbuild.orchestrator.succession import Succession
from flowbuild.orchestrator.watch import Watch
from flowbuild.runner.patience import LONG
from flowbuild.runner.plan import project_name
from flowbuild.runner.spool import Spool
from flowbuild.runner.tools import RunnerPlaces
from flowbuild.runner.worker import Worker
from flowbuild.services.leases import Leases
from flowbuild.services.registration import Registration
from flowbuild.settings import NETWORK_PREFIX
from flowbuild.wiring.doctor import examine
from flowbuild.wiring.facts import facts_of
from flowbuild.wiring.local import Local
from flowbuild.workspace.slots import Slots


@asynccontextmanager
async def driving(local: Local, *, abandon: bool = False, on: Engine | None = None) -> AsyncIterator[Sequence[RunView]]:
    """Drive the runs of this process while the context is open; yields the interrupted runs that were ended.

    What earlier lives left in the engine and on the disk is swept first. With `abandon` their open runs are ended; otherwise
    they stay as they are, to be resumed. At a server those of earlier servers go on, and so do the runs of one that dies later, and
    runners on other machines are watched over. `on` stands in for the engine of this machine; it is closed, too.
    """
    async with _closing(on or engine_of(local)) as engine:
        await engine.ready()
        dead = await asyncio.to_thread(local.dead_owners)
        completed = await asyncio.to_thread(local.runs.complete, dead)
        ended = await asyncio.to_thread(local.runs.abandon, dead) if abandon else []
        views = [await asyncio.to_thread(local.looking.run, row.run.id, {}) for row in ended]
        instance = await asyncio.to_thread(local.instance)
        slots, spool = Slots(local.settings.home / "work"), Spool(local.settings.home / "spool")
        await _sweep(local, engine, slots, spool, instance)
        worker = _worker(local, engine, slots, spool, instance, patience=LONG if local.serves else 0.0)
        succession = _succession(local)
        if local.serves:
            await succession.begin()
            registration = Registration(local.database, local.signals, time)
            await asyncio.to_thread(registration.embed, local.settings.capacity, await facts_of(engine))
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_orchestrator(local, patient=local.serves).run()),
                group.create_task(worker.run()),
            ]
            if local.serves:
                tasks += [group.create_task(each.run()) for each in (succession, _watch(local), _roll_call(local))]
            yield views
            for run in (*completed, *(RunId(view.id) for view in views)):
                await local.runners.settled(run)
            for task in tasks:
                task.cancel()
            await worker.close()


@asynccontextmanager
async def directing(local: Local) -> AsyncIterator[None]:
    """Do what a server does that leaves all attempts to other machines: as `driving`, without an engine."""
    succession = _succession(local)
    await succession.begin()
    async with asyncio.TaskGroup() as group:
        loops = (_orchestrator(local, patient=True), _watch(local), _roll_call(local), succession)
        tasks = [group.create_task(loop.run()) for loop in loops]
        yield
        for task in tasks:
            task.cancel()


@asynccontextmanager
async def _closing(engine: Engine) -> AsyncIterator[Engine]:
    try:
        yield engine
    finally:
        await engine.close()


def engine_of(local: Local) -> ComposeEngine:
    """Return the engine of this machine."""
    settings = local.settings
    pool, prefix = settings.network_pool, NETWORK_PREFIX
    return ComposeEngine(host=settings.docker_host, network_pool=pool, network_prefix=prefix)


async def _sweep(local: Local, engine: Engine, slots: Slots, spool: Spool, instance: str) -> None:
    """Remove what killed programs left in the engine and on the disk."""
    with ExitStack() as stack:
        await asyncio.to_thread(stack.enter_context, local.gate.sweeping())
        runs, objects = await asyncio.to_thread(_kept, local)
        await engine.sweep(instance, keep=objects)
        await asyncio.to_thread(slots.sweep, runs)
        await asyncio.to_thread(spool.sweep, runs)
        await asyncio.to_thread(lambda: local.runners.swept(local.ownership.living()))
        await asyncio.to_thread(local.runs.sweep, local.ownership.living)


def _kept(local: Local) -> tuple[frozenset[str], frozenset[str]]:
    """Return what a sweep must keep: runs with their directories, and runs or compose projects in the engine.

    Of runs that no living program drives only attempts whose containers may have started are kept: what was made
    ahead of time for the others is made anew, it may not be what they need any more.
    """
    alive = local.ownership.living()
    with local.database.read() as tx:
        runs = {owner: tx.runs.open_runs(owner) for owner in tx.runs.owners()}
        launched = [
            project_name(Lease(row.key.run, row.key.step, row.key.attempt, row.key.epoch))
            for owner in runs.keys() - alive
            for row in tx.attempts.live(owner=owner)
            if row.state == "launched"
        ]
    driven = [run for owner in runs.keys() & alive for run in runs[owner]]
    every = frozenset(run for owned in runs.values() for run in owned)
    shells = local.shells.living()
    return every | shells, frozenset([*launched, *driven]) | shells


def _orchestrator(local: Local, *, patient: bool) -> Orchestrator:
    return Orchestrator(
        database=local.database,
        decisions=local.decisions,
        effects=Effects(local.database, local.decisions, local.runners.run_ended),
        signals=local.signals,
        owner=local.ownership.token,
        clock=time,
        patient=patient,
    )


def _watch(local: Local) -> Watch:
    leases = Leases(database=local.database, decisions=local.decisions, owner=local.ownership.token, clock=time)
    return Watch(leases=leases, signals=local.signals, clock=time)


def _roll_call(local: Local) -> RollCall:
    registration = Registration(local.database, local.signals, time)
    return RollCall(registration=registration, signals=local.signals, clock=time)


def _succession(local: Local) -> Succession:
    return Succession(database=local.database, runs=local.runs, owners=local.ownership, signals=local.signals)


def _worker(local: Local, engine: Engine, slots: Slots, spool: Spool, instance: str, *, patience: float) -> Worker:
    return Worker(
        name=f"{EMBEDDED}/{local.ownership.token}",
        client=local.runners,
        engine=engine,
        places=RunnerPlaces(local.settings.home / "work", instance),
        spool=spool,
        slots=slots,
        capacity=local.settings.capacity,
        patience=patience,
    )


async def doctor(local: Local) -> list[Check]:
    """Look at everything that runs need."""
    async with engine_of(local) as engine:
        return await examine(engine)
