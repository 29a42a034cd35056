"""Single turns of the machine: what is asked for, and what is ignored."""

from __future__ import annotations

from itertools import pairwise

import pytest

from flowbuild.core.commands import (
    AcceptResult,
    AcquireLock,
    Command,
    Enqueue,
    FinishRun,
    PrepareInput,
    ProbeInput,
    ReleaseLock,
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
    CancelRequested,
    InputConflict,
    InputReady,
    LockGranted,
    PathConflict,
    Rejected,
    Restored,
    RunStarted,
    TimerFired,
)
from flowbuild.core.machine import decide
from flowbuild.core.model import Environment, Join, Retry
from flowbuild.core.states import Outcome, Reason, RunState
from flowbuild.testing.graphs import make_pipeline
from flowbuild.testing.player import Player, new_run


def begin(steps: object, edges: str = "", **fields: object) -> Player:
    player = Player(new_run(make_pipeline(steps, edges, **fields)))
    player.start()
    return player


def states(player: Player) -> str:
    return " ".join(f"{key}={step.outcome or step.state}" for key, step in player.run.steps.items())


def test_first_steps_start_from_the_initial_commit() -> None:
    player = begin("a b", "a>b", timeout=60.0)
    assert player.commands == [SetTimer("run-timeout", player.now + 60), Enqueue("a", 1, 1, "initial")]
    assert player.send(RunStarted()) == ()
    assert player.run.started_at == 1001.0


def test_one_parent_or_equal_results_need_no_merge() -> None:
    player = begin("a b c", "a>b a>c b>c")
    player.finish("a")
    step = player.run.steps["b"]
    finished = AttemptFinished("b", 1, 1, Outcome.SUCCEEDED, commit=player.run.steps["a"].result_commit)
    assert player.send(finished) == (AcceptResult("b", 1, 1, "a.1.1"), Enqueue("c", 1, 1, "a.1.1"))
    assert step.input_commit == "a.1.1"
    assert player.run.steps["c"].parents == ("a", "b")


def test_parents_are_merged_in_file_order_each_once() -> None:
    player = begin({"a": {}, "b": {}, "c": {}}, "b>c b*c a>c")
    player.finish("b")
    player.finish("a")
    assert player.commands[-1] == PrepareInput("c", (("a", "a.1.1"), ("b", "b.1.1")))
    assert player.send(InputReady("c", "merged", {"X": "1"})) == (Enqueue("c", 1, 1, "merged"),)
    assert player.send(InputReady("c", "other")) == ()
    assert player.run.steps["c"].variables == {"X": "1"}


def test_a_lost_result_counts_with_its_input() -> None:
    player = begin("a b c", "a>b b!c")
    player.finish("a")
    player.launched("b")
    player.finish("b", "lost")
    assert player.commands[-1] == Enqueue("c", 1, 1, "a.1.1")
    assert player.run.steps["c"].variables == {"V_a": "1"}


def test_a_parent_that_never_had_an_input_leaves_nothing() -> None:
    player = begin("a b c d", "a>c b>c c!d")
    player.finish("a")
    player.finish("b")
    player.send(InputConflict("c", (PathConflict("x", ("a", "b"), "add/add"),)))
    assert player.commands[-1] == Enqueue("d", 1, 1, "initial")


def test_conflicts_are_looked_for_early_and_end_the_step_at_once() -> None:
    player = begin("a b c d", "a>d b>d c>d")
    conflict = InputConflict("d", tuple(PathConflict(f"f{i}", ("a", "b"), "modify/modify") for i in range(7)))
    assert player.send(conflict) == ()  # nothing to conflict yet
    assert ProbeInput not in map(type, player.finish("a"))
    assert player.finish("b")[1:] == (ProbeInput("d", (("a", "a.1.1"), ("b", "b.1.1"))),)
    player.send(conflict)
    step = player.run.steps["d"]
    assert (step.outcome, step.reason) == ("failed", "merge_conflict")
    assert "f0 (modify/modify) of a and b, f1" in step.message
    assert step.message.endswith("f4 (modify/modify) of a and b and 2 more")
    player.finish("c")
    assert states(player) == "a=succeeded b=succeeded c=succeeded d=failed"


