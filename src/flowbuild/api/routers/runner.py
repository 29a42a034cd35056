"""The runner protocol (client.runner) over HTTP. A runner is known by its key and touches its own leases only.

Long polls end early when the runner hangs up, and with 503 when the server stops: the runner asks again with the same
key of its request, here or at the next life of the server.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, ConfigDict

from flowbuild.api.access import OnServer, Public
from flowbuild.api.backend import Back, Backend
from flowbuild.api.elsewhere import elsewhere
from flowbuild.api.problems import RESPONSES
from flowbuild.api.waiting import while_there
from flowbuild.client import wire
from flowbuild.client.runner import Assignment, AttemptResult, Beat, Lease, LogEntry
from flowbuild.core.access import Action, Principal
from flowbuild.core.errors import Forbidden
from flowbuild.core.ids import RUN_ID, runner_name

router = APIRouter(prefix="/api/v1/runner", tags=["runner protocol"], responses=RESPONSES)
Worker = Annotated[Principal, Depends(OnServer(Action.RUNNER_WORK))]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Ended(_Strict):
    """Nothing of an ended run is left on the machine."""

    runner: wire.Runner
    run: str


class Phase(_Strict):
    """What an attempt does now."""

    phase: str


class Launched(_Strict):
    """The compose file of an attempt, with secrets masked."""

    compose: dict[str, Any] = {}


class CacheKey(_Strict):
    """A key of the step cache: SHA-256 in hexadecimal."""

    key: str


class Next(BaseModel):
    """How much of a log is kept."""

    offset: int


Number = Annotated[int, Path(ge=1, le=wire.NUMBER_MAX)]
Text = Annotated[str, Path(pattern=wire.WORD)]


def _held(run: Text, step: Text, attempt: Number, epoch: Number, worker: Worker, backend: Back) -> Lease:
    """Return the lease that the path names; raises LeaseLost unless it is the caller's."""
    lease = Lease(run, step, attempt, epoch)
    backend.machines.runners.require_holder(worker.name, lease)
    return lease


Held = Annotated[Lease, Depends(_held)]
LEASE = "/attempts/{run}/{step}/{attempt}/{epoch}"


@router.post("/register", dependencies=[Depends(Public())])
def register_runner(body: wire.Register, request: Request, backend: Back) -> wire.Registered:
    """Let a machine in that has a code from an admin or the join token; the answer holds its key, once."""
    return backend.machines.registration.register(
        body.code,
        body.name,
        capacity=body.capacity,
        labels=body.labels,
        facts=body.facts,
        address=request.client.host if request.client else "",
    )


@router.post("/hello")
def greet(body: wire.Hello, worker: Worker, backend: Back) -> list[wire.Inherited]:
    """Begin a life of a runner: return what its earlier lives held; of all else nothing is needed any more."""
    _require_own(worker, body.runner)
    backend.machines.registration.hello(body.runner, capacity=body.capacity, facts=body.facts)
    return [wire.Inherited(*each) for each in backend.machines.runners.inherited(body.runner)]


@router.post("/claim", response_model=Assignment, responses={204: {"description": "There is no work now"}})
async def claim_attempt(body: wire.Claim, request: Request, worker: Worker, backend: Back) -> Response:
    """Return an attempt to work on; waits for one."""
    _require_own(worker, body.runner)
    await asyncio.to_thread(backend.machines.registration.require_newest, body.runner)
    claiming = backend.machines.runners.claim(body.runner, request_key=body.request_key, wait=body.wait)
    found = await while_there(claiming, request, backend)
    if found is None:
        return Response(status_code=204)
    remote = await asyncio.to_thread(_remote, found, backend)
    return Response(wire.dump_assignment(remote), media_type="application/json")


@router.post("/heartbeat")
async def beat(body: wire.Heartbeat, request: Request, worker: Worker, backend: Back) -> Beat:
    """Renew the leases that are reported; waits for an order."""
    _require_own(worker, body.runner)
    await asyncio.to_thread(backend.machines.registration.require_newest, body.runner)
    beating = backend.machines.runners.heartbeat(body.runner, body.report, wait=body.wait)
    answer = await while_there(beating, request, backend)
    draining = await asyncio.to_thread(backend.machines.registration.heard, worker.name, body.report.load)
    new_key = await asyncio.to_thread(backend.machines.keys.wanted, worker.name)
    return replace(answer, draining=draining, new_key=new_key)


@router.post("/key", status_code=204)
def announce_key(body: wire.NewKey, worker: Worker, backend: Back) -> None:
    """Take note of the next key of the runner; the first request that comes with it ends the one before."""
    _require_own(worker, body.runner)
    backend.machines.registration.require_newest(body.runner)
    backend.machines.keys.announce(worker.name, body.key)


@router.post("/forgotten", status_code=204)
async def forget_run(body: Ended, worker: Worker, backend: Back) -> None:
    """Say that nothing of an ended run is left on the machine."""
    _require_own(worker, body.runner)
    if RUN_ID.fullmatch(body.run):
        await backend.machines.runners.forgotten(body.runner, body.run)


@router.post(f"{LEASE}/phase", status_code=204)
async def tell_phase(body: Phase, lease: Held, backend: Back) -> None:
    """Say what the attempt does now, for display."""
    await backend.machines.runners.phase(lease, body.phase[:32])


@router.post(f"{LEASE}/cached", response_model=AttemptResult, responses={204: {"description": "The step has to run"}})
async def look_up(body: CacheKey, lease: Held, backend: Back) -> Response:
    """Return the recorded result of the step, committed as that of the attempt."""
    found = await backend.machines.runners.cached(lease, body.key[:64])
    if found is None:
        return Response(status_code=204)
    return Response(wire.result.dump_json(found), media_type="application/json")


@router.post(f"{LEASE}/launched", status_code=204)
async def launch(body: Launched, lease: Held, backend: Back) -> None:
    """Say that containers may run from now on, and of what compose file."""
    await backend.machines.runners.launched(lease, body.compose)


@router.post(f"{LEASE}/healthy", status_code=204)
async def report_healthy(body: AttemptResult, lease: Held, backend: Back) -> None:
    """Report a background step as up."""
    body = await asyncio.to_thread(backend.machines.results.checked, lease, body)
    await backend.machines.runners.healthy(lease, body)


@router.get(f"{LEASE}/log")
async def log_state(lease: Held, backend: Back) -> wire.LogState:
    """Return how much of the log is kept."""
    return wire.LogState(*await backend.machines.runners.log_state(lease))


@router.post(f"{LEASE}/log")
async def append_log(body: wire.LogBatch, lease: Held, backend: Back) -> Next:
    """Append output at an offset; what is kept already is skipped."""
    entries = [LogEntry(*piece) for piece in body.entries]
    return Next(offset=await backend.machines.runners.append_log(lease, body.offset, entries))


@router.post(f"{LEASE}/finish", status_code=204)
async def finish_attempt(body: AttemptResult, lease: Held, backend: Back) -> None:
    """Hand in the result."""
    body = await asyncio.to_thread(backend.machines.results.checked, lease, body)
    await backend.machines.runners.finish(lease, body)


def _require_own(worker: Principal, runner: str) -> None:
    if runner_name(runner) != worker.name:
        raise Forbidden(f"you are the runner {worker.name}, not {runner_name(runner)}")


def _remote(assignment: Assignment, backend: Backend) -> Assignment:
    """Return an assignment for the runner that has it. Blocking."""
    return elsewhere(assignment, backend, backend.machines.tokens.make(assignment.lease))
