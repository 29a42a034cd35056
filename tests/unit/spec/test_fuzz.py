"""Whatever is done to a file: findings or pipelines, never an exception, never a long wait."""

from __future__ import annotations

import time

from hypothesis import given, settings
from hypothesis import strategies as st

from flowbuild.core.model import Pipeline
from flowbuild.spec import yamlpos
from flowbuild.spec.findings import has_errors
from flowbuild.spec.load import load_pipelines
from flowbuild.spec.source import MemoryRepository

SERVICE = "services:\n  a: {image: alpine, command: 'true'}\n"
SEEDS = [
    (
        "pipelines:\n  p:\n    on: {push: {branches: [main]}, schedule: [{cron: '0 3 * * *'}]}\n"
        '    inputs: {t: {type: choice, options: [a, b], default: a}}\n    variables: {V: "${{ inputs.t }}"}\n'
        "    steps:\n      a: {action: c.yml, success: [b, {step: c, if: \"branch == 'x'\"}], matrix: {py: [3.9, 3.10]}}\n"
        "      b: {compose: {services: {s: {image: alpine}}}, retry: {max: 1, on: [failed]}, timeout: 1h30m}\n"
        '      c: {action: c.yml, join: any, environment: {name: "${{ variables.V }}", approve: [m]}}\n'
    ),
    (
        "workflows:\n  - workflow:\n      name: w\n      jobs:\n        job: {name: a, action: c.yml, success: [b]}\n"
        "        job: &b\n          name: b\n          action: c.yml\n        job: {<<: *b, name: d}\n"
    ),
]
WORDS = [
    "", "~", "[", "]", "{", "}", ":", "- ", "? ", "\n", "\t", "  ", "'", '"', "&a ", "*a", "*b", "<<: ", "!!int ", "!x ",
    "|\n", ">-\n", "%", "---\n", "...\n", "#", "0x", "1e999", "-1", "true", "null", "${{", "}}", "${{ 1 }}", "$${{",
    "steps", "job", "success: [a]", "matrix: {n: [1, 2]}", "if: 'true'", "\u2028", "\x85", "é", "\U0001f600", "\0",
    "a" * 600, "[" * 40, "99999999999999999999", "../", "/", "compose: {}", "action: x", "name: ", "workflow: ", "if: x.y",
]  # fmt: skip
LIMIT = 5.0  # seconds of processor time: a file takes milliseconds, an explosion minutes


def load(text: bytes) -> None:
    before = time.process_time()
    result = load_pipelines(MemoryRepository({".flow.yml": text, "c.yml": SERVICE}))
    assert time.process_time() - before < LIMIT
    assert result.pipelines or has_errors(result.findings)
    assert all(isinstance(pipeline, Pipeline) for pipeline in result.pipelines.values())
    lines = text.count(b"\n") + text.count(b"\r") + text.count("\u2028".encode()) + text.count(b"\xc2\x85") + 2
    for finding in result.findings:
        assert finding.code
        assert finding.message
        assert 1 <= finding.position.line <= max(lines, SERVICE.count("\n") + 2)
        assert finding.position.column >= 1
        assert str(finding).replace("\n    hint: ", "", 1).isprintable()


EDIT = st.tuples(st.integers(0, 700), st.integers(0, 12), st.sampled_from(WORDS))


@given(st.sampled_from(SEEDS), st.lists(EDIT, min_size=1, max_size=5))
@settings(max_examples=200, deadline=None)
def test_mutated_files(seed: str, edits: list[tuple[int, int, str]]) -> None:
    text = seed
    for place, cut, word in edits:
        at = place % (len(text) + 1)
        text = text[:at] + word + text[at + cut :]
    load(text.encode())


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_bytes(text: bytes) -> None:
    load(text)


KEYS = [
    "on", "push", "branches", "inputs", "type", "default", "options", "variables", "steps", "action", "compose", "services",
    "success", "fail", "step", "if", "matrix", "include", "exclude", "retry", "max", "timeout", "environment", "name", "a",
    "workflow", "jobs", "job", "pipelines", "workflows", "image", "cache", "secrets", "notify", "to", "after", "merge",
    "build", "environment", "depends_on", "healthcheck", "volumes", "configs", "networks", "ports", "deploy", "file", "test",
]  # fmt: skip
TREES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.sampled_from(WORDS)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)


STEP = "{'pipelines': {'p': {'steps': {'a': %s}}}}"
COMPOSE = STEP % "{'compose': {'services': {'s': %%s}, '%s': {'x': %%s}}}"
FRAMES = ["%s", "{'pipelines': {'p': %s}}", "{'pipelines': {'p': {'steps': %s}}}", STEP, STEP % "{'compose': %s}",
          "{'workflows': [{'name': 'w', 'jobs': %s}]}", COMPOSE % "x-y" % ("%s", "~"),
          *(COMPOSE % section % ("{image: i}", "%s") for section in ("configs", "secrets", "networks", "volumes"))]  # fmt: skip


@given(TREES, st.sampled_from(FRAMES))
@settings(max_examples=300, deadline=None)
def test_any_shape(tree: object, frame: str) -> None:
    text = (frame % flow(tree)).replace("'", '"').encode()
    document, _ = yamlpos.load(text, "f.yml")
    assert document is None or isinstance(document.data, dict | list | str | int | float | type(None))
    load(text)


def flow(tree: object) -> str:
    """Write data as YAML in one line."""
    if isinstance(tree, dict):
        return "{" + ", ".join(f"{key}: {flow(value)}" for key, value in tree.items()) + "}"
    if isinstance(tree, list):
        return "[" + ", ".join(map(flow, tree)) + "]"
    if isinstance(tree, str):
        escaped = "".join(c if c.isalnum() else f"\\U{ord(c):08x}" for c in tree if not 0xD800 <= ord(c) < 0xE000)
        return f'"{escaped}"'
    if tree is None or isinstance(tree, bool):
        return {None: "~", True: "true", False: "false"}[tree]
    return str(tree)
