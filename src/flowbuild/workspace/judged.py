"""HTTP to hosts that others name: each is looked up, judged by the policy, and connected to at the address that was judged."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from concurrent.futures import Executor
from functools import partial

import httpx2

from flowbuild.core.errors import InvalidRequest
from flowbuild.core.giturl import GitUrl, Policy, Transport, judge

_PORTS = {"https": 443, "http": 80}


class JudgedTransport(httpx2.AsyncBaseTransport):
    """Sends requests only to where the policy lets a server go, also those that follow a redirect.

    Raises InvalidRequest for all others. A name that means another address a moment later makes no difference. `threads`:
    in which names are looked up, which may take half a minute each; by default those of everybody.
    """

    def __init__(self, policy: Policy, limits: httpx2.Limits | None = None, threads: Executor | None = None) -> None:
        self._policy = policy
        self._threads = threads
        self._limits = limits or httpx2.Limits(max_connections=100, max_keepalive_connections=20)  # as httpx2 has it
        self._made: httpx2.AsyncHTTPTransport | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """See httpx2: answer a request."""
        url, host = request.url, request.url.host
        if url.scheme not in _PORTS:
            raise InvalidRequest(f"{url.scheme}:// is not supported: https is")
        port = url.port or _PORTS[url.scheme]
        try:
            addresses = await _resolve(host, port, self._threads)
        except (OSError, UnicodeError) as error:
            raise httpx2.ConnectError(f"the host {host} is not known: {error}", request=request) from error
        shown = str(url.copy_with(query=None, fragment=None, userinfo=b""))
        judge(GitUrl(shown, Transport(url.scheme), host, port, "", url.path), self._policy, addresses)
        return await self._connect(request, addresses)

    async def _connect(self, request: httpx2.Request, addresses: Sequence[str]) -> httpx2.Response:
        """Send a request, whose header names the host, to the first of its addresses that answers."""
        extensions = {**request.extensions, "sni_hostname": request.url.host}
        for number, address in enumerate(addresses, 1):
            pinned = httpx2.Request(
                request.method,
                request.url.copy_with(host=address),
                headers=request.headers,
                stream=request.stream,
                extensions=extensions,
            )
            try:
                return await self._inner.handle_async_request(pinned)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                if number == len(addresses):
                    raise
        raise httpx2.ConnectError(f"the host {request.url.host} has no address", request=request)

    @property
    def _inner(self) -> httpx2.AsyncHTTPTransport:
        """Return what speaks HTTP, made when it is first needed: to read the certificates takes 40 ms."""
        if self._made is None:
            context = ssl.create_default_context()
            # No environment: a proxy would look names up itself.
            self._made = httpx2.AsyncHTTPTransport(verify=context, trust_env=False, limits=self._limits)
        return self._made

    async def aclose(self) -> None:
        """Let go of the connections."""
        if self._made is not None:
            await self._made.aclose()


async def _resolve(host: str, port: int, threads: Executor | None) -> Sequence[str]:
    look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(threads, look_up)
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
