"""Reads a stream of server-sent events. Source: WHATWG HTML, "Interpreting an event stream"."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One message; `id` is the last one that was given, also by a message before."""

    type: str
    data: str
    id: str


async def read_events(lines: AsyncIterator[str]) -> AsyncIterator[ServerEvent]:
    """Yield the messages of a stream, given without line ends. Comments and what is cut off at its end are dropped."""
    kind, data, last = "", list[str](), ""
    async for line in lines:
        if not line:
            if data:
                yield ServerEvent(kind or "message", "\n".join(data), last)
            kind, data = "", []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                kind = value
            case "data":
                data.append(value)
            case "id" if "\0" not in value:
                last = value
            case _:
                pass
