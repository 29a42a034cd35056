"""Variables of compose in scalars: `$NAME`, `${NAME}` with `:-` `-` `:?` `?` `:+` `+`, and `$$` for a dollar sign.

https://github.com/compose-spec/compose-spec/blob/main/12-interpolation.md. `${{ … }}` is an expression of the pipeline
file and stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":?[-?+]")
_MAX_DEPTH = 16

Lookup = Callable[[str], str | None]


class BadInterpolation(ValueError):
    """The text is not a valid template."""


class MissingVariable(ValueError):
    """A variable that is required, or has no default, is not set; `name` says which."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


def substitute(text: str, variables: Mapping[str, str], *, strict: bool = False) -> str:
    """Replace the variables of `text`. One that is not set is empty, as in compose; with `strict` it is an error.

    Raises BadInterpolation, and MissingVariable for `${NAME:?message}` (with `strict` for every unset name).
    """
    if "$" not in text:
        return text

    def lookup(name: str) -> str | None:
        if strict and name not in variables:
            raise MissingVariable(name, f"the variable `{name}` is not set")
        return variables.get(name)

    return _Template(text, lookup, variables).run()


def names(text: str) -> tuple[str, ...]:
    """Return the variables that `text` reads, also those inside of defaults. Raises BadInterpolation."""
    if "$" not in text:
        return ()
    found: dict[str, None] = {}
    _Template(text, lambda _name: None, {}, found).run()
    return tuple(found)


def escape(text: str) -> str:
    """Return text that compose reads back as `text`."""
    return text.replace("$", "$$")


def map_strings(value: Any, change: Callable[[str], str]) -> Any:
    """Return a copy of plain data with every string value (not the keys) changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {key: map_strings(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [map_strings(item, change) for item in value]
    return value


class _Template:
    """One pass over a text. `seen`, when given, collects every name and makes every branch be visited."""

    def __init__(
        self, text: str, lookup: Lookup, variables: Mapping[str, str], seen: dict[str, None] | None = None
    ) -> None:
        self._text = text
        self._lookup = lookup
        self._variables = variables
        self._seen = seen
        self._at = 0

    def run(self) -> str:
        return self._until_end(0)

    def _until_end(self, depth: int) -> str:
        """Read to the end of the text, or to the `}` that closes the expression around."""
        if depth > _MAX_DEPTH:
            raise BadInterpolation("variables are nested too deep")
        out: list[str] = []
        while self._at < len(self._text):
            char = self._text[self._at]
            if char == "}" and depth:
                return "".join(out)
            if char != "$":
                out.append(char)
                self._at += 1
            else:
                out.append(self._dollar(depth))
        if depth:
            raise BadInterpolation("`${` without `}`")
        return "".join(out)

    def _dollar(self, depth: int) -> str:
        text, at = self._text, self._at
        if text.startswith("$$", at):
            self._at += 2
            return "$"
        if text.startswith("${{", at):
            return self._expression()
        braced = text.startswith("${", at)
        match = _NAME.match(text, at + (2 if braced else 1))
        if match is None:
            raise BadInterpolation(f"`{text[at : at + 12]}` is not a variable")
        self._at = match.end()
        name = match.group()
        if self._seen is not None:
            self._seen.setdefault(name)
        return self._braced(name, depth) if braced else self._value(name) or ""

    def _expression(self) -> str:
        start, end = self._at, self._text.find("}}", self._at)
        if end < 0:
            raise BadInterpolation("`${{` without `}}`")
        self._at = end + 2
        return self._text[start : self._at]

    def _braced(self, name: str, depth: int) -> str:
        operator = _OPERATOR.match(self._text, self._at)
        word = ""
        if operator is not None:
            self._at = operator.end()
            word = self._word(depth)
        if not self._text.startswith("}", self._at):
            raise BadInterpolation(f"`${{{name}` is followed by something that compose does not know")
        self._at += 1
        if operator is None:
            return self._value(name) or ""
        if self._seen is not None:
            return ""
        return self._operate(name, operator.group(), word)

    def _word(self, depth: int) -> str:
        """Read the default, message or replacement. Names in it are only looked up when it is used."""
        if self._seen is not None:
            return self._until_end(depth + 1)
        start = self._at
        skipped = _Template(self._text, lambda _name: None, {}, {})
        skipped._at = start
        skipped._until_end(depth + 1)
        self._at = skipped._at
        return self._text[start : self._at]

    def _operate(self, name: str, operator: str, word: str) -> str:
        value = self._variables.get(name)
        present = value is not None and (value != "" or not operator.startswith(":"))
        if operator.endswith("+"):
            return self._inner(word) if present else ""
        if present:
            return value or ""
        if operator.endswith("-"):
            return self._inner(word)
        reason = self._inner(word)
        raise MissingVariable(name, f"the variable `{name}` is required{': ' if reason else ''}{reason}")

    def _inner(self, word: str) -> str:
        return _Template(word, self._lookup, self._variables).run()

    def _value(self, name: str) -> str | None:
        return self._lookup(name)
