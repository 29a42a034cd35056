"""What every database must do for people and secrets: tests like those of `store_suite`."""

# ruff: noqa: S101, D102  a module of tests without pytest: their names say what they check

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

from sqlalchemy import insert, update

from flowbuild.core.access import Role
from flowbuild.core.errors import StoreError
from flowbuild.core.scoping import SecretScope
from flowbuild.store.audit import FIRST
from flowbuild.store.chat_tables import metadata
from flowbuild.store.database import Database
from flowbuild.store.sealed import PLACES
from flowbuild.store.secrets import SecretRow
from flowbuild.store.server_tables import audit, projects
from flowbuild.store.sessions import SessionRow
from flowbuild.store.tokens import TokenRow
from flowbuild.store.users import IdentityRow, UserRow
from flowbuild.testing.store_suite import StoreBench, refused

ANN = UserRow("01AAAAAAAAAAAAAAAAAAAAAAA1", "ann", "ann@example.org", "Ann", "hash", "admin", 1.0)
BOB = UserRow("01AAAAAAAAAAAAAAAAAAAAAAB2", "bob", "", "", "", "user", 2.0)
PROJECT, OTHER = "01AAAAAAAAAAAAAAAAAAAAAAP1", "01AAAAAAAAAAAAAAAAAAAAAAP2"
SESSION = SessionRow("a" * 64, ANN.id, "b" * 64, 10.0, 10.0, 100.0, "10.0.0.1", "Browser")
TOKEN = TokenRow("01AAAAAAAAAAAAAAAAAAAAAAT1", "c" * 64, "wxyz", "ci", ANN.id, ("read", "run"), 5.0, 50.0, "team/app")
SECRET = SecretRow("01AAAAAAAAAAAAAAAAAAAAAAS1", PROJECT, "KEY", SecretScope(), "v1.x.y.z", 1, "ann", 3.0, 3.0)


class _Undone(Exception):
    """Rolls a transaction back."""


def people(database: Database) -> None:
    """Store two people and two projects."""
    with database.write() as tx:
        for user in (ANN, BOB):
            tx.users.add(user)
        for number, name in ((PROJECT, "team/app"), (OTHER, "other")):
            row = {"id": number, "name": name, "url": "https://git.example/app", "created_at": 1.0}
            tx._connection.execute(insert(projects).values(**row))  # noqa: SLF001 (the table is another module's)


