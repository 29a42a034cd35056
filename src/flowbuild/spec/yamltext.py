"""The text side of reading YAML: what bytes are acceptable, and syntax errors in people's words."""

from __future__ import annotations

import codecs
import re
from typing import Any

_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "UTF-8",
    codecs.BOM_UTF32_LE: "UTF-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
_DIRECTIVE = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\r?\n)*+%")
_COMMENTS = re.compile(r"(?:\s|#[^\r\n]*)*+(?:\.\.\.(?:\s|#[^\r\n]*)*+)?")

# What libyaml says (the start of it), what a person is told, what to do. First match wins.
_SYNTAX = (
    ("mapping values are not allowed", "a `:` where no key can stand", "check the indentation, or quote the text"),
    ("block sequence entries are not allowed", "a `-` where no list can begin", "put it on a line of its own"),
    ("could not find expected ':'", "a key without `:`", "write `key: value`; a space follows the colon"),
    ("did not find expected key", "this line fits nothing above it", "check indentation, quotes and brackets above"),
    ("did not find expected '-'", "this line is not an item of the list above it", "begin with `- ` or indent less"),
    ("did not find expected ',' or ']'", "a list in `[ ]` is not closed", "add `]`, or a comma between items"),
    ("did not find expected ',' or '}'", "a mapping in `{ }` is not closed", "add `}`, or a comma between entries"),
    ("found unexpected end of stream", "a quoted text does not end", "close the quote"),
    ("found unexpected document indicator", "a quoted text does not end", "close the quote"),
    ("found unknown escape character", "an unknown escape after `\\`", "use 'single quotes' or write `\\\\`"),
    ("did not find expected <document start>", "something stands outside of the document", "check the indentation"),
    ("found undefined tag handle", "unknown tag", "remove the tag: files are plain data"),
    ("found undefined alias", "an alias that refers to nothing", "write the anchor before it"),
    ("did not find expected alphabetic", "a `*` or `&` without a name", "quote the text: it begins with `*` or `&`"),
    ("did not find expected comment or line break", "something after the `|` or `>`", "begin the text on a new line"),
    ("did not find URI", "a tag that cannot be read", "remove the tag: files are plain data"),
)


class Refusal(Exception):
    """Ends the reading of a file; line and column count from 1. Private to this package."""

    def __init__(self, code: str, line: int, column: int, message: str, hint: str) -> None:
        super().__init__(message)
        self.code, self.line, self.column, self.message, self.hint = code, line, column, message, hint


def check_text(text: bytes, limit: int) -> str:
    """Return the decoded text; raises Refusal for too many bytes, a byte order mark, binary or wrongly encoded data."""
    if len(text) > limit:
        message = f"{len(text)} bytes, more than the {limit} that are read"
        raise Refusal("yaml_size", 1, 1, message, "split the file, or refer to compose files with `action`")
    for mark, name in _BYTE_ORDER_MARKS.items():
        if text.startswith(mark):
            message = f"the file begins with a byte order mark ({name})"
            raise Refusal("yaml_bom", 1, 1, message, "save it as UTF-8 without byte order mark (BOM)")
    try:
        decoded = text.decode()
    except UnicodeDecodeError as error:
        line, column = _line_column(text[: error.start].decode())
        message = f"byte 0x{text[error.start]:02x} is not UTF-8"
        raise Refusal("yaml_encoding", line, column, message, "save the file as UTF-8") from None
    if found := _CONTROL.search(decoded):
        line, column = _line_column(decoded[: found.start()])
        message = f"the control character U+{ord(found[0]):04X} in the file: is it binary?"
        raise Refusal("yaml_control", line, column, message, "YAML is text; remove the character")
    if found := _DIRECTIVE.match(decoded):
        line, column = _line_column(decoded[: found.end() - 1])
        raise Refusal("yaml_directive", line, column, "a YAML directive (`%…`)", "remove the line")
    return decoded


def only_comments(text: str) -> bool:
    """Whether nothing but space, comments and one end mark stands in the text."""
    return _COMMENTS.fullmatch(text) is not None


def syntax_problem(error: Any, text: str) -> Refusal:
    """Say in people's words what libyaml found; `error` is a MarkedYAMLError."""
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    problem = error.problem or ""
    character = text[mark.index : mark.index + 1] if mark else ""
    if character == "\t":
        return Refusal("yaml_tab", line, column, "a tab where YAML wants spaces", "indent with spaces")
    if problem.startswith("found character that cannot start any token"):
        return Refusal("yaml_syntax", line, column, f"a value cannot begin with `{character}`", "quote the text")
    for begin, message, hint in _SYNTAX:
        if problem.startswith(begin):
            return Refusal("yaml_syntax", line, column, message, hint)
    return Refusal("yaml_syntax", line, column, f"not valid YAML: {problem}", "check quotes, brackets and indentation")


def _line_column(before: str) -> tuple[int, int]:
    """Return line and column, from 1, of what follows the text."""
    return before.count("\n") + 1, len(before) - before.rfind("\n")
