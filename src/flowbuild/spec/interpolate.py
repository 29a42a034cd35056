"""`${{ … }}` in texts of a pipeline: CEL over the same names as conditions. `$${{` stands for a literal `${{`.

The result is text and is never parsed again. In commands it is refused: a value that holds a quote would become part of
a program (the classic injection of CI servers); an environment variable does not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flowbuild.core import expr
from flowbuild.spec.yamlpos import Path

OPEN = "${{"
MAX_EXPRESSIONS = 50  # in one text

_OPENING = re.compile(r"(\$?)\$\{\{")
_INSIDE = re.compile(r""""(?:\\.|[^"\\])*+"|'(?:\\.|[^'\\])*+'|\}\}|["']""", re.DOTALL)
_MATRIX = re.compile(r"(?<!\$)\$\{\{\s*matrix\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
# Places below services.NAME whose text a shell or another interpreter may run.
_PROGRAMS = (
    ("command",),
    ("entrypoint",),
    ("healthcheck", "test"),
    ("post_start",),
    ("pre_stop",),
    ("build", "dockerfile_inline"),
)

Compile = Callable[[str], expr.Expression]


@dataclass(frozen=True, slots=True)
class Template:
    """A text with expressions in it."""

    parts: tuple[str | expr.Expression, ...]

    @property
    def expressions(self) -> tuple[expr.Expression, ...]:
        """The expressions in the order of the text."""
        return tuple(part for part in self.parts if isinstance(part, expr.Expression))

    def render(self, context: Mapping[str, Any], *, quote: Callable[[str], str] = str) -> str:
        """Return the text with the values of its expressions; raises ExpressionError."""
        return "".join(part if isinstance(part, str) else quote(as_text(part.evaluate(context))) for part in self.parts)


def parse(text: str, names: expr.Names = expr.ANY_NAMES, *, compile: Compile | None = None) -> Template:  # noqa: A002 - like expr.compile
    """Return the template; raises ExpressionError with line and column inside of the text.

    `compile` replaces `expr.compile(…, names)`, for callers that count or cache.
    """
    make = compile or (lambda source: expr.compile(source, names))
    parts: list[str | expr.Expression] = []
    done = 0
    for begin, end in _spans(text):
        if end is None:
            parts.append(text[done:begin])  # the first `$` of `$${{` is left out
            done = begin + 1
            continue
        if len(parts) > 2 * MAX_EXPRESSIONS:
            raise _error(text, begin, f"more than {MAX_EXPRESSIONS} expressions in one text")
        source = text[begin + len(OPEN) : end]
        stripped = source.lstrip()
        start = end - len(stripped)
        parts.append(text[done:begin])
        try:
            parts.append(make(stripped.rstrip()))
        except expr.ExpressionError as error:
            raise _moved(text, start, error) from None
        done = end + 2
    parts.append(text[done:])
    return Template(tuple(part for part in parts if part != ""))


def render(text: str, context: Mapping[str, Any]) -> str:
    """Return the text with every `${{ … }}` replaced by its value; raises ExpressionError."""
    return parse(text).render(context) if OPEN in text else text


def render_tree(value: Any, context: Mapping[str, Any], *, quote: Callable[[str], str] = str) -> Any:
    """Return a copy of plain data with every text in it rendered (keys are left alone); raises ExpressionError.

    `quote` changes the values of expressions for whoever reads the result next.
    """
    if isinstance(value, Mapping):
        return {key: render_tree(item, context, quote=quote) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [render_tree(item, context, quote=quote) for item in value]
    return parse(value).render(context, quote=quote) if isinstance(value, str) and OPEN in value else value


def fill_matrix(value: Any, values: Mapping[str, str]) -> Any:
    """Return a copy of plain data in which `${{ matrix.NAME }}` is replaced, so that images are known at load."""
    if isinstance(value, Mapping):
        return {key: fill_matrix(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [fill_matrix(item, values) for item in value]
    if isinstance(value, str) and OPEN in value:
        return _MATRIX.sub(lambda match: values.get(match[1], match[0]), value)
    return value


def texts(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Yield every text in plain data that holds `${{`, with its path."""
    if isinstance(value, str):
        if OPEN in value:
            yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from texts(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from texts(item, (*path, index))


def in_program(path: Path) -> bool:
    """Whether a path of a compose definition holds text that is run as a program."""
    return path[:1] == ("services",) and any(path[2 : 2 + len(place)] == place for place in _PROGRAMS)


def as_text(value: expr.Value) -> str:
    """Return a value as text: `true`, `3`, `2.5`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _spans(text: str) -> Iterator[tuple[int, int | None]]:
    """Yield begin and end (of its closing braces) of every expression; end is None for an escaped opening."""
    position = 0
    while match := _OPENING.search(text, position):
        if match[1]:
            yield match.start(), None
            position = match.end()
            continue
        begin = position = match.start()
        position += len(OPEN)
        while (inside := _INSIDE.search(text, position)) and inside[0] != "}}":
            if len(inside[0]) == 1:
                raise _error(text, inside.start(), "a quote that is not closed")
            position = inside.end()
        if inside is None:
            raise _error(text, begin, "`${{` without `}}`")
        yield begin, inside.start()
        position = inside.end()


def _error(text: str, offset: int, message: str) -> expr.ExpressionError:
    line, column = _line_column(text, offset)
    return expr.ExpressionError(message, line, column, hint="write `$${{` for a literal `${{`")


def _moved(text: str, offset: int, error: expr.ExpressionError) -> expr.ExpressionError:
    """Move the place of an error from the expression into the text that holds it."""
    line, column = _line_column(text, offset)
    column = column + error.column - 1 if error.line == 1 else error.column
    return expr.ExpressionError(error.message, line + error.line - 1, column, hint=error.hint)


def _line_column(text: str, offset: int) -> tuple[int, int]:
    return text.count("\n", 0, offset) + 1, offset - (text.rfind("\n", 0, offset) + 1) + 1
