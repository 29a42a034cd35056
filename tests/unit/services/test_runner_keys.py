"""Keys of runners that end by themselves."""

import pytest

from flowbuild.auth.tokens import TokenKind, new_token
from flowbuild.client.runner import Facts
from flowbuild.core.errors import Unauthenticated
from flowbuild.services.audit import Actor
from flowbuild.services.registration import Registration
from flowbuild.services.runner_keys import DAY, RunnerKeys
from flowbuild.services.signals import Signals

ADA = Actor("ada")


@pytest.fixture
def key(database, clock):
    registration = Registration(database, Signals(), clock)
    code = registration.invite(ADA).code
    return registration.register(code, "far", capacity=1, labels={}, facts=Facts(), address="").key


def keys(database, clock, days):
    return RunnerKeys(database, Signals(), clock, max_days=days)


def test_a_key_of_ten_days(database, clock, key):
    ten = keys(database, clock, 10)
    for days, wanted in ((0, False), (4.99, False), (5, True), (9.99, True)):
        clock.now = 1000 + days * DAY
        assert (ten.principal(key).name, ten.wanted("far")) == ("far", wanted)
    clock.now = 1000 + 10 * DAY
    with pytest.raises(Unauthenticated, match="key of runner far is older than 10 days") as caught:
        ten.principal(key)
    assert "flow runners add" in caught.value.hint


def test_without_an_age_no_key_ends(database, clock, key):
    clock.now += 10_000 * DAY
    never = keys(database, clock, 0)
    assert (never.principal(key).name, never.wanted("far")) == ("far", False)


def test_the_age_of_a_new_key_counts_from_when_it_was_made(database, clock, key):
    ten = keys(database, clock, 10)
    clock.now += 6 * DAY
    new = new_token(TokenKind.RUNNER)
    ten.announce("far", new)
    assert ten.wanted("far")  # until it is used
    clock.now += 3 * DAY
    assert ten.principal(key).name == "far"
    assert ten.principal(new).name == "far"
    assert not ten.wanted("far")
    with pytest.raises(Unauthenticated):
        ten.principal(key)
    clock.now += 6.99 * DAY
    assert ten.principal(new).name == "far"
    clock.now += 0.01 * DAY
    with pytest.raises(Unauthenticated, match="older"):
        ten.principal(new)


def test_a_key_that_was_announced_instead_of_another_is_the_only_one(database, clock, key):
    ten, first, second = keys(database, clock, 0), new_token(TokenKind.RUNNER), new_token(TokenKind.RUNNER)
    ten.announce("far", first)
    ten.announce("far", second)
    with pytest.raises(Unauthenticated):
        ten.principal(first)
    assert ten.principal(key).name == ten.principal(second).name == "far"


def test_a_runner_that_was_revoked_makes_no_keys(database, clock, key):
    Registration(database, Signals(), clock).revoke("far", ADA)
    ten, new = keys(database, clock, 1), new_token(TokenKind.RUNNER)
    ten.announce("far", new)
    clock.now += DAY
    assert not ten.wanted("far")
    with pytest.raises(Unauthenticated, match="not known"):
        ten.principal(new)
