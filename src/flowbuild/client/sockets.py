"""Connections whose other end may vanish: a machine that loses its power, or its network, closes none of them.

Source: tcp(7).
"""

from __future__ import annotations

import socket
from urllib.request import getproxies

import httpx2

SILENT = 25  # seconds without a sign of the other end after which a connection is over
_ASK = {
    "TCP_KEEPIDLE": 10,
    "TCP_KEEPINTVL": 5,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": SILENT * 1000,
}  # not all systems have all


def asking_transport() -> httpx2.AsyncHTTPTransport | None:
    """Return what makes connections for `httpx2.AsyncClient(transport=…)` that end when nobody is there any more.

    None when the environment names proxies, which a client with a transport of its own would not use.
    """
    if getproxies():
        return None
    found = [
        (socket.IPPROTO_TCP, getattr(socket, name), value) for name, value in _ASK.items() if hasattr(socket, name)
    ]
    return httpx2.AsyncHTTPTransport(socket_options=[(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), *found])
