"""One service of a log: what the others wrote is passed over, whatever happened to the entries that allow it."""

import random
from dataclasses import dataclass

import pytest

from flowbuild.logs import AttemptLog, LogReader, compress
from flowbuild.logs.format import BLOCK, BLOCK_ENTRY, BLOCKS, RECORD, WRITTEN
from flowbuild.testing.home import Home, step

COUNT = 20 * BLOCK + 100  # records, the last of them in a block that is not full


@dataclass(frozen=True)
class Rec:
    service: str
    stream: str
    time_ns: int
    data: bytes


def records(rare, count=COUNT):
    """What one service writes all the time, and another one at some places."""
    return [Rec("rare" if n in rare else "loud", "stdout", n, f"{n}\n".encode()) for n in range(count)]


def write(directory, entries, *, sizes=(1, 7, 500, 3000)):
    """Append in batches of several sizes; return what was written."""
    offset, at, chance = 0, 0, random.Random(1)
    with AttemptLog(directory) as log:
        while at < len(entries):
            batch = entries[at : at + chance.choice(sizes)]
            offset = log.append(offset, batch)
            at += len(batch)


def read(directory, service, **options):
    with LogReader(directory) as reader:
        return b"".join(piece.data for piece in reader.read(services=[service], **options))


def expected(entries, service):
    return b"".join(entry.data for entry in entries if entry.service == service)


RARE = frozenset({0, BLOCK - 1, BLOCK, 5 * BLOCK + 17, COUNT - 1})


@pytest.fixture
def log(tmp_path):
    write(tmp_path / "log", records(RARE))
    return tmp_path / "log"


@pytest.mark.parametrize("service", ["rare", "loud", "nobody"])
def test_it_is_the_same_as_without_passing_over(log, service):
    whole = expected(records(RARE), service)
    assert read(log, service) == whole
    (log / BLOCKS).unlink()  # a log of an earlier version
    assert read(log, service) == whole


def test_what_others_wrote_is_not_looked_at(log, monkeypatch):
    looked = []
    original = LogReader._records
    monkeypatch.setattr(
        LogReader, "_records", lambda self, at, count: looked.append(count) or original(self, at, count)
    )
    assert read(log, "rare") == expected(records(RARE), "rare")
    few = sum(looked)
    assert few <= 5 * BLOCK
    looked.clear()
    (log / BLOCKS).unlink()
    read(log, "rare")
    assert sum(looked) >= COUNT  # the control: without the entries all of it is


@pytest.mark.parametrize("start", [0, 1, BLOCK, 5 * BLOCK + 16, 5 * BLOCK + 18, COUNT - 1])
def test_from_the_middle(log, start):
    entries = records(RARE)
    offset = sum(len(entry.data) for entry in entries[:start])
    assert read(log, "rare", offset=offset) == expected(entries[start:], "rare")
    assert read(log, "rare", end=offset) == expected(entries[:start], "rare")


def spoil_nothing(_path):
    pass


def lose_entries(path):
    path.write_bytes(path.read_bytes()[: 3 * BLOCK_ENTRY.size + 5])


def lose_power(path):
    path.write_bytes(bytes(path.stat().st_size))  # blocks that never reached the disk read as zeros


def write_too_many(path):
    path.write_bytes(path.read_bytes() + BLOCK_ENTRY.pack(WRITTEN) * 9)


@pytest.mark.parametrize("spoil", [spoil_nothing, lose_entries, lose_power, write_too_many])
def test_a_log_that_is_opened_again(log, spoil):
    """Whatever was on the disk: before the writer comes back (but for entries of what is not there yet), and afterwards."""
    spoil(log / BLOCKS)
    if spoil is not write_too_many:
        assert read(log, "rare") == expected(records(RARE), "rare")
    entries = records({COUNT + 2 * BLOCK + 3}, COUNT + 4 * BLOCK)[COUNT:]
    with AttemptLog(log) as again:
        again.append(again.offset, entries)
    assert read(log, "rare") == expected([*records(RARE), *entries], "rare")


def test_a_torn_end_is_cut_from_the_entries_too(log):
    """Records that were cut come again, and may be of another service."""
    index = log / "index"
    index.write_bytes(index.read_bytes()[: (10 * BLOCK + 5) * RECORD.size])
    kept = records(RARE)[: 10 * BLOCK + 5]
    entries = [Rec("rare", "stdout", 1, b"again\n")] * (2 * BLOCK)
    with AttemptLog(log) as again:
        again.append(again.offset, entries)
    assert read(log, "rare") == expected([*kept, *entries], "rare")


def test_compressed(log):
    AttemptLog(log).finish()
    compress(log)
    assert read(log, "rare") == expected(records(RARE), "rare")


def test_more_services_than_bits(tmp_path):
    """Two of them share a bit: then more is looked at, and nothing else changes."""
    entries = [Rec(f"s{n % 130}", "stdout", n, f"{n}\n".encode()) for n in range(3 * BLOCK)]
    write(tmp_path / "log", entries)
    for service in ("s0", "s63", "s126", "s129"):
        assert read(tmp_path / "log", service) == expected(entries, service)


async def test_clients_get_one_service(tmp_path, monkeypatch):
    """Also when it needs many looks, and what they find is far apart."""
    monkeypatch.setattr("flowbuild.services.looking.LOG_PIECE", 10)
    home = Home(tmp_path)
    home.write({"a": step(log="x")})
    async with home.life() as life:
        run = (await life.finished((await life.start(home)).id)).id
        (directory,) = (path.parent for path in home.data.glob("logs/*/a/*/index"))
        for path in directory.iterdir():
            path.unlink()
        write(directory, records(RARE))
        assert await life.log(run, "a", service="rare") == expected(records(RARE), "rare")
        assert await life.log(run, "a", service="nobody", follow=True) == b""
