"""Who may do what: all actions, all who may ask, all that binds a token, against a table written by hand."""

from dataclasses import replace
from itertools import chain, combinations, product

import pytest

from flowbuild.core.access import (
    ANONYMOUS,
    OF_CHAT,
    RULES,
    Action,
    Principal,
    Role,
    Scope,
    allowed,
    may_approve,
    no_project,
    projects_allowed,
    require,
    role_named,
)
from flowbuild.core.errors import FlowError, Forbidden, NotFound, Unauthenticated

# Columns: everybody in a public project | in a project of their own: user without a role, viewer, developer, approver,
# maintainer, admin of the server | runner, attempt, bot. Things of the server have no project: `-` is the only column of theirs.
OF_PROJECTS = """
    run.read          yes | no  yes yes yes yes yes | no  no  no
    run.start         no  | no  no  yes yes yes yes | no  no  no
    run.cancel        no  | no  no  yes yes yes yes | no  no  no
    run.rerun         no  | no  no  yes yes yes yes | no  no  no
    run.approve       no  | no  no  no  yes yes yes | no  no  no
    run.debug         no  | no  no  yes yes yes yes | no  no  no
    run.delete        no  | no  no  no  no  yes yes | no  no  no
    pipeline.hold     no  | no  no  yes yes yes yes | no  no  no
    workspace.read    yes | no  yes yes yes yes yes | no  yes  no
    workspace.write   no  | no  no  no  no  no  no  | no  yes  no
    source.read       no  | no  no  yes yes yes yes | no  yes  no
    log.read          yes | no  yes yes yes yes yes | no  no  no
    variable.read     yes | no  yes yes yes yes yes | no  no  no
    secret.list       no  | no  no  yes yes yes yes | no  no  no
    secret.write      no  | no  no  no  no  yes yes | no  no  no
    project.read      yes | no  yes yes yes yes yes | no  no  no
    project.change    no  | no  no  no  no  yes yes | no  no  no
    project.delete    no  | no  no  no  no  no  yes | no  no  no
    hook.read         no  | no  no  yes yes yes yes | no  no  no
    hook.change       no  | no  no  no  no  yes yes | no  no  no
    schedule.read     yes | no  yes yes yes yes yes | no  no  no
    schedule.change   no  | no  no  no  no  yes yes | no  no  no
    channel.read      no  | no  no  yes yes yes yes | no  no  no
    channel.change    no  | no  no  no  no  yes yes | no  no  no
    channel.room      no  | no  no  no  no  yes yes | no  no  no
    member.read       no  | no  no  yes yes yes yes | no  no  no
    member.change     no  | no  no  no  no  yes yes | no  no  no
    audit.read        no  | no  no  no  no  yes yes | no  no  no
"""
# Columns: anonymous, user, maintainer of a project, admin, runner, attempt, bot.
OF_THE_SERVER = """
    project.create    no  no  no  yes no  no  no
    runner.read       no  yes yes yes no  no  no
    runner.register   no  no  no  yes no  no  no
    runner.drain      no  no  no  yes no  no  no
    runner.work       no  no  no  no  yes no  no
    bot.register      no  no  no  yes no  no  no
    bot.work          no  no  no  no  no  no  yes
    user.read         no  no  no  yes no  no  no
    user.change       no  no  no  yes no  no  no
    channel.own       no  yes yes yes no  no  no
    token.own         no  yes yes yes no  no  no
    audit.read        no  no  no  yes no  no  no
    server.read       no  no  no  yes no  no  no
    server.backup     no  no  no  yes no  no  no
"""
SCOPES = {
    "read": "run.read workspace.read source.read log.read variable.read secret.list project.read hook.read schedule.read"
    " runner.read member.read channel.read",
    "run": "run.start run.cancel run.rerun run.debug pipeline.hold workspace.write runner.work bot.work channel.own channel.room",
    "approve": "run.approve",
    "secrets": "secret.write",
    "manage": "run.delete project.create project.change project.delete hook.change schedule.change member.change channel.change",
    "account": "token.own",
    "admin": "runner.register runner.drain bot.register user.read user.change audit.read server.read server.backup",
}
MINE, OTHER = "mine", "other"


