"""What follows a pipeline begins when it has ended: once, at the same commit, no more trusted than it was."""

import pytest
import structlog

from flowbuild.core.errors import InvalidRequest, WorkspaceError
from flowbuild.core.events import AttemptFinished
from flowbuild.core.sources import SourceEvent, SourceKind, Trust
from flowbuild.core.states import Outcome
from flowbuild.services.following import CLAIM, TRIES, FollowService
from flowbuild.services.notices import AFTER
from flowbuild.services.reactions import Reactions
from flowbuild.services.signals import Signals
from flowbuild.services.starter import Cause
from flowbuild.store.holds import HoldRow
from flowbuild.testing.databases import new_sqlite
from flowbuild.testing.triggers import Clock, StoringStarter, add_project, pipeline_file

PROJECT = "team/app"
EVENT = SourceEvent(SourceKind.PUSH, branch="main", commit="b" * 40, actor="ann")


@pytest.fixture(autouse=True)
def logs():
    """What is logged here; other tests leave a log behind whose file is closed."""
    with structlog.testing.capture_logs() as captured:
        yield captured


class Server:
    def __init__(self, path):
        self.database = new_sqlite(path / "flow.db")
        self.clock, self.signals = Clock(), Signals()
        add_project(self.database, PROJECT)
        self.starter = StoringStarter(self.database, self.signals, self.clock)
        self.starter.script.files = pipeline_file(
            {
                "build": "push",
                "deploy": "{after: build}",
                "report": "{after: {pipeline: build, outcome: [failed, errored]}}",
                "smoke": "{after: deploy}",
            }
        )
        self.service = self.another()

    def another(self):
        return FollowService(database=self.database, reactions=Reactions(self.starter), clock=self.clock)

    def begin(self, **event):
        self.clock.pass_(1)
        return self.starter.start(
            PROJECT, "build", SourceEvent(**{name: getattr(EVENT, name) for name in ("kind", "branch", "commit")}, **event),
            {}, Cause(f"key {self.clock()}"),
        )  # fmt: skip

    def end(self, run, outcome=Outcome.SUCCEEDED):
        self.clock.pass_(1)
        self.starter.decisions.apply(run, AttemptFinished("a", 1, 1, outcome))

    def newest(self):
        with self.database.read() as tx:
            return tx.runs.newest(PROJECT, 1)[0]


@pytest.fixture
def server(tmp_path):
    made = Server(tmp_path)
    yield made
    made.database.close()


@pytest.mark.parametrize(
    ("outcome", "following"),
    [
        (Outcome.SUCCEEDED, ["deploy"]),
        (Outcome.FAILED, ["report"]),
        (Outcome.ERRORED, ["report"]),
        (Outcome.CANCELLED, []),
    ],
)
def test_what_waits_for_that_end(server, outcome, following):
    run = server.begin()
    assert server.service.run_due() is None
    server.end(run, outcome)
    assert server.service.run_due() is None
    assert server.starter.started() == ["build", *following]


def test_a_chain_at_one_commit(server):
    server.end(server.begin())
    server.service.run_due()
    deploy = server.newest()
    assert (deploy.run.context.commit, deploy.run.context.branch, deploy.run.context.event) == (
        "b" * 40,
        "main",
        "after",
    )
    server.end(deploy.run.id)
    server.service.run_due()
    assert server.starter.started() == ["build", "deploy", "smoke"]
    server.end(server.newest().run.id)
    assert server.service.run_due() is None
    assert len(server.starter.started()) == 3


def test_who_waits_is_woken_by_the_end(server):
    run = server.begin()
    token = server.signals.token(AFTER)
    server.end(run)
    assert server.signals.token(AFTER) != token


def test_it_is_no_more_trusted_than_what_it_follows(server):
    server.end(server.begin(trust=Trust.UNTRUSTED))
    server.service.run_due()
    assert server.starter.calls[-1][1].trust is Trust.UNTRUSTED
    server.end(server.begin(trust=Trust.TRUSTED))
    server.service.run_due()
    assert server.starter.calls[-1][1].trust is Trust.TRUSTED


def test_a_kill_makes_no_second_run(server):
    class Killed(BaseException):
        pass

    server.end(server.begin())
    begin = server.starter.start

    def start(*arguments):
        begin(*arguments)
        raise Killed

    server.starter.start = start
    with pytest.raises(Killed):
        server.service.run_due()
    server.starter.start, server.service = begin, server.another()
    server.clock.pass_(CLAIM)
    assert server.service.run_due() is None
    assert server.starter.started() == ["build", "deploy"]


def test_what_may_get_better_is_tried_again(server):
    server.end(server.begin())
    server.starter.script.failures = [WorkspaceError("away")] * 2
    for wait in (1, 2):
        assert server.service.run_due() == server.clock() + wait
        server.clock.pass_(wait)
    assert server.service.run_due() is None
    assert server.starter.started() == ["build", "deploy"]


@pytest.mark.parametrize(("error", "looks"), [(WorkspaceError("away"), TRIES), (InvalidRequest("no"), 1)])
def test_not_for_ever(server, error, looks, logs):
    server.end(server.begin())
    server.starter.script.failures = [error] * 20
    for _ in range(20):
        server.service.run_due()
        server.clock.pass_(61)
    assert len(logs) == looks
    assert server.service.run_due() is None


def test_what_somebody_holds_does_not_follow_and_is_not_tried_again(server):
    with server.database.write() as tx:
        tx.holds.put(tx.projects.get(PROJECT).id, HoldRow(PROJECT, "deploy", "ann", 1.0))
    server.end(server.begin())
    assert server.service.run_due() is None
    assert server.starter.started() == ["build"]
    with server.database.write() as tx:
        tx.holds.remove(tx.projects.get(PROJECT).id, "deploy")
    assert server.service.run_due() is None
    server.end(server.begin())
    server.service.run_due()
    assert server.starter.started() == ["build", "build", "deploy"]
