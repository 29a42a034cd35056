"""Interpolation and environment files: tables of input and result."""

from __future__ import annotations

import pytest

from flowbuild.spec import compose
from flowbuild.spec.compose import interpolate

VARIABLES = {"A": "1", "EMPTY": "", "B": "two $A"}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain", "plain"),
        ("$A${A}", "11"),
        ("$$A $${A}", "$A ${A}"),
        ("$NONE.", "."),
        ("${NONE}", ""),
        ("${NONE:-x} ${EMPTY:-x} ${A:-x}", "x x 1"),
        ("${NONE-x} ${EMPTY-x}", "x "),
        ("${NONE:+x} ${EMPTY:+x} ${EMPTY+x} ${A:+x}", "  x x"),
        ("${A:?no} ${EMPTY?no}", "1 "),
        ("${NONE:-${A}-${EMPTY:-$B}}", "1-two $A"),
        ("${NONE:-{}", "{"),
        ("a } b", "a } b"),
        ("$B", "two $A"),
        ("${{ inputs.x }} $A", "${{ inputs.x }} 1"),
        ("${NONE:-$$}", "$"),
        ("$A_ $A-", " 1-"),
    ],
)
def test_substitute(text: str, result: str):
    assert interpolate.substitute(text, VARIABLES) == result


@pytest.mark.parametrize(
    "text", ["$", "a$", "$1", "$(x)", "${", "${}", "${1}", "${A", "${A!}", "${A:x}", "${A:-${B}", "${{ x", "${A:-" * 40]
)
def test_bad_interpolation(text: str):
    with pytest.raises(interpolate.BadInterpolation):
        interpolate.names(text)
    with pytest.raises(interpolate.BadInterpolation):
        interpolate.substitute(text, VARIABLES)


@pytest.mark.parametrize("text", ["${NONE:?it is needed}", "${EMPTY:?it is needed}", "${NONE?it is ${X:-needed}}"])
def test_required_variable(text: str):
    with pytest.raises(interpolate.MissingVariable, match="is required: it is needed"):
        interpolate.substitute(text, VARIABLES)


def test_strict_refuses_only_names_that_are_used():
    assert interpolate.substitute("${A:-$NONE}", VARIABLES, strict=True) == "1"
    with pytest.raises(interpolate.MissingVariable) as caught:
        interpolate.substitute("${EMPTY:-$NONE}", VARIABLES, strict=True)
    assert caught.value.name == "NONE"


def test_names_finds_also_those_in_defaults():
    assert interpolate.names("$A ${B:-${C:?$D}} $$E ${{ F }} ${A}") == ("A", "B", "C", "D")


@pytest.mark.parametrize("text", ["$", "$$", "${A}", "a$b${c}$$d", "${{ x }}"])
def test_escaped_text_is_read_back(text: str):
    assert interpolate.substitute(interpolate.escape(text), VARIABLES) == text


@pytest.mark.parametrize(
    ("line", "result"),
    [
        ("A=b", {"A": "b"}),
        ("A = b # comment", {"A": "b"}),
        ("A=b#c", {"A": "b#c"}),
        ("A=#c", {"A": ""}),
        ("export A=b", {"A": "b"}),
        ("A: b", {"A": "b"}),
        ("A=", {"A": ""}),
        ("A", {"A": None}),
        ("# A=b\n\n  \nB=c", {"B": "c"}),
        ("A='$x ${y} \\' \\n'", {"A": "$$x $${y} ' \\n"}),
        ('A="a\\nb\\t\\"\\$x\\q"', {"A": 'a\nb\t"$$x\\q'}),
        ('A="one\ntwo"\nB=3', {"A": "one\ntwo", "B": "3"}),
        ("A=pa$$w0rd$", {"A": "pa$$w0rd$$"}),
        ("A=x\nB=${A}y\nC=$B$B", {"A": "x", "B": "xy", "C": "xyxy"}),
        ("A=$OTHER\nB=${A}-${OTHER}", {"A": "$OTHER", "B": "${A}-${OTHER}"}),
        ("A\nB=$A.", {"A": None, "B": "."}),
        ("A='$x'\nB=$A", {"A": "$$x", "B": "$$x"}),
        ("\ufeffA=b\r\nB=c\r\n", {"A": "b", "B": "c"}),
    ],
)
def test_environment_file(line: str, result: dict):
    assert environment(line.encode()) == (result, [])


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"A=b\n=c", 2),
        (b"A='open", 1),
        (b'A="open\nB=c\n', 1),
        (b"A=b\n1A=b", 2),
        (b"A=${x", 1),
        (b"A=\xff", 1),
        (b"A=\0", 1),
        (b"A=" + b"x" * (1 << 18), 1),
        (b"A b", 1),
    ],
)
def test_bad_environment_file(data: bytes, line: int):
    assert environment(data) == (None, [("compose_env_file", f"lib/x.env:{line}:1")])


def environment(data: bytes) -> tuple[dict | None, list[tuple[str, str]]]:
    text = b"services: {s: {image: i, env_file: lib/x.env}}"
    model, findings = compose.load(text=text, file="c.yml", read={"lib/x.env": data}.get, trusted=False)
    found = [(finding.code, str(finding.position)) for finding in findings]
    return (model["services"]["s"]["environment"] if model else None), found


@pytest.mark.parametrize(
    "name",
    [
        "alpine",
        "python:3.13-slim",
        "flow-demo/base",
        "localhost:5000/a/b:c",
        "[::1]:5000/x",
        "ghcr.io/org/x:v1.2@sha256:" + "0a" * 32,
        "a__b/c.d-e--f:T_1.x",
        "Host/name",
        "app:${TAG:-dev}",
    ],
)
def test_names_of_images(name: str):
    text = f'services: {{s: {{image: "{name}"}}}}'.encode()
    model, findings = compose.load(text=text, file="c.yml", read=lambda _path: None, trusted=False)
    assert model is not None, findings
