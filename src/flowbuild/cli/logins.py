"""Where `flow login` keeps the servers of a user and the tokens for them: one file that only this user can read."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from flowbuild.core.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Login:
    """A server and the token that opens it."""

    url: str
    token: str


class Logins:
    """The file; it need not exist."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or _place()

    def of(self, url: str) -> str:
        """Return the token for a server; empty when there is none."""
        return next((login.token for login in self._read() if login.url == url), "")

    def latest(self) -> Login | None:
        """Return the login that was made last."""
        found = self._read()
        return found[-1] if found else None

    def put(self, login: Login) -> None:
        """Keep a login; it is the latest now."""
        self._write([*(each for each in self._read() if each.url != login.url), login])

    def drop(self, url: str) -> None:
        """Forget the login on a server."""
        self._write([each for each in self._read() if each.url != url])

    def _read(self) -> list[Login]:
        try:
            written = json.loads(self._path.read_text())
            return [Login(str(each["url"]), str(each["token"])) for each in written["logins"]]
        except FileNotFoundError:
            return []
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise InvalidRequest(f"{self._path} cannot be read: {error}", hint="remove it and log in again") from error

    def _write(self, logins: list[Login]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = self._path.with_suffix(f".{os.getpid()}.new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump({"logins": [asdict(login) for login in logins]}, file, indent=2)
        new.replace(self._path)


def normal(url: str) -> str:
    """Return the address of a server as it is kept; raises InvalidRequest for what is none."""
    text = url if "://" in url else f"https://{url}"
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise InvalidRequest(f"{url!r} is not the address of a server", hint="like https://flow.example.org")
    return text.rstrip("/")


def _place() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME", "")
    home = Path(base) if base.startswith("/") else Path.home() / ".config"
    return home / "flow-build" / "servers.json"