def test_a_dead_edge_makes_an_early_conflict_meaningless() -> None:
    player = begin("a b c d e", "a>e b>e c>e d>e")
    for key, word in (("a", "ok"), ("b", "ok"), ("c", "failed")):
        player.finish(key, word)
    assert player.send(InputConflict("e", ())) == ()
    player.finish("d")
    assert player.run.steps["e"].outcome == "skipped"


@pytest.mark.parametrize("join", [Join.ANY, Join.FIRST])
def test_only_steps_that_need_all_are_probed(join: Join) -> None:
    player = begin({"a": {}, "b": {}, "c": {}, "d": {"join": join}}, "a>d b>d c>d")
    player.finish("a")
    player.finish("b")
    assert not any(isinstance(command, ProbeInput) for command in player.commands)


def test_first_does_not_wait() -> None:
    player = begin({"a": {}, "b": {}, "c": {"join": Join.FIRST}}, "a>c b>c")
    assert player.finish("b")[-1] == Enqueue("c", 1, 1, "b.1.1")
    player.finish("a")
    assert player.run.steps["c"].parents == ("b",)


ENV = {"environment": Environment("qa", ("ops",))}


def test_approval_comes_before_the_lock() -> None:
    player = begin({"a": ENV})
    assert player.commands == []
    assert player.send(LockGranted("a")) == ()
    assert player.send(Approved("a", "")) == (AcquireLock("a", "qa"),)
    assert player.run.steps["a"].approved_by == "unknown"
    assert player.send(Approved("a", "eve")) == ()
    assert player.send(LockGranted("a")) == (Enqueue("a", 1, 1, "initial"),)
    assert player.send(LockGranted("a")) == player.send(Rejected("a", "eve")) == ()
    assert ReleaseLock("a", "qa") in player.finish("a")


def test_rejected() -> None:
    player = begin({"a": ENV})
    assert player.send(Rejected("a", "eve", "not on a Friday")) == (FinishRun(),)
    assert player.run.steps["a"].message == "eve refused: not on a Friday"
    player = begin({"a": ENV})
    player.send(Approved("a", "ada"))
    assert player.send(Rejected("a", "eve"))[0] == ReleaseLock("a", "qa")
    player = begin({"a": {"environment": Environment("qa")}})
    assert player.commands == [AcquireLock("a", "qa")]
    assert player.send(Rejected("a", "eve")) == player.send(Approved("a", "eve")) == ()
    assert player.send(Rejected("nope", "eve")) == ()


def test_the_lock_is_kept_between_attempts() -> None:
    player = begin({"a": {"environment": Environment("qa"), "retry": Retry(1, frozenset({"failed"}))}})
    player.send(LockGranted("a"))
    assert player.finish("a", "failed") == (AcceptResult("a", 1, 1, "a.1.1"), Enqueue("a", 2, 1, "initial"))


def test_a_serving_step_does_not_keep_its_lock() -> None:
    background = {"environment": Environment("qa"), "background": True}
    player = begin({"a": background, "b": {"environment": Environment("qa")}}, "a>b")
    player.send(LockGranted("a"))
    commands = player.healthy("a")
    assert commands == (AcceptResult("a", 1, 1, "a.1.1"), ReleaseLock("a", "qa"), AcquireLock("b", "qa"))
    player.send(LockGranted("b"))
    assert player.finish("b")[1:3] == (ReleaseLock("b", "qa"), StopAttempt("a", 1, 1))
    assert ReleaseLock("a", "qa") not in player.send(AttemptFinished("a", 1, 1, Outcome.CANCELLED))


def test_reports_of_other_attempts_are_fenced() -> None:
    player = begin({"a": {"retry": Retry(2, frozenset({"failed"}))}})
    player.finish("a", "failed")
    before = player.run
    for attempt, epoch in ((1, 1), (2, 0), (2, 2), (3, 1)):
        assert player.send(AttemptFinished("a", attempt, epoch, Outcome.SUCCEEDED)) == ()
        assert player.send(AttemptLost("a", attempt, epoch)) == ()
    assert player.send(AttemptHealthy("a", 2, 1, None)) == ()  # not a background step
    assert player.send(AttemptFinished("a", 2, 1, Outcome.SKIPPED)) == ()
    assert player.send(AttemptLost("nope", 1, 1)) == ()
    assert player.run is before


