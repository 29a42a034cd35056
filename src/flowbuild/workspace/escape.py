r"""Keeps names that mean something to git out of its way.

A workspace may hold a nested `.git`, a `.gitattributes`, a `GIT~1`, … as plain content. In a tree such a name would be
refused (`fsck`), followed as a repository, or would steer what other files look like after a checkout. So it is stored
as `%` + name with `%` as `%25` and `\\` as `%5c`, which no git client gives a meaning. All other names stay as they are.

Sources: git's `fsck.c` and `path.c` (which names are special after HFS+ and NTFS folding), `gitattributes(5)`,
`gitmodules(5)`, `gitignore(5)`, `gitmailmap(5)`.
"""

from __future__ import annotations

import re

from flowbuild.core.errors import WorkspaceError

# Code points that HFS+ ignores when it compares names, in UTF-8: with one inside, ".git" still opens ".git".
_HFS_IGNORED = re.compile(rb"\xe2\x80[\x8c-\x8f\xaa-\xae]|\xe2\x81[\xaa-\xaf]|\xef\xbb\xbf")
# Special names, with what NTFS cuts off their end, and the short (8.3) names that NTFS may give them.
_SPECIAL = re.compile(
    rb"\.(?:git|gitmodules|gitattributes|gitignore|mailmap)[ .]*(?::.*)?|(?:gi[t0-9a-f]|ma[i0-9a-f])[^~]*~[0-9].*",
    re.IGNORECASE | re.DOTALL,
)
# Neither special nor impossible, told by its first character and by what it does not hold: the short way out.
_plain = re.compile(rb"[^.%\xe2\xef/\\~\0][^/\\~\0]*").fullmatch


def is_special(name: bytes) -> bool:
    """Tell whether some git client would give this name, or a part of it behind a backslash, a meaning."""
    folded = _HFS_IGNORED.sub(b"", name)
    return any(_SPECIAL.fullmatch(part) for part in folded.split(b"\\"))


def escape(name: bytes) -> bytes:
    """Return the name under which an entry of a workspace is stored in a tree."""
    if not _plain(name) and (name.startswith(b"%") or is_special(name)):
        return b"%" + name.replace(b"%", b"%25").replace(b"\\", b"%5c")
    return name


def unescape(stored: bytes) -> bytes:
    """Return the name that `escape` was given.

    Raises WorkspaceError for names that `escape` never makes: a tree that holds them was not written by us.
    """
    if _plain(stored):
        return stored
    if not stored or stored in (b".", b"..") or b"/" in stored or b"\0" in stored:
        raise WorkspaceError(f"A tree holds an entry with the impossible name {stored!r}")
    name = stored
    if stored.startswith(b"%"):
        name = stored[1:].replace(b"%5c", b"\\").replace(b"%25", b"%")
        if not name or name in (b".", b"..") or b"/" in name:
            raise WorkspaceError(f"A tree holds an entry with the impossible name {stored!r}")
    if escape(name) != stored:
        raise WorkspaceError(f"A tree holds an entry named {stored!r}, which the workspace writer never makes")
    return name
