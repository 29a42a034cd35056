"""The log of an attempt: appended once, read by range, service and while it grows, whatever is killed when."""

import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowbuild.core.errors import Conflict, SystemFailed
from flowbuild.logs import AttemptLog, LogGap, LogReader, compress
from flowbuild.logs.format import RECORD


@dataclass(frozen=True)
class Rec:
    service: str
    stream: str
    time_ns: int
    data: bytes


def content(directory: Path, **arguments) -> bytes:
    with LogReader(directory) as reader:
        return b"".join(piece.data for piece in reader.read(**arguments))


RECORDS = [
    Rec("app", "stdout", 10, b"hello "),
    Rec("db", "stderr", 11, b"ready\n"),
    Rec("app", "stdout", 12, b"world\n"),
    Rec("app", "stderr", 13, b"\xff\x00oops"),
]
WHOLE = b"".join(record.data for record in RECORDS)


@pytest.fixture
def log(tmp_path):
    with AttemptLog(tmp_path / "log") as log:
        log.append(0, RECORDS)
        yield log


@pytest.fixture(params=["plain", "compressed"])
def written(request, tmp_path, log):
    log.finish()
    if request.param == "compressed":
        compress(tmp_path / "log")
        assert not (tmp_path / "log" / "data").exists()
    return tmp_path / "log"


def test_reads_what_was_written(written):
    with LogReader(written) as reader:
        pieces = list(reader.read())
        assert reader.size() == len(WHOLE)
    assert [(p.service, p.stream, p.time_ns, p.data) for p in pieces] == [
        (r.service, r.stream, r.time_ns, r.data) for r in RECORDS
    ]
    assert [p.offset for p in pieces] == [0, 6, 12, 18]


def test_every_range(written):
    for start in range(len(WHOLE) + 2):
        for end in range(start, len(WHOLE) + 2):
            assert content(written, offset=start, end=end) == WHOLE[start:end]


def test_by_service_and_stream_byte_exact(written):
    assert content(written, services={"db"}) == b"ready\n"
    assert content(written, services={"app"}) == b"hello world\n\xff\x00oops"
    assert content(written, services=set()) == b""
    with LogReader(written) as reader:
        assert b"".join(p.data for p in reader.read(services={"app"}) if p.stream == "stderr") == b"\xff\x00oops"


def test_resend_is_skipped_exactly_and_a_gap_is_refused(tmp_path, log):
    assert log.offset == len(WHOLE)
    assert log.append(0, RECORDS) == len(WHOLE)
    more = Rec("app", "stdout", 14, b"ABCDEF")
    assert log.append(18, [RECORDS[3], more]) == len(WHOLE) + 6
    assert log.append(len(WHOLE) + 3, [Rec("app", "stdout", 15, b"DEFGHI")]) == len(WHOLE) + 9
    with pytest.raises(LogGap) as gap:
        log.append(len(WHOLE) + 10, [more])
    assert gap.value.expected == len(WHOLE) + 9
    assert log.append(log.offset, []) == log.offset
    assert log.append(log.offset, [Rec("app", "stdout", 16, b"")]) == log.offset
    assert content(tmp_path / "log") == WHOLE + b"ABCDEFGHI"


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_sequence_of_sends_and_resends_gives_the_stream_once(tmp_path_factory, data):
    sizes = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=12))
    stream = [Rec("s", "stdout", n, bytes([65 + n]) * size) for n, size in enumerate(sizes)]
    starts = [sum(sizes[:n]) for n in range(len(sizes))]
    directory = tmp_path_factory.mktemp("log")
    log = AttemptLog(directory)
    while log.offset < sum(sizes):
        first = data.draw(st.integers(0, max(n for n, start in enumerate(starts) if start <= log.offset)))
        last = data.draw(st.integers(first + 1, len(stream)))
        log.append(starts[first], stream[first:last])
        if data.draw(st.booleans()):
            log.close()
            log = AttemptLog(directory)
    log.close()
    assert content(directory) == b"".join(record.data for record in stream)


