"""What all checks of compose values share: findings, tables of keys, and scalars of each kind.

A scalar that reads variables cannot be judged before they are known: it is kept as written, checked with its defaults
where it has them, and judged when the file is emitted (`final`), by the same code.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from flowbuild.core.model import Position
from flowbuild.spec.compose import interpolate
from flowbuild.spec.compose.tree import Node, confined
from flowbuild.spec.findings import Finding, Severity

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")  # of services, networks, volumes, configs, secrets
MAX_FINDINGS = 200


@dataclass(frozen=True, slots=True)
class Reference:
    """A name in a service that something else must define."""

    kind: str  # "service", "network", "volume", "config", "secret"
    name: str
    position: Position


@dataclass(frozen=True, slots=True)
class Allow:
    """A key whose value `parse` checks; `untrusted` is the reason why an untrusted file may not have it."""

    parse: Callable[[Check, Node], Any]
    untrusted: str = ""


@dataclass(frozen=True, slots=True)
class Refuse:
    """A key that nobody may use, except with a value that changes nothing."""

    reason: str
    hint: str = ""
    harmless: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Ignore:
    """A key that has no effect here; people are told why."""

    reason: str


Rule = Allow | Refuse | Ignore


class Check:
    """Collects findings and references while a file is read for a trust class."""

    def __init__(self, *, trusted: bool, final: bool = False) -> None:
        self.trusted = trusted
        self.final = final  # variables are already replaced: a dollar sign is a dollar sign
        self.findings: dict[Finding, None] = {}
        self.references: list[Reference] = []

    def error(self, code: str, position: Position, message: str, hint: str = "") -> None:
        """Note a problem that stops the file from being used."""
        self._add(Finding(f"compose_{code}", position, message, hint))

    def warn(self, code: str, position: Position, message: str, hint: str = "") -> None:
        """Note something that works otherwise than written."""
        self._add(Finding(f"compose_{code}", position, message, hint, Severity.WARNING))

    def _add(self, finding: Finding) -> None:
        if len(self.findings) < MAX_FINDINGS:
            self.findings.setdefault(finding)

    def refer(self, kind: str, name: str, node: Node) -> None:
        """Note that the service being read uses something defined elsewhere."""
        self.references.append(Reference(kind, name, node.position))

    def is_mapping(self, node: Node) -> bool:
        """Whether the node is a mapping; a finding when not."""
        if isinstance(node.value, Mapping):
            return True
        self.error("type", node.position, f"{node.name} must be a mapping, not {kind_of(node.value)}")
        return False

    def is_list(self, node: Node) -> bool:
        """Whether the node is a list; a finding when not."""
        if isinstance(node.value, list):
            return True
        self.error("type", node.position, f"{node.name} must be a list, not {kind_of(node.value)}")
        return False

    def table(self, node: Node, rules: Mapping[str, Rule]) -> dict[str, Any]:
        """Check a mapping key by key; return what is allowed in it. Null values count as absent."""
        result: dict[str, Any] = {}
        if not self.is_mapping(node):
            return result
        for key, value in node.items():
            rule = rules.get(key)
            if key.startswith("x-"):
                continue
            if rule is None:
                self._unknown(key, value, rules)
            elif isinstance(rule, Ignore):
                self.warn("ignored", value.key_position, f"{value.name} has no effect here: {rule.reason}")
            elif isinstance(rule, Refuse):
                if not any(type(value.value) is type(item) and value.value == item for item in rule.harmless):
                    self.error("refused", value.key_position, f"{value.name} is refused: {rule.reason}", rule.hint)
            elif rule.untrusted and not self.trusted:
                self.error("untrusted", value.key_position, f"{value.name} is refused here: {rule.untrusted}", _TRUST)
            elif value.value is not None:
                parsed = rule.parse(self, value)
                if parsed is not None:
                    result[key] = parsed
        return result

    def _unknown(self, key: str, value: Node, rules: Mapping[str, Rule]) -> None:
        hint = did_you_mean(key, (name for name, rule in rules.items() if isinstance(rule, Allow)))
        self.error("unknown_key", value.key_position, f"unknown key `{value.name[:120]}`", hint)

    def text(self, node: Node, *, expressions: bool = True) -> str | None:
        """Return a scalar as text, its variables not replaced."""
        value = node.value
        if isinstance(value, Mapping | list) or value is None:
            self.error("type", node.position, f"{node.name} must be text, not {kind_of(value)}")
            return None
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if self.final:
            return text
        if "${{" in text and not expressions:
            hint = "give it to the service as an environment variable and use that"
            message = f"{node.name}: an expression may not become part of a command"
            self.error("expression", node.position, message, hint)
        try:
            interpolate.names(text)
        except interpolate.BadInterpolation as error:
            message = f"{node.name}: {error}"
            self.error(
                "interpolation", node.position, message, "write `$$` for a dollar sign, `${NAME}` for a variable"
            )
            return None
        return text

    def typed(self, node: Node, parse: Callable[[Any], Any]) -> Any:
        """Return what `parse` makes of a scalar; `parse` raises ValueError saying what it should be."""
        value = node.value
        if isinstance(value, str) and "$" in value and not self.final:
            if self.text(node) is None or "${{" in value:
                return value  # an expression is judged when its value is known
            try:
                parse(interpolate.substitute(value, {}, strict=True))
            except interpolate.MissingVariable:
                return value  # judged when the variables are known
            except ValueError as error:
                self.error("value", node.position, f"{node.name} {error}")
            return value
        try:
            return parse(value)
        except (ValueError, TypeError) as error:
            self.error("value", node.position, f"{node.name} {error}")
            return None

    def fixed(self, node: Node) -> str | None:
        """Return text that may not read variables, because it is needed before they are known."""
        text = self.text(node)
        if text is None or self.final:
            return text
        if interpolate.names(text) or "${{" in text:
            message = f"{node.name} must be written out: a step could change what it means"
            self.error("interpolation", node.position, message, "remove the variable")
            return None
        return interpolate.substitute(text, {})

    def path(self, node: Node, value: str | None = None) -> str | None:
        """Return a path of the file as a normalised path of the repository."""
        text = self.fixed(node) if value is None else value
        if text is None:
            return None
        try:
            return confined(node.source.base, text)
        except ValueError as error:
            hint = "paths are relative to the file and stay inside the repository"
            self.error("path", node.position, f"{node.name}: `{text[:80]}` {error}", hint)
            return None

    def names_of(self, node: Node, kind: str) -> bool:
        """Whether all keys of a mapping are names that the engine takes; a finding for each that is not."""
        fine = True
        for key, value in node.items():
            if not NAME.fullmatch(key) or key.startswith("flow."):
                hint = "letters, digits, `-`, `_`, `.`; at most 63 characters; not beginning with `flow.`"
                self.error("name", value.key_position, f"`{key[:80]}` cannot be the name of a {kind}", hint)
                fine = False
        return fine


_TRUST = "this run is untrusted; someone with write access can run it as trusted"


def kind_of(value: Any) -> str:
    """Return what a value is, in words."""
    if value is None:
        return "empty"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return f"`{str(value)[:40]}`"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a hint with the nearest known word, or ""."""
    near = difflib.get_close_matches(word[:80], list(known), n=1, cutoff=0.6)
    return f"did you mean `{near[0]}`?" if near else ""
