"""Runs: look, follow, steer."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import yaml
from fastapi import APIRouter, Body, Depends, Header, Query, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from flowbuild.api.access import Acting, Caller, OnRun
from flowbuild.api.backend import Back, Backend
from flowbuild.api.problems import RESPONSES
from flowbuild.api.staying import Staying
from flowbuild.api.streams import End, until_over
from flowbuild.client.base import RunView
from flowbuild.client.patches import RunPatch, make_patch
from flowbuild.core.access import Action
from flowbuild.core.errors import InvalidRequest
from flowbuild.core.ids import RunId
from flowbuild.services.audit import NOBODY
from flowbuild.services.waiting import Waiting

router = APIRouter(prefix="/api/v1/runs/{run}", tags=["runs"], responses=RESPONSES)
Readable = Annotated[RunId, Depends(OnRun(Action.RUN_READ))]
Cancellable = Annotated[RunId, Depends(OnRun(Action.RUN_CANCEL))]
Rerunnable = Annotated[RunId, Depends(OnRun(Action.RUN_RERUN))]
Deletable = Annotated[RunId, Depends(OnRun(Action.RUN_DELETE))]
Attempt = Annotated[int | None, Query(ge=1, description="default: the latest")]
Approvable = Annotated[RunId, Depends(OnRun(Action.RUN_APPROVE))]

_view: TypeAdapter[RunView] = TypeAdapter(RunView)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class CancelRequest(_Strict):
    """End a run: gracefully, or at once with `force`."""

    force: bool = False


class Verdict(_Strict):
    """Why a step is let through, or not."""

    comment: str = Field("", max_length=4096)


class RerunRequest(_Strict):
    """Start a new run that takes over what stands before `from_steps` (none: all of it runs again)."""

    from_steps: list[str] = []
    failed: bool = False
    variables: dict[str, str] = {}
    fresh: bool = False


class ComposeFile(BaseModel):
    """What an attempt ran, as YAML."""

    attempt: int
    text: str


@dataclass(frozen=True, slots=True)
class RunMessage:
    """Something happened to a run. `patch`: what is new since the message before; in the first one all of it."""

    seq: int
    at: float
    event: Mapping[str, Any]
    patch: RunPatch | None = field(default=None)


def shown(backend: Backend, view: RunView) -> RunView:
    """Return a view as clients elsewhere may see it: with the address of its repository, not the place on our disk."""
    return RunView(
        **{
            **{name: getattr(view, name) for name in RunView.__slots__},
            "repository": f"{backend.public_url}/git/runs/{view.id}.git",
        }
    )


async def _after(
    after: Annotated[int, Query(ge=0, le=1 << 53)] = 0, last_event_id: Annotated[str, Header()] = ""
) -> int:
    """Return the number of the event that a client got last; raises InvalidRequest."""
    if not last_event_id:
        return after
    if not (last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) < 12):
        raise InvalidRequest(f"Last-Event-ID is {last_event_id!r}", hint="send the id of the last message as it was")
    return int(last_event_id)


After = Annotated[int, Depends(_after)]


@router.get("")
async def get_run(
    run: Readable, backend: Back, response: Response, if_none_match: Annotated[str, Header()] = ""
) -> RunView:
    """Return a run with its whole graph: steps, attempts with the times of their phases, edges."""
    view = shown(backend, await backend.client(NOBODY).get(run))
    tag = f'W/"{hashlib.sha256(_view.dump_json(view)).hexdigest()[:32]}"'
    if tag in if_none_match:
        return Response(status_code=304, headers={"ETag": tag})  # type: ignore[return-value]  # an answer without body
    response.headers["ETag"] = tag
    return view


@router.get("/events", response_class=EventSourceResponse)
async def follow_run(
    stay: Staying,
    run: Readable,
    backend: Back,
    after: After,
) -> AsyncIterator[ServerSentEvent]:
    """Follow a run: every event after number `after` (or after the header Last-Event-ID), then as they happen.

    The data of each message is a RunMessage. A message of the type `end` says that the run is final, or that nobody
    drives it: there is nothing more to come.
    """
    before: RunView | None = None
    async for update in until_over(backend.client(NOBODY).watch(run, after), backend.stop, stay):
        if isinstance(update, End):
            yield ServerSentEvent(data={}, event="end")
            return
        view = before if before is not None and update.run is before else update.run
        patch = None if view is before else make_patch(before, view)
        if patch is not None:
            patch = RunPatch(shown(backend, patch.run))
        before = view
        message = RunMessage(update.seq, update.at, update.event, patch)
        yield ServerSentEvent(data=message, id=str(update.seq), event="update")


@router.get("/steps/{step}/waiting")
def explain_waiting(run: Readable, step: str, backend: Back) -> Waiting:
    """Say why a step does not run yet: what it waits for, since when, what is before it in the queue."""
    return backend.waiting.why(run, step)


@router.get("/steps/{step}/compose")
def read_compose(run: Readable, step: str, backend: Back, attempt: Attempt = None) -> ComposeFile:
    """Return the compose file of an attempt as the engine got it: with our names, mounts and limits, secrets masked."""
    number, compose = backend.looking.compose(run, step, attempt)
    return ComposeFile(attempt=number, text=yaml.safe_dump(compose, sort_keys=False, allow_unicode=True, width=120))


@router.post("/cancel", status_code=202)
async def cancel_run(
    run: Cancellable, actor: Acting, backend: Back, wanted: Annotated[CancelRequest, Body()] = CancelRequest()
) -> RunView:
    """End a run. Nothing happens to one that is final."""
    client = backend.client(actor)
    await client.cancel(run, force=wanted.force)
    return shown(backend, await client.get(run))


@router.post("/rerun", status_code=201)
async def rerun(run: Rerunnable, wanted: RerunRequest, actor: Acting, backend: Back) -> RunView:
    """Start a new run from this one: all of it, from some steps, or from those that went wrong (`failed`)."""
    if wanted.failed and wanted.from_steps:
        raise InvalidRequest("either `failed` or `from_steps`, not both")
    new = await backend.client(actor).rerun(
        run,
        from_steps=wanted.from_steps,
        variables=wanted.variables,
        secrets={},
        failed=wanted.failed,
        fresh=wanted.fresh,
    )
    return shown(backend, new)


@router.delete("", status_code=204)
def delete_run(run: Deletable, actor: Acting, backend: Back) -> None:
    """Delete a run that has ended, with its repository and logs. Runs that were started again from it stay whole."""
    backend.removal.delete(actor, run)


@router.post("/steps/{step}/approve", status_code=202)
async def approve_step(
    run: Approvable,
    step: str,
    caller: Caller,
    actor: Acting,
    backend: Back,
    verdict: Annotated[Verdict, Body()] = Verdict(),
) -> RunView:
    """Let a step that waits for it act on its environment."""
    await asyncio.to_thread(backend.approvals.require_approver, caller, run, step)
    client = backend.client(actor)
    await client.approve(run, step, comment=verdict.comment)
    return shown(backend, await client.get(run))


@router.post("/steps/{step}/reject", status_code=202)
async def reject_step(
    run: Approvable,
    step: str,
    caller: Caller,
    actor: Acting,
    backend: Back,
    verdict: Annotated[Verdict, Body()] = Verdict(),
) -> RunView:
    """Refuse it; the step is failed."""
    await asyncio.to_thread(backend.approvals.require_judge, caller, run, step)
    client = backend.client(actor)
    await client.reject(run, step, comment=verdict.comment)
    return shown(backend, await client.get(run))
