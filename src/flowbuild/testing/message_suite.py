"""What every database must do for channels and what they are told: tests like those of `store_suite`."""

# ruff: noqa: S101, D102  a module of tests without pytest: their names say what they check

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from flowbuild.core.access import Role
from flowbuild.core.ids import RunId
from flowbuild.core.notifying import News, NewsKind, Quiet, Rule, StepNews
from flowbuild.core.states import RunState
from flowbuild.store.channels import ChannelOwner, ChannelRow
from flowbuild.store.codec import dump_rule, load_rule
from flowbuild.store.database import Database, Transaction
from flowbuild.store.dispatches import FAILED, SENT, DispatchRow
from flowbuild.testing.people_suite import ANN, BOB, PROJECT, people
from flowbuild.testing.store_suite import ONE, TWO, StoreBench, add, make_run

AT_ONCE = 6  # threads that do the same
NAME = "team/app"  # of the project of `people_suite`
TEAM, MINE = ChannelOwner(project=NAME), ChannelOwner(user_id=ANN.id)
CHAT = ["matrix"]
RULE = Rule(
    on=[NewsKind.FAILED], branches=["main"], quiet=Quiet("22:00", "07:00", urgent=[NewsKind.APPROVAL]), digest="hourly"
)


def channel(name: str = "team", kind: str = "matrix", **more: Any) -> ChannelRow:
    """Return a channel of the project, or of a person if that is said."""
    owner: dict[str, Any] = {} if "user_id" in more else {"project_id": PROJECT, "project": NAME}
    rule = load_rule(dump_rule(more.pop("rule", Rule())))  # as it comes back: with lists
    return ChannelRow(f"{name:x>26}", name, kind, "!room", "ann", 1.0, rule=rule, **owner, **more)


def identifier(number: int) -> str:
    """Return the id of a dispatch."""
    return f"{number:026d}"


def numbers(rows: Sequence[DispatchRow]) -> list[int]:
    """Return which dispatches some are."""
    return [int(row.id) for row in rows]


