"""What follows from deliveries besides runs that begin: approvals, cancelled runs, and what the forge is told of it."""

from dataclasses import replace

import pytest
import structlog

from flowbuild.core.errors import ForgeError, NotFound
from flowbuild.core.events import AttemptFinished, AttemptStarted
from flowbuild.core.project import ProjectSettings
from flowbuild.core.sources import SourceEvent, SourceKind, Trust
from flowbuild.core.states import Outcome, Reason, RunState
from flowbuild.forges.client import StatusState
from flowbuild.services.audit import Actor
from flowbuild.services.following import FollowService
from flowbuild.services.hooks import HookChange
from flowbuild.services.notices import STATUS
from flowbuild.services.reactions import Reactions
from flowbuild.services.statuses import StatusService
from flowbuild.spec.findings import InvalidFile
from flowbuild.testing.payloads import Delivery, Push, Request
from flowbuild.testing.receiving import HOOK, PROJECT, Receiving
from flowbuild.testing.triggers import pipeline_file

ANN = Actor("ann")
OURS = Request("opened")
FORK = Request("opened", source="mallory/app")
BROKEN = {".flow.yml": "pipelines:\n  build:\n    on: push\n    steps: {a: {success: [b], compose: {}}}\n"}


@pytest.fixture(autouse=True)
def logs():
    """What is logged here; other tests leave a log behind whose file is closed."""
    with structlog.testing.capture_logs() as captured:
        yield captured


@pytest.fixture
def server(tmp_path):
    made = Receiving(tmp_path, token="a token of the forge")
    yield made
    made.database.close()


def told(server):
    """Return the statuses that are to be told now, as if the forge took them: context, state, words, link."""
    service = StatusService(
        database=server.database, hooks=server.hooks, link=lambda row: f"run {row.number}", clock=server.clock
    )
    found = []
    while tellings := service.due()[0]:
        for telling in tellings:
            service.told(telling)
            found.append(telling.status)
    return sorted((each.context, str(each.state), each.description, each.url) for each in found)


def states(server):
    with server.database.read() as tx:
        return [
            (run.run.pipeline.name, run.run.state, run.run.cancel_reason)
            for run in sorted(tx.runs.newest(PROJECT, 100), key=lambda run: run.number)
        ]


class TestBrokenFile:
    def test_the_forge_is_told_the_first_finding(self, server):
        server.starter.script.files = BROKEN
        receipt = server.receive(Push())
        server.work()
        row = server.get(receipt)
        (event,) = row.result["events"]
        first = event["findings"][0]
        assert (row.state, event["problem"]) == (
            "ignored",
            f"the pipeline cannot be used: {len(event['findings'])} errors",
        )
        assert (first["file"], first["line"]) == (".flow.yml", 4)
        (status,) = told(server)
        assert status[:2] == ("flow", "failed")
        assert status[2] == f".flow.yml:4:{first['column']}: {first['message']}"
        assert status[3] == f"https://flow/{PROJECT}/{receipt.id}"
        assert told(server) == []

    def test_once_it_can_be_used_that_is_told_too(self, server):
        server.starter.script.files = BROKEN
        receipt = server.receive(Push())
        server.work()
        server.starter.script.files = pipeline_file({"build": "push"})
        server.deliveries.again(ANN, PROJECT, receipt.id)
        server.work()
        assert [status[:2] for status in told(server)] == [("flow", "succeeded"), ("flow/build", "running")]

    def test_a_pipeline_that_cannot_begin(self, server):
        server.starter.script.files = pipeline_file({"build": "push"})
        server.starter.start = lambda *_: (_ for _ in ()).throw(NotFound("it is gone"))
        server.receive(Push())
        server.work()
        assert [status[:3] for status in told(server)] == [("flow", "failed", "build: it is gone")]

    def test_of_a_commit_that_is_gone_nothing_is_told(self, server):
        server.starter.script.failures = [NotFound("the commit is not there")]
        server.receive(Push())
        server.work()
        assert told(server) == []

    def test_what_the_forge_does_not_take_is_not_kept(self, server):
        server.starter.script.files = BROKEN
        server.receive(Push())
        server.work()
        service = StatusService(
            database=server.database, hooks=server.hooks, link=lambda _row: "https://flow", clock=server.clock
        )
        (telling,), _ = service.due()
        service.failed(telling, ForgeError("no", lasting=True))
        assert service.due() == ([], None)
        with server.database.read() as tx:
            assert tx.notices.due(STATUS, server.clock() + 1e9, 10) == []

    def test_without_a_token_nobody_is_told(self, server):
        server.hooks.change(ANN, PROJECT, HOOK, HookChange(token=""))
        server.starter.script.files = BROKEN
        server.receive(Push())
        server.work()
        assert told(server) == []


