"""Use cases of webhooks: add, list, change, remove. Blocking: call from threads."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import urlsplit

from flowbuild.core.errors import Conflict, InvalidRequest, NotFound
from flowbuild.core.ids import VARIABLE_NAME
from flowbuild.forges import GENERIC, KINDS, forge_of
from flowbuild.forges.base import Forge
from flowbuild.forges.generic import Mapped
from flowbuild.services.audit import Actor, note
from flowbuild.services.decisions import Clock
from flowbuild.services.ids import new_id
from flowbuild.services.projects import Sealer
from flowbuild.spec.words import did_you_mean, shown
from flowbuild.store.database import Database, Transaction
from flowbuild.store.hooks import HookRow

MIN_SECRET = 16  # characters of a secret that somebody chose
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PATH = re.compile(r"[^\x00-\x1f]{1,256}")
_PLACES = ("inputs", "branch", "commit")


@dataclass(frozen=True, slots=True)
class HookChange:
    """What is to be changed of a webhook; None leaves it, an empty token removes it. `secret`: empty for a new random one."""

    secret: str | None = None
    token: str | None = None
    api_url: str | None = None
    mapping: Mapping[str, Any] | None = None


class HookService:
    """The webhooks of projects. Secrets are told once, when they are made. `changed` is called with a project that has one more or less."""

    def __init__(
        self, database: Database, sealer: Sealer, clock: Clock, changed: Callable[[str], None] = lambda _project: None
    ) -> None:
        self._database = database
        self._sealer = sealer
        self._clock = clock
        self._notify = changed

    def add(self, actor: Actor, project: str, kind: str, name: str, change: HookChange) -> tuple[HookRow, str]:
        """Add a webhook; return it and its secret. Raises InvalidRequest, NotFound, Conflict."""
        if kind not in KINDS:
            hint = did_you_mean(kind, KINDS) or f"there are {', '.join(KINDS)}"
            raise InvalidRequest(f"{shown(kind)} is no kind of webhook", hint=hint, about="kind")
        if not _NAME.fullmatch(name):
            hint = "up to 64 letters, digits, `.`, `-` and `_`"
            raise InvalidRequest(f"{shown(name)} is not a name of a webhook", hint=hint, about="name")
        now = self._clock()
        with self._database.write() as tx:
            empty = HookRow(new_id(now), tx.projects.get(project).id, project, kind, name, now, sealed_secret="")
            row, secret = self._changed(empty, replace(change, secret=change.secret or ""))
            if not tx.hooks.add(row):
                raise Conflict(
                    f"{project} has a webhook {name} already", hint="choose another name, or remove it first"
                )
            note(tx, now, actor, "hook.add", f"hook:{name}", project=project, detail={"kind": kind})
        self._notify(project)
        return row, secret

    def list(self, project: str) -> Sequence[HookRow]:
        """Return the webhooks of a project."""
        with self._database.read() as tx:
            return tx.hooks.of_project(project)

    def change(self, actor: Actor, project: str, name: str, change: HookChange) -> tuple[HookRow, str]:
        """Change a webhook; return it and its secret when that is new, else empty text. Raises NotFound, InvalidRequest."""
        with self._database.write() as tx:
            row, secret = self._changed(_find(tx, project, name), change)
            tx.hooks.change(row)
            changed = sorted(field.name for field in fields(change) if getattr(change, field.name) is not None)
            note(tx, self._clock(), actor, "hook.change", f"hook:{name}", project=project, detail={"changed": changed})
        return row, secret

    def remove(self, actor: Actor, project: str, name: str) -> HookRow:
        """Remove a webhook with its deliveries; return what it was. Raises NotFound."""
        with self._database.write() as tx:
            row = _find(tx, project, name)
            tx.hooks.remove(row.id)
            note(tx, self._clock(), actor, "hook.remove", f"hook:{name}", project=project)
        self._notify(project)
        return row

    def find(self, project: str, name: str) -> HookRow:
        """Return a webhook; raises NotFound."""
        with self._database.read() as tx:
            return _find(tx, project, name)

    def find_all(self, names: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], tuple[HookRow, str] | NotFound]:
        """Return webhooks, each with its secret, by the names of their projects and their own; NotFound for what is not there."""
        found: dict[tuple[str, str], tuple[HookRow, str] | NotFound] = {}
        with self._database.read() as tx:
            for project, name in names:
                try:
                    row = _find(tx, project, name)
                except NotFound as error:
                    found[project, name] = error
                else:
                    found[project, name] = (row, self.secret(row))
        return found

    def secret(self, row: HookRow) -> str:
        """Return what deliveries of a webhook are signed with."""
        return self._sealer.open(row.sealed_secret, "hook", row.id, "secret")

    def token(self, row: HookRow) -> str:
        """Return what calls to the forge are authorised with; empty when there is nothing."""
        return self._sealer.open(row.sealed_token, "hook", row.id, "token") if row.sealed_token else ""

    def _changed(self, row: HookRow, change: HookChange) -> tuple[HookRow, str]:
        secret = ""
        if change.secret is not None:
            secret = change.secret or secrets.token_urlsafe(32)
            if len(secret) < MIN_SECRET or not secret.isprintable():
                hint = f"at least {MIN_SECRET} printable characters; leave it out for a random one"
                raise InvalidRequest("the secret of the webhook is too short", hint=hint, about="secret")
            row = replace(row, sealed_secret=self._sealer.seal(secret, "hook", row.id, "secret"))
        if change.token is not None:
            if not (change.token.isascii() and change.token.isprintable()):
                problem = "the token holds characters that no token has"
                raise InvalidRequest(problem, hint="copy it again", about="token")
            sealed = self._sealer.seal(change.token, "hook", row.id, "token") if change.token else ""
            row = replace(row, sealed_token=sealed)
        if change.api_url is not None:
            url = _api_url(change.api_url)
            if url != row.api_url and row.sealed_token and change.token is None:
                hint = "give the token for the new address, or an empty one"
                raise InvalidRequest("the token belongs to the old address", hint=hint, about="token")
            row = replace(row, api_url=url)
        if change.mapping is not None:
            mapped_of(row.kind, change.mapping)
            row = replace(row, mapping=dict(change.mapping))
        if row.kind == "gitea" and row.sealed_token and not row.api_url:
            hint = "give its api_url, like https://git.example.com/api/v1"
            raise InvalidRequest("where is the forge?", hint=hint, about="api_url")
        return row, secret


def forge_for(row: HookRow) -> Forge:
    """Return who reads the deliveries of a webhook."""
    return forge_of(row.kind, row.name, mapped_of(row.kind, row.mapping))


def mapped_of(kind: str, mapping: Mapping[str, Any]) -> Mapped:
    """Return where things are in bodies of a generic webhook; raises InvalidRequest."""
    if kind != GENERIC and mapping:
        raise InvalidRequest("only a generic webhook has a mapping", hint="what the others send is known")
    for key in mapping:
        if key not in _PLACES:
            raise InvalidRequest(f"unknown key {shown(key)} of the mapping", hint=did_you_mean(key, _PLACES))
    inputs = mapping.get("inputs")
    if inputs is not None:
        if not isinstance(inputs, Mapping) or not all(map(VARIABLE_NAME.fullmatch, map(str, inputs))):
            problem = "`inputs` of the mapping has names of inputs with paths"
            raise InvalidRequest(problem, hint="inputs: {target: to.name}", about="mapping.inputs")
        inputs = {str(name): _path("inputs", path) for name, path in inputs.items()}
    places = {key: _path(key, mapping[key]) for key in ("branch", "commit") if key in mapping}
    return Mapped(inputs, **places)


def _path(key: str, value: Any) -> str:
    if not isinstance(value, str) or not _PATH.fullmatch(value):
        hint = "keys with dots between, like commits.0.id"
        raise InvalidRequest(f"{shown(value)} is not a path in a body", hint=hint, about=f"mapping.{key}")
    return value


def _api_url(url: str) -> str:
    """Return the address of a forge's API without the slash at its end; raises InvalidRequest."""
    try:
        parts = urlsplit(url)
        plain = parts.scheme in ("http", "https") and parts.hostname and not parts.username and parts.port != 0
        plain = plain and url.isascii()
    except ValueError:
        plain = False
    if url and (not plain or parts.query or parts.fragment or not url.isprintable() or len(url) > 1000):
        hint = "http or https, without user, password and query: https://git.example.com/api/v1"
        raise InvalidRequest(f"{shown(url)} is not an address of a forge", hint=hint, about="api_url")
    return url.rstrip("/")


def _find(tx: Transaction, project: str, name: str) -> HookRow:
    row = tx.hooks.find(project, name)
    if row is None:
        raise NotFound(f"{shown(project)} has no webhook {shown(name)}")
    return row
