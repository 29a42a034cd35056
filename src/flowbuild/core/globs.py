"""Path patterns of a pipeline file (`reports/**`, `dist/*.js`), matched against workspace paths.

Whoever proposes a change writes patterns and paths both, and they are compared before anybody has looked at them. So no
pattern may take long: what stands between two wildcards is looked for where it comes first, once (`(?>…)`). That finds all there
is to find, because a wildcard that took less leaves more to those after it. Only the last one tries other places.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

_NAME, _DIRECTORIES, _ALL = "[^/]*", "(?:[^/]+/)*", ".*"  # `*`; `**/` where a name begins; any other `**`


@lru_cache(maxsize=1024)
def compile_glob(pattern: str) -> re.Pattern[str]:
    """Return the expression that matches whole paths: `*` and `?` stay inside a name, `**` spans directories.

    A trailing slash means everything below; `[abc]`, `[!abc]` are sets of characters.
    """
    text = pattern.removeprefix("./").lstrip("/")
    if text.endswith("/"):
        text += "**"
    try:
        return re.compile(_joined(_parts(text)), re.DOTALL)
    except re.error:  # a set whose range runs backwards: no set, just characters
        return re.compile(re.escape(text))


def matches(pattern: str, path: str) -> bool:
    """Whether the workspace-relative path is one that the pattern means."""
    return compile_glob(pattern).fullmatch(path) is not None


def _parts(text: str) -> list[str]:
    """Return expressions, each for one wildcard, character or set of characters."""
    parts = []
    at = 0
    while at < len(text):
        if text.startswith("**/", at) and text[:at][-1:] in ("", "/"):
            parts.append(_DIRECTORIES)
            at += 3
        elif text.startswith("**", at):
            parts.append(_ALL)
            at += 2
        elif text[at] == "[" and (end := text.find("]", at + 2)) > 0:
            inside = text[at + 1 : end]
            negated = inside.startswith("!")
            body = "".join(char if char == "-" else re.escape(char) for char in inside[negated:])
            parts.append(f"(?!/)[{'^' if negated else ''}{body}]")
            at = end + 1
        else:
            parts.append({"*": _NAME, "?": "[^/]"}.get(text[at]) or re.escape(text[at]))
            at += 1
    return parts


def _joined(parts: Sequence[str]) -> str:
    """Return one expression of what spans directories and, between that, of names."""
    segments = _split(parts, (_DIRECTORIES, _ALL))
    inner = [_names(segment, last=number == len(segments)) for number, (_, segment) in enumerate(segments, 1)]
    return _chained([wildcard for wildcard, _ in segments], inner, last=True)


def _names(parts: Sequence[str], *, last: bool) -> str:
    """Return the expression of what holds no wildcard but those that stay inside a name."""
    segments = _split(parts, (_NAME,))
    return _chained([wildcard for wildcard, _ in segments], ["".join(segment) for _, segment in segments], last=last)


def _chained(wildcards: Sequence[str], segments: Sequence[str], *, last: bool) -> str:
    """Join segments, each behind its wildcard; the first has none. `last`: the last one has to reach the end of the path."""
    found = segments[0]
    for number, (wildcard, segment) in enumerate(zip(wildcards[1:], segments[1:], strict=True), 2):
        ends = last and number == len(segments)
        found += f"{wildcard}{segment}" if ends else f"(?>{wildcard}?{segment})"
    return found


def _split(parts: Sequence[str], wildcards: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Split parts at wildcards; return each with what follows it, and first what stands before any."""
    found: list[tuple[str, list[str]]] = [("", [])]
    for part in parts:
        if part in wildcards:
            found.append((part, []))
        else:
            found[-1][1].append(part)
    return found
