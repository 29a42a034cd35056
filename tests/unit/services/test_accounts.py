"""Accounts: the first admin, people, logins, passwords, tokens; who asks by what they show."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from argon2 import PasswordHasher
from sqlalchemy import insert

from flowbuild.auth.limits import PER_PAIR, LoginLimits
from flowbuild.auth.passwords import Passwords
from flowbuild.auth.tokens import TokenKind, kind_of, new_token
from flowbuild.core.access import Action, Principal, Role, allowed
from flowbuild.core.errors import (
    Conflict,
    FlowError,
    Forbidden,
    InvalidRequest,
    NotFound,
    RateLimited,
    Unauthenticated,
)
from flowbuild.services.accounts import DAY, Accounts, Browser, Lifetimes
from flowbuild.services.audit import Actor, AuditLog
from flowbuild.services.members import MemberService
from flowbuild.services.news import person_topic
from flowbuild.services.principals import NOTED, Principals
from flowbuild.services.signals import Signals
from flowbuild.services.tokens import TokenService
from flowbuild.services.users import UserChange, UserService
from flowbuild.store.server_tables import projects
from flowbuild.testing.databases import new_sqlite

HASHER = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
GOOD, BETTER = "correct horse battery", "tea with a purple zebra"
HOME = Browser("10.0.0.1", "Browser")
ROOT = Actor("root", "10.0.0.9")


class Clock:
    now = 1_000_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def server(tmp_path):
    """The services of people over an empty database."""
    clock, database = Clock(), new_sqlite(tmp_path / "flow.db")
    passwords, lifetimes, signals = Passwords(HASHER), Lifetimes(), Signals()
    yield SimpleNamespace(
        clock=clock,
        signals=signals,
        database=database,
        accounts=Accounts(database, passwords, LoginLimits(clock), signals, clock, lifetimes=lifetimes),
        users=UserService(database, passwords, signals, clock),
        tokens=TokenService(database, signals, clock),
        members=MemberService(database, signals, clock),
        principals=Principals(database, clock, lifetimes),
        audit=AuditLog(database),
    )
    database.close()


@pytest.fixture
def ann(server):
    return server.users.add(ROOT, "ann", GOOD, change=UserChange(email="ann@example.org"))


def project(server, name="team/app"):
    with server.database.write() as tx:
        row = {"id": f"01{name:>24}", "name": name, "url": "u", "created_at": 1.0}
        tx._connection.execute(insert(projects).values(**row))


def refusal(error, action, *values, **options):
    with pytest.raises(error) as caught:
        action(*values, **options)
    return caught.value


def told(server):
    return [(row.actor, row.action, row.object) for row in server.audit.page(before=None, limit=99, project=None)]


def asks(server, login):
    return server.principals.of_session(login.cookie, None)


class TestSetup:
    def test_the_first_admin_comes_with_a_code(self, server):
        code = server.accounts.setup_code()
        assert kind_of(code) is TokenKind.CODE
        assert server.accounts.setup_code() == code  # printed again it is the same
        login = server.accounts.set_up(code, "root", GOOD, HOME)
        principal = asks(server, login)
        assert (principal.name, principal.admin) == ("root", True)
        assert server.accounts.setup_code() is None
        refusal(Unauthenticated, server.accounts.set_up, code, "eve", GOOD, HOME)  # it was used

    def test_only_with_the_code(self, server):
        for guess in ("", "x", new_token(TokenKind.CODE), "\ud800"):
            refusal(Unauthenticated, server.accounts.set_up, guess, "eve", GOOD, HOME)  # none was made
        code = server.accounts.setup_code()
        for guess in ("", code[:-1], code.upper(), new_token(TokenKind.CODE)):
            refusal(Unauthenticated, server.accounts.set_up, guess, "eve", GOOD, HOME)
        assert not server.users.page("", 9)
        assert server.accounts.set_up(code, "root", GOOD, HOME)  # the control

    def test_a_mistake_does_not_use_the_code_up(self, server):
        code = server.accounts.setup_code()
        refusal(InvalidRequest, server.accounts.set_up, code, "root", "short", HOME)
        refusal(InvalidRequest, server.accounts.set_up, code, "Root!", GOOD, HOME)
        assert server.accounts.set_up(code, "root", GOOD, HOME)

    def test_two_at_once_make_one_admin(self, server):
        code = server.accounts.setup_code()

        def attempt(number):
            try:
                return server.accounts.set_up(code, f"root{number}", GOOD, HOME)
            except FlowError as error:
                return error

        with ThreadPoolExecutor(8) as pool:
            results = list(pool.map(attempt, range(8)))
        assert sum(not isinstance(result, FlowError) for result in results) == 1
        assert len(server.users.page("", 99)) == 1

    def test_who_came_otherwise_ends_the_setup(self, server):
        code = server.accounts.setup_code()
        server.users.add(Actor("cli"), "root", GOOD, role="admin", change=UserChange())
        refusal(Conflict, server.accounts.set_up, code, "eve", GOOD, HOME)


class TestUsers:
    @pytest.mark.parametrize(
        "name", ["", "Ann", "ä", "a b", "-a", "a" * 65, "a\0", "maintainers", "developer", "flow", "system", "a\n"]
    )
    def test_names(self, server, name):
        refusal(InvalidRequest, server.users.add, ROOT, name, GOOD, change=UserChange())

    def test_no_two_of_one_name(self, server, ann):
        assert "already" in refusal(Conflict, server.users.add, ROOT, "ann", GOOD, change=UserChange()).message

    @pytest.mark.parametrize(
        "change",
        [
            UserChange(email="no address"),
            UserChange(email="a@b\0c"),
            UserChange(display_name="x" * 257),
            UserChange(display_name="\u202e"),
            UserChange(role="maintainer"),
            UserChange(role=""),
        ],
    )
    def test_bad_changes(self, server, ann, change):
        refusal(InvalidRequest, server.users.change, ROOT, "ann", change)
        assert server.users.get("ann") == ann

    def test_changes(self, server, ann):
        server.users.change(ROOT, "ann", UserChange(display_name=" Ann A. ", role="admin", email=""))
        changed = server.users.get("ann")
        assert (changed.display_name, changed.role, changed.email) == ("Ann A.", "admin", "")
        assert changed.password_hash == ann.password_hash

    @pytest.mark.parametrize("name", ["nobody", "", "a\0b", "\ud800", "x" * 1000])
    def test_who_is_not_there(self, server, name):
        refusal(NotFound, server.users.get, name)
        refusal(NotFound, server.users.change, ROOT, name, UserChange(disabled=True))
        refusal(NotFound, server.users.set_password, ROOT, name, GOOD)

    def test_a_server_is_never_without_an_admin(self, server, ann):
        server.users.add(ROOT, "root", GOOD, role="admin", change=UserChange())
        for change in (UserChange(role="user"), UserChange(disabled=True)):
            assert "last admin" in refusal(Conflict, server.users.change, ROOT, "root", change).message
        server.users.change(ROOT, "ann", UserChange(role="admin"))
        server.users.change(ROOT, "root", UserChange(disabled=True))
        refusal(Conflict, server.users.change, ROOT, "ann", UserChange(disabled=True))

    def test_one_who_is_disabled_is_out_at_once_and_comes_back_with_the_same_rights(self, server, ann):
        project(server)
        server.members.put(ROOT, "team/app", "ann", "developer")
        login = server.accounts.login("ann", GOOD, HOME)
        token, _ = server.tokens.create(ROOT, asks(server, login), "ci", scopes=["run"])
        server.users.change(ROOT, "ann", UserChange(disabled=True))
        for show in (lambda: asks(server, login), lambda: server.principals.of_token(token)):
            refusal(Unauthenticated, show)
        refusal(Unauthenticated, server.accounts.login, "ann", GOOD, HOME)
        server.users.change(ROOT, "ann", UserChange(disabled=False))
        assert server.principals.of_token(token).roles == {"team/app": Role.DEVELOPER}
        refusal(Unauthenticated, asks, server, login)  # the login stays ended

    def test_a_password_set_by_an_admin_ends_logins(self, server, ann):
        login = server.accounts.login("ann", GOOD, HOME)
        server.users.set_password(ROOT, "ann", BETTER)
        refusal(Unauthenticated, asks, server, login)
        assert server.accounts.login("ann", BETTER, HOME)
        refusal(InvalidRequest, server.users.set_password, ROOT, "ann", "short")


class TestLogin:
    def test_name_and_password(self, server, ann):
        login = server.accounts.login(" Ann ", GOOD, HOME)
        principal = asks(server, login)
        assert principal == Principal("user", ann.id, "ann", via=principal.via)
        assert principal.via.startswith("session:")
        assert server.accounts.me(ann.id) == ann

    def test_all_refusals_look_the_same(self, server, ann):
        server.users.add(ROOT, "oidc-only", None, change=UserChange())
        server.users.add(ROOT, "gone", GOOD, change=UserChange(disabled=True))
        refusals = {
            str(refusal(Unauthenticated, server.accounts.login, name, password, Browser(f"10.1.0.{number}")))
            for number, (name, password) in enumerate(
                [
                    ("ann", BETTER),
                    ("nobody", GOOD),
                    ("gone", GOOD),
                    ("oidc-only", GOOD),
                    ("oidc-only", ""),
                    ("a\0", "x"),
                ]
            )
        }
        assert refusals == {"name or password is wrong"}

    def test_a_password_typed_as_a_name_is_not_kept(self, server):
        refusal(Unauthenticated, server.accounts.login, GOOD, "", HOME)
        assert told(server) == [("", "login.refuse", "user:?")]

    def test_guessing_is_slow(self, server, ann):
        for _ in range(PER_PAIR.burst):
            refusal(Unauthenticated, server.accounts.login, "ann", BETTER, HOME)
        assert refusal(RateLimited, server.accounts.login, "ann", GOOD, HOME).seconds > 1
        server.clock.now += PER_PAIR.seconds
        assert server.accounts.login("ann", GOOD, HOME)

    def test_hashes_of_an_older_cost_are_made_again(self, server, ann):
        dearer = Passwords(PasswordHasher(time_cost=2, memory_cost=64, parallelism=1))
        accounts = Accounts(server.database, dearer, LoginLimits(server.clock), server.signals, server.clock)
        accounts.login("ann", GOOD, HOME)
        now = server.users.get("ann").password_hash
        assert now != ann.password_hash
        assert not dearer.outdated(now)
        assert accounts.login("ann", GOOD, HOME)

    def test_one_whose_account_changes_meanwhile_is_not_let_in(self, server, ann):
        class Slow(Passwords):
            def verify(self, kept, password):
                found = super().verify(kept, password)
                server.users.change(ROOT, "ann", UserChange(disabled=True))
                return found

        accounts = Accounts(server.database, Slow(HASHER), LoginLimits(server.clock), server.signals, server.clock)
        assert "changed" in refusal(Unauthenticated, accounts.login, "ann", GOOD, HOME).message

    def test_what_a_browser_says_of_itself_is_cut_to_size(self, server, ann):
        server.accounts.login("ann", GOOD, Browser("10.0.0.1", "\0evil\x1b[31m" + "x" * 10_000))
        (session,) = server.accounts.sessions(ann.id)
        assert session.agent.startswith("evil[31mxxx")
        assert len(session.agent) <= 256


class TestSessions:
    def test_changes_need_the_token_that_only_our_pages_know(self, server, ann):
        login, other = (server.accounts.login("ann", GOOD, HOME) for _ in range(2))
        assert server.principals.of_session(login.cookie, login.form_token).name == "ann"
        for forged in ("", "x", login.cookie, other.form_token, "\ud800"):
            refusal(Forbidden, server.principals.of_session, login.cookie, forged)

    def test_other_cookies_open_nothing(self, server):
        for cookie in ("", "x", "\0", "\ud800", new_token(TokenKind.SESSION)):
            refusal(Unauthenticated, server.principals.of_session, cookie, None)

    def test_what_the_database_holds_opens_nothing(self, server, ann):
        login = server.accounts.login("ann", GOOD, HOME)
        with server.database.read() as tx:
            (row,) = tx.sessions.of_user(ann.id)
        for kept in (row.hash, row.csrf_hash, login.form_token):
            refusal(Unauthenticated, server.principals.of_session, kept, None)

    def test_they_end_when_nobody_uses_them(self, server, ann):
        login = server.accounts.login("ann", GOOD, HOME)
        for _ in range(5):
            server.clock.now += Lifetimes().idle - NOTED
            assert asks(server, login)
        server.clock.now += Lifetimes().idle
        refusal(Unauthenticated, asks, server, login)
        assert server.accounts.sessions(ann.id) == []

    def test_they_end_at_last_however_much_they_are_used(self, server, ann):
        login = server.accounts.login("ann", GOOD, HOME)
        assert login.expires_at == server.clock.now + 7 * DAY
        while server.clock.now + Lifetimes().idle / 2 < login.expires_at:
            server.clock.now += Lifetimes().idle / 2
            assert asks(server, login)
        server.clock.now = login.expires_at
        refusal(Unauthenticated, asks, server, login)

    def test_logout(self, server, ann):
        login, other = (server.accounts.login("ann", GOOD, HOME) for _ in range(2))
        server.accounts.logout(login.cookie)
        server.accounts.logout("never was one")
        refusal(Unauthenticated, asks, server, login)
        assert asks(server, other)

    def test_people_see_and_end_their_own(self, server, ann):
        server.users.add(ROOT, "bob", GOOD, change=UserChange())
        hers = server.accounts.login("ann", GOOD, HOME)
        his = server.accounts.login("bob", GOOD, HOME)
        (session,) = server.accounts.sessions(ann.id)
        bob = asks(server, his).id
        for wrong in (session.hash, session.hash[:12], "", "f" * 64):
            refusal(NotFound, server.accounts.end_session, ROOT, bob, wrong)
        server.accounts.end_session(ROOT, ann.id, session.hash[:12])
        refusal(Unauthenticated, asks, server, hers)
        assert asks(server, his)

    def test_a_changed_password_ends_the_other_ones(self, server, ann):
        here, there = (server.accounts.login("ann", GOOD, HOME) for _ in range(2))
        refusal(Forbidden, server.accounts.change_password, ROOT, ann.id, BETTER, BETTER)
        refusal(InvalidRequest, server.accounts.change_password, ROOT, ann.id, GOOD, "short")
        server.accounts.change_password(ROOT, ann.id, GOOD, BETTER, keep=here.cookie)
        assert asks(server, here)
        refusal(Unauthenticated, asks, server, there)
        refusal(Unauthenticated, server.accounts.login, "ann", GOOD, HOME)
        assert server.accounts.login("ann", BETTER, HOME)

    def test_the_old_password_cannot_be_guessed_from_within(self, server, ann):
        for _ in range(PER_PAIR.burst):
            refusal(Forbidden, server.accounts.change_password, ROOT, ann.id, "guess", BETTER)
        refusal(RateLimited, server.accounts.change_password, ROOT, ann.id, GOOD, BETTER)


class TestTokens:
    @pytest.fixture
    def owner(self, server, ann):
        project(server)
        server.members.put(ROOT, "team/app", "ann", "developers")
        return asks(server, server.accounts.login("ann", GOOD, HOME))

    def test_a_token_acts_as_its_owner_within_its_scopes(self, server, owner):
        token, row = server.tokens.create(ROOT, owner, "ci", scopes=["run", "run"], project="team/app", days=1)
        principal = server.principals.of_token(token)
        assert (principal.kind, principal.name, principal.project) == ("token", "ann", "team/app")
        assert allowed(principal, Action.RUN_START, "team/app")
        assert not allowed(principal, Action.RUN_READ, "team/app")
        assert token.endswith(row.hint)
        assert token not in repr(server.tokens.of_user(owner.id))

    def test_it_ends_with_its_time_or_when_it_is_taken_back(self, server, owner):
        token, _ = server.tokens.create(ROOT, owner, "ci", scopes=["run"], days=1)
        server.clock.now += 1
        other, other_row = server.tokens.create(ROOT, owner, "ci", scopes=["run"])
        assert other_row.expires_at == server.clock.now + 90 * DAY
        server.tokens.revoke(ROOT, owner.id, other_row.id)
        assert "not known" in refusal(Unauthenticated, server.principals.of_token, other).message
        server.clock.now += DAY - 2
        assert server.principals.of_token(token)
        server.clock.now += 1
        assert "over" in refusal(Unauthenticated, server.principals.of_token, token).message
        assert [each.used_at is not None for each in server.tokens.of_user(owner.id)] == [False, True]

    def test_roles_are_those_of_now(self, server, owner):
        token, _ = server.tokens.create(ROOT, owner, "ci", scopes=["run"])
        server.members.remove(ROOT, "team/app", "ann")
        assert not allowed(server.principals.of_token(token), Action.RUN_START, "team/app")

    @pytest.mark.parametrize(
        "options",
        [
            {"scopes": []},
            {"scopes": ["all"]},
            {"scopes": ["run"], "days": 0},
            {"scopes": ["run"], "days": -1},
            {"scopes": ["run"], "days": 367},
            {"scopes": ["run"], "days": float("nan")},
            {"scopes": ["run"], "name": " "},
            {"scopes": ["run"], "name": "a\0"},
        ],
    )
    def test_bad_ones(self, server, owner, options):
        refusal(InvalidRequest, server.tokens.create, ROOT, owner, options.pop("name", "ci"), **options)

    def test_only_for_projects_that_one_may_see(self, server, owner):
        project(server, "secret/plans")
        for name in ("secret/plans", "no/such", "\0"):
            refusal(NotFound, server.tokens.create, ROOT, owner, "ci", scopes=["read"], project=name)

    def test_a_token_makes_no_tokens(self, server, owner):
        token, _ = server.tokens.create(ROOT, owner, "ci", scopes=["account", "admin"])
        refusal(Forbidden, server.tokens.create, ROOT, server.principals.of_token(token), "next", scopes=["account"])

    def test_others_do_not_take_it_back(self, server, owner):
        token, row = server.tokens.create(ROOT, owner, "ci", scopes=["run"])
        for user, name in (("somebody else", row.id), (owner.id, "x"), (owner.id, "\0"), (None, "0" * 26)):
            refusal(NotFound, server.tokens.revoke, ROOT, user, name)
        assert server.principals.of_token(token)
        server.tokens.revoke(ROOT, None, row.id)  # an admin of the server
        refusal(Unauthenticated, server.principals.of_token, token)

    def test_what_is_no_token_of_ours(self, server):
        for text in ("", "x", "flowt_", "\ud800", *map(new_token, TokenKind), "flowt_" + "\0" * 43):
            refusal(Unauthenticated, server.principals.of_token, text)

    def test_machines_are_known_by_those_who_know_machines(self, server):
        runner = Principal("runner", "r1", "builder")
        principals = Principals(server.database, server.clock, Lifetimes(), {TokenKind.RUNNER: lambda _token: runner})
        assert principals.of_token(new_token(TokenKind.RUNNER)) is runner
        refusal(Unauthenticated, principals.of_token, new_token(TokenKind.ATTEMPT))


class TestMembers:
    def test_roles(self, server, ann):
        project(server)
        server.members.put(ROOT, "team/app", "ann", "viewer")
        server.members.put(ROOT, "team/app", "ann", "maintainer")
        assert [(each.name, each.role) for each in server.members.of_project("team/app")] == [("ann", "maintainer")]
        server.members.remove(ROOT, "team/app", "ann")
        refusal(NotFound, server.members.remove, ROOT, "team/app", "ann")
        assert server.members.of_project("team/app") == []

    def test_what_is_not_there(self, server, ann):
        project(server)
        refusal(NotFound, server.members.put, ROOT, "no/such", "ann", "viewer")
        refusal(NotFound, server.members.put, ROOT, "team/app", "bob", "viewer")
        refusal(InvalidRequest, server.members.put, ROOT, "team/app", "ann", "admin")
        refusal(NotFound, server.members.of_project, "no/such")


class TestAudit:
    def test_everything_that_changes_is_told(self, server):
        code = server.accounts.setup_code()
        login = server.accounts.set_up(code, "root", GOOD, HOME)
        server.users.add(ROOT, "ann", GOOD, change=UserChange())
        server.users.change(ROOT, "ann", UserChange(email="a@b"))
        server.users.set_password(ROOT, "ann", BETTER)
        _, row = server.tokens.create(ROOT, asks(server, login), "ci", scopes=["run"])
        server.tokens.revoke(ROOT, None, row.id)
        assert told(server)[::-1] == [
            ("root", "user.add", "user:root"),
            ("root", "login.accept", "user:root"),
            ("root", "user.add", "user:ann"),
            ("root", "user.change", "user:ann"),
            ("root", "user.set_password", "user:ann"),
            ("root", "token.create", f"token:{row.id}"),
            ("root", "token.revoke", f"token:{row.id}"),
        ]
        everything = repr(server.audit.page(before=None, limit=99, project=None))
        assert not [secret for secret in (GOOD, BETTER, code, login.cookie, login.form_token) if secret in everything]

    def test_what_fails_is_not_told_as_done(self, server, ann):
        before = told(server)
        refusal(Conflict, server.users.add, ROOT, "ann", GOOD, change=UserChange())
        assert told(server) == before

    def test_the_whole_log_is_looked_at(self, server, ann):
        verdict = server.audit.verify()
        assert (verdict.rows, verdict.problem) == (1, "")
        server.users.change(ROOT, "ann", UserChange(email="a@b"))
        assert server.audit.verify((1, verdict.hash)).problem == ""
        assert "noted" in server.audit.verify((1, "f" * 64)).problem
        assert "noted" in server.audit.verify((9, verdict.hash)).problem  # it was cut


CHANGES = {
    "a role": lambda server: server.members.put(ROOT, "team/app", "ann", "developer"),
    "no role any more": lambda server: server.members.remove(ROOT, "team/app", "ann"),
    "admin": lambda server: server.users.change(ROOT, "ann", UserChange(role="admin")),
    "disabled": lambda server: server.users.change(ROOT, "ann", UserChange(disabled=True)),
    "another password": lambda server: server.users.set_password(ROOT, "ann", GOOD + " new"),
    "one of their own": lambda server: server.accounts.change_password(ROOT, named(server, "ann"), GOOD, GOOD + " new"),
    "a logout": lambda server: server.accounts.logout(server.login.cookie),
    "a token revoked": lambda server: server.tokens.revoke(ROOT, None, token_of(server, "ann")),
    "a login ended": lambda server: server.accounts.end_session(ROOT, named(server, "ann"), login_of(server, "ann")),
}


def named(server, name):
    return server.users.get(name).id


def token_of(server, name):
    return server.tokens.of_user(named(server, name))[0].id


def login_of(server, name):
    return server.accounts.sessions(named(server, name))[0].label


@pytest.mark.parametrize("change", CHANGES)
def test_who_follows_is_told_that_a_person_may_see_other_things(server, ann, change):
    project(server)
    server.members.put(ROOT, "team/app", "ann", "viewer")
    server.login = server.accounts.login("ann", GOOD, Browser("10.0.0.1"))
    server.tokens.create(ROOT, server.principals.of_session(server.login.cookie, None), "ci", scopes=["read"])

    async def heard():
        with server.signals.follow(person_topic("")) as following:
            await asyncio.to_thread(CHANGES[change], server)
            return await following.changed()

    assert asyncio.run(heard()) == {person_topic(ann.id)}
