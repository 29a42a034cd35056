"""`${{ … }}`: where expressions begin and end, what they become, where their problems are."""

from __future__ import annotations

import pytest

from flowbuild.core.expr import ExpressionError, Names
from flowbuild.spec import interpolate
from flowbuild.spec.interpolate import MAX_EXPRESSIONS, fill_matrix, parse, render, render_tree, texts

CONTEXT = {
    "branch": "main",
    "tag": "",
    "commit": "c0ffee",
    "event": "push",
    "inputs": {"n": 3, "f": 3.0, "x": 2.5, "ok": True, "q": 'it\'s }} "q"'},
    "variables": {"A": "${{ branch }}"},
    "steps": {"build-it": {"outcome": "succeeded", "exit_code": 0}},
    "matrix": {"py": "3.10"},
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", ""),
        ("plain $HOME ${HOME} {{ x }}", "plain $HOME ${HOME} {{ x }}"),
        ("${{ branch }}", "main"),
        ("${{branch}}", "main"),
        ("a ${{ branch }}-${{ commit }} b", "a main-c0ffee b"),
        ("${{ inputs.n }}/${{ inputs.f }}/${{ inputs.x }}/${{ inputs.ok }}", "3/3/2.5/true"),
        ("${{ inputs.n > 2 }}", "true"),
        ("${{ 'a}}b' }}", "a}}b"),
        ('${{ "x\\"}}" }}', 'x"}}'),
        ("$${{ branch }}", "${{ branch }}"),
        ("a $${{ b }} ${{ branch }}", "a ${{ b }} main"),
        ("${{ variables.A }}", "${{ branch }}"),  # the result is never read again
        ("${{ inputs.q }}", 'it\'s }} "q"'),
        ("${{ steps.build-it.outcome }}", "succeeded"),
        ("${{\n branch\n}}", "main"),
        ("}} ${{ branch }} {", "}} main {"),
    ],
)
def test_rendering(text: str, value: str) -> None:
    assert render(text, CONTEXT) == value


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("x ${{ branch", (1, 3), "without"),
        ("x\n ${{ branch == 'y }}", (2, 16), "not closed"),
        ("x\n ${{ brnch }}", (2, 6), "unknown name"),
        ("${{ branch\n == foo }}", (2, 5), "unknown name"),
        ("${{ }}", (1, 5), "empty"),
        ("${{ branch }} ${{ steps.x.result }}", (1, 25), "has no"),
        ("${{ branch }}" * (MAX_EXPRESSIONS + 2), (1, 1 + 13 * (MAX_EXPRESSIONS + 1)), "more than"),
    ],
)
def test_problems_have_a_place_in_the_text(text: str, place: tuple[int, int], message: str) -> None:
    with pytest.raises(ExpressionError, match=message) as caught:
        parse(text)
    assert (caught.value.line, caught.value.column) == place


def test_names_are_checked_when_given() -> None:
    assert len(parse("${{ inputs.a }}", Names(inputs={"a"})).expressions) == 1
    with pytest.raises(ExpressionError, match="there is no 'a'"):
        parse("${{ inputs.a }}", Names(inputs={"b"}))


def test_hostile_texts_are_cheap() -> None:
    for text in ("${{" * 20_000, "${{ '" * 20_000, '${{ "\\"' * 10_000, "${{ 'a' " * 8_000):
        with pytest.raises(ExpressionError):
            parse(text + "${{ x")


def test_trees() -> None:
    tree = {"a": ["${{ branch }}", 1, None, True], "${{ k }}": {"b": "x"}, "t": ("${{ event }}",)}
    assert render_tree(tree, CONTEXT) == {"a": ["main", 1, None, True], "${{ k }}": {"b": "x"}, "t": ["push"]}
    assert list(texts({"a": ["${{ x }}", "y"], "b": {"c": "$${{"}, "d": 1})) == [
        (("a", 0), "${{ x }}"),
        (("b", "c"), "$${{"),
    ]
    filled = fill_matrix({"a": ["${{ matrix.py }} ${{matrix.os}} $${{ matrix.py }}", 1]}, {"py": "3.10"})
    assert filled == {"a": ["3.10 ${{matrix.os}} $${{ matrix.py }}", 1]}


@pytest.mark.parametrize(
    ("path", "inside"),
    [
        (("services", "a", "command"), True),
        (("services", "a", "entrypoint", 0), True),
        (("services", "a", "healthcheck", "test", 1), True),
        (("services", "a", "post_start", 0, "command"), True),
        (("services", "a", "pre_stop", 0), True),
        (("services", "a", "build", "dockerfile_inline"), True),
        (("services", "a", "build", "args", "X"), False),
        (("services", "command", "image"), False),
        (("services", "a", "healthcheck", "interval"), False),
        (("volumes", "a", "command"), False),
    ],
)
def test_places_that_are_programs(path: tuple, inside: bool) -> None:  # noqa: FBT001 - a table
    assert interpolate.in_program(path) is inside
