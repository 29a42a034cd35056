"""Text that people type into forms: one line, bounded, and nothing that could not be stored or shown."""

from __future__ import annotations

from flowbuild.core.errors import InvalidRequest


def one_line(what: str, value: str, most: int, *, about: str = "") -> str:
    """Return the text without white space around it; raises InvalidRequest naming `what` it is, `about` that part."""
    text = value.strip()
    if len(text) > most:
        raise InvalidRequest(f"{what} is longer than {most} characters", about=about)
    if not text.isprintable():
        hint = "one line of plain text"
        raise InvalidRequest(f"{what} holds a character that cannot be shown", hint=hint, about=about)
    return text


def required(what: str, value: str, most: int, *, about: str = "") -> str:
    """Return a text as `one_line` does, and refuse an empty one."""
    text = one_line(what, value, most, about=about)
    if not text:
        raise InvalidRequest(f"{what} is empty", about=about)
    return text


def shown(value: str, most: int) -> str:
    """Return what can be kept of a text that a stranger chose: the beginning, without what cannot be shown."""
    return "".join(char for char in value[:most] if char.isprintable())
