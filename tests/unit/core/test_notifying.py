"""What of a change of a run is news, how an end is called, and whom rules let it through to."""

from dataclasses import replace
from itertools import product

import pytest

from flowbuild.core.events import Approved, AttemptFinished, CancelRequested, Rejected, RunStarted
from flowbuild.core.machine import decide
from flowbuild.core.model import Environment
from flowbuild.core.notifying import (
    FAILURES,
    Happened,
    News,
    NewsKind,
    Person,
    Rule,
    asks_for,
    happened,
    is_of,
    lets_through,
    told_as,
)
from flowbuild.core.states import Outcome, RunState
from flowbuild.testing.graphs import make_pipeline
from flowbuild.testing.store_suite import make_run

K = NewsKind
GATED = make_pipeline({"a": {"environment": Environment("prod", ("maintainers",))}, "b": {}}, "")
ANN = Person("ann", "ann@example.org")
NEWS = News(K.FAILED, 10.0, "app", "build", "R", 7, "main", author="ann@example.org", actor="bob")


def play(pipeline, *events):
    """Return what was news after each event, and the run."""
    run, told = make_run(pipeline=pipeline), []
    for number, event in enumerate(events):
        after, _ = decide(run, event, float(number))
        told.append(happened(run, after))
        run = after
    return told, run


def ended(outcome, step="a"):
    return AttemptFinished(step, 1, 1, outcome)


class TestHappened:
    @pytest.mark.parametrize(
        ("outcome", "kind"),
        [(Outcome.SUCCEEDED, K.SUCCEEDED), (Outcome.FAILED, K.FAILED), (Outcome.ERRORED, K.ERRORED)],
    )
    def test_a_run_begins_and_ends(self, outcome, kind):
        told, run = play(make_pipeline("a", ""), RunStarted(), ended(outcome))
        assert told == [(Happened(K.STARTED),), (Happened(kind),)]
        assert run.state.final

    def test_nothing_else_is_news(self):
        told, _ = play(make_pipeline("a b", ""), RunStarted(), ended(Outcome.SUCCEEDED), RunStarted())
        assert told[1:] == [(), ()]

    def test_a_run_that_is_cancelled_before_it_begins(self):
        assert play(make_pipeline("a", ""), CancelRequested("ann"))[0] == [(Happened(K.CANCELLED),)]

    def test_what_happens_at_once_is_told_in_its_order(self):
        told, _ = play(GATED, RunStarted())
        assert told == [(Happened(K.STARTED), Happened(K.APPROVAL, ("a",)))]

    def test_a_step_that_waits_for_its_turn_waits_for_nobody(self):
        free = make_pipeline({"a": {"environment": Environment("prod")}}, "")
        assert play(free, RunStarted())[0] == [(Happened(K.STARTED),)]
        told, _ = play(GATED, RunStarted(), Approved("a", "ann"))
        assert told[1] == (), "it waits for its lock now"

    def test_each_that_begins_to_wait_is_told_once(self):
        gate = {"environment": Environment("prod", ("maintainers",))}
        pipeline = make_pipeline({"a": gate, "b": {}, "c": gate}, "b>c")
        told, _ = play(pipeline, RunStarted(), ended(Outcome.SUCCEEDED, "b"), Rejected("a", "ann"))
        assert told[0][1] == Happened(K.APPROVAL, ("a",))
        assert told[1] == (Happened(K.APPROVAL, ("c",)),)
        assert told[2] == ()


@pytest.mark.parametrize(
    ("kind", "previous", "called"),
    [
        (K.SUCCEEDED, None, K.SUCCEEDED),
        (K.SUCCEEDED, RunState.SUCCEEDED, K.SUCCEEDED),
        (K.SUCCEEDED, RunState.FAILED, K.RECOVERED),
        (K.SUCCEEDED, RunState.ERRORED, K.RECOVERED),
        (K.FAILED, None, K.FAILED),
        (K.FAILED, RunState.SUCCEEDED, K.FAILED),
        (K.FAILED, RunState.FAILED, K.STILL_FAILING),
        (K.FAILED, RunState.ERRORED, K.FAILED),
        (K.ERRORED, RunState.FAILED, K.ERRORED),
        (K.CANCELLED, RunState.FAILED, K.CANCELLED),
        (K.STARTED, RunState.FAILED, K.STARTED),
    ],
)
def test_how_an_end_is_called(kind, previous, called):
    assert told_as(kind, previous) is called