def test_an_attempt_that_was_never_launched_is_offered_again_with_a_new_epoch() -> None:
    player = begin({"a": {}, "b": {"environment": Environment("qa")}})
    player.send(LockGranted("b"))
    assert player.finish("a", "lost") == (Enqueue("a", 1, 2, "initial"),)
    player.started("a")
    assert player.finish("a", "lost") == (Enqueue("a", 1, 3, "initial"),)
    assert (player.run.steps["a"].state, player.run.steps["a"].started_at) == ("queued", None)
    player.finish("a", "lost")
    player.finish("b", "lost")  # may have acted on its environment without having said so
    assert states(player) == "a=errored b=errored"
    assert player.run.steps["a"].reason == Reason.INFRA_LOST


def test_an_attempt_that_was_launched_is_lost_with_its_runner() -> None:
    player = begin("a")
    player.started("a")
    player.launched("a")
    assert player.finish("a", "lost") == (FinishRun(),)
    assert player.run.steps["a"].reason is Reason.INFRA_LOST


def test_from_a_restore_on_attempts_have_epochs_that_were_never_given() -> None:
    player = begin({"a": {"retry": Retry(1, frozenset({"failed"}))}, "b": {}, "c": {}})
    player.started("b")
    player.started("c")
    player.launched("c")
    assert player.send(Restored(1000)) == (Enqueue("a", 1, 1000, "initial"),)
    assert player.send(Restored(999)) == player.send(Restored(1000)) == ()
    assert player.send(AttemptStarted("a", 1, 1)) == ()
    assert states(player) == "a=queued b=running c=running"
    assert player.finish("b", "lost") == (Enqueue("b", 1, 1000, "initial"),)  # it may have had 2 already
    assert player.finish("c") == (AcceptResult("c", 1, 1, "c.1.1"),)
    assert player.finish("b", "lost") == (Enqueue("b", 1, 1001, "initial"),)
    assert player.finish("b", "lost") == (Enqueue("b", 1, 1002, "initial"),)
    player.finish("b", "lost")
    assert player.run.steps["b"].reason is Reason.INFRA_LOST
    assert player.finish("a", "failed")[-1] == Enqueue("a", 2, 1000, "initial")


def test_retry_after_a_delay() -> None:
    player = begin({"a": {"retry": Retry(1, frozenset({"failed"}), 30.0)}})
    commands = player.finish("a", "failed")
    assert commands == (AcceptResult("a", 1, 1, "a.1.1"), SetTimer("backoff/a/1", player.now + 30))
    assert (states(player), player.run.steps["a"].message) == ("a=backoff", "")
    assert player.send(TimerFired("backoff/a/2")) == player.send(TimerFired("backoff/nope/1")) == ()
    assert player.send(TimerFired("backoff/a/1")) == (Enqueue("a", 2, 1, "initial"),)
    assert player.run.steps["a"].variables == {}
    assert player.send(TimerFired("backoff/a/1")) == ()


def test_containers_may_run_before_the_start_is_known() -> None:
    player = begin({"a": {"timeout": 10.0, "retry": Retry(1, frozenset({"failed"}))}})
    assert player.launched("a") == (SetTimer("deadline/a/1/1", player.now + 310),)
    assert (player.run.steps["a"].state, player.run.steps["a"].started_at) == ("running", player.now)
    assert player.started("a") == ()
    player.finish("a", "failed")
    assert (player.run.steps["a"].state, player.run.steps["a"].launched_at) == ("queued", None)
    assert player.send(AttemptLaunched("a", 1, 1)) == ()  # of the attempt before
    assert player.launched("a") == (SetTimer("deadline/a/2/1", player.now + 310),)
    assert player.finish("a")[-1] == FinishRun()
    assert player.send(AttemptLaunched("a", 2, 1)) == ()


def test_a_silent_runner_is_given_up_after_the_timeout_of_the_step() -> None:
    player = begin({"a": {"timeout": 10.0}})
    assert player.started("a") == ()  # however long its images take
    player.now += 1000
    assert player.launched("a") == (SetTimer("deadline/a/1/1", player.now + 310),)
    assert player.launched("a") == ()  # said again: the deadline stays
    assert player.send(TimerFired("deadline/a/1/2")) == player.send(TimerFired("deadline/x/1/1")) == ()
    assert player.send(TimerFired("deadline/a/1/1")) == (StopAttempt("a", 1, 1, force=True), FinishRun())
    assert player.run.steps["a"].reason == Reason.INFRA_LOST


