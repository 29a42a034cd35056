"""Repositories of runs for git and git-lfs: `git clone https://…/git/runs/RUN.git`, with a token as the password.

People read. An attempt may also push its result, to its own ref and only while it goes on, and the large files in it.
LFS: batch API and basic transfers of git-lfs (docs/api in its repository).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBasic, HTTPBasicCredentials, HTTPBearer
from pydantic import BaseModel, Field, ValidationError

from flowbuild.api.access import Address, Permission, of_bearer
from flowbuild.api.backend import Back, Backend
from flowbuild.api.places import Long, place_of
from flowbuild.core.access import ANONYMOUS, Action, Principal, require
from flowbuild.core.errors import Forbidden, InvalidRequest, NotFound, TooLarge
from flowbuild.core.ids import RUN_ID, RunId
from flowbuild.workspace.lfs import LfsStore, Pointer
from flowbuild.workspace.repo import RunRepository
from flowbuild.workspace.serve import RECEIVE, UPLOAD

# Not part of the REST API, whose description these would only clutter: others have described them.
router = APIRouter(prefix="/git/runs/{run}.git", include_in_schema=False)
LFS_JSON = "application/vnd.git-lfs+json"
_PIECE = 1 << 20  # bytes that are written at once
_basic = HTTPBasic(auto_error=False)
_bearer = HTTPBearer(auto_error=False)


def git_caller(
    request: Request,
    backend: Back,
    basic: Annotated[HTTPBasicCredentials | None, Depends(_basic)],
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Principal:
    """Return who asks: git knows users and passwords, and the token is the password, whatever the user is called."""
    if bearer is not None:
        return of_bearer(request, backend, bearer.credentials)
    if basic is not None:
        return backend.authenticator.of_token(basic.password or basic.username)
    return ANONYMOUS


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody at the repository of a run."""

    run: RunId
    caller: Principal
    project: str


@dataclass(frozen=True, slots=True)
class OnRepository(Permission):
    """The caller must have the right in the project of the run; an attempt only in its own run."""

    action: Action

    def __call__(self, run: str, caller: Annotated[Principal, Depends(git_caller)], backend: Back) -> Visit:
        """Return who is where, or refuse."""
        missing = NotFound(f"there is no run {run[:40]!r}", hint="git clone …/git/runs/RUN.git, with the id of a run")
        if not RUN_ID.fullmatch(run) or (caller.kind == "attempt" and caller.id != run):
            raise missing
        project = backend.looking.project(RunId(run))
        try:
            require(caller, self.action, project, public=project in backend.public_projects())
        except NotFound:
            raise missing from None  # in the words for one that does not exist
        return Visit(RunId(run), caller, project)


Reader = Annotated[Visit, Depends(OnRepository(Action.WORKSPACE_READ))]
Writer = Annotated[Visit, Depends(OnRepository(Action.WORKSPACE_WRITE))]
Oid = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]
Size = Annotated[int, Field(ge=0, lt=1 << 63)]


@router.get("/info/refs")
def advertise(
    visit: Reader, backend: Back, address: Address, service: Annotated[str, Query(max_length=32)] = ""
) -> Response:
    """Answer the first question of git."""
    if service not in (UPLOAD, RECEIVE):
        raise Forbidden("this git client is too old", hint="git 1.6.6 and newer speak the smart protocol")
    base = ""
    if service == RECEIVE:
        require(visit.caller, Action.WORKSPACE_WRITE, visit.project)
        door = backend.repositories.incoming(visit.run, visit.caller.name)
        door.open()  # else it builds on what a cut push left
        base = door.base
    answer = backend.git.advertise(backend.repositories.path(visit.run), service, base)
    return Long(place_of(backend.downloads.clones, visit.caller, address), answer)


@router.post("/git-upload-pack")
def fetch(visit: Reader, backend: Back, address: Address) -> Response:
    """Answer a fetch."""
    answer = backend.git.fetch(backend.repositories.path(visit.run))
    return Long(place_of(backend.downloads.clones, visit.caller, address), answer)


@router.post("/git-receive-pack")
def push(visit: Writer, backend: Back) -> Response:
    """Take the result of an attempt."""
    door = backend.repositories.incoming(visit.run, visit.caller.name)
    return Long(nullcontext(), backend.git.push(backend.repositories.path(visit.run), door))


class LargeObject(BaseModel):
    """A large file."""

    oid: str = Field(pattern="^[0-9a-f]{64}$")
    size: Size


