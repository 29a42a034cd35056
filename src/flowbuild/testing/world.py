"""The world around a simulated orchestrator: runners that vanish and come back, locks, merges. Effects are idempotent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Protocol

from flowbuild.core.commands import (
    AcceptResult,
    AcquireLock,
    Command,
    Enqueue,
    FinishRun,
    PrepareInput,
    ProbeInput,
    ReleaseLock,
    StopAttempt,
)
from flowbuild.core.events import (
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
)
from flowbuild.core.ids import CommitId, StepKey
from flowbuild.core.run import Run
from flowbuild.core.states import Outcome
from flowbuild.testing.player import RESULTS

LEASE = 60.0  # seconds until the runner of an attempt counts as gone
RATES = {
    "lost_before_start": 0.05,
    "lost_while_running": 0.06,
    "lost_while_serving": 0.3,
    "zombie": 0.5,
    "silent": 0.15,
    "hung": 0.05,
    "slow_pull": 0.1,
}
SLOW = 1000.0  # seconds that a slow pull takes at most: more than the timeout of a step and all margins
_WORDS = (*RESULTS, "ok", "ok", "ok", "ok", "conflict", "unmergeable", "rejected")
_Attempt = tuple[StepKey, int, int]


class Clock(Protocol):
    """What the world needs of the simulation."""

    random: Random
    run: Run
    now: float

    def chance(self, name: str, rate: float) -> bool:
        """Whether a fault happens now."""
        ...

    def later(self, delay: float, action: Callable[[], None]) -> None:
        """Do something later."""
        ...

    def post(self, event: Event, delay: float = 0.0) -> None:
        """Send an event to the orchestrator."""
        ...


class World:
    """Executes commands. `execute` returns what is wrong with a command, empty when all is right."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._script: dict[StepKey, Sequence[str]] = {
            step.key: [clock.random.choice(_WORDS) for _ in range(3)] if clock.random.random() < 0.4 else ["ok"]
            for step in clock.run.pipeline.steps
        }
        self.launched: dict[_Attempt, float] = {}  # when containers of an attempt could run
        self._attempts: dict[_Attempt, str] = {}  # offered, withdrawn, running, serving, stopping, gone
        self._locks: dict[str, list[StepKey]] = {}  # the first holds it, the others wait
        self._accepted: dict[tuple[StepKey, int], CommitId] = {}
        self._finished = False

    def script(self, key: StepKey) -> Sequence[str]:
        """Return what the attempts of a step are to do."""
        return self._script[key]

    def snapshot(self) -> Callable[..., None]:
        """Return what puts back what a backup holds: locks and results. Runners go on, and tell again what they told, if it is said."""
        locks, accepted = {name: list(queue) for name, queue in self._locks.items()}, dict(self._accepted)

        def restore(*, repeat: bool) -> None:
            self._locks, self._accepted, self._finished = locks, accepted, False
            for queue in locks.values():
                if queue:
                    self._clock.post(LockGranted(queue[0]))
            for step in self._clock.run.steps.values():
                self._come_back((step.key, step.attempt, step.epoch), repeat=repeat)

        return restore

    def _come_back(self, attempt: _Attempt, *, repeat: bool) -> None:
        """Meet a server that does not know what it was told lately about an attempt that it knows."""
        state = self._attempts.get(attempt)
        if repeat and attempt in self.launched and state in ("running", "serving"):
            self._clock.post(AttemptLaunched(*attempt))
        if repeat and state == "serving":
            self._clock.post(AttemptHealthy(*attempt, _commit(attempt)))
        elif state in ("stopping", "gone"):  # nobody has it any more
            self._attempts[attempt] = "gone"
            self._clock.post(AttemptLost(*attempt), LEASE)

    def execute(self, command: Command) -> list[str]:
        """Do what the machine asked for."""
        match command:
            case Enqueue():
                return self._offer((command.step, command.attempt, command.epoch))
            case StopAttempt():
                self._stop((command.step, command.attempt, command.epoch))
            case PrepareInput() | ProbeInput():
                self._merge(command)
            case AcquireLock(step=key, lock=lock):
                self._acquire(key, lock)
            case ReleaseLock(step=key, lock=lock):
                self._release(key, lock)
            case AcceptResult():
                return self._accept(command)
            case FinishRun():
                self._finished = True
            case _:
                pass
        return []

    def _offer(self, attempt: _Attempt) -> list[str]:
        if self._finished:
            return [f"{attempt} was offered after the end of the run"]
        if attempt not in self._attempts:
            self._attempts[attempt] = "offered"
            self._clock.later(self._clock.random.expovariate(0.3), lambda: self._claim(attempt))
        return []

    def _claim(self, attempt: _Attempt) -> None:
        if self._attempts[attempt] != "offered":
            return
        self._attempts[attempt] = "running"
        if self._clock.chance("lost_before_start", RATES["lost_before_start"]):
            self._vanish(attempt)
            return
        self._clock.post(AttemptStarted(*attempt, runner="r1"))
        slow = self._clock.chance("slow_pull", RATES["slow_pull"])
        self._clock.later(self._clock.random.uniform(0, SLOW if slow else 5.0), lambda: self._launch(attempt))

    def _launch(self, attempt: _Attempt) -> None:
        if self._attempts[attempt] != "running":
            return
        self.launched[attempt] = self._clock.now
        self._clock.post(AttemptLaunched(*attempt))
        duration = self._clock.random.expovariate(0.05)
        if self._clock.chance("lost_while_running", RATES["lost_while_running"]):
            self._clock.later(duration, lambda: self._vanish(attempt))
        elif self._clock.run.pipeline.by_key[attempt[0]].timeout is None or not self._clock.chance(
            "hung", RATES["hung"]
        ):
            self._clock.later(duration, lambda: self._end(attempt))

    def _vanish(self, attempt: _Attempt) -> None:
        """The runner is gone: its lease runs out; it may come back later with a result that nobody wants any more."""
        if self._attempts[attempt] == "gone":
            return
        self._attempts[attempt] = "gone"
        self._clock.post(AttemptLost(*attempt), LEASE)
        if self._clock.chance("zombie", RATES["zombie"]):
            self._clock.post(AttemptStarted(*attempt, runner="r1"), self._clock.random.uniform(0, 200))
            self._clock.post(self._result(attempt), self._clock.random.uniform(0, 300))

    def _end(self, attempt: _Attempt) -> None:
        if self._attempts[attempt] != "running":
            return
        step = self._clock.run.pipeline.by_key[attempt[0]]
        if step.background and self._word(attempt) == "ok":
            self._attempts[attempt] = "serving"
            self._clock.post(AttemptHealthy(*attempt, _commit(attempt)))
            if self._clock.chance("lost_while_serving", RATES["lost_while_serving"]):
                self._clock.later(self._clock.random.expovariate(0.05), lambda: self._vanish(attempt))
            elif self._clock.random.random() < 0.1:
                self._clock.post(AttemptFinished(*attempt, Outcome.FAILED, RESULTS["failed"][1]), 30.0)
        else:
            self._attempts[attempt] = "gone"
            self._clock.post(self._result(attempt))

    def _word(self, attempt: _Attempt) -> str:
        words = self._script[attempt[0]]
        word = words[min(attempt[1], len(words)) - 1]
        return word if word in RESULTS else "ok"

    def _result(self, attempt: _Attempt) -> AttemptFinished:
        return AttemptFinished(*attempt, *RESULTS[self._word(attempt)], commit=_commit(attempt))

    def _stop(self, attempt: _Attempt) -> None:
        state = self._attempts.get(attempt)
        if state == "offered":
            self._attempts[attempt] = "withdrawn"
            self._clock.post(AttemptFinished(*attempt, Outcome.CANCELLED))
        elif state in ("running", "serving"):
            self._attempts[attempt] = "stopping"
            if not self._clock.chance("silent", RATES["silent"]):
                self._clock.later(self._clock.random.uniform(0, 10), lambda: self._stopped(attempt))

    def _stopped(self, attempt: _Attempt) -> None:
        if self._attempts[attempt] == "stopping":
            self._clock.post(AttemptFinished(*attempt, Outcome.CANCELLED))

    def _merge(self, command: PrepareInput | ProbeInput) -> None:
        word, delay = self._script[command.step][0], self._clock.random.uniform(0, 5)
        parents = tuple(parent for parent, _ in command.parents)
        if word == "conflict":
            conflict = PathConflict("a.txt", parents, "modify/modify")
            self._clock.post(InputConflict(command.step, (conflict,)), delay)
        elif isinstance(command, PrepareInput):
            failed = InputFailed(command.step, "disk full")
            ready = InputReady(command.step, CommitId(f"input.{command.step}"))
            self._clock.post(failed if word == "unmergeable" else ready, delay)

    def _acquire(self, key: StepKey, lock: str) -> None:
        queue = self._locks.setdefault(lock, [])
        if key not in queue:
            queue.append(key)
        if queue[0] == key:
            self._clock.post(LockGranted(key), self._clock.random.uniform(0, 5))

    def _release(self, key: StepKey, lock: str) -> None:
        queue = self._locks.setdefault(lock, [])
        held = queue[:1] == [key]
        if key in queue:
            queue.remove(key)
        if held and queue:
            self._clock.post(LockGranted(queue[0]))

    def _accept(self, command: AcceptResult) -> list[str]:
        wrong = []
        if command.commit != _commit((command.step, command.attempt, command.epoch)):
            wrong.append(f"{command.step} attempt {command.attempt} got the result {command.commit} of another one")
        if self._accepted.setdefault((command.step, command.attempt), command.commit) != command.commit:
            wrong.append(f"two results of {command.step} attempt {command.attempt} were accepted")
        return wrong


def _commit(attempt: _Attempt) -> CommitId:
    return CommitId(".".join(map(str, attempt)))
