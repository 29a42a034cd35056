"""Whatever a step writes, nothing of it acts on the terminal."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowbuild.cli.render.text import MAX_LINE, LineSplitter, clean
from flowbuild.core import human

SGR = re.compile(r"\x1b\[[0-9;]+m")
HOSTILE = {
    "clear": ("\x1b[2J\x1b[Hgone", "gone"),
    "cursor": ("a\x1b[5Ab\x1b[10;3Hc", "abc"),
    "title": ("\x1b]0;owned\x07ok", "ok"),
    "title, string terminator": ("\x1b]2;owned\x1b\\ok", "ok"),
    "clipboard": ("\x1b]52;c;ZWNobyBvd25lZA==\x07ok", "ok"),
    "link": ("\x1b]8;;javascript:alert(1)\x1b\\click\x1b]8;;\x1b\\", "click"),
    "link without end": ("\x1b]8;;http://evil", "8;;http://evil"),
    "device control": ("\x1bPq#0;2;0;0;0\x1b\\ok", "ok"),
    "application": ("\x1b_Gf=100;AAAA\x1b\\ok", "ok"),
    "request that the terminal answers": ("\x1b[6n\x1b[c\x1bZ", ""),
    "alternate screen": ("\x1b[?1049h", ""),
    "reset": ("\x1bc", ""),
    "character set": ("\x1b(0lqk", "lqk"),
    "eight bit control": ("\x9b2J\x9d0;x\x9c.", "."),
    "lone escape": ("a\x1b", "a^["),
    "broken colour": ("\x1b[é31m", "é31m"),
    "escape made by removal": ("\x1b\x1b[31m[2J", "^[[2J"),
    "bell, backspace, null": ("\x07\x08\x00", "^G^H^@"),
    "delete": ("\x7f\x85", "\\x7f\\x85"),
    "right to left override": ("user\u202etxt.exe", "user<U+202E>txt.exe"),
    "isolate": ("\u2066a\u2069", "<U+2066>a<U+2069>"),
    "zero width, line separator": ("a\u200bb\u2028c\ufeff", "a<U+200B>b<U+2028>c<U+FEFF>"),
    "tag characters": ("a\U000e0041", "a<U+E0041>"),
    "surrogate": ("\udcff", "<U+DCFF>"),
    "tab": ("a\tb", "a       b"),
    "markup": ("[bold]<img onerror=x>[/bold]", "[bold]<img onerror=x>[/bold]"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile(name):
    raw, shown = HOSTILE[name]
    assert clean(raw) == shown
    assert SGR.sub("", clean(raw, colour=True)) == shown


def test_colours_are_kept_on_request_and_always_end():
    assert clean("\x1b[1;32mok\x1b[0m") == "ok"
    assert clean("\x1b[1;32mok", colour=True) == "\x1b[1;32mok\x1b[0m"
    assert clean("\x1b[38;5;208;48;2;1;2;3mok", colour=True) == "\x1b[38;5;208;48;2;1;2;3mok\x1b[0m"
    assert clean("\x1b[mok", colour=True) == "\x1b[0mok\x1b[0m"


@pytest.mark.parametrize("sgr", ["5", "8", "38;5;999", "38;2;1", "38", "99999", "10;11"])
def test_blinking_hidden_and_broken_colours_are_dropped(sgr):
    assert clean(f"\x1b[{sgr}mtext", colour=True) in ("text", "\x1b[0mtext\x1b[0m")


@settings(max_examples=400)
@given(st.lists(st.one_of(st.text(), st.sampled_from([raw for raw, _ in HOSTILE.values()]), st.just("\x1b[31m"))))
def test_nothing_but_colours_comes_through(parts):
    line = "".join(parts)
    for rest in (clean(line), SGR.sub("", clean(line, colour=True))):
        assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", rest)
    assert clean(clean(line)) == clean(line)


def lines_of(*chunks: bytes) -> list[str]:
    splitter = LineSplitter()
    return [line for chunk in chunks for line in splitter.feed(chunk)] + splitter.flush()


def test_lines_over_chunk_borders():
    assert lines_of(b"a", b"b\nc", b"\n\nd") == ["ab", "c", "", "d"]
    assert lines_of("é\n".encode()[:1], "é\n".encode()[1:]) == ["é"]
    assert lines_of(b"\xff\xfe\n") == ["\\xff\\xfe"]


def test_progress_bars_become_their_last_state():
    assert lines_of(b"10%\r20%\r", b"100%\n") == ["100%"]
    assert lines_of(b"dos\r\nline\r\n") == ["dos", "line"]
    splitter = LineSplitter()
    splitter.feed(b"10%\r20%\r")
    assert splitter.partial == "20%"


def test_a_line_without_end_takes_bounded_memory():
    splitter = LineSplitter()
    shown = sum(len(line) for _ in range(50) for line in splitter.feed(b"x" * 10_000))
    assert len(splitter._rest) <= MAX_LINE
    assert shown + len(splitter.partial) == 500_000
    bar = LineSplitter()
    assert [line for n in range(5000) for line in bar.feed(b"\r%05d%%" % n)] == []
    assert bar.partial == "04999%"


@settings(max_examples=200)
@given(st.binary(), st.lists(st.integers(0, 30)))
def test_splitting_does_not_depend_on_chunks(data, cuts):
    chunks, at = [], 0
    for cut in cuts:
        chunks.append(data[at : at + cut])
        at += cut
    assert lines_of(*chunks, data[at:]) == lines_of(data)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (-5, "0.0s"),
        (0.04, "0.0s"),
        (9.94, "9.9s"),
        (9.95, "10s"),
        (59.6, "1m 00s"),
        (61, "1m 01s"),
        (3600, "1h 00m"),
        (86399, "23h 59m"),
        (90000, "1d 1h"),
    ],
)
def test_durations(seconds, text):
    assert human.duration(seconds) == text


def test_ago_and_sizes():
    ages = (-5, 59, 60, 3600, 86400, 86400 * 9)
    assert [human.ago(0, age) for age in ages] == [
        "just now",
        "just now",
        "1 min ago",
        "1 h ago",
        "yesterday",
        "9 days ago",
    ]
    assert [human.size(n) for n in (0, 1023, 1024, 1 << 20, (1 << 20) - 1)] == [
        "0 B",
        "1023 B",
        "1.0 KiB",
        "1.0 MiB",
        "1.0 MiB",
    ]
