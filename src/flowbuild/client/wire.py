"""What runner and server say to each other, as JSON. Whatever is not as it should be is refused by pydantic.

Bytes of logs are base64. Of the steps of a run, which conditions may ask for, those are sent that can be asked for.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Base64Bytes, Field, TypeAdapter

from flowbuild.client.runner import Assignment, AttemptResult, Beat, Facts, Lease, LogEntry, Report
from flowbuild.core.context import StepsView

LOG_BYTES = 1 << 20  # of output in one request, and
LOG_ENTRIES = 4096  # pieces of it, unless one piece alone is larger
BODY_MAX = 16 << 20  # bytes of a request of a runner
WAIT_MAX = 60.0  # seconds of a long poll
NUMBER_MAX = (1 << 31) - 1  # of attempts and epochs, as databases hold them
WORD = r"^[A-Za-z0-9_-]{1,64}$"  # ids of runs, keys of steps
Wait = Annotated[float, Field(ge=0, le=WAIT_MAX)]
Runner = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,39}/[0-9a-f]{16}$")]  # NAME/LIFE


def _bounded(report: Report) -> Report:
    """Refuse leases that no attempt can have; raises ValueError."""
    for held in report.held:
        words, numbers = (held.lease.run, held.lease.step), (held.lease.attempt, held.lease.epoch)
        if not all(re.fullmatch(WORD, word) for word in words) or not all(1 <= each <= NUMBER_MAX for each in numbers):
            raise ValueError("that is no lease")
    return report


@dataclass(frozen=True, slots=True)
class Register:
    """A machine asks to be let in."""

    code: str
    name: str
    capacity: int
    labels: Mapping[str, str] = field(default_factory=dict)
    facts: Facts = field(default_factory=Facts)


@dataclass(frozen=True, slots=True)
class Registered:
    """A new runner and its key, which is told this once."""

    name: str
    key: str


@dataclass(frozen=True, slots=True)
class Hello:
    """A new life of a runner says what it is."""

    runner: Runner
    capacity: int
    facts: Facts = field(default_factory=Facts)


@dataclass(frozen=True, slots=True)
class Inherited:
    """An attempt of an earlier life of the runner. `launched`: its containers may run."""

    lease: Lease
    launched: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """See RunnerClient.claim."""

    runner: Runner
    request_key: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    wait: Wait = 0.0


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """See RunnerClient.heartbeat."""

    runner: Runner
    report: Annotated[Report, AfterValidator(_bounded)]
    wait: Wait = 0.0


@dataclass(frozen=True, slots=True)
class DebugKit:
    """What it takes to open a shell where an attempt of a step began, or in what it left, on another machine.

    `assignment` belongs to no attempt: its commit is the one to be seen, its repository is below the address of the server.
    `images`: the ids of those that the attempt had, by service; empty when it did not get that far. `missing`: secrets
    that the step declares; the server gives none away. `command` does all of it.
    """

    assignment: Assignment
    images: Mapping[str, str]
    missing: tuple[str, ...]
    command: str


@dataclass(frozen=True, slots=True)
class NewKey:
    """The next key of a runner. The first request that comes with it ends the one before."""

    runner: Runner
    key: Annotated[str, Field(pattern=r"^flowr_[A-Za-z0-9_-]{43}$")]


@dataclass(frozen=True, slots=True)
class LogState:
    """See RunnerClient.log_state: the next offset, the time of the last entry by service."""

    offset: int
    last: Mapping[str, int] = field(default_factory=dict)


# Service, stream, time in ns, data. The names of services are as those of compose files, or empty: the product itself.
Piece = tuple[
    Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{0,63}$")],
    Literal["stdout", "stderr"],
    Annotated[int, Field(ge=0, lt=1 << 63)],
    Base64Bytes,
]


@dataclass(frozen=True, slots=True)
class LogBatch:
    """Output at an offset."""

    offset: Annotated[int, Field(ge=0, lt=1 << 63)]
    entries: Annotated[Sequence[Piece], Field(max_length=LOG_ENTRIES)]


class StepsTold(Mapping[str, Mapping[str, Any]]):
    """`steps` of an expression, as they were when they were sent; `others` can be asked for, but are not counted."""

    def __init__(self, steps: Mapping[str, Mapping[str, Any]], others: Mapping[str, Mapping[str, Any]]) -> None:
        self._steps = steps
        self.others = others

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        return self._steps[name] if name in self._steps else self.others[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._steps)

    def __len__(self) -> int:
        return len(self._steps)


register: TypeAdapter[Register] = TypeAdapter(Register)
registered: TypeAdapter[Registered] = TypeAdapter(Registered)
hello: TypeAdapter[Hello] = TypeAdapter(Hello)
inherited: TypeAdapter[list[Inherited]] = TypeAdapter(list[Inherited])
new_key: TypeAdapter[NewKey] = TypeAdapter(NewKey)
claim: TypeAdapter[Claim] = TypeAdapter(Claim)
heartbeat: TypeAdapter[Heartbeat] = TypeAdapter(Heartbeat)
beat: TypeAdapter[Beat] = TypeAdapter(Beat)
result: TypeAdapter[AttemptResult] = TypeAdapter(AttemptResult)
log_batch: TypeAdapter[LogBatch] = TypeAdapter(LogBatch)
log_state: TypeAdapter[LogState] = TypeAdapter(LogState)
debug_kit: TypeAdapter[DebugKit] = TypeAdapter(DebugKit)
_assignment: TypeAdapter[Assignment] = TypeAdapter(Assignment)
_plain: TypeAdapter[Mapping[str, Any]] = TypeAdapter(Mapping[str, Any])


def dump_assignment(assignment: Assignment) -> bytes:
    """Return an assignment as JSON."""
    return _assignment.dump_json(_packed(assignment))


def load_assignment(data: bytes) -> Assignment:
    """Return the assignment of `dump_assignment`; raises ValidationError."""
    return _unpacked(_assignment.validate_json(data))


def dump_kit(kit: DebugKit) -> bytes:
    """Return what a shell takes as JSON."""
    return debug_kit.dump_json(replace(kit, assignment=_packed(kit.assignment)))


def unpacked(kit: DebugKit) -> DebugKit:
    """Return what `dump_kit` was given, from what `debug_kit` made of it."""
    return replace(kit, assignment=_unpacked(kit.assignment))


def dump_log(offset: int, entries: Sequence[LogEntry]) -> bytes:
    """Return output at an offset as JSON."""
    written = [[one.service, one.stream, one.time_ns, base64.b64encode(one.data).decode()] for one in entries]
    return json({"offset": offset, "entries": written})


def json(value: Mapping[str, Any]) -> bytes:
    """Return plain values as JSON."""
    return _plain.dump_json(value)


def pieces(entries: Sequence[LogEntry]) -> Iterator[Sequence[LogEntry]]:
    """Split output into what fits into one request."""
    part: list[LogEntry] = []
    size = 0
    for entry in entries:
        if part and (len(part) == LOG_ENTRIES or size + len(entry.data) > LOG_BYTES):
            yield part
            part, size = [], 0
        part.append(entry)
        size += len(entry.data)
    if part:
        yield part


def _packed(assignment: Assignment) -> Assignment:
    upcoming = tuple(_packed(each) for each in assignment.upcoming)
    steps = assignment.facts.get("steps")
    if steps is None:
        return replace(assignment, upcoming=upcoming)
    told = {"steps": {key: steps[key] for key in steps}, "others": _others(steps)}
    return replace(assignment, facts={**assignment.facts, "steps": told}, upcoming=upcoming)


def _others(steps: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
    """Return what can be asked for besides the keys of steps: names that a matrix made several steps of."""
    if isinstance(steps, StepsView):
        return {step.name: steps[step.name] for step in steps.pipeline.steps if step.name not in steps.steps}
    return steps.others if isinstance(steps, StepsTold) else {}


def _unpacked(assignment: Assignment) -> Assignment:
    upcoming = tuple(_unpacked(each) for each in assignment.upcoming)
    told = assignment.facts.get("steps")
    if not isinstance(told, Mapping):
        return replace(assignment, upcoming=upcoming)
    steps = StepsTold(told.get("steps", {}), told.get("others", {}))
    return replace(assignment, facts={**assignment.facts, "steps": steps}, upcoming=upcoming)
