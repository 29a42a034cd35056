"""The checks of `bench/failures.py` find what they are for."""

import pytest

from flowbuild.testing.outcomes import (
    AGAIN,
    ELSEWHERE,
    GONE,
    OTHER,
    PERSON,
    WENT_ON,
    Committed,
    begun_twice,
    double_commits,
    left,
    outcome,
    tally,
)


def attempt(number, outcome="succeeded", node="n1", reason=None, epoch=1):
    commit = f"commit-{number}" if outcome == "succeeded" else None
    return {"attempt": number, "epoch": epoch, "outcome": outcome, "reason": reason, "node": node, "commit": commit}


def lost(number, node="n1"):
    return attempt(number, "errored", node, "infra_lost")


def step(*attempts):
    return {"key": "a", "outcome": attempts[-1]["outcome"], "attempts": [*attempts]}


def committed(**changes):
    good = {
        "commits": {"a": ["commit-2"]},
        "lines": {"a": ["2 word"]},
        "heads": {"a": "commit-2"},
        "words": {"a": "2 word"},
    }
    return Committed(**good | changes)


@pytest.mark.parametrize(
    ("attempts", "expected"),
    [
        ([attempt(1)], WENT_ON),
        ([attempt(1, node="n2", epoch=2)], ELSEWHERE),  # offered again before it began
        ([lost(1), attempt(2, node="n2")], ELSEWHERE),
        ([lost(1), attempt(2)], AGAIN),
        ([lost(1)], OTHER),
        ([attempt(1, "failed", reason="exit_code"), attempt(2)], OTHER),
        ([attempt(1), lost(2)], OTHER),
    ],
)
def test_outcome(attempts, expected):
    assert outcome(step(*attempts), "n1") == expected


def test_an_exclusive_step_waits_for_a_person():
    assert outcome(step(lost(1)), "n1", exclusive=True) == PERSON
    assert outcome(step(lost(1), attempt(2)), "n1", exclusive=True) == OTHER
    assert outcome(step(lost(1), lost(2)), "n1", exclusive=True) == OTHER


def test_a_service_that_is_gone():
    assert outcome(step(lost(1)) | {"outcome": "succeeded"}, "n1", serving=True) == GONE
    withdrawn = attempt(2, "cancelled")
    assert outcome(step(lost(1), withdrawn) | {"outcome": "succeeded"}, "n1", serving=True) == GONE
    assert outcome(step(lost(1)) | {"outcome": "succeeded"}, "n1") == OTHER
    assert outcome(step(lost(1)), "n1", serving=True) == OTHER


def test_a_service_that_was_brought_back():
    assert outcome(step(lost(1), attempt(2, node="n2")), "n1", serving=True) == ELSEWHERE
    assert outcome(step(lost(1), attempt(2)), "n1", serving=True) == AGAIN


def test_an_exclusive_step_that_was_begun_twice():
    assert begun_twice([step(lost(1))], ["a"]) == []
    assert begun_twice([step(lost(1), attempt(2))], ["a"]) == ["a"]
    assert begun_twice([step(attempt(1, epoch=2))], ["a"]) == ["a"]
    assert begun_twice([step(lost(1), attempt(2))], ["b"]) == []


def test_one_result_is_no_double_commit():
    assert double_commits([step(lost(1), attempt(2))], committed()) == []


@pytest.mark.parametrize(
    ("found", "word"),
    [
        (committed(commits={"a": ["commit-1", "commit-2"]}), "commit-1"),
        (committed(commits={"a": ["commit-2", "commit-2"]}), "2 times"),
        (committed(lines={"a": ["1 other", "2 word"]}), "2 results"),
        (committed(lines={"a": ["1 other"]}), "1 other"),
        (committed(lines={}), "main has []"),
        (committed(heads={"a": "commit-1"}), "commit-1"),
        (committed(words={"a": "2 another"}), "another"),
    ],
)
def test_a_double_commit(found, word):
    (wrong,) = {said for said in double_commits([step(lost(1), attempt(2))], found) if word in said}
    assert wrong.startswith("a: ")


def test_what_an_errored_attempt_reported_is_no_double_commit():
    errored = lost(1) | {"commit": "commit-1"}
    assert double_commits([step(errored, attempt(2))], committed(commits={"a": ["commit-1", "commit-2"]})) == []


def test_two_attempts_that_succeeded():
    assert "a: 2 attempts succeeded" in double_commits([step(attempt(1), attempt(2))], committed())


def test_what_is_left():
    nothing = {"container": [], "network": []}
    assert left({"n1": nothing, "n2": nothing}) == []
    assert left({"n1": nothing, "n2": {**nothing, "network": ["abc"]}}) == ["n2: network abc"]


def test_tally():
    assert tally([WENT_ON, ELSEWHERE, WENT_ON]) == f"1 {ELSEWHERE}, 2 {WENT_ON}"
    assert tally([]) == "none"
