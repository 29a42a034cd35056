"""Reading YAML: what becomes of scalars, where things stand, and what hostile files cost."""

from __future__ import annotations

import json
import math
import time
import tracemalloc

import pytest

from flowbuild.core.model import Position
from flowbuild.spec.yamlpos import MAX_FINDINGS, Limits, load

KIB = 1024


def read(text: str, **options: object) -> object:
    document, findings = load(text.encode(), "f.yml", **options)
    assert findings == []
    return document.data


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("yes", "yes"),
        ("no", "no"),
        ("off", "off"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("tRUE", "tRUE"),
        ("null", None),
        ("~", None),
        ("", None),
        ("nUll", "nUll"),
        ("0", 0),
        ("-7", -7),
        ("+7", 7),
        ("0755", "0755"),
        ("00", "00"),
        ("0o755", 493),
        ("0x1F", 31),
        ("0b11", "0b11"),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("2024-01-01", "2024-01-01"),
        ("3.10", 3.1),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1.", 1.0),
        (".", "."),
        ("01.5", "01.5"),
        ("1e999", "1e999"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", "9223372036854775808"),
        ("1234567890123456789012345678901234567890", "1234567890123456789012345678901234567890"),
        ("'1'", "1"),
        ('"true"', "true"),
        ("! 1", "1"),
        ("!!str 1", "1"),
        ("!!int 1", 1),
        ("!!float 1", 1),
        ("!!bool true", True),
        ("!!null ~", None),
        ("!!map {a: 1}", {"a": 1}),
        ("!!seq [1]", [1]),
        ("=", "="),
    ],
)
def test_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    found = read(f"a: {text}\n")["a"]
    assert found == value
    assert isinstance(found, type(value))


@pytest.mark.parametrize("text", ["3.10", "0x1F", "0o17", "+5", "1e3", "-0", "1.0"])
def test_numbers_remember_how_they_were_written(text: str) -> None:
    value = read(f"a: {text}")["a"]
    assert str(value) == text
    assert f"{value}" == text
    assert math.isfinite(json.loads(json.dumps(value)))


def test_merge_keys_and_anchors() -> None:
    text = "x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}\nz: {<<: [*x, {b: 9, c: 4}], d: 5}\nw: {'<<': 1}\n"
    data = read(text)
    assert data["y"] == {"a": 1, "b": 3}
    assert data["z"] == {"a": 1, "b": 2, "c": 4, "d": 5}
    assert data["w"] == {"<<": 1}
    data["y"]["a"] = 7
    assert data["x"]["a"] == 1  # copies: changing one place changes no other


def test_positions() -> None:
    text = "a:\n  - b: 1\n    c: 'x y'\n  - &m {d: 2}\ne: *m\nf: {<<: *m}\ng: |\n  text\nh: &h 'x'\n"
    document, _ = load(text.encode(), "f.yml")

    def at(*path: str | int, key: bool = False) -> tuple[int, int]:
        place = document.position(path, key=key)
        return place.line, place.column

    assert at() == (1, 1)
    assert at("a", key=True) == (1, 1)
    assert at("a", 0, "b") == (2, 8)
    assert at("a", 0, "b", key=True) == (2, 5)
    assert at("a", 1) == (4, 5)  # the anchor
    assert at("e", "d") == (4, 12)  # where the anchor stands
    assert at("f", "d", key=True) == (4, 9)
    assert at("a", 0, "missing") == (2, 5)  # the mapping that lacks it
    assert at("a", 9, "x") == (2, 3)
    assert at("missing") == (1, 1)
    assert at("a", 0, "b", 0, "deeper") == (2, 8)  # a short form
    assert document.inside(("a", 0, "c"), 1, 3) == Position("f.yml", 3, 11)  # behind the quote
    assert document.inside(("a", 0, "b"), 1, 1) == Position("f.yml", 2, 8)
    assert document.inside(("g",), 1, 3) == document.position(("g",))
    assert document.inside(("a", 0, "c"), 2, 3) == document.position(("a", 0, "c"))
    assert document.inside(("h",), 1, 3) == Position("f.yml", 9, 4)
    assert document.inside(("a",), 1, 3) == document.position(("a",))


def test_a_key_may_repeat_where_the_caller_says_so() -> None:
    text = "jobs: {job: {a: 1}, other: 2, job: {a: 3}}\nx: {job: 1, job: 2}\n"
    document, findings = load(text.encode(), "f.yml", duplicates=lambda path, key: path == ("jobs",) and key == "job")
    assert document.data == {"jobs": [{"job": {"a": 1}}, {"other": 2}, {"job": {"a": 3}}], "x": {"job": 1}}
    assert document.position(("jobs", 2, "job", "a")) == Position("f.yml", 1, 40)
    assert [(f.code, f.position.column) for f in findings] == [("duplicate_key", 13)]
    merged, _ = load(b"b: &b {z: 0}\njobs: {<<: *b, job: 1, job: 2}", "f.yml", duplicates=lambda *_: True)
    assert merged.data["jobs"] == [{"z": 0}, {"job": 1}, {"job": 2}]