def table(text):
    rows = [line.replace("|", " ").split() for line in text.strip().splitlines()]
    return {Action(name): [cell == "yes" for cell in cells] for name, *cells in rows}


PROJECT, SERVER = table(OF_PROJECTS), table(OF_THE_SERVER)
NOBODY = Principal("user", "u0", "nobody")
MEMBERS = [Principal("user", f"u-{role}", role, roles={MINE: role}) for role in Role]
ADMIN = Principal("user", "u-admin", "root", admin=True)
RUNNER = Principal("runner", "r1", "builder")
ATTEMPT = Principal("attempt", "a1", "build", project=MINE)
BOT = Principal("bot", "b1", "chatty")
PEOPLE = [NOBODY, *MEMBERS, ADMIN]
EVERYBODY = [ANONYMOUS, *PEOPLE, RUNNER, ATTEMPT, BOT]


def test_every_action_is_in_the_tables_and_has_a_rule():
    assert set(Action) == set(PROJECT) | set(SERVER) == set(RULES)
    assert sorted(" ".join(SCOPES.values()).split()) == sorted(Action)


@pytest.mark.parametrize("action", PROJECT)
def test_things_of_projects(action):
    public, *own, runner, attempt, bot = PROJECT[action]
    assert [allowed(who, action, MINE) for who in PEOPLE] == own
    assert [allowed(who, action, MINE, public=True) for who in PEOPLE] == [public or cell for cell in own]
    assert not allowed(ANONYMOUS, action, MINE)
    assert allowed(ANONYMOUS, action, MINE, public=True) is public
    for shown in (False, True):
        machines = [allowed(who, action, MINE, public=shown) for who in (RUNNER, ATTEMPT, BOT)]
        assert machines == [runner, attempt, bot]


@pytest.mark.parametrize("action", PROJECT)
def test_a_role_in_one_project_is_none_in_another(action):
    for who in EVERYBODY:
        assert allowed(who, action, OTHER) is (who is ADMIN and PROJECT[action][6]), who
        if action not in SERVER:
            assert allowed(who, action, None) is (who is ADMIN and action is Action.PROJECT_DELETE), who


@pytest.mark.parametrize("action", SERVER)
def test_things_of_the_server(action):
    columns = [ANONYMOUS, NOBODY, MEMBERS[-1], ADMIN, RUNNER, ATTEMPT, BOT]
    assert [allowed(who, action, None) for who in columns] == SERVER[action]
    assert [allowed(who, action, None, public=True) for who in columns] == SERVER[action]  # means nothing here
    assert all(allowed(who, action, None) is SERVER[action][1] for who in MEMBERS)


def subsets(names):
    return chain.from_iterable(combinations(names, size) for size in range(len(names) + 1))


def test_a_token_opens_what_its_owner_may_less_what_it_is_not_for():
    """Every owner, set of scopes, binding, action, project, visibility."""
    scope_of = {Action(name): scope for scope, names in SCOPES.items() for name in names.split()}
    seen = {True: 0, False: 0}
    for owner, scopes, bound in product(PEOPLE, subsets(Scope), (None, MINE, OTHER)):
        token = replace(owner, kind="token", scopes=frozenset(scopes), project=bound)
        for action, project, public in product(Action, (None, MINE, OTHER), (False, True)):
            expected = (
                allowed(owner, action, project, public=public)
                and scope_of[action] in scopes
                and bound in {None, project}
            )
            assert allowed(token, action, project, public=public) is expected, (token, action, project, public)
            seen[expected] += 1
    assert seen[True] > 1000  # the control: some of them open something


def test_what_is_bound_to_nothing_opens_nothing():
    for action, project, public in product(Action, (None, MINE), (False, True)):
        assert not allowed(replace(ADMIN, kind="token"), action, project, public=public)  # a token without scopes
        assert not allowed(replace(ATTEMPT, project=None), action, project, public=public)
        assert not allowed(replace(ADMIN, kind="token", scopes=frozenset({"all", "*", ""})), action, project)


def test_rights_of_people_do_not_make_machines_mighty():
    for who, action, project in product((RUNNER, ATTEMPT, BOT, ANONYMOUS), Action, (None, MINE, OTHER)):
        mighty = replace(who, admin=True, roles={MINE: Role.MAINTAINER, OTHER: Role.MAINTAINER})
        assert allowed(mighty, action, project) is allowed(who, action, project)