class PeopleSuite(StoreBench):
    """The tests."""

    def test_people(self, url: str) -> None:
        with self.database(url) as database:
            with database.read() as tx:
                assert (tx.users.any(), tx.users.admins()) == (False, 0)
            people(database)
            with database.write() as tx:
                assert (tx.users.any(), tx.users.admins()) == (True, 1)
                assert [tx.users.get(ANN.id), tx.users.named("bob"), tx.users.named("carl")] == [ANN, BOB, None]
                assert "no user" in refused(lambda: tx.users.get("nobody"))
                assert [tx.users.emailed("ANN@example.ORG"), tx.users.emailed("ann")] == [[ANN], []]
                assert [tx.users.page("", 1), tx.users.page("ann", 5)] == [[ANN], [BOB]]
                tx.users.change(replace(ANN, name="never", email="new", disabled_at=9.0))
                assert tx.users.get(ANN.id) == replace(ANN, email="new", disabled_at=9.0)
                assert tx.users.admins() == 0

    def test_no_two_people_of_one_name(self, url: str) -> None:
        with self.database(url) as database:
            people(database)

            def again() -> None:
                with database.write() as tx:
                    tx.users.add(replace(BOB, id="01AAAAAAAAAAAAAAAAAAAAAAB3"))

            refused(again, StoreError)

    def test_identities(self, url: str) -> None:
        with self.database(url) as database:
            people(database)
            with database.write() as tx:
                tx.users.link(IdentityRow("oidc", "1234", BOB.id, 7.0))
                assert tx.users.identified("oidc", "1234") == BOB
                assert [tx.users.identified("oidc", "1"), tx.users.identified("chat", "1234")] == [None, None]
                assert tx.users.identities(BOB.id) == [IdentityRow("oidc", "1234", BOB.id, 7.0)]
                tx.users.unlink("oidc", "1234", ANN.id)  # not hers
                assert tx.users.identified("oidc", "1234") == BOB
                tx.users.unlink("oidc", "1234", BOB.id)
                assert tx.users.identified("oidc", "1234") is None

    def test_sessions(self, url: str) -> None:
        with self.database(url) as database:
            people(database)
            other = replace(SESSION, hash="d" * 64, created_at=11.0)
            with database.write() as tx:
                tx.sessions.add(SESSION)
                tx.sessions.add(other)
                assert [tx.sessions.get("a" * 64), tx.sessions.get("e" * 64)] == [SESSION, None]
                tx.sessions.used("a" * 64, 20.0)
                used = replace(SESSION, used_at=20.0)
                assert (tx.sessions.of_user(ANN.id), tx.sessions.of_user(BOB.id)) == ([other, used], [])
                tx.sessions.end_all(ANN.id, but="a" * 64)
                assert tx.sessions.of_user(ANN.id) == [used]
                tx.sessions.add(other)
                assert tx.sessions.sweep(now=50.0, unused_since=15.0) == 1  # the one that is not used
                assert tx.sessions.of_user(ANN.id) == [used]
                assert tx.sessions.sweep(now=100.0, unused_since=15.0) == 1  # the one that is over
                tx.sessions.add(other)
                tx.sessions.end("d" * 64)
                assert tx.sessions.of_user(ANN.id) == []

    def test_tokens(self, url: str) -> None:
        with self.database(url) as database:
            people(database)
            free = replace(TOKEN, id="01AAAAAAAAAAAAAAAAAAAAAAT2", hash="e" * 64, project=None, expires_at=None)
            with database.write() as tx:
                tx.tokens.add(TOKEN, PROJECT)
                tx.tokens.add(free, None)
                assert [tx.tokens.by_hash("c" * 64), tx.tokens.get(free.id), tx.tokens.by_hash("f" * 64)] == [
                    TOKEN,
                    free,
                    None,
                ]
                assert (tx.tokens.of_user(ANN.id), tx.tokens.of_user(BOB.id)) == ([free, TOKEN], [])
                tx.tokens.used(TOKEN.id, 8.0)
                tx.tokens.revoke(TOKEN.id, 9.0)
                tx.tokens.revoke(TOKEN.id, 10.0)
                assert tx.tokens.get(TOKEN.id) == replace(TOKEN, used_at=8.0, revoked_at=9.0)
                assert tx.tokens.get(free.id) == free

    def test_roles(self, url: str) -> None:
        with self.database(url) as database:
            people(database)
            with database.write() as tx:
                tx.members.put(PROJECT, BOB.id, Role.VIEWER)
                tx.members.put(PROJECT, BOB.id, Role.APPROVER)
                tx.members.put(OTHER, BOB.id, Role.DEVELOPER)
                tx.members.put(PROJECT, ANN.id, Role.MAINTAINER)
                assert tx.members.roles(BOB.id) == {"team/app": Role.APPROVER, "other": Role.DEVELOPER}
                listed = [(each.name, each.role) for each in tx.members.of_project(PROJECT)]
                assert listed == [("ann", Role.MAINTAINER), ("bob", Role.APPROVER)]
                tx.members.remove(PROJECT, BOB.id)
                assert tx.members.roles(BOB.id) == {"other": Role.DEVELOPER}

    def test_secrets(self, url: str) -> None:
        with self.database(url) as database:
            people(database)
            narrow = replace(
                SECRET, id="01AAAAAAAAAAAAAAAAAAAAAAS2", scope=SecretScope("prod", "release/*", ("deploy", "smoke"))
            )
            foreign = replace(SECRET, id="01AAAAAAAAAAAAAAAAAAAAAAS3", project_id=OTHER)
            with database.write() as tx:
                for row in (SECRET, narrow, foreign):
                    tx.secrets.put(row)
                assert tx.secrets.of_project(PROJECT) == [SECRET, narrow]
                assert tx.secrets.of_project(PROJECT, ["KEY"]) == [SECRET, narrow]
                assert tx.secrets.of_project(PROJECT, ["OTHER"]) == tx.secrets.of_project(PROJECT, []) == []
                tx.secrets.put(replace(SECRET, sealed="v1.new", version=2))
                tx.secrets.used([SECRET.id], 7.0)
                assert tx.secrets.of_project(PROJECT)[0] == replace(SECRET, sealed="v1.new", version=2, used_at=7.0)
                tx.secrets.remove(SECRET.id)
                assert [row.id for row in tx.secrets.of_project(PROJECT)] == [narrow.id]

    def test_everything_sealed_is_found(self, url: str) -> None:
        named = {column for table in metadata.sorted_tables for column in table.c if "sealed" in column.name}
        assert set(PLACES) == named
        with self.database(url) as database:
            people(database)
            many = [replace(SECRET, id=f"01{n:024}", scope=SecretScope(f"e{n}"), sealed=f"v1.{n}") for n in range(1200)]
            with database.write() as tx:
                for row in many:
                    tx.secrets.put(row)
                update_ = update(projects).where(projects.c.id == OTHER).values(sealed_credential="v1.git")
                tx._connection.execute(update_)  # noqa: SLF001 (the table is another module's)
                found = list(tx.sealed.all())
                assert len(found) == 1201
                assert {text for _, _, text in found} == {"v1.git", *(row.sealed for row in many)}
                column, row_id, text = found[-1]
                assert (row_id, text) == (OTHER, "v1.git")
                tx.sealed.replace(column, row_id, "changed meanwhile", "v1.stale")
                assert list(tx.sealed.all()) == found
                tx.sealed.replace(column, row_id, "v1.git", "v1.again")
                assert list(tx.sealed.all())[-1] == (column, OTHER, "v1.again")
                tx.sealed.replace(column, row_id, "v1.again", "")
                assert list(tx.sealed.all()) == found[:-1]

    def test_the_audit_log_is_a_chain(self, url: str) -> None:
        with self.database(url) as database:
            with database.read() as tx:
                assert (tx.audit.last(), tx.audit.broken()) == ((0, FIRST), "")
            with database.write() as tx:
                for number in range(5):
                    project = "app" if number % 2 else ""
                    tx.audit.append(
                        number,
                        "ann",
                        f"do.{number % 3}",
                        "run:ä",
                        detail={"n": [number, "\0", None]},
                        project_id=project,
                    )
            with database.read() as tx:
                rows = tx.audit.page(before=None, limit=10)
                assert [row.seq for row in rows] == [5, 4, 3, 2, 1]
                assert tx.audit.last() == (5, rows[0].hash)
                assert [row.previous_hash for row in rows] == [*(row.hash for row in rows[1:]), FIRST]
                assert rows[0].detail == {"n": [4, "\0", None]}
                assert [row.seq for row in tx.audit.page(before=4, limit=2)] == [3, 2]
                assert [row.seq for row in tx.audit.page(before=None, limit=9, project_id="app")] == [4, 2]
                assert [row.seq for row in tx.audit.page(before=None, limit=9, actor="ann", action="do.1")] == [5, 2]
                assert [tx.audit.happened("app", "do.0", "run:ä", since) for since in (3.0, 3.5)] == [True, False]
                assert not tx.audit.happened("", "do.0", "run:b", 0.0)
                assert (tx.audit.hash_of(5), tx.audit.hash_of(6), tx.audit.broken()) == (rows[0].hash, "", "")

    def test_tampering_with_the_audit_log_is_found(self, url: str) -> None:
        changes = {
            "row 3 was changed": update(audit).where(audit.c.seq == 3).values(actor="eve"),
            "row 2 was changed": update(audit).where(audit.c.seq == 2).values(detail="{} "),
            "row 1 was changed": update(audit).where(audit.c.seq == 1).values(at=1.5),
            "row 2 is missing": audit.delete().where(audit.c.seq == 2),
            "row 1 is missing": audit.delete().where(audit.c.seq == 1),
            "row 4 does not follow the row before it": update(audit)
            .where(audit.c.seq == 4)
            .values(previous_hash="f" * 64),
        }
        with self.database(url) as database:
            with database.write() as tx:
                for number in range(5):
                    tx.audit.append(number, "ann", "do", "run:1")
            for expected, change in changes.items():
                with suppress(_Undone), database.write() as tx:
                    tx._connection.execute(change)  # noqa: SLF001 (an intruder does not ask the store)
                    assert tx.audit.broken() == expected
                    raise _Undone

    def test_who_acts_at_once_stands_in_one_chain(self, url: str) -> None:
        with self.database(url) as database, self.database(url) as second, ThreadPoolExecutor(8) as pool:

            def act(number: int) -> None:
                with (database, second)[number % 2].write() as tx:
                    tx.audit.append(1.0, f"user{number}", "do", "run:1")

            list(pool.map(act, range(40)))
            with database.read() as tx:
                assert (tx.audit.last()[0], tx.audit.broken()) == (40, "")
                assert len({row.actor for row in tx.audit.page(before=None, limit=100)}) == 40
