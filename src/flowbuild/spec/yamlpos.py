"""Bounded YAML 1.2 with positions: bytes in, plain data and the place of every value out.

The event stream of libyaml is read one event at a time and every limit is checked while reading, so a hostile file is
refused before it has grown. Two kinds of problems: those that end the reading (`load` gives no document) and those that
do not (wrong tag, duplicate key …: the document is there as well, so that all problems can be reported at once).

Scalars follow the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema), with three exceptions that
keep what people wrote: integers with leading zeros, numbers beyond 64 bits and `.inf` / `.nan` stay text.
A byte order mark is refused: it is invisible, and tools disagree about what it means.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml
from yaml import events as ev

from flowbuild.core.model import Position
from flowbuild.spec.findings import Finding
from flowbuild.spec.yamltext import Refusal, check_text, only_comments, syntax_problem

Path = tuple[str | int, ...]
Duplicates = Callable[[Path, str], bool]

MAX_FINDINGS = 100  # nobody reads more, and a hostile file could make one per byte
_TAG = "tag:yaml.org,2002:"
_CONTAINER_TAGS = {ev.MappingStartEvent: (f"{_TAG}map", "!"), ev.SequenceStartEvent: (f"{_TAG}seq", "!")}
_INSETS = {"": 0, "'": 1, '"': 1}  # by style of a scalar; blocks (| and >) are missing
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_MAX_NUMBER = 40  # characters; what is longer is an identifier made of digits
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEAN = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may cost. `nodes` counts keys and values after aliases are expanded, `depth` nested collections."""

    bytes: int = 1 << 20
    depth: int = 32
    nodes: int = 20_000
    aliases: int = 50


class Integer(int):
    """An integer that remembers how it was written: `str()` gives back `0x1F`."""

    text: str

    def __str__(self) -> str:
        return self.text


class Float(float):
    """A number that remembers how it was written: `str()` gives back `3.10`, where a plain float says `3.1`."""

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(slots=True)
class _Node:
    """A value, its place (from 1), the places of its keys and how many nodes it stands for.

    `inset` is how far behind the place the text of a scalar begins: 0 plain, 1 quoted, None unknown.
    """

    value: Any
    line: int
    column: int
    size: int = 1
    inset: int | None = 0
    keys: dict[str, tuple[int, int]] = field(default_factory=dict)


class Document:
    """The data of a file and where each part of it stands. Data is a tree: aliases are expanded to copies."""

    def __init__(self, file: str, root: _Node) -> None:
        self.file = file
        self._root = root
        self.data: Any = _plain(root)

    def position(self, path: Path, *, key: bool = False) -> Position:
        """Return the place of the value at `path`, or of its key; of the nearest existing ancestor when it is missing.

        A key that is missing in a mapping gives the key of that mapping, which is what people have to look at. Where a
        short form stands for a longer one (an item for a list, a name for a mapping) the place is that of the short form.
        """
        return Position(self.file, *self._find(path, key=key)[1])

    def inside(self, path: Path, line: int, column: int) -> Position:
        """Return the place of a character of the text at `path`; of the text when it does not stand in one line."""
        node, (first, begin) = self._find(path, key=False)
        if node.inset is None or line > 1 or isinstance(node.value, dict | list):
            return Position(self.file, first, begin)
        return Position(self.file, first, begin + node.inset + column - 1)

    def _find(self, path: Path, *, key: bool) -> tuple[_Node, tuple[int, int]]:
        """Return the node that the path leads to, as far as it goes, and the place that `position` speaks of."""
        node = self._root
        place = (node.line, node.column)
        for depth, part in enumerate(path):
            child = _child(node, part)
            if child is not None:
                own = node.keys.get(part) if isinstance(part, str) else None
                last = depth == len(path) - 1
                place = (child.line, child.column) if own is None or (last and not key) else own
                node = child
            elif isinstance(part, str) and isinstance(node.value, dict):
                break
            else:
                place = (node.line, node.column)
        return node, place


def load(
    text: bytes, file: str, *, limits: Limits = Limits(), duplicates: Duplicates | None = None
) -> tuple[Document | None, list[Finding]]:
    """Read one YAML document; never raises, whatever the bytes are.

    `duplicates(path of the mapping, key)` says whether the key may repeat there. A mapping in which such a key really
    repeats becomes a list of mappings with one entry each, in file order.

    Returns the document (None when it cannot be read) and every problem found.
    """
    reader = _Reader(file, limits, duplicates or (lambda _path, _key: False))
    try:
        return Document(file, reader.read(text)), reader.findings
    except Refusal as refusal:
        place = Position(file, refusal.line, refusal.column)
        return None, [*reader.findings, Finding(refusal.code, place, refusal.message, refusal.hint)]