BOMB = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n" % ((98 + i, 98 + i) + (97 + i,) * 9) for i in range(8)
)

REFUSED = [
    ("alias bomb of 400 bytes", BOMB[:400] + b"]", "yaml_nodes", (5, 11)),
    ("many aliases", b"a: &a x\nb: [" + b"*a," * 60 + b"]", "yaml_aliases", (2, 155)),
    ("deep lists", b"[" * 100_000, "yaml_depth", (1, 33)),
    ("deep mappings", b"{a: " * 100_000, "yaml_depth", (1, 129)),
    ("deep block lists", b"- " * 400_000, "yaml_depth", (1, 65)),
    ("deep complex keys", b"? " * 400_000, "yaml_depth", (1, 65)),
    ("deep block mappings", b"".join(b" " * i + b"a:\n" for i in range(900)), "yaml_depth", (33, 33)),
    ("10 MB", b"a: b\n" * 2_000_000, "yaml_size", (1, 1)),
    ("a megabyte of items", b"- a\n" * 250_000, "yaml_nodes", (20_000, 3)),
    ("a megabyte of flow items", b"[" + b"a," * 500_000, "yaml_nodes", (1, 40_000)),
    ("a megabyte of anchors", b"&a " * 300_000, "yaml_documents", (1, 4)),
    ("a megabyte of exclamation marks", b"!" * 1_000_000, "yaml_tag", (1, 1)),
    ("a megabyte of quotes", b'"' * 999_999, "yaml_documents", (1, 3)),
    ("a long key", b"x" * 1_000_000 + b": a", "yaml_syntax", (1, 1_000_001)),
    ("directives", b"%TAG ! x\n" * 100_000, "yaml_directive", (1, 1)),
    ("a directive behind comments", b"# x\n\n%YAML 1.2\n---\na: 1", "yaml_directive", (3, 1)),
    ("directives behind the end", b"a: 1\n...\n" + b"%TAG !a! x\n" * 80_000, "yaml_documents", (2, 1)),
    ("two documents", b"a: 1\n---\nb: 2\n", "yaml_documents", (2, 1)),
    ("UTF-8 mark", b"\xef\xbb\xbfa: 1", "yaml_bom", (1, 1)),
    ("UTF-16 mark", "a: 1".encode("utf-16"), "yaml_bom", (1, 1)),
    ("UTF-32 mark", "a: 1".encode("utf-32"), "yaml_bom", (1, 1)),
    ("UTF-16 without mark", "a: 1".encode("utf-16-le"), "yaml_control", (1, 2)),
    ("not UTF-8", b"a: 1\nb: \xff", "yaml_encoding", (2, 4)),
    ("half a character", "a: é".encode()[:-1], "yaml_encoding", (1, 4)),
    ("a surrogate", b"a: \xed\xa0\x80", "yaml_encoding", (1, 4)),
    ("binary", bytes(range(256)), "yaml_encoding", (2, 118)),
    ("a NUL", b"a: 1\n\0", "yaml_control", (2, 1)),
    ("an escape character", b"a: \x1b[2J", "yaml_control", (1, 4)),
    ("a tab as indentation", b"a:\n\tb: 1\n", "yaml_tab", (2, 1)),
    ("a tab after spaces", b"a:\n  b: 1\n \tc: 1\n", "yaml_tab", (3, 2)),
    ("an alias of nothing", b"a: *b\n", "yaml_alias", (1, 4)),
    ("an alias of itself", b"a: &a [*a]\n", "yaml_alias", (1, 8)),
    ("an alias of itself in a mapping", b"a: &a\n  b: *a\n", "yaml_alias", (2, 6)),
    ("an open quote", b'a: "x\nb: 1\n', "yaml_syntax", (3, 1)),
    ("an open single quote before an end mark", b"a: 'x\n---\nb: 1\n", "yaml_syntax", (2, 1)),
    ("two colons", b"a: b: c\n", "yaml_syntax", (1, 5)),
    ("a line out of its column", b"a:\n  b: 1\n c: 2\n", "yaml_syntax", (3, 2)),
    ("a key in a list", b"- a\nb: 1\n", "yaml_syntax", (2, 1)),
    ("a list in a line", b"a: - b\n", "yaml_syntax", (1, 4)),
    ("an at sign", b"a: @b\n", "yaml_syntax", (1, 4)),
    ("an asterisk", b"a: **\n", "yaml_syntax", (1, 5)),
    ("an open list", b"[a, b\n", "yaml_syntax", (2, 1)),
    ("an open mapping", b"{a: b\n", "yaml_syntax", (2, 1)),
    ("no colon", b"a: 1\nb\n", "yaml_syntax", (3, 1)),
    ("an unknown escape", b'a: "\\q"\n', "yaml_syntax", (1, 5)),
    ("a text behind a bar", b"a: | x\n", "yaml_syntax", (1, 6)),
    ("an undefined tag handle", b"a: !x!y z\n", "yaml_syntax", (1, 4)),
    ("a broken tag", b"a: !<\n", "yaml_syntax", (1, 6)),
    ("a surrogate escape", b'a: "\\ud800"\n', "yaml_syntax", (1, 7)),
    ("a closing bracket alone", b"]\n", "yaml_syntax", (1, 1)),
]


