"""Which files of a commit are LFS objects, and the `.gitattributes` that tells stock git-lfs about them.

git-lfs looks at attributes, never at content, to decide what to download. The file stands at the root of the commit,
outside `workspace/`; a `.gitattributes` of a step's own is stored escaped and cannot contradict it. Its lines name
exact paths: a pattern that also met small files would make `git status` of a clone rewrite them.
Source of the syntax: gitattributes(5); lines longer than 2048 bytes are ignored by git.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

MANY = 500  # lines from which a stock checkout becomes noticeably slower (measured: 1000 lines cost it a third)
_MAX_LINE = 2048
_ATTRIBUTES = b" filter=lfs diff=lfs merge=lfs -text\n"
_SHORT = {7: b"\\a", 8: b"\\b", 9: b"\\t", 10: b"\\n", 11: b"\\v", 12: b"\\f", 13: b"\\r", 34: b'\\"', 92: b"\\\\"}


def encode_list(paths: Iterable[bytes]) -> bytes:
    """Return the stored form of a list of tree paths (relative to `workspace/`): sorted, each ended by a zero byte."""
    return b"".join(path + b"\0" for path in sorted(paths))


def decode_list(data: bytes) -> list[bytes]:
    """Return the paths of a stored list."""
    return [path for path in data.split(b"\0") if path]


def render(paths: Iterable[bytes], files_in: Callable[[bytes], int]) -> bytes:
    """Return the `.gitattributes` for LFS files at these tree paths (relative to `workspace/`).

    Of more than MANY, those that are all the files of their directory share one line; `files_in` counts the files of
    a directory, b"" is the top.
    """
    listed = sorted(paths)
    whole: set[bytes] = set()
    if len(listed) > MANY:
        counts = Counter(path.rpartition(b"/")[0] for path in listed)
        whole = {directory for directory, count in counts.items() if count > 1 and files_in(directory) == count}
    single = [path for path in listed if path.rpartition(b"/")[0] not in whole]
    lines = [
        _line(b"/workspace/" + (_literal(directory) + b"/*" if directory else b"*")) for directory in sorted(whole)
    ]
    return b"".join(lines + [_exact(path) for path in single])


def _exact(path: bytes) -> bytes:
    line = _line(b"/workspace/" + _literal(path))
    # What is too long for git is found by its last name; the names of directories above it can be anything.
    return line if len(line) < _MAX_LINE else _line(b"/workspace/**/" + _literal(path.rpartition(b"/")[2]))


def _literal(path: bytes) -> bytes:
    """Take the special meaning from the characters of a pattern."""
    return b"".join(b"\\" + bytes((c,)) if c in b"*?[]\\" else bytes((c,)) for c in path)


def _line(pattern: bytes) -> bytes:
    """Return one line; a pattern with other than plain printable characters is quoted as in C."""
    if all(0x20 < c < 0x7F and c != 0x22 for c in pattern):
        return pattern + _ATTRIBUTES
    quoted = b"".join(_SHORT.get(c) or (bytes((c,)) if 0x20 <= c < 0x7F else b"\\%03o" % c) for c in pattern)
    return b'"' + quoted + b'"' + _ATTRIBUTES
