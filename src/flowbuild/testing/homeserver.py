"""A private Matrix homeserver (Synapse) for tests: on the loopback, with SQLite, without federation, and people in it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2

NAME = "flow.test"
START_SECONDS = 90.0  # of a machine that does many things at once; it takes three by itself
SECRET = "registrations by the tests"  # noqa: S105 (of a server that nobody else reaches)
# What limits tests that are no people. How often one may speak (rc_message) stays as it is by default, see `Homeserver.unlimited`.
_MUCH: dict[str, Any] = {"per_second": 1000, "burst_count": 1000}
_RATES: dict[str, Any] = {
    "rc_registration": _MUCH,
    "rc_login": {"address": _MUCH, "account": _MUCH, "failed_attempts": _MUCH},
    "rc_joins": {"local": _MUCH, "remote": _MUCH},
    "rc_joins_per_room": _MUCH,
    "rc_invites": {"per_room": _MUCH, "per_user": _MUCH, "per_issuer": _MUCH},
    "rc_room_creation": _MUCH,
}


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who is registered, and signed in with a token."""

    user: str
    token: str
    password: str


class Homeserver:
    """A server in `directory`. Requests of tests to it are made as one of its accounts."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.port: int = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        self._http = httpx2.Client(base_url=self.url, timeout=60)
        (directory / "homeserver.json").write_text(json.dumps(self._config()))
        (directory / "log.json").write_text(json.dumps(_log(directory / "synapse.log")))

    @property
    def pid(self) -> int:
        """The process of the server."""
        assert self._process is not None  # noqa: S101 (it was started)
        return self._process.pid

    def start(self) -> None:
        """Start the server; return when it says that it is ready, as it would say to systemd. It ends with the thread that does this."""
        address = self._directory / "ready"
        address.unlink(missing_ok=True)
        with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as ready:
            ready.bind(str(address))
            ready.settimeout(START_SECONDS)
            with (self._directory / "output").open("ab") as output:
                self._process = subprocess.Popen(
                    [
                        "setpriv",
                        "--pdeathsig=TERM",
                        "--",
                        _python(),
                        "-m",
                        "synapse.app.homeserver",
                        *self._arguments(),
                    ],
                    cwd=self._directory,
                    env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "NOTIFY_SOCKET": str(address)},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                )
            try:
                while b"READY=1" not in ready.recv(4096):
                    pass
            except TimeoutError as error:
                raise RuntimeError(f"Synapse did not start:\n{self._said()}") from error

    def stop(self, *, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop the server, and wait for its end; what it holds is there at the next start."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """Stop the server for ever."""
        self._http.close()
        self.stop(how=signal.SIGKILL)

    def register(self, name: str, *, admin: bool = False) -> Account:
        """Register somebody, with a password, and sign them in."""
        nonce, password = self.ask("", "GET", "/_synapse/admin/v1/register")["nonce"], secrets.token_urlsafe(9)
        parts = [nonce, name, password, "admin" if admin else "notadmin"]
        mac = hmac.new(SECRET.encode(), "\0".join(parts).encode(), hashlib.sha1).hexdigest()
        body = {"nonce": nonce, "username": name, "password": password, "admin": admin, "mac": mac}
        made = self.ask("", "POST", "/_synapse/admin/v1/register", body)
        return Account(made["user_id"], made["access_token"], password)

    def unlimited(self, admin: Account, user: str, *, limited: bool = False) -> None:
        """Let somebody speak as often as they like; `limited`: as often as everybody does by default."""
        path = f"/_synapse/admin/v1/users/{quote(user)}/override_ratelimit"
        self.ask(admin.token, "DELETE" if limited else "POST", path, {} if limited else {"messages_per_second": 0})

    def ask(self, token: str, method: str, path: str, body: Any = None, **query: str) -> Any:
        """Return the answer to a request. Raises AssertionError when it is refused."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = self._http.request(method, path, json=body, params=query, headers=headers)
        if answer.is_error:
            raise AssertionError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json()

    def _arguments(self) -> Sequence[str]:
        return ("--config-path", str(self._directory / "homeserver.json"))

    def _config(self) -> Mapping[str, Any]:
        key = base64.b64encode(secrets.token_bytes(32)).decode().rstrip("=")
        listener = {"port": self.port, "type": "http", "bind_addresses": ["127.0.0.1"], "tls": False}
        return {
            "server_name": NAME,
            "public_baseurl": f"{self.url}/",
            "listeners": [{**listener, "resources": [{"names": ["client"]}]}],
            "database": {"name": "sqlite3", "args": {"database": str(self._directory / "homeserver.db")}},
            "registration_shared_secret": SECRET,
            "signing_key": f"ed25519 a_test {key}",
            "macaroon_secret_key": secrets.token_hex(16),
            "form_secret": secrets.token_hex(16),
            "log_config": str(self._directory / "log.json"),
            "media_store_path": str(self._directory / "media"),
            "trusted_key_servers": [],
            "federation_domain_whitelist": [],
            "report_stats": False,
            "presence": {"enabled": False},
            "bcrypt_rounds": 4,
            **_RATES,
        }

    def _said(self) -> str:
        files = (self._directory / "output", self._directory / "synapse.log")
        return "\n".join(each.read_text(errors="replace")[-3000:] for each in files if each.exists())


