"""Deliveries that may be looked at again: only those from which something may follow then."""

from dataclasses import replace

import pytest

from flowbuild.core.errors import InvalidRequest, NotFound
from flowbuild.services.audit import Actor
from flowbuild.services.deliveries import is_repeatable
from flowbuild.services.intake import TRIES
from flowbuild.store.holds import HoldRow
from flowbuild.testing.payloads import Delivery, Push, Request
from flowbuild.testing.receiving import HOOK, PROJECT, Receiving
from flowbuild.testing.triggers import pipeline_file

FORK = Request("opened", source="mallory/app")


@pytest.fixture
def server(tmp_path):
    made = Receiving(tmp_path)
    yield made
    made.database.close()


def listed(server) -> bool:
    """Return what lists say of the only delivery, once it was looked at."""
    server.work()
    [row] = server.deliveries.page(PROJECT, None, 10)
    assert is_repeatable(row) == is_repeatable(server.deliveries.get(PROJECT, row.id))
    return is_repeatable(row)


def test_not_before_it_was_looked_at_nor_when_something_followed(server):
    receipt = server.receive(Push())
    assert not is_repeatable(server.get(receipt))
    assert not listed(server)
    assert server.get(receipt).state == "done"


def test_what_failed_until_its_body_is_dropped(server):
    server.starter.script.failures = [RuntimeError("a bug")] * TRIES
    receipt = server.receive(Push())
    for _ in range(TRIES):
        server.work()
        server.clock.pass_(61)
    assert server.get(receipt).state == "failed"
    assert listed(server)
    with server.database.write() as tx:
        tx.deliveries.forget(server.clock())
    assert not listed(server)


def test_what_could_not_be_used(server):
    server.starter.script.failures = [InvalidRequest("the pipeline cannot be used: 2 errors")]
    server.receive(Push())
    assert listed(server)


def test_not_what_waits_for_approval_nor_what_a_later_one_replaced(server):
    first = server.receive(FORK)
    assert not listed(server)
    second = server.receive(replace(FORK, commit="f" * 40))
    server.work()
    assert [server.get(each).state for each in (first, second)] == ["ignored", "waiting"]
    assert [is_repeatable(server.get(each)) for each in (first, second)] == [False, False]


def test_not_what_asks_for_nothing(server):
    server.receive(Request("closed"))
    assert not listed(server)


def test_not_what_is_no_event(server):
    ping = Delivery({"x-github-event": "ping"}, b"{}").signed("github", server.secret)
    server.deliveries.receive(PROJECT, HOOK, ping.headers, ping.body)
    assert not listed(server)


def test_not_a_commit_that_is_there_no_more(server):
    server.starter.script.failures = [NotFound("the source has no bbbb")]
    receipt = server.receive(Push())
    assert not listed(server)
    assert server.get(receipt).result["events"][0]["why"] == "the source has no bbbb"


def test_not_what_no_pipeline_at_its_commit_wants(server):
    server.starter.script.files = pipeline_file({"build": "tag"})
    server.receive(Push())
    assert not listed(server)


def test_what_names_no_commit_is_about_a_branch_which_moves_on(tmp_path):
    server = Receiving(tmp_path, "generic")
    server.receive(Delivery({}, b"{}"))
    assert listed(server)
    server.database.close()


def test_what_somebody_held_until_it_is_let_go(server):
    """It says why, is no failure for the forge, and begins when it is looked at again."""
    with server.database.write() as tx:
        project = tx.projects.get(PROJECT).id
        tx.holds.put(project, HoldRow(PROJECT, "build", "ann", 0.0, "the database moves"))
    receipt = server.receive(Push())
    assert listed(server)
    held = server.get(receipt)
    (told,) = [each for each in held.result["events"][0]["pipelines"] if each["pipeline"] == "build"]
    why = "build is held by ann since 1970-01-01 00:00 UTC: the database moves"
    assert (held.state, told) == ("ignored", {"pipeline": "build", "why": why, "held": True})
    with server.database.write() as tx:
        tx.holds.remove(project, "build")
    server.deliveries.again(Actor("ann"), PROJECT, receipt.id)
    assert not listed(server)
    assert server.get(receipt).state == "done"
    assert server.starter.started() == ["build"]


def test_what_is_held_keeps_nothing_else_from_beginning(server):
    server.starter.script.files = pipeline_file({"build": "push", "check": "push"})
    with server.database.write() as tx:
        tx.holds.put(tx.projects.get(PROJECT).id, HoldRow(PROJECT, "build", "ann", 0.0))
    server.receive(Push())
    assert not listed(server)
    assert server.starter.started() == ["check"]
