"""Path patterns of a pipeline file (`reports/**`, `dist/*.js`), matched against workspace paths."""

from __future__ import annotations

import re
from functools import lru_cache


@lru_cache(maxsize=1024)
def compile_glob(pattern: str) -> re.Pattern[str]:
    """Return the expression that matches whole paths: `*` and `?` stay inside a name, `**` spans directories.

    A trailing slash means everything below; `[abc]`, `[!abc]` are sets of characters.
    """
    text = pattern.removeprefix("./").lstrip("/")
    if text.endswith("/"):
        text += "**"
    out = []
    at = 0
    while at < len(text):
        if text.startswith("**/", at):
            out.append("(?:[^/]+/)*")
            at += 3
        elif text.startswith("**", at):
            out.append(".*")
            at += 2
        elif text[at] == "[" and (end := text.find("]", at + 2)) > 0:
            inside = text[at + 1 : end]
            negated = inside.startswith("!")
            body = "".join(char if char == "-" else re.escape(char) for char in inside[negated:])
            out.append(f"(?!/)[{'^' if negated else ''}{body}]")
            at = end + 1
        else:
            out.append({"*": "[^/]*", "?": "[^/]"}.get(text[at]) or re.escape(text[at]))
            at += 1
    try:
        return re.compile("".join(out), re.DOTALL)
    except re.error:  # a set whose range runs backwards: no set, just characters
        return re.compile(re.escape(text))


def matches(pattern: str, path: str) -> bool:
    """Whether the workspace-relative path is one that the pattern means."""
    return compile_glob(pattern).fullmatch(path) is not None
