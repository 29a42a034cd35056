"""Live logs as messages (SSE): each part is read and put into messages once, for all who wait at the same place."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import astuple, replace

from fastapi.sse import format_sse_event
from pydantic import TypeAdapter

from flowbuild.client.base import LogChunk
from flowbuild.client.logtext import LogText, to_text
from flowbuild.services.client import LogPlace
from flowbuild.services.looking import LogLook, Looking

KEPT = 8  # parts for those who come a moment later; one is about 1 MiB of log
END = format_sse_event(data_str="{}", event="end")
_json = TypeAdapter(LogText)
_Part = tuple[LogLook, bytes]


class LogMessages:
    """See the head of this file. Use it in one event loop."""

    def __init__(self, looking: Looking) -> None:
        self._looking = looking
        self._coming: dict[tuple[LogPlace, int], asyncio.Task[_Part]] = {}
        self._kept: OrderedDict[LogPlace, _Part] = OrderedDict()

    async def look(self, place: LogPlace, token: int) -> tuple[LogLook, bytes]:
        """Return what a log has from a place on, without its chunks, and these as messages: see `services.client.Look`.

        Who asks with the same token shares the look; with a newer one it must be a new look, or what came meanwhile is missed.
        """
        if place in self._kept:  # what is written does not change
            return self._kept[place]
        key = (place, token)
        if key not in self._coming:
            self._coming[key] = asyncio.create_task(asyncio.to_thread(self._read, place))
            self._coming[key].add_done_callback(lambda task: self._came(key, task))
        return await asyncio.shield(self._coming[key])  # who gives up does not take it from the others

    def _came(self, key: tuple[LogPlace, int], task: asyncio.Task[_Part]) -> None:
        del self._coming[key]
        place = key[0]
        # The latest attempt may become another one; at the end of what is written more may follow.
        if task.cancelled() or task.exception() or place.attempt is None or not task.result()[1]:
            return
        self._kept[place] = task.result()
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)

    def _read(self, place: LogPlace) -> _Part:
        found = self._looking.log(*astuple(place))
        return replace(found, chunks=()), b"".join(map(_message, found.chunks))


def _message(chunk: LogChunk) -> bytes:
    place = f"{chunk.attempt}:{chunk.offset + len(chunk.data)}"
    return format_sse_event(data_str=_json.dump_json(to_text(chunk)).decode(), event="log", id=place)
