"""Patterns: what they mean is what their parts mean one after another; what they cost nobody can drive up."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowbuild.core.globs import _parts, matches

PIECES = ["a", "b", "*", "**", "**/", "/**/", "/", "?", "[ab]", "[!a]"]
PATTERNS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=9).map("".join)
NAMES = st.text("ab", min_size=1, max_size=4)
PATHS = st.lists(NAMES, min_size=1, max_size=5).map("/".join)


def plain(pattern):
    """Return the same pattern as an expression that tries everything."""
    text = pattern.lstrip("/")
    return re.compile("".join(_parts(text + "**" if text.endswith("/") else text)), re.DOTALL)


@settings(max_examples=1000, deadline=None)
@given(pattern=PATTERNS, paths=st.lists(PATHS, min_size=1, max_size=20))
def test_nothing_is_missed_by_looking_once(pattern, paths):
    for path in paths:
        assert matches(pattern, path) is (plain(pattern).fullmatch(path) is not None)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*a" * 40 + "b", "a" * 2000),
        ("**/a/" * 40 + "b", "a/" * 1000 + "c"),
        ("**a" * 40 + "b", "a" * 2000),
        ("**/*a*/" * 40 + "b", "aaaa/" * 400 + "c"),
        ("**/*a**b*" * 20 + "c", "ab/" * 600),
        ("?*" * 40 + "b", "a" * 2000),
        ("[a-z]*" * 40 + "B", "a" * 2000),
    ],
)
def test_no_pattern_takes_for_ever(pattern, path):
    """An expression that tries everything would be at it until long after this test was ended from outside."""
    assert not matches(pattern, path)


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("a**/b", ["a/b", "ax/b", "a/x/b"], ["ab", "a/xb"]),
        ("**/a", ["a", "x/a", "x/y/a"], ["xa", "a/x"]),
        ("x/**/a", ["x/a", "x/y/z/a"], ["xa", "x/ya"]),
        ("**.py", ["a.py", "x/a.py"], ["a.pyc"]),
    ],
)
def test_two_stars(pattern, yes, no):
    assert [path for path in [*yes, *no] if matches(pattern, path)] == yes
