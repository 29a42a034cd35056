"""Questions about graphs, checked against slow and obvious answers on random graphs."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from flowbuild.core.model import EdgeKind, Join
from flowbuild.spec import lint
from flowbuild.spec.lint import Link

NAMES = [f"s{number}" for number in range(6)]
KINDS = st.sampled_from(list(EdgeKind))
PAIRS = st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES), KINDS)


def links_of(pairs: list[tuple[str, str, EdgeKind]]) -> list[Link]:
    return [Link(source, target, kind, index) for index, (source, target, kind) in enumerate(dict.fromkeys(pairs))]


def has_cycle(links: list[Link]) -> bool:
    """Whether removing steps without incoming edges, again and again, leaves some."""
    left = set(NAMES)
    while free := {n for n in left if not any(link.target == n and link.source in left for link in links)}:
        left -= free
    return bool(left)


@given(st.lists(PAIRS, max_size=12))
@settings(max_examples=100, deadline=None)
def test_cycles_are_found_exactly_when_there_are_some(pairs: list) -> None:
    links = links_of(pairs)
    found = list(itertools.islice(lint.cycles(NAMES, links), 50))
    assert bool(found) == has_cycle(links)
    for cycle in found:
        assert all(link in links for link in cycle)
        assert cycle[-1].target == cycle[0].source
        assert all(before.target == after.source for before, after in itertools.pairwise(cycle))
        assert len({link.source for link in cycle}) == len(cycle)


def runs(links: list[Link], joins: dict[str, Join], outcomes: dict[str, bool]) -> set[str]:
    """Play the pipeline with given outcomes; return the steps that run."""
    ran: set[str] = set()
    for name in lint.order(NAMES, links):
        incoming = [link for link in links if link.target == name]
        taken = [
            link
            for link in incoming
            if link.source in ran
            and (link.kind is EdgeKind.ALWAYS or outcomes[link.source] == (link.kind is EdgeKind.SUCCESS))
        ]
        success = [link for link in incoming if link.kind is EdgeKind.SUCCESS]
        if joins[name] is Join.ALL:
            all_success = bool(success) and all(link in taken for link in success)
            if not incoming or all_success or any(link.kind is not EdgeKind.SUCCESS for link in taken):
                ran.add(name)
        elif not incoming or taken:
            ran.add(name)
    return ran


ORDERED = st.tuples(st.integers(0, 4), st.integers(1, 5), KINDS).filter(lambda pair: pair[0] < pair[1])


@given(st.lists(ORDERED, max_size=12), st.lists(st.sampled_from(list(Join)), min_size=6, max_size=6))
@settings(max_examples=100, deadline=None)
def test_a_step_that_is_said_never_to_run_never_runs(pairs: list, joins: list[Join]) -> None:
    links = links_of([(NAMES[source], NAMES[target], kind) for source, target, kind in pairs])
    by_name = dict(zip(NAMES, joins, strict=True))
    found = set(lint.never_run(NAMES, links, by_name, frozenset()))
    before = lint.ancestors(NAMES, links)
    for values in itertools.product([True, False], repeat=6):
        ran = runs(links, by_name, dict(zip(NAMES, values, strict=True)))
        assert not found & ran
    assert all(link.source in before[link.target] for link in links)
    assert all(before[source] <= before[target] for target in NAMES for source in before[target])


def test_the_obvious_dead_step_is_found() -> None:
    links = links_of([("s0", "s1", EdgeKind.FAIL), ("s0", "s2", EdgeKind.SUCCESS), ("s1", "s2", EdgeKind.SUCCESS)])
    joins = dict.fromkeys(NAMES, Join.ALL)
    assert lint.never_run(NAMES, links, joins, frozenset()) == ["s2"]
    assert lint.never_run(NAMES, links, {**joins, "s2": Join.ANY}, frozenset()) == []
    assert lint.never_run(NAMES, links, joins, frozenset({"s0"})) == []


def test_the_number_of_cycles_is_bounded() -> None:
    names = [f"n{number}" for number in range(50)]
    links = [Link(name, name, EdgeKind.FAIL, 0) for name in names]
    assert len(list(lint.cycles(names, links))) == lint.MAX_CYCLES


def test_a_long_chain_needs_no_recursion() -> None:
    names = [f"n{number}" for number in range(5000)]
    links = [Link(a, b, EdgeKind.SUCCESS, 0) for a, b in itertools.pairwise(names)]
    assert list(lint.cycles(names, links)) == []
    assert lint.order(names, links) == names
