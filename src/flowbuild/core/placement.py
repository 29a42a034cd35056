"""Where a step may run: what it asks of a machine, what machines offer, and what is in the way.

Constraints are written and mean what they do for services of a Swarm; amounts are those that a compose file reserves.
Source: docs.docker.com, `docker service create --constraint` and `--generic-resource`; compose specification, `deploy`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_CONSTRAINT = re.compile(r"\s*([A-Za-z0-9_.\-/]+?)\s*(==|!=)\s*(\S(?:.*\S)?)\s*", re.DOTALL)
_FIXED = ("node.id", "node.hostname", "node.role", "node.platform.os", "node.platform.arch")
_LABELS = ("node.labels.", "engine.labels.")
_SAME_ARCH = {"x86_64": "amd64", "aarch64": "arm64"}
UNDECIDED = "?"  # a run needs a network across steps, and none of its attempts was handed out yet
MEMBERS = "members"  # the network of a run is across the machines of the Swarm
ROUNDING = 1e-9  # sums of fractions of processors are not exact


@dataclass(frozen=True, slots=True)
class Constraint:
    """`key == value` or `key != value`; a machine without the key has no value, so only the second one holds there."""

    key: str
    value: str
    equal: bool = True

    @staticmethod
    def parse(text: str) -> Constraint:
        """Return the constraint that a text says; raises ValueError telling what it may say."""
        match = _CONSTRAINT.fullmatch(text)
        if match is None:
            raise ValueError("must be `KEY == VALUE` or `KEY != VALUE`")
        key, sign, value = match.groups()
        if key not in _FIXED and not any(key.startswith(group) and key != group for group in _LABELS):
            raise ValueError(f"must be about one of {', '.join(f'`{name}`' for name in (*_FIXED, *_LABELS))}")
        return Constraint(key, value, sign == "==")

    def __str__(self) -> str:
        return f"{self.key} {'==' if self.equal else '!='} {self.value}"

    def holds(self, attributes: Mapping[str, str]) -> bool:
        """Whether a machine with these attributes satisfies it. Case does not matter, as with Swarm."""
        has = attributes.get(self.key)
        return (has is not None and _plain(self.key, has) == _plain(self.key, self.value)) is self.equal


def _plain(key: str, value: str) -> str:
    value = value.casefold()
    return _SAME_ARCH.get(value, value) if key == "node.platform.arch" else value


@dataclass(frozen=True, slots=True)
class Amounts:
    """Processors, bytes of memory, and generic resources by kind."""

    cpus: float = 0.0
    memory: int = 0
    generic: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: Amounts) -> Amounts:
        kinds = {*self.generic, *other.generic}
        generic = {kind: self.generic.get(kind, 0) + other.generic.get(kind, 0) for kind in kinds}
        return Amounts(self.cpus + other.cpus, self.memory + other.memory, generic)

    def parts(self) -> Iterator[tuple[str, float]]:
        """Yield each kind that something is asked of, with how much."""
        if self.cpus:
            yield "cpus", self.cpus
        if self.memory:
            yield "memory", self.memory
        yield from ((kind, amount) for kind, amount in sorted(self.generic.items()) if amount)

    def of(self, kind: str) -> float:
        """Return how much of one kind there is."""
        return {"cpus": self.cpus, "memory": self.memory}.get(kind) or self.generic.get(kind, 0)


@dataclass(frozen=True, slots=True)
class Needs:
    """What a step asks of the machine that all its services run on. `containers`: how many addresses they take."""

    constraints: tuple[Constraint, ...] = ()
    amounts: Amounts = Amounts()
    containers: int = 1


ANYWHERE = Needs()


@dataclass(frozen=True, slots=True)
class Machine:
    """A runner as placement sees it. `attributes` are what constraints speak of; `places` attempts may run on it at once.

    `reserved` and `busy`: by and of the attempts that it has. `closed`: why it gets no work at all, or empty. `member`: it
    can be in the network of a run across machines; a run that needs one and begins elsewhere stays where it began. `bounded`:
    its amounts and attributes count.
    """

    name: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    total: Amounts = Amounts()
    reserved: Amounts = Amounts()
    places: int = 1
    busy: int = 0
    closed: str = ""
    member: bool = False
    bounded: bool = True

    @property
    def free_share(self) -> float:
        """How much of it is free, from 0 to 1, of what it has least of."""
        shares = [1 - self.busy / self.places]
        shares += [1 - self.reserved.cpus / self.total.cpus] if self.total.cpus else []
        shares += [1 - self.reserved.memory / self.total.memory] if self.total.memory else []
        return max(0.0, min(shares))


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a machine cannot have a step. `ever`: it could, were it emptier. `kind`: closed, network, constraint, or that of an
    amount.
    """

    kind: str
    text: str
    ever: bool = False


def obstacle(needs: Needs, machine: Machine, network: str = "") -> Obstacle | None:
    """Return what is in the way of a step on a machine, or None.

    `network`: where the network of its run is: "" for each machine by itself, UNDECIDED, MEMBERS, or the name of a machine.
    """
    if machine.closed:
        return Obstacle("closed", machine.closed)
    if network not in ("", UNDECIDED) and not (machine.member if network == MEMBERS else machine.name == network):
        return Obstacle("network", "is not in the network of the run")
    if not machine.bounded:
        return None
    for constraint in needs.constraints:
        if not constraint.holds(machine.attributes):
            return Obstacle("constraint", f"not {constraint}")
    for kind, wanted in needs.amounts.parts():
        total, reserved = machine.total.of(kind), machine.reserved.of(kind)
        if wanted > total + ROUNDING:
            return Obstacle(kind, f"has {_amount(kind, total)}, not {_amount(kind, wanted)}")
        if wanted > total - reserved + ROUNDING:
            return Obstacle(kind, f"{_amount(kind, reserved)} of {_amount(kind, total)} are reserved", ever=True)
    return None


def _amount(kind: str, value: float) -> str:
    if kind == "memory":
        return f"{value / (1 << 20):,.0f} MiB of memory"
    return f"{value:g} {kind}"
