"""Passwords: what is kept tells nothing, what is typed raises nothing."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from argon2 import PasswordHasher

from flowbuild.auth.passwords import AT_ONCE, MAXIMUM, Passwords, check_password
from flowbuild.core.errors import InvalidRequest

CHEAP = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
GOOD = "correct horse battery"


@pytest.fixture(scope="module")
def passwords():
    return Passwords(CHEAP)


def test_the_password_and_nothing_else(passwords):
    kept = passwords.hash(GOOD)
    assert GOOD not in kept
    assert passwords.hash(GOOD) != kept  # salted
    assert passwords.verify(kept, GOOD)
    for wrong in ("", GOOD[:-1], f"{GOOD} ", GOOD.upper(), "x" * 1_000_000, "\0", "\ud800", kept):
        assert not passwords.verify(kept, wrong), wrong


def test_nobody_has_no_password_but_the_check_is_made(passwords):
    assert not passwords.verify("", GOOD)
    assert not passwords.verify("", "")
    assert not passwords.verify("damaged", GOOD)
    assert not passwords.verify("$argon2id$v=19$m=64,t=1,p=1$damaged$damaged", GOOD)


class Counting(PasswordHasher):
    checks = 0

    def verify(self, *values):
        self.checks += 1
        return super().verify(*values)


def test_a_name_that_nobody_has_costs_a_whole_check():
    hasher = Counting(time_cost=1, memory_cost=64, parallelism=1)
    passwords = Passwords(hasher)
    passwords.verify("", GOOD)
    passwords.verify(passwords.hash(GOOD), "wrong")
    assert hasher.checks == 2


def test_a_long_password_does_not_match_its_beginning(passwords):
    assert not passwords.verify(passwords.hash("a" * MAXIMUM), "a" * (MAXIMUM + 1))


def test_a_hash_of_another_cost_is_outdated(passwords):
    kept = passwords.hash(GOOD)
    assert not passwords.outdated(kept)
    dearer = Passwords(PasswordHasher(time_cost=2, memory_cost=64, parallelism=1))
    assert dearer.outdated(kept)
    assert dearer.verify(kept, GOOD)  # and still opens


def test_what_is_used_is_as_expensive_as_the_standard_says():
    kept = Passwords().hash(GOOD)
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$")


def test_only_a_few_at_once():
    class Watched(PasswordHasher):
        running, most = 0, 0

        def hash(self, *values, **options):
            Watched.running += 1
            Watched.most = max(Watched.most, Watched.running)
            try:
                return super().hash(*values, **options)
            finally:
                Watched.running -= 1

    passwords = Passwords(Watched(time_cost=2, memory_cost=1024, parallelism=1))
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(passwords.hash, [GOOD] * 64))
    assert 1 < Watched.most <= AT_ONCE


@pytest.mark.parametrize(
    ("password", "words"),
    [
        ("", "12 to 256"),
        ("short", "12 to 256"),
        ("x" * 257, "12 to 256"),
        ("aaaaaaaaaaaaaaaa", "repeats"),
        ("Administrator1!", "more than the name"),
        ("long enough \udc80", "not text"),
    ],
)
def test_bad_choices(password, words):
    with pytest.raises(InvalidRequest, match=words) as caught:
        check_password(password, name="administrator")
    assert not password or password not in caught.value.message


def test_good_choices():
    for password in (GOOD, "пароль из слов", "7f3c9d2e81ab", "administrator of the seven seas"):
        check_password(password, name="administrator")
