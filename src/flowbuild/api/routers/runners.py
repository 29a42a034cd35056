"""Runners, for people: let machines in, look at them, drain and revoke them."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from flowbuild.api.access import Acting, OnServer
from flowbuild.api.backend import Back, Machines
from flowbuild.api.problems import RESPONSES
from flowbuild.core.access import Action
from flowbuild.core.placement import Amounts, Machine
from flowbuild.services.registration import Invitation
from flowbuild.store.runners import RunnerRow

router = APIRouter(prefix="/api/v1/runners", tags=["runners"], responses=RESPONSES)
DRAIN = [Depends(OnServer(Action.RUNNER_DRAIN))]
REGISTER = [Depends(OnServer(Action.RUNNER_REGISTER))]


class AmountsInfo(BaseModel):
    """Processors, bytes of memory, generic resources by kind."""

    cpus: float = 0.0
    memory: int = 0
    generic: dict[str, int] = {}


class LoadInfo(BaseModel):
    """Processes that run or want to, the mean of a minute; bytes that are free; bytes that are kept of runs."""

    processes: float
    memory_free: int
    disk_free: int
    kept: int


class RunnerInfo(BaseModel):
    """A runner. Times are seconds since the epoch.

    Those inside the servers over one database are one runner, `local`: what it says of its machine is of the server that began last.
    """

    name: str
    embedded: bool = Field(description="whether it is inside the server; such a one has no key")
    state: Literal["active", "cordoned", "draining", "revoked"]
    closed: str = Field(description="why it gets no work now; empty: it does")
    capacity: int = Field(description="attempts whose containers run at once")
    labels: dict[str, Any]
    facts: dict[str, Any] = Field(description="what it says of its machine")
    attributes: dict[str, str] = Field(description="what `deploy.placement.constraints` of steps speak of")
    total: AmountsInfo = Field(description="what steps may reserve")
    reserved: AmountsInfo = Field(description="what those that it has reserve")
    load: LoadInfo | None = Field(description="how loaded its machine was when it was last heard of")
    member: bool = Field(description="whether it is on a machine of the server's Swarm")
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
    busy, seen = registration.busy(), registration.machines()
    return [
        _info(row, backend.machines, busy.get(row.name, 0), seen.get(row.name, Machine(row.name)))
        for row in registration.runners()
    ]


@router.post("/codes", status_code=201, dependencies=REGISTER)
def invite_runner(actor: Acting, backend: Back) -> Invitation:
    """Return a code with which one machine may register, within ten minutes."""
    return backend.machines.registration.invite(actor)


@router.post("/{name}/cordon", status_code=204, dependencies=DRAIN)
def cordon_runner(name: str, actor: Acting, backend: Back) -> None:
    """Give a runner no more work; it goes on with what it has, and its program stays."""
    backend.machines.registration.cordon(name, actor)


@router.post("/{name}/drain", status_code=204, dependencies=DRAIN)
def drain_runner(name: str, actor: Acting, backend: Back) -> None:
    """Give a runner no more work; its program ends when it has none left."""
    backend.machines.registration.drain(name, actor)


@router.post("/{name}/activate", status_code=204, dependencies=DRAIN)
def activate_runner(name: str, actor: Acting, backend: Back) -> None:
    """Give a runner work again that got none."""
    backend.machines.registration.activate(name, actor)


@router.post("/{name}/rotate", status_code=204, dependencies=REGISTER)
def rotate_key(name: str, actor: Acting, backend: Back) -> None:
    """Have a runner make a new key for itself, at its next heartbeat; the one it has ends when it uses that."""
    backend.machines.keys.rotate(name, actor)


@router.delete("/{name}", status_code=204, dependencies=REGISTER)
def revoke_runner(name: str, actor: Acting, backend: Back) -> None:
    """Let a runner never in again with its key; what it works on is lost."""
    backend.machines.registration.revoke(name, actor)


def _info(row: RunnerRow, machines: Machines, busy: int, seen: Machine) -> RunnerInfo:
    return RunnerInfo(
        name=row.name,
        embedded=row.embedded,
        state=row.state,
        closed=seen.closed,
        capacity=row.capacity,
        labels=dict(row.labels),
        facts=dict(row.facts),
        attributes=dict(seen.attributes),
        total=_amounts(seen.total),
        reserved=_amounts(seen.reserved),
        load=LoadInfo(**row.load) if row.load else None,
        member=seen.member,
        created_at=row.created_at,
        seen_at=row.seen_at,
        heard=machines.registration.is_heard(row),
        busy=busy,
        key_made_at=None if row.embedded else row.key_since,
        key_rotated_at=row.key_made_at,
        key_ends_at=machines.keys.ends_at(row),
        key_wanted=machines.keys.is_wanted(row),
    )


def _amounts(amounts: Amounts) -> AmountsInfo:
    return AmountsInfo(cpus=amounts.cpus, memory=amounts.memory, generic=dict(amounts.generic))
