"""Connections are asked whether anybody is there: options of real sockets."""

import asyncio
import socket

import httpx2
import pytest

from flowbuild.client.sockets import SILENT, asking_transport


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in ("http", "https", "all", "no"):
        for spelt in (f"{name}_proxy", f"{name}_proxy".upper()):
            monkeypatch.delenv(spelt, raising=False)


async def options_of(transport):
    """Return whether a connection is asked, and after how many milliseconds of silence it is over; 0: never."""

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, httpx2.AsyncClient(transport=transport) as http:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with http.stream("GET", url) as answered:
            sock = answered.extensions["network_stream"].get_extra_info("socket")
            asked = sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            return bool(asked), sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)


async def test_the_other_end_is_asked():
    assert await options_of(asking_transport()) == (True, SILENT * 1000)
    assert await options_of(httpx2.AsyncHTTPTransport()) == (False, 0)  # the control


def test_proxies_of_the_environment_are_used(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert asking_transport() is None
