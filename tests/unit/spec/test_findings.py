"""How findings are written down."""

from __future__ import annotations

from flowbuild.core.model import Position
from flowbuild.spec.findings import Finding
from flowbuild.spec.load import load_pipelines
from flowbuild.spec.source import MemoryRepository


def test_nothing_in_a_finding_acts_on_a_terminal():
    evil = "\x1b]0;title\x07\r\n\u202e\x9b2J"
    text = str(Finding("code", Position(f".flow/{evil}.yml", 1, 2), f"no {evil}", f"try {evil}"))
    assert text.count("\n") == 1
    assert text.replace("\n", "").isprintable()
    assert text.startswith(".flow/\ufffd]0;title\ufffd")


def test_keys_of_a_file_may_hold_escapes():
    text = '{pipelines: {"p": {steps: {a: {"comp\\e[2Jose": 1, compose: {services: {s: {image: x, "\\e[2J": 1}}}}}}}}'
    findings = load_pipelines(MemoryRepository({".flow.yml": text})).findings
    assert len(findings) == 2
    assert all("[2J" in finding.message for finding in findings)
    assert not any("\x1b" in str(finding) for finding in findings)
