"""Which attempt a runner gets: the machines and the queue as the database has them, for `core.scheduling` to choose.

Blocking, in transactions of the caller.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from flowbuild.core import scheduling
from flowbuild.core.ids import EMBEDDED
from flowbuild.core.placement import MEMBERS, UNDECIDED, Amounts, Machine, Obstacle
from flowbuild.core.scheduling import Plan, Queued
from flowbuild.store.attempts import AttemptKey, AttemptRow
from flowbuild.store.database import Transaction
from flowbuild.store.queue import Load, QueueHead
from flowbuild.store.runners import RunnerRow

SILENT = 25.0  # seconds, more than two heartbeats: who was not heard of for so long is not counted on


@dataclass(frozen=True, slots=True)
class Standing:
    """What the cluster says of a machine. `taking`: it is to get work; `draining`: it is to end when it has none left."""

    role: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    taking: bool = True
    draining: bool = False


@dataclass(frozen=True, slots=True)
class Cluster:
    """What there is besides runners that are each on their own.

    `standing`: that of a node by its id, None for one that is not in the cluster. `join` gives a run a network across
    machines, in a transaction that has the run; False when there are no addresses left.
    """

    standing: Callable[[str], Standing | None] = lambda _node: None
    join: Callable[[Transaction, AttemptKey], bool] = lambda _tx, _key: False


NO_CLUSTER = Cluster()


@dataclass(frozen=True, slots=True)
class Asking:
    """A claim of the runner NAME/LIFE, and the names of all runners that ask just now and can be answered here."""

    runner: str
    name: str
    request_key: str
    free: Collection[str]


@dataclass(frozen=True, slots=True)
class Found:
    """What there is for a runner: an attempt, or the names of those that what it could have was left for."""

    row: AttemptRow | None = None
    left_for: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Prospects:
    """How a queued attempt stands: how many have waited longer, and what keeps it from runners, by their names."""

    older: int
    machines: Mapping[str, Machine]
    obstacles: Mapping[str, Obstacle]


class Placing:
    """Chooses for the runners of an owner. `serves`: it is a server, so runners on other machines have its runs, too.

    `capacity`: how many attempts the runner inside may have at once; 0: there is none.
    """

    def __init__(self, *, owner: str, serves: bool, capacity: int, cluster: Cluster = NO_CLUSTER) -> None:
        self._owner = owner
        self._serves = serves
        self._capacity = capacity
        self._cluster = cluster

    def take(self, tx: Transaction, asking: Asking, *, now: float, lease: float, wait: bool = True) -> Found:
        """Lease the attempt to a runner that it is to have: at first of runs that no other transaction has.

        Without `wait` no others are looked at.
        """
        passed: set[AttemptKey] = set()
        for patient in (False, True) if wait else (False,):
            passed.clear()
            while isinstance(key := (chosen := self._plan(tx, asking, passed, now)).key, AttemptKey):
                with tx.savepoint() as give_back:
                    row = self._lease(tx, key, asking, now=now, lease=lease, wait=patient)
                    if row is not None:
                        return Found(row)
                    give_back()
                passed.add(key)
            if not passed:
                break
        return Found(left_for=frozenset(chosen.left_for.values()))

    def standing(self, row: RunnerRow) -> Standing | None:
        """Return what the cluster says of the machine of a runner, None when it is not in it."""
        return None if row.embedded else self._cluster.standing(str(row.facts.get("node", "")))

    def prospects(self, tx: Transaction, key: AttemptKey, now: float) -> Prospects | None:
        """Return what is in the way of an attempt; None when it is not queued any more."""
        head = tx.queue.head(key, self._owner)
        if head is None:
            return None
        machines = self.machines(tx, now)
        queued = replace(_queued(head), not_on="")  # the server that it is of may have a runner inside, too
        return Prospects(tx.queue.older(head), machines, scheduling.obstacles(queued, machines))

    def machines(self, tx: Transaction, now: float) -> Mapping[str, Machine]:
        """Return the runners as machines, by name."""
        return self._machines(tx, tx.queue.loads(self._owner), now, "")

    def _machines(self, tx: Transaction, loads: Collection[Load], now: float, asking: str) -> Mapping[str, Machine]:
        """Return them; that `asking` is there, whenever it was heard of before."""
        if not self._serves:
            return {EMBEDDED: Machine(EMBEDDED, places=self._capacity, bounded=False)}
        of: defaultdict[str, list[Load]] = defaultdict(list)
        for load in loads:
            if load.mine or load.runner != EMBEDDED:  # other servers have a runner of that name, too
                of[load.runner].append(load)
        rows = {row.name: row for row in tx.runners.all() if row.state != "revoked"}
        if not self._capacity:
            rows.pop(EMBEDDED, None)  # it is that of another server, or of an earlier life of this one
        return {name: self._machine(row, of[name], now, asking) for name, row in rows.items()}

    def _plan(self, tx: Transaction, asking: Asking, passed: Collection[AttemptKey], now: float) -> Plan:
        queue = [_queued(head) for head in tx.queue.heads(self._owner, served=self._serves) if head.key not in passed]
        if not queue:
            return Plan()
        loads = tx.queue.loads(self._owner)
        machines = self._machines(tx, loads, now, asking.name)
        if asking.name not in machines:  # it is not known, or was revoked
            return Plan()
        free = {name for name in asking.free if name in machines and not machines[name].closed} | {asking.name}
        running = Counter(load.project for load in loads)
        return scheduling.plan(asking.name, queue, machines, free=free, running=running, now=now)

    def _lease(
        self, tx: Transaction, key: AttemptKey, asking: Asking, *, now: float, lease: float, wait: bool
    ) -> AttemptRow | None:
        if not self._joined(tx, key, asking.name, wait=wait):
            return None
        who, request = asking.runner, asking.request_key
        return tx.attempts.take(key, runner=who, request_key=request, now=now, lease=lease, wait=wait)

    def _joined(self, tx: Transaction, key: AttemptKey, name: str, *, wait: bool) -> bool:
        """Decide where the network of a run is that needs one: with whoever gets its first attempt. False when it cannot be."""
        head = tx.queue.head(key, self._owner)
        if head is None or head.network != UNDECIDED:
            return head is not None
        if not tx.runs.lock(key.run, wait=wait):
            return False
        row = tx.runners.by_name(name)
        member = row is not None and self.standing(row) is not None
        if member and not self._cluster.join(tx, key):
            return False
        tx.queue.settle_network(key.run, MEMBERS if member else name)
        return True

    def _machine(self, row: RunnerRow, loads: list[Load], now: float, asking: str) -> Machine:
        facts, standing = row.facts, self.standing(row)
        silent = not row.embedded and row.name != asking and (row.seen_at or 0.0) < now - SILENT
        return Machine(
            name=row.name,
            attributes=dict(_attributes(row, standing)),
            total=Amounts(float(facts.get("cpus", 0)), int(facts.get("memory", 0)), facts.get("generic", {})),
            reserved=sum((load.needs.amounts for load in loads), Amounts()),
            places=self._capacity if row.embedded else row.capacity,
            busy=len(loads),
            closed=_closed(row, standing, silent=silent),
            member=standing is not None,
        )


def _queued(head: QueueHead) -> Queued:
    return Queued(
        key=head.key,
        project=head.project,
        queued_at=head.queued_at,
        needs=head.needs,
        priority=head.priority,
        warm=head.warm,
        network=head.network,
        not_on="" if head.mine else EMBEDDED,
    )


def _closed(row: RunnerRow, standing: Standing | None, *, silent: bool) -> str:
    if row.state != "active":
        return f"is {row.state}"
    if standing is not None and not standing.taking:
        return "is drained by the cluster" if standing.draining else "gets no work from the cluster"
    return "is not heard of" if silent else ""


def _attributes(row: RunnerRow, standing: Standing | None) -> Iterator[tuple[str, str]]:
    facts = row.facts
    told = {
        "node.id": facts.get("node", ""),
        "node.hostname": facts.get("hostname", ""),
        "node.role": standing.role if standing else facts.get("role", ""),
        "node.platform.os": facts.get("os", ""),
        "node.platform.arch": facts.get("arch", "") or facts.get("machine", ""),
    }
    yield from ((name, str(value)) for name, value in told.items() if value)
    yield from ((f"engine.labels.{name}", str(value)) for name, value in facts.get("engine_labels", {}).items())
    labels = {**row.labels, **(standing.labels if standing else {})}
    yield from ((f"node.labels.{name}", str(value)) for name, value in labels.items())
