"""Effects that `decide` wants. Each goes through the outbox: executed at least once, so executing twice is harmless."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from flowbuild.core.ids import CommitId, StepKey


@dataclass(frozen=True, slots=True)
class PrepareInput:
    """Merge the results of `parents` (file order) into the input of `step`; answer InputReady, -Conflict or -Failed.

    No parents: the initial commit of the run. `variables` are set on top (a rerun with changed variables).
    """

    step: StepKey
    parents: tuple[tuple[StepKey, CommitId], ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    type: Literal["prepare_input"] = "prepare_input"


@dataclass(frozen=True, slots=True)
class ProbeInput:
    """Look early whether the results of `parents` conflict; answer InputConflict or nothing."""

    step: StepKey
    parents: tuple[tuple[StepKey, CommitId], ...]
    type: Literal["probe_input"] = "probe_input"


@dataclass(frozen=True, slots=True)
class AcquireLock:
    """Take the exclusive lock of an environment for the step; answer LockGranted when it is held."""

    step: StepKey
    lock: str
    type: Literal["acquire_lock"] = "acquire_lock"


@dataclass(frozen=True, slots=True)
class ReleaseLock:
    """Give the lock back; also when it was never granted."""

    step: StepKey
    lock: str
    type: Literal["release_lock"] = "release_lock"


@dataclass(frozen=True, slots=True)
class Enqueue:
    """Offer the attempt to runners."""

    step: StepKey
    attempt: int
    epoch: int
    input_commit: CommitId
    type: Literal["enqueue"] = "enqueue"


@dataclass(frozen=True, slots=True)
class AcceptResult:
    """Move `step/<key>` to the commit and merge it into `main`."""

    step: StepKey
    attempt: int
    epoch: int
    commit: CommitId
    type: Literal["accept_result"] = "accept_result"


@dataclass(frozen=True, slots=True)
class StopAttempt:
    """Stop what the attempt runs: gracefully, or at once when `force`. Also ends a background step."""

    step: StepKey
    attempt: int
    epoch: int
    force: bool = False
    type: Literal["stop_attempt"] = "stop_attempt"


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Answer TimerFired(name) at `at` (seconds since the epoch)."""

    name: str
    at: float
    type: Literal["set_timer"] = "set_timer"


@dataclass(frozen=True, slots=True)
class FinishRun:
    """The run has ended: free its network, warm directories and locks on every runner that worked for it."""

    type: Literal["finish_run"] = "finish_run"


@dataclass(frozen=True, slots=True)
class SettleGroup:
    """Look who of the run's concurrency group has to make room, and whose turn it is. `decide` never wants it."""

    type: Literal["settle_group"] = "settle_group"


Command = (
    PrepareInput
    | ProbeInput
    | AcquireLock
    | ReleaseLock
    | Enqueue
    | AcceptResult
    | StopAttempt
    | SetTimer
    | FinishRun
    | SettleGroup
)
