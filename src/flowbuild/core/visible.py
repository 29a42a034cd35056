"""Text from elsewhere made safe to show: lines that cannot act on a terminal.

Kept: printable text and colours (SGR, ECMA-48 §8.3.117). Dropped: every other escape sequence (cursor, titles,
clipboard, links, …). Made visible: control characters, bidirectional overrides and other characters without a face.
"""

from __future__ import annotations

import re

_ESCAPE = re.compile(
    r"\x1b\[(?P<sgr>[0-9;:]*)m"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # control sequences
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # command strings, with their content
    r"|\x1b[ -/]*[0-~]"  # short sequences
)
_FACELESS = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e0fff]"
)
# Bold, dim, italic, underline, reverse, strike, their ends, and 16 colours. Not blinking, not concealed.
_PLAIN_SGR = frozenset({0, 1, 2, 3, 4, 7, 9, *range(22, 26), 27, 29, *range(30, 38), 39, *range(40, 48), 49})
_BRIGHT_SGR = frozenset({*range(90, 98), *range(100, 108)})


def clean(line: str, *, colour: bool = False) -> str:
    """Return a line that is safe to write to a terminal; with `colour` its colours remain, and end with it."""
    if not colour:
        return _visible(_ESCAPE.sub("", line))
    parts: list[str] = []
    at, coloured = 0, False
    for match in _ESCAPE.finditer(line):
        parts.append(_visible(line[at : match.start()]))
        at = match.end()
        if match["sgr"] is not None and (kept := _sgr(match["sgr"])) is not None:
            parts.append(kept)
            coloured = True
    parts.append(_visible(line[at:]))
    return "".join(parts) + "\x1b[0m" * coloured


def _visible(text: str) -> str:
    return _FACELESS.sub(_face, text.expandtabs(8) if "\t" in text else text)


def _face(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return "^" + chr(code + 0x40)
    return f"\\x{code:02x}" if code < 0x100 else f"<U+{code:04X}>"


def _sgr(parameters: str) -> str | None:
    """Return the sequence with the parameters we let through, None when none is left."""
    numbers = [int(number) if number and len(number) < 4 else 0 for number in re.split("[;:]", parameters)]
    kept: list[int] = []
    at = 0
    while at < len(numbers):
        size = 1
        if numbers[at] in (38, 48):  # a colour of the palette or of 24 bits follows
            size = {5: 3, 2: 5}.get(numbers[at + 1] if at + 1 < len(numbers) else 0, 1)
            values = numbers[at : at + size]
            if size > 1 and len(values) == size and max(values[2:]) < 256:
                kept += values
        elif numbers[at] in _PLAIN_SGR or numbers[at] in _BRIGHT_SGR:
            kept.append(numbers[at])
        at += size
    return f"\x1b[{';'.join(map(str, kept))}m" if kept else None
