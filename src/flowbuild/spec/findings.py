"""Findings: what is wrong with a file of the user's, all at once, each with its place and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from flowbuild.core.errors import UserError
from flowbuild.core.model import Position
from flowbuild.spec.words import printable


class Severity(StrEnum):
    """An error stops the file from being used; a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem: a stable code, where it is, what it is and what to do."""

    code: str
    position: Position
    message: str
    hint: str = ""
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        """Return the finding for a terminal: names of files, keys and values in it may hold anything."""
        hint = f"\n    hint: {printable(self.hint)}" if self.hint else ""
        return f"{printable(str(self.position))}: {self.severity}: {printable(self.message)} [{self.code}]{hint}"

    def to_dict(self) -> dict[str, str | int]:
        """Return the finding as plain data, for JSON."""
        return {
            "code": self.code,
            "severity": self.severity.value,
            "file": self.position.file,
            "line": self.position.line,
            "column": self.position.column,
            "message": self.message,
            "hint": self.hint,
        }


class InvalidFile(UserError):
    """A pipeline or compose file cannot be used; `findings` holds every problem found in it."""

    code = "invalid_file"

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        errors = sum(finding.severity is Severity.ERROR for finding in self.findings)
        super().__init__(f"the pipeline cannot be used: {errors} {'error' if errors == 1 else 'errors'}")


def has_errors(findings: Iterable[Finding]) -> bool:
    """Whether any of the findings stops the file from being used."""
    return any(f.severity is Severity.ERROR for f in findings)
