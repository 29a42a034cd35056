"""Context variables: read from the directory a step wrote, kept as files in a tree, merged by name, made environment.

A step's `/variables` directory is hostile input: only regular files with the name of a variable and a bounded text are
variables; the rest is named and left out.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from flowbuild.core.errors import InvalidRequest, StepFailed
from flowbuild.core.ids import VARIABLE_NAME
from flowbuild.core.model import MergePolicy, MergeRule
from flowbuild.core.steering import steers
from flowbuild.workspace.files import unreadable
from flowbuild.workspace.merge import surviving
from flowbuild.workspace.policies import policy_for

MAX_BYTES = 64 * 1024  # of one value
MAX_COUNT = 1000
MAX_TOTAL_BYTES = 1 << 20  # together they must fit the environment of a process

_NUMBER = re.compile(r"\s*[+-]?\d{1,300}(?:\.\d{1,300})?\s*")


@dataclass(frozen=True, slots=True)
class ReadVariables:
    """The variables of a directory, and for each other thing in it a line that says why it is none."""

    values: Mapping[str, str]
    refused: tuple[str, ...]


def read_directory(directory: Path) -> ReadVariables:
    """Read a step's variables directory; one trailing newline of each file is not part of the value.

    A directory that is gone or is no directory any more holds no variables. Raises StepFailed when there are more
    than MAX_COUNT files or more than MAX_TOTAL_BYTES in them, Unreadable when this user may not read one.
    """
    values: dict[str, str] = {}
    refused: list[str] = []
    try:
        parent = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except PermissionError as error:
        raise unreadable("/variables", directory.lstat()) from error
    except OSError as error:
        return ReadVariables({}, (f"/variables: {error.strerror}",))
    try:
        with os.scandir(parent) as entries:
            names = [entry.name for entry, _ in zip(entries, range(MAX_COUNT + 1), strict=False)]
        if len(names) > MAX_COUNT:
            raise StepFailed(f"/variables holds more than {MAX_COUNT} files", hint="put data files into /workspace")
        for name in sorted(names):
            try:
                values[name] = _read_one(parent, name)
            except ValueError as error:
                refused.append(f"/variables/{name.encode('utf-8', 'backslashreplace').decode()}: {error}")
    finally:
        os.close(parent)
    if sum(len(name) + len(value.encode()) for name, value in values.items()) > MAX_TOTAL_BYTES:
        raise StepFailed("the variables are larger than 1 MiB together", hint="put data files into /workspace")
    return ReadVariables(values, tuple(refused))


def _read_one(parent: int, name: str) -> str:
    """Return the value of one file; ValueError says why it is not a variable."""
    if not VARIABLE_NAME.fullmatch(name):
        raise ValueError("not the name of a variable: letters, digits and _ only, not beginning with a digit")
    try:
        # O_NONBLOCK: a fifo must not make us wait for its writer.
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
    except PermissionError as error:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        raise unreadable(f"/variables/{name}", found) from error
    except OSError as error:
        raise ValueError(f"not a regular file ({error.strerror})") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("not a regular file")
        return parse_value(os.read(descriptor, MAX_BYTES + 1))
    finally:
        os.close(descriptor)


def write_directory(directory: Path, values: Mapping[str, str]) -> None:
    """Make a step's variables directory hold exactly `values`, each with a newline at its end; anyone may write there.

    Its parent must be out of reach of other users. A directory that exists is kept, because containers refer to it.
    """
    directory.mkdir(exist_ok=True)
    directory.chmod(0o777)  # the user of a container can be anyone
    for name in os.listdir(directory):  # noqa: PTH208 - names, not paths, are what is left over
        (directory / name).unlink()
    for name, value in values.items():
        file = directory / name
        file.write_bytes(value.encode("utf-8") + b"\n")
        file.chmod(0o666)


def parse_value(data: bytes) -> str:
    """Return the text of a variable's file; ValueError when it cannot be one."""
    if len(data) > MAX_BYTES:
        raise ValueError(f"larger than {MAX_BYTES // 1024} KiB")
    if b"\0" in data:
        raise ValueError("holds a zero byte")
    try:
        return data.removesuffix(b"\n").decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 (byte {error.start})") from error


