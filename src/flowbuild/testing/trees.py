"""Directory trees for tests and benchmarks: look at one completely, compare two, generate some.

`scan` and `differences` are the judge of the workspace code and share nothing with it but the operating system.
"""

from __future__ import annotations

import os
import random
import stat
from dataclasses import dataclass, fields
from hashlib import sha256
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Entry:
    """All that a step could notice about one entry of a directory tree."""

    kind: int
    mode: int
    owner: tuple[int, int]
    mtime_ns: int
    content: str
    xattrs: tuple[tuple[str, bytes], ...]
    names: tuple[bytes, ...]  # all names of the same file inside the tree
    pieces: tuple[tuple[int, int], ...]  # where a file has data; one piece for a dense file


def _pieces(fd: int, size: int) -> tuple[tuple[int, int], ...]:
    found, at = [], 0
    while at < size:
        try:
            at = os.lseek(fd, at, os.SEEK_DATA)
        except OSError:
            break
        end = os.lseek(fd, at, os.SEEK_HOLE)
        found.append((at, end - at))
        at = end
    return tuple(found)


def _entry(directory: int, name: str, found: os.stat_result) -> Entry:
    kind = stat.S_IFMT(found.st_mode)
    content = ""
    pieces: tuple[tuple[int, int], ...] = ()
    xattrs: tuple[tuple[str, bytes], ...] = ()
    if kind == stat.S_IFLNK:
        content = os.fsencode(os.readlink(name, dir_fd=directory)).hex()
    elif kind in {stat.S_IFREG, stat.S_IFDIR}:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=directory)
        try:
            xattrs = tuple((key, os.getxattr(fd, key)) for key in sorted(os.listxattr(fd)))
            if kind == stat.S_IFREG:
                pieces = _pieces(fd, found.st_size)
                digest = sha256()
                for start, length in pieces:
                    digest.update(b"%d+%d:" % (start, length))
                    for at in range(start, start + length, 1 << 22):
                        digest.update(os.pread(fd, min(1 << 22, start + length - at), at))
                content = f"{found.st_size}:{digest.hexdigest()}"
        finally:
            os.close(fd)
    owner = (found.st_uid, found.st_gid)
    return Entry(kind, stat.S_IMODE(found.st_mode), owner, found.st_mtime_ns, content, xattrs, (), pieces)


def scan(top: Path | str) -> dict[bytes, Entry]:
    """Return every entry below a directory, and itself as `.`, by raw relative path. Follows nothing, any depth."""
    entries: dict[bytes, Entry] = {}
    shared: dict[tuple[int, int], list[bytes]] = {}
    fd = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    entries[b"."] = _entry(fd, ".", os.fstat(fd))
    waiting = [(fd, b"", sorted(os.listdir(fd)))]  # noqa: PTH208 - by descriptor
    while waiting:
        directory, path, names = waiting[-1]
        if not names:
            os.close(directory)
            waiting.pop()
            continue
        name = names.pop()
        raw = path + os.fsencode(name)
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
        entries[raw] = _entry(directory, name, found)
        if stat.S_ISDIR(found.st_mode):
            inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
            waiting.append((inner, raw + b"/", sorted(os.listdir(inner))))  # noqa: PTH208 - by descriptor
        elif found.st_nlink > 1:
            shared.setdefault((found.st_dev, found.st_ino), []).append(raw)
    for paths in shared.values():
        for raw in paths:
            old = entries[raw]
            values = {item.name: getattr(old, item.name) for item in fields(old)}
            entries[raw] = Entry(**(values | {"names": tuple(sorted(paths)) if len(paths) > 1 else ()}))
    return entries


def differences(
    left: dict[bytes, Entry], right: dict[bytes, Entry], *, ignore: frozenset[str] = frozenset()
) -> list[str]:
    """Return one line per entry and property that differs, empty when the trees are the same."""
    lines = [f"{raw!r} only left" for raw in sorted(left.keys() - right.keys())]
    lines += [f"{raw!r} only right" for raw in sorted(right.keys() - left.keys())]
    for raw in sorted(left.keys() & right.keys()):
        for item in fields(Entry):
            one, other = getattr(left[raw], item.name), getattr(right[raw], item.name)
            if one != other and item.name not in ignore:
                lines.append(f"{raw!r} {item.name}: {one!r} != {other!r}")
    return lines


def small_files(top: Path, *, files: int = 50_000, seed: int = 1) -> int:
    """Make a tree like a `node_modules`: packages with nested directories, sizes spread as there; return its bytes.

    About ten files per directory, median 1.5 KB, mean about 5 KB, never 1 MiB. The same seed makes the same bytes.
    """
    dice = random.Random(seed)  # noqa: S311 - test data
    pool = dice.randbytes(1 << 20)
    words = [line.encode() for line in ("export const", "function", "return", "import from", "/* licence */", "\n")]
    text = b" ".join(dice.choice(words) for _ in range(60_000))
    written = made = 0
    while made < files:
        package = top / "node_modules" / f"package-{made:06d}"
        for directory in (package, package / "lib", package / "lib" / "internal", package / "dist"):
            directory.mkdir(parents=True, exist_ok=True)
            for position in range(min(dice.randint(5, 15), files - made)):
                size = min(int(dice.lognormvariate(7.3, 1.5)), 400_000)
                source = pool if position % 10 == 0 else text
                start = dice.randrange(len(source) - 1000)
                data = b"%d\n" % made + (source[start:] * (1 + size // (len(source) - start)))[:size]
                (directory / f"module-{position}.js").write_bytes(data)
                written += len(data)
                made += 1
    return written


def large_files(top: Path, *, files: int = 100, size: int = 10_000_000, seed: int = 1) -> int:
    """Make files of random bytes; return the sum of their sizes."""
    dice = random.Random(seed)  # noqa: S311 - test data
    top.mkdir(parents=True, exist_ok=True)
    for number in range(files):
        (top / f"artifact-{number:03d}.bin").write_bytes(dice.randbytes(size))
    return files * size


def change_some(top: Path, *, share: float = 0.01, seed: int = 2) -> int:
    """Append a line to a share of all regular files, at least one; return how many."""
    files = sorted(path for path in top.rglob("*") if path.is_file() and not path.is_symlink())
    chosen = random.Random(seed).sample(files, max(1, int(len(files) * share)))  # noqa: S311 - test data
    for path in chosen:
        with path.open("ab") as file:
            file.write(b"changed\n")
    return len(chosen)
