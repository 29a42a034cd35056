"""A light look at the text of a CEL expression: which names it reads, and where.

The engine parses; this only finds places for messages, counts what `expr` limits, and quotes step names that CEL's
grammar has no room for (`steps.integration-tests`). Where it and the engine could disagree it errs towards refusal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""
    (?P<space>\s+|//[^\n]*)
  | (?P<string>(?:[rR][bB]?|[bB][rR])(?:\"{3}.*?\"{3}|'{3}.*?'{3}|"[^"\n]*"|'[^'\n]*')
      | [bB]?(?:\"{3}(?:\\.|[^\\])*?\"{3}|'{3}(?:\\.|[^\\])*?'{3}|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<number>[0-9][0-9A-Za-z]*(?:\.[0-9]+[0-9A-Za-z]*)?)
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_MEMBER = re.compile(r"\b(steps|inputs)\.([A-Za-z0-9][A-Za-z0-9_-]*)")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Counted in the raw text, also inside strings: a limit must not depend on this scanner understanding every literal.
_MACRO = re.compile(r"\b(all|exists|exists_one|existsOne|map|filter|transform\w*)\b(?:\s|//[^\n]*(?:\n|$))*\(")
_MATCHES = re.compile(r"\bmatches\b")
_ROOTS = ("branch", "tag", "commit", "event", "inputs", "variables", "steps", "matrix")


@dataclass(frozen=True, slots=True)
class Token:
    """A word of the expression; `offset` counts characters of the text that was scanned."""

    kind: str
    text: str
    offset: int


@dataclass(frozen=True, slots=True)
class Access:
    """A root, the member read below it (None: the whole root), the field below that, and the offset of the member."""

    root: str
    member: str | None
    field: str | None
    offset: int


@dataclass(frozen=True, slots=True)
class Scan:
    """What was found. Offsets are in `rewritten`; `place` translates them into what the user wrote."""

    text: str
    rewritten: str
    quoted: tuple[int, ...]  # offsets in `rewritten` of names that were put between [" and "]
    tokens: tuple[Token, ...]
    accesses: tuple[Access, ...]
    bound: frozenset[str]  # variables of macros
    macros: tuple[tuple[str, int], ...]
    matches: tuple[int, ...]
    plus: int

    def place(self, offset: int) -> tuple[int, int]:
        """Return line and column, from 1, in the user's text."""
        for start in reversed(
            self.quoted
        ):  # `.name` became `["name"]`: one character more before it, three with those after
            end = self.rewritten.index('"]', start) + 2
            offset -= 3 if offset >= end else int(offset > start + 1)
        line = self.text.count("\n", 0, offset) + 1
        return line, offset - (self.text.rfind("\n", 0, offset) + 1) + 1

    def original_place(self, line: int, column: int) -> tuple[int, int]:
        """Translate a line and column of the rewritten text."""
        lines = self.rewritten.split("\n")
        return self.place(sum(len(text) + 1 for text in lines[: line - 1]) + column - 1)

    def offset_of(self, name: str) -> int:
        """Return where a name stands first, 0 when only the engine sees it."""
        return next((token.offset for token in self.tokens if token.text == name), 0)


def scan(text: str, inputs: frozenset[str]) -> Scan:
    """Scan an expression; `inputs` are the known input names, of which those with `-` are quoted like step names."""
    rewritten, quoted = _quote(text, inputs)
    tokens = tuple(_tokens(rewritten))
    return Scan(
        text=text,
        rewritten=rewritten,
        quoted=quoted,
        tokens=tokens,
        accesses=tuple(_accesses(tokens)),
        bound=frozenset(_bound(tokens)),
        macros=tuple((match[1], match.start()) for match in _MACRO.finditer(rewritten)),
        matches=tuple(match.start() for match in _MATCHES.finditer(rewritten)),
        plus=rewritten.count("+"),
    )


def _quote(text: str, inputs: frozenset[str]) -> tuple[str, tuple[int, ...]]:
    """Turn `steps.a-b` into `steps["a-b"]` outside of strings; return the text and the offsets of the brackets."""
    parts: list[str] = []
    quoted: list[int] = []
    position = length = 0
    names = {token.offset for token in _tokens(text) if token.kind == "name"}
    for match in _MEMBER.finditer(text):
        root, member = match.groups()
        if match.start() not in names or _IDENTIFIER.fullmatch(member) or (root == "inputs" and member not in inputs):
            continue
        before = text[position : match.end(1)]
        quoted.append(length + len(before))
        after = f'["{member}"]'
        parts += before, after
        length += len(before) + len(after)
        position = match.end()
    return "".join([*parts, text[position:]]), tuple(quoted)


def _tokens(text: str) -> Iterator[Token]:
    for match in _TOKEN.finditer(text):
        if match.lastgroup is not None and match.lastgroup != "space":
            yield Token(match.lastgroup, match[0], match.start())


def _accesses(tokens: tuple[Token, ...]) -> Iterator[Access]:
    for index, token in enumerate(tokens):
        if token.kind != "name" or token.text not in _ROOTS or (index and tokens[index - 1].text == "."):
            continue
        member, after = _member(tokens, index + 1)
        if member is None:
            yield Access(token.text, None, None, token.offset)
        else:
            field, _ = _member(tokens, after)
            name = _name(member)
            yield Access(token.text, name, None if field is None else _name(field), member.offset)


def _member(tokens: tuple[Token, ...], index: int) -> tuple[Token | None, int]:
    """Return the token of `.name` or `["name"]` at `index`, and the index behind it."""
    ahead = tokens[index : index + 3]
    if len(ahead) >= 2 and ahead[0].text == "." and ahead[1].kind == "name":
        called = len(ahead) == 3 and ahead[2].text == "("  # a method of the whole root: variables.exists(…)
        return (None, index) if called else (ahead[1], index + 2)
    if len(ahead) == 3 and ahead[0].text == "[" and _plain(ahead[1]) and ahead[2].text == "]":
        return ahead[1], index + 3
    return None, index


def _plain(token: Token) -> bool:
    return (
        token.kind == "string"
        and token.text[0] in "\"'"
        and token.text[:3] not in ('"""', "'''")
        and "\\" not in token.text
    )


def _name(token: Token) -> str:
    return token.text[1:-1] if token.kind == "string" else token.text


def _bound(tokens: tuple[Token, ...]) -> Iterator[str]:
    """Yield the names that macros bind: the `x` of `list.all(x, …)`."""
    for index in range(len(tokens) - 3):
        macro, bracket, name, comma = tokens[index : index + 4]
        if _MACRO.fullmatch(macro.text + "(") and bracket.text == "(" and name.kind == "name" and comma.text == ",":
            yield name.text
