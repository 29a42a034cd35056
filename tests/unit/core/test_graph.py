"""Ancestors, descendants, the index of edges."""

from __future__ import annotations

import pytest

from flowbuild.core.graph import ancestors, descendants
from flowbuild.testing.graphs import make_pipeline


def test_ancestors_and_descendants() -> None:
    pipeline = make_pipeline("a b c d e", "a>b b>c a!d")
    assert ancestors(pipeline, ["c"]) == {"a", "b"}
    assert descendants(pipeline, ["a"]) == {"b", "c", "d"}
    assert descendants(pipeline, ["b", "a"]) == {"b", "c", "d"}
    assert ancestors(pipeline, ["e"]) == descendants(pipeline, []) == frozenset()


def test_edges_are_indexed_by_the_place_of_their_source() -> None:
    pipeline = make_pipeline("a b c", "b>c a>c")
    assert pipeline.incoming["c"] == (1, 0)
    assert pipeline.outgoing == {"a": (1,), "b": (0,), "c": ()}
    assert pipeline.incoming is pipeline.incoming
    with pytest.raises(KeyError):
        pipeline.step("nope")
