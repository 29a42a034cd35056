"""The state of one run: everything `machine.decide` needs to know, and nothing it can derive.

Times are seconds since the epoch (UTC), handed in from outside; nothing here reads a clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from flowbuild.core.ids import CommitId, RunId, StepKey
from flowbuild.core.model import Pipeline
from flowbuild.core.states import EdgeState, Outcome, Reason, RunState, StepState


@dataclass(frozen=True, slots=True)
class RunContext:
    """What conditions and `${{ … }}` may read, apart from variables and steps."""

    branch: str = ""
    tag: str = ""
    commit: str = ""
    event: str = "manual"
    inputs: Mapping[str, str | int | float | bool] = field(default_factory=dict)  # an int: a stored 5 is no 5.0


@dataclass(frozen=True, slots=True)
class StepRun:
    """Where one step of a run is. `attempt` counts from 1; 0 = never queued. `epoch` fences leases of one attempt."""

    key: StepKey
    state: StepState = StepState.PENDING
    outcome: Outcome | None = None
    reason: Reason | None = None
    message: str = ""
    attempt: int = 0
    epoch: int = 0
    input_commit: CommitId | None = None
    result_commit: CommitId | None = None
    exit_code: int | None = None
    variables: Mapping[str, str] = field(default_factory=dict)  # of the input until DONE, then of the result
    parents: tuple[StepKey, ...] = ()  # whose results make the input (so far, while PENDING), in file order
    overrides: Mapping[str, str] = field(default_factory=dict)  # variables that a rerun sets on the input
    approved_by: str = ""
    fresh: bool = False  # it really runs: no recorded result may stand for it
    cached: bool = False  # its result was recorded by another run
    reused: bool = False  # taken over from the run that this one reruns
    returning: bool = False  # SERVING, but its service was lost, and another attempt is to bring it back
    served_from: Mapping[str, str] | None = None  # SERVING: variables of its input; None: those it has
    started_at: float | None = None  # of the latest attempt
    launched_at: float | None = None  # when containers of the latest attempt could run
    finished_at: float | None = None

    @property
    def input_variables(self) -> Mapping[str, str]:
        """Variables that an attempt begins with; until the step is DONE."""
        return self.variables if self.served_from is None else self.served_from


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a pipeline. `edges` is aligned with `pipeline.edges`; `initial_commit` is the input of first steps."""

    id: RunId
    pipeline: Pipeline
    context: RunContext
    initial_commit: CommitId
    steps: Mapping[StepKey, StepRun]
    edges: tuple[EdgeState, ...]
    variables: Mapping[str, str] = field(default_factory=dict)  # initial ones
    state: RunState = RunState.RUNNING
    cancel_reason: Reason | None = None
    cancel_forced: bool = False
    created_at: float = 0.0
    started_at: float | None = None  # of RunStarted
    finished_at: float | None = None
    rerun_of: RunId | None = None
    first_epoch: int = 1  # of each attempt; higher from a restore on
