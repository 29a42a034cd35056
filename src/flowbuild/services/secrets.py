"""Use cases of secrets: people set and remove them, steps get them, nobody reads them. Blocking: call from threads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from flowbuild.core.errors import InvalidRequest, NotFound
from flowbuild.core.ids import VARIABLE_NAME
from flowbuild.core.plain import one_line
from flowbuild.core.redact import check_secrets
from flowbuild.core.scoping import Asking, SecretScope, choose
from flowbuild.services.audit import Actor, note
from flowbuild.services.decisions import Clock
from flowbuild.services.ids import new_id
from flowbuild.store.database import Database, Transaction
from flowbuild.store.secrets import SecretRow
from flowbuild.vault.sealing import Vault

MOST = 65_536  # bytes of a value; an environment variable holds twice as much
_STEP = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")  # also one that a matrix made


@dataclass(frozen=True, slots=True)
class SecretInfo:
    """What people may know of a secret."""

    id: str
    name: str
    scope: SecretScope
    version: int
    created_by: str
    created_at: float
    updated_at: float
    used_at: float | None


class SecretService:
    """Keeps the secrets of projects."""

    def __init__(self, database: Database, vault: Vault, clock: Clock) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock

    def put(self, actor: Actor, project: str, name: str, value: str, scope: SecretScope) -> SecretInfo:
        """Set a secret; one of the same name, environment and branches is replaced. Raises InvalidRequest, NotFound."""
        _check(name, value)
        scope = _checked(scope)
        now = self._clock()
        with self._database.write() as tx:
            project_id = tx.members.project_id(project)
            old = _same(tx.secrets.of_project(project_id, [name]), scope)
            row = SecretRow(new_id(now), project_id, name, scope, "", 1, actor.name, now, now)
            if old is not None:
                row = replace(old, scope=scope, version=old.version + 1, updated_at=now)
            row = replace(row, sealed=self._vault.seal(value, *row.about))
            tx.secrets.put(row)
            _note(tx, actor, "secret.put", row, project=project, now=now)
        return _info(row)

    def of_project(self, project: str) -> Sequence[SecretInfo]:
        """Return what people may know of the secrets of a project. Raises NotFound."""
        with self._database.read() as tx:
            return [_info(row) for row in tx.secrets.of_project(tx.members.project_id(project))]

    def remove(self, actor: Actor, project: str, secret: str) -> None:
        """Forget a secret, by id. Raises NotFound."""
        with self._database.write() as tx:
            rows = tx.secrets.of_project(tx.members.project_id(project))
            row = next((row for row in rows if row.id == secret), None)
            if row is None:
                raise NotFound(f"there is no secret {secret!r} in {project}")
            tx.secrets.remove(row.id)
            _note(tx, actor, "secret.remove", row, project=project, now=self._clock())

    def resolve(self, project: str, names: Sequence[str], asking: Asking) -> dict[str, str]:
        """Return the values that a step may have, of those names that it declared. Raises VaultError."""
        if not names:
            return {}
        with self._database.write() as tx:
            chosen = choose(tx.secrets.of_project(tx.members.project_id(project), names), asking)
            tx.secrets.used([row.id for row in chosen.values()], self._clock())
        return {name: self._vault.open(row.sealed, *row.about) for name, row in chosen.items()}


def _check(name: str, value: str) -> None:
    if not VARIABLE_NAME.fullmatch(name) or len(name) > 64:
        hint = "up to 64 letters, digits and _, beginning with a letter"
        raise InvalidRequest("that is not a name of a secret", hint=hint)
    if name.startswith("FLOW_"):
        raise InvalidRequest(f"{name} is set by the server", hint="names with FLOW_ are reserved")
    check_secrets({name: value})
    if len(value.encode()) > MOST:
        raise InvalidRequest(f"secret {name} is larger than {MOST // 1024} KiB")


def _checked(scope: SecretScope) -> SecretScope:
    """Return a scope as it is kept; raises InvalidRequest."""
    if len(scope.steps) > 100 or not all(_STEP.fullmatch(step) for step in scope.steps):
        raise InvalidRequest("that is not a name of a step", hint="as in the pipeline file")
    return SecretScope(
        one_line("the environment", scope.environment, 128),
        one_line("the pattern of branches", scope.branches, 512),
        tuple(sorted(set(scope.steps))),
    )


def _same(rows: Sequence[SecretRow], scope: SecretScope) -> SecretRow | None:
    where = scope.environment, scope.branches
    return next((row for row in rows if (row.scope.environment, row.scope.branches) == where), None)


def _note(tx: Transaction, actor: Actor, action: str, row: SecretRow, *, project: str, now: float) -> None:
    told = {"environment": row.scope.environment, "branches": row.scope.branches, "version": row.version}
    note(tx, now, actor, action, f"secret:{row.name}", project=project, detail=told)


def _info(row: SecretRow) -> SecretInfo:
    return SecretInfo(**{name: getattr(row, name) for name in SecretInfo.__slots__})