class Batch(BaseModel):
    """What a client wants to do with some large files; what else it says does not matter."""

    operation: Literal["download", "upload"]
    transfers: list[str] = Field(default=["basic"], max_length=20)
    objects: list[LargeObject] = Field(max_length=1000)
    hash_algo: str = "sha256"


async def _small_body(request: Request) -> bytes:
    """Return a body that is not a stream of git; raises TooLarge."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _PIECE:
            raise TooLarge(f"the body is larger than {_PIECE} bytes")
    return bytes(body)


Small = Annotated[bytes, Depends(_small_body)]
Model = TypeVar("Model", bound=BaseModel)


def _parsed(model: type[Model], body: bytes) -> Model:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        words = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise InvalidRequest(f"that is no request of git-lfs: {words[:500]}") from error


@router.post("/info/lfs/objects/batch")
def batch(visit: Reader, backend: Back, request: Request, body: Small) -> Response:
    """Say where large files can be got, or are to be sent to."""
    wanted = _parsed(Batch, body)
    if "basic" not in wanted.transfers or wanted.hash_algo != "sha256":
        raise InvalidRequest("only basic transfers of SHA-256 objects are possible")
    if wanted.operation == "upload":
        require(visit.caller, Action.WORKSPACE_WRITE, visit.project)
    pointers = [Pointer(each.oid, each.size) for each in wanted.objects]
    here = backend.repositories.large(visit.run).has(pointers)
    base = f"{_root(backend, request)}/git/runs/{visit.run}.git/info/lfs"
    header = {name: value for name, value in request.headers.items() if name == "authorization"}
    objects = [_object(each, here, wanted.operation, base, header) for each in pointers]
    return JSONResponse({"transfer": "basic", "objects": objects, "hash_algo": "sha256"}, media_type=LFS_JSON)


@router.get("/info/lfs/objects/{oid}")
def download(visit: Reader, backend: Back, address: Address, oid: Oid) -> Response:
    """Return a large file; ranges are possible."""
    store = _store(backend, visit.run)
    path = store.path(oid)
    size = path.stat().st_size if path.is_file() else -1
    if not backend.repositories.large(visit.run).has([Pointer(oid, size)]):
        raise NotFound(f"the run has no large file {oid}")
    answer = FileResponse(path, media_type="application/octet-stream")
    return Long(place_of(backend.downloads.files, visit.caller, address), answer)


@router.put("/info/lfs/objects/{oid}")
async def upload(visit: Writer, backend: Back, request: Request, oid: Oid, size: Annotated[Size, Query()]) -> Response:
    """Take a large file."""
    pointer = Pointer(oid, size)
    store = await asyncio.to_thread(_store, backend, visit.run)
    with store.receive(pointer) as take:
        ahead = bytearray()
        async for piece in request.stream():
            ahead += piece
            if len(ahead) >= _PIECE:
                await asyncio.to_thread(take, bytes(ahead))
                ahead.clear()
        await asyncio.to_thread(take, bytes(ahead))
    large = await asyncio.to_thread(backend.repositories.large, visit.run)
    await asyncio.to_thread(large.sent, pointer)
    return Response()


@router.post("/info/lfs/verify")
def verify(visit: Writer, backend: Back, body: Small) -> Response:
    """Say whether a large file has arrived."""
    wanted = _parsed(LargeObject, body)
    if not backend.repositories.large(visit.run).has([Pointer(wanted.oid, wanted.size)]):
        raise NotFound(f"the large file {wanted.oid} did not arrive")
    return Response()


def _store(backend: Backend, run: RunId) -> LfsStore:
    return RunRepository.open(backend.repositories.path(run)).lfs


def _object(
    pointer: Pointer, here: Collection[Pointer], operation: str, base: str, header: dict[str, str]
) -> dict[str, Any]:
    """Return what is to be done about one large file; one that is here need not be sent."""
    found: dict[str, Any] = {"oid": pointer.oid, "size": pointer.size, "authenticated": True}
    place = {"href": f"{base}/objects/{pointer.oid}", "header": header}
    if operation == "download":
        if pointer in here:
            return found | {"actions": {"download": place}}
        return found | {"error": {"code": 404, "message": "the run has no such large file"}}
    if pointer in here:
        return found
    place["href"] = f"{base}/objects/{pointer.oid}?size={pointer.size}"
    return found | {"actions": {"upload": place, "verify": {"href": f"{base}/verify", "header": header}}}


def _root(backend: Backend, request: Request) -> str:
    """Return the address of the server as the client knows it; behind a proxy its scheme is another one than ours."""
    if request.headers.get("host") == urlsplit(backend.public_url).netloc:
        return backend.public_url
    return str(request.base_url).rstrip("/")
