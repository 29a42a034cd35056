"""Deliveries of webhooks: what came, what followed from it, and what waits for approval."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from flowbuild.api.access import Acting, Caller, OnProject
from flowbuild.api.backend import Back
from flowbuild.api.paging import Cursor, Limit, Page, from_cursor, to_cursor
from flowbuild.api.problems import RESPONSES
from flowbuild.core.access import Action
from flowbuild.services.deliveries import is_repeatable
from flowbuild.store.deliveries import DeliveryRow

router = APIRouter(prefix="/api/v1/projects/{project}/deliveries", tags=["webhooks"], responses=RESPONSES)
MAX_BODY = 65_536  # bytes of a body that are shown
READ = [Depends(OnProject(Action.HOOK_READ))]


class DeliverySummary(BaseModel):
    """A delivery in a list. `result`: what followed from it, for people; of one that waits also the `commit` to approve."""

    id: str
    hook: str
    event: str
    received_at: float
    state: Literal["received", "waiting", "done", "ignored", "failed"]
    result: dict[str, Any]
    tries: int
    approved_by: str
    repeatable: bool = Field(description="whether something may follow when it is looked at again")


class DeliveryView(DeliverySummary):
    """A delivery with what was sent, without secrets. After a while both are dropped."""

    headers: dict[str, str]
    body: str = Field(description=f"the first {MAX_BODY} bytes")


class ApprovalIn(BaseModel):
    """The commit that was looked at."""

    model_config = ConfigDict(extra="forbid")
    commit: str = Field(max_length=64)


@router.get("", dependencies=READ)
def list_deliveries(project: str, backend: Back, limit: Limit = 50, cursor: Cursor = "") -> Page[DeliverySummary]:
    """Return what was delivered, the newest first."""
    rows = backend.triggers.deliveries.page(project, from_cursor(cursor), limit + 1)
    more = to_cursor(rows[limit - 1].id) if len(rows) > limit else None
    return Page(items=[DeliverySummary(**_fields(row)) for row in rows[:limit]], next=more)


@router.get("/{delivery}", dependencies=READ)
def get_delivery(project: str, delivery: str, backend: Back) -> DeliveryView:
    """Return a delivery."""
    row = backend.triggers.deliveries.get(project, delivery)
    body = row.body[:MAX_BODY].decode("utf-8", "replace")
    return DeliveryView(**_fields(row), headers=dict(row.headers), body=body)


@router.post("/{delivery}/approve", status_code=204, dependencies=[Depends(OnProject(Action.RUN_APPROVE))])
def approve_delivery(
    project: str, delivery: str, wanted: ApprovalIn, caller: Caller, actor: Acting, backend: Back
) -> None:
    """Let what comes from outside run, at this commit and this once. It gets no secrets."""
    backend.approvals.require_other_eyes(caller, project, delivery)
    backend.triggers.deliveries.approve(actor, project, delivery, wanted.commit)


@router.post("/{delivery}/again", status_code=204, dependencies=[Depends(OnProject(Action.RUN_START))])
def take_delivery_again(project: str, delivery: str, actor: Acting, backend: Back) -> None:
    """Look again at a delivery that failed, or from which nothing followed."""
    backend.triggers.deliveries.again(actor, project, delivery)


def _fields(row: DeliveryRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "hook": row.hook_name,
        "event": row.event,
        "received_at": row.received_at,
        "state": row.state,
        "result": dict(row.result),
        "tries": row.tries,
        "approved_by": row.approved_by,
        "repeatable": is_repeatable(row),
    }
