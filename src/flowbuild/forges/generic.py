"""Webhooks of anything else: a token or a signature, and JSON whose fields become inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flowbuild.core.errors import InvalidRequest
from flowbuild.core.sources import SourceEvent, SourceKind, is_commit, is_ref_name
from flowbuild.forges.base import Headers, Parsed, check_signature, check_token, digest
from flowbuild.forges.payload import read_payload, whole
from flowbuild.spec.words import shown

SIGNATURE = "x-flow-signature-256"
MAX_INPUTS = 200
MAX_VALUE = 16_384  # characters of one input


@dataclass(frozen=True, slots=True)
class Mapped:
    """Where in the body things are, as keys and positions separated by dots: `deployment.targets.0.name`.

    Without `inputs`, every text, number and truth value at the top of the body is an input of its name. Without `branch`
    and `commit`, the head of the project's default branch is built.
    """

    inputs: Mapping[str, str] | None = None
    branch: str = ""
    commit: str = ""


@dataclass(frozen=True, slots=True)
class Generic:
    """See forges.base.Forge; `name` is that of the webhook, which pipelines name in `on: webhook`."""

    name: str
    mapped: Mapped = field(default_factory=Mapped)

    def verify(self, headers: Headers, body: bytes, secret: str) -> None:
        """See Forge. A signature is checked when there is one, otherwise the token that was sent along."""
        if SIGNATURE in headers:
            check_signature(headers[SIGNATURE], body, secret, prefix="sha256=")
            return
        scheme, _, token = headers.get("authorization", "").partition(" ")
        check_token(token.strip() if scheme.lower() == "bearer" else headers.get("x-flow-token", ""), secret)

    def delivery(self, headers: Headers, body: bytes) -> str:
        """See Forge. Who sends the token may send the same body again, and mean it; a signed one could be a replay."""
        if SIGNATURE in headers:
            return digest(body)
        given = headers.get("idempotency-key", "")
        return f"id:{given[:100]}" if given else ""

    def event(self, headers: Headers) -> str:  # noqa: ARG002 (there is only one kind)
        """See Forge."""
        return "webhook"

    def parse(self, headers: Headers, body: bytes) -> Parsed:
        """See Forge. A body is not needed; a field that is named in the mapping is."""
        value = read_payload(headers, body).find() if body.strip() else {}
        wanted = self.mapped.inputs
        if wanted is None:
            found = {key: text for key, field_ in value.items() if (text := _text(field_)) is not None}
        else:
            found = {name: _needed(value, path) for name, path in wanted.items()}
        if len(found) > MAX_INPUTS:
            raise InvalidRequest(f"more than {MAX_INPUTS} fields at the top of the body", hint="map the ones to use")
        branch = _needed(value, self.mapped.branch).removeprefix("refs/heads/") if self.mapped.branch else ""
        if branch and not is_ref_name(branch):
            raise InvalidRequest(f"{shown(branch)} is not the name of a branch")
        commit = _needed(value, self.mapped.commit).lower() if self.mapped.commit else ""
        if commit and not is_commit(commit):
            raise InvalidRequest(f"{shown(commit)} is not the id of a commit")
        return Parsed((SourceEvent(SourceKind.WEBHOOK, branch=branch, commit=commit, hook=self.name, inputs=found),))


def _needed(value: Any, path: str) -> str:
    """Return the text at a path; raises InvalidRequest."""
    for key in path.split("."):
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and key.isascii() and key.isdigit() and int(key[:9]) < len(value):
            value = value[int(key[:9])]
        else:
            value = None
    text = _text(value)
    if text is None:
        raise InvalidRequest(f"the body has no text, number or truth value at {shown(path)}")
    return text


def _text(value: Any) -> str | None:
    """Return a value as the text that an input takes; None when it is none."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    return whole(value) if isinstance(value, str) and len(value) <= MAX_VALUE and "\0" not in value else None
