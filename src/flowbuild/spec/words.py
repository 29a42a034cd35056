"""Words for people: how values of a file are shown in messages, and guesses at what was meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

_SHOWN = 60  # characters of a value in a message
_CANDIDATES = 1000  # more names than this are not searched for a similar one


def shown(value: Any) -> str:
    """Return a value in back quotes: one line, printable, shortened; safe for a terminal whatever it holds."""
    if isinstance(value, dict | list):
        return kind(value)
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    text = printable(text[: _SHOWN + 1])
    return f"`{text}`" if len(text) <= _SHOWN else f"`{text[:_SHOWN]}…`"


def printable(text: str) -> str:
    """Return text that cannot act on a terminal and stays on one line."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in text)


def kind(value: Any) -> str:
    """Return the word for the type of a value."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true or false"
    names: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (dict, "a mapping"),
        (list, "a list"),
        ((int, float), "a number"),
    )
    return next((name for types, name in names if isinstance(value, types)), "text")


def did_you_mean(word: str, known: Iterable[str], *, otherwise: str = "") -> str:
    """Return a hint with the most similar known words; without one, `otherwise`, or the whole list when it is short."""
    names = sorted(set(known))[:_CANDIDATES]
    close = difflib.get_close_matches(word[:100], names, n=2, cutoff=0.6)
    if not close:
        lower = {name.lower(): name for name in names}
        close = [lower[word.lower()]] if word.lower() in lower else []
    if close:
        return f"did you mean {' or '.join(shown(name) for name in close)}?"
    if otherwise or not names:
        return otherwise
    return f"known: {', '.join(names)}" if len(names) <= 12 else ""