@contextmanager
def running() -> Iterator[Homeserver]:
    """Run a homeserver as long as the context is open."""
    # In memory where there is such a place: a homeserver forces each message to the disk. Short: the address of a socket holds
    # about 100 bytes.
    memory = Path("/dev/shm")  # noqa: S108 (a directory of its own in it)
    directory = Path(tempfile.mkdtemp(prefix="flow-hs-", dir=memory if memory.is_dir() else None))
    try:
        server = Homeserver(directory)
        try:
            server.start()
            yield server
        finally:
            server.close()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


class Person:
    """Somebody on a homeserver, with what they do there and see."""

    def __init__(self, server: Homeserver, account: Account) -> None:
        self.server, self.account = server, account
        self.user = account.user

    async def ask(self, method: str, path: str, body: Any = None, **query: str) -> Any:
        """Ask the client-server API, without stopping the loop of the test."""
        call = (self.account.token, method, f"/_matrix/client/v3/{path}", body)
        return await asyncio.to_thread(self.server.ask, *call, **query)

    async def make_room(self, *invited: str, direct: bool = False, **options: Any) -> str:
        """Make a room and invite others to it."""
        body = {"invite": list(invited), "is_direct": direct, "preset": "private_chat", **options}
        return str((await self.ask("POST", "createRoom", body))["room_id"])

    async def say(self, room: str, text: str, **content: Any) -> str:
        """Say something; return its event."""
        body = {"msgtype": "m.text", "body": text, **content}
        return await self.send(room, "m.room.message", body)

    async def send(self, room: str, kind: str, body: Any) -> str:
        """Send an event of any kind."""
        path = f"rooms/{quote(room)}/send/{kind}/{secrets.token_hex(8)}"
        return str((await self.ask("PUT", path, body))["event_id"])

    async def join(self, room: str) -> None:
        """Follow an invitation."""
        await self.ask("POST", f"join/{quote(room)}", {})

    async def history(self, room: str) -> list[dict[str, Any]]:
        """Return the events of a room, the oldest first."""
        found: list[dict[str, Any]] = []
        query = {"dir": "b", "limit": "500"}
        while True:
            page = await self.ask("GET", f"rooms/{quote(room)}/messages", **query)
            found += page["chunk"]
            if "end" not in page or not page["chunk"]:
                return found[::-1]
            query["from"] = page["end"]

    async def wait(self, room: str, met: Any) -> list[dict[str, Any]]:
        """Return the history of a room once it meets a condition; waits for events, not for time."""
        since = (await self.ask("GET", "sync", timeout="0"))["next_batch"]
        while not met(events := await self.history(room)):
            since = (await self.ask("GET", "sync", timeout="30000", since=since))["next_batch"]
        return events


def _log(path: Path) -> Mapping[str, Any]:
    handler = {"class": "logging.FileHandler", "filename": str(path), "formatter": "plain"}
    return {
        "version": 1,
        "formatters": {"plain": {"format": "%(asctime)s %(name)s %(levelname)s %(message)s"}},
        "handlers": {"file": handler},
        "root": {"level": "WARNING", "handlers": ["file"]},
        "disable_existing_loggers": False,
    }


def _python() -> str:
    """Return the Python that has Synapse: beside the environment of the tests, made by scripts/homeserver."""
    found = Path(sys.prefix).with_name(".venv-homeserver") / "bin" / "python"
    if not found.exists():
        raise RuntimeError("the homeserver of the tests is not installed; scripts/setup --dev installs it")
    return str(found)
