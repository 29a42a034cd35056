"""What triggers ask of every database, also when several do it at once; see `testing.store_suite`."""

# ruff: noqa: S101, D102  a module of tests without pytest: their names say what they check

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from flowbuild.core.commands import FinishRun, SettleGroup
from flowbuild.core.events import AttemptFinished
from flowbuild.core.ids import RunId, StepKey
from flowbuild.core.model import Concurrency
from flowbuild.core.states import Outcome
from flowbuild.services.decisions import Decisions
from flowbuild.services.ids import new_run_id
from flowbuild.services.signals import Signals
from flowbuild.store.database import Database
from flowbuild.store.deliveries import DONE, IGNORED, WAITING, DeliveryRow
from flowbuild.store.hooks import HookRow
from flowbuild.store.notices import Notice
from flowbuild.store.runs import RunRow
from flowbuild.store.schedules import ScheduleKey, ScheduleRow
from flowbuild.store.source_heads import Head
from flowbuild.testing.graphs import make_pipeline
from flowbuild.testing.store_suite import ONE, TWO, StoreBench, add, make_run
from flowbuild.testing.triggers import Clock, add_project

PROJECT = "app"
AT_ONCE = 6  # threads that do the same


def delivery(number: int, hook: str = "h" * 26, **more: Any) -> DeliveryRow:
    """Return a delivery that came at the time of its number."""
    row = DeliveryRow(f"{number:026d}", hook, f"id:{number}", "push", float(number), {"x-a": "b"}, b"{}")
    return replace(row, **more)


