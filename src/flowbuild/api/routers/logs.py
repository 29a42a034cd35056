"""Logs of attempts: by range, live, and as they were written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.responses import StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT
from pydantic import BaseModel, Field

from flowbuild.api.access import Address, Caller, OnRun
from flowbuild.api.backend import Back
from flowbuild.api.log_messages import END
from flowbuild.api.places import Long, place_of
from flowbuild.api.problems import RESPONSES
from flowbuild.api.staying import Staying
from flowbuild.api.streams import End, with_silences
from flowbuild.client.base import LogChunk
from flowbuild.client.logtext import LogText, to_text
from flowbuild.core.access import Action
from flowbuild.core.errors import InvalidRequest
from flowbuild.core.ids import RunId
from flowbuild.services.audit import NOBODY
from flowbuild.services.client import LogPlace

PING = 15.0  # seconds
MESSAGES: dict[str, Any] = {  # as FastAPI describes streams of messages that it makes itself
    "text/event-stream": {
        "itemSchema": {
            "type": "object",
            "properties": {"data": {"type": "string"}, "event": {"type": "string"}, "id": {"type": "string"}},
        }
    }
}
router = APIRouter(prefix="/api/v1/runs/{run}/steps/{step}", tags=["logs"], responses=RESPONSES)
Readable = Annotated[RunId, Depends(OnRun(Action.LOG_READ))]
Attempt = Annotated[int | None, Query(ge=1, description="default: the latest")]
Offset = Annotated[int, Query(ge=0, le=1 << 53, description="bytes into the log of the attempt")]
Service = Annotated[str, Query(max_length=256, description="only the output of this service")]


class LogPage(BaseModel):
    """A piece of a log. `next`: the offset where the next piece begins; `ended`: nothing comes after what there is."""

    lines: int = Field(description="in the whole log by now, of all services; one longer than 16 KiB counts as several")
    attempt: int = Field(description="0: the step has none yet")
    next: int
    ended: bool
    chunks: list[LogText]


class LogMatches(BaseModel):
    """Lines that were searched for. `next`: the line from which to search on; none: the log was read to its end."""

    lines: list[int]
    next: int | None


def _place(
    run: Readable,
    step: str,
    backend: Back,
    attempt: Attempt = None,
    offset: Offset = 0,
    last_event_id: Annotated[str, Header()] = "",
) -> tuple[int | None, int]:
    """Return the attempt and the offset to begin at; raises NotFound, InvalidRequest: later there is no way to tell."""
    if last_event_id:
        number, _, at = last_event_id.partition(":")
        if not all(part.isascii() and part.isdigit() and len(part) < 17 for part in (number, at)):
            raise InvalidRequest(
                f"Last-Event-ID is {last_event_id!r}", hint="send the id of the last message as it was"
            )
        attempt, offset = int(number), int(at)
    backend.looking.require_attempt(run, step, attempt)
    return attempt, offset


Place = Annotated[tuple[int | None, int], Depends(_place)]


@router.get("/logs")
def read_log(
    run: Readable,
    step: str,
    backend: Back,
    attempt: Attempt = None,
    offset: Offset = 0,
    line: Annotated[int | None, Query(ge=1, le=1 << 53, description="instead of an offset")] = None,
    limit: Annotated[int | None, Query(ge=1, le=100_000, description="lines")] = None,
    service: Service = "",
) -> LogPage:
    """Return the log of an attempt from an offset or from a line, about 1 MiB of it."""
    found = backend.looking.log(run, step, attempt, offset, service, line=line, limit=limit)
    chunks = [to_text(chunk) for chunk in found.chunks]
    ended = found.ended or found.interrupted
    return LogPage(attempt=found.attempt, lines=found.lines, next=found.offset, ended=ended, chunks=chunks)


@router.get("/logs/search")
def search_log(
    run: Readable,
    step: str,
    backend: Back,
    text: Annotated[str, Query(max_length=1000, description="empty: what looks like an error")] = "",
    attempt: Attempt = None,
    line: Annotated[int, Query(ge=1, le=1 << 53, description="the first one to look at")] = 1,
    limit: Annotated[int, Query(ge=1, le=10_000, description="lines")] = 1000,
    service: Service = "",
) -> LogMatches:
    """Return the numbers of the lines that hold a text, upper and lower case being the same, colours passed over."""
    found = backend.looking.search_log(run, step, attempt, text, service=service, line=line, limit=limit)
    return LogMatches(lines=list(found.lines), next=found.next)


@router.get("/logs/stream", response_class=StreamingResponse, responses={200: {"content": MESSAGES}})
async def follow_log(
    stay: Staying,
    run: Readable,
    step: str,
    backend: Back,
    place: Place,
    service: Service = "",
) -> StreamingResponse:
    """Follow the log of an attempt. The data of each message is a LogText, its id says where to go on: ATTEMPT:OFFSET."""
    begin = LogPlace(run, step, *place, service)
    parts = backend.client(NOBODY).log_parts(begin, backend.log_messages.look, follow=True)

    async def messages() -> AsyncIterator[bytes]:
        async for part in with_silences(parts, backend.stop, stay, patience=PING):
            if isinstance(part, bytes):
                yield part
            else:
                yield END if isinstance(part, End) else KEEPALIVE_COMMENT

    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(messages(), media_type="text/event-stream", headers=headers)


@router.get("/logs/raw", response_class=StreamingResponse)
async def download_log(
    run: Readable, step: str, backend: Back, place: Place, caller: Caller, address: Address, service: Service = ""
) -> Response:
    """Return the log as it was written, byte for byte, all services together or one of them."""

    async def pieces() -> AsyncIterator[bytes]:
        chunks: AsyncIterator[LogChunk] = backend.client(NOBODY).logs(
            run, step, attempt=place[0], offset=place[1], service=service
        )
        async for chunk in chunks:
            yield chunk.data

    name = f"{run}-{step}.log"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    answer = StreamingResponse(pieces(), media_type="text/plain; charset=utf-8", headers=headers)
    return Long(place_of(backend.downloads.files, caller, address), answer)
