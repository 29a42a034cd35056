"""Logs when their attempts have ended."""

import pytest

from flowbuild.client.runner import Lease, LogEntry
from flowbuild.logs.reader import LogReader
from flowbuild.services import logbook
from flowbuild.services.logbook import WORTH_IT, Logbook

LEASE = Lease("run", "step", 1, 1)


def finished(tmp_path, size):
    book = Logbook(tmp_path)
    book.append(LEASE, 0, [LogEntry("main", "stdout", 1, b"line\n" * (size // 5))])
    book.close(LEASE)
    book.close_all()
    return book.directory(LEASE)


def read(directory):
    with LogReader(directory) as reader:
        return b"".join(piece.data for piece in reader.read())


@pytest.mark.parametrize(("size", "packed"), [(WORTH_IT + 5, True), (WORTH_IT - 5, False)])
def test_large_logs_are_compressed_in_the_end(tmp_path, size, packed):
    directory = finished(tmp_path, size)
    assert read(directory) == b"line\n" * (size // 5)
    assert (directory / "data.zst").exists() == packed
    assert (directory / "data").exists() != packed
    assert not packed or (directory / "data.zst").stat().st_size < size // 20


def test_a_disk_that_is_full_costs_nothing_but_space(tmp_path, monkeypatch):
    def full(directory):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(logbook, "compress", full)
    directory = finished(tmp_path, 2 * WORTH_IT)
    assert read(directory) == b"line\n" * (2 * WORTH_IT // 5)
    assert not (directory / "data.zst").exists()


def test_an_attempt_that_goes_on_is_left_alone(tmp_path):
    book = Logbook(tmp_path)
    book.append(LEASE, 0, [LogEntry("main", "stdout", 1, b"x" * 2 * WORTH_IT)])
    book.close_all()
    assert not (book.directory(LEASE) / "data.zst").exists()
    again = Logbook(tmp_path)
    assert again.append(LEASE, 2 * WORTH_IT, [LogEntry("main", "stdout", 2, b"y")]) == 2 * WORTH_IT + 1
    again.close_all()
