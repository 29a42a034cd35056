"""Schedules: taken over from the pipeline file, due in the database until their run has begun."""

from datetime import UTC, datetime

import pytest
import structlog

from flowbuild.core.errors import InvalidRequest, NotFound, WorkspaceError
from flowbuild.core.sources import SourceKind
from flowbuild.services.audit import Actor
from flowbuild.services.schedules import SCHEDULES, ScheduleService
from flowbuild.services.signals import Signals
from flowbuild.spec.load import load_pipelines
from flowbuild.spec.source import MemoryRepository
from flowbuild.store.holds import HoldRow
from flowbuild.testing.databases import new_sqlite
from flowbuild.testing.triggers import Clock, StoringStarter, add_project, pipeline_file

ANN = Actor("ann")
PROJECT = "team/app"
HOUR, DAY = 3600.0, 86400.0
START = datetime(2026, 6, 1, 12, tzinfo=UTC).timestamp()
NIGHT = {"night": '{schedule: {cron: "0 3 * * *"}}'}


class Server:
    def __init__(self, path):
        self.database = new_sqlite(path / "flow.db")
        self.clock, self.signals = Clock(START), Signals()
        self.project = add_project(self.database, PROJECT)
        self.starter = StoringStarter(self.database, self.signals, self.clock)
        self.service = self.another()

    def another(self):
        return ScheduleService(
            database=self.database,
            starter=self.starter,
            signals=self.signals,
            clock=self.clock,
            default_branch=lambda _project: "main",
        )

    def write(self, triggers):
        """Push a pipeline file to the default branch."""
        self.starter.script.files = pipeline_file(triggers)
        loaded = load_pipelines(MemoryRepository(self.starter.script.files))
        assert not loaded.findings
        self.service.take_over(PROJECT, loaded.pipelines.values())

    def run_due(self):
        """Begin what is due, as the loop does it; return when the service wants to be woken."""
        self.service.run(PROJECT)
        return self.service.due().get(PROJECT)

    def until(self, time):
        """Let time pass, waking up when the service wants it; return when it wants to be woken next."""
        while (wanted := self.run_due()) is not None and wanted <= time:
            self.clock.now = max(wanted, self.clock.now)
        self.clock.now = max(time, self.clock.now)
        return wanted

    def begun(self):
        """Return the hours since START at which runs began."""
        with self.database.read() as tx:
            rows = tx.runs.newest(PROJECT, 100)
        return sorted((row.run.created_at - START) / HOUR for row in rows)

    def row(self, position=0):
        return self.service.list(PROJECT)[position].row


@pytest.fixture(autouse=True)
def logs():
    """What is logged here; other tests leave a log behind whose file is closed."""
    with structlog.testing.capture_logs() as captured:
        yield captured


@pytest.fixture
def server(tmp_path):
    made = Server(tmp_path)
    yield made
    made.database.close()


def test_each_time_begins_one_run(server):
    server.write(NIGHT)
    assert server.until(START + 2.5 * DAY) == START + 2 * DAY + 15 * HOUR
    assert server.begun() == [15, 39]
    _, event, inputs = server.starter.calls[0]
    assert (event.kind, event.branch, event.pipeline, inputs) == (SourceKind.SCHEDULE, "", "night", {})
    about = server.starter.causes[0].about
    assert (about["cron"], about["due_at"]) == ("0 3 * * *", START + 15 * HOUR)
    row = server.row()
    assert (row.last_at, bool(row.last_run), row.error) == (START + 39 * HOUR, True, "")


def test_nothing_is_due_without_schedules(server):
    assert server.run_due() is None
    server.write({"build": "push"})
    assert server.run_due() is None


def test_whoever_waits_is_told_of_changes(server):
    token = server.signals.token(SCHEDULES)
    server.write(NIGHT)
    assert server.signals.token(SCHEDULES) != token


@pytest.mark.parametrize(("misfire", "begun"), [("skip", []), ("once", [84]), ("all", [84, 84, 84])])
def test_times_at_which_the_server_was_off(server, misfire, begun):
    server.write({"night": f'{{schedule: {{cron: "0 3 * * *", misfire: {misfire}}}}}'})
    server.clock.pass_(3.5 * DAY)
    assert server.run_due() == START + 3 * DAY + 15 * HOUR
    assert server.begun() == begun
    assert len({cause.key for cause in server.starter.causes}) == len(begun)


def test_a_kill_between_the_run_and_the_note_of_it_makes_no_second_run(server):
    class Killed(BaseException):
        pass

    server.write(NIGHT)
    server.clock.pass_(15 * HOUR)
    begin = server.starter.start

    def start(*arguments):
        begin(*arguments)
        raise Killed

    server.starter.start = start
    with pytest.raises(Killed):
        server.run_due()
    assert server.begun() == [15]
    server.starter.start, server.service = begin, server.another()
    server.run_due()
    assert server.begun() == [15]
    assert server.row().last_run is not None


def test_a_kill_before_the_run_loses_nothing(server):
    class Killed(BaseException):
        pass

    server.write(NIGHT)
    server.clock.pass_(15 * HOUR)
    begin, server.starter.start = server.starter.start, lambda *_: (_ for _ in ()).throw(Killed())
    with pytest.raises(Killed):
        server.run_due()
    server.starter.start, server.service = begin, server.another()
    server.run_due()
    assert server.begun() == [15]


