"""Lines of a log by number, and searching for them."""

from dataclasses import dataclass

import pytest

from flowbuild.logs import AttemptLog, LogReader, compress
from flowbuild.logs import search as module
from flowbuild.logs.search import search

COUNT = 3000


@dataclass(frozen=True)
class Rec:
    service: str
    stream: str
    time_ns: int
    data: bytes


def record(number):
    data = f"line {number}\n".encode()
    if number % 1000 == 500:
        data = f"\x1b[31mERR\x1b[1mOR\x1b[0m: Ünmöglich {number}\n".encode()
    return Rec("odd" if number % 2 else "even", "stdout", number, data)


@pytest.fixture(params=["plain", "compressed"])
def reader(request, tmp_path):
    with AttemptLog(tmp_path) as log:
        log.append(0, [record(number) for number in range(1, COUNT + 1)])
        log.finish()
    if request.param == "compressed":
        compress(tmp_path)
    with LogReader(tmp_path) as reader:
        yield reader


def test_every_line_is_found_by_its_number_and_its_bytes(reader):
    assert reader.lines() == COUNT
    offset = 0
    for number in range(1, COUNT + 1):
        if number % 97 == 1:
            assert reader.offset_of(number) == offset
            first = next(iter(reader.read(offset)))
            assert (first.line, first.data) == (number, record(number).data)
            assert reader.line_at(offset) == reader.line_at(offset + len(first.data) - 1) == number
        offset += len(record(number).data)
    assert reader.offset_of(COUNT + 1) == reader.offset_of(10**9) == reader.size() == offset
    assert reader.line_at(offset) == COUNT + 1


def test_lines_of_one_service_keep_their_numbers(reader):
    assert [piece.line for piece in reader.read(services=["odd"])] == list(range(1, COUNT + 1, 2))


def test_search_passes_over_colours_and_case(reader):
    assert search(reader, "error: ünm").lines == (500, 1500, 2500)
    assert search(reader, "LINE 12\n").lines == (12,)
    assert search(reader, "error", services=["odd"]).lines == ()
    assert search(reader, "nothing") == module.Found((), None)
    assert search(reader, "").lines == (500, 1500, 2500), "they look like errors"
    assert search(reader, "line", line=COUNT + 5) == module.Found((), None)


@pytest.mark.parametrize("budget", [1, 100, 5000, 1 << 20])
@pytest.mark.parametrize("limit", [1, 7, 10_000])
def test_a_search_in_parts_finds_the_same(reader, monkeypatch, budget, limit):
    monkeypatch.setattr(module, "BUDGET", budget)
    wanted = [number for number in range(1, COUNT + 1) if b"9" in record(number).data]
    lines, place, rounds = [], 1, 0
    while place is not None:
        found = search(reader, "9", line=place, limit=limit)
        assert len(found.lines) <= limit
        lines += found.lines
        place, rounds = found.next, rounds + 1
    assert lines == wanted
    assert rounds > 1 or (budget == 1 << 20 and limit == 10_000)


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("Error: x", True),
        ("FAILED tests/a.py", True),
        ("Traceback (most recent call last):", True),
        ("panic: runtime", True),
        ("0 errors", False),
        ("errors: 0", False),
        ("no error", False),
        ("terrorism", False),
        ("all is well", False),
    ],
)
def test_what_looks_like_an_error(tmp_path, text, fits):
    with AttemptLog(tmp_path) as log:
        log.append(0, [Rec("a", "stdout", 1, text.encode())])
    with LogReader(tmp_path) as reader:
        assert bool(search(reader, "").lines) is fits
