"""Services of background steps that are lost: brought back while something may need them, under the policy of the step."""

from __future__ import annotations

import pytest

from flowbuild.core.commands import Enqueue, FinishRun, SetTimer, StopAttempt
from flowbuild.core.events import (
    AttemptFinished,
    AttemptHealthy,
    AttemptLost,
    CancelRequested,
    LockGranted,
    Restored,
)
from flowbuild.core.ids import CommitId, RunId
from flowbuild.core.model import Environment, Retry
from flowbuild.core.rerun import create_rerun
from flowbuild.core.states import Outcome
from flowbuild.testing.graphs import make_pipeline
from flowbuild.testing.player import Player, new_run


def begin(steps: object, edges: str) -> Player:
    player = Player(new_run(make_pipeline(steps, edges)))
    player.start()
    return player


LOST = {"background": True, "retry": Retry(2, frozenset({"infra_lost"}), delay=30)}


def begin_serving(**service: object) -> Player:
    """Return a run in which service s is up, step a needs it, and b, which comes after a, too."""
    player = begin({"s": {**LOST, **service}, "a": {}, "b": {}}, "s>a a>b")
    player.started("s")
    player.launched("s")
    player.healthy("s")
    return player


def test_a_service_that_is_lost_is_brought_back() -> None:
    player = begin_serving()
    assert player.finish("s", "lost") == (Enqueue("s", 2, 1, "initial"),)  # at once: a needs it now
    s = player.run.steps["s"]
    assert (s.state, s.outcome, s.returning, s.started_at, s.launched_at) == ("serving", "succeeded", True, None, None)
    assert s.message == "attempt 1 is gone (the runner of this attempt is gone); attempt 2 follows"
    before = player.run
    assert player.send(AttemptFinished("s", 1, 1, Outcome.SUCCEEDED)) == player.send(AttemptLost("s", 1, 1)) == ()
    assert player.run is before  # who comes back is too late
    player.started("s")
    assert player.launched("s") == ()  # no deadline: nothing waits for it
    assert player.healthy("s") == ()  # its result is the one that later steps have begun with
    s = player.run.steps["s"]
    assert (s.returning, s.result_commit) == (False, "s.1.1")
    assert s.message == "attempt 2 serves since attempt 1 was lost"
    player.finish("a")
    assert player.finish("b")[1:] == (StopAttempt("s", 2, 1), SetTimer("stop-grace", player.now + 90))
    assert player.finish("s", "cancelled") == (FinishRun(),)
    assert player.run.state == "succeeded"


def test_a_service_that_nothing_needs_any_more_is_not_brought_back() -> None:
    player = begin_serving()
    player.finish("a")
    player.finish("b")
    assert player.finish("s", "lost") == (FinishRun(),)
    assert player.run.state == "succeeded"
    player = begin_serving()
    player.send(CancelRequested())
    assert Enqueue("s", 2, 1, "initial") not in player.finish("s", "lost")
    assert player.run.steps["s"].state == "done"


def test_the_end_of_a_run_does_not_wait_for_a_service_that_comes_back() -> None:
    player = begin_serving()
    player.finish("s", "lost")
    player.finish("a")
    assert StopAttempt("s", 2, 1) in player.finish("b")
    assert player.finish("s", "lost") == (FinishRun(),)
    step = player.run.steps["s"]
    assert (step.outcome, step.returning, step.served_from) == ("succeeded", False, None)


@pytest.mark.parametrize(
    ("service", "word"),
    [
        ({"retry": Retry(2, frozenset({"failed"}))}, "lost"),  # not asked for
        ({"retry": Retry(0, frozenset({"infra_lost"}))}, "lost"),
        ({"environment": Environment("qa")}, "lost"),  # what it did there is not known
        ({"retry": Retry(2, frozenset({"failed", "errored"}))}, "failed"),  # compose restarts what fails
        ({}, "ok"),
    ],
)
def test_a_service_that_is_not_brought_back(service: dict[str, object], word: str) -> None:
    player = begin({"s": {**LOST, **service}, "a": {}}, "s>a")
    player.send(LockGranted("s"))
    player.healthy("s")
    assert not any(isinstance(command, Enqueue) for command in player.finish("s", word))
    assert (player.run.steps["s"].state, player.run.steps["s"].outcome) == ("done", "succeeded")


def test_a_service_that_does_not_come_back_is_tried_as_often_as_said() -> None:
    player = begin_serving(retry=Retry(2, frozenset({"errored", "failed"})))
    player.finish("s", "errored")  # its engine failed, says its runner
    player.launched("s")
    assert player.finish("s", "failed") == (Enqueue("s", 3, 1, "initial"),)  # on its way up that counts, too
    player.launched("s")
    assert player.finish("s", "failed") == ()
    step = player.run.steps["s"]
    assert (step.state, step.outcome, step.exit_code) == ("done", "succeeded", 2)


def test_bringing_a_service_back_that_was_never_launched_is_offered_again() -> None:
    player = begin_serving()
    player.finish("s", "lost")
    player.started("s")
    assert player.finish("s", "lost") == (Enqueue("s", 2, 2, "initial"),)
    assert player.finish("s", "lost") == (Enqueue("s", 2, 3, "initial"),)
    assert player.finish("s", "lost") == (Enqueue("s", 3, 1, "initial"),)
    player.started("a")
    assert player.send(Restored(100)) == (Enqueue("s", 3, 100, "initial"),)
    player.started("s")
    assert player.send(Restored(200)) == ()  # somebody has it
    player.finish("a")
    assert StopAttempt("s", 3, 100) in player.finish("b")
    assert player.finish("s", "lost_early") == (FinishRun(),)  # nothing needs it now


def test_a_service_that_comes_back_begins_with_the_variables_of_its_input() -> None:
    player = begin({"s": LOST, "a": {}}, "s>a")
    player.send(AttemptHealthy("s", 1, 1, CommitId("s.1.1"), {"PORT": "80"}))
    player.finish("s", "lost")
    step = player.run.steps["s"]
    assert (step.variables, step.input_variables) == ({"PORT": "80"}, {})
    assert player.run.steps["a"].variables == {"PORT": "80"}
    player.finish("a")
    assert player.run.steps["s"].served_from == {}
    assert create_rerun(player.run, RunId("again"), ["a"], now=0).steps["s"].served_from is None
