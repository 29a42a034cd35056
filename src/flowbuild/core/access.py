"""Who may do what: the one place that decides. Pure; whatever no rule allows is refused.

Every action has one rule, who has it at least and which scope opens it to an API token:

    anybody      the public may, when the project says so
    a role       of the project that the thing belongs to; each role includes those before it
    signed in    every user of the server, for what is their own or concerns nobody in particular
    admin        of the server; admins have every role in every project, too
    runner       machines that execute attempts; what of it is theirs, their leases say
    attempt      a step while it runs: only its own run, as its lease says
    bot          programs that speak to people on a chat network, for what is theirs

A token never opens more than its owner may: it takes away, by its scopes and, when it is bound to one, by its project. So it
is when a bot acts for somebody: then its own rights do not count, and of those of the person what `OF_CHAT` opens.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, NamedTuple

from flowbuild.core.errors import Forbidden, NotFound, Unauthenticated


class Role(StrEnum):
    """A role in one project; each includes the ones before it."""

    VIEWER = "viewer"
    DEVELOPER = "developer"
    APPROVER = "approver"
    MAINTAINER = "maintainer"

    @property
    def rank(self) -> int:
        """Return the place among the roles, 0 for the least."""
        return _ROLES.index(self)


_ROLES = tuple(Role)


class Who(StrEnum):
    """Those who have an action by other means than a role in a project."""

    SIGNED_IN = "signed in"
    ADMIN = "admin"
    RUNNER = "runner"
    ATTEMPT = "attempt"
    BOT = "bot"


class Scope(StrEnum):
    """What a token may be opened for; every action belongs to one."""

    READ = "read"
    RUN = "run"
    APPROVE = "approve"
    SECRETS = "secrets"
    MANAGE = "manage"
    ACCOUNT = "account"
    ADMIN = "admin"


OF_CHAT = frozenset({Scope.READ, Scope.RUN, Scope.APPROVE})  # what people may do through a bot


class Action(StrEnum):
    """What can be asked of the server, as noun.verb."""

    RUN_READ = "run.read"
    RUN_START = "run.start"
    RUN_CANCEL = "run.cancel"
    RUN_RERUN = "run.rerun"
    RUN_APPROVE = "run.approve"
    RUN_DEBUG = "run.debug"
    RUN_DELETE = "run.delete"
    PIPELINE_HOLD = "pipeline.hold"
    WORKSPACE_READ = "workspace.read"
    WORKSPACE_WRITE = "workspace.write"
    SOURCE_READ = "source.read"
    LOG_READ = "log.read"
    VARIABLE_READ = "variable.read"
    SECRET_LIST = "secret.list"  # noqa: S105 (the name of an action)
    SECRET_WRITE = "secret.write"  # noqa: S105 (the name of an action)
    PROJECT_READ = "project.read"
    PROJECT_CREATE = "project.create"
    PROJECT_CHANGE = "project.change"
    PROJECT_DELETE = "project.delete"
    HOOK_READ = "hook.read"
    HOOK_CHANGE = "hook.change"
    SCHEDULE_READ = "schedule.read"
    SCHEDULE_CHANGE = "schedule.change"
    CHANNEL_READ = "channel.read"
    CHANNEL_CHANGE = "channel.change"
    CHANNEL_ROOM = "channel.room"
    CHANNEL_OWN = "channel.own"
    RUNNER_READ = "runner.read"
    RUNNER_REGISTER = "runner.register"
    RUNNER_DRAIN = "runner.drain"
    RUNNER_WORK = "runner.work"
    BOT_REGISTER = "bot.register"
    BOT_WORK = "bot.work"
    USER_READ = "user.read"
    USER_CHANGE = "user.change"
    TOKEN_OWN = "token.own"  # noqa: S105 (the name of an action)
    MEMBER_READ = "member.read"
    MEMBER_CHANGE = "member.change"
    AUDIT_READ = "audit.read"
    SERVER_READ = "server.read"
    SERVER_BACKUP = "server.backup"


class Rule(NamedTuple):
    """Who has an action at least, and the scope that a token needs; `public`: anybody, in a public project."""

    least: Role | Who
    scope: Scope
    public: bool = False


RULES: Mapping[Action, Rule] = {
    Action.RUN_READ: Rule(Role.VIEWER, Scope.READ, public=True),
    Action.RUN_START: Rule(Role.DEVELOPER, Scope.RUN),
    Action.RUN_CANCEL: Rule(Role.DEVELOPER, Scope.RUN),
    Action.RUN_RERUN: Rule(Role.DEVELOPER, Scope.RUN),
    Action.RUN_APPROVE: Rule(Role.APPROVER, Scope.APPROVE),
    Action.RUN_DEBUG: Rule(Role.DEVELOPER, Scope.RUN),  # on a machine of one's own, without secrets of the server
    Action.RUN_DELETE: Rule(Role.MAINTAINER, Scope.MANAGE),
    Action.PIPELINE_HOLD: Rule(Role.DEVELOPER, Scope.RUN),  # who may start it may also keep it from starting
    Action.WORKSPACE_READ: Rule(Role.VIEWER, Scope.READ, public=True),
    Action.WORKSPACE_WRITE: Rule(Who.ATTEMPT, Scope.RUN),
    Action.SOURCE_READ: Rule(Role.DEVELOPER, Scope.READ),  # all branches: what the steps of their runs see
    Action.LOG_READ: Rule(Role.VIEWER, Scope.READ, public=True),
    Action.VARIABLE_READ: Rule(Role.VIEWER, Scope.READ, public=True),
    Action.SECRET_LIST: Rule(Role.DEVELOPER, Scope.READ),  # names and scopes: no action gives values
    Action.SECRET_WRITE: Rule(Role.MAINTAINER, Scope.SECRETS),
    Action.PROJECT_READ: Rule(Role.VIEWER, Scope.READ, public=True),
    Action.PROJECT_CREATE: Rule(Who.ADMIN, Scope.MANAGE),
    Action.PROJECT_CHANGE: Rule(Role.MAINTAINER, Scope.MANAGE),
    Action.PROJECT_DELETE: Rule(Who.ADMIN, Scope.MANAGE),
    Action.HOOK_READ: Rule(Role.DEVELOPER, Scope.READ),
    Action.HOOK_CHANGE: Rule(Role.MAINTAINER, Scope.MANAGE),
    Action.SCHEDULE_READ: Rule(Role.VIEWER, Scope.READ, public=True),
    Action.SCHEDULE_CHANGE: Rule(Role.MAINTAINER, Scope.MANAGE),
    Action.CHANNEL_READ: Rule(Role.DEVELOPER, Scope.READ),
    Action.CHANNEL_CHANGE: Rule(Role.MAINTAINER, Scope.MANAGE),
    Action.CHANNEL_ROOM: Rule(
        Role.MAINTAINER, Scope.RUN
    ),  # what chat rooms are told: through a bot, too, where it is said
    Action.CHANNEL_OWN: Rule(Who.SIGNED_IN, Scope.RUN),  # through a bot, too: they lead to oneself; webhooks take more
    Action.RUNNER_READ: Rule(Who.SIGNED_IN, Scope.READ),  # why a step waits
    Action.RUNNER_REGISTER: Rule(Who.ADMIN, Scope.ADMIN),
    Action.RUNNER_DRAIN: Rule(Who.ADMIN, Scope.ADMIN),
    Action.RUNNER_WORK: Rule(Who.RUNNER, Scope.RUN),
    Action.BOT_REGISTER: Rule(Who.ADMIN, Scope.ADMIN),
    Action.BOT_WORK: Rule(Who.BOT, Scope.RUN),
    Action.USER_READ: Rule(Who.ADMIN, Scope.ADMIN),
    Action.USER_CHANGE: Rule(Who.ADMIN, Scope.ADMIN),
    Action.TOKEN_OWN: Rule(Who.SIGNED_IN, Scope.ACCOUNT),
    Action.MEMBER_READ: Rule(Role.DEVELOPER, Scope.READ),
    Action.MEMBER_CHANGE: Rule(Role.MAINTAINER, Scope.MANAGE),
    Action.AUDIT_READ: Rule(Role.MAINTAINER, Scope.ADMIN),  # of the project; all of it: admins
    Action.SERVER_READ: Rule(Who.ADMIN, Scope.ADMIN),
    Action.SERVER_BACKUP: Rule(Who.ADMIN, Scope.ADMIN),
}


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. `roles` by name of a project; `scopes` None: no token, so nothing is taken away.

    `project` binds a token, and every attempt, to one project. `via`: which token or login it was, for the audit log.
    """

    kind: Literal["anonymous", "user", "token", "runner", "attempt", "bot"]
    id: str = ""
    name: str = ""
    admin: bool = False
    roles: Mapping[str, Role] = field(default_factory=dict)
    scopes: frozenset[str] | None = None
    project: str | None = None
    via: str = ""

    def role(self, project: str | None) -> Role | None:
        """Return the role in a project; None: it has none."""
        if project is None or self.kind not in ("user", "token"):
            return None
        return Role.MAINTAINER if self.admin else self.roles.get(project)


