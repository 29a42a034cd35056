"""Pieces of logs in JSON, which has no bytes."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from flowbuild.client.base import LogChunk


@dataclass(frozen=True, slots=True)
class LogText:
    """Output of a service. `text` when it is UTF-8, else `base64`: a piece may end inside of a character."""

    step: str
    attempt: int
    service: str
    stream: str
    time_ns: int
    offset: int
    line: int
    text: str | None = None
    base64: str | None = None


def to_text(chunk: LogChunk) -> LogText:
    """Return a piece of log as JSON can say it; no byte is lost."""
    place = (chunk.step, chunk.attempt, chunk.service, chunk.stream, chunk.time_ns, chunk.offset, chunk.line)
    try:
        return LogText(*place, text=chunk.data.decode())
    except UnicodeDecodeError:
        return LogText(*place, base64=base64.b64encode(chunk.data).decode())


def from_text(piece: LogText) -> LogChunk:
    """Return the bytes again."""
    data = base64.b64decode(piece.base64) if piece.base64 is not None else (piece.text or "").encode()
    return LogChunk(
        piece.step, piece.attempt, piece.service, piece.stream, piece.time_ns, data, piece.offset, piece.line
    )
