"""What an attempt has done so far and does now, as it is passed on while it runs."""

from dataclasses import replace

from flowbuild.client.runner import Lease
from flowbuild.services.phases import MOST, began_of, next_word, now_in

LEASE = Lease("R", "a", 1, 1)


def told(*phases, lease=LEASE, word=""):
    for at, phase in enumerate(phases, start=1):
        word = next_word(word, lease, phase, float(at))
    return word


def test_phases_are_kept_in_their_order_with_their_beginnings():
    began = began_of(told("fetch", "checkout", "run"))
    assert list(began.items()) == [("fetch", 1.0), ("checkout", 2.0), ("run", 3.0)]
    assert now_in(began) == "run"


def test_nothing_is_known_before_the_first_one():
    assert (began_of(""), now_in(began_of(""))) == ({}, "")


def test_one_that_comes_again_counts_from_then_on():
    began = began_of(told("pull", "create", "pull"))
    assert list(began.items()) == [("create", 2.0), ("pull", 3.0)]
    assert now_in(began) == "pull"


def test_what_another_attempt_did_is_forgotten():
    word = told("fetch", "run")
    for other in (replace(LEASE, attempt=2), replace(LEASE, epoch=2)):
        assert began_of(next_word(word, other, "fetch", 9.0)) == {"fetch": 9.0}


def test_a_runner_that_says_much_fills_nothing():
    assert len(began_of(told(*map(str, range(100))))) <= MOST