def test_lists_show_what_single_things_show():
    owners = [*EVERYBODY, Principal("user", roles={MINE: Role.VIEWER, OTHER: Role.DEVELOPER})]
    tokens = [
        replace(who, kind="token", scopes=frozenset(scopes), project=bound)
        for who, scopes, bound in product(owners, (["read"], ["run"]), (None, MINE))
        if who.kind == "user"
    ]
    for who, action in product([*owners, *tokens], Action):
        shown = projects_allowed(who, action)
        for project in (MINE, OTHER, "third"):
            assert (shown is None or project in shown) is allowed(who, action, project) or action in SERVER


def refusal(who, action, project, **options):
    with pytest.raises(FlowError) as caught:
        require(who, action, project, **options)
    return caught.value


def test_require_agrees_with_allowed():
    for who, action, project, public in product(EVERYBODY, Action, (None, MINE, OTHER), (False, True)):
        if allowed(who, action, project, public=public):
            require(who, action, project, public=public)
        else:
            refusal(who, action, project, public=public)


def test_refusals_say_no_more_than_they_should():
    assert type(refusal(ANONYMOUS, Action.RUN_READ, MINE)) is Unauthenticated
    assert type(refusal(ANONYMOUS, Action.RUN_START, MINE, public=True)) is Unauthenticated
    hidden = refusal(NOBODY, Action.RUN_READ, MINE)
    assert type(hidden) is NotFound
    assert hidden.message == no_project(MINE).message  # as if it did not exist
    for action in (Action.RUN_START, Action.SECRET_WRITE):
        assert type(refusal(NOBODY, action, MINE)) is NotFound
        assert type(refusal(NOBODY, action, MINE, public=True)) is Forbidden
        assert type(refusal(MEMBERS[0], action, MINE)) is Forbidden
    told = refusal(MEMBERS[0], Action.RUN_APPROVE, MINE)
    assert "run.approve" in told.message
    assert "approver" in told.hint
    assert "scope approve" in told.hint
    assert type(refusal(MEMBERS[-1], Action.USER_CHANGE, None)) is Forbidden


def test_a_token_that_lacks_a_scope_is_told_so_but_learns_of_no_other_project():
    token = replace(MEMBERS[-1], kind="token", scopes=frozenset({"run"}))
    assert type(refusal(token, Action.RUN_READ, MINE)) is Forbidden
    assert type(refusal(token, Action.RUN_READ, OTHER)) is NotFound


def test_who_may_let_a_step_act():
    viewer, developer, approver, maintainer = MEMBERS
    asked = [
        viewer,
        developer,
        approver,
        maintainer,
        ADMIN,
        replace(developer, name="ann"),
        replace(approver, name="bob"),
    ]

    def may(*approvers):
        return [who.name for who in asked if may_approve(who, MINE, approvers)]

    assert may() == ["approver", "maintainer", "root", "bob"]
    assert may("maintainers") == ["maintainer", "root"]
    assert may("approvers") == ["approver", "maintainer", "root", "bob"]
    assert may("bob") == ["bob"]
    assert may("ann") == []  # naming a developer in a file that developers write makes no approver
    assert may("Maintainer", "bob") == ["maintainer", "root", "bob"]
    assert not may_approve(maintainer, OTHER, ["maintainers"])


def test_words_for_roles():
    assert [role_named(word) for word in ("viewer", "Developers", "approvers", "MAINTAINER", "admins", "")] == [
        *Role,
        None,
        None,
    ]


def test_through_a_bot_nobody_decides_who_may_what():
    """Nor reads or writes secrets, nor changes what belongs to a project or to the server."""
    acting = [replace(who, kind="token", scopes=OF_CHAT) for who in PEOPLE]
    open_ = {action for who, action, project in product(acting, Action, (None, MINE)) if allowed(who, action, project)}
    assert open_ == {Action(name) for scope in ("read", "run", "approve") for name in SCOPES[scope].split()} - {
        Action.WORKSPACE_WRITE,
        Action.RUNNER_WORK,
        Action.BOT_WORK,
    }
