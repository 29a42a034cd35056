"""Looking at the containers of a unit: now, and again whenever one of them changes."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping

from flowbuild.engine.api import Api, together
from flowbuild.engine.base import EngineUnreachable
from flowbuild.engine.verdict import ContainerState, read_state

States = Mapping[str, ContainerState | None]

EVENTS = ("start", "die", "health_status", "destroy")
# The engine answers before it has subscribed us. It keeps its last events, so all that match since 1970 are asked for:
# what happened in between comes too, and an old event costs one more look.
SINCE = "1"


async def inspected(api: Api, containers: Mapping[str, str]) -> dict[str, ContainerState | None]:
    """Return the state of each container by service; None where it is gone."""
    answers = await together(*(api.inspect(container) for container in containers.values()))
    return {service: read_state(service, answer) for service, answer in zip(containers, answers, strict=True)}


async def observed(api: Api, containers: Mapping[str, str], patience: float) -> AsyncGenerator[States, None]:
    """Yield the states now and after every change, without end. Events only say when to look; states are looked up.

    Survives a lost engine for `patience` seconds, then raises EngineUnreachable.
    """
    filters = {"type": ["container"], "container": list(containers.values()), "event": list(EVENTS)}
    params = {"since": SINCE, "filters": json.dumps(filters)}
    while True:
        try:
            async with api.stream("events", params) as stream:
                yield await inspected(api, containers)
                while await stream.readany():
                    yield await inspected(api, containers)
        except EngineUnreachable:
            if not await api.returned(patience):
                raise
