"""What differs between two runs, and what a step changed, piece by piece: lists come in pages, files one at a time."""

from __future__ import annotations

import base64
from typing import Annotated, Any
from urllib.parse import quote, unquote_to_bytes

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from flowbuild.api.access import OnRun, OnRuns
from flowbuild.api.backend import Back
from flowbuild.api.paging import Cursor, Limit, Page, from_cursor, to_cursor
from flowbuild.api.problems import RESPONSES
from flowbuild.api.routers.run_lists import RunSummary, summary
from flowbuild.client.base import VariableChange
from flowbuild.core.access import Action
from flowbuild.core.ids import RunId
from flowbuild.core.run import StepRun
from flowbuild.core.states import Outcome, Reason, StepState
from flowbuild.workspace.comparison import Comparison
from flowbuild.workspace.diff import CONTEXT

router = APIRouter(prefix="/api/v1/runs/{run}", tags=["compare"], responses=RESPONSES)
Both = tuple[RunId, RunId]
Readable = Annotated[RunId, Depends(OnRun(Action.WORKSPACE_READ))]
PathOf = Annotated[str, Query(max_length=8192, min_length=1, description="raw bytes percent-encoded, from the top")]
Context = Annotated[int, Query(ge=0, le=1000, description="lines around a change")]
StepName = Annotated[str, Query(max_length=128)]
WORKSPACES = OnRuns(Action.WORKSPACE_READ)
PATCH_LIMIT = 1 << 20  # bytes


class StepSide(BaseModel):
    """A step in one of two runs. `seconds` are those of its latest attempt."""

    state: StepState
    outcome: Outcome | None
    reason: Reason | None
    exit_code: int | None
    attempts: int
    seconds: float | None
    cached: bool
    reused: bool
    result_commit: str | None


class StepCompared(BaseModel):
    """A step in two runs; null where a run does not have it."""

    key: str
    before: StepSide | None
    after: StepSide | None
    redefined: bool = Field(description="both have it, and its definition is not the same")


class InputChange(BaseModel):
    """An input of the pipeline that was not the same; null: it had none."""

    name: str
    before: Any
    after: Any


class RunComparison(BaseModel):
    """Two runs side by side: `before` is the one that the address names first, `after` the other one."""

    before: RunSummary
    after: RunSummary
    steps: list[StepCompared]
    inputs: list[InputChange]
    variables: list[VariableChange] = Field(description="that differ at the end")
    changes: dict[str, int] = Field(description="paths of the workspaces that differ at the end: A, M, D, T (type)")


class ChangedFile(BaseModel):
    """A path that differs. `path` goes into further questions as it is; `name` is for people. Sizes in bytes, null: not there."""

    status: str = Field(description="A, M, D or T (type)")
    name: str
    path: str = Field(description="from the top of the workspace, raw bytes percent-encoded")
    size_before: int | None
    size_after: int | None


class FilePatch(BaseModel):
    """How one path differs."""

    path: str
    patch: str = Field(description="as of git diff; base64, because files need not be text; empty: it is the same")
    cut: bool = Field(description="there is more than 1 MiB of it")


@router.get("/compare/{other}")
def compare_runs(runs: Annotated[Both, Depends(OnRuns(Action.RUN_READ))], backend: Back) -> RunComparison:
    """Return two runs side by side, also of two projects: steps, and what differs in inputs, variables and files."""
    found = backend.comparing.runs(*runs)
    return RunComparison(
        before=summary(found.before),
        after=summary(found.after),
        steps=[
            StepCompared(key=pair.key, before=_side(pair.before), after=_side(pair.after), redefined=pair.redefined)
            for pair in found.steps
        ],
        inputs=[InputChange(name=name, before=old, after=new) for name, (old, new) in found.inputs.items()],
        variables=[VariableChange(name, old, new) for name, (old, new) in found.workspaces.variables.items()],
        changes=dict(found.workspaces.counts),
    )


@router.get("/compare/{other}/files")
def compare_files(
    runs: Annotated[Both, Depends(WORKSPACES)],
    backend: Back,
    cursor: Cursor = "",
    limit: Limit = 100,
    step: StepName = "",
) -> Page[ChangedFile]:
    """Return the files by which the workspaces of two runs differ at the end, or as a step of both left them, by name."""
    return _files(backend.comparing.workspaces(*runs, step), cursor, limit)


@router.get("/compare/{other}/patch")
def compare_file(
    runs: Annotated[Both, Depends(WORKSPACES)],
    backend: Back,
    path: PathOf,
    context: Context = CONTEXT,
    step: StepName = "",
) -> FilePatch:
    """Return how a file differs between two runs."""
    return _patch(backend.comparing.workspaces(*runs, step), path, context)


@router.get("/steps/{step}/diff/files")
def list_changed_files(
    run: Readable, step: str, backend: Back, cursor: Cursor = "", limit: Limit = 100, other: StepName = ""
) -> Page[ChangedFile]:
    """Return the files that a step changed, or by which its result differs from that of another step, by name."""
    return _files(backend.comparing.step(run, step, other), cursor, limit)


@router.get("/steps/{step}/diff/patch")
def diff_file(
    run: Readable, step: str, backend: Back, path: PathOf, context: Context = CONTEXT, other: StepName = ""
) -> FilePatch:
    """Return how a step changed a file, or how it differs in the result of another step."""
    return _patch(backend.comparing.step(run, step, other), path, context)


def _side(step: StepRun | None) -> StepSide | None:
    if step is None:
        return None
    seconds = step.finished_at - step.started_at if step.finished_at and step.started_at else None
    return StepSide(
        state=step.state,
        outcome=step.outcome,
        reason=step.reason,
        exit_code=step.exit_code,
        attempts=step.attempt,
        seconds=seconds,
        cached=step.cached,
        reused=step.reused,
        result_commit=step.result_commit,
    )


def _files(found: Comparison, cursor: str, limit: int) -> Page[ChangedFile]:
    after = unquote_to_bytes(from_cursor(cursor) or "")
    changes = found.files(after, limit + 1)
    items = [
        ChangedFile(
            status=change.status,
            name=change.path.decode("utf-8", "backslashreplace"),
            path=quote(change.path),
            size_before=change.size_before,
            size_after=change.size_after,
        )
        for change in changes[:limit]
    ]
    return Page[ChangedFile](items=items, next=to_cursor(items[-1].path) if len(changes) > limit else None)


def _patch(found: Comparison, path: str, context: int) -> FilePatch:
    patch = found.patch(unquote_to_bytes(path), context=context, limit=PATCH_LIMIT + 1)
    text = base64.b64encode(patch[:PATCH_LIMIT]).decode()
    return FilePatch(path=path, patch=text, cut=len(patch) > PATCH_LIMIT)
