"""Stock git as a child process, for what is off the hot path: diff, repack, fsck, clone.

Every child gets a pinned environment and an explicit GIT_DIR and never has its working directory in a workspace:
configuration, hooks, filters and attributes that a step leaves behind must not run here.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path

from flowbuild.core.errors import InvalidRequest, WorkspaceError

_CONFIG = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.symlinks": "true",
    "core.attributesFile": "/dev/null",
    "core.excludesFile": "/dev/null",
    "core.fsync": "none",
    "safe.bareRepository": "explicit",
    "protocol.allow": "never",
    "submodule.recurse": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "transfer.fsckObjects": "true",
    "uploadpack.allowFilter": "false",
    "diff.external": "",
}
# What leads to a server elsewhere is for the user's own environment to say.
_NETWORK = ("http_proxy", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "GIT_SSL_CAINFO", "SSL_CERT_FILE")
_CHUNK = 1 << 16
_TIMEOUT = 600.0  # seconds; nothing we ask of git takes that long


class GitFailure(StrEnum):
    """What went wrong in a git child, as far as its words tell."""

    MISSING = "missing"  # git itself is not installed
    NOT_A_REPOSITORY = "not_a_repository"
    UNKNOWN_REVISION = "unknown_revision"
    UNREACHABLE = "unreachable"  # the remote: no such host, no connection, nothing at that address
    REFUSED = "refused"  # by the remote: who asks may not, or did not say who it is
    LOCKED = "locked"
    CORRUPT = "corrupt"
    NO_SPACE = "no_space"
    DENIED = "denied"
    TIMEOUT = "timeout"
    OTHER = "other"


# In this order: the first whose words occur in stderr (LC_ALL=C) names the failure.
_WORDS: tuple[tuple[GitFailure, tuple[str, ...]], ...] = (
    (GitFailure.NO_SPACE, ("No space left", "Disk quota exceeded")),
    (
        GitFailure.REFUSED,
        ("Authentication failed", "could not read Username", "Permission denied (", "returned error: 40", "Host key"),
    ),
    (
        GitFailure.UNREACHABLE,
        (
            "Could not resolve host",
            "Could not connect",
            "Failed to connect",
            "Connection refused",
            "Connection timed out",
            "Connection reset",
            "returned error: 5",
            "unable to update url base from redirection",
            "Operation too slow",
            # A server that died while it answered: what curl and git say depends on the byte.
            "Empty reply from server",
            "transfer closed with",
            "RPC failed; curl",
            "Recv failure",
            "Send failure",
            "hung up unexpectedly",
            "unexpected disconnect",
            "early EOF",
            "expected 'packfile'",
            "bad line length",
            "not valid: is this a git repository",
        ),
    ),
    (GitFailure.DENIED, ("Permission denied", "dubious ownership", "Read-only file system")),
    (GitFailure.NOT_A_REPOSITORY, ("not a git repository", "does not appear to be a git repository")),
    (GitFailure.LOCKED, (".lock': File exists", "Unable to create", "cannot lock ref")),
    (GitFailure.UNKNOWN_REVISION, ("unknown revision", "bad revision", "Not a valid object name", "bad object")),
    (GitFailure.CORRUPT, ("corrupt", "unable to read", "missing blob", "missing tree", "index-pack failed")),
)


class GitError(WorkspaceError):
    """A git child failed; `failure` says how, the message carries its last lines."""

    code = "git_error"

    def __init__(self, message: str, failure: GitFailure, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.failure = failure


def environment(git_dir: Path | None, config: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the whole environment of a git child: nothing of ours but PATH, every setting pinned."""
    settings = {**_CONFIG, **(config or {})}
    env = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": "/nonexistent",
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_CONFIG_COUNT": str(len(settings)),
    }
    for number, (key, value) in enumerate(settings.items()):
        env[f"GIT_CONFIG_KEY_{number}"] = key
        env[f"GIT_CONFIG_VALUE_{number}"] = value
    if git_dir is not None:
        env["GIT_DIR"] = str(git_dir)
    return env


class Children:
    """What git does for somebody who may have to stop before it is done: `end` ends it, and lets nothing new begin."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[Callable[[], object]] = set()
        self._ended = False

    @contextlib.contextmanager
    def holding(self, end: Callable[[], object]) -> Iterator[None]:
        """Have something among them while the context is open; `end` ends it, called from any thread."""
        with self._lock:
            self._running.add(end)
            if self._ended:
                end()
        try:
            yield
        finally:
            with self._lock:
                self._running.discard(end)

    def end(self) -> None:
        """End all of them, for good."""
        with self._lock:
            self._ended = True
            for end in self._running:
                end()


def run(
    git_dir: Path | None,
    *args: str,
    stdin: bytes = b"",
    config: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    accept: tuple[int, ...] = (0,),
    timeout: float = _TIMEOUT,
    children: Children | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run git on a bare repository and return its output; GitError when its exit code is not in `accept`.

    `env` is added to the environment. After `timeout` seconds, or when `children` end, git and what it started are killed.
    """
    whole = {**environment(git_dir, config), **(env or {})}
    done = call(["git", *args], whole, stdin=stdin, timeout=timeout, children=children)
    if done.returncode not in accept:
        raise failed(args, done.returncode, done.stderr)
    return done


