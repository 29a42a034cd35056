"""A port on the loopback whose connections go on in another network namespace, whose addresses this process cannot reach."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import socketserver
import threading
from pathlib import Path

CLONE_NEWNET = 0x40000000
CONNECT_SECONDS = 10.0


class Forward:
    """Listens on a free `port` from when it is made; `network` is the file of a namespace, `target` an address in it, which may change."""

    def __init__(self, network: Path, target: tuple[str, int]) -> None:
        self.target = target

        class Connection(socketserver.BaseRequestHandler):
            def handle(handler) -> None:  # noqa: N805 (self is the other one)
                with contextlib.suppress(OSError), _connected(network, self.target) as there:
                    _exchange(handler.request, there)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Connection)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name=f"forward {self.port}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Listen no more; connections end with the namespace."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def enter(network: Path) -> None:
    """Let this thread make its sockets in another network namespace from now on. Raises OSError."""
    namespace = os.open(network, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"{network} cannot be entered")
    finally:
        os.close(namespace)


def _connected(network: Path, target: tuple[str, int]) -> socket.socket:
    """Return a connection made in a namespace; this thread, which is of this one connection, stays there."""
    enter(network)
    return socket.create_connection(target, CONNECT_SECONDS)


def _exchange(one: socket.socket, other: socket.socket) -> None:
    """Copy both ways until both have ended."""
    other.settimeout(None)
    back = threading.Thread(target=_copy, args=(other, one), daemon=True)
    back.start()
    _copy(one, other)
    back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
