"""Cycles, layers, ancestors."""

from __future__ import annotations

import pytest

from flowbuild.core.graph import ancestors, descendants, find_cycle, layers
from flowbuild.testing.graphs import make_pipeline, seed_pipeline

CYCLES = [
    ({}, None),
    ({"a": []}, None),
    ({"a": ["a"]}, ("a", "a")),
    ({"a": ["b"], "b": ["c"], "c": ["b"]}, ("b", "c", "b")),
    ({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}, None),
    ({"a": ["b"], "b": [], "c": ["d"], "d": ["b", "c"]}, ("c", "d", "c")),
]


@pytest.mark.parametrize(("successors", "cycle"), CYCLES)
def test_find_cycle(successors: dict, cycle: tuple | None) -> None:
    assert find_cycle(successors) == cycle


def test_long_chains_do_not_exhaust_the_stack() -> None:
    chain = {i: [i + 1] for i in range(5000)} | {5000: []}
    assert find_cycle(chain) is None
    assert find_cycle(chain | {5000: [0]}) == (*range(5001), 0)


def test_layers_put_each_step_after_its_sources() -> None:
    assert layers(seed_pipeline()) == (("git",), ("build",), ("deploy",), ("integration-tests",), ("email",))
    assert layers(make_pipeline("c b a d", "a>b a>c b>d")) == (("a",), ("c", "b"), ("d",))
    assert layers(make_pipeline("a b", "")) == (("a", "b"),)


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
