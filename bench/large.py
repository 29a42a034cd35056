"""(d): what a pipeline of 500 steps costs those who read it and decide it: `flow validate` and `core.machine.decide`."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from bench.chain import Ground
from bench.figures import Figures

from flowbuild.core.commands import Enqueue, PrepareInput
from flowbuild.core.events import AttemptFinished, AttemptStarted, Event, InputReady, RunStarted
from flowbuild.core.ids import CommitId, RunId
from flowbuild.core.machine import create_run, decide
from flowbuild.core.model import Pipeline
from flowbuild.core.run import RunContext
from flowbuild.core.states import Outcome, RunState
from flowbuild.spec.load import load_pipelines
from flowbuild.spec.source import MemoryRepository

LAYER = 25  # steps beside each other; each waits for two of the layer before
T = TypeVar("T")
COMMIT = CommitId("0" * 40)


def large(ground: Ground, *, steps: int, rounds: int) -> Figures:
    """Measure the program, the loader alone, and every decision of a whole run."""
    pipelines = {"large": {"steps": graph(ground, steps)}}
    project = ground.project("large", pipelines)
    files = MemoryRepository({".flow.yml": json.dumps({"pipelines": pipelines})})
    figures = Figures("large", f"a pipeline of {steps} steps")
    ground.flow("validate", "-C", str(project))
    for _ in range(rounds):
        timed(figures, "flow --help (start of Python)", lambda: ground.flow("--help"))
        timed(figures, "flow validate", lambda: ground.flow("validate", "-C", str(project)))
        loaded = timed(figures, "load_pipelines", lambda: load_pipelines(files))
        pipeline = loaded.pipelines["large"]
        events = timed(figures, "decide, whole run", partial(play, pipeline, figures))
    figures.note("events per run", events)
    return figures


def timed(figures: Figures, name: str, work: Callable[[], T]) -> T:
    began = time.perf_counter()
    result = work()
    figures.add(name, time.perf_counter() - began)
    return result


def graph(ground: Ground, count: int) -> dict[str, dict[str, object]]:
    """Return steps in layers: an edge to the step below and to the one beside that."""
    found: dict[str, dict[str, object]] = {}
    for number in range(count):
        below = number + LAYER
        beside = number - number % LAYER + LAYER + (number + 1) % LAYER
        targets = [f"s{target:03d}" for target in (below, beside) if target < count]
        service = {**ground.service(), "environment": {"NUMBER": str(number)}}
        found[f"s{number:03d}"] = {"compose": {"services": {"main": service}}} | (
            {"success": targets} if targets else {}
        )
    return found


def play(pipeline: Pipeline, figures: Figures) -> int:
    """Decide a run in which everything succeeds; return how many events that took."""
    run = create_run(RunId("bench"), pipeline, context=RunContext(), initial_commit=COMMIT, now=0.0)
    queue: deque[Event] = deque([RunStarted()])
    count = 0
    while queue:
        event = queue.popleft()
        began = time.perf_counter()
        run, commands = decide(run, event, float(count))
        figures.add("decide, one event", time.perf_counter() - began)
        count += 1
        for command in commands:
            match command:
                case PrepareInput(step, _, _):
                    queue.append(InputReady(step, COMMIT, {}))
                case Enqueue(step, attempt, epoch, _):
                    queue.append(AttemptStarted(step, attempt, epoch, "bench"))
                    queue.append(AttemptFinished(step, attempt, epoch, Outcome.SUCCEEDED, None, "", 0, COMMIT, {}))
    if run.state is not RunState.SUCCEEDED:
        raise AssertionError(f"the run is {run.state}")
    return count
