"""Runs the real machine in a simulated world full of faults, from a seed: the same seed gives the same history.

`python -m flowbuild.testing.simulator --seeds 5000 --jobs 2` prints how many seeds per minute, which faults were really
injected, and every broken rule. `--control NAME` breaks the world on purpose; then it must find something (exit 1).

The simulated orchestrator does what the real one promises: an event is stored together with the next state and an
outbox row per command in one step; effects are executed from the outbox in order, at least once; senders repeat what
was not acknowledged. Everything else may happen: see `RATES`.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import multiprocessing
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from flowbuild.core.commands import Command, SetTimer
from flowbuild.core.events import (
    Approved,
    AttemptFinished,
    AttemptHealthy,
    AttemptLaunched,
    AttemptLost,
    AttemptStarted,
    CancelRequested,
    Event,
    InputConflict,
    InputFailed,
    InputReady,
    LockGranted,
    Rejected,
    Restored,
    RunStarted,
    TimerFired,
)
from flowbuild.core.ids import StepKey
from flowbuild.core.machine import decide
from flowbuild.core.retry import MAX_EPOCH
from flowbuild.core.run import Run
from flowbuild.core.states import StepState
from flowbuild.testing.graphs import random_pipeline
from flowbuild.testing.invariants import command_violations, step_violations
from flowbuild.testing.oracle import run_outcome, violations
from flowbuild.testing.player import RESULTS, new_run
from flowbuild.testing.world import World

# Probability of a fault each time it could happen.
RATES = {
    "crash_before_store": 0.02,
    "crash_before_effects": 0.03,
    "crash_after_effect": 0.03,
    "duplicate": 0.08,
    "stale": 0.05,
    "restore": 0.2,
}
CANCELLED_RUNS = 0.25
TIME_LIMIT = 100_000.0  # simulated seconds; a run that is not over by then never ends
CONTROLS = ("no-fence", "no-outbox", "no-timers", "no-epochs", "no-repeat")

_AttemptEvent = (AttemptStarted, AttemptLaunched, AttemptHealthy, AttemptFinished, AttemptLost)


@dataclass
class Report:
    """What a seed did and what was wrong with it."""

    seed: int
    events: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


class Simulation:
    """One seed: a random pipeline, a script for its attempts, and an orchestrator that crashes."""

    def __init__(self, seed: int, control: str = "") -> None:
        self.random = Random(seed)  # noqa: S311 - a seed that can be repeated is the point
        self.report = Report(seed)
        self.now = 1000.0
        self._control = control
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        pipeline = random_pipeline(self.random, 12)
        self._initial = self.run = new_run(pipeline)  # `run` and the three below are what a database would hold
        self.log: list[tuple[Event, float]] = []
        self.commands: list[Command] = []
        self.outbox: deque[Command] = deque()
        self._observed: dict[StepKey, dict[int, str]] = {step.key: {} for step in pipeline.steps}
        self._asked: set[StepKey] = set()
        self._restores = 0
        self.world = World(self)

    def chance(self, name: str, rate: float) -> bool:
        """Whether a fault happens now; counts it when it does."""
        hit = self.random.random() < rate
        self.report.faults[name] += hit
        return hit

    def later(self, delay: float, action: Callable[[], None]) -> None:
        """Do something after so many simulated seconds."""
        heapq.heappush(self._heap, (self.now + delay, next(self._order), action))

    def post(self, event: Event, delay: float = 0.0) -> None:
        """Send an event to the orchestrator; it may arrive twice, late and out of order, but it arrives."""
        life = self._restores
        self.later(delay + self.random.random(), lambda: self._deliver(event, life))
        if self.chance("duplicate", RATES["duplicate"]):
            self.later(delay + self.random.uniform(0, 200), lambda: self._deliver(event, life))

    def simulate(self) -> Report:
        """Let everything happen, then check what can only be checked at the end."""
        self.post(RunStarted())
        if self.random.random() < CANCELLED_RUNS:
            self.post(CancelRequested("ada"), self.random.uniform(0, 200))
            if self.random.random() < 0.5:
                self.post(CancelRequested("ada", force=True), self.random.uniform(0, 300))
        elif self.chance("restore", RATES["restore"]):
            self.later(self.random.uniform(5, 200), self._back_up)
        while self._heap and self.now < TIME_LIMIT and not self.report.wrong:
            self.now, _, action = heapq.heappop(self._heap)
            action()
        self.report.events = len(self.log)
        if not self.report.wrong:
            self._check_end()
        return self.report

    def _back_up(self) -> None:
        """Keep what a database holds; some time later that is all there is."""
        if self.run.started_at is None or self.run.state.final:
            return
        observed = {key: dict(words) for key, words in self._observed.items()}
        database = self.run, list(self.log), list(self.commands), deque(self.outbox), observed, set(self._asked)
        put_back = self.world.snapshot()

        def restore() -> None:
            happened = self.log[len(database[1]) :]
            self.run, self.log, self.commands, self.outbox, self._observed, self._asked = database
            self._restores += 1
            put_back(repeat=self._control != "no-repeat")
            if self._control != "no-epochs":
                self._store(Restored(1 + MAX_EPOCH * int(self.now)))
            self._drain()
            for event, _ in happened:  # what we did ourselves is done again, people say what they said
                if isinstance(event, InputReady | InputConflict | InputFailed | TimerFired | Approved | Rejected):
                    self.post(event)

        self.later(self.random.uniform(0, 100), restore)

    def _deliver(self, event: Event, life: int) -> None:
        if isinstance(event, LockGranted) and life != self._restores:
            return  # that was done by a server which is no more
        if self.chance("crash_before_store", RATES["crash_before_store"]):
            self.later(5.0, lambda: self._deliver(event, life))  # never acknowledged: the sender repeats it
            return
        if self._control == "no-fence" and isinstance(event, _AttemptEvent):
            step = self.run.steps[event.step]
            event = replace(event, attempt=step.attempt, epoch=step.epoch)
        self._store(event)
        if self.chance("crash_before_effects", RATES["crash_before_effects"]):
            self.later(5.0, lambda: self._deliver(event, life))
            if self._control == "no-outbox":
                self.outbox.clear()
            self.later(2.0, self._drain)
            return
        self._drain()
        if self.chance("stale", RATES["stale"]):
            stale = self.random.choice(self.log)[0]
            if not isinstance(stale, TimerFired | CancelRequested | Approved | Rejected):
                self.later(self.random.uniform(0, 100), lambda: self._deliver(stale, life))

    def _store(self, event: Event) -> None:
        """The transaction: event, next state and outbox rows together."""
        before = self.run
        self.run, commands = decide(before, event, self.now)
        self.log.append((event, self.now))
        self.outbox += commands
        self.commands += commands
        self.report.wrong += step_violations(before, self.run, commands)
        self.report.wrong += self._lock_violations()
        self.report.wrong += self._deadline_violations(before, event)
        if self.run is not before:
            self._observe(before, event)
            self._ask_people()

    def _drain(self) -> None:
        """Execute effects in order; a crash after an effect and before its row is deleted repeats it."""
        while self.outbox:
            command = self.outbox[0]
            if isinstance(command, SetTimer):
                self._arm(command)
            else:
                self.report.wrong += self.world.execute(command)
            if self.chance("crash_after_effect", RATES["crash_after_effect"]):
                self.later(2.0, self._drain)
                return
            self.outbox.popleft()

    def _arm(self, timer: SetTimer) -> None:
        if self._control != "no-timers":
            self.later(max(0.0, timer.at - self.now), lambda: self._deliver(TimerFired(timer.name), 0))

    def _ask_people(self) -> None:
        for key, step in self.run.steps.items():
            environment = self.run.pipeline.by_key[key].environment
            if step.state is StepState.WAITING and environment and environment.approve and key not in self._asked:
                self._asked.add(key)
                answer = Rejected(key, "eve") if self.world.script(key)[0] == "rejected" else Approved(key, "ada")
                self.post(answer, self.random.uniform(0, 60))

    def _observe(self, before: Run, event: Event) -> None:
        """Note what each attempt turned out to do: a lost runner may or may not have reported before."""
        key = StepKey(
            event.name.split("/")[1]
            if isinstance(event, TimerFired) and "/" in event.name
            else getattr(event, "step", "")
        )
        if key not in self.run.steps:
            return
        old, new = before.steps[key], self.run.steps[key]
        offered_again = new.state is StepState.QUEUED and new.attempt == old.attempt
        if old.state not in (StepState.QUEUED, StepState.RUNNING) or offered_again:
            return
        word = {AttemptHealthy: "ok", AttemptLost: "lost", TimerFired: "lost"}.get(type(event))
        if isinstance(event, AttemptFinished):
            word = next(word for word, result in RESULTS.items() if result == (event.outcome, event.reason))
        if word is not None:
            self._observed[key][old.attempt] = word

    def _lock_violations(self) -> list[str]:
        held = Counter(
            environment.name
            for key, step in self.run.steps.items()
            if (environment := self.run.pipeline.by_key[key].environment) is not None
            and step.state in (StepState.QUEUED, StepState.RUNNING, StepState.BACKOFF)
        )
        return [f"{count} steps hold the lock {name}" for name, count in held.items() if count > 1]

    def _deadline_violations(self, before: Run, event: Event) -> list[str]:
        """The deadline may end an attempt only when its containers had the whole time of the step."""
        if not isinstance(event, TimerFired) or not event.name.startswith("deadline/") or self.run is before:
            return []
        step = before.steps[StepKey(event.name.split("/")[1])]
        launched = self.world.launched.get((step.key, step.attempt, step.epoch))
        timeout = before.pipeline.by_key[step.key].timeout or 0.0
        if launched is not None and self.now >= launched + timeout:
            return []
        return [f"{step.key} was given up after {self.now:.0f} s, its containers could run from {launched} on"]

    def _check_end(self) -> None:
        run, wrong = self.run, self.report.wrong
        if not run.state.final:
            wrong.append(f"the run never ended: { {key: str(step.state) for key, step in run.steps.items()} }")
            return
        wrong += command_violations(self.commands)
        if run.state != run_outcome(run):
            wrong.append(f"the run is {run.state}, not {run_outcome(run)}")
        if run.cancel_reason is None:
            script: dict[str, Sequence[str]] = {
                key: [words[n] for n in sorted(words)] or self.world.script(key)
                for key, words in self._observed.items()
            }
            wrong += violations(run, script)
        replayed = self._initial
        commands: list[Command] = []
        for event, now in self.log:
            replayed, more = decide(replayed, event, now)
            commands += more
        if (replayed, commands) != (run, self.commands):
            wrong.append("replaying the log gives another run")


def simulate(seed: int, control: str = "") -> Report:
    """Simulate one seed."""
    return Simulation(seed, control).simulate()


def _simulate_all(seeds: range, control: str, jobs: int) -> list[Report]:
    if jobs == 1:
        return [simulate(seed, control) for seed in seeds]
    with multiprocessing.Pool(jobs) as pool:
        return pool.starmap(simulate, [(seed, control) for seed in seeds], chunksize=50)


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate many seeds and print what came out; return 1 when a rule was broken."""
    parser = argparse.ArgumentParser(description="Simulate runs with faults")
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--control", choices=CONTROLS, default="")
    options = parser.parse_args(arguments)
    begin = time.monotonic()
    seeds = range(options.first, options.first + options.seeds)
    reports = _simulate_all(seeds, options.control, options.jobs)
    took = time.monotonic() - begin
    faults = sum((report.faults for report in reports), Counter[str]())
    broken = [report for report in reports if report.wrong]
    lines = [
        f"{len(reports)} seeds in {took:.1f} s: {len(reports) / took * 60:,.0f} per minute with {options.jobs} job(s)",
        f"{sum(report.events for report in reports):,} events; faults injected: {sum(faults.values()):,}",
        *(f"  {name:22} {count:,}" for name, count in sorted(faults.items())),
        f"seeds with a broken rule: {len(broken)}",
        *(f"  seed {report.seed}: {report.wrong[0]}" for report in broken[:10]),
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
