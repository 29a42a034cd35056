"""What every database must do for bots, links of people and holds of pipelines: tests like those of `store_suite`."""

# ruff: noqa: S101, D102  a module of tests without pytest: their names say what they check

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from sqlalchemy import delete

from flowbuild.core.errors import StoreError
from flowbuild.store.bots import BotRow
from flowbuild.store.holds import HoldRow
from flowbuild.store.link_codes import LinkCodeRow
from flowbuild.store.server_tables import projects, users
from flowbuild.store.users import IdentityRow
from flowbuild.testing.people_suite import ANN, BOB, OTHER, PROJECT, people
from flowbuild.testing.store_suite import StoreBench, refused

BOT = BotRow("01AAAAAAAAAAAAAAAAAAAAAAB1", "chatty", "matrix", "a" * 64, "root", 1.0)
CODE = LinkCodeRow("c" * 64, ANN.id, 10.0, 20.0)
HOLD = HoldRow("team/app", "deploy", "ann", 5.0, "the database moves")
AT_ONCE = 8  # threads that do the same


class ChatSuite(StoreBench):
    """The tests."""

    def test_bots(self, url: str) -> None:
        with self.database(url) as database:
            other = replace(BOT, id="01AAAAAAAAAAAAAAAAAAAAAAB2", name="other", network="slack", key_hash="b" * 64)
            with database.write() as tx:
                assert tx.bots.add(BOT)
                assert tx.bots.add(other)
                assert [tx.bots.by_hash("a" * 64), tx.bots.by_hash("c" * 64)] == [BOT, None]
                assert [tx.bots.get(BOT.id), tx.bots.get(ANN.id)] == [BOT, None]
                assert [tx.bots.named("other"), tx.bots.named("third")] == [other, None]
                tx.bots.seen(BOT.id, 7.0)
                tx.bots.called(BOT.id, "@flow:example.org")
                assert tx.bots.all() == [replace(BOT, seen_at=7.0, called="@flow:example.org"), other]

    def test_a_name_is_free_again_when_its_bot_is_revoked(self, url: str) -> None:
        with self.database(url) as database:
            again = replace(BOT, id="01AAAAAAAAAAAAAAAAAAAAAAB3", key_hash="d" * 64)
            with database.write() as tx:
                assert tx.bots.add(BOT)
                assert not tx.bots.add(again)
                assert tx.bots.all() == [BOT]
                tx.bots.revoke(BOT.id, 8.0)
                tx.bots.revoke(BOT.id, 9.0)
                assert tx.bots.named("chatty") == replace(BOT, revoked_at=8.0)
                assert tx.bots.add(again)
                assert tx.bots.all() == [again]
                assert tx.bots.by_hash("a" * 64) is None

    def test_a_code_is_good_once_and_not_for_long(self, url: str) -> None:
        with self.database(url) as database:
            people(database)
            with database.write() as tx:
                tx.link_codes.put(CODE)
                assert tx.link_codes.take("d" * 64, 11.0) is None
                assert tx.link_codes.take("c" * 64, 19.9) == ANN.id
                assert tx.link_codes.take("c" * 64, 19.9) is None
                tx.link_codes.put(CODE)
                assert tx.link_codes.take("c" * 64, 20.0) is None

    def test_a_person_has_one_code_and_old_ones_go(self, url: str) -> None:
        with self.database(url) as database:
            people(database)
            with database.write() as tx:
                tx.link_codes.put(CODE)
                tx.link_codes.put(replace(CODE, hash="d" * 64, user_id=BOB.id))
                tx.link_codes.put(replace(CODE, hash="e" * 64, created_at=19.0, expires_at=29.0))
                assert [tx.link_codes.take(hash_ * 64, 19.5) for hash_ in "cde"] == [None, BOB.id, ANN.id]
                tx.link_codes.put(CODE)
                tx.link_codes.put(replace(CODE, hash="d" * 64, user_id=BOB.id, created_at=20.0, expires_at=30.0))
                assert tx.link_codes.take("c" * 64, 19.0) is None  # it was over when the other one was made

    def test_of_many_who_have_a_code_one_gets_something_for_it(self, url: str) -> None:
        with self.database(url) as database, ThreadPoolExecutor(AT_ONCE) as pool:
            people(database)
            with database.write() as tx:
                tx.link_codes.put(CODE)
            ready = threading.Barrier(AT_ONCE)

            def take(_number: int) -> str | None:
                ready.wait()
                with database.write() as tx:
                    return tx.link_codes.take("c" * 64, 11.0)

            found = list(pool.map(take, range(AT_ONCE)))
            assert sorted(map(str, found)) == sorted([ANN.id, *["None"] * (AT_ONCE - 1)])

    def test_a_name_on_a_network_is_of_one_person(self, url: str) -> None:
        with self.database(url) as database:
            people(database)
            link = IdentityRow("chat:matrix", "@ann:example.org", ANN.id, 7.0)

            def link_to(user: str) -> None:
                with database.write() as tx:
                    tx.users.link(replace(link, user_id=user))

            link_to(ANN.id)
            refused(lambda: link_to(BOB.id), StoreError)
            with database.read() as tx:
                assert tx.users.identified("chat:matrix", "@ann:example.org") == ANN

    def test_with_a_person_go_their_codes_and_names(self, url: str) -> None:
        with self.database(url) as database:
            people(database)
            with database.write() as tx:
                tx.link_codes.put(CODE)
                tx.users.link(IdentityRow("chat:matrix", "@ann:example.org", ANN.id, 7.0))
                tx._connection.execute(delete(users).where(users.c.id == ANN.id))  # noqa: SLF001 (nothing does it yet)
                assert tx.link_codes.take("c" * 64, 11.0) is None
                assert tx.users.identified("chat:matrix", "@ann:example.org") is None

    def test_holds(self, url: str) -> None:
        with self.database(url) as database:
            people(database)
            elsewhere = replace(HOLD, project="other")
            with database.write() as tx:
                assert tx.holds.put(PROJECT, HOLD)
                assert tx.holds.put(OTHER, elsewhere)
                assert not tx.holds.put(PROJECT, replace(HOLD, held_by="bob", at=6.0, reason=""))
                assert [tx.holds.get("team/app", "deploy"), tx.holds.get("team/app", "test")] == [HOLD, None]
                build = replace(HOLD, pipeline="build", reason="")
                assert tx.holds.put(PROJECT, build)
                assert tx.holds.of_project("team/app") == [build, HOLD]
                assert [tx.holds.remove(PROJECT, "deploy") for _ in range(2)] == [True, False]
                assert [tx.holds.get("team/app", "deploy"), tx.holds.get("other", "deploy")] == [None, elsewhere]
                tx._connection.execute(delete(projects).where(projects.c.id == OTHER))  # noqa: SLF001 (see above)
                assert tx.holds.of_project("other") == []
