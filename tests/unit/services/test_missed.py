"""What no webhook told is found by a look at the remote, and never begins twice: whichever of the two comes first."""

from dataclasses import replace

import pytest
import structlog

from flowbuild.core.sources import PullRequestChange, SourceEvent, SourceKind
from flowbuild.core.states import RunState
from flowbuild.forges.payload import Payload
from flowbuild.forges.requests import LISTS
from flowbuild.services.audit import Actor
from flowbuild.services.hooks import HookChange
from flowbuild.services.missed import Missed, said
from flowbuild.services.polling import MISSED, PollService
from flowbuild.services.reactions import Reactions
from flowbuild.testing import payloads
from flowbuild.testing.payloads import ZERO, Push, Request
from flowbuild.testing.receiving import PROJECT, Receiving
from flowbuild.testing.triggers import pipeline_file

ANN = Actor("ann")
MAIN, TOPIC, TAG = "refs/heads/main", "refs/heads/topic", "refs/tags/v1"
A, B, C = "a" * 40, "b" * 40, "c" * 40


@pytest.fixture(autouse=True)
def logs():
    """What is logged here; other tests leave a log behind whose file is closed."""
    with structlog.testing.capture_logs() as captured:
        yield captured


class Server(Receiving):
    """A server that also looks at the remote, whose refs are `refs`, and asks the forge, whose requests are `requests`."""

    def __init__(self, path, **hook):
        super().__init__(path, **hook)
        self.refs, self.requests, self.messages, self.asked = {MAIN: A}, [], {}, []
        self.polls = self.another_life()

    def another_life(self):
        return PollService(
            database=self.database,
            refs=lambda _project: self.refs,
            message=lambda _project, commit: self.messages.get(commit, "a message"),
            requests=self.ask,
            missed=Missed(self.database, self.signals, self.clock),
            reactions=Reactions(self.starter),
            clock=self.clock,
        )

    def ask(self, hook):
        self.asked.append(hook.repository)
        if isinstance(self.requests, Exception):
            raise self.requests
        listed = [Payload(payloads.listed("github", request)) for request in self.requests]
        return [LISTS["github"].read(request, hook.repository) for request in listed]

    def look(self):
        """Look at the remote as the next life of the server does, and deal with what waits; return what began."""
        before = len(self.starter.calls)
        self.clock.pass_(MISSED)
        self.polls.look(PROJECT)
        self.work()
        return sorted(
            (name, event.branch or event.tag, event.commit[:1]) for name, event, _ in self.starter.calls[before:]
        )

    def told(self, what):
        """Let a delivery come and be dealt with; return it and what began."""
        before = len(self.starter.calls)
        receipt = self.receive(what)
        self.work()
        began = [(name, event.branch or event.tag, event.commit[:1]) for name, event, _ in self.starter.calls[before:]]
        return self.get(receipt), began


@pytest.fixture
def server(tmp_path):
    made = Server(tmp_path, token="a token of the forge")
    made.look()
    yield made
    made.database.close()


def push(before, after, ref=MAIN, **more):
    return Push(ref, before, after, **more)


def test_what_was_missed_begins(server):
    server.refs = {MAIN: B, TOPIC: C, TAG: C}
    assert server.look() == [("build", "main", "b"), ("build", "topic", "c"), ("release", "v1", "c")]
    assert server.look() == []
    rows = server.deliveries.page(PROJECT, None, 10)
    assert [(row.event, row.state) for row in rows] == [("look", "done")] * 3
    cause = next(each.about for each in server.starter.causes if each.about.get("branch") == "main")
    assert (cause["commit"], cause["title"], cause["hook"]) == (B, "a message", "forge")


def test_what_was_told_does_not_begin_again(server):
    server.refs = {MAIN: B}
    assert server.told(push(A, B))[1] == [("build", "main", "b")]
    assert server.look() == []
    assert len(server.deliveries.page(PROJECT, None, 10)) == 1


def test_nor_when_it_was_told_while_somebody_looked(server):
    server.refs = {MAIN: B}
    server.clock.pass_(MISSED)
    server.receive(push(A, B))
    server.clock.pass_(1)
    server.polls.look(PROJECT)
    server.work()
    assert server.starter.started() == ["build"]
    look, told = server.deliveries.page(PROJECT, None, 10)
    assert (told.state, look.state, look.result["events"][0]["why"]) == (
        "done",
        "ignored",
        "a delivery has told it meanwhile",
    )


def test_what_was_found_does_not_begin_again_when_it_is_told_late(server):
    server.refs = {MAIN: B}
    assert server.look() == [("build", "main", "b")]
    row, began = server.told(push(A, B))
    assert (row.state, began) == ("ignored", [])
    assert "before it was told" in row.result["events"][0]["why"]
    assert server.look() == []
    # The control: the same commit, pushed and told once more, is another push.
    assert server.told(push(A, B, message="again"))[1] == [("build", "main", "b")]


def test_an_old_push_that_is_told_late_begins_and_nothing_else(server):
    server.refs = {MAIN: C}
    assert server.look() == [("build", "main", "c")]
    assert server.told(push(A, B))[1] == [("build", "main", "b")]
    assert server.look() == []
    assert server.told(push(B, C))[1] in ([], [("build", "main", "c")])


@pytest.mark.parametrize("commits", [(B, A, B), (B, C, A)])
def test_pushes_back_and_forth_are_as_many_runs(server, commits):
    server.refs = {MAIN: commits[-1]}
    before = A
    for commit in commits:
        server.receive(push(before, commit, message=f"now {commit}, before {before}, {server.clock()}"))
        before = commit
    server.work()
    assert len(server.starter.started()) == 3
    assert server.look() == []


