"""Reads bodies of webhooks: JSON from strangers, who were recognised but need not be right."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

from flowbuild.core.errors import InvalidRequest
from flowbuild.core.sources import is_commit, is_ref_name
from flowbuild.forges.base import Headers
from flowbuild.spec.words import kind, printable

MAX_TITLE = 200  # characters of a message that are kept
MAX_TEXT = 100_000  # characters of any other text


class Payload:
    """A part of a decoded body. Paths are keys from here, one argument each; what is missing or of a wrong type raises."""

    def __init__(self, value: Any, where: str = "") -> None:
        self._value = value
        self._where = where

    def find(self, *path: str) -> Any:
        """Return what is at a path, None when there is nothing."""
        value = self._value
        for key in path:
            if not isinstance(value, dict) or key not in value:
                return None
            value = value[key]
        return value

    def text(self, *path: str, default: str | None = None) -> str:
        """Return a text; `default` when there is none. Raises InvalidRequest."""
        value = self.find(*path)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or len(value) > MAX_TEXT or "\0" in value:
            raise self._wrong("text", value, path)
        return whole(value)

    def number(self, *path: str) -> int:
        """Return a whole number that is not negative; raises InvalidRequest."""
        value = self.find(*path)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
            raise self._wrong("a whole number", value, path)
        return value

    def flag(self, *path: str) -> bool:
        """Whether something is true; what is missing is not."""
        return self.find(*path) is True

    def part(self, *path: str) -> Payload:
        """Return a mapping; raises InvalidRequest."""
        value = self.find(*path)
        if not isinstance(value, dict):
            raise self._wrong("a mapping", value, path)
        return Payload(value, self._at(path))

    def items(self, *path: str) -> list[Payload]:
        """Return the mappings of a list; none when it is missing. Raises InvalidRequest."""
        value = self.find(*path)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self._wrong("a list of mappings", value, path)
        return [Payload(item, f"{self._at(path)}.{index}") for index, item in enumerate(value)]

    def commit(self, *path: str, default: str | None = None) -> str:
        """Return the id of a commit, empty for the one that is all zeros; raises InvalidRequest."""
        value = self.text(*path, default=default)
        if value and value.strip("0") and not is_commit(value):
            raise InvalidRequest(f"{self._at(path)} is not the id of a commit")
        return value if value.strip("0") else ""

    def ref(self, *path: str) -> str:
        """Return the name of a branch or tag; raises InvalidRequest."""
        value = self.text(*path)
        if not is_ref_name(value):
            raise InvalidRequest(f"{self._at(path)} is not the name of a branch or tag")
        return value

    def title(self, *path: str) -> str:
        """Return the first line of a text as people may see it; empty when there is none."""
        value = self.find(*path)
        lines = value[:MAX_TEXT].strip().splitlines() if isinstance(value, str) else []
        return printable(lines[0][:MAX_TITLE]) if lines else ""

    def _at(self, path: tuple[str, ...]) -> str:
        return ".".join(part for part in (self._where, *path) if part)

    def _wrong(self, wanted: str, value: Any, path: tuple[str, ...]) -> InvalidRequest:
        return InvalidRequest(f"the body of the delivery has {kind(value)} at {self._at(path)}, not {wanted}")


def read_payload(headers: Headers, body: bytes) -> Payload:
    """Return the body, which is JSON or a form with JSON in its field `payload`; raises InvalidRequest."""
    if headers.get("content-type", "").partition(";")[0].strip().lower() == "application/x-www-form-urlencoded":
        body = _field(body)
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):  # no JSON, no UTF-8, a number of a million digits; nested too deeply
        raise InvalidRequest(
            "the body of the delivery is not JSON", hint="choose application/json at the forge"
        ) from None
    if not isinstance(value, dict):
        raise InvalidRequest(f"the body of the delivery is {kind(value)}, not a mapping")
    return Payload(value)


def _field(body: bytes) -> bytes:
    try:
        fields = parse_qs(body.decode("ascii"), max_num_fields=100)
    except ValueError:
        raise InvalidRequest("the body of the delivery is not a form") from None
    return fields.get("payload", [""])[0].encode("utf-8", "surrogateescape")


def whole(text: str) -> str:
    """Return text without halves of characters, which JSON can hold and no database takes."""
    return text.encode("utf-8", "replace").decode()


def branch_of(ref: str) -> str:
    """Return the name of a branch from its whole name; empty when the ref is none."""
    return ref.removeprefix("refs/heads/") if ref.startswith("refs/heads/") else ""


def tag_of(ref: str) -> str:
    """Return the name of a tag from its whole name; empty when the ref is none."""
    return ref.removeprefix("refs/tags/") if ref.startswith("refs/tags/") else ""


def shown_branch(branch: str, *, fork: bool, repository: str) -> str:
    """Return the branch of a pull request as conditions see it: that of a fork has its owner before it."""
    return f"{repository.rpartition('/')[0] or 'fork'}:{branch}" if fork else branch
