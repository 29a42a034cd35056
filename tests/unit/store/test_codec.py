"""Every value of the core that is stored comes back equal."""

import json
import typing
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowbuild.core.commands import Command
from flowbuild.core.events import AttemptStarted, Event
from flowbuild.core.model import Input, InputType, Pipeline
from flowbuild.core.run import Run
from flowbuild.store import codec
from flowbuild.testing.graphs import make_pipeline, random_pipeline
from flowbuild.testing.store_suite import make_run

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
QUICK = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)


def values(kind):
    """Return a strategy for a dataclass of the core, built from the types of its fields."""
    hints = typing.get_type_hints(kind)
    return st.builds(kind, **{name: of_type(hint) for name, hint in hints.items() if name != "type"})


def of_type(hint):
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is typing.Any:
        return JSON
    if isinstance(hint, typing.NewType):
        return of_type(hint.__supertype__)
    if hasattr(hint, "__dataclass_fields__"):
        return values(hint)
    if origin is tuple and arguments[-1] is not ...:
        return st.tuples(*map(of_type, arguments))
    if origin is tuple:
        return st.lists(of_type(arguments[0]), max_size=2).map(tuple)
    if origin is frozenset:
        return st.frozensets(of_type(arguments[0]), max_size=2)
    if origin is not None and issubclass(origin if isinstance(origin, type) else type, typing.Mapping):
        return st.dictionaries(of_type(arguments[0]), of_type(arguments[1]), max_size=2)
    if arguments:
        return st.one_of([st.none() if argument is type(None) else of_type(argument) for argument in arguments])
    simple = {str: TEXT, float: NUMBER, int: st.integers(0, 2**31)}
    return simple[hint] if hint in simple else st.from_type(hint)


@pytest.mark.parametrize("kind", typing.get_args(Event))
@QUICK
@given(data=st.data())
def test_events(kind, data):
    value = data.draw(values(kind))
    assert codec.load_event(codec.dump_event(value)) == value


@pytest.mark.parametrize("kind", typing.get_args(Command))
@QUICK
@given(data=st.data())
def test_commands(kind, data):
    value = data.draw(values(kind))
    assert codec.load_command(codec.dump_command(value)) == value


@QUICK
@given(values(Pipeline))
def test_pipelines(value):
    assert codec.load_pipeline(codec.dump_pipeline(value)) == value


@QUICK
@given(values(Run))
def test_runs(value):
    assert codec.load_run(codec.dump_run(value), value.pipeline) == value


@QUICK
@given(st.randoms(use_true_random=False))
def test_pipelines_as_they_are(random):
    run = make_run(pipeline=random_pipeline(random))
    assert codec.load_run(codec.dump_run(run), codec.load_pipeline(codec.dump_pipeline(run.pipeline))) == run


def test_what_an_earlier_version_stored_is_read():
    """Before attempts were launched, the deadline began with their start."""
    text = '{"step": "a", "attempt": 1, "epoch": 1, "runner": "r", "type": "attempt_started"}'
    assert codec.load_event(text) == AttemptStarted("a", 1, 1, "r")
    run = make_run("01J0000000000000000000000A")
    stored = json.loads(codec.dump_run(run))
    for step in stored["steps"].values():
        del step["launched_at"]
    assert codec.load_run(json.dumps(stored), run.pipeline) == run


@pytest.mark.parametrize("value", [5, 5.0, 1, 0, True, False, "5", "", -(10**17), 1e300])
def test_the_value_of_an_input_comes_back_as_what_it_was(value):
    """A number that came back as 5.0 instead of 5 would be another FLOW_INPUT_N."""
    pipeline = replace(make_pipeline("a", ""), inputs=(Input("n", InputType.STRING, default=value),))
    run = make_run(pipeline=pipeline)
    run = replace(run, context=replace(run.context, inputs={"n": value}))
    again = codec.load_run(codec.dump_run(run), codec.load_pipeline(codec.dump_pipeline(pipeline)))
    for found in (again.context.inputs["n"], again.pipeline.inputs[0].default):
        assert (found, type(found)) == (value, type(value))