SERVICE = {"background": True}


def test_background_steps_are_stopped_when_the_others_have_ended() -> None:
    player = begin({"a": SERVICE, "b": {}}, "a>b")
    assert player.healthy("a") == (AcceptResult("a", 1, 1, "a.1.1"), Enqueue("b", 1, 1, "a.1.1"))
    assert player.healthy("a") == ()
    assert player.finish("b")[1:] == (StopAttempt("a", 1, 1), SetTimer("stop-grace", player.now + 90))
    assert player.run.state is RunState.RUNNING
    end = AttemptFinished("a", 1, 1, Outcome.FAILED, Reason.EXIT_CODE, "bye", 143, commit="late")
    assert player.send(end) == (FinishRun(),)
    step = player.run.steps["a"]
    assert (step.outcome, step.exit_code, step.message, step.result_commit) == ("succeeded", 143, "bye", "a.1.1")
    assert player.run.state is RunState.SUCCEEDED


def test_a_background_step_that_never_answers_does_not_hold_up_the_run() -> None:
    player = begin({"a": SERVICE, "b": SERVICE})
    player.healthy("a")
    assert player.send(TimerFired("stop-grace")) == ()
    assert player.healthy("b")[1:3] == (StopAttempt("a", 1, 1), StopAttempt("b", 1, 1))
    assert player.send(AttemptLost("b", 1, 1)) == ()
    assert player.send(TimerFired("stop-grace")) == (StopAttempt("a", 1, 1, force=True), FinishRun())
    assert player.run.state is RunState.SUCCEEDED
    assert "did not answer within 90 s" in player.run.steps["a"].message


def test_cancel() -> None:
    waiting = {"environment": Environment("qa")}
    again = {"retry": Retry(1, frozenset({"failed"}), 9.0)}
    steps = {"done": {}, "up": SERVICE, "run": {}, "queued": {}, "lock": waiting, "again": again, "later": {}}
    player = begin(steps, "run>later run!later")
    player.finish("done")
    player.healthy("up")
    player.started("run")
    player.finish("again", "failed")
    commands: tuple[Command, ...] = player.send(CancelRequested("ada"))
    assert commands == (
        StopAttempt("up", 1, 1),
        StopAttempt("run", 1, 1),
        StopAttempt("queued", 1, 1),
        ReleaseLock("lock", "qa"),
        SetTimer("cancel-grace", player.now + 90),
    )
    assert (
        states(player)
        == "done=succeeded up=succeeded run=running queued=cancelled lock=cancelled again=cancelled later=cancelled"
    )
    assert player.run.steps["later"].reason is Reason.USER
    assert player.send(CancelRequested("ada")) == ()
    forced = player.send(CancelRequested("ada", force=True))
    assert forced == (StopAttempt("up", 1, 1, force=True), StopAttempt("run", 1, 1, force=True))
    assert player.send(CancelRequested("ada", force=True)) == ()
    player.send(AttemptFinished("up", 1, 1, Outcome.CANCELLED))
    assert player.finish("run", "failed")[-1] == FinishRun()  # it ended by itself just before it was stopped
    assert player.run.state is RunState.FAILED
    assert player.send(CancelRequested()) == ()


def test_cancel_ends_what_never_answers() -> None:
    player = begin({"a": {}, "b": SERVICE, "c": {}})
    player.started("a")
    player.healthy("b")
    player.started("c")
    assert player.send(TimerFired("cancel-grace")) == ()
    player.send(CancelRequested("ada", Reason.INTERRUPTED))
    player.send(AttemptLost("c", 1, 1))
    assert player.send(TimerFired("cancel-grace"))[-1] == FinishRun()
    assert states(player) == "a=cancelled b=succeeded c=cancelled"
    assert player.run.steps["a"].reason is Reason.INTERRUPTED
    assert player.run.state is RunState.CANCELLED


