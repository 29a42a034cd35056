"""What pydantic found, as findings: with places in the file, in people's words, with the key that was probably meant."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from flowbuild.core.model import Position
from flowbuild.spec.findings import Finding
from flowbuild.spec.words import did_you_mean, kind, shown
from flowbuild.spec.yamlpos import Path

M = TypeVar("M", bound=BaseModel)
Place = Callable[[Path, bool], Position]  # path inside of what is checked, whether its key is meant

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


def check(model: type[M], data: Any, place: Place, *, besides: tuple[str, ...] = ()) -> tuple[M | None, list[Finding]]:
    """Validate data with a model of `spec.format`; return the model or None, and every problem with its place.

    `besides` are keys that people may have meant though the model does not have them.
    """
    try:
        return model.model_validate(data), []
    except ValidationError as error:
        found = [_finding(model, details, place, besides) for details in error.errors(include_url=False)]
        return None, list(dict.fromkeys(found))


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
        return Finding("bad_value", place(path, is_key), message, did_you_mean(str(value), options))
    if code in _WANTED:
        hint = f"quote it: {json.dumps(str(value))}" if kind(value) == "a number" and code == "string_type" else ""
        return Finding("wrong_type", place(path, is_key), f"expected {_WANTED[code]}, got {kind(value)}", hint)
    if code in _BOUNDS:
        key, text = _BOUNDS[code]
        return Finding("bad_value", place(path, is_key), f"{_label(path)} {text.format(context[key])}")
    if context.get("at"):
        path = (*path, context["at"])
    return Finding(code, place(path, is_key), context.get("message", error["msg"]), context.get("hint", ""))


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
