"""Workspaces of runs: directories, files, what steps changed, all of it as a zip.

A step may leave anything there. So nothing of it is ever shown by a browser as a page of ours: what is not plain text or
an image is a download, and all of it is sandboxed. Paths are the raw names, percent-encoded: names need not be UTF-8.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import threading
from collections.abc import AsyncIterator
from typing import Annotated
from urllib.parse import quote, unquote_to_bytes

from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from flowbuild.api.access import Address, Caller, OnRun
from flowbuild.api.backend import Back
from flowbuild.api.places import Long, place_of
from flowbuild.api.problems import RESPONSES
from flowbuild.client.base import FileChange, VariableChange
from flowbuild.core.access import Action
from flowbuild.core.ids import RunId
from flowbuild.services.audit import NOBODY
from flowbuild.workspace.browse import PIECE, Browser, Content

router = APIRouter(prefix="/api/v1/runs/{run}", tags=["workspace"], responses=RESPONSES)
Readable = Annotated[RunId, Depends(OnRun(Action.WORKSPACE_READ))]
IMAGES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif"}
GUARD = {"Content-Security-Policy": "sandbox; default-src 'none'; img-src 'self'; style-src 'unsafe-inline'"}
FOREVER = "private, max-age=31536000, immutable"
TEXT_LOOK = 8192  # bytes of a file that decide whether it is text
_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{0,18})")


class TreeEntry(BaseModel):
    """Something in a directory. `path` goes into further questions as it is; `name` is for people."""

    name: str
    path: str = Field(description="from the top of the workspace, raw bytes percent-encoded")
    kind: str = Field(description="file, directory or link")
    size: int | None
    mode: int = Field(description="permission bits")
    mtime: float = Field(description="seconds since the epoch")
    oid: str = Field(description="equal ids are equal contents")


class Tree(BaseModel):
    """A directory of a workspace."""

    path: str
    entries: list[TreeEntry]


class Diff(BaseModel):
    """What a step changed."""

    files: list[FileChange]
    variables: list[VariableChange]
    patch: str | None = Field(None, description="as of git diff; base64, because files need not be text")


Commit = Annotated[str, Query(pattern="^[0-9a-f]{0,64}$", description="of the run repository")]
AtStep = Annotated[str, Query(max_length=128, description="instead of a commit: as this step left it")]
Before = Annotated[bool, Query(description="as the step found it")]


def _browser(run: Readable, backend: Back, commit: Commit = "", step: AtStep = "", before: Before = False) -> Browser:
    return backend.browsing.open(run, commit=commit, step=step, before=before)


Opened = Annotated[Browser, Depends(_browser)]
PathOf = Annotated[str, Query(max_length=8192, description="raw bytes percent-encoded, from the top")]


@router.get("/workspace/tree")
def list_directory(browser: Opened, response: Response, path: PathOf = "") -> Tree:
    """Return what is in a directory of the workspace."""
    raw = unquote_to_bytes(path)
    response.headers["ETag"] = f'"{browser.tree}"'
    entries = [
        TreeEntry(
            name=entry.name.decode("utf-8", "backslashreplace"),
            path=quote(b"/".join(filter(None, [raw, entry.name]))),
            kind=entry.kind,
            size=entry.size,
            mode=entry.mode,
            mtime=entry.mtime_ns / 1e9,
            oid=entry.oid,
        )
        for entry in browser.directory(raw)
    ]
    return Tree(path=quote(raw), entries=entries)


@router.get("/workspace/file", response_class=StreamingResponse)
def read_file(
    browser: Opened,
    path: PathOf,
    backend: Back,
    caller: Caller,
    address: Address,
    download: bool = False,
    range_: Annotated[str, Header(alias="range")] = "",
    if_none_match: Annotated[str, Header()] = "",
) -> Response:
    """Return a file of the workspace (of a link: where it points). Byte ranges of one piece are served."""
    content = browser.content(unquote_to_bytes(path))
    tag = f'"{content.entry.oid}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Accept-Ranges": "bytes", **GUARD}
    if tag in if_none_match:
        return Response(status_code=304, headers=headers)
    kind = _kind(content)
    if download or kind is None:
        headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(content.entry.name, safe='')}"
    start, stop, status = 0, content.size, 200
    if found := _RANGE.fullmatch(range_):
        start, stop = int(found[1]), min(content.size, int(found[2]) + 1 if found[2] else content.size)
        if start >= stop:
            return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{content.size}"})
        status, headers["Content-Range"] = 206, f"bytes {start}-{stop - 1}/{content.size}"
    headers["Content-Length"] = str(stop - start)
    answer = StreamingResponse(
        content.pieces(start, stop), status, headers, media_type=kind or "application/octet-stream"
    )
    return Long(place_of(backend.downloads.files, caller, address), answer)


@router.get("/variables")
def list_variables(
    run: Annotated[RunId, Depends(OnRun(Action.VARIABLE_READ))],
    backend: Back,
    commit: Commit = "",
    step: AtStep = "",
    before: Before = False,
) -> dict[str, str]:
    """Return the variables at a commit, or as a step left or found them."""
    return backend.browsing.open(run, commit=commit, step=step, before=before).variables


@router.get("/workspace/zip", response_class=StreamingResponse)
def download_zip(
    run: Readable, browser: Opened, backend: Back, caller: Caller, address: Address, path: PathOf = ""
) -> Response:
    """Return a directory of the workspace with all below it as a zip."""
    raw = unquote_to_bytes(path)
    browser.directory(raw)  # an error now is an answer; later it would be a broken file
    headers = {"Content-Disposition": f'attachment; filename="{run}.zip"', "ETag": f'"{browser.tree}"'}
    answer = StreamingResponse(_zipped(browser, raw), headers=headers, media_type="application/zip")
    return Long(place_of(backend.downloads.archives, caller, address), answer)


@router.get("/steps/{step}/diff")
async def diff_step(
    run: Readable, step: str, backend: Back, other: Annotated[str | None, Query()] = None, patch: bool = False
) -> Diff:
    """Return what a step changed in files and variables, or how its result differs from that of another step."""
    found = await backend.client(NOBODY).diff(run, step, other, patch=patch)
    text = base64.b64encode(found.patch).decode() if patch else None
    return Diff(files=list(found.files), variables=list(found.variables), patch=text)


def _kind(content: Content) -> str | None:
    """Return the type of what a browser may show: text and images that cannot act; None for the rest."""
    beginning = b"".join(content.pieces(0, TEXT_LOOK))
    for magic, kind in IMAGES.items():
        if beginning.startswith(magic):
            return kind
    return "text/plain; charset=utf-8" if is_text(beginning) else None


def is_text(data: bytes) -> bool:
    """Whether bytes of a file are text for people."""
    return b"\0" not in data


async def _zipped(browser: Browser, path: bytes) -> AsyncIterator[bytes]:
    """Yield a zip while it is made: a pipe stands between the thread that writes it and who sends it."""
    reading, writing = os.pipe()
    failed: list[BaseException] = []

    def write() -> None:
        try:
            with os.fdopen(writing, "wb", buffering=PIECE) as target:
                browser.write_zip(target, path)
        except BrokenPipeError:
            pass  # whoever wanted it has gone
        except BaseException as error:  # noqa: BLE001 (told by the reader below)
            failed.append(error)

    source = asyncio.StreamReader(limit=PIECE)
    pipe = os.fdopen(reading, "rb", buffering=0)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(source), pipe
    )
    thread = threading.Thread(target=write, name="zip", daemon=True)
    thread.start()
    try:
        while piece := await source.read(PIECE):
            yield piece
    finally:
        transport.close()
    thread.join()  # it has closed its end: nothing is left for it to do
    if failed:
        raise failed[0]