def test_cancel_before_the_start() -> None:
    player = Player(new_run(make_pipeline("a b", "a>b")))
    assert player.send(CancelRequested()) == (FinishRun(),)
    assert player.run.state is RunState.CANCELLED


@pytest.mark.parametrize(
    ("word", "end"), [("ok", RunState.SUCCEEDED), ("failed", RunState.FAILED), ("errored", RunState.ERRORED)]
)
def test_cancel_while_only_services_are_left(word: str, end: RunState) -> None:
    """They are being stopped already: the run keeps its outcome, and only force adds something."""
    player = begin({"up": SERVICE, "a": {}})
    player.healthy("up")
    assert player.finish("a", word)[-2:] == (StopAttempt("up", 1, 1), SetTimer("stop-grace", player.now + 90))
    assert player.send(CancelRequested("ada")) == ()
    assert player.send(CancelRequested("flow", Reason.INTERRUPTED, force=True)) == (
        StopAttempt("up", 1, 1, force=True),
    )
    assert player.send(CancelRequested("ada", force=True)) == ()
    assert player.send(AttemptFinished("up", 1, 1, Outcome.CANCELLED)) == (FinishRun(),)
    assert (player.run.state, player.run.cancel_reason) == (end, None)


def test_a_service_that_ignores_a_forced_stop_is_given_up() -> None:
    player = begin({"up": SERVICE})
    player.healthy("up")
    player.send(CancelRequested("flow", Reason.INTERRUPTED, force=True))
    assert player.send(TimerFired("stop-grace")) == (StopAttempt("up", 1, 1, force=True), FinishRun())
    assert player.run.state is RunState.SUCCEEDED


def test_a_cancel_that_crosses_the_last_result_cancels_nothing() -> None:
    player = begin("a")
    player.started("a")
    player.send(CancelRequested("flow", Reason.INTERRUPTED, force=True))
    assert player.finish("a")[-1] == FinishRun()
    assert player.run.state is RunState.SUCCEEDED


def test_a_result_after_cancel_is_kept_but_leads_to_nothing() -> None:
    player = begin({"a": {"retry": Retry(3, frozenset({"failed"}))}, "b": {}}, "a>b")
    player.started("a")
    player.send(CancelRequested())
    assert player.finish("a", "failed") == (AcceptResult("a", 1, 1, "a.1.1"), FinishRun())
    assert states(player) == "a=failed b=cancelled"


def test_run_timeout() -> None:
    player = begin({"a": {}, "b": SERVICE}, timeout=60.0)
    player.started("a")
    player.healthy("b")
    assert player.send(TimerFired("run-timeout"))[0] == StopAttempt("a", 1, 1)
    player.send(AttemptFinished("a", 1, 1, Outcome.CANCELLED))
    player.send(AttemptFinished("b", 1, 1, Outcome.CANCELLED))
    assert player.run.state is RunState.FAILED
    assert player.run.cancel_reason is Reason.RUN_TIMEOUT


def test_run_timeout_when_all_is_done() -> None:
    player = begin({"a": SERVICE}, timeout=60.0)
    player.healthy("a")
    assert player.send(TimerFired("run-timeout")) == ()


@pytest.mark.parametrize(
    "name", ["", "/", "deadline//", "backoff/a", "deadline/a/1/1/1", "x/y/z", "deadline/a/" + "9" * 5000 + "/1"]
)
def test_unknown_timers_change_nothing(name: str) -> None:
    player = begin("a")
    assert decide(player.run, TimerFired(name), 0.0) == (player.run, ())


def test_a_long_chain_is_skipped_in_one_turn() -> None:
    keys = [f"s{i}" for i in range(3000)]
    player = begin(" ".join(keys), " ".join(f"{a}>{b}" for a, b in pairwise(keys)))
    player.finish("s0", "failed")
    assert player.run.state is RunState.FAILED


def test_a_run_without_steps_succeeds() -> None:
    assert begin("").run.state is RunState.SUCCEEDED


def test_an_edge_is_settled_once() -> None:
    player = begin({"a": SERVICE, "b": {}}, "a>b?steps.a.exit_code==null")
    player.healthy("a")
    player.send(AttemptFinished("a", 1, 1, Outcome.FAILED, exit_code=1))  # the service died; its condition is false now
    assert player.run.edges == ("taken",)
