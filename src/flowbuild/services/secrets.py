"""Use cases of secrets: people set and remove them, steps get them, nobody reads them. Blocking: call from threads."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from flowbuild.core.errors import InvalidRequest, NotFound, VaultError
from flowbuild.core.ids import VARIABLE_NAME, RunId
from flowbuild.core.model import Pipeline, Step
from flowbuild.core.plain import one_line
from flowbuild.core.redact import check_secrets
from flowbuild.core.scoping import TRUSTED, Asking, SecretScope, choose
from flowbuild.services.assignments import Given
from flowbuild.services.audit import Actor, note
from flowbuild.services.decisions import Clock
from flowbuild.services.ids import new_id
from flowbuild.store.database import Database, Transaction
from flowbuild.store.runs import RunRow
from flowbuild.store.secrets import SecretRow
from flowbuild.vault.sealing import Vault

MOST = 65_536  # bytes of a value; an environment variable holds twice as much
NOTED = 60.0  # seconds: when a secret was used last is known this exactly, so that not every step is a write
REMOVED = "secret.remove"  # in the audit log
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
            project_id = tx.projects.get(project).id
            tx.serialise(f"secrets of {project}")
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
            return [_info(row) for row in tx.secrets.of_project(tx.projects.get(project).id)]

    def remove(self, actor: Actor, project: str, secret: str) -> None:
        """Forget a secret, by id. Raises NotFound."""
        with self._database.write() as tx:
            rows = tx.secrets.of_project(tx.projects.get(project).id)
            row = next((row for row in rows if row.id == secret), None)
            if row is None:
                raise NotFound(f"there is no secret {secret!r} in {project}")
            tx.secrets.remove(row.id)
            _note(tx, actor, REMOVED, row, project=project, now=self._clock())

    def resolve(self, project: str, names: Sequence[str], asking: Asking) -> dict[str, str]:
        """Return the values that a step may have, of those names that it declared. Raises NotFound, VaultError."""
        now = self._clock()
        with self._database.read() as tx:
            chosen = choose(tx.secrets.of_project(tx.projects.get(project).id, names), asking).values()
        values = {row.name: self._vault.open(row.sealed, *row.about) for row in chosen}
        unnoted = [row.id for row in chosen if row.used_at is None or row.used_at + NOTED <= now]
        if unnoted:
            with self._database.write() as tx:
                tx.secrets.used(unnoted, now)
        return values

    def changed(self, project: str, names: Sequence[str], since: float) -> frozenset[str]:
        """Return the names whose values, or for whom they are, may have been others at some time. Raises NotFound."""
        with self._database.read() as tx:
            project_id = tx.projects.get(project).id
            rows = tx.secrets.of_project(project_id, names)
            removed = {name for name in names if tx.audit.happened(project_id, REMOVED, f"secret:{name}", since)}
        return frozenset(removed | {row.name for row in rows if row.updated_at >= since})


class ProjectSecrets:
    """A `services.assignments.SecretSource`: what is kept in the project of a run, as far as its trust goes."""

    def __init__(self, secrets: SecretService) -> None:
        self._secrets = secrets

    def put(self, run: RunId, pipeline: Pipeline, values: Mapping[str, str]) -> None:  # noqa: ARG002 (see SecretSource)
        """Refuse values: who may start a run may not choose its secrets, and they would not survive a restart."""
        if values:
            raise InvalidRequest(
                "a server takes no secrets along with a run", hint="set them in the project: flow secrets set NAME"
            )

    def of(self, stored: RunRow, step: Step, launched_at: float | None) -> Given:
        """Return what a step may have; of one that was launched only what has not been changed since."""
        if not step.secrets:
            return Given()
        if stored.trust not in TRUSTED:
            return Given(withheld=dict.fromkeys(step.secrets, "the run is not trusted"))
        try:
            values = self._secrets.resolve(stored.project, step.secrets, _asking(stored, step))
            lost = (
                frozenset() if launched_at is None else self._secrets.changed(stored.project, step.secrets, launched_at)
            )
        except (NotFound, VaultError) as error:
            return Given(problem=f"its secrets cannot be had: {error.message}")
        missing = "the project has no value of it for this step, branch and environment"
        return Given(
            {name: value for name, value in values.items() if name not in lost},
            {name: missing for name in step.secrets if name not in values and name not in lost},
        )


def _asking(stored: RunRow, step: Step) -> Asking:
    context = stored.run.context
    environment = step.environment.name if step.environment else ""
    return Asking((step.key, step.name), environment, context.branch, context.tag, stored.trust)


def _check(name: str, value: str) -> None:
    if not VARIABLE_NAME.fullmatch(name) or len(name) > 64:
        hint = "up to 64 letters, digits and _, beginning with a letter"
        raise InvalidRequest("that is not a name of a secret", hint=hint, about="name")
    if name.startswith("FLOW_"):
        raise InvalidRequest(f"{name} is set by the server", hint="names with FLOW_ are reserved", about="name")
    check_secrets({name: value})
    if len(value.encode()) > MOST:
        raise InvalidRequest(f"secret {name} is larger than {MOST // 1024} KiB", about="value")


def _checked(scope: SecretScope) -> SecretScope:
    """Return a scope as it is kept; raises InvalidRequest."""
    if len(scope.steps) > 100 or not all(_STEP.fullmatch(step) for step in scope.steps):
        raise InvalidRequest("that is not a name of a step", hint="as in the pipeline file", about="steps")
    return SecretScope(
        one_line("the environment", scope.environment, 128, about="environment"),
        one_line("the pattern of branches", scope.branches, 512, about="branches"),
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