def test_last_times_survive_reopening(tmp_path, log):
    assert log.last_times() == {"app": 13, "db": 11}
    log.close()
    with AttemptLog(tmp_path / "log") as again:
        assert again.last_times() == {"app": 13, "db": 11}
        assert again.offset == len(WHOLE)


def test_none_writes_after_the_end(tmp_path, log):
    other = AttemptLog(tmp_path / "log")
    log.finish()
    files = len([*Path("/proc/self/fd").iterdir()])
    for late in (lambda: AttemptLog(tmp_path / "log"), lambda: other.append(len(WHOLE), RECORDS), lambda: log.offset):
        with pytest.raises(Conflict, match="finished"):
            late()
    log.close()  # idempotent
    other.close()
    assert len([*Path("/proc/self/fd").iterdir()]) < files  # who was refused keeps nothing open


def test_writers_take_turns(tmp_path):
    """As when a runner speaks to one server, then to another, and back: each goes on where the log is."""
    directory, stream = tmp_path / "log", [Rec(f"s{n % 5}", "stdout", n, b"%d" % n * (n % 7 + 1)) for n in range(60)]
    writers = [AttemptLog(directory), AttemptLog(directory)]
    offset = 0
    for n, record in enumerate(stream):
        assert writers[n % 2].offset == offset
        offset = writers[n % 2].append(offset, [record])
        assert writers[(n + 1) % 2].append(offset - len(record.data), [record]) == offset  # sent again to the other one
    writers[0].close()
    assert writers[0].last_times() == writers[1].last_times()  # opened once more
    writers[1].finish()
    writers[0].close()
    assert content(directory) == b"".join(record.data for record in stream)
    for service in ("s0", "s3"):
        mine = b"".join(record.data for record in stream if record.service == service)
        assert content(directory, services={service}) == mine


def test_a_writer_takes_in_what_another_one_tore(tmp_path):
    directory = tmp_path / "log"
    with AttemptLog(directory) as log:
        log.append(0, [Rec("a", "stdout", 1, b"whole")])
        with (directory / "data").open("ab") as data:  # another server died while it wrote
            data.write(b"torn")
        assert log.append(5, [Rec("a", "stdout", 2, b" and more")]) == 14
    assert content(directory) == b"whole and more"


def test_threads_write_one_after_another(tmp_path):
    record = Rec("a", "stdout", 1, b"x" * 1000)
    with AttemptLog(tmp_path / "log") as log, ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: log.append(0, [record] * 100), range(40))) == {100_000}
    assert content(tmp_path / "log") == record.data * 100


def test_torn_at_every_byte(tmp_path, log):
    """Cut either file anywhere: what opens again is whole pieces from the start, and the sender's resend heals it."""
    log.close()
    source = tmp_path / "log"
    for name in ("data", "index"):
        for size in range((source / name).stat().st_size):
            torn = tmp_path / "torn"
            shutil.copytree(source, torn)
            os.truncate(torn / name, size)
            with AttemptLog(torn) as again:
                assert again.offset in (0, 6, 12, 18)
                assert content(torn) == WHOLE[: again.offset]
                assert again.append(0, RECORDS) == len(WHOLE)
            assert content(torn) == WHOLE
            shutil.rmtree(torn)


def test_index_tail_of_zeros_and_garbage_is_cut(tmp_path, log):
    log.close()
    with (tmp_path / "log" / "index").open("ab") as index:
        index.write(bytes(RECORD.size * 2) + b"half")
    with (tmp_path / "log" / "data").open("ab") as data:
        data.write(b"never acknowledged")
    with AttemptLog(tmp_path / "log") as again:
        assert again.offset == len(WHOLE)
    assert content(tmp_path / "log") == WHOLE


