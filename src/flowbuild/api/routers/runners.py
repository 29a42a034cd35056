"""Runners, for people: let machines in, look at them, drain and revoke them."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from flowbuild.api.access import Acting, OnServer
from flowbuild.api.backend import Back, Machines
from flowbuild.api.problems import RESPONSES
from flowbuild.core.access import Action
from flowbuild.services.registration import Invitation
from flowbuild.store.runners import RunnerRow

router = APIRouter(prefix="/api/v1/runners", tags=["runners"], responses=RESPONSES)
DRAIN = [Depends(OnServer(Action.RUNNER_DRAIN))]
REGISTER = [Depends(OnServer(Action.RUNNER_REGISTER))]


class RunnerInfo(BaseModel):
    """A runner. Times are seconds since the epoch.

    Those inside the servers over one database are one runner, `local`: what it says of its machine is of the server that began last.
    """

    name: str
    embedded: bool = Field(description="whether it is inside the server; such a one has no key")
    state: Literal["active", "draining", "revoked"]
    capacity: int = Field(description="attempts whose containers run at once")
    labels: dict[str, Any]
    facts: dict[str, Any] = Field(description="what it says of its machine")
    created_at: float
    seen_at: float | None = Field(description="when it was last heard of")
    heard: bool = Field(description="whether that was lately; what a runner has that is silent will be lost")
    busy: int = Field(description="attempts that it has; the queue tells which")
    key_made_at: float | None
    key_rotated_at: float | None = Field(
        description="when it last got a new key; none: it has the one of its registration"
    )
    key_ends_at: float | None = Field(description="when its key opens nothing any more; none: never")
    key_wanted: bool = Field(description="whether it is about to get a new key")


@router.get("", dependencies=[Depends(OnServer(Action.RUNNER_READ))])
def list_runners(backend: Back) -> list[RunnerInfo]:
    """Return all runners by name, those that were revoked, too."""
    registration = backend.machines.registration
    busy = registration.busy()
    return [_info(row, backend.machines, busy.get(row.name, 0)) for row in registration.runners()]


@router.post("/codes", status_code=201, dependencies=REGISTER)
def invite_runner(actor: Acting, backend: Back) -> Invitation:
    """Return a code with which one machine may register, within ten minutes."""
    return backend.machines.registration.invite(actor)


@router.post("/{name}/drain", status_code=204, dependencies=DRAIN)
def drain_runner(name: str, actor: Acting, backend: Back) -> None:
    """Give a runner no more work; its program ends when it has none left."""
    backend.machines.registration.drain(name, actor)


@router.post("/{name}/activate", status_code=204, dependencies=DRAIN)
def activate_runner(name: str, actor: Acting, backend: Back) -> None:
    """Give a runner work again that was being drained."""
    backend.machines.registration.activate(name, actor)


@router.post("/{name}/rotate", status_code=204, dependencies=REGISTER)
def rotate_key(name: str, actor: Acting, backend: Back) -> None:
    """Have a runner make a new key for itself, at its next heartbeat; the one it has ends when it uses that."""
    backend.machines.keys.rotate(name, actor)


@router.delete("/{name}", status_code=204, dependencies=REGISTER)
def revoke_runner(name: str, actor: Acting, backend: Back) -> None:
    """Let a runner never in again with its key; what it works on is lost."""
    backend.machines.registration.revoke(name, actor)


def _info(row: RunnerRow, machines: Machines, busy: int) -> RunnerInfo:
    return RunnerInfo(
        name=row.name,
        embedded=row.embedded,
        state=row.state,
        capacity=row.capacity,
        labels=dict(row.labels),
        facts=dict(row.facts),
        created_at=row.created_at,
        seen_at=row.seen_at,
        heard=machines.registration.is_heard(row),
        busy=busy,
        key_made_at=None if row.embedded else row.key_since,
        key_rotated_at=row.key_made_at,
        key_ends_at=machines.keys.ends_at(row),
        key_wanted=machines.keys.is_wanted(row),
    )
