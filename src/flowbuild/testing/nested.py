"""A second Docker Engine of this machine, with data and a network of its own: one that a test may kill. Needs root."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

READY_SECONDS = 60.0
END_SECONDS = 60.0


class Nested:
    """The engine below `folder`, whose path must be short: its sockets have 108 bytes for theirs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = f"unix://{folder}/docker.sock"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """Return the end of what the engine said."""
        return (self.folder / "log").read_text(errors="replace")[-3000:]

    def start(self) -> None:
        """Start the engine; `ready` waits for it."""
        places = {"--data-root": "data", "--exec-root": "exec", "--pidfile": "pid"}
        argv = ["unshare", "-n", "dockerd", "-H", self.host, "--storage-driver", "vfs"]
        for option, name in places.items():
            argv += [option, str(self.folder / name)]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(argv, stdout=log, stderr=log, start_new_session=True)

    def ready(self) -> None:
        """Return when the engine answers. Raises AssertionError with its log when it does not."""
        deadline = time.monotonic() + READY_SECONDS
        while self._docker("version").returncode != 0:
            if time.monotonic() > deadline or self.process is None or self.process.poll() is not None:
                raise AssertionError(self.log)
            time.sleep(0.1)  # nothing tells that a socket will exist

    def stop(self, number: signal.Signals) -> None:
        """End the engine with a signal; its containerd goes with it, what runs in containers may go on."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(END_SECONDS)
        if number is signal.SIGKILL:
            for stale in ("pid", "exec/containerd/containerd.pid"):
                (self.folder / stale).unlink(missing_ok=True)

    def containerd(self) -> int:
        """Return the number of the engine's containerd."""
        return int((self.folder / "exec/containerd/containerd.pid").read_text())

    def whole(self, container: str) -> None:
        """Return when the engine can start a program in a container and learns of its end: its containerd is there again."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(subprocess.TimeoutExpired):
                if self._docker("exec", container, "true", seconds=10).returncode == 0:
                    return
        raise AssertionError(self.log)

    def docker(self, *arguments: str) -> str:
        """Ask the engine with docker's command line. Raises AssertionError."""
        done = self._docker(*arguments)
        if done.returncode:
            raise AssertionError(done.stderr.decode())
        return done.stdout.decode()

    def load(self, image: str) -> None:
        """Give it an image of the engine that everybody uses."""
        archive = subprocess.run(["docker", "save", image], check=True, capture_output=True).stdout
        done = self._docker("load", stdin=archive)
        if done.returncode:
            raise AssertionError(done.stderr.decode())

    def clean(self) -> None:
        """End all that belongs to the engine, containers included, and remove its files."""
        self.stop(signal.SIGKILL)
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and str(self.folder).encode() in _command(entry) and int(entry.name) != os.getpid():
                with_children = [int(entry.name), *_children(int(entry.name))]
                for process in with_children:
                    _kill(process)
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in reversed([mount for mount in mounts if mount.startswith(f"{self.folder}/")]):
            subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _docker(
        self, *arguments: str, stdin: bytes = b"", seconds: float = 120.0
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["docker", "-H", self.host, *arguments], input=stdin, check=False, capture_output=True, timeout=seconds
        )


def _command(entry: Path) -> bytes:
    """Return the command line of a process, nothing of one that is gone or of a test that names the folder itself."""
    try:
        words = (entry / "cmdline").read_bytes()
    except OSError:
        return b""
    return words if words.partition(b"\0")[0].rpartition(b"/")[2].startswith((b"dockerd", b"containerd")) else b""


def _children(process: int) -> list[int]:
    try:
        found = [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []
    return [*found, *(grandchild for child in found for grandchild in _children(child))]


def _kill(process: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
