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


def test_few_logs_have_their_files_open(tmp_path, monkeypatch):
    monkeypatch.setattr(logbook, "OPEN", 3)
    book = Logbook(tmp_path)
    leases = [Lease("run", f"step-{n}", 1, 1) for n in range(9)]
    for n, lease in enumerate(leases * 2):
        at = len(b"line\n") * (n // 9)
        assert book.append(lease, at, [LogEntry("main", "stdout", 1, b"line\n")]) == at + 5
    assert len(book._open) == 3
    for lease in leases:
        book.close(lease)
        book.close(lease)  # nothing is left to do
    book.close_all()
    assert {read(book.directory(lease)) for lease in leases} == {b"line\nline\n"}


def test_what_was_written_at_another_server_is_finished_here(tmp_path):
    book, other = Logbook(tmp_path), Logbook(tmp_path)
    other.append(LEASE, 0, [LogEntry("main", "stdout", 1, b"line\n" * WORTH_IT)])
    book.close(LEASE)
    book.close_all()
    other.close_all()
    assert (book.directory(LEASE) / "data.zst").exists()
    assert read(book.directory(LEASE)) == b"line\n" * WORTH_IT
    book.close(Lease("run", "never", 1, 1))  # it wrote nothing
    assert not book.directory(Lease("run", "never", 1, 1)).exists()
