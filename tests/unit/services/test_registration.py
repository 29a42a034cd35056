"""Runners register once with a code, are known by their key, drained and revoked."""

import pytest

from flowbuild.auth.tokens import TokenKind, kind_of
from flowbuild.client.runner import LEASE_SECONDS, Facts, MachineLoad
from flowbuild.core.access import Action, allowed
from flowbuild.core.errors import Conflict, InvalidRequest, NotFound, RateLimited, Unauthenticated
from flowbuild.services.audit import Actor
from flowbuild.services.placing import Standing
from flowbuild.services.registration import CODE_SECONDS, Registration
from flowbuild.services.runner_keys import RunnerKeys
from flowbuild.services.signals import Signals

ADA = Actor("ada", "192.0.2.1")


@pytest.fixture
def registration(database, clock):
    return Registration(database, Signals(), clock)


@pytest.fixture
def keys(database, clock):
    return RunnerKeys(database, Signals(), clock)


def register(registration, name="one", code=None, *, capacity=2, labels=None, facts=None):
    code = registration.invite(ADA).code if code is None else code
    more = {"labels": labels or {}, "facts": facts or Facts("1.0", "x86_64"), "address": "192.0.2.9"}
    return registration.register(code, name, capacity=capacity, **more)


def actions(database):
    with database.read() as tx:
        return [(row.actor, row.action, row.object) for row in reversed(tx.audit.page(before=None, limit=100))]


def test_a_runner_is_known_by_its_key(registration, database, keys):
    made = register(registration, labels={"disk": "fast"})
    assert kind_of(made.key) is TokenKind.RUNNER
    principal = keys.principal(made.key)
    assert (principal.kind, principal.name, principal.admin) == ("runner", "one", False)
    assert allowed(principal, Action.RUNNER_WORK, None)
    assert not allowed(principal, Action.RUN_READ, "p")
    (row,) = registration.runners()
    assert (row.capacity, row.labels, row.facts["machine"]) == (2, {"disk": "fast"}, "x86_64")
    assert made.key not in repr(row)
    assert actions(database) == [("ada", "runner.invite", ""), ("runner one", "runner.register", "one")]


def test_a_code_is_used_once(registration):
    code = registration.invite(ADA).code
    register(registration, "one", code)
    with pytest.raises(Unauthenticated, match="used up"):
        register(registration, "two", code)
    assert [row.name for row in registration.runners()] == ["one"]


def test_a_code_that_registered_nobody_is_not_used_up(registration):
    registration.heard(register(registration).name)
    code = registration.invite(ADA).code
    with pytest.raises(Conflict):
        register(registration, "one", code)
    register(registration, "two", code)


def test_a_code_ends_by_itself(registration, clock):
    code = registration.invite(ADA).code
    clock.now += CODE_SECONDS
    with pytest.raises(Unauthenticated):
        register(registration, "one", code)


@pytest.mark.parametrize("code", ["", "x", "flowc_" + "A" * 43, "\ud800"])
def test_a_code_that_nobody_made(registration, code):
    with pytest.raises(Unauthenticated):
        register(registration, "one", code)


@pytest.mark.parametrize("key", ["", "flowr_" + "A" * 43, "\ud800"])
def test_a_key_that_nobody_got(registration, key, keys):
    register(registration)
    with pytest.raises(Unauthenticated):
        keys.principal(key)


@pytest.mark.parametrize("name", ["", "local", "One", "a/b", "a" * 41, "-a", "a b", "é"])
def test_names_that_no_runner_may_have(registration, name):
    with pytest.raises(InvalidRequest):
        register(registration, name)


@pytest.mark.parametrize(
    "wrong",
    [
        {"capacity": 0},
        {"capacity": 257},
        {"labels": {"a" * 129: ""}},
        {"labels": {"a": "b" * 129}},
        {"labels": {str(number): "" for number in range(33)}},
        {"facts": Facts(engine="x" * 129)},
        {"facts": Facts(memory=10**129)},
    ],
)
def test_what_a_runner_says_is_bounded(registration, wrong):
    with pytest.raises(InvalidRequest):
        register(registration, **wrong)


def test_a_name_is_free_until_its_runner_was_heard_of(registration, keys):
    lost = register(registration)  # the answer with the key was lost
    made = register(registration)
    with pytest.raises(Unauthenticated):
        keys.principal(lost.key)
    registration.hello(f"{keys.principal(made.key).name}/1", capacity=3, facts=Facts(cpus=4))
    (row,) = registration.runners()
    assert (row.capacity, row.facts["cpus"], row.seen_at) == (3, 4, 1000.0)
    with pytest.raises(Conflict):
        register(registration)


def test_draining(registration, database):
    register(registration)
    assert registration.heard("one") is False
    registration.drain("one", ADA)
    registration.drain("one", ADA)  # again changes nothing
    assert registration.heard("one") is True
    registration.activate("one", ADA)
    assert registration.heard("one") is False
    assert [action for _, action, _ in actions(database)][2:] == ["runner.drain", "runner.activate"]


