"""Conditions and `${{ … }}` of one file: compiled once, counted, problems with their place in the file."""

from __future__ import annotations

from collections.abc import Callable

from flowbuild.core import expr
from flowbuild.core.model import Position
from flowbuild.spec import interpolate
from flowbuild.spec.findings import Finding

MAX_EXPRESSIONS = 1000  # different ones in one file: compiling takes up to a millisecond each

Inside = Callable[[int, int], Position]  # line and column inside of the text


class Expressions:
    """Checks expressions of a file; `findings` collects what is wrong with them."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self._compiled: dict[tuple[str, int], expr.Expression | expr.ExpressionError] = {}
        self._names: list[expr.Names] = []  # keeps them alive: their ids are part of the key

    def condition(self, text: str, names: expr.Names, inside: Inside) -> expr.Expression | None:
        """Check an `if`; returns the expression, or None after noting what is wrong."""
        if interpolate.OPEN in text:
            hint = "write the condition without `${{ }}`"
            self.findings.append(Finding("condition", inside(1, 1), "`if` is an expression already", hint))
            return None
        try:
            return self._compile(text, names)
        except expr.ExpressionError as error:
            self._note("condition", error, inside)
            return None

    def template(self, text: str, names: expr.Names, inside: Inside) -> tuple[expr.Expression, ...]:
        """Check a text that may hold `${{ … }}`; returns its expressions, none after noting what is wrong."""
        try:
            return interpolate.parse(text, names, compile=lambda source: self._compile(source, names)).expressions
        except expr.ExpressionError as error:
            self._note("interpolation", error, inside)
            return ()

    def _compile(self, text: str, names: expr.Names) -> expr.Expression:
        key = (text, id(names))
        known = self._compiled.get(key)
        if known is None:
            if len(self._compiled) >= MAX_EXPRESSIONS:
                raise expr.ExpressionError(f"more than {MAX_EXPRESSIONS} different expressions in one file")
            self._names.append(names)
            try:
                known = expr.compile(text, names)
            except expr.ExpressionError as error:
                known = error
            self._compiled[key] = known
        if isinstance(known, expr.ExpressionError):
            raise expr.ExpressionError(known.message, known.line, known.column, hint=known.hint)
        return known

    def _note(self, code: str, error: expr.ExpressionError, inside: Inside) -> None:
        self.findings.append(Finding(code, inside(error.line, error.column), error.message, error.hint))
