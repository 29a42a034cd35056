"""The way to a remote repository: its addresses are looked up once, judged and pinned; secrets reach git by files.

Nothing of a secret stands on a command line or in an environment. Redirects are not followed: they could lead to a host
that nobody judged.
"""

from __future__ import annotations

import os
import shlex
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from flowbuild.core.errors import InvalidRequest, WorkspaceError
from flowbuild.core.giturl import GitUrl, Policy, Transport, judge

CONNECT_SECONDS = 20
SILENT_SECONDS = 60  # a transfer that stands still this long is given up


@dataclass(frozen=True, slots=True)
class Credential:
    """What opens a remote: user and password (or token) for http, a private key for ssh. Never shown."""

    user: str = ""
    password: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    known_hosts: str = ""  # lines as ssh keeps them; without, the key that the host shows first is remembered


class Unreachable(WorkspaceError):
    """A remote cannot be reached now; trying again later may help."""

    code = "remote_unreachable"


@dataclass(frozen=True, slots=True)
class Remote:
    """A repository that the server may fetch from, and the addresses of its host; none for a path.

    `policy` is for where it leads to: its large files may be elsewhere.
    """

    url: GitUrl
    addresses: tuple[str, ...] = ()
    credential: Credential = Credential()
    policy: Policy = field(default_factory=Policy)


def reach(url: GitUrl, policy: Policy, credential: Credential | None = None) -> Remote:
    """Look up where an address leads. Raises InvalidRequest when that is not allowed, Unreachable when it is unknown."""
    credential = credential or Credential()
    if url.transport is Transport.FILE:
        judge(url, policy, [os.path.realpath(url.path)])
        return Remote(url, policy=policy)
    if credential.key and url.transport is not Transport.SSH:
        raise InvalidRequest("a private key opens ssh addresses only", hint="give a user and a password or token")
    try:
        found = socket.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unreachable(f"the host {url.host} is not known: {error}", hint="is it spelt right?") from error
    addresses = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
    judge(url, policy, addresses)
    return Remote(url, addresses, credential, policy)


@contextmanager
def access(remote: Remote, hosts: Path) -> Iterator[dict[str, str]]:
    """Give the git settings with which a remote is reached. `hosts` keeps the keys that ssh hosts showed."""
    url = remote.url
    config = {f"protocol.{url.transport}.allow": "always", "credential.helper": "", "core.askPass": ""}
    if url.transport is Transport.FILE:
        yield config
        return
    with tempfile.TemporaryDirectory(prefix="flow-remote-") as scratch:
        if url.transport is Transport.SSH:
            yield config | _ssh(remote, Path(scratch), hosts)
        else:
            yield config | _http(remote, Path(scratch))


def large_url(url: GitUrl) -> str:
    """Return where the LFS server of an http remote is."""
    return f"{url.text}/info/lfs" if url.text.endswith(".git") else f"{url.text.rstrip('/')}.git/info/lfs"


def _http(remote: Remote, scratch: Path) -> dict[str, str]:
    url, credential = remote.url, remote.credential
    addresses = ",".join(f"[{one}]" if ":" in one else one for one in remote.addresses)
    config = {
        "http.curloptResolve": f"{url.host}:{url.port}:{addresses}",
        "http.followRedirects": "false",
        "http.lowSpeedLimit": "1",
        "http.lowSpeedTime": str(SILENT_SECONDS),
    }
    if credential.password:
        # git's own store compares transport and host, so another host never gets to see it
        shown = url.text.partition("://")[2].partition("/")[0]
        user, password = quote(credential.user or "git", safe=""), quote(credential.password, safe="")
        _secret(scratch / "credentials", f"{url.transport}://{user}:{password}@{shown}\n")
        config["credential.helper"] = f"store --file={shlex.quote(str(scratch / 'credentials'))}"
    return config


def _ssh(remote: Remote, scratch: Path, hosts: Path) -> dict[str, str]:
    url, credential = remote.url, remote.credential
    known, strict = hosts, "accept-new"
    if credential.known_hosts:
        known, strict = scratch / "known_hosts", "yes"
        _secret(known, credential.known_hosts.rstrip("\n") + "\n")
    options = {
        "BatchMode": "yes",
        "CheckHostIP": "no",
        "ConnectTimeout": str(CONNECT_SECONDS),
        "HostKeyAlias": url.host if url.port == 22 else f"[{url.host}]:{url.port}",  # as known_hosts files name it
        "HostName": remote.addresses[0],
        "IdentitiesOnly": "yes",
        "IdentityFile": "none",
        "ServerAliveInterval": str(SILENT_SECONDS // 3),
        "StrictHostKeyChecking": strict,
        "UserKnownHostsFile": str(known),
    }
    if credential.key:
        _secret(scratch / "key", credential.key.rstrip("\n") + "\n")
        options["IdentityFile"] = str(scratch / "key")
    command = ["ssh", "-F", "/dev/null", *(part for key, value in options.items() for part in ("-o", f"{key}={value}"))]
    return {"core.sshCommand": shlex.join(command), "ssh.variant": "ssh"}


def _secret(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
