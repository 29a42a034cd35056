"""What a machine keeps: used longest ago goes first, never what somebody holds, and nothing half."""

import threading

import pytest
from structlog.testing import capture_logs

from flowbuild.runner.kept import GONE, Kept


def file(top, name, size=10):
    path = top / name
    path.write_bytes(b"x" * size)
    return path


def names(top):
    return sorted(path.name for path in top.iterdir())


def test_what_was_used_longest_ago_goes_first(tmp_path):
    kept = Kept(30)
    for name in "abc":
        kept.use(file(tmp_path, name), 10)
    assert (kept.bytes, kept.trim()) == (30, [])
    kept.use(tmp_path / "a", 10)
    kept.use(file(tmp_path, "d"), 10)
    assert kept.trim() == [tmp_path / "b"]
    assert (names(tmp_path), kept.bytes) == (["a", "c", "d"], 30)


def test_sizes_change(tmp_path):
    kept = Kept(100)
    kept.use(file(tmp_path, "a"), 10)
    kept.use(tmp_path / "a", 70)
    kept.use(file(tmp_path, "b"), 31)
    assert (kept.bytes, kept.too_large) == (101, True)
    kept.trim()
    assert (names(tmp_path), kept.bytes, kept.too_large) == (["b"], 31, False)


def test_what_is_held_stays_and_counts(tmp_path):
    """However small the limit is: then it is said, once until it fits again."""
    kept = Kept(15)
    kept.use(file(tmp_path, "a"), 10, "run")
    kept.use(file(tmp_path, "b"), 10)
    kept.use(file(tmp_path, "c"), 10, "run")
    kept.use(tmp_path / "c", 10, "other")
    with capture_logs() as logs:
        assert kept.trim() == [tmp_path / "b"]
        kept.trim()
    assert [(each["event"], each["in_use"], each["limit"]) for each in logs] == [("store_too_small", 20, 15)]
    kept.release("run")
    assert kept.trim() == [tmp_path / "a"]
    kept.use(file(tmp_path, "d"), 10, "run")
    with capture_logs() as logs:
        kept.trim()
    assert (len(logs), names(tmp_path)) == (1, ["c", "d"])


def test_no_limit(tmp_path):
    kept = Kept()
    kept.use(file(tmp_path, "a"), 1 << 60)
    assert (kept.trim(), kept.too_large, names(tmp_path)) == ([], False, ["a"])


def test_directories_get_another_name_first(tmp_path, monkeypatch):
    """So a program that is killed while it removes one leaves nothing that looks whole."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    kept = Kept(1)
    kept.use(tmp_path / "a", 10)

    def killed(path):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("flowbuild.runner.kept.remove", killed)
        with pytest.raises(KeyboardInterrupt):
            kept.trim()
    (left,) = names(tmp_path)
    assert left.startswith(GONE)
    (tmp_path / "a").mkdir()
    kept.use(tmp_path / "a", 10)
    kept.trim()
    assert names(tmp_path) == [left]


def test_what_is_gone_already(tmp_path):
    kept = Kept(1)
    kept.use(tmp_path / "never came", 10)
    assert kept.trim() == [tmp_path / "never came"]
    kept.drop(tmp_path / "never came")
    assert kept.bytes == 0


def test_beginning_with_what_is_there(tmp_path):
    kept = Kept(25)
    kept.use(tmp_path / "a", 10, "run")
    kept.begin([(file(tmp_path, name), 10) for name in "abc"])
    assert (kept.bytes, kept.trim(), names(tmp_path)) == (30, [tmp_path / "b"], ["a", "c"])


def test_beside_others(tmp_path):
    """What is held before one looks whether it is there is either there from then on, or was not."""
    kept = Kept(1)
    ending, wrong = threading.Event(), []

    def trim():
        while not ending.is_set():
            kept.trim()

    thread = threading.Thread(target=trim)
    thread.start()
    try:
        for number in range(2000):
            path = file(tmp_path, str(number))
            kept.use(path, 10)
            kept.use(path, 10, "run")
            here = path.exists()
            kept.trim()
            if here != path.exists():
                wrong.append(number)
            kept.release("run")
    finally:
        ending.set()
        thread.join()
    assert wrong == []