class _Reader:
    """Turns events into nodes, counting what they cost."""

    def __init__(self, file: str, limits: Limits, duplicates: Duplicates) -> None:
        self.findings: list[Finding] = []
        self._file = file
        self._limits = limits
        self._duplicates = duplicates
        self._anchors: dict[str, _Node | None] = {}  # None while the anchored collection is still open
        self._nodes = 0
        self._aliases = 0

    def read(self, text: bytes) -> _Node:
        decoded = check_text(text, self._limits.bytes)
        self._events = self._stream(text, decoded)
        event = next(self._events, None)
        root = _Node(None, 1, 1) if event is None else self._node(event, (), 0)
        next(self._events, None)  # reads to the end of the document, and refuses what follows it
        return root

    def _stream(self, text: bytes, decoded: str) -> Iterator[Any]:
        """Yield the events of the first document; whatever follows it is refused without being parsed."""
        parser = yaml.CSafeLoader(text)  # used for its events only: nothing is constructed
        try:
            while True:
                event: Any = parser.get_event()
                if isinstance(event, ev.StreamEndEvent):
                    return
                if isinstance(event, ev.DocumentEndEvent):
                    end: Any = event.end_mark
                    if not only_comments(decoded[end.index :]):
                        message = "something follows the end of the YAML document"
                        _refuse(event, "yaml_documents", message, "keep one document per file; look at the line above")
                    return
                if not isinstance(event, ev.StreamStartEvent | ev.DocumentStartEvent):
                    yield event
        except yaml.MarkedYAMLError as error:
            raise syntax_problem(error, decoded) from None
        finally:
            parser.dispose()

    def _node(self, event: Any, path: Path, depth: int) -> _Node:
        """Read the value that begins with `event`, `depth` collections deep."""
        if isinstance(event, ev.AliasEvent):
            return self._alias(event)
        self._count(event, 1)
        if isinstance(event, ev.ScalarEvent):
            decorated = event.anchor or event.tag  # the place is that of the anchor or tag
            inset = None if decorated else _INSETS.get(event.style or "")
            node = _Node(self._scalar(event), *_place(event), inset=inset)
        else:
            if depth >= self._limits.depth:
                _refuse(event, "yaml_depth", f"nested deeper than {self._limits.depth} levels", "make it flatter")
            if event.tag not in (None, *_CONTAINER_TAGS[type(event)]):
                self._bad_tag(event)
            if event.anchor:
                self._anchors[event.anchor] = None
            is_mapping = isinstance(event, ev.MappingStartEvent)
            node = self._mapping(event, path, depth) if is_mapping else self._sequence(event, path, depth)
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _alias(self, event: Any) -> _Node:
        self._aliases += 1
        if self._aliases > self._limits.aliases:
            hint = "repeat less: a step or a variable may say it better"
            _refuse(event, "yaml_aliases", f"more than {self._limits.aliases} aliases", hint)
        name = event.anchor
        if name not in self._anchors:
            _refuse(event, "yaml_alias", f"`*{name}` refers to nothing above it", f"write `&{name}` before it")
        node = self._anchors[name]
        if node is None:
            _refuse(event, "yaml_alias", f"`*{name}` refers to what it is part of", "remove the alias")
        self._count(event, node.size)
        return node

    def _count(self, event: Any, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > self._limits.nodes:
            message = f"more than {self._limits.nodes} values, aliases expanded"
            _refuse(event, "yaml_nodes", message, "split the file, or refer to compose files with `action`")

    def _scalar(self, event: Any) -> Any:
        text: str = event.value
        if "\0" in text:
            self._find("yaml_control", event, "a NUL character in a value", "remove the escape `\\0`")
        if event.tag is None or event.tag == "!":
            plain = not event.style and event.tag is None
            return _resolve(text) if plain else text
        expected = event.tag.removeprefix(_TAG)
        if expected == "str":
            return text
        value = _resolve(text)
        if expected not in _SCALARS:
            self._bad_tag(event)
        elif not isinstance(value, _SCALARS[expected]) or (expected == "int" and isinstance(value, bool)):
            self._find("yaml_tag", event, f"`{text[:40]}` is not a value of `!!{expected}`", "remove the tag")
        return value

    def _bad_tag(self, event: Any) -> None:
        shown = event.tag.replace(_TAG, "!!")[:60]
        self._find("yaml_tag", event, f"unknown tag `{shown}`", "remove the tag: files are plain data")

    def _sequence(self, start: Any, path: Path, depth: int) -> _Node:
        items: list[_Node] = []
        before = self._nodes
        while not isinstance(event := next(self._events), ev.SequenceEndEvent):
            items.append(self._node(event, (*path, len(items)), depth + 1))
        return _Node(items, *_place(start), size=self._nodes - before + 1)

    def _mapping(self, start: Any, path: Path, depth: int) -> _Node:
        pairs: list[tuple[str, _Node, _Node]] = []  # key, node of the key, value
        merged: list[_Node] = []
        repeated = False
        seen: dict[str, _Node] = {}
        before = self._nodes
        while not isinstance(event := next(self._events), ev.MappingEndEvent):
            if isinstance(event, ev.ScalarEvent) and event.value == "<<" and not event.style:
                self._count(event, 1)
                merged += self._merge_sources(path, depth)
                continue
            key_node = self._node(event, path, depth + 1)
            key = self._key(event, key_node)
            value = self._node(next(self._events), (*path, key or "?"), depth + 1)
            if key is None:
                continue
            if key in seen and not self._duplicates(path, key):
                first = seen[key]
                message = f"the key `{key[:60]}` stands here a second time, first in line {first.line}:{first.column}"
                self._find("duplicate_key", event, message, "keep one of the two")
                continue
            repeated |= key in seen
            seen.setdefault(key, key_node)
            pairs.append((key, key_node, value))
        size = self._nodes - before + 1
        values, keys = _inherit(merged)
        if repeated:
            places = [*keys.values(), *((node.line, node.column) for _key, node, _value in pairs)]
            entries = [*values.items(), *((key, value) for key, _node, value in pairs)]
            items = [
                _Node({key: value}, *place, keys={key: place})
                for (key, value), place in zip(entries, places, strict=True)
            ]
            return _Node(items, *_place(start), size=size)
        values |= {key: value for key, _node, value in pairs}
        keys |= {key: (node.line, node.column) for key, node, _value in pairs}
        return _Node(values, *_place(start), size=size, keys=keys)

    def _key(self, event: Any, node: _Node) -> str | None:
        """Return the text of a key, or None after noting that it is not text."""
        if isinstance(event, ev.ScalarEvent) and isinstance(node.value, str):
            return node.value
        if isinstance(event, ev.ScalarEvent):
            shown = event.value[:40]
            self._find("yaml_key", event, f"the key `{shown}` is not text", f'quote it: "{shown}"')
        else:
            self._find("yaml_key", event, "a key must be text", "write the key as one word or in quotes")
        return None

    def _merge_sources(self, path: Path, depth: int) -> list[_Node]:
        """Read the value of `<<`: a mapping or a list of mappings; https://yaml.org/type/merge.html."""
        event = next(self._events)
        node = self._node(event, (*path, "<<"), depth + 1)
        sources = node.value if isinstance(node.value, list) else [node]
        if all(isinstance(source.value, dict) for source in sources):
            return list(sources)
        self._find("yaml_merge", event, "`<<` takes a mapping or a list of mappings", "refer to one with `*name`")
        return []

    def _find(self, code: str, event: Any, message: str, hint: str) -> None:
        if len(self.findings) >= MAX_FINDINGS:
            _refuse(event, "too_many_findings", f"more than {MAX_FINDINGS} problems", "correct the first ones")
        self.findings.append(Finding(code, Position(self._file, *_place(event)), message, hint))


def _inherit(sources: list[_Node]) -> tuple[dict[str, _Node], dict[str, tuple[int, int]]]:
    """Return entries and key places of merged mappings; an earlier one wins."""
    values: dict[str, _Node] = {}
    keys: dict[str, tuple[int, int]] = {}
    for source in sources:
        for key, value in source.value.items():
            values.setdefault(key, value)
            keys.setdefault(key, source.keys[key])
    return values, keys


def _place(event: Any) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _refuse(event: Any, code: str, message: str, hint: str) -> NoReturn:
    raise Refusal(code, *_place(event), message, hint)


_SCALARS: dict[str, type | tuple[type, ...]] = {
    "int": int,
    "float": (int, float),
    "bool": bool,
    "null": type(None),
}


def _resolve(text: str) -> Any:
    """Return the value of a plain scalar by the core schema."""
    if text in _NULL:
        return None
    if text in _BOOLEAN:
        return _BOOLEAN[text]
    if len(text) > _MAX_NUMBER:
        return text
    if _INTEGER.fullmatch(text):
        value = int(text, 0)
        if -(2**63) <= value < 2**63:
            integer = Integer(value)
            integer.text = text
            return integer
    elif _FLOAT.fullmatch(text) and math.isfinite(float(text)):
        number = Float(text)
        number.text = text
        return number
    return text


def _child(node: _Node, part: str | int) -> _Node | None:
    """Return what `part` names inside the node, or None."""
    if isinstance(node.value, dict) and isinstance(part, str):
        return node.value.get(part)
    if isinstance(node.value, list) and isinstance(part, int) and 0 <= part < len(node.value):
        found: _Node = node.value[part]
        return found
    return None


def _plain(node: _Node) -> Any:
    if isinstance(node.value, dict):
        return {key: _plain(value) for key, value in node.value.items()}
    if isinstance(node.value, list):
        return [_plain(value) for value in node.value]
    return node.value