def test_refs_that_no_delivery_could_name_are_left_alone(server):
    server.refs = {MAIN: A, "refs/heads/" + "x" * 600: B, "refs/pull/1/head": C}
    assert server.look() == []
    assert server.deliveries.page(PROJECT, None, 10) == []


def test_what_asks_for_no_runs_has_none(server):
    server.messages[B] = "Change\n\n[skip ci]"
    server.refs = {MAIN: B}
    assert server.look() == []
    assert server.look() == []
    (row,) = server.deliveries.page(PROJECT, None, 10)
    assert row.result["events"][0]["why"] == "its commit message asks for no runs"


def test_a_branch_that_is_gone_begins_nothing(server):
    server.refs = {}
    assert server.look() == []
    assert server.told(push(A, ZERO))[1] == []
    server.refs = {MAIN: A}
    assert server.look() == [("build", "main", "a")]


def test_a_kill_between_two_runs_makes_no_second_one(server):
    server.starter.script.files = pipeline_file({"one": "push", "two": "push"})
    begin = server.starter.start

    class Killed(BaseException):
        pass

    def start(*arguments):
        begin(*arguments)
        raise Killed

    server.starter.start, server.refs = start, {MAIN: B}
    with pytest.raises(Killed):
        server.look()
    server.starter.start, server.intake, server.polls = begin, server.another_intake(), server.another_life()
    assert server.look() == [("two", "main", "b")]
    assert server.look() == []


def test_two_servers_find_the_same_thing_once(server):
    server.refs = {MAIN: B}
    other = server.another_life()
    server.clock.pass_(MISSED)
    other.look(PROJECT)
    assert server.look() == [("build", "main", "b")]
    assert len(server.deliveries.page(PROJECT, None, 10)) == 1


def test_what_came_while_nobody_looked_was_always_there(server):
    server.hooks.remove(ANN, PROJECT, "forge")
    assert server.polls.due() == {}
    server.refs = {MAIN: B, TOPIC: C}
    server.hooks.add(ANN, PROJECT, "github", "forge", HookChange())
    assert list(server.polls.due()) == [PROJECT]
    assert server.look() == []
    server.refs = {MAIN: B, TOPIC: A}
    assert server.look() == [("build", "topic", "a")]


def test_projects_without_webhooks_of_forges_are_left_alone(tmp_path):
    server = Server(tmp_path, kind="generic")
    server.refs = {MAIN: B}
    assert server.polls.due() == {}
    server.database.close()


class TestRequests:
    ONE = Request("opened", number=1, commit=B)
    FORK = Request("opened", number=2, commit=C, source="mallory/app")

    def test_what_was_missed_begins_or_waits(self, server):
        server.requests = [self.ONE, self.FORK]
        assert server.look() == [("check", "topic", "b")]
        assert server.look() == []
        waiting, done = sorted(server.deliveries.page(PROJECT, None, 10), key=lambda row: row.state, reverse=True)
        assert (done.state, waiting.state, waiting.result["commit"]) == ("done", "waiting", C)
        server.deliveries.approve(ANN, PROJECT, waiting.id, C)
        server.work()
        assert server.starter.started() == ["check", "check"]
        assert server.look() == []

    def test_what_was_told_does_not_begin_again_and_the_other_way_round(self, server):
        server.requests = [self.ONE]
        assert len(server.told(self.ONE)[1]) == 1
        assert server.look() == []
        server.requests = [replace(self.ONE, commit=C)]
        assert server.look() == [("check", "topic", "c")]
        assert server.starter.calls[-1][1].pull_request.change is PullRequestChange.UPDATED
        row, began = server.told(replace(self.ONE, action="synchronize", commit=C))
        assert (row.state, began) == ("ignored", [])
        assert server.look() == []

    def test_one_that_was_closed_is_withdrawn(self, server):
        server.requests = [self.ONE]
        server.look()
        server.requests = []
        assert server.look() == []
        with server.database.read() as tx:
            (run,) = tx.runs.newest(PROJECT, 10)
        assert run.run.state is RunState.CANCELLED
        assert server.told(replace(self.ONE, action="closed"))[1] == []

    def test_the_forge_is_asked_for_the_repository_that_it_speaks_of(self, server):
        assert server.asked == ["team/app"]  # as the address of the project has it
        server.told(push(A, B, repository="moved/here"))
        server.refs = {MAIN: B}
        server.look()
        assert server.asked[-1] == "moved/here"

    def test_those_of_a_webhook_that_was_removed_are_forgotten(self, server):
        server.hooks.add(ANN, PROJECT, "github", "other", HookChange())
        server.requests = [self.ONE]
        server.look()
        server.hooks.remove(ANN, PROJECT, "forge")
        server.look()
        server.hooks.add(ANN, PROJECT, "github", "forge", HookChange(token="another"))
        server.requests = [self.ONE, self.FORK]
        assert server.look() == []  # they were always there
        assert len(server.deliveries.page(PROJECT, None, 10)) == 0  # those of the first one went with it

    def test_a_forge_that_does_not_answer_loses_nothing(self, server, logs):
        server.requests = RuntimeError("away")
        server.refs = {MAIN: B}
        assert server.look() == [("build", "main", "b")]
        assert logs[-1]["event"] == "poll_failed"
        server.requests = [self.ONE]
        assert server.look() == [("check", "topic", "b")]


def test_the_event_is_the_same_after_it_was_stored(server):
    event = SourceEvent(SourceKind.PUSH, branch="main", commit=B, title="\N{SNOWMAN}", inputs={"a": "b"})
    Missed(server.database, server.signals, server.clock).store(server.hooks.find(PROJECT, "forge"), MAIN, event, None)
    (row,) = server.deliveries.page(PROJECT, None, 1)
    assert said(server.deliveries.get(PROJECT, row.id), server.hooks.find(PROJECT, "forge")).events == (event,)
