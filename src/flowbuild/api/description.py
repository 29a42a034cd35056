"""The description of the API (OpenAPI 3.1), made exact for those who generate clients from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_PREFIX = "#/components/schemas/"


def require_what_is_sent(description: dict[str, Any]) -> None:
    """Mark every field of what only the server sends as required: an answer has them all, also those with a default.

    What clients send, too, keeps its optional fields.
    """
    schemas: dict[str, Any] = description.get("components", {}).get("schemas", {})
    sent_by_clients = _reached(_requests(description), schemas)
    for name, schema in schemas.items():
        if name not in sent_by_clients and "properties" in schema:
            schema["required"] = list(schema["properties"])


def _requests(description: Mapping[str, Any]) -> Iterator[Any]:
    for operations in description.get("paths", {}).values():
        for operation in operations.values():
            yield operation.get("requestBody", {})
            yield operation.get("parameters", [])


def _reached(roots: Iterator[Any], schemas: Mapping[str, Any]) -> set[str]:
    """Return the names of all schemas that something refers to, also through others."""
    found: set[str] = set()
    open_ends = list(roots)
    while open_ends:
        for name in _references(open_ends.pop()):
            if name not in found:
                found.add(name)
                open_ends.append(schemas[name])
    return found


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        reference = node.get("$ref")
        if isinstance(reference, str):
            yield reference.removeprefix(_PREFIX)
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)
