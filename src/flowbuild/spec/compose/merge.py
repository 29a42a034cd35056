"""Merging services in canonical form, as `extends` does: what the service itself says wins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_REPLACED = frozenset({"command", "entrypoint", "test", "capabilities"})
_BY_TARGET = frozenset({"volumes", "configs", "secrets"})


def merge(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `own` over it: mappings merge, lists append, mounts merge by target, commands are replaced."""
    result = dict(base)
    for key, value in own.items():
        before = result.get(key)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            result[key] = merge(before, value)
        elif isinstance(before, list) and isinstance(value, list) and key not in _REPLACED:
            result[key] = by_target([*before, *value]) if key in _BY_TARGET else unique([*before, *value])
        else:
            result[key] = value
    return result


def by_target(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the mounts with the last one of each target, in the order of the first."""
    return list({entry["target"].rstrip("/"): entry for entry in entries}.values())


def unique(items: list[Any]) -> list[Any]:
    """Return the items without repetitions."""
    result: list[Any] = []
    for item in items:
        if item not in result:
            result.append(item)
    return result
