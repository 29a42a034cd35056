"""Large files of a source from its LFS server: that of the remote itself, never one that a commit names (`.lfsconfig`).

git-lfs connects to whatever address the answers of a server hold, those of this machine and its networks included. So a
server, which reaches what its users cannot, asks by itself: every address is judged by its policy (`workspace.judged`).
"""

from __future__ import annotations

import asyncio
import base64
import shlex
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import httpx2
from pydantic import TypeAdapter, ValidationError

from flowbuild.core.errors import InvalidRequest, WorkspaceError
from flowbuild.core.giturl import Transport
from flowbuild.workspace import git, lfs_batch
from flowbuild.workspace.git import Children
from flowbuild.workspace.judged import JudgedTransport
from flowbuild.workspace.lfs import LfsStore, Pointer
from flowbuild.workspace.remote import CONNECT_SECONDS, SILENT_SECONDS, Remote, Unreachable, large_url

AT_ONCE = 4
TRIES = 3
RETRY_SECONDS = 0.5  # before the second try; twice as long before the third
REDIRECTS = 5
SSH_SECONDS = 120.0
PIECE = 1 << 20
MAX_ANSWER = 4 << 20  # bytes of an answer that is no large file
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Server:
    """Where the batch API is, and the headers that open it."""

    href: str = ""
    header: Mapping[str, str] = field(default_factory=dict, repr=False)


_server: TypeAdapter[_Server] = TypeAdapter(_Server)


def fetch(
    remote: Remote,
    config: Mapping[str, str],
    pointers: Collection[Pointer],
    store: LfsStore,
    *,
    seconds: float,
    children: Children,
) -> None:
    """Bring large files of a remote into a store. `config`: the git settings of `remote.access`. Blocking.

    Raises InvalidRequest (it refuses us, or leads where the policy does not), Unreachable (also when `children` end, or after
    `seconds`), WorkspaceError.
    """
    server = _by_ssh(remote, config, children) if remote.url.transport is Transport.SSH else _by_http(remote)

    async def main() -> None:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None  # noqa: S101 (we are in one)
        with children.holding(partial(loop.call_soon_threadsafe, task.cancel)):
            async with asyncio.timeout(seconds), _client(remote) as http:
                await _Fetching(http, server, store).all(pointers)

    try:
        asyncio.run(main())
    except (asyncio.CancelledError, TimeoutError) as error:
        raise Unreachable(f"{remote.url.text}: its large files did not come in time") from error


def _client(remote: Remote) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        transport=JudgedTransport(remote.policy),
        timeout=httpx2.Timeout(SILENT_SECONDS, connect=CONNECT_SECONDS),
        trust_env=False,
        max_redirects=REDIRECTS,
    )


def _by_http(remote: Remote) -> _Server:
    credential, header = remote.credential, dict[str, str]()
    if credential.password:
        proof = base64.b64encode(f"{credential.user or 'git'}:{credential.password}".encode()).decode()
        header["Authorization"] = f"Basic {proof}"
    return _Server(large_url(remote.url), header)


def _by_ssh(remote: Remote, config: Mapping[str, str], children: Children) -> _Server:
    """Ask the host for a way to its large files, as git-lfs does. Source: git-lfs `docs/api/server-discovery.md`."""
    url = remote.url
    place = f"{url.user}@{url.host}" if url.user else url.host
    asking = f"git-lfs-authenticate {shlex.quote(url.path)} download"
    command = [*shlex.split(config["core.sshCommand"]), "-p", str(url.port), "--", place, asking]
    done = git.call(command, git.environment(None), timeout=SSH_SECONDS, children=children)
    if done.returncode != 0:
        raise git.failed(("lfs",), done.returncode, done.stderr)
    try:
        return _server.validate_json(done.stdout)
    except ValidationError as error:
        raise WorkspaceError(f"{url.text} does not say where its large files are") from error


class _Fetching:
    """Asks one server for large files, and for several at a time."""

    def __init__(self, http: httpx2.AsyncClient, server: _Server, store: LfsStore) -> None:
        self._http = http
        self._server = server
        self._store = store
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def all(self, pointers: Collection[Pointer]) -> None:
        """Fetch all of them."""
        for part in lfs_batch.batches(pointers):
            content = await _patiently(partial(self._ask, lfs_batch.request("download", part)))
            told = lfs_batch.answered("download", part, content)
            await asyncio.gather(*(self._one(pointer, found) for pointer, found in told))

    async def _ask(self, body: bytes) -> bytes:
        where, headers = f"{self._server.href.rstrip('/')}/objects/batch", {**self._server.header, **lfs_batch.HEADERS}
        async with self._http.stream("POST", where, content=body, headers=headers) as answer:
            _require_good(answer)
            content = bytearray()
            async for piece in answer.aiter_bytes():
                content += piece
                if len(content) > MAX_ANSWER:
                    raise WorkspaceError(f"{where} says more than {MAX_ANSWER} bytes")
            return bytes(content)

    async def _one(self, pointer: Pointer, told: lfs_batch.Object) -> None:
        place = told.actions.get("download")
        if place is None:
            raise WorkspaceError(f"{self._server.href} has no way to the large file {pointer.oid}")
        async with self._turns:
            await _patiently(partial(self._download, pointer, place, proven=told.authenticated))

    async def _download(self, pointer: Pointer, place: lfs_batch.Action, *, proven: bool) -> None:
        headers = dict(place.header)
        proven = proven or "authorization" in map(str.lower, headers)
        if not proven and _same(place.href, self._server.href):
            headers |= self._server.header
        async with self._http.stream("GET", place.href, headers=headers, follow_redirects=True) as answer:
            _require_good(answer)
            with self._store.receive(pointer) as take:
                async for piece in answer.aiter_bytes(PIECE):
                    await asyncio.to_thread(take, piece)


async def _patiently(work: Callable[[], Awaitable[T]]) -> T:
    """Do work that may be repeated. Raises what `fetch` raises."""
    for tries in range(1, TRIES + 1):
        try:
            return await work()
        except (httpx2.TransportError, Unreachable) as error:
            if tries == TRIES:
                raise Unreachable(f"the large files cannot be got: {str(error) or type(error).__name__}") from error
            await asyncio.sleep(RETRY_SECONDS * 2 ** (tries - 1))
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
            raise WorkspaceError(f"the LFS server leads nowhere: {type(error).__name__}") from error
    raise AssertionError  # pragma: no cover


def _require_good(answer: httpx2.Response) -> None:
    code, where = answer.status_code, answer.url.copy_with(query=None)
    if answer.is_success:
        return
    if code in (401, 403):
        raise InvalidRequest(
            f"{where} does not let the server in: it said {code}", hint="the project needs another credential"
        )
    if code == 429 or code >= 500:
        raise Unreachable(f"{where} said {code}")
    raise WorkspaceError(f"{where} said {code}")


def _same(one: str, other: str) -> bool:
    """Whether two addresses are of the same server, so that what opens one opens the other. Raises httpx2.InvalidURL."""
    first, second = httpx2.URL(one), httpx2.URL(other)
    return (first.scheme, first.host, first.port) == (second.scheme, second.host, second.port)
