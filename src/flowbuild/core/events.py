"""Facts that happened to a run; the only way its state changes. Each is stored before it is acted on.

Events that speak of an attempt carry attempt and epoch; `decide` ignores those of an older attempt or epoch (fenced).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from flowbuild.core.ids import CommitId, StepKey
from flowbuild.core.states import Outcome, Reason


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The run may begin: its first steps are decided."""

    type: Literal["run_started"] = "run_started"


@dataclass(frozen=True, slots=True)
class InputReady:
    """The results of a step's parents were merged into `commit`, which holds `variables`."""

    step: StepKey
    commit: CommitId
    variables: Mapping[str, str] = field(default_factory=dict)
    type: Literal["input_ready"] = "input_ready"


@dataclass(frozen=True, slots=True)
class PathConflict:
    """A path (or variable) that several parents changed differently. `path` is text with undecodable bytes escaped."""

    path: str
    steps: tuple[StepKey, ...]
    kind: str  # "modify/modify", "add/add", "delete/modify", "file/directory"


@dataclass(frozen=True, slots=True)
class InputConflict:
    """The results of a step's parents cannot be merged; may arrive before its join is decided."""

    step: StepKey
    conflicts: tuple[PathConflict, ...]
    type: Literal["input_conflict"] = "input_conflict"


@dataclass(frozen=True, slots=True)
class InputFailed:
    """The input could not be prepared for a reason of ours (disk full, damaged repository)."""

    step: StepKey
    message: str
    type: Literal["input_failed"] = "input_failed"


@dataclass(frozen=True, slots=True)
class LockGranted:
    """The step holds the lock of its environment."""

    step: StepKey
    type: Literal["lock_granted"] = "lock_granted"


@dataclass(frozen=True, slots=True)
class Approved:
    """A person allowed the step to act on its environment."""

    step: StepKey
    by: str
    comment: str = ""
    type: Literal["approved"] = "approved"


@dataclass(frozen=True, slots=True)
class Rejected:
    """A person refused; the step is `failed` with reason `rejected`."""

    step: StepKey
    by: str
    comment: str = ""
    type: Literal["rejected"] = "rejected"


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    """A runner began to work on the attempt."""

    step: StepKey
    attempt: int
    epoch: int
    runner: str = ""
    type: Literal["attempt_started"] = "attempt_started"


@dataclass(frozen=True, slots=True)
class AttemptLaunched:
    """The attempt is prepared; its containers may run from now on, and the time of the step begins."""

    step: StepKey
    attempt: int
    epoch: int
    type: Literal["attempt_launched"] = "attempt_launched"


@dataclass(frozen=True, slots=True)
class AttemptHealthy:
    """A background step is up and healthy; `commit` is its result so far."""

    step: StepKey
    attempt: int
    epoch: int
    commit: CommitId | None
    variables: Mapping[str, str] = field(default_factory=dict)
    type: Literal["attempt_healthy"] = "attempt_healthy"


@dataclass(frozen=True, slots=True)
class AttemptFinished:
    """An attempt ended. For a background step that was healthy this is its end, whatever the outcome says."""

    step: StepKey
    attempt: int
    epoch: int
    outcome: Outcome
    reason: Reason | None = None
    message: str = ""
    exit_code: int | None = None
    commit: CommitId | None = None  # the result, also of a failed attempt; None when there is none
    variables: Mapping[str, str] = field(default_factory=dict)
    cached: bool = False
    type: Literal["attempt_finished"] = "attempt_finished"


@dataclass(frozen=True, slots=True)
class AttemptLost:
    """The lease of the attempt ran out, or its runner came back without it."""

    step: StepKey
    attempt: int
    epoch: int
    message: str = ""
    type: Literal["attempt_lost"] = "attempt_lost"


@dataclass(frozen=True, slots=True)
class Restored:
    """The run goes on from a backup. What was offered after that was made may be under way somewhere, and nobody here knows.

    `epoch` is higher than any that can have been given until now.
    """

    epoch: int
    type: Literal["restored"] = "restored"


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer asked for by SetTimer is due; `name` is the one given there."""

    name: str
    type: Literal["timer_fired"] = "timer_fired"


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """End the run. A second request with `force` kills instead of stopping gracefully."""

    by: str = ""
    reason: Reason = Reason.USER
    force: bool = False
    type: Literal["cancel_requested"] = "cancel_requested"


Event = (
    RunStarted
    | InputReady
    | InputConflict
    | InputFailed
    | LockGranted
    | Approved
    | Rejected
    | AttemptStarted
    | AttemptLaunched
    | AttemptHealthy
    | AttemptFinished
    | AttemptLost
    | Restored
    | TimerFired
    | CancelRequested
)