def test_a_cordoned_runner_stays_and_gets_no_work(registration, database):
    register(registration)
    registration.cordon("one", ADA)
    assert registration.heard("one", MachineLoad(1.5, memory_free=7)) is False
    assert (row := registration.runners()[0]).state == "cordoned"
    assert (row.load["processes"], row.load["memory_free"]) == (1.5, 7)
    registration.activate("one", ADA)
    assert [action for _, action, _ in actions(database)][2:] == ["runner.cordon", "runner.activate"]


def test_the_cluster_drains_a_machine(database, clock):
    said = Standing()
    registration = Registration(database, Signals(), clock, standing=lambda row: said if row.name == "one" else None)
    register(registration, "one")
    register(registration, "two")
    assert registration.heard("one") is False
    said = Standing(taking=False)
    assert registration.heard("one") is False
    said = Standing(taking=False, draining=True)
    assert registration.heard("one") is True
    assert registration.heard("two") is False


def test_who_was_revoked_stays_out(registration, keys):
    old = register(registration)
    registration.heard("one")
    registration.revoke("one", ADA)
    with pytest.raises(Unauthenticated):
        keys.principal(old.key)
    for change in (registration.activate, registration.drain):
        with pytest.raises(Conflict):
            change("one", ADA)
    new = register(registration)  # somebody lets a machine of that name in again
    with pytest.raises(Unauthenticated):
        keys.principal(old.key)
    assert keys.principal(new.key).name == "one"


def test_a_runner_that_is_not_there(registration):
    for change in (registration.drain, registration.activate, registration.revoke):
        with pytest.raises(NotFound):
            change("one", ADA)


TOKEN = "join-" + "x" * 32


@pytest.fixture
def joining(database, clock):
    return Registration(database, Signals(), clock, join_token=TOKEN)


def test_machines_join_by_themselves_with_the_token(joining, database, keys):
    for name in ("one", "two"):
        made = register(joining, name, TOKEN)
        assert keys.principal(made.key).name == name
    assert actions(database) == [(f"runner {name}", "runner.register", name) for name in ("one", "two")]
    with database.read() as tx:
        assert [row.detail["by"] for row in tx.audit.page(before=None, limit=100)] == ["join token"] * 2


@pytest.mark.parametrize("token", ["", "x", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "\ud800"])
def test_no_other_text_joins(joining, token):
    with pytest.raises(Unauthenticated):
        register(joining, "one", token)


def test_who_guesses_the_token_has_to_wait_and_who_knows_it_has_not(joining, clock):
    for name in (f"m{number}" for number in range(40)):  # of one address
        register(joining, name, TOKEN)
    for number in range(5):
        with pytest.raises(Unauthenticated):
            register(joining, "one", f"{number:32}")
    with pytest.raises(RateLimited):
        register(joining, "one", TOKEN)
    clock.now += 60
    register(joining, "one", TOKEN)


def test_a_server_without_a_token_lets_nobody_join(registration):
    for token in ("", TOKEN):
        with pytest.raises(Unauthenticated):
            register(registration, "one", token)


def test_codes_are_good_beside_the_token(joining):
    register(joining, "one", joining.invite(ADA).code)


def test_who_joins_takes_the_name_of_a_silent_runner_and_of_none_that_works(joining, clock, keys):
    key = register(joining, "one", TOKEN).key
    joining.heard("one")
    with pytest.raises(Conflict, match="there is a runner 'one'"):
        register(joining, "one", TOKEN)
    assert keys.principal(key).name == "one"
    clock.now += LEASE_SECONDS
    register(joining, "one", TOKEN)
    with pytest.raises(Unauthenticated):
        keys.principal(key)


@pytest.mark.parametrize(("before", "now", "free"), [("a", "a", True), ("a", "b", False), ("", "", False)])
def test_a_node_of_a_swarm_may_join_again(joining, before, now, free):
    register(joining, "one", TOKEN, facts=Facts(node=before))
    joining.heard("one")
    if free:
        register(joining, "one", TOKEN, facts=Facts(node=now))
    else:
        with pytest.raises(Conflict):
            register(joining, "one", TOKEN, facts=Facts(node=now))
    joining.heard("one")
    with pytest.raises(Conflict):  # a code is for a new machine
        register(joining, "one", facts=Facts(node=before))


def test_a_revoked_runner_does_not_come_back_by_itself(joining, clock):
    register(joining, "one", TOKEN, facts=Facts(node="a"))
    joining.heard("one")
    joining.revoke("one", ADA)
    clock.now += 10 * LEASE_SECONDS
    with pytest.raises(Conflict, match="was revoked"):
        register(joining, "one", TOKEN, facts=Facts(node="a"))
    register(joining, "one", joining.invite(ADA).code)


def test_a_drained_runner_that_joins_anew_stays_drained(joining):
    register(joining, "one", TOKEN, facts=Facts(node="a"))
    joining.heard("one")
    joining.drain("one", ADA)
    register(joining, "one", TOKEN, facts=Facts(node="a"))
    assert [row.state for row in joining.runners()] == ["draining"]