class MessageSuite(StoreBench):
    """The tests."""

    def stored(self, database: Database, *rows: ChannelRow) -> None:
        """Store people, a project, two runs, and channels."""
        people(database)
        for run in (ONE, TWO):
            add(database, make_run(run), project=NAME)
        with database.write() as tx:
            for row in rows or (channel(),):
                assert tx.channels.add(row)

    def tell(self, tx: Transaction, number: int, run: RunId = ONE, name: str = "team", **more: Any) -> None:
        """Add a dispatch."""
        message = tx.dispatches.message(f"{name}{run[-2:]:x>20}"[:26], channel(name).id, run, run)
        news = News(NewsKind.FAILED, 1.0, NAME, number=number)
        tx.dispatches.add(replace(DispatchRow(identifier(number), message, news, 1.0, 10.0), **more))

    def take(self, database: Database, now: float, kinds: Sequence[str] = CHAT) -> list[list[int]]:
        """Claim all that is due."""
        with database.write() as tx:
            found = [tx.dispatches.claim(row, now, now + 60.0) for row in tx.dispatches.due(kinds, now, 50)]
        return [numbers(rows) for rows in found if rows]

    def settle(self, database: Database, number: int, state: str = SENT) -> None:
        with database.write() as tx:
            tx.dispatches.settle(identifier(number), state, now=20.0)

    def test_channels(self, url: str) -> None:
        with self.database(url) as database:
            row, own = channel(rule=RULE), channel("mine", "email", user_id=ANN.id, user="ann")
            self.stored(database, row, own)
            with database.write() as tx:
                assert not tx.channels.add(replace(row, id="y" * 26))
                assert not tx.channels.add(replace(own, id="y" * 26))
                assert tx.channels.add(replace(own, id="y" * 26, user_id=BOB.id, user="bob"))
                assert tx.channels.add(replace(own, id="z" * 26, name="team"))
                assert tx.channels.get(row.id) == tx.channels.find(TEAM, "team") == row
                assert [each.id for each in tx.channels.of(MINE)] == [own.id, "z" * 26]
                assert tx.channels.find(MINE, "mine") == own
                assert tx.channels.find(TEAM, "mine") is None
                changed = replace(row, target="!other", rule=Rule(on=[]), sealed_secret="s", disabled_at=3.0)  # noqa: S106 (no secret)
                tx.channels.change(replace(changed, name="never"))
                assert tx.channels.of(TEAM) == [replace(changed, rule=load_rule(dump_rule(changed.rule)))]
                tx.channels.remove(row.id)
                assert tx.channels.of(TEAM) == []

    def test_who_listens_to_a_project(self, url: str) -> None:
        with self.database(url) as database:
            self.stored(database, channel())
            with database.write() as tx:
                assert self.listening(tx, NAME) == ["team"]
                assert self.listening(tx, "other") == self.listening(tx, "a directory") == []
                tx.channels.add(channel("bobs", user_id=BOB.id, user="bob"))
                assert self.listening(tx, NAME) == ["team"]
                tx.members.put(PROJECT, BOB.id, Role.VIEWER)
                assert self.listening(tx, NAME) == ["bobs", "team"]
                assert self.listening(tx, "other") == []
                tx.channels.add(channel("anns", user_id=ANN.id, user="ann"))  # she is an admin
                assert self.listening(tx, NAME) == ["anns", "bobs", "team"]
                assert self.listening(tx, "other") == ["anns"]
                assert self.listening(tx, "a directory") == []
                tx.channels.change(channel(disabled_at=2.0))
                tx.users.change(replace(ANN, disabled_at=2.0))
                assert self.listening(tx, NAME) == ["bobs"]
                tx.members.remove(PROJECT, BOB.id)
                assert self.listening(tx, NAME) == []

    def listening(self, tx: Transaction, project: str) -> list[str]:
        """Return who listens to a project, and look whether it is known that anybody does."""
        found = [each.name for each in tx.channels.listening(project)]
        assert tx.channels.any_listening(project) is bool(found)
        return found

    def test_news_come_back_as_they_were(self, url: str) -> None:
        with self.database(url) as database:
            self.stored(database)
            steps = [StepNews("a", "failed", "exit code 2", 2, ["error: x", "\u00e9"])]
            news = News(NewsKind.STILL_FAILING, 2.5, NAME, "build", ONE, 7, "main", "c" * 40, seconds=1.5, steps=steps)
            with database.write() as tx:
                message = tx.dispatches.message("m" * 26, channel().id, ONE, ONE)
                assert tx.dispatches.message("n" * 26, channel().id, ONE, ONE) == message == "m" * 26
                assert tx.dispatches.last(message) == ("", 0.0)
                tx.dispatches.add(DispatchRow(identifier(1), message, news, 3.0, 4.0))
                assert tx.dispatches.last(message) == (identifier(1), 3.0)
                found = tx.dispatches.get(identifier(1))
                assert found is not None
                assert (found.news, found.channel, found.subject, found.state) == (news, channel().id, ONE, "waiting")
                assert tx.dispatches.get(identifier(2)) is tx.dispatches.get("\0") is None

    def test_what_is_due_is_handed_out_once(self, url: str) -> None:
        with self.database(url) as database:
            self.stored(database)
            with database.write() as tx:
                self.tell(tx, 1)
                assert tx.dispatches.next_at(CHAT) == 10.0
                assert tx.dispatches.next_at(["email"]) is None
            assert self.take(database, 9.9) == self.take(database, 10.0, ["email"]) == []
            assert self.take(database, 10.0) == [[1]]
            assert self.take(database, 69.0) == []
            with database.read() as tx:
                assert tx.dispatches.next_at(CHAT) == 70.0
            assert self.take(database, 70.0) == [[1]]  # who had it died
            self.settle(database, 1)
            with database.read() as tx:
                assert tx.dispatches.next_at(CHAT) is None
                row = tx.dispatches.get(identifier(1))
                assert row is not None
                assert (row.state, row.sent_at, row.tries) == (SENT, 20.0, 0)

    def test_channels_that_are_busy_are_left_out(self, url: str) -> None:
        with self.database(url) as database:
            self.stored(database, channel(), channel("other"))
            with database.write() as tx:
                self.tell(tx, 1)
                self.tell(tx, 2, name="other", next_at=11.0)
                assert tx.dispatches.next_at(CHAT) == 10.0
                assert tx.dispatches.next_at(CHAT, [channel().id]) == 11.0
                assert numbers(tx.dispatches.due(CHAT, 20.0, 9)) == [1, 2]
                assert numbers(tx.dispatches.due(CHAT, 20.0, 9, [channel().id])) == [2]
                assert numbers(tx.dispatches.due(CHAT, 20.0, 9, [channel().id, channel("other").id])) == []

    def test_who_has_it_is_kept_until_the_others_have_it(self, url: str) -> None:
        with self.database(url) as database:
            self.stored(database)
            with database.write() as tx:
                self.tell(tx, 1)
                assert [row.done for row in tx.dispatches.due(CHAT, 10.0, 9)] == [()]
                tx.dispatches.postpone(identifier(1), 50.0, error="away", done=["ann@example.org", "bob@example.org"])
            with database.read() as tx:
                (row,) = tx.dispatches.due(CHAT, 50.0, 9)
                assert row.done == ("ann@example.org", "bob@example.org")

    def test_of_many_at_once_one_gets_it(self, url: str) -> None:
        with self.database(url) as database:
            self.stored(database, channel(), channel("some", rule=RULE))
            with database.write() as tx:
                for number in range(1, 9):
                    self.tell(tx, number, (ONE, TWO)[number % 2])
                for number in range(11, 19):
                    self.tell(tx, number, (ONE, TWO)[number % 2], "some", parcel="")
            together = threading.Barrier(AT_ONCE)

            def take(_: int) -> list[list[int]]:
                together.wait(30)
                return self.take(database, 10.0)

            with ThreadPoolExecutor(AT_ONCE) as pool:
                taken = [parcel for parcels in pool.map(take, range(AT_ONCE)) for parcel in parcels]
            assert sorted(taken) == [[1], [2], list(range(11, 19))]

    def test_what_happened_later_is_told_later(self, url: str) -> None:
        with self.database(url) as database:
            self.stored(database)
            with database.write() as tx:
                for number in (1, 2, 3):
                    self.tell(tx, number)
                self.tell(tx, 4, TWO)
            assert self.take(database, 10.0) == [[1], [4]]
            with database.write() as tx:
                tx.dispatches.postpone(identifier(1), 50.0, error="away")
                assert tx.dispatches.next_at(CHAT) == 50.0
            assert self.take(database, 40.0) == []
            assert self.take(database, 50.0) == [[1]]
            self.settle(database, 1, FAILED)
            assert self.take(database, 50.0) == [[2]]
            self.settle(database, 2)
            assert self.take(database, 50.0) == [[3]]
            with database.read() as tx:
                third = tx.dispatches.get(identifier(3))
                assert third is not None
                assert [each.number for each in tx.dispatches.earlier([third])[third.id]] == [
                    2
                ]  # the first was not told

    def test_what_is_urgent_is_not_kept_back_by_what_was_to_wait(self, url: str) -> None:
        with self.database(url) as database:
            self.stored(database)
            with database.write() as tx:
                self.tell(tx, 1, next_at=900.0)
                self.tell(tx, 2, TWO, next_at=900.0)
                self.tell(tx, 3, next_at=10.0)
                assert tx.dispatches.next_at(CHAT) == 10.0
            assert self.take(database, 10.0) == [[1]]
            self.settle(database, 1)
            assert self.take(database, 10.0) == [[3]]

    def test_what_is_collected_goes_together(self, url: str) -> None:
        with self.database(url) as database:
            self.stored(database, channel(), channel("other"))
            with database.write() as tx:
                for number, run in enumerate((ONE, TWO, ONE), 1):
                    self.tell(tx, number, run, parcel="")
                self.tell(tx, 4, parcel="", next_at=20.0)
                self.tell(tx, 5, name="other", parcel="")
            assert sorted(self.take(database, 10.0)) == [[1, 2, 3], [5]]
            assert self.take(database, 20.0) == []  # the next digest comes after this one
            with database.write() as tx:
                tx.dispatches.postpone(identifier(1), 90.0, error="away")
                assert tx.dispatches.next_at(CHAT) == 70.0  # of the other channel
            self.settle(database, 5)
            with database.read() as tx:
                assert tx.dispatches.next_at(CHAT) == 90.0
            assert self.take(database, 90.0) == [[1, 2, 3]]  # the same ones, by the same name
            self.settle(database, 1)
            assert self.take(database, 90.0) == [[4]]
            with database.read() as tx:
                assert [row.state for row in tx.dispatches.page(channel().id, None, 9)] == ["waiting", SENT, SENT, SENT]

    def test_what_was_to_go_alone_goes_before_what_is_collected(self, url: str) -> None:
        with self.database(url) as database:
            self.stored(database)
            with database.write() as tx:
                self.tell(tx, 1)
                self.tell(tx, 2, parcel="")
                self.tell(tx, 3)
            for number in (1, 2, 3):
                assert self.take(database, 10.0) == [[number]]
                self.settle(database, number)

    def test_the_log_of_a_channel(self, url: str) -> None:
        with self.database(url) as database:
            self.stored(database)
            with database.write() as tx:
                for number in range(1, 6):
                    self.tell(tx, number, (ONE, TWO)[number % 2])
                tx.dispatches.postpone(identifier(1), 50.0, error="away", answer="503")
                first = tx.dispatches.page(channel().id, None, 2)
                rest = tx.dispatches.page(channel().id, first[-1].id, 9)
                assert numbers([*first, *rest]) == [5, 4, 3, 2, 1]
                assert (rest[-1].tries, rest[-1].error, rest[-1].answer) == (1, "away", "503")
                tx.dispatches.named(rest[-1].message, "$event")
                assert tx.dispatches.page(channel().id, None, 1)[0].remote == "$event"
                tx.dispatches.give_up(channel().id, "disabled")
                assert {(row.state, row.error) for row in tx.dispatches.page(channel().id, None, 9)} == {
                    (FAILED, "disabled")
                }
                assert tx.dispatches.next_at(CHAT) is None

    def test_a_channel_that_is_disabled_is_told_nothing(self, url: str) -> None:
        with self.database(url) as database:
            self.stored(database)
            with database.write() as tx:
                self.tell(tx, 1)
                tx.channels.change(channel(disabled_at=2.0))
                assert tx.dispatches.next_at(CHAT) is None
            assert self.take(database, 10.0) == []

    def test_what_goes_takes_what_was_to_be_told_with_it(self, url: str) -> None:
        with self.database(url) as database:
            self.stored(database, channel(), channel("mine", user_id=ANN.id))
            with database.write() as tx:
                self.tell(tx, 1)
                self.tell(tx, 2, TWO)
                self.tell(tx, 3, name="mine")
                tx.runs.save(replace(make_run(ONE), state=RunState.SUCCEEDED, finished_at=2.0), [], 0)
                assert not tx.runs.remove(ONE)  # somebody is still to be told
                tx.dispatches.drop(run=ONE)
                assert tx.runs.remove(ONE)
                assert [tx.dispatches.get(identifier(number)) is None for number in (1, 2, 3)] == [True, False, True]
                self.tell(tx, 4, TWO, "mine")
                tx.projects.delete(PROJECT)
                assert tx.channels.get(channel().id) is None
                assert tx.dispatches.get(identifier(2)) is None
                assert tx.dispatches.get(identifier(4)) is not None
                tx.dispatches.drop(project=NAME)
                assert tx.dispatches.get(identifier(4)) is None

    def test_what_was_told_of_no_run_is_forgotten(self, url: str) -> None:
        with self.database(url) as database:
            self.stored(database)
            with database.write() as tx:
                for number, (state, at) in enumerate([(SENT, 1.0), ("waiting", 1.0), (SENT, 9.0)], 1):
                    about = tx.dispatches.message(f"m{number:025d}", channel().id, f"node:{number}")
                    news = News(NewsKind.NODE_LOST, at, node="n")
                    tx.dispatches.add(DispatchRow(identifier(number), about, news, at, at, state=state))
                self.tell(tx, 4)
                self.settle_in(tx, 4)
                tx.dispatches.forget(5.0)
                assert numbers(tx.dispatches.page(channel().id, None, 9)) == [4, 3, 2]

    def settle_in(self, tx: Transaction, number: int) -> None:
        tx.dispatches.settle(identifier(number), SENT, now=1.0)

    def test_how_the_run_before_ended(self, url: str) -> None:
        with self.database(url) as database:
            people(database)
            ends = [RunState.FAILED, RunState.CANCELLED, RunState.SUCCEEDED]
            runs = [RunId(f"01{number:024d}") for number in range(4)]
            for run in runs:
                add(database, make_run(run), project=NAME)
            add(database, make_run(RunId("02" + "0" * 24)), project="other")
            with database.write() as tx:
                rows = [tx.runs.get(run) for run in runs]
                assert tx.runs.ended_before(self.over(tx, rows[0], ends[0], 5.0)) is None
                assert tx.runs.ended_before(self.over(tx, rows[1], ends[1], 6.0)) is RunState.FAILED
                assert tx.runs.ended_before(self.over(tx, rows[2], ends[2], 7.0)) is RunState.FAILED
                assert tx.runs.ended_before(self.over(tx, rows[3], ends[0], 6.5)) is RunState.FAILED  # before the third
                assert tx.runs.ended_before(self.over(tx, rows[3], ends[0], 8.0)) is RunState.SUCCEEDED
                other = tx.runs.get(RunId("02" + "0" * 24))
                assert tx.runs.ended_before(self.over(tx, other, ends[0], 9.0)) is None

    def over(self, tx: Transaction, row: Any, state: RunState, at: float) -> Any:
        """Let a run end."""
        run = replace(row.run, state=state, finished_at=at)
        tx.runs.save(run, [], 0)
        return replace(row, run=run)
