"""The audit log: who did what."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from flowbuild.api.access import OnProject, OnServer
from flowbuild.api.backend import Back, Backend
from flowbuild.api.paging import Cursor, Limit, Page, from_cursor, to_cursor
from flowbuild.api.problems import RESPONSES
from flowbuild.core.access import Action
from flowbuild.core.errors import InvalidRequest

router = APIRouter(prefix="/api/v1", tags=["audit"], responses=RESPONSES)
ALL = [Depends(OnServer(Action.AUDIT_READ))]
Filter = Annotated[str, Query(max_length=128)]
Number = Annotated[int | None, Query(ge=1, lt=1 << 31)]
Hash = Annotated[str, Query(max_length=64)]


class AuditEntry(BaseModel):
    """Who did what to what, and from where. `hash` covers all of it and the hash of the entry before."""

    seq: int
    at: float
    actor: str
    action: str
    object: str
    detail: dict[str, Any]
    address: str
    via: str = Field(description="the token or login that was shown, as `token:ID` or `session:ID`")
    project: str
    project_id: str = Field(
        description="whose maintainers may read it, not those of a later project of that name; empty: admins of the server alone"
    )
    previous_hash: str
    hash: str


class AuditVerdict(BaseModel):
    """What a look at the whole log gave: its newest entry, and what is wrong (empty when nothing is)."""

    rows: int
    hash: str
    problem: str


@router.get("/audit", dependencies=ALL)
def list_audit(
    backend: Back, limit: Limit = 50, cursor: Cursor = "", actor: Filter = "", action: Filter = ""
) -> Page[AuditEntry]:
    """Return what was done on the server and in all projects, the newest first."""
    return _page(backend, None, limit, cursor, {"actor": actor, "action": action})


@router.get("/projects/{project}/audit", dependencies=[Depends(OnProject(Action.AUDIT_READ))])
def list_project_audit(
    project: str, backend: Back, limit: Limit = 50, cursor: Cursor = "", actor: Filter = "", action: Filter = ""
) -> Page[AuditEntry]:
    """Return what was done in a project, the newest first."""
    return _page(backend, project, limit, cursor, {"actor": actor, "action": action})


@router.get("/audit/verify", dependencies=ALL)
def verify_audit(backend: Back, seq: Number = None, noted: Hash = "") -> AuditVerdict:
    """Look whether every entry is as it was written; `seq` and `noted`: an entry that must be there with that hash."""
    verdict = backend.people.audit.verify(None if seq is None else (seq, noted))
    return AuditVerdict(rows=verdict.rows, hash=verdict.hash, problem=verdict.problem)


def _page(backend: Backend, project: str | None, limit: int, cursor: str, wanted: dict[str, str]) -> Page[AuditEntry]:
    rows = backend.people.audit.page(before=_number(cursor), limit=limit + 1, project=project, **wanted)
    more = to_cursor(str(rows[limit - 1].seq)) if len(rows) > limit else None
    entries = [AuditEntry(**{name: getattr(row, name) for name in AuditEntry.model_fields}) for row in rows[:limit]]
    return Page(items=entries, next=more)


def _number(cursor: str) -> int | None:
    place = from_cursor(cursor)
    if place is None:
        return None
    if not (place.isascii() and place.isdigit() and len(place) < 10):
        raise InvalidRequest("the cursor is not one of ours", hint="take `next` of the page before as it is")
    return int(place)
