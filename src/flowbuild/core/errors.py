"""The error tree of flow-build-server.

FlowError                     what a person is told: code, message, hint
├─ UserError                  the caller asked for something impossible; exit code 2
│  ├─ NotFound                no such run, step, pipeline, file
│  ├─ InvalidRequest          bad argument, bad name, bad input value
│  │  └─ ResultMissing        the commit that an attempt is said to have made is not there
│  ├─ InvalidFile             a pipeline or compose file with error findings (carried along)
│  ├─ ExpressionError         a condition or interpolation that cannot be compiled or evaluated
│  ├─ Conflict                the thing is in a state that does not allow it (run finished)
│  │  └─ LeaseLost            the runner that asks has no right to the attempt any more
│  ├─ Unauthenticated         nobody knows who asks: no token, a wrong one, one that is over
│  ├─ Forbidden               who asks may not do that
│  ├─ RateLimited             too many attempts; again after `seconds`
│  └─ TooLarge                what was sent is larger than is taken
├─ StepFailed                 the user's step did not work: `failed`
└─ SystemFailed               we did not work: `errored`
   ├─ EngineError             Docker Engine or compose
   ├─ ClusterError            the Swarm, or the manager that speaks for it
   │  ├─ NoManager            the engine that is asked speaks for no Swarm
   │  └─ SubnetTaken          the addresses of a new network belong to another one
   ├─ WorkspaceError          run repository, object store, file system
   │  └─ Unreadable           something of a workspace may not be read by this user
   ├─ StoreError              database
   ├─ ForgeError              a forge did not answer, or said no; `lasting`: asking again will not help
   ├─ VaultError              secrets cannot be sealed or opened
   ├─ ProviderError           who says who people are does not answer as it should
   └─ ServerUnreachable       no server answers, or not as one of ours does

Foreign errors are mapped to these at the edge that calls the foreign library. Every class has a stable `code` that
clients may depend on; the message says what happened and where, the hint says what to do.
"""

from __future__ import annotations

import errno
from typing import ClassVar


class FlowError(Exception):
    """Base of all errors that are shown to people; `code` is stable, `hint` says what to do next."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UserError(FlowError):
    """The caller asked for something that cannot be done. `about`: which part of the request is to be another one, if one is."""

    code = "user_error"

    def __init__(self, message: str, *, hint: str = "", about: str = "") -> None:
        super().__init__(message, hint=hint)
        self.about = about


class NotFound(UserError):
    """No such run, step, pipeline or file."""

    code = "not_found"


class InvalidRequest(UserError):
    """An argument, a name or an input value is not acceptable."""

    code = "invalid_request"


class ResultMissing(InvalidRequest):
    """The commit of an attempt's result was not pushed, or the server came back from a backup since: it is to be pushed again."""

    code = "result_missing"


class Conflict(UserError):
    """The state of the thing does not allow what was asked."""

    code = "conflict"


class Held(Conflict):
    """Somebody holds the pipeline: nothing of it begins until they, or others, let it go."""

    code = "held"


class LeaseLost(Conflict):
    """The runner that asks has no right to the attempt any more: it is to stop what it started."""

    code = "lease_lost"


class Unauthenticated(UserError):
    """It is not known who asks, or the proof is not good (any more)."""

    code = "unauthenticated"


class Forbidden(UserError):
    """Who asks may not do what was asked."""

    code = "forbidden"


class RateLimited(UserError):
    """Too many attempts; after `seconds` another one is heard."""

    code = "rate_limited"

    def __init__(self, message: str, *, seconds: float, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.seconds = seconds


class TooLarge(UserError):
    """What was sent is larger than is taken."""

    code = "too_large"


class StepFailed(FlowError):
    """The user's step did not work; recorded as `failed`."""

    code = "step_failed"


class SystemFailed(FlowError):
    """The product or its surroundings did not work; recorded as `errored`."""

    code = "system_failed"


class EngineError(SystemFailed):
    """Docker Engine or compose did not do what it was asked."""

    code = "engine_error"


class ClusterError(SystemFailed):
    """The Swarm did not do what it was asked: no manager, no leader, not reached, refused."""

    code = "cluster_error"


class NoManager(ClusterError):
    """The engine that is asked is not a manager of a Swarm: somebody has to make it one, or to name another one."""

    code = "no_manager"


class SubnetTaken(ClusterError):
    """A network of the Swarm has some of the addresses that a new one was to get."""

    code = "subnet_taken"


class WorkspaceError(SystemFailed):
    """The run repository, object store or file system did not do what it was asked."""

    code = "workspace_error"


class Unreadable(WorkspaceError):
    """Something that a step left may not be read by the user of this program."""

    code = "unreadable"


class StoreError(SystemFailed):
    """The database did not do what it was asked."""

    code = "store_error"


class VaultError(SystemFailed):
    """A secret cannot be sealed or opened: keys are missing or damaged, or the sealed text was changed."""

    code = "vault_error"


class ForgeError(SystemFailed):
    """A forge did not answer, or said no. `lasting`: it will say so again."""

    code = "forge_error"

    def __init__(self, message: str, *, lasting: bool, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.lasting = lasting


class ChatError(SystemFailed):
    """A chat network did not answer, or said no. `lasting`: it will say so again; else not before `again_after` seconds."""

    code = "chat_error"

    def __init__(self, message: str, *, lasting: bool, again_after: float = 0.0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.lasting = lasting
        self.again_after = again_after


class ServerUnreachable(SystemFailed):
    """There is no server at the address, or what is there does not answer as one of ours does."""

    code = "server_unreachable"


class ProviderError(SystemFailed):
    """A provider that says who people are did not answer as it should."""

    code = "provider_error"


def is_full(error: BaseException) -> bool:
    """Tell whether a disk, or what a user may have of it, is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
