"""Which attempt a runner gets next, of all that wait. Pure: the same queue and the same machines give the same answer.

* Projects share: the one with the least running comes first, whatever the others have queued.
* Within a project: higher priority first, then first come, first served.
* Waiting counts: each AGE seconds are worth one running attempt, and one step of priority. So nobody starves.
* An attempt goes to the machine that has its workspace, unless that is much fuller than the emptiest one.
* An attempt that fits on no machine for HOLD seconds, but would if one were emptier, gets a machine held for it: nobody
  behind it is let onto that one, so that what is small does not keep away for ever what is large.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from flowbuild.core.placement import ANYWHERE, Machine, Needs, Obstacle, obstacle

AGE = 900.0
HOLD = 60.0
WARM = 0.25  # of a machine: so much fuller may be the one that has the workspace


@dataclass(frozen=True, slots=True)
class Queued:
    """An attempt that waits. `key` names it; `warm` the machine that has its workspace; `network` as in `placement.obstacle`.

    `not_on`: a machine that may not have it.
    """

    key: object
    project: str
    queued_at: float
    needs: Needs = ANYWHERE
    priority: int = 0
    warm: str = ""
    network: str = ""
    not_on: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What was found: the attempt for the machine that asked; machines that others were left for, and those held, by name."""

    key: object | None = None
    left_for: Mapping[object, str] = field(default_factory=dict)
    held: Mapping[str, object] = field(default_factory=dict)


def plan(
    asking: str,
    queue: Sequence[Queued],
    machines: Mapping[str, Machine],
    *,
    free: Collection[str],
    running: Mapping[str, int],
    now: float,
) -> Plan:
    """Return what the machine `asking` gets. `free`: those that ask for work just now, it among them; each gets one attempt.

    `running`: attempts that projects have on machines. `queue` need hold only the first of several attempts that differ
    in nothing but their age.
    """
    left = {name: machines[name] for name in free}
    left_for: dict[object, str] = {}
    held: dict[str, object] = {}
    for each in in_order(queue, running, now):
        if not left:
            break
        fitting = [machine for machine in left.values() if machine.name not in held and _hurdle(each, machine) is None]
        if fitting:
            best = max(fitting, key=lambda machine: _worth(each, machine))
            if best.name == asking:
                return Plan(each.key, left_for, held)
            left_for[each.key] = best.name
            del left[best.name]
        elif now - each.queued_at >= HOLD and (holding := _to_hold(each, machines, held)) is not None:
            held[holding] = each.key
    return Plan(None, left_for, held)


def in_order(queue: Sequence[Queued], running: Mapping[str, int], now: float) -> Iterator[Queued]:
    """Yield what waits in the order in which it is to be served."""
    lines: defaultdict[str, list[Queued]] = defaultdict(list)
    for each in queue:
        lines[each.project].append(each)
    for line in lines.values():  # the next one stands at the end
        line.sort(key=lambda each: (-each.priority - _age(each, now), each.queued_at, str(each.key)), reverse=True)
    oldest = {project: list(accumulate((each.queued_at for each in line), min)) for project, line in lines.items()}
    taken = Counter(dict(running))

    def turn(project: str) -> tuple[int, float, str]:
        since = oldest[project][len(lines[project]) - 1]
        return taken[project] - int(max(0.0, now - since) / AGE), since, project

    turns = [turn(project) for project in lines]
    heapq.heapify(turns)
    while turns:
        project = turns[0][-1]
        yield lines[project].pop()
        taken[project] += 1
        if lines[project]:
            heapq.heapreplace(turns, turn(project))
        else:
            heapq.heappop(turns)


def obstacles(each: Queued, machines: Mapping[str, Machine]) -> Mapping[str, Obstacle]:
    """Return what is in the way of an attempt, by machine; those that could have it are left out."""
    found = {name: _hurdle(each, machine) for name, machine in machines.items()}
    return {name: hurdle for name, hurdle in found.items() if hurdle is not None}


def _age(each: Queued, now: float) -> int:
    return int(max(0.0, now - each.queued_at) / AGE)


def _hurdle(each: Queued, machine: Machine) -> Obstacle | None:
    if machine.name == each.not_on:
        return Obstacle("owner", "is inside another server")
    return obstacle(each.needs, machine, each.network)


def _worth(each: Queued, machine: Machine) -> tuple[float, bool, str]:
    warm = machine.name == each.warm
    return machine.free_share + WARM * warm, warm, machine.name


def _to_hold(each: Queued, machines: Mapping[str, Machine], held: Collection[str]) -> str | None:
    """Return the machine that an attempt will soonest fit on, of those that nobody holds."""
    possible = [
        machine
        for machine in machines.values()
        if machine.name not in held and ((hurdle := _hurdle(each, machine)) is None or hurdle.ever)
    ]
    return max(possible, key=lambda machine: (machine.free_share, machine.name)).name if possible else None
