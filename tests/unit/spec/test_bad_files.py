"""Every way to write a pipeline file wrongly: which finding is made, and which place it names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flowbuild.spec.load import load_pipelines
from flowbuild.spec.source import MemoryRepository

MARK = "§"
SERVICE = "services:\n  a: {image: alpine, command: 'true'}\n"
FILES = {
    "c.yml": SERVICE,
    "ci/build-compose.yml": SERVICE,
    "db.yml": "services:\n  tests: {image: alpine, depends_on: [db]}\n  db: {image: alpine}\n",
}
WRAP = {
    "file": ("", ""),
    "pipeline": ("pipelines:\n  p:\n", " " * 4),
    "steps": ("pipelines:\n  p:\n    steps:\n", " " * 6),
}


def cases() -> list:
    text = (Path(__file__).parent / "cases" / "bad.txt").read_text(encoding="utf-8")
    found = []
    for block in text.split("\n=== ")[1:]:
        head, _, body = block.partition("\n")
        where, codes, title = re.fullmatch(r"(\w+) ([\w,]+): (.+)", head).groups()
        hints = re.findall(r"^hint: (.*)\n", body, re.MULTILINE)
        body = re.sub(r"^hint: .*\n", "", body, flags=re.MULTILINE).removesuffix("\n")
        start, indent = WRAP[where]
        text = start + "".join(f"{indent}{line}\n" for line in body.split("\n"))
        found.append(pytest.param(codes.split(","), hints, text, id=title))
    return found


def unmark(text: str) -> tuple[str, list[tuple[int, int]]]:
    """Return the text without marks, and the line and column of each."""
    places = []
    while MARK in text:
        before, _, after = text.partition(MARK)
        places.append((before.count("\n") + 1, len(before) - before.rfind("\n")))
        text = before + after
    return text, places


@pytest.mark.parametrize(("codes", "hints", "marked"), cases())
def test_each_mistake_is_named_at_its_place(codes: list[str], hints: list[str], marked: str) -> None:
    text, places = unmark(marked)
    result = load_pipelines(MemoryRepository({**FILES, ".flow.yml": text}))
    found = sorted(result.findings, key=lambda f: (f.position.line, f.position.column))
    assert [(f.code, f.position.line, f.position.column) for f in found] == [
        (code, *place) for code, place in zip(codes, places, strict=True)
    ], "\n".join(map(str, found))
    for hint in hints:
        assert any(hint in finding.hint for finding in found), [finding.hint for finding in found]
    assert all(finding.message for finding in found)


def test_the_same_files_without_their_mistake_are_fine() -> None:
    """The negative control: what surrounds the mistakes makes no finding."""
    for where, text in (("pipeline", "steps: {a: {action: c.yml}}"), ("steps", "a: {action: db.yml, main: tests}")):
        start, indent = WRAP[where]
        result = load_pipelines(MemoryRepository({**FILES, ".flow.yml": f"{start}{indent}{text}\n"}))
        assert result.findings == []
        assert list(result.pipelines) == ["p"]
