"""Compose files of attempts as people see them: without the places on the machines that ran them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

ELSEWHERE = "…"  # stands for a directory that is none of the attempt's own


def shown(compose: Mapping[str, Any]) -> dict[str, Any]:
    """Return a compose file in which paths begin at the directory of the attempt (`./workspace`), or with ELSEWHERE."""
    source = next(_workspaces(compose), "")
    top = source.removesuffix("workspace")
    found: dict[str, Any] = _without(compose, top)
    return found


def _workspaces(value: Any) -> Iterator[str]:
    """Yield where workspaces are mounted from. A runner elsewhere could send anything."""
    if isinstance(value, Mapping):
        source = value.get("source")
        if value.get("target") == "/workspace" and isinstance(source, str) and source.endswith("/workspace"):
            yield source
        value = list(value.values())
    for each in value if isinstance(value, list) else ():
        yield from _workspaces(each)


def _without(value: Any, top: str) -> Any:
    if isinstance(value, str):
        return f"./{value.removeprefix(top)}" if top and value.startswith(top) else value
    if isinstance(value, list):
        return [_without(each, top) for each in value]
    if not isinstance(value, Mapping):
        return value
    found = {key: _without(each, top) for key, each in value.items()}
    source = found.get("source")
    if found.get("type") == "bind" and isinstance(source, str) and source.startswith("/"):
        found["source"] = f"{ELSEWHERE}/{source.rpartition('/')[2]}"
    return found
