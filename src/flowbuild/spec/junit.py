"""Test reports in the form that JUnit began and everybody writes: which files are some, and what they say. Pure.

There is no one schema: tools nest `testsuites` and `testsuite` as they like, and what matters stands in `testcase`. The text may be
hostile: a document type, without which there are no entities, is refused, and depth, number and length are bounded.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from xml.parsers import expat

from flowbuild.core.errors import InvalidRequest

BYTES_MAX = 16 << 20  # of a report
ELEMENTS_MAX = 500_000
DEPTH_MAX = 32
WORD_MAX = 500  # characters of a name or path
MESSAGE_MAX = 1000
DETAILS_MAX = 4000
# Names that tools give reports, and directories that they put them into, from what CI servers look for by default.
_WHAT = rb"(?:.*[-_.])?(?:junit|xunit|nosetests|(?:test[-_.]?)?(?:results?|reports?))"
_NAMES = re.compile(_WHAT + rb"(?:[-_.].*)?\.xml|tests?-.+\.xml", re.IGNORECASE)
_FOLDERS = re.compile(_WHAT, re.IGNORECASE)
_FOREIGN = frozenset(
    {b"node_modules", b"site-packages", b"vendor", b".git", b".venv", b".tox"}
)  # somebody else's tests


class Status(StrEnum):
    """How a case ended; `errored` as reports mean it: by something else than an assertion."""

    PASSED = "passed"
    FAILED = "failed"
    ERRORED = "errored"
    SKIPPED = "skipped"


_ENDS = {"failure": Status.FAILED, "error": Status.ERRORED, "skipped": Status.SKIPPED}


@dataclass(slots=True)
class Case:
    """A test. `suite` is the nearest one around it; texts are cut, `line` is 0 when the report does not say it."""

    suite: str
    classname: str
    name: str
    seconds: float
    file: str = ""
    line: int = 0
    status: Status = Status.PASSED
    message: str = ""
    details: str = ""


class NotAReport(InvalidRequest):
    """A file is XML, but no test report."""

    code = "not_a_report"


def is_report(path: bytes) -> bool:
    """Tell whether a file is one that test reports are looked for in, by its path."""
    *folders, name = path.split(b"/")
    if not name.lower().endswith(b".xml") or not _FOREIGN.isdisjoint(folders):
        return False
    return _NAMES.fullmatch(name) is not None or any(_FOLDERS.fullmatch(folder) for folder in folders)


def read(data: bytes, take: Callable[[Case], None]) -> None:
    """Hand every case of a report to `take`. Raises NotAReport for other XML, InvalidRequest for what cannot be read."""
    if len(data) > BYTES_MAX:
        raise InvalidRequest(f"it is longer than {BYTES_MAX >> 20} MiB")
    parser = expat.ParserCreate()
    reader = _Reader(take)
    parser.buffer_text = True
    parser.StartElementHandler = reader.begin
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise InvalidRequest(
            f"it is no XML: {expat.errors.messages.get(error.code, 'unknown')} in line {error.lineno}"
        ) from error
    except (LookupError, ValueError) as error:  # an encoding that nobody knows
        raise InvalidRequest("it is in an encoding that is not known", hint="write it in UTF-8") from error


def _refuse(*_declaration: object) -> None:
    raise InvalidRequest("it declares a document type, which may hold anything", hint="leave the DOCTYPE out")


class _Reader:
    """Follows the elements of a report."""

    def __init__(self, take: Callable[[Case], None]) -> None:
        self._take = take
        self._open: list[str] = []
        self._suites: list[str] = []
        self._case: Case | None = None
        self._case_depth = 0
        self._ending = False  # whether we are in the element that says how the case ended
        self._elements = 0

    def begin(self, tag: str, attributes: Mapping[str, str]) -> None:
        """An element begins."""
        self._elements += 1
        if len(self._open) >= DEPTH_MAX or self._elements > ELEMENTS_MAX:
            raise InvalidRequest("it has too many elements, or they are nested too deeply")
        name = tag.rpartition(":")[2]
        if not self._open and name not in ("testsuites", "testsuite"):
            raise NotAReport("it is no test report")
        self._open.append(name)
        if name == "testsuite":
            self._suites.append(attributes.get("name", "")[:WORD_MAX])
        elif name == "testcase" and self._case is None:
            self._case, self._case_depth = self._made(attributes), len(self._open)
        elif self._case is not None and name in _ENDS and len(self._open) == self._case_depth + 1:
            self._judge(self._case, name, attributes)

    def end(self, _tag: str) -> None:
        """An element ends."""
        name = self._open.pop()
        if name == "testsuite":
            self._suites.pop()
        elif self._case is not None and len(self._open) == self._case_depth:
            self._ending = False
        elif self._case is not None and len(self._open) < self._case_depth:
            self._case.details = self._case.details.strip()
            self._take(self._case)
            self._case = None

    def text(self, text: str) -> None:
        """Keep text of the element that says how a case ended."""
        if self._case is not None and self._ending and len(self._case.details) < DETAILS_MAX:
            self._case.details = (self._case.details + text)[:DETAILS_MAX]

    def _made(self, attributes: Mapping[str, str]) -> Case:
        return Case(
            suite=self._suites[-1] if self._suites else "",
            classname=attributes.get("classname", "")[:WORD_MAX],
            name=attributes.get("name", "")[:WORD_MAX],
            seconds=_seconds(attributes.get("time", "")),
            file=attributes.get("file", "")[:WORD_MAX],
            line=_line(attributes.get("line", "")),
        )

    def _judge(self, case: Case, name: str, attributes: Mapping[str, str]) -> None:
        """Note how a case ended: by the first thing that went wrong, if any did."""
        found = _ENDS[name]
        if case.status is Status.PASSED or (case.status is Status.SKIPPED and found is not Status.SKIPPED):
            case.status, self._ending = found, True
            case.message = (attributes.get("message") or attributes.get("type", ""))[:MESSAGE_MAX]
            case.details = ""


def _seconds(text: str) -> float:
    """Return a duration; some write thousands with a comma, and what is none counts as 0."""
    try:
        seconds = float(text.replace(",", "")) if len(text) < 40 else 0.0
    except ValueError:
        return 0.0
    return seconds if math.isfinite(seconds) and seconds > 0 else 0.0


def _line(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
