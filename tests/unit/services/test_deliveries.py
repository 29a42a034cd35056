"""Deliveries: stored before they are acknowledged, and each of them turned into runs exactly once."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import structlog

from flowbuild.core.errors import Conflict, InvalidRequest, NotFound, Unauthenticated, WorkspaceError
from flowbuild.core.sources import SourceKind
from flowbuild.services.audit import Actor
from flowbuild.services.consequences import APPROVAL
from flowbuild.services.deliveries import INTAKE, MAX_BODY, Sent
from flowbuild.services.hooks import HookChange
from flowbuild.services.intake import CLAIM, TRIES
from flowbuild.store.database import Database
from flowbuild.testing.payloads import FORGES, ZERO, Delivery, Push, Request
from flowbuild.testing.receiving import HOOK, PROJECT, Receiving
from flowbuild.testing.triggers import consequences_of, pipeline_file

ANN = Actor("ann")
FORK = Request("opened", source="mallory/app")


@pytest.fixture(autouse=True)
def logs():
    """What is logged here; other tests leave a log behind whose file is closed."""
    with structlog.testing.capture_logs() as captured:
        yield captured


@pytest.fixture
def server(tmp_path):
    made = Receiving(tmp_path)
    yield made
    made.database.close()


@pytest.mark.parametrize("kind", FORGES)
def test_a_push_begins_the_pipelines_that_want_it(tmp_path, kind):
    server = Receiving(tmp_path, kind)
    receipt = server.receive(Push())
    assert (receipt.duplicate, receipt.note) == (False, "")
    assert server.starter.started() == []
    assert server.work() == 1
    assert server.starter.started() == ["build"]
    row = server.get(receipt)
    assert (row.state, row.event != "", row.project, row.hook_name) == ("done", True, PROJECT, HOOK)
    (event,) = row.result["events"]
    assert (event["branch"], event["commit"], event["title"]) == ("main", "b" * 40, "Make it work")
    runs = {each["pipeline"]: each.get("run") for each in event["pipelines"]}
    assert runs["build"]
    assert runs["release"] is runs["check"] is None
    assert all(each["why"] for each in event["pipelines"])
    server.database.close()


def test_what_is_kept_with_the_run(server):
    receipt = server.receive(Request("opened"))
    server.work()
    about = server.starter.causes[0].about
    assert about["delivery"] == receipt.id
    assert (about["hook"], about["forge"], about["pull_request"], about["actor"]) == (HOOK, "github", 7, "bob")


def test_a_delivery_is_stored_before_it_is_acknowledged(server):
    receipt = server.receive(Push())
    with Database(f"sqlite:///{server.database._engine.url.database}").read() as tx:
        row = tx.deliveries.get(receipt.id)
    assert json.loads(row.body)["ref"] == "refs/heads/main"
    assert row.headers["x-github-event"] == "push"
    assert server.intake.pending() == {PROJECT: row.next_at}


@pytest.mark.parametrize("kind", FORGES)
def test_secrets_are_not_stored(tmp_path, kind):
    server = Receiving(tmp_path, kind)
    row = server.get(server.receive(Push()))
    assert row.headers
    assert server.secret not in json.dumps(dict(row.headers))
    server.database.close()


def test_who_waits_is_woken(server):
    token = server.signals.token(INTAKE)
    server.receive(Push())
    assert server.signals.token(INTAKE) != token


def test_a_forged_delivery_is_not_stored(server):
    with pytest.raises(Unauthenticated):
        server.receive(Push(), secret="another secret of some length")
    assert server.deliveries.page(PROJECT, None, 10) == []
    assert server.work() == 0


def test_a_duplicate_begins_nothing(server):
    first = server.receive(Push())
    assert server.receive(Push()) == replace(first, duplicate=True, note="this delivery was here before")
    server.work()
    assert server.receive(Push()).duplicate
    assert server.work() == 0
    assert server.starter.started() == ["build"]
    assert not server.receive(Push(after="e" * 40)).duplicate  # the control: another body


def test_many_replays_at_once_are_one(server):
    sent = FORGES["github"](Push()).signed("github", server.secret)
    with ThreadPoolExecutor(8) as pool:
        receipts = list(
            pool.map(lambda _: server.deliveries.receive(PROJECT, HOOK, sent.headers, sent.body), range(40))
        )
    assert len({receipt.id for receipt in receipts}) == 1
    assert sum(not receipt.duplicate for receipt in receipts) == 1


async def test_what_comes_at_once_has_an_answer_each(server):
    good = FORGES["github"](Push()).signed("github", server.secret)
    forged = FORGES["github"](Push(after="e" * 40)).signed("github", "another secret of some length")
    nonsense = Delivery({"x-github-event": "push"}, b"{}").signed("github", server.secret)
    others = [FORGES["github"](Push(after=f"{n:040x}")).signed("github", server.secret) for n in range(1, 20)]
    sent = [Sent(PROJECT, HOOK, each.headers, each.body) for each in (good, forged, nonsense, good, *others)]
    sent.append(Sent(PROJECT, "other", good.headers, good.body))
    answers = await asyncio.gather(*map(server.deliveries.take, sent), return_exceptions=True)
    first, second, third, fourth, *rest, last = answers
    assert [type(answer) for answer in (second, third, last)] == [Unauthenticated, InvalidRequest, Unauthenticated]
    assert fourth == replace(first, duplicate=True, note="this delivery was here before")
    assert len({receipt.id for receipt in (first, *rest)}) == 20
    stored = await asyncio.to_thread(server.deliveries.page, PROJECT, None, 50)
    assert {row.id for row in stored} == {receipt.id for receipt in (first, *rest)}


@pytest.mark.parametrize(("project", "hook"), [("team/other", HOOK), (PROJECT, "other"), ("", "")])
def test_a_webhook_that_is_none(server, project, hook):
    sent = server.signed(Push(), server.secret)
    with pytest.raises(Unauthenticated, match="missing or wrong"):  # names of projects are nothing for strangers
        server.deliveries.receive(project, hook, sent.headers, sent.body)


def test_the_size_of_a_body_has_a_limit(server):
    with pytest.raises(InvalidRequest, match="MiB"):
        server.receive(Delivery({"x-github-event": "ping"}, b"x" * (MAX_BODY + 1)))
    server.receive(Delivery({"x-github-event": "ping"}, b'"' + b"x" * (MAX_BODY - 2) + b'"'))


def test_a_signed_body_that_is_no_push_is_refused(server):
    with pytest.raises(InvalidRequest, match="ref"):
        server.receive(Delivery({"x-github-event": "push"}, b"{}"))
    assert server.deliveries.page(PROJECT, None, 10) == []


def test_a_ping_is_kept_and_starts_nothing(server):
    receipt = server.receive(Delivery({"x-github-event": "ping"}, b'{"zen": "x"}'))
    assert "ping" in receipt.note
    assert server.get(receipt).state == "ignored"
    assert server.work() == 0


def test_deliveries_of_a_project_are_looked_at_in_order(server):
    commits = [f"{number:040x}" for number in range(1, 6)]
    for commit in commits:
        server.receive(Push(after=commit))
    assert server.work() == 5
    assert [event.commit for _, event, _ in server.starter.calls] == commits


def test_a_branch_that_is_gone_starts_nothing_and_asks_for_nothing(server):
    server.starter.script.failures = [NotFound("the commit is not there")]
    receipt = server.receive(Push(after=ZERO))
    server.work()
    assert (server.get(receipt).state, server.starter.started()) == ("ignored", [])


class TestTrouble:
    AWAY = WorkspaceError("the remote does not answer")

    def test_what_may_get_better_is_tried_again(self, server):
        server.starter.script.failures = [self.AWAY]
        first, second = server.receive(Push()), server.receive(Push(after="e" * 40))
        assert server.work() == 1
        assert server.get(first).result == {"problem": "the remote does not answer"}
        assert server.starter.started() == []  # nor does the second one overtake it
        server.clock.pass_(0.9)
        assert server.work() == 0
        assert server.intake.pending()[PROJECT] > server.clock()
        server.clock.pass_(0.2)
        assert server.work() == 2
        assert [server.get(each).state for each in (first, second)] == ["done", "done"]
        assert [event.commit[0] for _, event, _ in server.starter.calls] == ["b", "e"]

    def test_not_for_ever(self, server):
        server.starter.script.failures = [self.AWAY] * 20
        receipt = server.receive(Push())
        looked = 0
        for _ in range(50):
            looked += server.work()
            server.clock.pass_(61)
        assert looked == TRIES
        assert (server.get(receipt).state, server.intake.pending()) == ("failed", {})
        server.starter.script.failures = []
        server.deliveries.again(ANN, PROJECT, receipt.id)
        assert server.work() == 1
        assert server.get(receipt).state == "done"

    def test_a_file_with_mistakes_is_told(self, server):
        server.starter.script.failures = [InvalidRequest("the pipeline cannot be used: 2 errors")]
        receipt = server.receive(Push())
        server.work()
        row = server.get(receipt)
        assert row.state == "ignored"
        assert row.result["events"][0]["problem"] == "the pipeline cannot be used: 2 errors"

    def test_one_pipeline_that_cannot_begin_does_not_hold_back_another(self, server):
        server.starter.script.files = pipeline_file({"needy": "push", "build": "push"})
        server.starter.script.failures = []
        begin = server.starter.start

        def start(project, pipeline, event, inputs, cause):
            if pipeline == "needy":
                raise InvalidRequest("the input target is required")
            return begin(project, pipeline, event, inputs, cause)

        server.starter.start = start
        receipt = server.receive(Push())
        server.work()
        needy, build = server.get(receipt).result["events"][0]["pipelines"]
        assert (needy["problem"], "run" in needy) == ("the input target is required", False)
        assert build["run"]
        assert server.starter.started() == ["build"]

    def test_a_mistake_of_ours_stops_nobody_else(self, server, logs):
        server.starter.script.failures = [RuntimeError("a bug")] * TRIES
        first, second = server.receive(Push()), server.receive(Push(after="e" * 40))
        for _ in range(TRIES + 1):
            server.work()
            server.clock.pass_(61)
        assert [server.get(each).state for each in (first, second)] == ["failed", "done"]
        assert "a bug" not in json.dumps(dict(server.get(first).result))
        assert [log["tries"] for log in logs] == list(range(1, TRIES + 1))


class TestCrash:
    class Killed(BaseException):
        pass

    @pytest.mark.parametrize("begun", [0, 1, 2])
    def test_a_kill_after_any_number_of_runs_makes_no_second_one(self, server, begun):
        server.starter.script.files = pipeline_file({"one": "push", "two": "push", "other": "tag"})
        begin, killed = server.starter.start, self.Killed

        def start(*arguments):
            if len(server.starter.calls) == begun:
                raise killed
            return begin(*arguments)

        receipt = server.receive(Push())
        if begun < 2:
            server.starter.start = start
            with pytest.raises(killed):
                server.work()
            server.starter.start = begin
        else:  # killed between the last run and the note that the delivery is done
            look = server.consequences.of

            def looked(*arguments):
                look(*arguments)
                raise killed

            server.consequences.of = looked
            with pytest.raises(killed):
                server.work()
        server.intake = server.another_intake()
        assert server.work() == 0  # somebody else may still be at it
        server.clock.pass_(CLAIM)
        assert server.work() == 1
        assert server.starter.started() == ["one", "two"]
        assert server.get(receipt).state == "done"
        told = server.get(receipt).result["events"][0]["pipelines"]
        assert [bool(each.get("run")) for each in told] == [True, True, False]

    def test_two_servers_at_once_begin_one_run(self, server):
        server.receive(Push())
        others = [server.another_intake() for _ in range(4)]
        with ThreadPoolExecutor(4) as pool:
            looked = list(pool.map(lambda intake: intake.work(PROJECT), others))
        assert sum(looked) == 1
        assert server.starter.started() == ["build"]

    def test_even_when_both_think_it_is_theirs(self, server):
        receipt = server.receive(Push())
        with server.database.read() as tx:
            row, hook = tx.deliveries.get(receipt.id), tx.hooks.find(PROJECT, HOOK)
        results = [consequences_of(server.database, server.starter, server.clock).of(row, hook) for _ in range(2)]
        assert results[0].result == results[1].result
        assert server.starter.started() == ["build"]


class TestForks:
    def test_what_comes_from_outside_waits_for_approval(self, server):
        receipt = server.receive(FORK)
        server.work()
        row = server.get(receipt)
        assert (row.state, row.result["commit"], row.result["pull_request"]) == ("waiting", "c" * 40, 7)
        assert [each["starts"] for each in row.result["events"][0]["pipelines"]] == [False, False, True]
        assert server.starter.started() == []

    def test_the_control_a_branch_of_the_repository_does_not_wait(self, server):
        server.receive(replace(FORK, source="team/app"))
        server.work()
        assert server.starter.started() == ["check"]

    def test_approval_is_for_the_commit_that_was_looked_at(self, server):
        receipt = server.receive(FORK)
        server.work()
        with pytest.raises(Conflict, match="another commit"):
            server.deliveries.approve(ANN, PROJECT, receipt.id, "d" * 40)
        server.deliveries.approve(ANN, PROJECT, receipt.id, "c" * 40)
        server.work()
        assert server.starter.started() == ["check"]
        assert server.starter.causes[0].about["approved_by"] == "ann"
        assert server.starter.calls[0][1].pull_request.fork
        row = server.get(receipt)
        assert (row.state, row.approved_by) == ("done", "ann")

    def test_it_is_used_once(self, server):
        receipt = server.receive(FORK)
        server.work()
        server.deliveries.approve(ANN, PROJECT, receipt.id, "c" * 40)
        with pytest.raises(Conflict, match="does not wait"):
            server.deliveries.approve(ANN, PROJECT, receipt.id, "c" * 40)
        server.work()
        again = server.receive(replace(FORK, action="reopened"))  # the same commit, told again
        server.work()
        assert server.get(again).state == "waiting"
        assert server.starter.started() == ["check"]

    def test_what_is_pushed_after_the_approval_waits_anew(self, server):
        first = server.receive(FORK)
        server.work()
        second = server.receive(replace(FORK, action="synchronize", commit="e" * 40))
        server.work()
        assert [server.get(each).state for each in (first, second)] == ["ignored", "waiting"]
        with pytest.raises(Conflict, match="does not wait"):
            server.deliveries.approve(ANN, PROJECT, first.id, "c" * 40)

    def test_a_pull_request_that_is_closed_does_not_wait(self, server):
        first = server.receive(FORK)
        server.work()
        server.receive(replace(FORK, action="closed"))
        server.work()
        assert server.get(first).state == "ignored"

    def test_another_pull_request_waits_on(self, server):
        first = server.receive(FORK)
        server.receive(replace(FORK, number=8))
        server.work()
        assert server.get(first).state == "waiting"

    def test_an_approval_does_not_last(self, server):
        receipt = server.receive(FORK)
        server.work()
        server.deliveries.approve(ANN, PROJECT, receipt.id, "c" * 40)
        server.clock.pass_(APPROVAL + 1)  # the server was off for a day
        server.work()
        assert server.get(receipt).state == "waiting"
        assert server.starter.started() == []

    def test_nobody_is_asked_when_nothing_would_start(self, server):
        server.starter.script.files = pipeline_file({"build": "push"})
        receipt = server.receive(FORK)
        server.work()
        assert server.get(receipt).state == "ignored"

    def test_the_author_of_a_branch_name_cannot_pass_for_one_of_ours(self, server):
        receipt = server.receive(replace(FORK, head="main"))
        server.work()
        assert server.get(receipt).result["events"][0]["branch"] == "mallory:main"


class TestGeneric:
    @pytest.fixture
    def server(self, tmp_path):
        made = Receiving(tmp_path, "generic")
        made.starter.script.files = pipeline_file(
            {"night": f"{{webhook: {HOOK}}}", "other": "{webhook: other}"}, ", inputs: {target: {default: qa}}"
        )
        yield made
        made.database.close()

    def test_fields_become_inputs(self, server):
        receipt = server.receive(Delivery({}, b'{"target": "prod", "unknown": 1}'))
        server.work()
        assert [(name, inputs) for name, _, inputs in server.starter.calls] == [("night", {"target": "prod"})]
        assert server.starter.calls[0][1].kind is SourceKind.WEBHOOK
        assert server.get(receipt).state == "done"

    def test_the_same_body_twice_is_two_runs(self, server):
        server.receive(Delivery({}, b"{}"))
        server.receive(Delivery({}, b"{}"))
        server.work()
        assert server.starter.started() == ["night", "night"]

    def test_unless_the_sender_says_it_is_the_same(self, server):
        assert not server.receive(Delivery({"idempotency-key": "1"}, b"{}")).duplicate
        assert server.receive(Delivery({"idempotency-key": "1"}, b"{}")).duplicate

    def test_a_mapping(self, server):
        server.hooks.change(ANN, PROJECT, HOOK, HookChange(mapping={"inputs": {"target": "to.0"}, "branch": "ref"}))
        server.receive(Delivery({}, b'{"to": ["qa"], "ref": "refs/heads/next"}'))
        server.work()
        _, event, inputs = server.starter.calls[0]
        assert (event.branch, inputs) == ("next", {"target": "qa"})


def test_the_list_is_paged_without_bodies(server):
    receipts = [server.receive(Push(after=f"{number:040x}")) for number in range(1, 8)]
    first = server.deliveries.page(PROJECT, None, 3)
    second = server.deliveries.page(PROJECT, first[-1].id, 10)
    assert [row.id for row in (*first, *second)] == [receipt.id for receipt in reversed(receipts)]
    assert {row.body for row in first} == {b""}
    assert server.deliveries.page("team/other", None, 10) == []
    with pytest.raises(NotFound):
        server.deliveries.get("team/other", receipts[0].id)


def test_old_bodies_are_dropped_but_known(server):
    old, waits = server.receive(Push()), server.receive(FORK)
    server.work()
    server.clock.pass_(100)
    new = server.receive(Push(after="e" * 40))
    server.work()
    with server.database.write() as tx:
        tx.deliveries.forget(server.clock() - 50)
    assert [bool(server.get(each).body) for each in (old, waits, new)] == [False, True, True]
    assert server.receive(Push()).duplicate
    with pytest.raises(Conflict):
        server.deliveries.again(ANN, PROJECT, old.id)
