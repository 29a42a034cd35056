"""Remotes without webhooks: what changed since the last look begins runs, once."""

from dataclasses import replace

import pytest
import structlog

from flowbuild.core.errors import WorkspaceError
from flowbuild.core.project import ProjectSettings
from flowbuild.services.missed import Missed
from flowbuild.services.polling import LEAST, PollService
from flowbuild.services.reactions import Reactions
from flowbuild.services.signals import Signals
from flowbuild.testing.databases import new_sqlite
from flowbuild.testing.triggers import Clock, StoringStarter, add_project, pipeline_file

PROJECT = "team/app"
MAIN, TOPIC, TAG = "refs/heads/main", "refs/heads/topic", "refs/tags/v1"
A, B, C = "a" * 40, "b" * 40, "c" * 40


@pytest.fixture(autouse=True)
def logs():
    """What is logged here; other tests leave a log behind whose file is closed."""
    with structlog.testing.capture_logs() as captured:
        yield captured


class Server:
    def __init__(self, path):
        self.database = new_sqlite(path / "flow.db")
        self.clock, self.refs, self.asked, self.moved, self.messages = Clock(), {MAIN: A}, [], [], {}
        add_project(self.database, PROJECT)
        self.configure(30.0)
        self.starter = StoringStarter(self.database, Signals(), self.clock)
        self.starter.script.files = pipeline_file({"build": "push", "release": "tag"})
        self.service = self.another()

    def configure(self, poll):
        with self.database.write() as tx:
            tx.projects.save(replace(tx.projects.get(PROJECT), settings=ProjectSettings(poll=poll)))

    def another(self):
        reactions = Reactions(self.starter, lambda project, branch: self.moved.append((project, branch)))
        return PollService(
            database=self.database,
            refs=self.ask,
            message=lambda _project, commit: self.messages.get(commit, ""),
            requests=lambda _hook: [],
            missed=Missed(self.database, Signals(), self.clock),
            reactions=reactions,
            clock=self.clock,
        )

    def ask(self, project):
        self.asked.append(project)
        if isinstance(self.refs, Exception):
            raise self.refs
        return self.refs

    def run_due(self):
        """Look at what is due, as the loop does it; return when to look next."""
        for name, at in self.service.due().items():
            if at <= self.clock():
                self.service.look(name)
        return self.service.due().get(PROJECT)

    def look(self, refs=None):
        """Let time pass until the next look, at which the remote has these refs; return what began."""
        self.refs = self.refs if refs is None else refs
        before = len(self.starter.calls)
        self.clock.pass_(31)
        self.run_due()
        return [
            (name, event.branch or event.tag, event.before[:1], event.commit[:1])
            for name, event, _ in self.starter.calls[before:]
        ]


@pytest.fixture
def server(tmp_path):
    made = Server(tmp_path)
    yield made
    made.database.close()


def test_what_was_always_there_begins_nothing(server):
    assert server.look({MAIN: A, TOPIC: B, TAG: C}) == []
    assert server.look() == []
    assert server.asked == [PROJECT] * 2


def test_what_changed_begins_runs(server):
    server.look()
    assert server.look({MAIN: B}) == [("build", "main", "a", "b")]
    assert server.look({MAIN: B, TOPIC: A, TAG: C}) == [("build", "topic", "", "a"), ("release", "v1", "", "c")]
    assert server.look() == []
    assert server.look({MAIN: B}) == []  # they are gone
    assert server.moved == [(PROJECT, "main"), (PROJECT, "topic")]


def test_back_and_forth_is_each_time_something_new(server):
    server.look()
    for commit in (B, A, B, A):
        assert len(server.look({MAIN: commit})) == 1
    for _ in range(2):
        assert len(server.look({MAIN: A, TOPIC: B})) == 1
        assert server.look({MAIN: A}) == []


def test_other_refs_do_not_count(server):
    server.look()
    assert server.look({MAIN: A, "refs/pull/1/head": B, "refs/notes/x": C}) == []


def test_a_commit_that_asks_for_no_runs_has_none(server):
    server.look()
    server.messages[B] = "Change [skip ci]"
    assert server.look({MAIN: B}) == []
    assert server.look({MAIN: C}) == [("build", "main", "b", "c")]


def test_each_as_often_as_it_wants(server):
    server.run_due()
    assert server.run_due() == server.clock() + 30
    assert len(server.asked) == 1
    server.clock.pass_(30)
    server.configure(0.001)
    assert server.run_due() == server.clock() + LEAST
    server.configure(None)
    assert server.run_due() is None
    assert len(server.asked) == 2


def test_a_remote_that_is_away_loses_nothing(server, logs):
    server.look()
    assert server.look(WorkspaceError("away")) == []
    assert logs[0]["event"] == "poll_failed"
    assert server.look({MAIN: B}) == [("build", "main", "a", "b")]


def test_what_could_not_begin_begins_at_the_next_look(server):
    server.look()
    server.starter.script.failures = [WorkspaceError("disk full")]
    assert server.look({MAIN: B}) == []
    assert server.look() == [("build", "main", "a", "b")]


def test_a_kill_makes_no_second_run(server):
    class Killed(BaseException):
        pass

    server.look()
    begin = server.starter.start

    def start(*arguments):
        begin(*arguments)
        raise Killed

    server.starter.start = start
    with pytest.raises(Killed):
        server.look({MAIN: B})
    server.starter.start, server.service = begin, server.another()
    assert server.look() == []
    assert server.starter.started() == ["build"]
    assert server.look({MAIN: C}) == [("build", "main", "b", "c")]
