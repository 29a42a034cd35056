"""Which lines of a log say why a step failed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowbuild.client.runner import LogEntry
from flowbuild.logs import reasons as module
from flowbuild.logs.reader import LogReader
from flowbuild.logs.reasons import LONGEST, chosen, reasons
from flowbuild.logs.writer import AttemptLog


@pytest.mark.parametrize(
    ("errors", "last", "numbers"),
    [
        ([], 0, []),
        ([], 3, [1, 2, 3]),
        ([], 100, list(range(81, 101))),
        ([5], 100, [5, 6, 7]),
        ([99], 100, [99, 100]),
        ([5, 6], 100, [5, 6, 7, 8]),
        ([5, 50], 100, [5, 6, 7, 50, 51, 52]),
        (list(range(1, 40)), 100, list(range(1, 21))),
    ],
)
def test_errors_first_else_the_end(errors, last, numbers):
    assert list(chosen(errors, last)) == numbers


@given(st.integers(0, 300), st.sets(st.integers(1, 300)), st.integers(1, 30))
def test_lines_that_there_are_in_order_and_not_too_many(last, errors, most):
    found = list(chosen(sorted(each for each in errors if each <= last), last, most))
    assert found == sorted(set(found))
    assert len(found) <= most
    assert all(1 <= number <= last for number in found)
    assert bool(found) is bool(last)


def written(path, lines):
    log = AttemptLog(path)
    log.append(0, [LogEntry("app", "stdout", number, line) for number, line in enumerate(lines)])
    log.close()
    with LogReader(path) as reader:
        return reasons(reader)


def test_lines_that_look_like_errors_and_what_follows(tmp_path):
    lines = (
        [b"compiling\n"] * 30
        + [b"\x1b[31merror\x1b[0m: no such file\n", b"  at main.c:3\n", b"  help\n", b"bye\n"]
        + [b"\n"] * 30
    )
    assert written(tmp_path, lines) == ["error: no such file", "  at main.c:3", "  help"]


def test_without_any_the_last_ones(tmp_path):
    assert written(tmp_path, [b"line %d\n" % number for number in range(50)]) == [f"line {n}" for n in range(30, 50)]


def test_no_log_no_reasons(tmp_path):
    with LogReader(tmp_path / "nothing") as reader:
        assert reasons(reader) == []


def test_lines_are_harmless_and_short(tmp_path):
    found = written(tmp_path, [b"error \x1b]0;title\x07 \xff " + b"x" * 5000 + b"\r\n"])
    (line,) = found
    assert len(line) == LONGEST
    assert line.isprintable()
    assert line.startswith("error ")


def test_pieces_of_several_lines_and_lines_that_were_written_over(tmp_path):
    found = written(tmp_path, [b"10%\r20%\rerror: full\r\n\nhint: clean up\n", b"x\n" * 50])
    assert found == ["error: full", "hint: clean up", *["x"] * 18]


def test_of_a_large_log_its_end_is_looked_at_too(tmp_path, monkeypatch):
    monkeypatch.setattr("flowbuild.logs.search.BUDGET", 2000)
    monkeypatch.setattr(module, "BUDGET", 2000)
    lines = [b"nothing to see here\n"] * 1000 + [b"fatal: the end\n", b"bye\n"]
    assert written(tmp_path, lines) == ["fatal: the end", "bye"]
