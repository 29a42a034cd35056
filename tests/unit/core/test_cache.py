"""The key of the step cache is a function of its ingredients, and of all of them."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowbuild.core.cache import RUN_FACTS, SOURCE_FACTS, Ingredients, Origin, cache_key, lasting_facts
from flowbuild.core.events import AttemptFinished
from flowbuild.core.ids import RunId, StepKey
from flowbuild.core.machine import create_run
from flowbuild.core.model import Retry
from flowbuild.core.rerun import create_rerun
from flowbuild.core.run import RunContext
from flowbuild.core.states import Outcome
from flowbuild.testing.graphs import make_pipeline
from flowbuild.testing.player import Player, new_run

TEXTS = st.text(st.characters(exclude_categories=[]), max_size=5)  # surrogates too: paths may be any bytes
MAPPINGS = st.dictionaries(TEXTS, TEXTS, max_size=3)
INGREDIENTS = st.builds(
    Ingredients,
    definition=st.dictionaries(TEXTS, TEXTS | st.lists(TEXTS, max_size=2) | MAPPINGS | st.integers() | st.booleans()),
    files=MAPPINGS,
    main=st.lists(TEXTS, max_size=2).map(tuple),
    machine=TEXTS,
    tree=st.lists(st.tuples(TEXTS, st.sampled_from([0o100644, 0o100755]), TEXTS), max_size=2).map(tuple),
    variables=MAPPINGS,
    secrets=MAPPINGS,
)
FIELDS = [field.name for field in dataclasses.fields(Ingredients)]


@given(one=INGREDIENTS, other=INGREDIENTS)
def test_equal_keys_are_equal_ingredients(one, other):
    assert (cache_key(one) == cache_key(other)) == (one == other)


@pytest.mark.parametrize("field", FIELDS)
@given(one=INGREDIENTS, other=INGREDIENTS)
def test_every_ingredient_decides_by_itself(field, one, other):
    mixed = dataclasses.replace(one, **{field: getattr(other, field)})
    assert (cache_key(mixed) == cache_key(one)) == (getattr(one, field) == getattr(other, field))


@given(one=INGREDIENTS)
def test_the_order_of_mappings_means_nothing(one):
    turned = dataclasses.replace(one, variables=dict(reversed(one.variables.items())))
    assert cache_key(turned) == cache_key(one)
    assert len(cache_key(one)) == 64


def test_what_one_part_ends_with_is_not_what_the_next_begins_with():
    empty = Ingredients({}, {}, (), "", (), {}, {})
    keys = {
        cache_key(dataclasses.replace(empty, **change))
        for change in (
            {"variables": {"A": "1"}},
            {"secrets": {"A": "1"}},
            {"files": {"A": "1"}},
            {"definition": {"A": "1"}},
            {"variables": {"A": "", "1": ""}},
            {"variables": {"A1": ""}},
            {"main": ("A", "1")},
            {"main": ("A1",)},
            {"tree": (("A", 1, ""),)},
        )
    }
    assert len(keys) == 9


def test_which_facts_count():
    facts = dict.fromkeys([*RUN_FACTS, *SOURCE_FACTS, "FLOW_STEP", "FLOW_INPUT_TARGET", "FLOW_NEW"], "x")
    always = {"FLOW_STEP", "FLOW_INPUT_TARGET", "FLOW_NEW"}  # what nobody has thought of counts
    assert set(lasting_facts(facts, whole=False)) == always
    assert set(lasting_facts(facts, whole=True)) == always | SOURCE_FACTS


def test_an_origin_says_whose_it_is():
    assert str(Origin("01A", 12, "build", 2, 0.0)) == "result of run 12, step build, attempt 2"


def test_a_run_that_takes_nothing_from_the_cache():
    pipeline = make_pipeline("a b", "a>b")
    for fresh in (False, True):
        run = create_run(RunId("r"), pipeline, context=RunContext(), initial_commit="c", fresh=fresh, now=1.0)
        assert [step.fresh for step in run.steps.values()] == [fresh, fresh]


def played(cached=()):
    """Return a finished run of three steps, some of whose results were taken from the cache."""
    steps = {"a": {"retry": Retry(1, frozenset({"errored"}))}, "b": {}, "c": {}}
    player = Player(new_run(make_pipeline(steps, "a>b b>c")), {})
    player.start()
    for key in ("a", "b", "c"):
        step = player.run.steps[StepKey(key)]
        done = AttemptFinished(step.key, step.attempt, step.epoch, Outcome.SUCCEEDED, cached=key in cached)
        player.send(done)
    assert player.run.state == "succeeded"
    return player.run


def test_the_steps_that_a_rerun_names_are_fresh_and_no_others():
    old = played(cached="ab")
    assert [step.cached for step in old.steps.values()] == [True, True, False]
    again = create_rerun(old, RunId("n"), [StepKey("b")], now=9.0).steps
    assert [again[key].fresh for key in again] == [False, True, False]
    assert [again[key].cached for key in again] == [False, False, False], (
        "cached is what this run took, not the old one"
    )
    assert [step.fresh for step in create_rerun(old, RunId("n"), now=9.0).steps.values()] == [False] * 3
    assert [step.fresh for step in create_rerun(old, RunId("n"), fresh=True, now=9.0).steps.values()] == [True] * 3


def test_a_fresh_step_stays_so_for_its_further_attempts():
    player = Player(create_rerun(played(), RunId("n"), [StepKey("a")], now=9.0), {"a": ["errored", "ok"]})
    player.start()
    step = player.play().steps[StepKey("a")]
    assert (step.attempt, step.outcome, step.fresh, step.cached) == (2, "succeeded", True, False)


def test_a_result_that_was_taken_and_then_one_that_was_not():
    """An attempt that took its result and was lost before that was known is tried again; then it may run."""
    player = Player(new_run(make_pipeline({"a": {"retry": Retry(1, frozenset({"errored"}))}}, "")), {})
    player.start()
    player.send(AttemptFinished(StepKey("a"), 1, 1, Outcome.ERRORED, cached=True))
    player.send(AttemptFinished(StepKey("a"), 2, 1, Outcome.SUCCEEDED))
    assert not player.run.steps[StepKey("a")].cached
