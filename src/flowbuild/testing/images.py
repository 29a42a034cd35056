"""Tiny images for tests and examples, made on this machine: no registry is needed."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

BUSYBOX = "flow-test/busybox:1"
BINARY = Path("/bin/busybox")
SECONDS = 60


def ensure_busybox(tag: str = BUSYBOX) -> str:
    """Make the image from this machine's static busybox (package busybox-static), unless it exists; return its tag.

    Every applet is a command. Raises RuntimeError when there is no static busybox or the engine refuses.
    """
    if _docker("image", "inspect", tag).returncode == 0:
        return tag
    if not BINARY.exists():
        raise RuntimeError(f"{BINARY} is missing: install the package busybox-static")
    done = _docker("import", "--change", 'CMD ["sh"]', "--change", f"ENV PATH={os.defpath}", "-", tag, stdin=_archive())
    if done.returncode:
        raise RuntimeError(f"docker import failed: {done.stderr.decode(errors='replace').strip()}")
    return tag


def _archive() -> bytes:
    """Return a root file system with busybox and a link for each of its applets."""
    applets = subprocess.run([BINARY, "--list"], capture_output=True, check=True, text=True).stdout.split()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder, mode in (("bin", 0o755), ("tmp", 0o1777), ("etc", 0o755), ("root", 0o700)):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tar.addfile(entry)
        tar.add(BINARY, "bin/busybox")
        for applet in sorted({applet.rpartition("/")[2] for applet in applets} - {"busybox"}):
            entry = tarfile.TarInfo(f"bin/{applet}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(entry)
        passwd = b"root:x:0:0:root:/root:/bin/sh\n"
        entry = tarfile.TarInfo("etc/passwd")
        entry.size = len(passwd)
        tar.addfile(entry, io.BytesIO(passwd))
    return buffer.getvalue()


def _docker(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["docker", *arguments], input=stdin, capture_output=True, check=False, timeout=SECONDS)