def test_two_servers_begin_one_run(server):
    server.write(NIGHT)
    other = server.another()
    server.clock.pass_(15 * HOUR)
    server.run_due()
    other.run(PROJECT)
    assert server.begun() == [15]


def test_what_may_get_better_is_tried_again_and_holds_back_nobody(server):
    server.write({"a": '{schedule: {cron: "0 3 * * *"}}', "b": '{schedule: {cron: "30 3 * * *"}}'})
    server.starter.script.failures = [WorkspaceError("away")] * 3
    server.until(START + 15.75 * HOUR)
    assert server.starter.started() == ["a", "b"]
    assert [round((time - 15) * HOUR) for time in server.begun()] == [7, 1800]  # after 1, 2 and 4 seconds


def test_what_will_not_get_better_is_told_and_left(server):
    server.write(NIGHT)
    server.starter.script.failures = [InvalidRequest("the input target is required")]
    server.until(START + DAY)
    row = server.row()
    assert (row.error, row.last_run, row.last_at) == ("the input target is required", None, START + 15 * HOUR)
    server.until(START + 2 * DAY)
    assert (server.row().error, server.begun()) == ("", [39])


def test_a_paused_schedule_is_not_due_and_nothing_is_made_up_for(server):
    server.write(NIGHT)
    paused = server.service.pause(ANN, PROJECT, "night", 0, paused=True)
    assert (paused.times, paused.row.paused_at) == ([], START)
    assert server.until(START + 3 * DAY) is None
    server.write(NIGHT)  # a push does not wake it
    assert server.until(START + 4 * DAY) is None
    going = server.service.pause(ANN, PROJECT, "night", 0, paused=False)
    assert going.times[0] == going.row.next_at == START + 4 * DAY + 15 * HOUR
    assert server.begun() == []


def test_a_push_that_changes_nothing_about_it_loses_no_time(server):
    server.write(NIGHT)
    server.clock.pass_(15 * HOUR + 1)
    server.write({"new": '{schedule: {cron: "0 5 * * *"}}', **NIGHT})
    server.run_due()
    assert server.begun() == [15 + 1 / HOUR]
    server.until(START + DAY)
    assert server.starter.started() == ["night", "new"]


def test_another_time_counts_from_now_on(server):
    server.write(NIGHT)
    server.clock.pass_(15 * HOUR + 1)
    server.write({"night": '{schedule: {cron: "0 4 * * *"}}'})
    server.run_due()
    assert server.begun() == []
    server.service.take_over(PROJECT, [])
    assert server.until(START + 5 * DAY) is None


def test_how_it_is_shown(server):
    server.write(
        {"night": '{schedule: [{cron: "0 3 * * *", timezone: Europe/Riga, branch: main}, {cron: "0 * * * *"}]}'}
    )
    first, second = server.service.list(PROJECT)
    assert first.words == "At 03:00 every day (Europe/Riga)"
    assert first.times == [START + 12 * HOUR + day * DAY for day in range(5)]
    assert (first.row.branch, first.row.key.position, second.row.key.position) == ("main", 0, 1)
    assert second.times[0] == START + HOUR


def test_the_order_in_the_file_does_not_matter(server):
    one, two = '{cron: "0 3 * * *"}', '{cron: "0 4 * * *"}'
    server.write({"night": f"{{schedule: [{one}, {two}]}}"})
    server.service.pause(ANN, PROJECT, "night", 0, paused=True)
    server.write({"night": f"{{schedule: [{two}, {one}]}}"})
    assert [(row.cron[2], row.paused_at is not None) for row in (server.row(0), server.row(1))] == [
        ("4", False),
        ("3", True),
    ]


def test_what_is_not_there(server):
    for call in (
        lambda: server.service.list("other"),
        lambda: server.service.take_over("other", []),
        lambda: server.service.pause(ANN, PROJECT, "night", 0, paused=True),
    ):
        with pytest.raises(NotFound):
            call()


def test_a_push_to_the_default_branch_brings_its_schedules(server):
    server.starter.script.files = pipeline_file(NIGHT)
    server.service.moved(PROJECT, "topic")
    assert server.service.list(PROJECT) == []
    server.service.moved(PROJECT, "main")
    assert [view.row.key.pipeline for view in server.service.list(PROJECT)] == ["night"]


def test_a_file_that_cannot_be_used_changes_nothing(server):
    server.write(NIGHT)
    server.starter.script.failures = [InvalidRequest("the pipeline cannot be used")]
    server.service.refresh(PROJECT)
    assert len(server.service.list(PROJECT)) == 1
    server.starter.script.failures = [WorkspaceError("away")]
    with pytest.raises(WorkspaceError):
        server.service.refresh(PROJECT)


def test_what_is_due_while_somebody_holds_the_pipeline_is_not_made_up_for(server):
    server.write(NIGHT)
    with server.database.write() as tx:
        tx.holds.put(server.project, HoldRow(PROJECT, "night", "ann", START, "the database moves"))
    assert server.until(START + DAY) == START + 39 * HOUR
    row = server.row()
    assert (row.last_at, row.last_run) == (START + 15 * HOUR, None)
    assert row.error == "night is held by ann since 2026-06-01 12:00 UTC: the database moves"
    with server.database.write() as tx:
        tx.holds.remove(server.project, "night")
    server.until(START + 2 * DAY)
    assert server.begun() == [39]
    assert server.row().error == ""
