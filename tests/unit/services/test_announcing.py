"""Who is told of what: from a change of a run to rows that wait to be sent, once, whatever dies in between."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import structlog

from flowbuild.core.access import Role
from flowbuild.core.events import Approved, AttemptLost, AttemptStarted, CancelRequested
from flowbuild.core.notifying import NewsKind, Quiet, Rule
from flowbuild.core.states import Outcome, Reason
from flowbuild.services import announcing
from flowbuild.services.dispatching import DISPATCH, ChannelKind
from flowbuild.services.leases import Leases
from flowbuild.services.notices import NEWS, node_news
from flowbuild.testing import crash
from flowbuild.testing.newsroom import COMMIT, OF_PROJECT, PROJECT, Newsroom
from flowbuild.testing.triggers import pipeline_file
from flowbuild.triggers.announcing import Announcing

K = NewsKind
ALL = Rule(on=list(K))
GATED = "environment: {name: prod, approve: [maintainers]}"


@pytest.fixture
def room(tmp_path):
    made = Newsroom(tmp_path)
    yield made
    made.database.close()


@pytest.fixture(autouse=True)
def logs():
    with structlog.testing.capture_logs() as captured:
        yield captured


def notices(room):
    with room.database.read() as tx:
        return list(tx.notices.due(NEWS, 1e12, 1000))


def join(room, owner, role=Role.VIEWER):
    with room.database.write() as tx:
        tx.members.put(room.project, owner.user_id, role)


class TestRuns:
    def test_from_the_beginning_to_the_end(self, room):
        room.channel("team", ALL)
        room.facts.commits = {COMMIT: ("ann@example.org", "Add a thing")}
        room.facts.logs = {"a": ["error: it broke"]}
        room.ran(actor="ann")
        started, failed = room.log("team")
        assert (started.news.kind, failed.news.kind) == (K.STARTED, K.FAILED)
        assert started.message == failed.message, "one message for a run"
        news = failed.news
        assert (news.project, news.pipeline, news.number, news.branch) == (PROJECT, "build", 1, "main")
        assert (news.author, news.subject, news.actor) == ("ann@example.org", "Add a thing", "ann")
        assert (news.url, news.seconds, news.commit) == ("https://flow/runs/1", 1.0, COMMIT)
        (step,) = news.steps
        assert (step.key, step.outcome, step.exit_code, list(step.lines)) == ("a", "failed", 2, ["error: it broke"])
        assert (started.news.steps, started.news.seconds) == ([], None)
        assert notices(room) == []

    def test_ends_are_called_by_what_was_before(self, room):
        room.channel("team", Rule(on=[K.FINISHED]))
        outcomes = [
            Outcome.FAILED,
            Outcome.FAILED,
            Outcome.SUCCEEDED,
            Outcome.SUCCEEDED,
            Outcome.ERRORED,
            Outcome.SUCCEEDED,
        ]
        for outcome in outcomes:
            room.ran(outcome)
            room.clock.pass_(1)
        words = ["failed", "still_failing", "recovered", "succeeded", "errored", "recovered"]
        assert room.events("team") == words
        room.ran(Outcome.FAILED, branch="other")
        assert room.events("team") == [*words, "failed"], "another branch"

    def test_a_cancelled_run_in_between_says_nothing(self, room):
        room.channel("team", Rule(on=[K.FINISHED]))
        room.ran(Outcome.FAILED)
        room.clock.pass_(1)
        run = room.begin()
        room.apply(run, AttemptStarted("a", 1, 1), CancelRequested("ann"))
        room.end(run, Outcome.CANCELLED)
        room.announcing.run_due()
        room.clock.pass_(1)
        room.ran(Outcome.SUCCEEDED)
        assert room.events("team") == ["failed", "cancelled", "recovered"]
        assert room.log("team")[1].news.message == str(Reason.USER)

    def test_a_step_that_waits_for_people(self, room):
        room.starter.script.files = {
            ".flow.yml": f"pipelines: {{build: {{steps: {{a: {{compose: {{services: {{m: {{image: b}}}}}}, {GATED}}}}}}}}}"
        }
        room.channel("team")
        run = room.begin()
        room.announcing.run_due()
        (row,) = room.log("team")
        (step,) = row.news.steps
        assert (row.news.kind, step.key, step.outcome, step.message) == (
            K.APPROVAL,
            "a",
            "waiting",
            "prod: maintainers",
        )
        room.apply(run, Approved("a", "ann"))
        room.announcing.run_due()
        assert room.events("team") == ["approval"]

    def test_a_tag_has_no_run_before_it(self, room):
        room.channel("team", Rule(on=[K.FINISHED]))
        for _ in range(2):
            room.ran(branch="")
            room.clock.pass_(1)
        assert room.events("team") == ["failed", "failed"]


class TestWho:
    def test_without_a_channel_nothing_is_even_noted(self, room):
        run = room.begin()
        room.end(run)
        assert notices(room) == []
        room.channel("team")
        room.end(room.begin())
        assert len(notices(room)) == 2, "the control"

    def test_for_a_person_who_could_not_hear_of_it_nothing_is_noted(self, room):
        ann = room.person("ann")
        room.channel("mine", owner=ann, target="")
        room.end(room.begin())
        assert notices(room) == []
        join(room, ann)
        room.end(room.begin())
        assert len(notices(room)) == 2, "the control"

    def test_runs_of_directories_have_nobody_to_tell(self, room):
        room.channel("mine", owner=room.person("root", "admin"), target="")
        with room.database.write() as tx:
            tx.projects.delete(room.project)
        room.end(room.begin())
        assert notices(room) == []

    def test_rules(self, room):
        room.channel("all", ALL)
        room.channel("main", Rule(on=[K.FAILED], branches=["main"]))
        room.channel("release", Rule(on=[K.FAILED], branches=["release/*"]))
        room.channel("other", Rule(on=[K.FAILED], pipelines=["other"]))
        room.channel("green", Rule(on=[K.SUCCEEDED]))
        room.ran()
        assert {name: room.events(name) for name in ("all", "main", "release", "other", "green")} == {
            "all": ["started", "failed"],
            "main": ["failed"],
            "release": [],
            "other": [],
            "green": [],
        }

    def test_the_repository_is_not_asked_when_nobody_is_told(self, room):
        room.channel("green", Rule(on=[K.SUCCEEDED]))
        room.ran()
        assert room.facts.asked == []
        room.ran(Outcome.SUCCEEDED)
        assert room.facts.asked == [COMMIT]

    def test_a_channel_that_is_disabled_or_gone_is_told_nothing(self, room):
        gone = room.channel("gone")
        off = room.channel("off")
        room.channel("on")
        room.end(room.begin())
        with room.database.write() as tx:
            tx.channels.remove(gone.id)
            tx.channels.change(replace(off, disabled_at=1.0))
        room.announcing.run_due()
        assert (room.events("on"), room.events("off")) == (["failed"], [])

    def test_persons_hear_of_the_projects_in_which_they_have_a_role(self, room):
        ann, bob, root = room.person("ann"), room.person("bob"), room.person("root", "admin")
        join(room, ann)
        for owner in (ann, bob, root):
            room.channel("mine", owner=owner, target="")
        room.ran()
        assert [room.events("mine", owner) for owner in (ann, bob, root)] == [["failed"], [], []]
        room.ran(actor="root")
        room.ran(actor="bob")
        assert [len(room.events("mine", owner)) for owner in (ann, bob, root)] == [1, 0, 0], "it is still failing"
        room.ran(actor="root", branch="x")
        room.ran(actor="bob", branch="y")
        assert [len(room.events("mine", owner)) for owner in (ann, bob, root)] == [3, 0, 1], "admins hear of their own"

    def test_mine(self, room):
        ann = room.person("ann")
        join(room, ann)
        with room.database.write() as tx:
            tx.users.change(replace(tx.users.get(ann.user_id), email="Ann@example.org"))
        room.channel("mine", Rule(mine=True), owner=ann, target="")
        room.facts.commits = {COMMIT: ("ann@example.org", ""), "d" * 40: ("bob@example.org", "")}
        room.ran(branch="1")
        room.ran(branch="2", commit="d" * 40)
        room.ran(branch="3", commit="d" * 40, actor="ann")
        assert [row.news.branch for row in room.log("mine", ann)] == ["1", "3"]

    def test_who_is_disabled_is_told_nothing(self, room):
        ann = room.person("ann")
        join(room, ann)
        room.channel("mine", owner=ann, target="")
        with room.database.write() as tx:
            tx.users.change(replace(tx.users.get(ann.user_id), disabled_at=1.0))
        room.ran()
        assert room.events("mine", ann) == []


class TestFiles:
    def files(self, room, notify):
        room.starter.script.files = pipeline_file({"build": "push"}, f", notify: {notify}")

    def test_a_file_has_channels_of_the_project_told_besides_what_their_rules_say(self, room):
        for name in ("team", "silent"):
            room.channel(name, Rule(on=[]))
        self.files(room, "{to: [team, nobody], on: [started, failed]}")
        room.ran()
        assert (room.events("team"), room.events("silent")) == (["started", "failed"], [])

    def test_branches(self, room):
        room.channel("team", Rule(on=[]))
        self.files(room, "{to: team, on: failed, branches: 'release/*'}")
        room.ran()
        room.ran(branch="release/1")
        assert [row.news.branch for row in room.log("team")] == ["release/1"]

    def test_a_file_reaches_no_channel_of_a_person(self, room):
        ann = room.person("ann")
        join(room, ann)
        room.channel("mine", Rule(on=[]), owner=ann, target="")
        self.files(room, "{to: mine, on: failed}")
        room.ran()
        assert room.events("mine", ann) == []

    def test_what_strangers_write_there_has_no_say(self, room):
        room.channel("team", Rule(on=[K.STARTED]))
        self.files(room, "{to: team, on: failed}")
        room.starter.script.strangers = frozenset({"e" * 40})
        room.ran(commit="e" * 40)
        assert room.events("team") == ["started"], "by the rule of the channel"
        room.ran(branch="other")
        assert room.events("team") == ["started", "started", "failed"], "the control"

    def test_quiet_hours_of_the_channel_hold(self, room):
        quiet = Quiet("00:00", "23:59")
        room.channel("team", Rule(on=[], quiet=quiet))
        self.files(room, "{to: team, on: failed}")
        room.ran()
        (row,) = room.log("team")
        assert row.next_at > room.clock() + 3600


class TestWhen:
    def test_quiet_hours_and_what_is_urgent(self, room):
        room.channel("team", Rule(on=[K.STARTED, K.FAILED], quiet=Quiet("00:00", "23:59", urgent=[K.FAILED])))
        run = room.begin()
        room.announcing.run_due()
        (waiting,) = room.log("team")
        assert waiting.next_at > room.clock() + 60
        room.end(run)
        room.announcing.run_due()
        assert {row.next_at for row in room.log("team")} == {room.clock()}, "what came before is told with it"

    def test_digests_are_collected(self, room):
        room.channel("team", Rule(on=[K.FAILED], digest="hourly"))
        room.ran()
        (row,) = room.log("team")
        assert row.parcel == ""
        assert row.next_at % 3600 == 0


class TestMachines:
    def lost(self, room, runner="n1/L1", run=None):
        run = run or room.begin()
        room.clock.pass_(1)
        with room.database.write() as tx:
            node_news(tx, run, runner, "runner n1 was not heard of for 75 s", room.clock())
        room.announcing.run_due()

    def test_who_is_told(self, room):
        ann, root = room.person("ann"), room.person("root", "admin")
        join(room, ann)
        rule = Rule(on=[K.NODE_LOST])
        for owner in (ann, root):
            room.channel("mine", rule, owner=owner, target="")
        room.channel("team", rule)
        room.channel("other", Rule())
        self.lost(room)
        assert [room.events("mine", owner) for owner in (ann, root)] == [[], ["node_lost"]]
        assert (room.events("team"), room.events("other")) == (["node_lost"], [])
        news = room.log("team")[0].news
        assert (news.node, news.message, news.run) == ("n1", "runner n1 was not heard of for 75 s", "")

    def test_the_attempts_that_it_had_are_one_loss(self, room):
        room.channel("team", Rule(on=[K.NODE_LOST]))
        for _ in range(3):
            self.lost(room)
        assert room.events("team") == ["node_lost"]
        self.lost(room, "n2/L1")
        room.clock.pass_(announcing.NODE_PAUSE)
        self.lost(room)
        assert [row.news.node for row in room.log("team")] == ["n1", "n2", "n1"]

    def test_a_lease_that_ran_out(self, room):
        room.channel("team", Rule(on=[K.NODE_LOST]))
        run = room.begin()
        with room.database.write() as tx:
            (key,) = [row.key for row in tx.attempts.of_run(run, "a")]
            tx.attempts.take(key, runner="n1/L1", request_key="k", now=room.clock(), lease=60.0)
        leases = Leases(database=room.database, decisions=room.starter.decisions, owner="me", clock=room.clock)
        leases.expire()
        assert notices(room)[1:] == []
        room.clock.pass_(80)
        leases.expire()
        room.announcing.run_due()
        assert room.events("team") == ["node_lost"]
        assert "n1 was not heard of" in room.log("team")[0].news.message

    def test_attempts_that_are_lost_otherwise_are_no_lost_machine(self, room):
        room.channel("team", ALL)
        run = room.begin()
        room.apply(run, AttemptLost("a", 1, 1, "the engine died"))
        room.announcing.run_due()
        assert "node_lost" not in room.events("team")


class TestOnce:
    @pytest.mark.parametrize("together", [False, True])
    def test_fifty_runs(self, room, together):
        """Each channel is told exactly what its rule lets through, in the order in which it happened."""
        room.channel("all", ALL)
        room.channel("bad", Rule(on=[K.FAILED, K.ERRORED]))
        room.channel("even", Rule(on=[K.FINISHED], branches=["b0"]))
        expected = {"all": [], "bad": [], "even": []}
        before = {}
        for number in range(1, 51):
            outcome = (Outcome.SUCCEEDED, Outcome.FAILED, Outcome.FAILED)[number % 3]
            branch = f"b{number % 2}"
            run = room.begin(branch=branch)
            room.end(run, outcome)
            if not together:
                room.announcing.run_due()
            red = before.get(branch) == Outcome.FAILED
            ended = {Outcome.SUCCEEDED: ("succeeded", "recovered"), Outcome.FAILED: ("failed", "still_failing")}
            word = ended[outcome][red]
            before[branch] = outcome
            expected["all"] += [(number, "started"), (number, word)]
            expected["bad"] += [(number, word)] if word == "failed" else []
            expected["even"] += [(number, word)] if branch == "b0" else []
            room.clock.pass_(1)
        while (next_at := room.announcing.run_due()) is not None:
            assert next_at <= room.clock()
        found = {name: [(row.news.number, str(row.news.kind)) for row in room.log(name)] for name in expected}
        if together:  # of what is worked out in the same moment only the order within a run is sure
            found = {name: sorted(told, key=lambda each: each[0]) for name, told in found.items()}
        assert found == expected
        assert len(found["all"]) == 100
        assert notices(room) == []

    def test_two_servers_at_once(self, room):
        room.channel("all", ALL)
        for _ in range(30):
            room.end(room.begin())
            room.clock.pass_(1)
        others, together = [room.announcer() for _ in range(4)], threading.Barrier(4)

        def work(service):
            together.wait(30)
            while (next_at := service.run_due()) is not None and next_at <= room.clock():
                pass

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, others))
        room.clock.pass_(announcing.CLAIM)
        room.announcing.run_due()
        told = [(row.news.number, str(row.news.kind)) for row in room.log("all")]
        assert len(told) == len(set(told)) == 60
        for number in range(1, 31):
            assert next(kind for each, kind in told if each == number) == "started"

    async def test_killed_anywhere(self, tmp_path):
        """At every point of an expansion, before and after each of its transactions, and before each commit."""
        points = (await self.expanded(tmp_path / "whole", ""))[0]
        assert sum("commit" in point for point in points) == 4, points
        died = 0
        for number, point in enumerate(points):
            _, dead = await self.expanded(tmp_path / str(number), point)
            died += dead
        assert died == len(points)

    async def expanded(self, path, point):
        """Let a server that dies at a point expand what happened, and another one after it; return the points."""
        path.mkdir()
        room = await asyncio.to_thread(Newsroom, path)
        for name in ("one", "two"):
            await asyncio.to_thread(room.channel, name, ALL)
        run = await asyncio.to_thread(room.begin)
        await asyncio.to_thread(room.end, run)
        reaper = crash.Reaper(point)
        with reaper.watching():
            try:
                await asyncio.to_thread(room.announcing.run_due)
            except crash.Killed:
                assert reaper.dead
        room.clock.pass_(announcing.CLAIM)
        await asyncio.to_thread(room.announcer().run_due)
        for name in ("one", "two"):
            assert await asyncio.to_thread(room.events, name) == ["started", "failed"], point
        assert await asyncio.to_thread(notices, room) == []
        room.database.close()
        return reaper.points, reaper.dead

    def test_what_is_wrong_with_one_run_does_not_keep_others_from_being_told(self, room, monkeypatch, logs):
        room.channel("team")
        broken = room.begin()
        room.end(broken)
        room.end(room.begin(branch="other"))
        real = room.announcing._run

        def failing(run):
            if run == broken:
                raise OSError("the disk")
            return real(run)

        monkeypatch.setattr(room.announcing, "_run", failing)
        next_at = room.announcing.run_due()
        assert [row.news.branch for row in room.log("team")] == ["other"]
        assert next_at > room.clock()
        assert {log["event"] for log in logs} == {"announce_failed"}
        monkeypatch.undo()
        room.clock.now = next_at + 60
        room.announcing.run_due()
        assert [row.news.branch for row in room.log("team")] == ["other", "main"]

    def test_a_run_that_is_gone_has_nobody_told(self, room):
        room.channel("team")
        run = room.begin()
        room.end(run)
        stale = notices(room)[-1]
        with room.database.write() as tx:
            for each in tx.notices.of_run(run):
                tx.notices.done(each.id)
            tx.outbox.put(run, [])
            tx._connection.exec_driver_sql("DELETE FROM outbox")
            assert tx.runs.remove(run)
        room.announcing._expand(stale)
        assert room.events("team") == []


async def test_the_loop_works_when_something_happened(tmp_path):
    room = await asyncio.to_thread(Newsroom, tmp_path)
    await asyncio.to_thread(room.channel, "team")
    task = asyncio.create_task(Announcing(service=room.announcing, signals=room.signals, clock=room.clock).run())
    try:
        token = room.signals.token(DISPATCH)
        run = await asyncio.to_thread(room.begin)
        await asyncio.to_thread(room.end, run)
        assert await room.signals.wait(DISPATCH, token, 30)
        parcels = await room.dispatches.take([ChannelKind.MATRIX], 10, 30)
        assert [str(parcel.items[0].news.kind) for parcel in parcels] == ["failed"]
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        room.database.close()


def test_a_project_that_nobody_has_any_more(room):
    assert OF_PROJECT.project == PROJECT
    room.channel("team")
    room.end(room.begin())
    with room.database.write() as tx:
        tx.projects.delete(room.project)
    room.announcing.run_due()
    assert notices(room) == []
