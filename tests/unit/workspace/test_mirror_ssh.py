"""Mirrors over ssh, with a real sshd on the loopback: a key opens, and only the host that was there at first."""

import getpass
import json
import os
import socket
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

from flowbuild.core.errors import InvalidRequest, WorkspaceError
from flowbuild.core.giturl import Policy, parse
from flowbuild.testing.git_remote import Source
from flowbuild.testing.lfs_server import DATA, POINTER, serving
from flowbuild.workspace.mirror import Mirror
from flowbuild.workspace.remote import Credential, Remote, Unreachable, access, reach

OPEN = Policy(internal=("localhost", "127.0.0.0/8", "::1"))
SSHD = "/usr/sbin/sshd"  # it wants to be called by its whole path


def keygen(path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path.read_text()


class Ssh:
    """An sshd that lets in whoever has one of the keys in `authorized`."""

    def __init__(self, top):
        self.top = top
        top.mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.key = keygen(top / "key")
        self.renew_host_key()
        (top / "authorized").write_text((top / "key.pub").read_text())
        lines = {
            "Port": self.port,
            "ListenAddress": "127.0.0.1",
            "HostKey": top / "host",
            "AuthorizedKeysFile": top / "authorized",
            "PidFile": "none",
            "StrictModes": "no",
            "UsePAM": "no",
            "PasswordAuthentication": "no",
        }
        (top / "config").write_text("".join(f"{name} {value}\n" for name, value in lines.items()))

    def renew_host_key(self):
        for name in ("host", "host.pub"):
            (self.top / name).unlink(missing_ok=True)
        keygen(self.top / "host")

    def url(self, path):
        return parse(f"ssh://{getpass.getuser()}@localhost:{self.port}{path}")

    @contextmanager
    def serving(self):
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True, mode=0o755)
        command = [SSHD, "-D", "-e", "-f", str(self.top / "config")]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
            try:
                line = server.stderr.readline()
                assert "Server listening" in line, line
                yield self
            finally:
                server.terminate()
                server.stderr.read()


@pytest.fixture
def ssh(tmp_path):
    return Ssh(tmp_path / "ssh")


@pytest.fixture
def source(tmp_path):
    source = Source(tmp_path / "remote")
    source.commit({"a": "1"})
    return source


def test_a_key_opens(ssh, source, tmp_path):
    mirror = Mirror(tmp_path / "mirror")
    with ssh.serving():
        remote = reach(ssh.url(source.path), OPEN, Credential(key=ssh.key))
        with access(remote, tmp_path / "known") as config:
            assert "PRIVATE KEY" not in str(config)
        mirror.fetch(remote)
        assert mirror.commit_of("refs/heads/main") == source.git("rev-parse", "HEAD")
        assert "localhost" in (tmp_path / "mirror/known_hosts").read_text()
        for credential in (None, Credential(key=keygen(tmp_path / "other")), Credential(key="nonsense")):
            with pytest.raises(InvalidRequest, match="does not let the server in"):
                Mirror(tmp_path / "mirror").fetch(reach(ssh.url(source.path), OPEN, credential))
        with pytest.raises(InvalidRequest, match="no git repository"):
            mirror.fetch(reach(ssh.url(f"{source.path}x"), OPEN, Credential(key=ssh.key)))
    with pytest.raises(Unreachable):
        mirror.fetch(remote)
    kept = [path.read_bytes() for path in tmp_path.joinpath("mirror").rglob("*") if path.is_file()]
    assert not any(b"PRIVATE KEY" in content for content in kept)


def test_another_host_behind_the_name_is_refused(ssh, source, tmp_path):
    mirror = Mirror(tmp_path / "mirror")
    remote = reach(ssh.url(source.path), OPEN, Credential(key=ssh.key))
    with ssh.serving():
        mirror.fetch(remote)
    known = (ssh.top / "host.pub").read_text()
    ssh.renew_host_key()
    with ssh.serving():
        with pytest.raises(InvalidRequest, match="Host key verification failed"):
            mirror.fetch(remote)
        right = f"[localhost]:{ssh.port} {(ssh.top / 'host.pub').read_text()}"
        mirror.fetch(Remote(remote.url, remote.addresses, Credential(key=ssh.key, known_hosts=right)))
        wrong = f"[localhost]:{ssh.port} {known}"
        with pytest.raises(InvalidRequest, match="Host key"):
            mirror.fetch(Remote(remote.url, remote.addresses, Credential(key=ssh.key, known_hosts=wrong)))


def test_the_connection_goes_to_the_address_that_was_judged(ssh, source, tmp_path):
    mirror = Mirror(tmp_path / "mirror")
    url = parse(f"ssh://{getpass.getuser()}@git.invalid:{ssh.port}{source.path}")
    with ssh.serving():
        mirror.fetch(Remote(url, ("127.0.0.1",), Credential(key=ssh.key)))
    assert list(mirror.branches()) == ["main"]
    assert "git.invalid" in (tmp_path / "mirror/known_hosts").read_text()


def test_settings_of_the_user_do_not_count(ssh, source, tmp_path, monkeypatch):
    """Neither an agent nor a command that the environment names."""
    monkeypatch.setenv("GIT_SSH_COMMAND", "false")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/nonexistent")
    mirror = Mirror(tmp_path / "mirror")
    with ssh.serving():
        mirror.fetch(reach(ssh.url(source.path), OPEN, Credential(key=ssh.key)))
    assert list(mirror.branches()) == ["main"]


def test_large_files_come_from_where_the_host_says_if_that_is_allowed(ssh, tmp_path):
    """The host says it as it does to git-lfs: where, and with which header."""
    says = {"href": "", "header": {"Authorization": "RemoteAuth 1"}}
    script = ssh.top / "says"
    script.write_text(f'#!/bin/sh\necho "$SSH_ORIGINAL_COMMAND" >> {ssh.top}/asked\ncat {ssh.top}/answer\n')
    script.chmod(0o755)
    (ssh.top / "authorized").write_text(f'command="{script}" {(ssh.top / "key.pub").read_text()}')
    (tmp_path / "mirror/source.git").mkdir(parents=True)

    def fetch(policy):
        remote = reach(ssh.url("/shop.git"), policy, Credential(key=ssh.key))
        Mirror(tmp_path / "mirror").fetch_large(remote, "0" * 40, [POINTER])

    with serving("127.0.0.1") as lfs, ssh.serving():
        lfs.offers(f"{lfs.url}/file")
        lfs.answers["GET /file"] = (200, {}, DATA)
        (ssh.top / "answer").write_text(json.dumps({**says, "href": f"{lfs.url}/shop.git/info/lfs"}))
        with pytest.raises(InvalidRequest, match="is not a public one"):
            fetch(Policy(plain_http=True, internal=("localhost",)))
        assert lfs.asked == []
        fetch(Policy(plain_http=True, internal=("localhost", "127.0.0.0/8")))
        assert [headers["Authorization"] for _, headers, _ in lfs.asked] == ["RemoteAuth 1"] * 2
        (ssh.top / "answer").write_text("git-lfs-authenticate: not found\n")
        with pytest.raises(WorkspaceError, match="does not say where its large files are"):
            fetch(OPEN)
    assert set((ssh.top / "asked").read_text().splitlines()) == {"git-lfs-authenticate /shop.git download"}
