"""Answers that are errors (`application/problem+json`), back to the errors of `core.errors`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from flowbuild.core import errors
from flowbuild.core.model import Position
from flowbuild.spec.findings import Finding, InvalidFile, Severity

_UNKNOWN = "the server"
_PLAIN = (errors.FlowError.__init__, errors.UserError.__init__)  # of errors that are made of a message and a hint


def _tree(top: type[errors.FlowError]) -> Iterator[type[errors.FlowError]]:
    yield top
    for below in top.__subclasses__():
        yield from _tree(below)


def error_of(status: int, body: bytes) -> errors.FlowError:
    """Return the error that an answer tells of, whatever its body holds."""
    problem = _problem(body)
    code, hint = str(problem.get("code", "")), str(problem.get("hint", ""))
    message = str(problem.get("detail") or f"{_UNKNOWN} answered with status {status}")
    if code == InvalidFile.code and (findings := _findings(problem.get("findings"))):
        return InvalidFile(findings)
    if code == errors.RateLimited.code:
        return errors.RateLimited(message, seconds=1.0, hint=hint)
    known = {each.code: each for each in _tree(errors.FlowError) if each.__init__ in _PLAIN}
    kind = known.get(code) or (errors.UserError if status < 500 else errors.SystemFailed)
    return kind(message, hint=hint)


def _problem(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _findings(written: Any) -> list[Finding]:
    try:
        return [
            Finding(
                str(each["code"]),
                Position(str(each["file"]), int(each["line"]), int(each["column"])),
                str(each["message"]),
                str(each.get("hint", "")),
                Severity(each.get("severity", "error")),
            )
            for each in written
        ]
    except (KeyError, TypeError, ValueError):
        return []