def rights() -> dict[str, list[Action]]:
    """Return what each role may in its project, and what anybody may in one that shows itself (`public`)."""
    found = {str(role): [action for action, rule in RULES.items() if _included(rule.least, role)] for role in Role}
    return {"public": [action for action, rule in RULES.items() if rule.public], **found}


def _included(least: Role | Who, role: Role) -> bool:
    return isinstance(least, Role) and least.rank <= role.rank


ANONYMOUS = Principal("anonymous")
_OF_ATTEMPTS = (Action.WORKSPACE_READ, Action.SOURCE_READ)  # besides what only they may
_ANY = "*"  # stands for all projects: none is called that


def allowed(principal: Principal, action: Action, project: str | None, *, public: bool = False) -> bool:
    """Whether a principal may act; `project`: what the thing belongs to, None for things of the server.

    `public`: the project shows itself to everybody.
    """
    rule = RULES.get(action)
    if rule is None or not _opened(principal, rule, project):
        return False
    if public and rule.public and project is not None and principal.kind in ("anonymous", "user", "token"):
        return True
    match principal.kind:
        case "user" | "token":
            return _person_may(principal, action, rule.least, project)
        case "runner":
            return rule.least is Who.RUNNER
        case "bot":
            return rule.least is Who.BOT
        case "attempt":
            return project is not None and (rule.least is Who.ATTEMPT or action in _OF_ATTEMPTS)
        case _:
            return False


