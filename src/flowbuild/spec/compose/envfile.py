"""Environment files: `NAME=value` lines, https://docs.docker.com/compose/how-tos/environment-variables/variable-interpolation/#env-file-syntax."""

from __future__ import annotations

import re
from collections.abc import Iterator

from flowbuild.core.model import Position
from flowbuild.spec.compose import interpolate
from flowbuild.spec.compose.checker import Check

_LINE = re.compile(r"[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_.-]{0,127})[ \t]*(?:[=:][ \t]*(?P<value>.*))?")
_CLOSING = {"'": re.compile(r"(?:[^'\\]|\\.)*"), '"': re.compile(r'(?:[^"\\]|\\.)*')}
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "$": "$$"}
_BARE_DOLLAR = re.compile(r"\$(?!\$|\{?[A-Za-z_])")
MAX_BYTES = 1 << 18


def parse(check: Check, data: bytes, file: str) -> dict[str, str | None]:
    """Return the variables of the file as templates (see `interpolate`); None for a name without a value.

    Names that stand above in the same file are replaced here; the rest when the compose file is emitted.
    """
    result: dict[str, str | None] = {}
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        check.error("env_file", Position(file, 1, 1), f"{file} is not UTF-8 text")
        return result
    if len(data) > MAX_BYTES or "\0" in text:
        check.error("env_file", Position(file, 1, 1), f"{file} is not a text file of at most {MAX_BYTES} bytes")
        return result
    lines = iter(enumerate(text.splitlines(), 1))
    for number, line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        place = Position(file, number, 1)
        match = _LINE.fullmatch(line)
        if match is None:
            check.error("env_file", place, f"`{line.strip()[:40]}` is not a variable", "write NAME=value")
            continue
        try:
            value = None if match["value"] is None else _value(match["value"], lines)
            result[match["name"]] = value if value is None else _known(value, result)
        except ValueError as error:
            check.error("env_file", place, f"{match['name']}: {error}", "put a value with `$` into single quotes")
    return result


def _value(raw: str, lines: Iterator[tuple[int, str]]) -> str:
    """Return the template that a right-hand side stands for; a quoted one may go on in the next lines."""
    quote = raw[:1]
    if quote not in _CLOSING:
        bare = re.split(r"(?:^|\s)#", raw, maxsplit=1)[0].strip()
        return _BARE_DOLLAR.sub("$$", bare)
    body = raw[1:]
    while True:
        closed = _CLOSING[quote].match(body)
        end = closed.end() if closed else 0
        if body[end : end + 1] == quote:
            break
        following = next(lines, None)
        if following is None:
            raise ValueError("the quote is not closed")
        body += f"\n{following[1]}"
    if quote == "'":
        return interpolate.escape(body[:end].replace("\\'", "'"))
    unescaped = re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[0]), body[:end])
    return _BARE_DOLLAR.sub("$$", unescaped)


def _known(template: str, above: dict[str, str | None]) -> str:
    """Replace the names that stand above in the file, when the value reads only such."""
    read = interpolate.names(template)
    values = {name: above[name] for name in read if name in above}
    if not read or len(values) < len(read):
        return template
    plain = {name: interpolate.substitute(value or "", {}) for name, value in values.items()}
    return interpolate.escape(interpolate.substitute(template, plain))
