"""Scalars and small collections of compose: parsers raise ValueError, readers note findings."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from flowbuild.spec.compose import interpolate
from flowbuild.spec.compose.checker import Check
from flowbuild.spec.compose.tree import Node

_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:us|ms|s|m|h))+")
_DURATION_PART = re.compile(r"([0-9.]+)(us|ms|s|m|h)")
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_VARIABLE = re.compile(r"[^=\0\n$]{1,256}")
MAX_DURATION = 7 * 24 * 3600.0  # seconds


def boolean(value: Any) -> bool:
    """Parse true and false, also as text (the result of a variable)."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise ValueError("must be true or false")


def integer(low: int, high: int) -> Callable[[Any], int]:
    """Return a parser of whole numbers from `low` to `high`."""

    def parse(value: Any) -> int:
        text = str(value)
        if isinstance(value, bool | float) or not re.fullmatch(r"-?[0-9]{1,18}", text) or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return parse


def number(low: float, high: float) -> Callable[[Any], float]:
    """Return a parser of numbers from `low` to `high`."""

    def parse(value: Any) -> float:
        text = str(value)
        if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?|\.[0-9]{1,9}", text):
            raise ValueError("must be a number")
        if not low <= float(text) <= high:
            raise ValueError(f"must be a number from {low} to {high}")
        return float(text)

    return parse


def seconds(value: Any) -> float:
    """Return a duration such as `1m30s` in seconds; `0` needs no unit. Raises ValueError."""
    text = str(value)
    if text == "0":
        return 0.0
    if len(text) > 40 or not _DURATION.fullmatch(text):
        raise ValueError("must be a duration such as `30s` or `1m30s`")
    total = sum(float(amount) * _SECONDS[unit] for amount, unit in _DURATION_PART.findall(text))
    if total > MAX_DURATION:
        raise ValueError("is longer than a week")
    return total


def duration(value: Any) -> str:
    """Check a duration; return it as written."""
    seconds(value)
    return "0s" if str(value) == "0" else str(value)


def size(value: Any) -> int:
    """Return a size such as `512m` in bytes. Raises ValueError."""
    match = _SIZE.fullmatch(str(value).strip()) if not isinstance(value, bool) else None
    if match is None or len(str(value)) > 32:
        raise ValueError("must be a size such as `512m` or `2gb`")
    return int(float(match[1]) * _UNITS[match[2].lower()])


def swap(value: Any) -> int:
    """Return a size in bytes, or -1 for no limit."""
    return -1 if str(value) == "-1" else size(value)


def matching(pattern: str, what: str) -> Callable[[Any], str]:
    """Return a parser of text that matches the whole pattern."""
    compiled = re.compile(pattern)

    def parse(value: Any) -> str:
        if isinstance(value, bool | Mapping | list) or not compiled.fullmatch(str(value)):
            raise ValueError(f"must be {what}")
        return str(value)

    return parse


def one_of(*choices: str) -> Callable[[Any], str]:
    """Return a parser of one word out of `choices`."""

    def parse(value: Any) -> str:
        if not isinstance(value, str) or value not in choices:
            raise ValueError(f"must be one of {', '.join(f'`{choice}`' for choice in choices)}")
        return value

    return parse


def typed(parse: Callable[[Any], Any]) -> Callable[[Check, Node], Any]:
    """Return the reader of a scalar with that parser."""
    return lambda check, node: check.typed(node, parse)


def text(check: Check, node: Node) -> str | None:
    """Read any text."""
    return check.text(node)


def texts(check: Check, node: Node) -> list[str] | None:
    """Read a list of text, or one text as a list of one."""
    if not isinstance(node.value, list | Mapping):
        one = check.text(node)
        return None if one is None else [one]
    if not check.is_list(node):
        return None
    return [item for item in map(check.text, node.elements()) if item is not None]


def command(check: Check, node: Node) -> list[str] | str | None:
    """Read a command; text is split as a shell would, after its variables are replaced, which may be later."""
    if isinstance(node.value, list):
        items = (check.text(item, expressions=False) for item in node.elements())
        return [item for item in items if item is not None]
    line = check.text(node, expressions=False)
    if line is None:
        return None
    try:
        words = shlex.split(line)
    except ValueError as error:
        check.error(
            "value", node.position, f"{node.name} cannot be split into words: {error}".lower(), "close the quote"
        )
        return None
    return line if not check.final and interpolate.names(line) else words


def pairs(check: Check, node: Node) -> dict[str, str | None] | None:
    """Read a mapping of text, or a list of `KEY=value`; no value gives None."""
    result: dict[str, str | None] = {}
    if isinstance(node.value, list):
        for item in node.elements():
            line = check.text(item)
            if line is not None:
                key, equals, value = line.partition("=")
                _pair(check, item, result, key, value if equals else None)
        return result
    if not check.is_mapping(node):
        return None
    for key, item in node.items():
        _pair(check, item, result, key, None if item.value is None else check.text(item))
    return result


def _pair(check: Check, item: Node, result: dict[str, str | None], key: str, value: str | None) -> None:
    if _VARIABLE.fullmatch(key):
        result[key] = value
    else:
        check.error("name", item.key_position, f"{item.name}: `{key[:60]}` cannot be a name", "write NAME=value")


def labels(check: Check, node: Node) -> dict[str, str] | None:
    """Read labels; those of compose and of this product are refused."""
    found = pairs(check, node)
    for key in found or ():
        if key.lower().startswith(("com.docker.", "io.docker.", "org.dockerproject.", "flow.")):
            message = f"{node.name}: the label `{key[:80]}` is reserved"
            check.error("refused", node.position, message, "use a name of your own, such as `org.example.name`")
    return None if found is None else {key: value or "" for key, value in found.items()}