def test_kill_9_while_writing(tmp_path):
    """Acknowledged bytes are there after SIGKILL at a random moment."""
    program = (
        "import sys; from pathlib import Path; from types import SimpleNamespace as R\n"
        "from flowbuild.logs import AttemptLog\n"
        "log = AttemptLog(Path(sys.argv[1])); n = 0\n"
        "while True:\n"
        "    log.append(log.offset, [R(service='a', stream='stdout', time_ns=n, data=b'%08d' % n)]); n += 1\n"
        "    print(n, flush=True)\n"
    )
    for round_ in range(3):
        directory = tmp_path / str(round_)
        with subprocess.Popen([sys.executable, "-c", program, directory], stdout=subprocess.PIPE) as process:
            acknowledged = [next(process.stdout) for _ in range(50 * (round_ + 1))]
            process.send_signal(signal.SIGKILL)
            acknowledged += process.stdout.read().splitlines()
        count = int(acknowledged[-1])
        with AttemptLog(directory) as log:
            assert log.offset in (count * 8, count * 8 + 8)
            assert log.last_times()["a"] == log.offset // 8 - 1
        assert content(directory)[: count * 8] == b"".join(b"%08d" % n for n in range(count))


def test_cut_is_marked_and_the_rest_acknowledged(tmp_path):
    with AttemptLog(tmp_path, limit=10) as log:
        assert log.append(0, [Rec("a", "stdout", 1, b"0123456"), Rec("b", "stdout", 2, b"789XYZ")]) == 13
        assert log.append(13, [Rec("a", "stdout", 3, b"dropped")]) == 20
        assert log.offset == 20
    with AttemptLog(tmp_path, limit=10) as again:  # a sender that is ahead is not refused
        assert again.append(2000, [Rec("a", "stdout", 4, b"dropped")]) == 2007
        again.finish()
    assert content(tmp_path, services={"a", "b"}) == b"0123456789"
    assert b"output cut here: this attempt wrote more than 10 bytes" in content(tmp_path, services={""})
    with LogReader(tmp_path) as reader:
        assert reader.header().cut


def test_exactly_the_limit_is_not_cut(tmp_path):
    with AttemptLog(tmp_path, limit=10) as log:
        log.append(0, [Rec("a", "stdout", 1, b"0123456789")])
    assert content(tmp_path) == b"0123456789"


def test_nothing_was_written_yet(tmp_path):
    with LogReader(tmp_path / "none") as reader:
        assert list(reader.read()) == []
        assert reader.size() == 0


def test_open_reader_survives_compression(tmp_path, log):
    log.finish()
    with LogReader(tmp_path / "log") as reader:
        pieces = reader.read()
        first = next(pieces)
        compress(tmp_path / "log")
        compress(tmp_path / "log")  # nothing left to do
        assert first.data + b"".join(piece.data for piece in pieces) == WHOLE


def test_compress_refuses_a_log_that_grows(tmp_path, log):
    with pytest.raises(Conflict, match="not finished"):
        compress(tmp_path / "log")


def test_many_frames_random_access_and_stock_zstd(tmp_path):
    block = b"".join(b"line %d\n" % n for n in range(9000))
    with AttemptLog(tmp_path) as log:
        for n in range(40):
            log.append(log.offset, [Rec("a", "stdout", n, block)])
        log.finish()
    compress(tmp_path)
    whole = block * 40
    assert len(whole) > 3 << 20
    for start in (0, 1 << 20, (1 << 20) - 1, len(whole) - 5, 2_345_678):
        assert content(tmp_path, offset=start, end=start + 100_000) == whole[start : start + 100_000]
    assert (tmp_path / "data.zst").stat().st_size < len(whole) // 4
    if tool := shutil.which("zstd"):
        assert subprocess.run([tool, "-dc", tmp_path / "data.zst"], capture_output=True, check=True).stdout == whole


@pytest.mark.parametrize("damage", ["table", "frame", "empty"])
def test_damaged_file_is_an_error_not_wrong_content(tmp_path, log, damage):
    log.finish()
    directory = tmp_path / "log"
    compress(directory)
    raw = bytearray((directory / "data.zst").read_bytes())
    if damage == "table":
        raw = raw[:-3]
    elif damage == "frame":
        raw[len(raw) // 4] ^= 0xFF
    else:
        raw = bytearray()
    (directory / "data.zst").write_bytes(raw)
    with pytest.raises(SystemFailed, match="damaged"):
        content(directory)
