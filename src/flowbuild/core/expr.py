"""Conditions and interpolations: CEL expressions over a fixed set of names, with bounds.

CEL always ends, but not always soon: nested comprehensions, regular expressions compiled for every item and growing
strings can hold the interpreter for seconds (measured). Hence the limits below; they are checked before anything runs.
Unknown names are found when a file is loaded, not when the step is reached.

Language: https://github.com/google/cel-spec; engine: common-expression-language (Rust).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from flowbuild.core.errors import UserError
from flowbuild.core.scan import Access, Scan, scan

if TYPE_CHECKING:
    import cel

MAX_LENGTH = 512  # characters of an expression
MAX_ITEMS = 256  # entries of a map that a macro may walk
MAX_TEXT = 64 * 1024  # characters of all values handed in
MAX_MACRO_TEXT = 16 * 1024  # the same when a macro repeats the work for every item
MAX_MACRO_PLUS = 8  # `+` in an expression with a macro: each may copy all of the text for every item
MAX_MATCHES = 3  # calls of matches(): each may spend 0.15 s on compiling its pattern

SCALARS = ("branch", "tag", "commit", "event")
MAPS = ("inputs", "variables", "steps", "matrix")
STEP_FIELDS = ("outcome", "exit_code")
MACROS = ("all", "exists", "exists_one", "existsOne", "filter")
FUNCTIONS = frozenset(
    {"size", "contains", "startsWith", "endsWith", "matches", "int", "uint", "double", "string", "bytes", "type"}
)
_PLACE = re.compile(r"ERROR: <input>:(\d+):(\d+): (?:Syntax error: )?([^\n]*)")

Value = bool | int | float | str


class ExpressionError(UserError):
    """An expression cannot be compiled or evaluated; line and column count from 1 within the expression."""

    code = "invalid_expression"

    def __init__(self, message: str, line: int = 1, column: int = 1, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.line = line
        self.column = column


@dataclass(frozen=True, slots=True)
class Names:
    """What an expression may refer to; None = not known yet, so any name of that kind is accepted."""

    inputs: Collection[str] | None = None
    variables: Collection[str] | None = None
    steps: Collection[str] | None = None
    matrix: Collection[str] | None = None

    def of(self, root: str) -> Collection[str] | None:
        """Return the known names below a root, None when they are not known."""
        known: Collection[str] | None = getattr(self, root)
        return known


ANY_NAMES = Names()


@dataclass(frozen=True, slots=True)
class Expression:
    """A checked expression. `evaluate` may be called any number of times, from any thread."""

    text: str
    roots: frozenset[str]
    members: Mapping[str, frozenset[str]]  # names read below a root; a root that is read as a whole is missing here
    repeats: bool  # has a macro
    program: cel.Program

    def evaluate(self, context: Mapping[str, Any]) -> Value:
        """Return the value for a context with the roots branch, tag, commit, event, inputs, variables, steps, matrix.

        Raises ExpressionError: a name is not there, the types do not fit, the values are too large, or the result is
        neither true/false nor a number nor text.
        """
        values = {root: self._read(root, context) for root in self.roots}
        budget = MAX_MACRO_TEXT if self.repeats else MAX_TEXT
        if sum(map(_characters, values.values())) > budget:
            raise ExpressionError(f"the values that this expression reads are larger than {budget} characters")
        try:
            result = self.program.execute(values)
        except KeyError as error:
            self._missing(str(error.args[0]).strip("'"))
        except Exception as error:  # noqa: BLE001 - the engine raises six kinds, without a common base
            raise ExpressionError(_first_line(error)) from None
        if isinstance(result, bool | int | float | str):
            return result
        raise ExpressionError(
            f"the result is {_kind(result)}", hint="an expression must give true, false, a number or text"
        )

    def test(self, context: Mapping[str, Any]) -> bool:
        """Return the value of a condition; raises ExpressionError also when it is not true or false."""
        result = self.evaluate(context)
        if isinstance(result, bool):
            return result
        raise ExpressionError(f"the condition is {_kind(result)}, not true or false", hint='compare it: … == "value"')

    def _read(self, root: str, context: Mapping[str, Any]) -> Any:
        value = context[root]
        if root in SCALARS:
            return value
        wanted = self.members.get(root)
        if wanted is not None:
            return {name: value[name] for name in wanted if name in value}
        if self.repeats and len(value) > MAX_ITEMS:
            raise ExpressionError(f"{root} has {len(value)} entries; a macro may walk {MAX_ITEMS} at most")
        return dict(value)

    def _missing(self, name: str) -> NoReturn:
        for root in sorted(self.members):
            if name in self.members[root]:
                raise ExpressionError(f"{root}.{name} is not set", hint=f"ask for it first: has({root}.{name}) && …")
        raise ExpressionError(f"nothing is called {name!r} there")


def compile(text: str, names: Names = ANY_NAMES) -> Expression:  # noqa: A001 - read as expr.compile, like re.compile
    """Check an expression and return it ready for use; raises ExpressionError with the place of the first problem.

    `steps.integration-tests.outcome` is understood as `steps["integration-tests"].outcome`.
    """
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"the expression has {len(text)} characters; {MAX_LENGTH} are allowed")
    if not text.strip():
        raise ExpressionError("the expression is empty")
    import cel  # noqa: PLC0415 - brings its own command line along: 0.15 s that a file without expressions need not pay

    found = scan(text, frozenset(names.inputs or ()))
    try:
        program = cel.compile(found.rewritten)
    except Exception as error:  # noqa: BLE001 - the engine names no type for syntax errors
        _syntax_error(found, str(error))
    _check_macros(found)
    _check_functions(found, program.functions())
    _check_roots(found, program.variables())
    for access in found.accesses:
        _check_access(found, access, names)
    return Expression(
        text=text,
        roots=frozenset(access.root for access in found.accesses),
        members=_members(found.accesses),
        repeats=bool(found.macros),
        program=program,
    )


def suggest(name: str, known: Iterable[str]) -> str:
    """Return a hint with the most similar known name, "" when none is near."""
    near = difflib.get_close_matches(name, sorted(known), n=1)
    return f"did you mean {near[0]!r}?" if near else ""


def _syntax_error(found: Scan, raw: str) -> NoReturn:
    match = _PLACE.search(raw)
    if match is None:
        raise ExpressionError("this is not an expression") from None
    line, column = found.original_place(int(match[1]), int(match[2]))
    if "'<EOF>'" in match[3]:
        message = "the expression ends too early"
    elif "Recursion limit" in match[3]:
        message = "the expression is nested too deeply"
    else:
        message = match[3].split(" expecting ")[0]
    raise ExpressionError(message, line, column) from None


def _check_macros(found: Scan) -> None:
    if not found.macros:
        return
    for name, offset in found.macros:
        if name not in MACROS:
            _fail(found, offset, f"{name}() is not available", f"available: {', '.join(MACROS)}")
    if len(found.macros) > 1:
        _fail(found, found.macros[1][1], "only one of all(), exists(), exists_one(), filter() is allowed")
    if found.matches:
        _fail(found, found.matches[0], "matches() cannot be used together with a macro", "use startsWith(), endsWith()")
    if found.plus > MAX_MACRO_PLUS:
        _fail(found, found.macros[0][1], f"at most {MAX_MACRO_PLUS} additions are allowed together with a macro")


def _check_functions(found: Scan, functions: Iterable[str]) -> None:
    if len(found.matches) > MAX_MATCHES:
        _fail(found, found.matches[MAX_MATCHES], f"matches() is allowed {MAX_MATCHES} times in an expression")
    for name in functions:
        if name.isidentifier() and not name.startswith("_") and name not in FUNCTIONS:
            known = sorted((*FUNCTIONS, *MACROS, "has"))
            hint = suggest(name, known) or f"known: {', '.join(known)}"
            _fail(found, found.offset_of(name), f"there is no function {name!r}", hint)


def _check_roots(found: Scan, variables: Iterable[str]) -> None:
    roots = (*SCALARS, *MAPS)
    for name in variables:
        if name not in roots and name not in found.bound:
            hint = suggest(name, roots) or f"known names: {', '.join(roots)}"
            _fail(found, found.offset_of(name), f"unknown name {name!r}", hint)


def _check_access(found: Scan, access: Access, names: Names) -> None:
    if access.root not in MAPS or access.member is None:
        return
    known = names.of(access.root)
    if known is not None and access.member not in known:
        hint = suggest(access.member, known)
        if not hint:
            hint = f"known: {', '.join(sorted(known))}" if known else f"the pipeline has no {access.root}"
        _fail(found, access.offset, f"there is no {access.member!r} in {access.root}", hint)
    if access.root == "steps" and access.field is not None and access.field not in STEP_FIELDS:
        hint = suggest(access.field, STEP_FIELDS) or f"known: {', '.join(STEP_FIELDS)}"
        _fail(found, access.offset, f"a step has no {access.field!r}", hint)


def _members(accesses: Iterable[Access]) -> Mapping[str, frozenset[str]]:
    members: dict[str, set[str]] = {}
    whole = set()
    for access in accesses:
        if access.member is None:
            whole.add(access.root)
        else:
            members.setdefault(access.root, set()).add(access.member)
    return {root: frozenset(read) for root, read in members.items() if root not in whole}


def _fail(found: Scan, offset: int, message: str, hint: str = "") -> NoReturn:
    line, column = found.place(offset)
    raise ExpressionError(message, line, column, hint=hint)


def _characters(value: Any) -> int:
    if isinstance(value, Mapping):
        return sum(len(str(key)) + _characters(item) for key, item in value.items())
    return len(value) if isinstance(value, str) else 8  # a number, true, false or null


def _kind(value: Any) -> str:
    kinds = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "a map"}
    return "nothing (null)" if value is None else kinds.get(type(value), f"a {type(value).__name__}")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].split(". ")[0] if str(error) else "the expression cannot be evaluated"