def check(variables: Mapping[str, str | None]) -> None:
    """Raise InvalidRequest when a name or value given by a person cannot be a variable; None means removal."""
    for name, value in variables.items():
        about = f"variables.{name}"
        if not VARIABLE_NAME.fullmatch(name):
            rule = "letters, digits and _ only, not beginning with a digit"
            raise InvalidRequest(f"{name!r} is not the name of a variable: {rule}", about=about)
        if value is None:
            continue
        try:
            parse_value(value.encode("utf-8", "surrogatepass"))
        except ValueError as error:
            raise InvalidRequest(f"variable {name}: {error}", about=about) from error
    if len(variables) > MAX_COUNT:
        raise InvalidRequest(f"more than {MAX_COUNT} variables")


def environment(variables: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Split variables into those that become environment of a step and the names of those that never do.

    Refused is what would steer the programs that run with it instead of informing them; it stays readable as a file.
    """
    refused = {name for name in variables if steers(name)}
    return {k: v for k, v in variables.items() if k not in refused}, tuple(sorted(refused))


@dataclass(frozen=True, slots=True)
class VariableClash:
    """A variable that several sides changed differently; `sides` are their numbers, `deleted` if one removed it."""

    name: str
    sides: tuple[int, ...]
    deleted: bool
    added: bool


def merge(
    sides: Sequence[Mapping[str, str]],
    base: Callable[[int, int], Mapping[str, str | None]],
    rules: Sequence[MergeRule],
) -> tuple[dict[str, str], tuple[VariableClash, ...]]:
    """Merge variables by name, by the rules of `workspace.merge`; return the values and what no policy settles.

    `base` gives what two sides had in common; None there is a value that is equal to nothing. A clash leaves the value
    of the last side. FIRST/OURS and LAST/THEIRS go by the order of sides; APPEND is the lines of all sides, each once,
    in that order; MAX is the largest, as numbers if all are numbers.
    """
    merged: dict[str, str] = {}
    clashes: list[VariableClash] = []
    for name in sorted(set().union(*sides)):
        values = [side.get(name) for side in sides]

        def common(i: int, j: int, name: str = name) -> object:
            found = base(i, j) if i != j else {}
            return _NOTHING if found.get(name, "") is None else found.get(name)

        alive = surviving(values, common)
        wanted = [values[i] for i in alive]
        value = wanted[-1]
        if len(set(wanted)) > 1:
            try:
                value = _settle(policy_for(rules, name), wanted)
            except ValueError:
                added = all(common(i, j) is None for i in alive for j in alive if values[i] != values[j])
                clashes.append(VariableClash(name, tuple(alive), None in wanted, added))
        if value is not None:
            merged[name] = value
    return merged, tuple(clashes)


_NOTHING = object()  # the value of a base that is equal to no side's


def _settle(policy: MergePolicy, wanted: Sequence[str | None]) -> str | None:
    texts = [value for value in wanted if value is not None]
    match policy:
        case MergePolicy.FIRST | MergePolicy.OURS:
            return wanted[0]
        case MergePolicy.LAST | MergePolicy.THEIRS:
            return wanted[-1]
        case MergePolicy.APPEND | MergePolicy.UNION:
            return "\n".join(dict.fromkeys(line for text in texts for line in text.split("\n")))
        case MergePolicy.MAX if all(_NUMBER.fullmatch(text) for text in texts):
            return max(texts, key=lambda text: (Decimal(text.strip()), text))
        case MergePolicy.MAX:
            return max(texts)
        case _:
            raise ValueError("no policy")
