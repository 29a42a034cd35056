"""Random pipelines, random answers in random order: what must always hold."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from flowbuild.core.commands import FinishRun
from flowbuild.core.events import (
    Approved,
    AttemptFinished,
    AttemptHealthy,
    AttemptLaunched,
    AttemptLost,
    AttemptStarted,
    CancelRequested,
    InputConflict,
    InputFailed,
    InputReady,
    LockGranted,
    PathConflict,
    Rejected,
    Restored,
    RunStarted,
    TimerFired,
)
from flowbuild.core.ids import CommitId, StepKey
from flowbuild.core.machine import decide
from flowbuild.core.model import Pipeline
from flowbuild.core.states import Outcome, Reason, RunState
from flowbuild.testing.graphs import random_pipeline
from flowbuild.testing.invariants import command_violations, step_violations
from flowbuild.testing.oracle import run_outcome, violations
from flowbuild.testing.player import RESULTS, Player, new_run

WORDS = [*RESULTS, "ok", "ok", "ok", "lost_early", "conflict", "unmergeable", "rejected"]


def random_script(random: Random, pipeline: Pipeline) -> dict[str, list[str]]:
    return {
        step.key: [random.choice(WORDS) for _ in range(random.randint(1, 3))]
        for step in pipeline.steps
        if random.randint(0, 2) == 0
    }


@settings(max_examples=300, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(0, 2**32))
def test_every_run_ends_as_the_design_says(random: Random, order: int) -> None:
    pipeline = random_pipeline(random)
    script = random_script(random, pipeline)
    player = Player(new_run(pipeline), script, Random(order))
    player.start()
    run = player.play()
    assert run.state.final
    assert violations(run, script) == []
    assert command_violations(player.commands) == []
    assert sum(isinstance(command, FinishRun) for command in player.commands) == 1
    assert player.replayed() == (run, player.commands)


def names(pipeline: Pipeline) -> list[StepKey]:
    return [*pipeline.by_key, StepKey("unknown")]


class AnyEvents(RuleBasedStateMachine):
    """Events of every kind at any time, most of them out of place; then a cancel, after which the run must end."""

    @initialize(random=st.randoms(use_true_random=False))
    def begin(self, random: Random) -> None:
        self.player = Player(new_run(random_pipeline(random)))
        self.random = random
        self.keys = names(self.player.run.pipeline)
        self.send(RunStarted())

    def send(self, event: object) -> None:
        before = self.player.run
        commands = self.player.send(event)
        assert step_violations(before, self.player.run, commands) == []

    def attempt(self, key: StepKey, stale: int) -> tuple[StepKey, int, int]:
        step = self.player.run.steps.get(key)
        attempt, epoch = (step.attempt, step.epoch) if step else (1, 1)
        return key, attempt - (stale == 1), epoch - (stale == 2) + (stale == 3)

    @rule(
        pick=st.integers(0, 20),
        stale=st.integers(0, 3),
        what=st.sampled_from(["started", "launched", "healthy", "lost", *Outcome]),
    )
    def report(self, pick: int, stale: int, what: str) -> None:
        key, attempt, epoch = self.attempt(self.keys[pick % len(self.keys)], stale)
        commit = CommitId(f"{key}.{attempt}.{epoch}") if pick % 3 else None
        before = self.player.run
        if what == "started":
            self.send(AttemptStarted(key, attempt, epoch))
        elif what == "launched":
            self.send(AttemptLaunched(key, attempt, epoch))
        elif what == "healthy":
            self.send(AttemptHealthy(key, attempt, epoch, commit))
        elif what == "lost":
            self.send(AttemptLost(key, attempt, epoch))
        else:
            self.send(AttemptFinished(key, attempt, epoch, Outcome(what), Reason.EXIT_CODE, commit=commit))
        if stale:
            assert self.player.run is before  # fenced

    @rule(pick=st.integers(0, 20), what=st.integers(0, 7))
    def around(self, pick: int, what: int) -> None:
        key = self.keys[pick % len(self.keys)]
        conflict = PathConflict("a", (key,), "add/add")
        self.send(
            [
                InputReady(key, CommitId(f"in.{key}")),
                InputConflict(key, (conflict,)),
                InputFailed(key, "disk full"),
                LockGranted(key),
                Approved(key, "ada"),
                Rejected(key, "eve"),
                RunStarted(),
                Restored(pick * 10),
            ][what]
        )

    @rule(pick=st.integers(0, 30), noise=st.sampled_from(["", "x", "/", "backoff/s0", "deadline/s0/9/9", "stop-grace"]))
    def timer(self, pick: int, noise: str) -> None:
        asked = [command.name for command in self.player.commands if command.type == "set_timer"]
        self.send(TimerFired(asked[pick % len(asked)] if asked and pick < 25 else noise))

    @precondition(lambda self: self.player.run.state is RunState.RUNNING)
    @rule(order=st.integers(0, 2**32))
    def answer_everything(self, order: int) -> None:
        self.player._random = Random(order)
        self.player.play()

    @rule(force=st.booleans())
    def cancel(self, *, force: bool) -> None:
        settled = all(step.state in ("serving", "done") for step in self.player.run.steps.values())
        self.send(CancelRequested("ada", Reason.USER, force))
        assert self.player.run.state is RunState.CANCELLING or self.player.run.state.final or settled

    @invariant()
    def nothing_is_asked_for_twice(self) -> None:
        if hasattr(self, "player"):
            assert command_violations(self.player.commands) == []

    def teardown(self) -> None:
        if not hasattr(self, "player"):
            return
        self.send(CancelRequested())
        for step in list(self.player.run.steps.values()):  # cancel ends everything, also when nobody answers
            assert step.state in ("running", "serving", "done")
        self.send(TimerFired("cancel-grace"))
        self.send(TimerFired("stop-grace"))  # of a run in which the cancel found nothing to cancel
        run = self.player.run
        assert run.state.final
        assert run.state == run_outcome(run)
        assert self.player.commands.count(FinishRun()) == 1
        assert self.player.replayed() == (run, self.player.commands)
        assert decide(run, RunStarted(), 0.0) == (run, ())


AnyEvents.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
TestAnyEvents = AnyEvents.TestCase
