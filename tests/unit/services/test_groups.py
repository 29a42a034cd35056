"""Concurrency groups: who goes, who waits, who makes room."""

from random import Random

import pytest

from flowbuild.core.errors import InvalidRequest
from flowbuild.core.events import AttemptFinished, AttemptStarted, CancelRequested
from flowbuild.core.machine import create_run
from flowbuild.core.model import Concurrency
from flowbuild.core.run import RunContext
from flowbuild.core.states import Outcome, Reason, RunState
from flowbuild.orchestrator.effects import Effects
from flowbuild.services.binding import bind_group
from flowbuild.services.decisions import Decisions
from flowbuild.services.ids import new_run_id
from flowbuild.services.signals import Signals
from flowbuild.store.runs import RunRow
from flowbuild.testing.claiming import claim_oldest
from flowbuild.testing.databases import new_sqlite
from flowbuild.testing.graphs import make_pipeline
from flowbuild.testing.store_suite import COMMIT
from flowbuild.testing.triggers import Clock


class Server:
    def __init__(self, path):
        self.database = new_sqlite(path / "flow.db")
        self.clock, self.woken = Clock(), []
        self.decisions = Decisions(self.database, Signals(), self.clock, self.woken.append)

    def begin(self, group="g", *, limit=1, cancel=False, project="p"):
        self.clock.pass_(1)
        pipeline = make_pipeline("a", "", concurrency=Concurrency(group, limit, cancel) if group else None)
        context = RunContext("main")
        run = create_run(new_run_id(self.clock()), pipeline, context=context, initial_commit=COMMIT, now=self.clock())
        with self.database.write() as tx:
            row = RunRow(run, tx.runs.next_number(project), project, "me", "/s", dirty=False, repository="/r")
            tx.runs.add(row)
            self.decisions.begin_in(tx, run.id)
        self.decisions.announce(run.id, tx.topics, tx.others)
        self.settle()
        return run.id

    def settle(self):
        """Carry out what is in the outbox, as the orchestrator does; each effect twice, as it may."""
        effects = Effects(self.database, self.decisions, lambda _run: None)
        while pending := self.effects():
            for identifier, run, command in pending:
                for _ in range(2):
                    effects.carry_out(run, command)
                with self.database.write() as tx:
                    tx.outbox.done(identifier)

    def effects(self):
        with self.database.read() as tx:
            return tx.outbox.pending("me")

    def cancel(self, run):
        self.decisions.apply(run, CancelRequested("ann"))
        self.settle()

    def get(self, run):
        with self.database.read() as tx:
            return tx.runs.get(run).run

    def goes(self, *runs):
        return [self.get(run).started_at is not None and not self.get(run).state.final for run in runs]

    def end(self, run, outcome=Outcome.SUCCEEDED):
        self.decisions.apply(run, AttemptFinished("a", 1, 1, outcome))
        self.settle()

    def claim(self, run):
        """Let somebody work at the only step, so that a cancel has to wait for an answer."""
        with self.database.write() as tx:
            row = claim_oldest(tx, runner="r", owner="me", request_key=str(run), now=self.clock(), lease=60)
        assert row.key.run == run
        self.decisions.apply(run, AttemptStarted("a", 1, 1, "r"))


@pytest.fixture
def server(tmp_path):
    made = Server(tmp_path)
    yield made
    made.database.close()


def test_one_after_another(server):
    first, second, third = (server.begin() for _ in range(3))
    assert server.goes(first, second, third) == [True, False, False]
    server.end(first)
    assert server.goes(first, second, third) == [False, True, False]
    assert second in server.woken
    server.end(second, Outcome.FAILED)
    assert server.goes(third) == [True]


@pytest.mark.parametrize("limit", [2, 3])
def test_several_at_once(server, limit):
    runs = [server.begin(limit=limit) for _ in range(5)]
    assert server.goes(*runs) == [place < limit for place in range(5)]
    server.end(runs[1])
    assert server.goes(*runs) == [place <= limit and place != 1 for place in range(5)]


