"""What must be true of a run at any moment, and of everything the machine ever asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from flowbuild.core.commands import (
    AcceptResult,
    AcquireLock,
    Command,
    Enqueue,
    FinishRun,
    PrepareInput,
    ProbeInput,
    StopAttempt,
)
from flowbuild.core.run import Run
from flowbuild.testing.oracle import should_run

_NEXT = {
    "pending": {"preparing", "waiting", "queued", "done"},
    "preparing": {"waiting", "queued", "done"},
    "waiting": {"queued", "done"},
    "queued": {"running", "serving", "backoff", "queued", "done"},
    "running": {"backoff", "queued", "serving", "done"},
    "backoff": {"queued", "done"},
    "serving": {"done"},
    "done": set(),
}


def step_violations(before: Run, after: Run, commands: Sequence[Command]) -> list[str]:
    """Return what is wrong with one turn of the machine."""
    wrong = []
    if before.state.final and (after != before or commands):
        wrong.append("something happened after the end of the run")
    for key, old in before.steps.items():
        new = after.steps[key]
        if new is not old and new.state != old.state and str(new.state) not in _NEXT[old.state]:
            wrong.append(f"{key} went from {old.state} to {new.state}")
        if old.state == "done" and new != old:
            wrong.append(f"{key} changed after its end")
        if (new.state in ("done", "serving")) != (new.outcome is not None):
            wrong.append(f"{key} is {new.state} with outcome {new.outcome}")
    for old_edge, new_edge in zip(before.edges, after.edges, strict=True):
        if old_edge not in ("pending", new_edge):
            wrong.append(f"an edge went from {old_edge} to {new_edge}")
    wrong += [
        f"{command.step} was queued before its join was decided"
        for command in commands
        if isinstance(command, Enqueue) and not join_allows(after, command.step)
    ]
    return wrong


def join_allows(run: Run, key: str) -> bool:
    """Whether the step may run, by the edges as they are now."""
    into = [i for i, edge in enumerate(run.pipeline.edges) if edge.target == key]
    step = run.pipeline.step(key)
    fates = [str(run.edges[i]) for i in into]
    if "pending" in fates and step.join != "first":
        return False
    return should_run(step, [run.pipeline.edges[i].kind for i in into], fates)


def command_violations(commands: Iterable[Command]) -> list[str]:
    """Return what was asked for more often than a decision allows, over the whole life of a run."""
    counts: Counter[tuple[object, ...]] = Counter()
    ended: set[tuple[object, ...]] = set()
    wrong = []
    for command in commands:
        match command:
            case Enqueue(step=step, attempt=attempt, epoch=epoch):
                counts["enqueue", step, attempt, epoch] += 1
                if (step, attempt) in ended:
                    wrong.append(f"{step} attempt {attempt} was offered again after its result")
            case AcceptResult(step=step, attempt=attempt):
                counts["accept", step, attempt] += 1
                ended.add((step, attempt))
            case StopAttempt(step=step, attempt=attempt, epoch=epoch, force=force):
                counts["stop", step, attempt, epoch, force] += 1
            case PrepareInput(step=step) | AcquireLock(step=step):
                counts[command.type, step] += 1
            case ProbeInput(step=step, parents=parents):
                counts["probe", step, parents] += 1
            case FinishRun():
                counts["finish",] += 1
            case _:
                pass
    # A forced stop may come again when even that was not answered in time.
    wrong += [
        f"{what} was asked for {n} times"
        for what, n in counts.items()
        if n > 1 + (what[0] == "stop" and what[-1] is True)
    ]
    return wrong