def call(
    command: Sequence[str],
    env: Mapping[str, str],
    *,
    stdin: bytes = b"",
    timeout: float = _TIMEOUT,
    children: Children | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run git, or a transport of it, and return its output, however it ended; `timeout` and `children` as of `run`."""
    try:
        child = subprocess.Popen(
            command,
            cwd="/",
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,  # a transport that git started must not outlive it and keep the pipes open
        )
    except FileNotFoundError as error:
        name = command[0]
        raise GitError(f"{name} is not installed", GitFailure.MISSING, hint=f"install the package {name}") from error
    with child, children.holding(partial(_kill, child)) if children else contextlib.nullcontext():
        try:
            stdout, stderr = child.communicate(stdin, timeout)
        except BaseException as error:
            _kill(child)
            if isinstance(error, subprocess.TimeoutExpired):
                what = " ".join(command[:2])
                raise GitError(f"{what} took longer than {timeout:.0f} s", GitFailure.TIMEOUT) from error
            raise
    return subprocess.CompletedProcess(command, child.returncode, stdout, stderr)


def _kill(child: subprocess.Popen[bytes]) -> None:
    """End a child, if nobody has waited for it yet, and what it started."""
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)


def stream(git_dir: Path, *args: str, limit: int, env: Mapping[str, str] | None = None) -> Iterator[bytes]:
    """Yield the output of git in chunks, at most `limit` bytes of it; the child is ended when the reader stops.

    `env` is added to the environment.
    """
    with subprocess.Popen(
        ["git", *args],
        cwd="/",
        env={**environment(git_dir), **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None  # noqa: S101  # for the type checker: PIPE was asked for
        assert child.stderr is not None  # noqa: S101
        complete = False
        try:
            while limit > 0 and not complete:
                chunk = child.stdout.read(min(_CHUNK, limit))
                limit -= len(chunk)
                complete = not chunk
                if chunk:
                    yield chunk
        finally:
            if not complete:
                child.kill()
        stderr = child.stderr.read()
        code = child.wait()
    if code != 0 and complete:
        raise failed(args, code, stderr)


def failed(args: tuple[str, ...], code: int, stderr: bytes) -> GitError:
    """Return the typed error for the words of a git child that ended with `code`."""
    text = stderr.decode("utf-8", "replace").strip()
    failure = next((kind for kind, words in _WORDS if any(word in text for word in words)), GitFailure.OTHER)
    hint = "free some disk space and try again" if failure is GitFailure.NO_SPACE else ""
    last = "\n".join(text.splitlines()[-5:])
    return GitError(f"git {args[0] if args else ''} ended with code {code}: {last}", failure, hint=hint)


def fsck(git_dir: Path) -> None:
    """Let stock git check every object of the repository; GitError names what is wrong."""
    done = run(git_dir, "fsck", "--strict", "--full", "--no-dangling", "--no-progress")
    # fsck reports some problems as warnings with exit code 0; strict means none of them.
    if done.stdout.strip() or done.stderr.strip():
        raise failed(("fsck",), done.returncode, done.stdout + done.stderr)


def clone(run_repository: Path, directory: Path) -> None:
    """Clone a run into a new directory with the real bytes of its large files.

    The clone works with stock git and git-lfs afterwards. Raises InvalidRequest when the directory is in the way or
    git-lfs is missing.
    """
    reading = {"protocol.file.allow": "always", "safe.bareRepository": "all"}  # git-lfs looks into where it clones from
    _clone(str(run_repository.absolute()), directory, reading)


def clone_from(url: str, token: str, directory: Path) -> None:
    """Clone a run from a server, as `clone` does; the token is nowhere to be seen and not kept in the clone.

    Later fetches ask for it: any user name will do, the token is the password.
    """
    reading = {"protocol.http.allow": "always", "protocol.https.allow": "always"}
    if token:
        reading[f"http.{url}.extraHeader"] = f"Authorization: Bearer {token}"
    passed = {name: os.environ[name] for name in _NETWORK if name in os.environ}
    _clone(url, directory, reading, env=passed)


def _clone(source: str, directory: Path, config: Mapping[str, str], env: Mapping[str, str] | None = None) -> None:
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise InvalidRequest(f"{directory} already exists", hint="name a directory that does not exist yet")
    if shutil.which("git-lfs") is None:
        raise InvalidRequest("git-lfs is not installed", hint="install the package git-lfs")
    filters = {
        "filter.lfs.process": "git-lfs filter-process",
        "filter.lfs.smudge": "git-lfs smudge -- %f",
        "filter.lfs.clean": "git-lfs clean -- %f",
        "filter.lfs.required": "true",
    }
    target = directory.absolute()
    run(None, "clone", "--quiet", "--end-of-options", source, str(target), config={**filters, **config}, env=env)
    for key, value in filters.items():
        run(target / ".git", "config", "--local", key, value)
