"""Plays the world around a run for tests of the machine: answers every command as a script says, in any order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

from flowbuild.core.commands import (
    AcquireLock,
    Command,
    Enqueue,
    PrepareInput,
    ProbeInput,
    SetTimer,
    StopAttempt,
)
from flowbuild.core.events import (
    Approved,
    AttemptFinished,
    AttemptHealthy,
    AttemptLaunched,
    AttemptLost,
    AttemptStarted,
    Event,
    InputConflict,
    InputFailed,
    InputReady,
    LockGranted,
    PathConflict,
    Rejected,
    RunStarted,
    TimerFired,
)
from flowbuild.core.ids import CommitId, RunId, StepKey
from flowbuild.core.machine import create_run, decide
from flowbuild.core.model import Pipeline
from flowbuild.core.run import Run, RunContext
from flowbuild.core.states import Outcome, Reason, StepState

# What the attempts of a step do, in order; the last word repeats. "ok" when nothing is said.
# conflict, unmergeable, rejected happen before the first attempt; lost_early is an attempt that never started.
Script = Mapping[str, Sequence[str]]

RESULTS: Mapping[str, tuple[Outcome, Reason | None]] = {
    "ok": (Outcome.SUCCEEDED, None),
    "failed": (Outcome.FAILED, Reason.EXIT_CODE),
    "timeout": (Outcome.FAILED, Reason.TIMEOUT),
    "errored": (Outcome.ERRORED, Reason.ENGINE_ERROR),
    "cancelled": (Outcome.CANCELLED, None),
    "lost": (Outcome.ERRORED, Reason.INFRA_LOST),
}


def new_run(pipeline: Pipeline) -> Run:
    """Return a run of the pipeline with the context that `graphs.CONDITIONS` expects."""
    context = RunContext(branch="main", commit="c0ffee", event="push", inputs={"count": 3.0})
    return create_run(RunId("run"), pipeline, context=context, initial_commit=CommitId("initial"), now=1000.0)


class Player:
    """Holds a run and everything that happened to it."""

    def __init__(self, run: Run, script: Script | None = None, random: Random | None = None) -> None:
        self.initial = run
        self.run = run
        self.now = run.created_at
        self.log: list[tuple[Event, float]] = []
        self.commands: list[Command] = []
        self._script = script or {}
        self._random = random
        self._todo: list[Command] = []

    def send(self, event: Event) -> tuple[Command, ...]:
        """Apply an event and return the commands that follow; they also wait for `play`."""
        self.now += 1.0
        self.log.append((event, self.now))
        self.run, commands = decide(self.run, event, self.now)
        self.commands += commands
        self._todo += commands
        return commands

    def start(self) -> tuple[Command, ...]:
        """Begin the run."""
        return self.send(RunStarted())

    def started(self, key: str) -> tuple[Command, ...]:
        """Say that the current attempt of a step began."""
        step = self.run.steps[StepKey(key)]
        return self.send(AttemptStarted(step.key, step.attempt, step.epoch))

    def launched(self, key: str) -> tuple[Command, ...]:
        """Say that containers of the current attempt of a step may run."""
        step = self.run.steps[StepKey(key)]
        return self.send(AttemptLaunched(step.key, step.attempt, step.epoch))

    def finish(self, key: str, word: str = "ok") -> tuple[Command, ...]:
        """End the current attempt of a step, with a result of its own unless it was lost."""
        step = self.run.steps[StepKey(key)]
        if word in ("lost", "lost_early"):
            return self.send(AttemptLost(step.key, step.attempt, step.epoch))
        outcome, reason = RESULTS[word]
        commit = CommitId(f"{key}.{step.attempt}.{step.epoch}")
        code = {Outcome.SUCCEEDED: 0, Outcome.FAILED: 2}.get(outcome)
        variables = {**step.variables, f"V_{key}": "1"}
        event = AttemptFinished(
            step.key, step.attempt, step.epoch, outcome, reason, exit_code=code, commit=commit, variables=variables
        )
        return self.send(event)

    def healthy(self, key: str) -> tuple[Command, ...]:
        """Say that a background step is up."""
        step = self.run.steps[StepKey(key)]
        commit = CommitId(f"{key}.{step.attempt}.{step.epoch}")
        return self.send(AttemptHealthy(step.key, step.attempt, step.epoch, commit, step.variables))

    def play(self) -> Run:
        """Answer commands until nothing is left to answer; people approve when nothing else happens."""
        while True:
            if self._todo:
                self._answer(self._todo.pop(self._random.randrange(len(self._todo)) if self._random else 0))
            elif not self._approve():
                return self.run

    def replayed(self) -> tuple[Run, list[Command]]:
        """Apply the log again from the start."""
        run = self.initial
        commands: list[Command] = []
        for event, now in self.log:
            run, more = decide(run, event, now)
            commands += more
        return run, commands

    def _word(self, key: str, attempt: int = 1) -> str:
        words = self._script.get(key) or ("ok",)
        return words[min(attempt, len(words)) - 1]

    def _approve(self) -> bool:
        for key, step in self.run.steps.items():
            environment = self.run.pipeline.by_key[key].environment
            if step.state is StepState.WAITING and environment and environment.approve and not step.approved_by:
                self.send(Rejected(key, "eve") if self._word(key) == "rejected" else Approved(key, "ada"))
                return True
        return False

    def _answer(self, command: Command) -> None:
        match command:
            case PrepareInput() | ProbeInput():
                self._prepare(command)
            case AcquireLock(step=key):
                self.send(LockGranted(key))
            case Enqueue():
                self._work(command)
            case StopAttempt(step=key, attempt=attempt, epoch=epoch):
                self.send(AttemptFinished(key, attempt, epoch, Outcome.CANCELLED))
            case SetTimer(name=name) if name.startswith("backoff/"):
                self.send(TimerFired(name))
            case _:  # nothing to answer
                pass

    def _prepare(self, command: PrepareInput | ProbeInput) -> None:
        word = self._word(command.step)
        parents = tuple(parent for parent, _ in command.parents)
        if word == "conflict":
            self.send(InputConflict(command.step, (PathConflict("a.txt", parents, "modify/modify"),)))
        elif isinstance(command, PrepareInput):
            if word == "unmergeable":
                self.send(InputFailed(command.step, "disk full"))
                return
            variables = {k: v for p in parents for k, v in self.run.steps[p].variables.items()}
            variables |= command.variables
            self.send(InputReady(command.step, CommitId(f"input.{command.step}"), variables))

    def _work(self, command: Enqueue) -> None:
        step = self.run.steps[command.step]
        if (step.attempt, step.epoch, step.state) != (command.attempt, command.epoch, StepState.QUEUED):
            return  # cancelled meanwhile
        word = self._word(command.step, command.attempt)
        if word != "lost_early":
            self.started(command.step)
            self.launched(command.step)
        if word == "ok" and self.run.pipeline.by_key[command.step].background:
            self.healthy(command.step)
        else:
            self.finish(command.step, word if word in (*RESULTS, "lost_early") else "ok")