class TriggerSuite(StoreBench):
    """The tests."""

    def hook(self, database: Database, name: str = "forge", project: str = PROJECT) -> HookRow:
        """Store a webhook, with its project if that is new."""
        with database.read() as tx:
            known = [row.id for row in tx.projects.list([project])]
        identifier = known[0] if known else add_project(database, project)
        row = HookRow(f"{name:x>26}", identifier, project, "github", name, 1.0, "sealed", mapping={"branch": "ref"})
        with database.write() as tx:
            assert tx.hooks.add(row)
        return row

    def test_webhooks(self, url: str) -> None:
        with self.database(url) as database:
            row = self.hook(database)
            with database.write() as tx:
                assert not tx.hooks.add(row)
                assert tx.hooks.find(PROJECT, "forge") == tx.hooks.get(row.id) == row
                assert tx.hooks.find(PROJECT, "other") is None
                tx.hooks.speaks_of(row.id, "team/app")
                tx.hooks.change(replace(row, sealed_token="t", api_url="u", mapping={}))  # noqa: S106 (no token)
                (changed,) = tx.hooks.of_project(PROJECT)
                assert (changed.sealed_token, changed.repository) == ("t", "team/app")
                tx.deliveries.add(delivery(1, row.id))
                tx.hooks.remove(row.id)
                assert tx.deliveries.get(delivery(1).id) is None

    def test_of_deliveries_that_come_together_each_is_stored_once(self, url: str) -> None:
        with self.database(url) as database:
            hook, other = self.hook(database), self.hook(database, "other")
            some = [replace(delivery(number, hook.id), delivery=f"id:{number % 40}") for number in range(1, 101)]
            some += [delivery(200 + number, other.id) for number in range(5)]
            with database.write() as tx:
                known = tx.deliveries.add_all(some)
            assert len(known) == 60
            with database.read() as tx:
                for row in some:
                    stored = tx.deliveries.get(known.get(row.id, row.id))
                    assert stored is not None
                    assert (stored.hook, stored.delivery) == (row.hook, row.delivery)
                assert not any(tx.deliveries.get(identifier) for identifier in known)
            with database.write() as tx:
                assert set(tx.deliveries.add_all(some)) == {row.id for row in some}

    def test_a_delivery_is_stored_once(self, url: str) -> None:
        with self.database(url) as database:
            hook, other = self.hook(database), self.hook(database, "other")

            def store(number: int) -> bool:
                with database.write() as tx:
                    return tx.deliveries.add(replace(delivery(number, hook.id), delivery="the same"))

            with ThreadPoolExecutor(AT_ONCE) as pool:
                assert sum(pool.map(store, range(1, 21))) == 1
            with database.write() as tx:
                assert tx.deliveries.add(replace(delivery(30, other.id), delivery="the same"))
                again = replace(delivery(31, hook.id), delivery="the same")
                found = tx.deliveries.get(tx.deliveries.add_all([again])[again.id])
                assert found is not None
                assert (found.body, found.headers, found.project) == (b"{}", {"x-a": "b"}, PROJECT)

    def test_deliveries_of_a_project_wait_for_each_other(self, url: str) -> None:
        with self.database(url) as database:
            one, two = self.hook(database), self.hook(database, "other", "two")
            with database.write() as tx:
                for number in (2, 1, 3):
                    tx.deliveries.add(delivery(number, one.id, next_at=10.0 if number == 1 else 0.0))
                tx.deliveries.add(delivery(4, two.id, next_at=5.0))
                tx.deliveries.add(delivery(5, two.id, state=IGNORED))
                assert tx.deliveries.pending() == {PROJECT: 10.0, "two": 5.0}
                assert tx.deliveries.claim(PROJECT, 9.0, 20.0) is None
                first = tx.deliveries.claim(PROJECT, 10.0, 20.0)
                assert first is not None
                assert (first.id, first.tries, first.next_at) == (delivery(1).id, 1, 20.0)
                tx.deliveries.settle(first.id, DONE, {"x": 1})
                second = tx.deliveries.claim(PROJECT, 10.0, 20.0)
                assert second is not None
                assert second.id == delivery(2).id
                tx.deliveries.settle(second.id, WAITING, {})
                assert [(row.id, row.body) for row in tx.deliveries.waiting(one.id)] == [(second.id, b"")]

    def test_one_of_several_gets_a_delivery(self, url: str) -> None:
        with self.database(url) as database:
            hook = self.hook(database)
            with database.write() as tx:
                tx.deliveries.add(delivery(1, hook.id))
            together = threading.Barrier(AT_ONCE)

            def claim(_: int) -> bool:
                together.wait(30)
                with database.write() as tx:
                    return tx.deliveries.claim(PROJECT, 1.0, 10.0) is not None

            with ThreadPoolExecutor(AT_ONCE) as pool:
                assert sum(pool.map(claim, range(AT_ONCE))) == 1

    def test_pages_of_deliveries(self, url: str) -> None:
        with self.database(url) as database:
            hook = self.hook(database)
            with database.write() as tx:
                for number in range(1, 6):
                    tx.deliveries.add(delivery(number, hook.id))
                first = tx.deliveries.page(PROJECT, None, 2)
                rest = tx.deliveries.page(PROJECT, first[-1].id, 10)
                assert [row.received_at for row in (*first, *rest)] == [5, 4, 3, 2, 1]
                assert {(row.body, len(row.headers)) for row in first} == {(b"", 0)}
                tx.deliveries.settle(delivery(1).id, DONE, {})
                tx.deliveries.forget(3.0)
                bodies = [row.body for number in (1, 2) if (row := tx.deliveries.get(delivery(number).id))]
                assert bodies == [b"", b"{}"]

    def test_a_key_begins_one_run(self, url: str) -> None:
        with self.database(url) as database:
            together = threading.Barrier(AT_ONCE)

            def begin(number: int) -> RunId:
                together.wait(30)
                with database.write() as tx:
                    return tx.starts.add("key", RunId(f"{number:026d}"), 1.0)

            with ThreadPoolExecutor(AT_ONCE) as pool:
                found = set(pool.map(begin, range(AT_ONCE)))
            assert len(found) == 1
            with database.write() as tx:
                assert {tx.starts.find("key")} == found
                assert tx.starts.find("other") is None
                tx.starts.forget(2.0)
                assert tx.starts.find("key") is None

    def test_schedules(self, url: str) -> None:
        with self.database(url) as database:
            project = add_project(database, PROJECT)
            key = ScheduleKey(project, "night", 0)
            row = ScheduleRow(key, "0 3 * * *", "UTC", "", "once", 10.0, project=PROJECT)
            later = replace(row, key=replace(key, position=1), next_at=20.0)
            with database.write() as tx:
                tx.schedules.replace(project, [later, row])
                assert tx.schedules.of_project(project) == [row, later]
                assert (tx.schedules.due(10.0), len(tx.schedules.waiting())) == ([row], 2)
                assert tx.schedules.advance(row, 30.0, last_at=10.0, run=ONE, error="")
                assert not tx.schedules.advance(row, 40.0, last_at=11.0, run=TWO, error="")  # somebody was faster
                changed = tx.schedules.get(key)
                assert changed is not None
                assert (changed.next_at, changed.last_at, changed.last_run) == (30.0, 10.0, ONE)
                tx.schedules.pause(key, 5.0, 30.0)
                assert tx.schedules.due(100.0) == tx.schedules.waiting() == [later]
                tx.schedules.replace(project, [])
                assert tx.schedules.waiting() == []

    def test_notices_are_told_once_more_when_their_run_changed(self, url: str) -> None:
        with self.database(url) as database:
            add(database, make_run(ONE))
            notice = Notice("n" * 26, "status", ONE, {"a": 1}, 10.0)
            with database.write() as tx:
                assert tx.notices.add(notice)
                assert not tx.notices.add(notice)
                assert tx.notices.due("status", 9.0, 5) == tx.notices.due("other", 10.0, 5) == []
                (due,) = tx.notices.due("status", 10.0, 5)
                assert due == notice
                assert tx.notices.claim(due, 10.0, 20.0)
                assert not tx.notices.claim(due, 10.0, 20.0)
                assert (tx.notices.due("status", 19.0, 5), tx.notices.next_at("status")) == ([], 20.0)
                assert tx.notices.touch(ONE, 12.0)
                tx.notices.told(due, {"a": 2})
                (again,) = tx.notices.due("status", 12.0, 5)
                assert (again.payload, again.next_at) == ({"a": 2}, 12.0)
                tx.notices.failed(again, "away", 50.0)
                (failed,) = tx.notices.of_run(ONE)
                assert (failed.tries, failed.error, failed.next_at) == (1, "away", 50.0)
                tx.notices.told(failed, {})
                assert tx.notices.next_at("status") is None
                assert not tx.notices.touch(TWO, 1.0)
                tx.notices.done(notice.id)
                assert tx.notices.of_run(ONE) == []

    def test_a_notice_of_no_run_gives_way_to_a_newer_one(self, url: str) -> None:
        with self.database(url) as database, database.write() as tx:
            old = Notice("n" * 26, "status", None, {"a": 1}, 10.0)
            tx.notices.put(old)
            assert tx.notices.due("status", 10.0, 5) == [old]
            assert tx.notices.claim(old, 10.0, 20.0)
            new = replace(old, payload={"a": 2}, next_at=11.0)
            tx.notices.put(new)
            assert tx.notices.due("status", 12.0, 5) == []  # the old one is being told just now
            tx.notices.finished(old)
            assert tx.notices.due("status", 12.0, 5) == [new]
            tx.notices.finished(new)
            assert tx.notices.next_at("status") is None

    def test_where_refs_were(self, url: str) -> None:
        with self.database(url) as database:
            project = add_project(database, PROJECT)
            with database.write() as tx:
                assert tx.source_heads.of_project(project) == {}
                tx.source_heads.move(project, "refs/heads/a", "b" * 40, 1.0)
                tx.source_heads.move(project, "refs/heads/a", "", 2.0)
                (head,) = tx.source_heads.of_project(project).values()
                assert (head.commit, head.seen_at) == ("", 2.0)
                tx.source_heads.move(project, "pull/forge/1", "c" * 40, 3.0, found="f" * 26)
                assert tx.source_heads.get(project, "pull/forge/1") == Head("c" * 40, 3.0, "f" * 26)
                assert tx.source_heads.get(project, "pull/forge/2") is None
                tx.source_heads.move(project, "pull/forge_/1", "c" * 40, 3.0)
                tx.source_heads.forget(project, "pull/forge_/")
                assert tx.source_heads.of_project(project).keys() == {"refs/heads/a", "pull/forge/1"}
                assert tx.source_heads.projects() == {project}
                tx.source_heads.forget(project)
                assert tx.source_heads.projects() == set()

    def test_a_group_stays_within_its_limit_whoever_does_what_at_once(self, url: str) -> None:
        with self.database(url) as database:
            clock = Clock()
            workers = [Decisions(database, Signals(), clock, lambda _run: None) for _ in range(AT_ONCE)]
            most, runs = self.hurry(database, workers, clock)
            assert len(runs) == AT_ONCE * 4
            assert most == 2  # and it is used
            with database.read() as tx:
                assert tx.concurrency.line("p", "g") == []
                assert all(tx.runs.get(run).run.state.final for run in runs)

    def hurry(self, database: Database, workers: Sequence[Decisions], clock: Clock) -> tuple[int, list[RunId]]:
        """Let every worker begin runs of one group, and end those that go; return the most that went at once."""
        lock, most, runs = threading.Lock(), [0], list[RunId]()
        together = threading.Barrier(len(workers), timeout=120)

        def begin(decisions: Decisions) -> None:
            pipeline = make_pipeline("a", "", concurrency=Concurrency("g", 2))
            run = make_run(new_run_id(clock()), pipeline)
            with database.write() as tx:
                number = tx.runs.next_number("p")
                tx.runs.add(RunRow(run, number, "p", "me", "/s", dirty=False, repository="/r"))
                decisions.begin_in(tx, run.id)
            with lock:
                runs.append(run.id)

        def look() -> list[RunId]:
            with database.read() as tx:
                going = [place.run for place in tx.concurrency.line("p", "g") if place.begun]
            with lock:
                most[0] = max(most[0], len(going))
            return going

        def work(decisions: Decisions) -> None:
            begin(decisions)
            together.wait()  # nothing has ended yet, so there are more runs than may go
            look()
            together.wait()
            self.end(database, decisions, look())
            for _ in range(3):
                begin(decisions)
                self.end(database, decisions, look())
            while look():
                self.end(database, decisions, look())

        with ThreadPoolExecutor(len(workers)) as pool:
            for done in [pool.submit(work, decisions) for decisions in workers]:
                done.result(120)
        return most[0], runs

    def end(self, database: Database, decisions: Decisions, going: Sequence[RunId]) -> None:
        """End runs, and carry out the effects of that as the orchestrator does."""
        for run in going:
            decisions.apply(run, AttemptFinished(StepKey("a"), 1, 1, Outcome.SUCCEEDED))
        with database.read() as tx:
            pending = tx.outbox.pending("me")
        for identifier, run, command in pending:
            if isinstance(command, FinishRun | SettleGroup):
                decisions.settle_group(run)
            with database.write() as tx:
                tx.outbox.done(identifier)
