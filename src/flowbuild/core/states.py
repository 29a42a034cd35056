"""States and outcomes of runs and steps, and how they fold into one another."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """How a step ended. `failed` is the user's fault, `errored` is ours."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ERRORED = "errored"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


class Reason(StrEnum):
    """Why a step ended as it did; empty for a plain success."""

    EXIT_CODE = "exit_code"  # a main service ended with a code other than 0
    OOM = "oom"  # the kernel killed a main service for memory
    TIMEOUT = "timeout"
    MERGE_CONFLICT = "merge_conflict"
    REFUSED = "refused"  # compose file or workspace not acceptable
    UNHEALTHY = "unhealthy"  # a background step or a dependency did not become healthy
    DEPENDENCY_FAILED = "dependency_failed"  # a side service that others wait for ended badly
    REJECTED = "rejected"  # a person said no to an approval
    CONDITION = "condition"  # the `if:` of the step was false
    DEAD_PATH = "dead_path"  # no edge into the step was taken
    CONDITION_ERROR = "condition_error"  # an `if:` could not be evaluated
    INFRA_LOST = "infra_lost"  # runner or engine gone
    ENGINE_ERROR = "engine_error"
    IMAGE_UNAVAILABLE = "image_unavailable"
    WORKSPACE_ERROR = "workspace_error"
    USER = "user"  # cancelled by a person
    RUN_TIMEOUT = "run_timeout"
    INTERRUPTED = "interrupted"  # the program that drove the run was gone
    SUPERSEDED = "superseded"  # a newer run of its group took its place
    WITHDRAWN = "withdrawn"  # its pull request was closed


class StepState(StrEnum):
    """Where a step is on its way; `outcome` says how it ended once it is DONE."""

    PENDING = "pending"  # its join is not decided
    PREPARING = "preparing"  # its input is being merged
    WAITING = "waiting"  # for an approval or an environment lock
    QUEUED = "queued"  # an attempt waits for a runner
    RUNNING = "running"
    BACKOFF = "backoff"  # waits before its next attempt
    SERVING = "serving"  # background step: succeeded, still up
    DONE = "done"


class RunState(StrEnum):
    """State of a run; the last four are final."""

    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ERRORED = "errored"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether nothing more will happen in the run."""
        return self not in (RunState.RUNNING, RunState.CANCELLING)


class EdgeState(StrEnum):
    """An edge is taken or dead once its source has ended."""

    PENDING = "pending"
    TAKEN = "taken"
    DEAD = "dead"