class TestRules:
    def test_each_word_means_itself_and_some_mean_more(self):
        through = {word: {kind for kind in K if lets_through(Rule(on=(word,)), replace(NEWS, kind=kind))} for word in K}
        more = {
            K.FINISHED: {K.SUCCEEDED, K.FAILED, K.ERRORED, K.RECOVERED, K.STILL_FAILING, K.CANCELLED},
            K.SUCCEEDED: {K.RECOVERED},
        }
        assert through == {word: {word} | more.get(word, set()) for word in K}

    def test_by_default_nobody_is_told_the_same_failure_again_and_again(self):
        through = {kind for kind in K if lets_through(Rule(), replace(NEWS, kind=kind))}
        assert through == {K.FAILED, K.ERRORED, K.RECOVERED, K.APPROVAL}
        assert not any(lets_through(Rule(on=()), replace(NEWS, kind=kind)) for kind in K)

    @pytest.mark.parametrize(
        ("pipelines", "branches", "through"),
        [
            ((), (), True),
            (("build",), (), True),
            (("bu*", "x"), ("main",), True),
            (("test",), (), False),
            ((), ("release/*",), False),
            (("build",), ("release/*",), False),
            ((), ("**",), True),
        ],
    )
    def test_patterns(self, pipelines, branches, through):
        assert lets_through(Rule(pipelines=pipelines, branches=branches), NEWS) is through

    def test_patterns_are_those_of_triggers(self):
        news = replace(NEWS, branch="release/1/a")
        assert not lets_through(Rule(branches=("release/*",)), news)
        assert lets_through(Rule(branches=("release/**",)), news)
        assert not lets_through(Rule(branches=("*",)), replace(NEWS, branch="")), "a tag has no branch"

    @pytest.mark.parametrize(
        ("person", "mine"),
        [
            (ANN, True),
            (Person("bob"), True),
            (Person("x", "ANN@Example.org"), True),
            (Person("carl", "carl@example.org"), False),
            (Person("x", ""), False),
            (Person("", ""), False),
            (None, False),
        ],
    )
    def test_mine(self, person, mine):
        assert lets_through(Rule(mine=True), NEWS, person) is mine
        assert lets_through(Rule(), NEWS, person)

    def test_nobody_wrote_what_has_no_author(self):
        nameless = replace(NEWS, author="", actor="")
        assert not any(is_of(nameless, person) for person in (ANN, Person("", ""), Person("bob")))

    def test_a_lost_machine_is_of_no_pipeline(self):
        lost = News(K.NODE_LOST, 1.0, node="n1")
        assert lets_through(Rule(on=(K.NODE_LOST,), pipelines=("x",), branches=("x",), mine=True), lost, ANN)
        assert not lets_through(Rule(), lost)


class TestFiles:
    def test_names_event_and_branch_have_to_fit(self):
        names, words, globs = (["team"], ["x", "y"]), (["failed"], ["recovered"]), ([], ["main"], ["v*"])
        for to, on, branches in product(names, words, globs):
            fits = "team" in to and "failed" in on and branches != ["v*"]
            assert asks_for([{"to": to, "on": on, "branches": branches}], "team", NEWS) is fits

    def test_one_of_several_is_enough(self):
        other = {"to": ["ops"], "on": ["failed"]}
        assert asks_for([other, {"to": ["team"], "on": ["finished"]}], "team", NEWS)
        assert not asks_for([other], "team", NEWS)
        assert not asks_for([], "team", NEWS)

    def test_words_of_earlier_versions(self):
        assert asks_for([{"to": ["team"], "on": ["fixed"]}], "team", replace(NEWS, kind=K.RECOVERED))


def test_failures_are_bad_ends():
    assert {K.FAILED, K.ERRORED, K.STILL_FAILING} == FAILURES
