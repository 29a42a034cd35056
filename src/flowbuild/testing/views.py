"""Small factories of client views, for tests and demonstrations of what people see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowbuild.client.base import AttemptView, EdgeView, LogChunk, RunUpdate, RunView, StepView
from flowbuild.core.model import EdgeKind
from flowbuild.core.states import EdgeState, Outcome, Reason, RunState, StepState

EPOCH = 1_750_000_000.0  # when the runs of the factories begin


def step_view(key: str, **fields: Any) -> StepView:
    """Return a pending step; `fields` as in StepView."""
    return StepView(**({"key": key, "name": key, "state": StepState.PENDING} | fields))


def done(key: str, seconds: float = 1.0, *, start: float = 0.0, outcome: str = "succeeded", **fields: Any) -> StepView:
    """Return a step that ended after `seconds`, started `start` seconds into the run, with one attempt."""
    result = Outcome(outcome)
    code = {Outcome.SUCCEEDED: 0, Outcome.FAILED: 1}.get(result)
    reason = Reason.EXIT_CODE if result is Outcome.FAILED else None
    ended: dict[str, Any] = {
        "state": StepState.DONE,
        "outcome": result,
        "reason": reason,
        "exit_code": code,
        "started_at": EPOCH + start,
        "finished_at": EPOCH + start + seconds,
    } | fields
    if result is Outcome.SKIPPED:
        ended |= {"started_at": None, "finished_at": None, "reason": fields.get("reason", Reason.DEAD_PATH)}
    elif "attempts" not in fields:
        ended["attempts"] = (attempt_view(seconds=seconds, start=start, outcome=result, exit_code=code),)
    return step_view(key, **ended)


def running(key: str, *, start: float = 0.0, phases: Mapping[str, float] | None = None, **fields: Any) -> StepView:
    """Return a step whose first attempt runs since `start` seconds into the run."""
    attempt = AttemptView(attempt=1, epoch=1, state="running", started_at=EPOCH + start, phases=phases or {})
    chosen: dict[str, Any] = {"state": StepState.RUNNING, "started_at": EPOCH + start, "attempts": (attempt,)}
    return step_view(key, **(chosen | fields))


def attempt_view(*, seconds: float, start: float = 0.0, **fields: Any) -> AttemptView:
    """Return a finished attempt whose time was spent in checkout, create, run and commit."""
    phases = {"claim": 0.002, "checkout": 0.01, "create": seconds * 0.2, "run": seconds * 0.7, "commit": 0.015}
    chosen: dict[str, Any] = {
        "attempt": 1,
        "epoch": 1,
        "state": "done",
        "queued_at": EPOCH + start,
        "started_at": EPOCH + start,
        "finished_at": EPOCH + start + seconds,
        "phases": phases,
        "input_commit": "1" * 40,
        "commit": "2" * 40,
        "changes": {"A": 1, "M": 2},
    }
    return AttemptView(**(chosen | fields))


def run_view(steps: tuple[StepView, ...], edges: str = "", **fields: Any) -> RunView:
    """Return a run. `edges`: "a>b" success, "a!b" fail, "a*b" always, "-" before it: dead, "+": taken; by white space."""
    chosen: dict[str, Any] = {
        "id": "01jzz0000000000000000000ab",
        "number": 12,
        "project": "shop",
        "pipeline": "release",
        "state": RunState.RUNNING,
        "created_at": EPOCH,
        "finished_at": None,
        "branch": "main",
        "commit": "1f2e3d4c5b6a79880123456789abcdef01234567",
        "steps": steps,
        "edges": tuple(map(edge_view, edges.split())),
    }
    return RunView(**(chosen | fields))


def edge_view(text: str) -> EdgeView:
    """Return an edge written as in `run_view`."""
    state = {"-": EdgeState.DEAD, "+": EdgeState.TAKEN}.get(text[0], EdgeState.PENDING)
    text = text.lstrip("-+")
    mark = next(char for char in text if char in ">!*")
    source, _, target = text.partition(mark)
    kind = {">": EdgeKind.SUCCESS, "!": EdgeKind.FAIL, "*": EdgeKind.ALWAYS}[mark]
    return EdgeView(source, target, kind, state)


def update(run: RunView, event: str = "run_started", *, seq: int = 1, at: float = 0.0, **fields: Any) -> RunUpdate:
    """Return an update `at` seconds into the run."""
    return RunUpdate(seq, EPOCH + at, {"type": event} | fields, run)


def chunk(step: str, data: bytes, *, service: str = "app", stream: str = "stdout", at: float = 0.0) -> LogChunk:
    """Return a piece of output `at` seconds into the run."""
    return LogChunk(step, 1, service, stream, int((EPOCH + at) * 1e9), data, 0)
