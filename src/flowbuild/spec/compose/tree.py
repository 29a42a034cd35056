"""A value of a compose file together with its place: what every check gets, so that every finding can point at something."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flowbuild.core.model import Position

Path = tuple[str | int, ...]
Locate = Callable[[Path, bool], Position]  # path, whether the place of the key is meant


@dataclass(frozen=True, slots=True)
class Source:
    """Where values come from: a file of the repository (or a part of one) and the directory its relative paths start at."""

    file: str
    base: str
    locate: Locate
    data: Any

    @property
    def top(self) -> Node:
        """The whole of it."""
        return Node(self.data, (), self)


@dataclass(frozen=True, slots=True)
class Node:
    """A value at `path` inside a source. Children are made when asked for, places are looked up when reported."""

    value: Any
    path: Path
    source: Source

    @property
    def position(self) -> Position:
        """Where the value stands."""
        return self.source.locate(self.path, False)

    @property
    def key_position(self) -> Position:
        """Where the key of the value stands."""
        return self.source.locate(self.path, True)

    @property
    def name(self) -> str:
        """The path as people write it: `services.web.ports[0]`."""
        text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path)
        return text.removeprefix(".") or "the file"

    def child(self, part: str | int) -> Node:
        """Return the value below; a missing key gives a node with the value None."""
        below = self.value.get(part) if isinstance(self.value, Mapping) else self.value[part]
        return Node(below, (*self.path, part), self.source)

    def items(self) -> Iterator[tuple[str, Node]]:
        """Yield the entries of a mapping."""
        for key in self.value:
            yield key, self.child(key)

    def elements(self) -> Iterator[Node]:
        """Yield the items of a list."""
        for index in range(len(self.value)):
            yield self.child(index)


def directory(file: str) -> str:
    """Return the directory of a repository path, "" for the top."""
    return file.rpartition("/")[0]


def confined(base: str, path: str) -> str:
    """Return `path`, relative to the directory `base`, as a normalised path of the repository; "." is the top.

    Raises ValueError saying why when it is absolute, leads outside or could be read in two ways.
    """
    if not path or any(ord(char) < 32 for char in path):
        raise ValueError("is not a path")
    if path.startswith(("/", "~")) or "\\" in path or (path[1:2] == ":" and path[:1].isalpha()):
        raise ValueError("is not relative to the repository")
    if "://" in path or path.startswith("git@"):
        raise ValueError("is not in the repository")
    parts: list[str] = []
    for part in [*base.split("/"), *path.split("/")]:
        if part == "..":
            if not parts:
                raise ValueError("leads out of the repository")
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts) or "."
