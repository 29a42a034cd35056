"""Values for inputs: typed, bounded, every problem at once."""

from __future__ import annotations

import pytest

from flowbuild.core.errors import InvalidRequest
from flowbuild.core.model import Input, InputType, Pipeline, Position
from flowbuild.spec.inputs import MAX_TEXT, bind_inputs

PIPELINE = Pipeline(
    name="p",
    position=Position("f", 1, 1),
    steps=(),
    edges=(),
    inputs=(
        Input("target", InputType.CHOICE, options=("qa", "prod"), default="qa"),
        Input("count", InputType.NUMBER),
        Input("fast", InputType.BOOLEAN, default=False),
        Input("text", default="hello"),
    ),
)


@pytest.mark.parametrize(
    ("given", "value"),
    [("3", 3), ("-3", -3), ("+3", 3), (" 3 ", 3), ("2.5", 2.5), (".5", 0.5), ("1e3", 1000.0), ("007", 7)],
)
def test_numbers(given: str, value: float) -> None:
    found = bind_inputs(PIPELINE, {"count": given})
    assert found == {"target": "qa", "count": value, "fast": False, "text": "hello"}
    assert list(found) == ["target", "count", "fast", "text"]
    assert type(found["count"]) is type(value)


@pytest.mark.parametrize("given", ["", "x", "1e999", "nan", "inf", "0x10", "1_0", "1,5", "9" * 19, "\u0661"])
def test_what_is_no_number(given: str) -> None:
    with pytest.raises(InvalidRequest, match="takes a number"):
        bind_inputs(PIPELINE, {"count": given})


@pytest.mark.parametrize(("given", "value"), [("true", True), ("No", False), ("1", True), (" off ", False)])
def test_booleans(given: str, value: bool) -> None:  # noqa: FBT001 - a table
    assert bind_inputs(PIPELINE, {"count": "1", "fast": given})["fast"] is value


def test_text_is_taken_as_it_is() -> None:
    given = {"count": "1", "text": " $(rm -rf /) \n", "target": "prod"}
    assert bind_inputs(PIPELINE, given) == {"target": "prod", "count": 1, "fast": False, "text": " $(rm -rf /) \n"}


def test_all_problems_at_once() -> None:
    given = {"taget": "x", "target": "prd", "fast": "maybe", "text": "x" * (MAX_TEXT + 1), "zzz\x1b": "1"}
    with pytest.raises(InvalidRequest) as caught:
        bind_inputs(PIPELINE, given)
    assert caught.value.message.split("\n") == [
        "there is no input `taget`; did you mean `target` or `text`?",
        "there is no input `zzz\ufffd`; known: count, fast, target, text",
        "the input `target` cannot be `prd`; did you mean `prod`?",
        "the input `count` is required",
        "the input `fast` takes true or false, not `maybe`",
        f"the input `text` takes up to {MAX_TEXT} characters, without NUL",
    ]
    assert caught.value.hint == "inputs of p: target (choice), count (number), fast (boolean), text (string)"
    with pytest.raises(InvalidRequest, match="without NUL"):
        bind_inputs(PIPELINE, {"count": "1", "text": "\0"})


def test_a_pipeline_without_inputs() -> None:
    empty = Pipeline("p", PIPELINE.position, (), ())
    assert bind_inputs(empty, {}) == {}
    with pytest.raises(InvalidRequest, match="the pipeline has none") as caught:
        bind_inputs(empty, {"x": "1"})
    assert caught.value.hint == "inputs of p: none"
