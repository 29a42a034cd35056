"""Values for the inputs of a pipeline: what people, webhooks and schedules give is text; what steps read is typed."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from flowbuild.core.errors import InvalidRequest
from flowbuild.core.model import Input, InputType, Pipeline
from flowbuild.spec.words import did_you_mean, shown

MAX_TEXT = 16_384  # characters of one value
Value = str | float | bool

_NUMBER = re.compile(r"[-+]?(?:[0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})(?:[eE][-+]?[0-9]{1,3})?")
_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


class InvalidInputs(InvalidRequest):
    """Values do not fit the inputs of a pipeline; `problems` says by input what is wrong."""

    def __init__(self, problems: Mapping[str, str], *, hint: str) -> None:
        super().__init__("\n".join(problems.values()), hint=hint)
        self.problems = problems


def bind_inputs(pipeline: Pipeline, given: Mapping[str, str]) -> dict[str, Value]:
    """Return the value of every input of the pipeline, in file order; raises InvalidInputs naming every problem."""
    known = {declared.name: declared for declared in pipeline.inputs}
    problems = {
        name: f"there is no input {shown(name)}; {did_you_mean(name, known) or 'the pipeline has none'}"
        for name in given
        if name not in known
    }
    values: dict[str, Value] = {}
    for name, declared in known.items():
        if name in given:
            value = _parse(declared, given[name])
            if value is None:
                problems[name] = _explain(declared, given[name])
            else:
                values[name] = value
        elif declared.default is not None:
            values[name] = declared.default
        else:
            problems[name] = f"the input {shown(name)} is required"
    if problems:
        raise InvalidInputs(problems, hint=f"inputs of {pipeline.name}: {_overview(pipeline)}")
    return values


def typed_default(kind: InputType, default: Any) -> Value | None:
    """Return the default as the format's type; text keeps how it was written."""
    if default is None:
        return None
    if kind is InputType.NUMBER:
        return _number(str(default))
    if kind is InputType.BOOLEAN:
        return bool(default)
    return str(default).lower() if isinstance(default, bool) else str(default)


def _parse(declared: Input, text: str) -> Value | None:
    """Return the typed value, None when the text is not one."""
    if len(text) > MAX_TEXT or "\0" in text:
        return None
    if declared.type is InputType.NUMBER:
        return _number(text.strip())
    if declared.type is InputType.BOOLEAN:
        return _BOOLEANS.get(text.strip().lower())
    if declared.type is InputType.CHOICE and text not in declared.options:
        return None
    return text


def _number(text: str) -> float | None:
    """Return an int where the text is one, otherwise a float; None when it is no (finite) number."""
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    if not math.isfinite(value):
        return None
    return int(text) if re.fullmatch(r"[-+]?[0-9]+", text) else value


def _explain(declared: Input, text: str) -> str:
    if len(text) > MAX_TEXT or "\0" in text:
        return f"the input {shown(declared.name)} takes up to {MAX_TEXT} characters, without NUL"
    if declared.type is InputType.CHOICE:
        hint = did_you_mean(text, declared.options)
        return f"the input {shown(declared.name)} cannot be {shown(text)}; {hint}".removesuffix("; ")
    wanted = "a number" if declared.type is InputType.NUMBER else "true or false"
    return f"the input {shown(declared.name)} takes {wanted}, not {shown(text)}"


def _overview(pipeline: Pipeline) -> str:
    return ", ".join(f"{declared.name} ({declared.type})" for declared in pipeline.inputs) or "none"
