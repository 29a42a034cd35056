"""A remote repository for tests: on disk, and over HTTP by stock `git http-backend` behind a password."""

from __future__ import annotations

import base64
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from flowbuild.testing.program import git

USER, PASSWORD = "robot", "s3cret/@:%"


class Source:
    """A work tree whose branches are pushed to a bare repository, `path`."""

    def __init__(self, top: Path, *, object_format: str = "sha1") -> None:
        self.path = top / "source.git"
        self.tree = top / "source"
        self.tree.mkdir(parents=True)
        for where, more in ((self.path, ["--bare"]), (self.tree, [])):
            git(top, "init", "--quiet", "-b", "main", f"--object-format={object_format}", *more, str(where))

    def commit(self, files: dict[str, bytes | str], message: str = "change", *, branch: str = "main") -> str:
        """Write files, commit them on top of what is checked out, push that as a branch and return the commit."""
        for name, content in files.items():
            path = self.tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        self.git("checkout", "--quiet", "--detach")
        self.push(f"HEAD:refs/heads/{branch}")
        return self.git("rev-parse", "HEAD")

    def push(self, *specs: str) -> None:
        """Push refs."""
        self.git("push", "--quiet", "--force", str(self.path), *specs)

    def git(self, *arguments: str) -> str:
        """Run git in the work tree."""
        return git(self.tree, *arguments).strip()


class _Backend(BaseHTTPRequestHandler):
    """Hands requests to `git http-backend`, when they bring the password or none is wanted."""

    top: Path
    password: str | None
    requests: list[str]
    redirect: str
    gate: threading.Event
    waiting: threading.Event

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.requests.append(f"{self.command} {self.path}")
        if not self.gate.is_set():
            self.waiting.set()
            self.gate.wait()
        if self.redirect:
            self.send_response(302)
            self.send_header("Location", self.redirect + self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        wanted = None
        if self.password is not None:
            wanted = "Basic " + base64.b64encode(f"{USER}:{self.password}".encode()).decode()
        if wanted is not None and self.headers.get("Authorization") != wanted:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        env = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.top),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        done = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        lines = [line.partition(": ") for line in head.decode().split("\r\n")]
        status = next((value for name, _, value in lines if name == "Status"), "200 OK")
        self.send_response(int(status.split()[0]))
        for name, _, value in lines:
            if name != "Status":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Served:
    """Repositories over HTTP on loopback: `url` of the top, and every request that came.

    While `gate` is not set they have no answer; `waiting` says that somebody waits for one.
    """

    def __init__(self, top: Path, password: str | None, redirect: str) -> None:
        self.requests: list[str] = []
        self.gate, self.waiting = threading.Event(), threading.Event()
        self.gate.set()
        handler: dict[str, object] = {"top": top, "password": password, "requests": self.requests, "redirect": redirect}
        handler |= {"gate": self.gate, "waiting": self.waiting}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Backend", (_Backend,), handler))
        self.port = self._server.server_address[1]
        self.url = f"http://localhost:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self.gate.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def served(top: Path, *, password: str | None = None, redirect: str = "") -> Iterator[Served]:
    """Serve the repositories below a directory; `redirect` sends everybody elsewhere."""
    server = Served(top, password, redirect)
    try:
        yield server
    finally:
        server.close()