class TestApproval:
    def test_the_forge_is_told_that_it_waits_and_that_it_was_approved(self, server):
        receipt = server.receive(FORK)
        server.work()
        assert [status[:2] for status in told(server)] == [("flow", "waiting")]
        server.deliveries.approve(ANN, PROJECT, receipt.id, "c" * 40)
        server.work()
        assert [status[:3] for status in told(server)] == [
            ("flow", "succeeded", "approved by ann"),
            ("flow/check", "running", "run 1 is running"),
        ]

    def test_news_that_were_not_told_yet_give_way_to_newer_ones(self, server):
        receipt = server.receive(FORK)
        server.work()
        server.deliveries.approve(ANN, PROJECT, receipt.id, "c" * 40)
        server.work()
        assert {status[1] for status in told(server)} == {"succeeded", "running"}

    def test_also_while_the_older_ones_are_being_told(self, server):
        service = StatusService(
            database=server.database, hooks=server.hooks, link=lambda _row: "https://flow", clock=server.clock
        )
        receipt = server.receive(FORK)
        server.work()
        (waiting,), _ = service.due()
        server.clock.pass_(1)
        server.deliveries.approve(ANN, PROJECT, receipt.id, "c" * 40)
        server.work()
        assert {telling.status.context for telling in service.due()[0]} == {"flow/check"}
        service.told(waiting)
        assert [telling.status.state for telling in service.due()[0]] == [StatusState.SUCCEEDED]

    def test_a_generic_webhook_that_names_a_commit_of_no_branch_waits(self, tmp_path):
        server = Receiving(tmp_path, "generic", mapping={"commit": "sha"})
        server.starter.script.files = pipeline_file({"night": f"{{webhook: {HOOK}}}"})
        server.starter.script.strangers = frozenset({"e" * 40})
        body = b'{"sha": "%s"}'
        known, stranger = (server.receive(Delivery({}, body % (letter * 40))) for letter in (b"d", b"e"))
        server.work()
        assert [server.get(each).state for each in (known, stranger)] == ["done", "waiting"]
        assert server.get(stranger).result["commit"] == "e" * 40
        server.deliveries.approve(ANN, PROJECT, stranger.id, "e" * 40)
        server.work()
        with server.database.read() as tx:
            trusts = {row.number: row.trust for row in tx.runs.newest(PROJECT, 10)}
        assert trusts == {1: Trust.INTERNAL, 2: Trust.UNTRUSTED}
        server.database.close()

    def test_a_push_that_was_pushed_away_starts_nothing(self, server):
        server.starter.script.strangers = frozenset({"b" * 40})
        receipt = server.receive(Push())
        server.work()
        row = server.get(receipt)
        assert (row.state, row.result["events"][0]["why"]) == ("ignored", "the commit is on no branch any more")
        assert server.starter.started() == []


class TestSkip:
    @pytest.mark.parametrize("message", ["Draft [skip ci]", "Work"])
    def test_a_pull_request_whose_commit_asks_for_no_runs_has_none(self, server, message):
        server.starter.script.messages = {"c" * 40: message}
        receipt = server.receive(OURS)
        server.work()
        (event,) = server.get(receipt).result["events"]
        assert server.starter.started() == ([] if "skip" in message else ["check"])
        assert ("its commit message asks for no runs" in str(event)) is ("skip" in message)


def test_the_default_branch_is_looked_up_after_the_fetch(server):
    happened = []
    pipelines = server.starter.pipelines
    server.starter.pipelines = lambda *arguments: (happened.append("fetched"), pipelines(*arguments))[1]
    reactions = Reactions(server.starter, lambda _project, branch: happened.append(branch))
    push = SourceEvent(SourceKind.PUSH, branch="trunk", commit="b" * 40)
    reactions.judge(PROJECT, push)
    server.starter.script.files = BROKEN
    with pytest.raises(InvalidFile):
        reactions.judge(PROJECT, push)
    reactions.judge(PROJECT, replace(push, skip=True))
    assert happened == ["fetched", "trunk", "fetched", "trunk", "trunk"]


class TestClosed:
    def test_its_runs_are_cancelled(self, server):
        server.starter.script.files = pipeline_file({"check": "pull_request", "build": "push"})
        for what in (OURS, replace(OURS, number=8), Push()):
            server.receive(what)
        server.work()
        receipt = server.receive(replace(OURS, action="closed"))
        server.work()
        running = (RunState.RUNNING, None)
        assert [state[1:] for state in states(server)] == [(RunState.CANCELLED, Reason.WITHDRAWN), running, running]
        row = server.get(receipt)
        assert row.state == "done"
        assert row.result["events"][0]["why"] == "the pull request was closed"
        assert len(row.result["events"][0]["cancelled"]) == 1

    def test_unless_the_project_wants_them_to_go_on(self, server):
        with server.database.write() as tx:
            row = tx.projects.get(PROJECT)
            tx.projects.save(replace(row, settings=ProjectSettings(cancel_closed=False)))
        server.receive(OURS)
        receipt = server.receive(replace(OURS, action="closed"))
        server.work()
        assert [state[1] for state in states(server)] == [RunState.RUNNING]
        assert server.get(receipt).state == "ignored"

    def test_those_that_follow_them_are_cancelled_too(self, server):
        server.starter.script.files = pipeline_file({"check": "pull_request", "then": "{after: check}"})
        server.receive(OURS)
        server.work()
        with server.database.read() as tx:
            (line,) = tx.runs.open_lines(PROJECT)
        server.starter.decisions.apply(
            line.id, AttemptStarted("a", 1, 1), AttemptFinished("a", 1, 1, Outcome.SUCCEEDED)
        )
        reactions = Reactions(server.starter)
        FollowService(database=server.database, reactions=reactions, clock=server.clock).run_due()
        assert server.starter.started() == ["check", "then"]
        server.receive(replace(OURS, action="closed"))
        server.work()
        assert [state[:2] for state in states(server)] == [
            ("check", RunState.SUCCEEDED),
            ("then", RunState.CANCELLED),
        ]

    def test_a_number_at_another_forge_is_another_pull_request(self, server):
        server.receive(OURS)
        _, secret = server.hooks.add(ANN, PROJECT, "github", "mirror", HookChange())
        from_mirror = replace(OURS, action="closed")
        sent = server.signed(from_mirror, secret)
        server.deliveries.receive(PROJECT, "mirror", sent.headers, sent.body)
        server.work()
        assert [state[1] for state in states(server)] == [RunState.RUNNING]
