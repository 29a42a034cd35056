"""Shorter ways to write a value: one item for a list, a name for a mapping, nothing for an empty mapping.

Each is turned into the long way before it is checked, and named in the JSON Schema as an alternative.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from flowbuild.spec.scalars import problem
from flowbuild.spec.words import kind

T = TypeVar("T")


@dataclass(frozen=True)
class Shape:
    """Annotation: `lengthen` gives the long form of a value, `schemas` the short forms from the schema of the long one."""

    lengthen: Callable[[Any], Any]
    schemas: Callable[[JsonSchemaValue], list[JsonSchemaValue]]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.lengthen, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        long = handler(schema)
        return {"anyOf": [*self.schemas(long), long]}


def listed(value: Any) -> Any:
    """Return the items where one item may stand for a list of one; null is an empty list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def short(key: str, kind: type[str | int]) -> Shape:
    """Let a text or a number stand for a mapping that has it at `key`."""
    name = {str: "string", int: "integer"}[kind]
    accepted = (int, float) if kind is int else kind
    return Shape(
        lambda value: {key: value} if isinstance(value, accepted) else value,
        lambda _long: [{"type": name}],
    )


OneOrMore = Annotated[list[T], Shape(listed, lambda long: [long["items"], {"type": "null"}])]
NOTHING_IS_EMPTY = Shape(lambda value: {} if value is None else value, lambda _long: [{"type": "null"}])


def _yes_or_no(value: Any) -> Any:
    if isinstance(value, bool):
        return {} if value else None
    if value is not None and not isinstance(value, dict):
        hint = "write true, or {inputs: [patterns], variables: [names]}"
        raise problem("wrong_type", f"expected true, false or a mapping, got {kind(value)}", hint=hint)
    return value


YES_OR_NO = Shape(_yes_or_no, lambda _long: [{"type": "boolean"}])  # true: an empty mapping; false: as if left out


def _triggers(value: Any) -> Any:
    if isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value)):
        return dict.fromkeys(listed(value))
    return value


TRIGGER_NAMES = Shape(
    _triggers, lambda _long: [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]
)  # `on: push` and `on: [push, tag]`
