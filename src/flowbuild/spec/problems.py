"""What pydantic found, as findings: with places in the file, in people's words, with the key that was probably meant."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from flowbuild.core.model import Position
from flowbuild.spec.findings import Finding
from flowbuild.spec.words import did_you_mean, kind, shown
from flowbuild.spec.yamlpos import Path

M = TypeVar("M", bound=BaseModel)
Place = Callable[[Path, bool], Position]  # path inside of what is checked, whether its key is meant

MAX_SALVAGED = 200  # with more problems than this nobody asks for those of the rest
_PASSES = 3  # what depends on dropped parts may fall next; a third time has not been seen

_QUOTED = re.compile("'([^']*)'")
_WANTED = {
    "string_type": "text",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "list_type": "a list",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
}
_BOUNDS = {
    "greater_than_equal": ("ge", "must be at least {}"),
    "less_than_equal": ("le", "must be at most {}"),
    "too_long": ("max_length", "has too many entries: more than {}"),
    "string_too_long": ("max_length", "is longer than {} characters"),
    "too_short": ("min_length", "needs at least {} entry"),
    "string_too_short": ("min_length", "needs at least {} character"),
}


@dataclass(frozen=True, slots=True)
class Checked(Generic[M]):
    """What `check` returns: the model of all that is right, every problem, and the paths that were left out for them.

    `model` is None when nothing could be kept. `meant` are the keys that a misspelt one was probably meant to be.
    """

    model: M | None
    findings: list[Finding]
    dropped: tuple[Path, ...] = ()
    meant: frozenset[str] = frozenset()

    def lost(self, key: str) -> bool:
        """Whether a part of what stands at a key, or should, was left out: nothing is concluded from what is missing."""
        return key in self.meant or any(path[:1] == (key,) for path in self.dropped)


def check(model: type[M], data: Any, place: Place, *, besides: tuple[str, ...] = ()) -> Checked[M]:
    """Validate data with a model of `spec.format`, leaving out what is malformed so that the rest can be checked.

    `besides` are keys that people may have meant though the model does not have them. Problems that only appear
    because something was left out are not reported.
    """
    findings: list[Finding] = []
    dropped: list[Path] = []
    meant: set[str] = set()
    for _ in range(_PASSES):
        try:
            return Checked(model.model_validate(data), findings, tuple(dropped), frozenset(meant))
        except ValidationError as error:
            errors = error.errors(include_url=False)
        paths = {_malformed(data, details) for details in errors}
        if not dropped:
            findings = list(dict.fromkeys(_finding(model, details, place, besides) for details in errors))
            meant = {key for finding in findings if finding.code == "unknown_key" for key in _meant(finding)}
        if () in paths or len(paths) > MAX_SALVAGED:
            break
        for path in sorted(paths, key=lambda path: [(isinstance(p, int), p) for p in path], reverse=True):
            data = _without(data, path)  # from the end: indexes of a list stay right
        dropped += [_as_written(path, dropped) for path in paths]
    return Checked(None, findings, tuple(dropped), frozenset(meant))


def _malformed(data: Any, error: ErrorDetails) -> Path:
    """Return the path of the smallest part of the data that has to go for the problem to go."""
    path = error["loc"]
    if error["type"] == "missing" or path[-1:] == ("[key]",):
        path = path[:-1]
    found: list[str | int] = []
    for part in path:
        if part == 0 and not isinstance(data, list):
            continue  # one item that stands for a list of one
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            break
        found.append(part)
    return tuple(found)


def _as_written(path: Path, dropped: list[Path]) -> Path:
    """Return the path before anything was dropped from the lists on it."""
    result: Path = ()
    for part in path:
        place = part
        if isinstance(place, int):
            for gone in sorted(int(other[-1]) for other in dropped if other[:-1] == result and other[len(result) :]):
                place += gone <= place
        result = (*result, place)
    return result


def _without(data: Any, path: Path) -> Any:
    """Return a copy of the data without what stands at `path`; parts of it may be shared, so nothing is changed."""
    part, rest = path[0], path[1:]
    if isinstance(data, list):
        middle = [_without(data[int(part)], rest)] if rest else []
        return [*data[: int(part)], *middle, *data[int(part) + 1 :]]
    if part not in data:
        return data
    if rest:
        return {**data, part: _without(data[part], rest)}
    return {key: value for key, value in data.items() if key != part}


def _meant(finding: Finding) -> list[str]:
    return re.findall("`([^`]*)`", finding.hint) if finding.hint.startswith("did you mean") else []


def _finding(model: type[BaseModel], error: ErrorDetails, place: Place, besides: tuple[str, ...]) -> Finding:
    path: Path = error["loc"]
    is_key = path[-1:] == ("[key]",)
    if is_key:
        path = path[:-1]
    code, value, context = error["type"], error["input"], error.get("ctx", {})
    if code == "extra_forbidden":
        name = str(path[-1])
        hint = did_you_mean(name, [*_keys(model, path[:-1]), *(besides if len(path) == 1 else ())])
        return Finding("unknown_key", place(path, True), f"unknown key {shown(name)}", hint)
    if code == "missing":
        owner = shown(path[-2]) if len(path) > 1 and isinstance(path[-2], str) else "this"
        return Finding("missing_key", place(path, False), f"{owner} needs the key {shown(path[-1])}")
    if code == "literal_error":
        message = f"{shown(value)} is not possible here"
        options = _QUOTED.findall(context["expected"])  # pydantic gives one text: 'a', 'b' or 'c'
        return Finding("bad_value", place(path, is_key), _labelled(path, message), did_you_mean(str(value), options))
    if code in _WANTED:
        hint = f"quote it: {json.dumps(str(value))}" if kind(value) == "a number" and code == "string_type" else ""
        message = _labelled(path, f"expected {_WANTED[code]}, got {kind(value)}")
        return Finding("wrong_type", place(path, is_key), message, hint)
    if code in _BOUNDS:
        key, text = _BOUNDS[code]
        return Finding("bad_value", place(path, is_key), f"{_label(path)} {text.format(context[key])}")
    if context.get("at"):
        path = (*path, context["at"])
    message = _labelled(path, context.get("message", error["msg"]))
    return Finding(code, place(path, is_key), message, context.get("hint", ""))


def _labelled(path: Path, message: str) -> str:
    """Name the key in a message that does not."""
    label = _label(path)
    return message if label in message or not any(isinstance(part, str) for part in path) else f"{label}: {message}"


def _label(path: Path) -> str:
    names = [part for part in path if isinstance(part, str)]
    return shown(names[-1]) if names else "the file"


@functools.cache
def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


def _keys(model: type[BaseModel], path: Path) -> list[str]:
    """Return the keys that the model knows at `path`."""
    root = _schema(model)
    schemas = list(_resolved(root, root))
    for part in path:
        schemas = [below for schema in schemas for below in _below(root, schema, part)]
    return sorted({key for schema in schemas for key in schema.get("properties", {})})


def _below(root: dict[str, Any], schema: dict[str, Any], part: str | int) -> Iterator[dict[str, Any]]:
    """Yield the schemas of what stands at `part`."""
    if isinstance(part, int):
        if "items" in schema:
            yield from _resolved(root, schema["items"])
    elif part in schema.get("properties", {}):
        yield from _resolved(root, schema["properties"][part])
    for below in schema.get("patternProperties", {}).values():
        yield from _resolved(root, below)


def _resolved(root: dict[str, Any], schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the schema itself, or what it refers to, or each of its alternatives."""
    if "$ref" in schema:
        yield from _resolved(root, root["$defs"][schema["$ref"].rsplit("/", 1)[1]])
    elif "anyOf" in schema:
        for alternative in schema["anyOf"]:
            yield from _resolved(root, alternative)
    else:
        yield schema
