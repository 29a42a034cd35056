"""Commit objects of a run repository: one per attempt, with trailers that say what it was.

Trailers are `Key: value` lines in the last paragraph of the message, as `git log --format=%(trailers)` reads them.
Values come from steps, files and people: control characters and backslashes are written as escapes, so that a value
can neither end its line nor forge another trailer, and reading gives back exactly what was written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from flowbuild.core.errors import WorkspaceError

_KEY = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_LINE = re.compile(r"([A-Za-z][A-Za-z0-9-]{0,63}): ?(.*)")
_ESCAPE = re.compile(r"\\x([0-9a-f]{2})|\\u([0-9a-f]{4})|\\(.)")
# What could end a line for any reader, or be stripped at the ends of one (Python and git split at different sets).
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\\\u2028\u2029\ud800-\udfff]|^ | $")
_IDENTITY = re.compile(rb".* (\d+) [+-]\d{4}")
_AUTHOR = b"FLOW <flow@localhost>"


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit as it is stored: object ids in hexadecimal, `time` in seconds since the epoch (committer)."""

    tree: str
    parents: tuple[str, ...]
    time: int
    subject: str
    trailers: Mapping[str, str] = field(default_factory=dict)


def escape_value(value: str) -> str:
    r"""Return `value` as one line that cannot be misread: `\xNN` and `\uNNNN` for what is unsafe, `\\` for a backslash."""

    def one(match: re.Match[str]) -> str:
        char = match[0]
        if char == "\\":
            return "\\\\"
        return f"\\x{ord(char):02x}" if ord(char) < 0x100 else f"\\u{ord(char):04x}"

    return _UNSAFE.sub(one, value)


def unescape_value(text: str) -> str:
    """Undo `escape_value`."""

    def one(match: re.Match[str]) -> str:
        code = match[1] or match[2]
        return chr(int(code, 16)) if code else match[3]

    return _ESCAPE.sub(one, text)


def encode(commit: Commit) -> bytes:
    """Return the content of a git commit object; equal commits give equal bytes, hence equal ids.

    Raises ValueError for a trailer key that is not letters, digits and dashes.
    """
    identity = b"%s %d +0000" % (_AUTHOR, commit.time)
    header = [b"tree " + commit.tree.encode()]
    header += [b"parent " + parent.encode() for parent in commit.parents]
    header += [b"author " + identity, b"committer " + identity]
    subject = " ".join(escape_value(" ".join(commit.subject.split())).split()) or "(no message)"
    message = subject + "\n"
    if commit.trailers:
        message += "\n" + "".join(_trailer(key, value) for key, value in commit.trailers.items())
    return b"\n".join(header) + b"\n\n" + message.encode()


def _trailer(key: str, value: str) -> str:
    if not _KEY.fullmatch(key):
        raise ValueError(f"not a trailer key: {key!r}")
    return f"{key}: {escape_value(value)}\n"


def decode(data: bytes) -> Commit:
    """Parse the content of a commit object, also one that stock git wrote.

    Raises WorkspaceError when it is not a commit. Trailers are the last paragraph, if all its lines are such and it is
    not the first one.
    """
    header, _, message = data.partition(b"\n\n")
    tree = ""
    parents: list[str] = []
    time = 0
    for line in header.split(b"\n"):
        key, _, value = line.partition(b" ")
        if key == b"tree":
            tree = value.decode("ascii", "replace")
        elif key == b"parent":
            parents.append(value.decode("ascii", "replace"))
        elif key == b"committer" and (match := _IDENTITY.fullmatch(value)):
            time = int(match[1])
    if not tree:
        raise WorkspaceError("damaged run repository: a commit without a tree")
    paragraphs = message.decode("utf-8", "replace").rstrip("\n").split("\n\n")
    subject = paragraphs[0].split("\n")[0]
    return Commit(tree, tuple(parents), time, subject, _trailers(paragraphs[-1]) if len(paragraphs) > 1 else {})


def _trailers(paragraph: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in paragraph.split("\n"):
        match = _LINE.fullmatch(line)
        if not match:
            return {}
        found[match[1]] = unescape_value(match[2])
    return found