def _opened(principal: Principal, rule: Rule, project: str | None) -> bool:
    """Whether what binds a token or an attempt lets it ask at all; one that is bound to nothing is a mistake."""
    if principal.kind == "token" and (principal.scopes is None or rule.scope not in principal.scopes):
        return False
    if principal.kind == "attempt" and principal.project is None:
        return False
    return principal.project is None or principal.project == project


def _person_may(principal: Principal, action: Action, least: Role | Who, project: str | None) -> bool:
    if isinstance(least, Role):
        if project is None:
            return action is Action.AUDIT_READ and principal.admin
        role = principal.role(project)
        return role is not None and role.rank >= least.rank
    return least is Who.SIGNED_IN or (least is Who.ADMIN and principal.admin)


def projects_allowed(principal: Principal, action: Action) -> frozenset[str] | None:
    """Return the projects in which a principal has an action, to filter lists by; None: in all. Public ones not counted."""
    if principal.admin and principal.project is None:
        return None if allowed(principal, action, _ANY) else frozenset()
    known = {*principal.roles, *([principal.project] if principal.project else [])}
    return frozenset(project for project in known if allowed(principal, action, project))


def require(principal: Principal, action: Action, project: str | None, *, public: bool = False) -> None:
    """Do nothing when it is allowed. Raises Unauthenticated, Forbidden; NotFound for a project one may not know of."""
    if allowed(principal, action, project, public=public):
        return
    if principal.kind == "anonymous":
        raise Unauthenticated("who are you?", hint="log in, or send an API token: Authorization: Bearer …")
    if project is not None and not allowed(principal, Action.PROJECT_READ, project, public=public):
        whole = Principal("user", principal.id, principal.name, principal.admin, principal.roles)
        if principal.kind != "token" or not allowed(whole, Action.PROJECT_READ, project, public=public):
            raise no_project(project)
    raise Forbidden(f"you may not do {action}{f' in project {project}' if project else ''}", hint=_needs(action))


def no_project(name: str) -> NotFound:
    """Return the error of a project that does not exist, or that the one who asks may not know of: they look the same."""
    return NotFound(f"there is no project {name!r}", hint="flow projects lists those that you may see")


def _needs(action: Action) -> str:
    rule = RULES[action]
    who = f"the role {rule.least} in the project" if isinstance(rule.least, Role) else f"who is {rule.least}"
    return f"it takes {who}, and of a token the scope {rule.scope}"


def may_approve(principal: Principal, project: str, approvers: Collection[str]) -> bool:
    """Whether a principal may let a step act on an environment whose file names roles ("maintainers") or users.

    Naming somebody there is not enough: who may push could name themselves. No names: every approver may.
    """
    if not allowed(principal, Action.RUN_APPROVE, project):
        return False
    role = principal.role(project)
    least = min((each.rank for name in approvers if (each := role_named(name))), default=None)
    has_role = role is not None and least is not None and role.rank >= least
    return not approvers or principal.name in approvers or has_role


def role_named(text: str) -> Role | None:
    """Return the role that a word means, in singular or plural; None when it means none."""
    return next((role for role in Role if text.lower() in (role, f"{role}s")), None)
