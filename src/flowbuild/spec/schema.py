"""The JSON Schema (draft 2020-12) of pipeline files, for editors; `python -m flowbuild.spec.schema` prints it.

Made from the models of `spec.format`, so it cannot say anything else. What a schema cannot say (names of steps, cycles,
conditions) only `flow validate` knows.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from flowbuild.spec.format import PipelineFile

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_EMPTY: tuple[Any, ...] = (None, [], {}, "", False)
_WORKFLOW = "The older form: a list of workflows with `name` and `jobs`; means the same as `pipelines`"


def pipeline_schema() -> dict[str, Any]:
    """Return the schema of a pipeline file: `pipelines` or `workflows`, and keys that begin with `x-`."""
    schema = _polished(PipelineFile.model_json_schema())
    properties = {**schema.pop("properties"), "workflows": _workflows()}
    del schema["required"]
    return {
        "$schema": DIALECT,
        **schema,
        "title": "Pipeline file of flow-build-server",
        "properties": properties,
        "patternProperties": {"^x-": {"description": "Free, for anchors"}},
        "additionalProperties": False,
        "anyOf": [{"required": ["pipelines"]}, {"required": ["workflows"]}],
    }


def render() -> str:
    """Return the text of `schema/pipeline.schema.json`."""
    return json.dumps(pipeline_schema(), indent=2, ensure_ascii=False) + "\n"


def _workflows() -> dict[str, Any]:
    """Return the schema of the older form; jobs that repeat the key `job` are checked by `flow validate` only."""
    workflow = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "jobs": {"type": ["object", "array"]}},
        "required": ["name", "jobs"],
    }
    wrapped = {"type": "object", "properties": {"workflow": workflow}, "required": ["workflow"]}
    return {"type": "array", "description": _WORKFLOW, "items": {"anyOf": [wrapped, workflow]}}


def _polished(schema: Any) -> Any:
    """Leave out titles and empty defaults, which editors would show instead of descriptions; refuse unknown names."""
    if isinstance(schema, list):
        return [_polished(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    polished = {
        key: _polished(value)
        for key, value in schema.items()
        if not (key == "title" and isinstance(value, str)) and not (key == "default" and value in _EMPTY)
    }
    if "patternProperties" in polished:
        polished.setdefault("additionalProperties", False)
    return polished


def main() -> None:
    """Print the schema."""
    sys.stdout.write(render())


if __name__ == "__main__":
    main()
