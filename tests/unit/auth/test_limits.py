"""Limits of logins: guessing is slow, people get in."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from flowbuild.auth.limits import MOST, PER_ADDRESS, PER_NAME, PER_PAIR, LoginLimits
from flowbuild.core.errors import RateLimited


@pytest.fixture
def limits(clock):
    return LoginLimits(clock)


def admitted(limits, attempts):
    """Return how many of some attempts are heard."""
    count = 0
    for address, name in attempts:
        try:
            limits.attempt(address, name)
        except RateLimited:
            continue
        count += 1
    return count


def test_one_guesser_of_one_name(limits, clock):
    assert admitted(limits, [("10.0.0.1", "ann")] * 100) == PER_PAIR.burst
    with pytest.raises(RateLimited) as caught:
        limits.attempt("10.0.0.1", "ann")
    assert caught.value.seconds == pytest.approx(PER_PAIR.seconds)
    assert "61 seconds" in caught.value.hint
    clock.now += caught.value.seconds  # exactly as long as was said
    assert admitted(limits, [("10.0.0.1", "ann")] * 100) == 1


def test_what_is_refused_costs_nothing(limits, clock):
    admitted(limits, [("10.0.0.1", "ann")] * 1000)
    clock.now += PER_PAIR.seconds
    assert admitted(limits, [("10.0.0.1", "ann")]) == 1


def test_one_guesser_of_many_names(limits):
    assert admitted(limits, [("10.0.0.1", f"name{number}") for number in range(100)]) == PER_ADDRESS.burst
    assert admitted(limits, [("10.0.0.2", "ann")]) == 1


def test_many_guessers_of_one_name(limits):
    attempts = [(f"10.0.{number}.1", name) for number in range(200) for name in ("ann", "Ann", "ANN")]
    assert admitted(limits, attempts) == PER_NAME.burst
    assert admitted(limits, [("10.0.0.2", "bob")]) == 1


def test_strangers_lock_nobody_out_where_they_were_before(limits):
    limits.attempt("10.9.9.9", "ann")
    limits.succeeded("10.9.9.9", "ann")
    admitted(limits, [(f"10.0.{number}.1", "ann") for number in range(200)])
    assert admitted(limits, [("10.8.8.8", "ann")]) == 0  # the control: elsewhere
    assert admitted(limits, [("10.9.9.9", "ann")] * 10) == PER_PAIR.burst


def test_good_logins_are_not_counted(limits):
    for _ in range(500):
        limits.attempt("10.0.0.1", "ann")
        limits.succeeded("10.0.0.1", "ann")
    assert admitted(limits, [("10.0.0.1", "ann")] * 10) == PER_PAIR.burst


def test_an_account_of_ones_own_gives_no_guesses_at_another(limits):
    guessed = 0
    for _ in range(50):
        limits.attempt("10.0.0.1", "mallory")
        limits.succeeded("10.0.0.1", "mallory")
        guessed += admitted(limits, [("10.0.0.1", "ann")])
    assert guessed == PER_PAIR.burst


def test_all_at_once_are_counted(limits):
    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(lambda _: admitted(limits, [("10.0.0.1", "ann")]), range(64))) == PER_PAIR.burst


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::1", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("unknown", "", False),
    ],
)
def test_what_counts_as_one_address(limits, one, other, same):
    assert admitted(limits, [(one, f"name{number}") for number in range(100)]) == PER_ADDRESS.burst
    assert admitted(limits, [(other, "ann")]) == (0 if same else 1)


def test_what_is_remembered_is_bounded(limits):
    for number in range(MOST):
        address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        limits.attempt(address, f"{number}{'x' * 1000}")
        limits.succeeded(address, str(number))
    assert len(limits._spent) == len(limits._known) == MOST
    assert max(len(part) for key in limits._spent for part in key) <= 256