def test_groups_and_projects_do_not_disturb_each_other(server):
    runs = [server.begin("g"), server.begin("h"), server.begin("g", project="q"), server.begin(None)]
    assert server.goes(*runs) == [True] * 4


def test_a_run_that_waits_can_be_cancelled(server):
    first, second, third = (server.begin() for _ in range(3))
    server.cancel(second)
    assert server.get(second).state is RunState.CANCELLED
    server.end(first)
    assert server.goes(third) == [True]


def test_a_newer_run_takes_the_place(server):
    first = server.begin(cancel=True)
    server.claim(first)
    second, third = server.begin(cancel=True), server.begin(cancel=True)
    state = server.get(first)
    assert (state.state, state.cancel_reason) == (RunState.CANCELLING, Reason.SUPERSEDED)
    assert server.get(second).state is RunState.CANCELLED
    assert server.get(second).started_at is None  # it did not begin for a moment
    assert server.goes(third) == [False]  # not before the first has really ended
    server.end(first, Outcome.CANCELLED)
    assert server.goes(third) == [True]


def test_one_whose_steps_nobody_has_taken_ends_at_once(server):
    first, second = server.begin(cancel=True), server.begin(cancel=True)
    assert server.get(first).state is RunState.CANCELLED
    assert server.goes(second) == [True]


def test_as_many_as_there_is_room_for_stay(server):
    runs = [server.begin(limit=2, cancel=True) for _ in range(4)]
    assert [server.get(run).state for run in runs] == [RunState.CANCELLED] * 2 + [RunState.RUNNING] * 2
    assert server.goes(*runs) == [False, False, True, True]


def test_a_run_begins_once(server):
    runs = [server.begin(cancel=True) for _ in range(3)]
    for run in runs:
        with server.database.read() as tx:
            events = [row.event.type for row in tx.runs.events(run)]
        assert events.count("run_started") == 1


def test_whose_turn_it_is_is_an_effect_that_no_kill_prevents(server):
    first, second = server.begin(), server.begin()
    server.decisions.apply(first, AttemptFinished("a", 1, 1, Outcome.SUCCEEDED))
    assert server.goes(second) == [False]  # killed here
    assert [command.type for _, _, command in server.effects()] == ["finish_run"]
    server.settle()  # by the next life
    assert server.goes(second) == [True]


def test_a_run_that_joins_while_another_ends_is_not_forgotten(server):
    first = server.begin()
    server.decisions.apply(first, AttemptFinished("a", 1, 1, Outcome.SUCCEEDED))
    second, third = server.begin(), server.begin()
    assert server.goes(second, third) == [True, False]


@pytest.mark.parametrize("seed", range(8))
def test_whatever_happens_never_too_many_and_never_too_few(server, seed):
    random, limit, known = Random(seed), Random(seed).randint(1, 3), []
    for _ in range(40):
        live = [run for run in known if server.goes(run) == [True]]
        if random.random() < 0.5 or not live:
            known.append(server.begin(limit=limit, cancel=random.random() < 0.2))
        elif random.random() < 0.3:
            server.cancel(random.choice(known))
        else:
            server.end(random.choice(live))
        open_ = [run for run in known if not server.get(run).state.final]
        assert sum(server.goes(*open_)) == min(limit, len(open_))
        assert server.goes(*open_)[:limit] == [True] * min(limit, len(open_))  # the oldest of them


def test_the_name_of_a_group_is_filled_in():
    pipeline = make_pipeline("a", "", concurrency=Concurrency("deploy-${{ inputs.target }}", 2))
    bound = bind_group(pipeline, RunContext(inputs={"target": "qa"}), {})
    assert bound.concurrency == Concurrency("deploy-qa", 2)
    assert bind_group(make_pipeline("a", ""), RunContext(), {}).concurrency is None
    with pytest.raises(InvalidRequest, match="group"):
        bind_group(pipeline, RunContext(inputs={"target": "x" * 300}), {})
    with pytest.raises(InvalidRequest, match="group"):
        bind_group(make_pipeline("a", "", concurrency=Concurrency("${{ nothing }}")), RunContext(), {})