@pytest.mark.parametrize(("text", "code", "place"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_hostile_and_broken_files_are_refused_at_their_place(text: bytes, code: str, place: tuple[int, int]) -> None:
    before = time.process_time()
    document, findings = load(text, "f.yml")
    cost = time.process_time() - before
    assert (findings[-1].code, findings[-1].position) == (code, Position("f.yml", *place)), findings[-1]
    assert document is None or code == "yaml_tag"
    assert findings[-1].message
    assert findings[-1].hint
    assert len(str(findings[-1])) < 400
    assert cost < 2  # seconds of processor time: ten times what the slowest takes, far below any explosion


@pytest.mark.parametrize("text", [BOMB, b"- a\n" * 250_000, b"[" * 1_000_000], ids=["bomb", "items", "depth"])
def test_refusing_takes_little_memory(text: bytes) -> None:
    tracemalloc.start()
    try:
        assert load(text, "f.yml")[0] is None
        assert tracemalloc.get_traced_memory()[1] < 64 * KIB * KIB
    finally:
        tracemalloc.stop()


def test_most_problems_do_not_end_the_reading() -> None:
    text = (
        "a: !foo x\nb: !!python/object:os.system {c: 1}\nd: !!set {e}\nf: !!int x\ng: 1\ng: 2\n"
        'h: "\\0"\ni: {<<: 3}\n1: x\n? [k]\n: v\n? {m: n}\n: v\nz: fine\no: !!int true\np: !!bool x\n'
    )
    document, findings = load(text.encode(), "f.yml")
    assert [(f.code, f.position.line, f.position.column) for f in findings] == [
        ("yaml_tag", 1, 4),
        ("yaml_tag", 2, 4),
        ("yaml_tag", 3, 4),
        ("yaml_tag", 4, 4),
        ("duplicate_key", 6, 1),
        ("yaml_control", 7, 4),
        ("yaml_merge", 8, 9),
        ("yaml_key", 9, 1),
        ("yaml_key", 10, 3),
        ("yaml_key", 12, 3),
        ("yaml_tag", 15, 4),
        ("yaml_tag", 16, 4),
    ]
    assert document.data["z"] == "fine"
    assert document.data["g"] == 1
    assert "first in line 5:1" in findings[4].message


def test_findings_are_bounded() -> None:
    document, findings = load(b"a: 1\n" * 1000, "f.yml")
    assert document is None
    assert len(findings) == MAX_FINDINGS + 1
    assert findings[-1].code == "too_many_findings"


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "\n\n", "---\n...\n# end\n"])
def test_empty_files_are_empty_documents(text: str) -> None:
    assert read(text) is None


@pytest.mark.parametrize("text", ["a: 1\n...\n", "a: 1\n... # end\n# more\n", "---\na: 1\n", "a: 1\r\n", "\ta: 1"[1:]])
def test_one_document_may_have_marks(text: str) -> None:
    assert read(text) == {"a": 1}


def test_limits_can_be_set() -> None:
    assert load(b"a: [[b]]", "f", limits=Limits(depth=3))[0] is not None
    assert load(b"a: [[b]]", "f", limits=Limits(depth=2))[1][0].code == "yaml_depth"
    assert load(b"a: b", "f", limits=Limits(bytes=3))[1][0].code == "yaml_size"
    assert load(b"a: [b]", "f", limits=Limits(nodes=4))[0] is not None
    assert load(b"a: [b]", "f", limits=Limits(nodes=3))[1][0].code == "yaml_nodes"
    assert load(b"a: &a 1\nb: *a", "f", limits=Limits(aliases=0))[1][0].code == "yaml_aliases"
