"""What a rerun takes over, and what it does again."""

from __future__ import annotations

import pytest

from flowbuild.core.commands import Enqueue, PrepareInput
from flowbuild.core.errors import InvalidRequest, NotFound
from flowbuild.core.events import CancelRequested
from flowbuild.core.ids import RunId
from flowbuild.core.model import Join
from flowbuild.core.rerun import create_rerun, failed_steps
from flowbuild.core.run import Run
from flowbuild.testing.graphs import make_pipeline
from flowbuild.testing.player import Player, new_run


def played(steps: object, edges: str, **script: list[str]) -> Run:
    player = Player(new_run(make_pipeline(steps, edges)), script)
    player.start()
    return player.play()


def rerun(old: Run, *from_steps: str, **variables: str) -> Player:
    player = Player(create_rerun(old, RunId("again"), from_steps, variables=variables, now=5000.0))
    player.start()
    player.play()
    return player


def queued(player: Player) -> list[str]:
    return [command.step for command in player.commands if isinstance(command, Enqueue)]


def test_nothing_before_it_runs_again() -> None:
    old = played("a b c d", "a>b b>c a>d", b=["failed"])
    player = rerun(old, "b")
    assert queued(player) == ["b", "c"]
    run = player.run
    assert run.state == "succeeded"
    assert run.rerun_of == "run"
    assert [step.reused for step in run.steps.values()] == [True, False, False, True]
    assert run.steps["a"].result_commit == old.steps["a"].result_commit
    assert run.steps["b"].input_commit == old.steps["a"].result_commit
    assert run.steps["b"].attempt == 1


def test_all_again() -> None:
    player = rerun(played("a b", "a>b"))
    assert queued(player) == ["a", "b"]
    assert not any(step.reused for step in player.run.steps.values())


def test_a_failure_that_is_taken_over_still_counts() -> None:
    assert rerun(played("a b", "", a=["failed"]), "b").run.state == "failed"


def test_changed_variables_are_set_on_the_input_of_the_first_steps() -> None:
    old = played("a b c", "a>b b>c")
    player = rerun(old, "b", COLOUR="red")
    prepared = [command for command in player.commands if isinstance(command, PrepareInput)]
    assert prepared == [PrepareInput("b", (("a", old.steps["a"].result_commit),), {"COLOUR": "red"})]
    assert player.run.steps["c"].variables["COLOUR"] == "red"
    again = rerun(player.run, "c", SIZE="1")
    assert again.run.steps["c"].overrides == {"SIZE": "1"}
    assert again.run.steps["c"].variables["COLOUR"] == "red"
    same = rerun(player.run, "b")
    assert same.run.steps["b"].variables["COLOUR"] == "red"  # the same input as before
    everything = rerun(old, COLOUR="blue")
    assert [c.parents for c in everything.commands if isinstance(c, PrepareInput)] == [()]


def test_a_step_after_something_taken_over_and_something_new_gets_the_variables_too() -> None:
    old = played("a b c", "a>c b>c")
    player = rerun(old, "b", K="1")
    assert {key: step.overrides for key, step in player.run.steps.items()} == {
        "a": {},
        "b": {"K": "1"},
        "c": {"K": "1"},
    }


def test_services_that_are_needed_are_started_again() -> None:
    steps = {
        "db": {"background": True},
        "app": {"background": True},
        "other": {},
        "test": {},
        "side": {"background": True},
    }
    old = played(steps, "db>app app>test db>other")
    player = rerun(old, "test")
    assert queued(player) == ["db", "app", "test"]  # in that order; neither `other` nor `side`
    assert player.run.state == "succeeded"
    assert player.run.steps["other"].reused


def test_what_was_cancelled_or_never_ended_is_done_again() -> None:
    player = Player(new_run(make_pipeline("a b c d", "a>b c>d")))
    player.start()
    player.finish("a", "failed")
    player.send(CancelRequested())
    player.finish("c", "cancelled")
    assert queued(rerun(player.run, "a")) == ["a", "c", "b", "d"]
    unfinished = Player(new_run(make_pipeline("a b", "")))
    unfinished.start()
    unfinished.finish("a")
    assert queued(rerun(unfinished.run, "b")) == ["b"]


def test_refusals() -> None:
    old = played({"build": {}, "unit": {}, "late": {"join": Join.ANY}}, "build>unit unit>late", build=["failed"])
    with pytest.raises(NotFound) as missing:
        create_rerun(old, RunId("x"), ["biuld"], now=0.0)
    assert missing.value.hint == "did you mean 'build'?"
    with pytest.raises(InvalidRequest) as refused:
        create_rerun(old, RunId("x"), ["unit"], now=0.0)
    assert "unit cannot run: no way led to it in run run after build (failed)" in refused.value.message
    assert refused.value.hint == "rerun from build instead"
    assert create_rerun(old, RunId("x"), ["unit", "build"], now=0.0).steps["unit"].state == "pending"


def test_failed_steps() -> None:
    steps = {"a": {}, "b": {}, "c": {}, "d": {"allow_failure": True}, "e": {}, "f": {}}
    run = played(steps, "a>f", a=["failed"], b=["lost"], c=["cancelled"], d=["failed"])
    assert failed_steps(run) == ("a", "b", "c")
    assert queued(rerun(run, *failed_steps(run))) == ["a", "b", "c", "f"]
