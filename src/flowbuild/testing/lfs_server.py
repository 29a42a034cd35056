"""An LFS server on loopback that says what it is told to say, also what no honest one would."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from flowbuild.workspace.lfs import Pointer

DATA = b"large " * 50_000
POINTER = Pointer(sha256(DATA).hexdigest(), len(DATA))


class LfsServer:
    """Answers by `answers`: code, headers and content by the beginning of "METHOD PATH". `asked` is what came.

    While `gate` is not set there are no answers; `waiting` says that somebody waits for one.
    """

    def __init__(self, host: str) -> None:
        self.answers: dict[str, tuple[int, Mapping[str, str], bytes]] = {}
        self.asked: list[tuple[str, Mapping[str, str], bytes]] = []
        self.waiting, self.gate = threading.Event(), threading.Event()
        self.gate.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"owner": self}))
        self.url = f"http://{host}:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def offers(self, href: str, **more: Any) -> None:
        """Let the batch API of the repository /shop.git name an address for POINTER."""
        found = {"oid": POINTER.oid, "size": POINTER.size, "actions": {"download": {"href": href}}, **more}
        self.answers["POST /shop.git/info/lfs/objects/batch"] = (200, {}, json.dumps({"objects": [found]}).encode())

    def paths(self) -> list[str]:
        """Return what was asked for."""
        return [line for line, _, _ in self.asked]

    def answer(self, line: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        """Take note of a request, and return the answer to it."""
        self.asked.append((line, headers, body))
        self.waiting.set()
        self.gate.wait()
        return next((each for key, each in self.answers.items() if line.startswith(key)), (404, {}, b""))

    def close(self) -> None:
        """Stop serving."""
        self.gate.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    owner: LfsServer

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        code, headers, content = self.owner.answer(f"{self.command} {self.path}", dict(self.headers), body)
        self.send_response(code)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(BrokenPipeError, ConnectionResetError):  # who asked was ended
            self.wfile.write(content)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(*hosts: str) -> Iterator[Any]:
    """Serve on loopback, one server for each name of it; yields it, or all of several."""
    servers = [LfsServer(host) for host in hosts]
    try:
        yield servers if len(hosts) > 1 else servers[0]
    finally:
        for server in servers:
            server.close()
