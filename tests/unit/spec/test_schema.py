"""The committed JSON Schema is the one of the models, and says of the examples what the models say."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from flowbuild.spec import schema, yamlpos
from flowbuild.spec.schema import DIALECT, pipeline_schema, render

COMMITTED = Path(__file__).parents[3] / "schema" / "pipeline.schema.json"
KINDS = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}
READ = {
    "$ref", "type", "anyOf", "enum", "properties", "patternProperties", "additionalProperties", "propertyNames",
    "required", "items", "pattern", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems",
    "minProperties", "maxProperties", "default", "description", "title", "$defs", "$schema",
}  # fmt: skip


def valid(root: dict, part: Any, value: Any) -> bool:
    """Validate by the part of draft 2020-12 that the schema uses; a keyword that is not read here fails the test."""
    if part is True:
        return True
    if part is False:
        return False
    assert set(part) <= READ, set(part) - READ
    if "$ref" in part:
        return valid(root, root["$defs"][part["$ref"].removeprefix("#/$defs/")], value)
    if "anyOf" in part and not any(valid(root, one, value) for one in part["anyOf"]):
        return False
    kinds = part.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(
        isinstance(value, KINDS[k]) and (k == "boolean" or not isinstance(value, bool)) for k in kinds
    ):
        return False
    if "enum" in part and value not in part["enum"]:
        return False
    sized = ("Length", str), ("Items", list), ("Properties", dict)
    for name, kind in sized:
        if isinstance(value, kind) and not part.get(f"min{name}", 0) <= len(value) <= part.get(f"max{name}", 1e9):
            return False
    if isinstance(value, str) and not re.search(part.get("pattern", ""), value):
        return False
    if isinstance(value, int | float) and not part.get("minimum", value) <= value <= part.get("maximum", value):
        return False
    if isinstance(value, list):
        return all(valid(root, part.get("items", True), item) for item in value)
    return not isinstance(value, dict) or _object(root, part, value)


def _object(root: dict, part: dict, value: dict) -> bool:
    if not set(part.get("required", [])) <= set(value):
        return False
    for key, item in value.items():
        below = [part["properties"][key]] if key in part.get("properties", {}) else []
        below += [one for pattern, one in part.get("patternProperties", {}).items() if re.search(pattern, key)]
        below = below or [part.get("additionalProperties", True)]
        if not valid(root, part.get("propertyNames", True), key) or not all(valid(root, one, item) for one in below):
            return False
    return True


def accepts(text: str) -> bool:
    document, findings = yamlpos.load(text.encode(), "f.yml", duplicates=lambda _path, key: key == "job")
    assert findings == []
    root = pipeline_schema()
    return valid(root, root, document.data)


def test_the_committed_schema_is_up_to_date() -> None:
    text = COMMITTED.read_text(encoding="utf-8")
    assert text == render(), "run: python -m flowbuild.spec.schema > schema/pipeline.schema.json"
    assert json.loads(text)["$schema"] == DIALECT


def test_every_key_of_a_step_and_a_pipeline_is_described() -> None:
    definitions = pipeline_schema()["$defs"]
    for name in ("StepSpec", "PipelineSpec", "Push", "Schedule", "EdgeSpec", "RetrySpec", "InputSpec"):
        assert definitions[name]["description"]
    for name in ("StepSpec", "PipelineSpec"):
        for key, part in definitions[name]["properties"].items():
            assert "description" in part or "$ref" in json.dumps(part), key


P = "pipelines: {p: {steps: {a: {action: c.yml%s}}%s}}"


@pytest.mark.parametrize(
    "text",
    [
        P % ("", ""),
        P % (", success: b, fail: [c, {step: d, if: 'true'}], retry: 2, environment: qa, timeout: 10m", ""),
        P % (", retry: {max: 1, on: failed}, matrix: {py: [3.9, x], include: [{py: 1}]}, secrets: [A]", ""),
        P % ("", ", on: push, timeout: 90, notify: me, inputs: {a: , b: {type: choice, options: [x, 1]}}"),
        P
        % ("", ", on: {push: , schedule: {cron: '0 3 * * *'}, webhook: x, after: [q, {pipeline: r}]}, concurrency: g"),
        "x-a: {b: 1}\nworkflows: [{workflow: {name: w, jobs: {job: {name: a}, job: {name: b}}}}]",
    ],
)
def test_what_the_schema_accepts(text: str) -> None:
    assert accepts(text)


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "pipelines: {}",
        "pipeline: {}",
        P % (", sucess: b", ""),
        P % (", join: some", ""),
        P % (", retry: 99x", ""),
        P % ("", ", on: {pusch: {}}"),
        P % ("", ", steps2: {}"),
        P % ("", ", variables: {A-B: x}"),
        "pipelines: {p: {steps: {}}}",
        "pipelines: {p: {steps: {'a b': {action: c.yml}}}}",
        "workflows: [{jobs: {}}]",
    ],
)
def test_what_the_schema_refuses(text: str) -> None:
    assert not accepts(text)


def test_the_module_prints_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(schema.__file__, run_name="__main__")
    assert capsys.readouterr().out == COMMITTED.read_text(encoding="utf-8")
