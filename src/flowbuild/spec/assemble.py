"""From checked parts to `core.model` values; nothing can go wrong any more here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flowbuild.core.ids import StepKey
from flowbuild.core.model import (
    Cache,
    Concurrency,
    Environment,
    Input,
    InputType,
    Join,
    MergePolicy,
    MergeRule,
    Pipeline,
    Retry,
    Step,
)
from flowbuild.spec import interpolate
from flowbuild.spec.definitions import Definition
from flowbuild.spec.format import CacheSpec, PipelineHeader, StepSpec
from flowbuild.spec.inputs import typed_default
from flowbuild.spec.matrix import Values
from flowbuild.spec.steps import Steps, edges
from flowbuild.spec.written import Written


def assemble(written: Written, header: PipelineHeader, steps: Steps, definitions: Mapping[str, Definition]) -> Pipeline:
    """Return the pipeline; every step of `steps` is right and has a definition."""
    expanded = []
    for name, spec in steps.right().items():
        step = _step(written, name, spec, definitions[name])
        expanded += [_variant(step, key, values) for key, values in steps.variants[name].items()]
    return Pipeline(
        name=written.name,
        position=written.position,
        steps=tuple(expanded),
        edges=tuple(edges(steps)),
        inputs=tuple(_inputs(header)),
        variables=dict(header.variables),
        triggers=_triggers(header),
        concurrency=Concurrency(**header.concurrency.model_dump()) if header.concurrency else None,
        timeout=header.timeout,
        checkout=header.checkout,
        merge=_rules(header.merge),
        merge_variables=_rules(header.merge_variables),
        notify=tuple(notify.model_dump() for notify in header.notify),
        description=header.description,
        priority=header.priority,
    )


def definition_hash(step: Step) -> str:
    """Return the SHA-256 (hexadecimal) of what decides the behaviour of a step: definition, matrix values, secrets.

    What only decides whether and when it runs (edges, conditions, retries, timeout, environment) is left out. Of a
    definition with `${{ … }}` this is the hash of the text as written; render `compose` first for the one that ran.
    """
    decides = {
        "compose": step.compose,
        "main": step.main,
        "matrix": step.matrix,
        "secrets": sorted(step.secrets),
        "background": step.background,
    }
    text = json.dumps(decides, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=dict)
    return hashlib.sha256(text.encode()).hexdigest()


def _step(written: Written, name: str, spec: StepSpec, definition: Definition) -> Step:
    """Return a step as it is without a matrix."""
    environment = spec.environment
    return Step(
        key=StepKey(name),
        name=name,
        position=written.place(("steps", name), key=True),
        action=spec.action,
        compose=definition.model,
        main=definition.main,
        join=Join(spec.join),
        condition=spec.condition,
        retry=Retry(spec.retry.max, frozenset(spec.retry.on), spec.retry.delay) if spec.retry else Retry(),
        timeout=spec.timeout,
        allow_failure=spec.allow_failure,
        background=spec.background,
        secrets=tuple(spec.secrets),
        environment=Environment(environment.name, tuple(environment.approve)) if environment else None,
        cache=_cache(spec.cache) if spec.cache else None,
    )


def _cache(spec: CacheSpec) -> Cache:
    inputs, variables = spec.inputs, spec.variables
    return Cache(None if inputs is None else tuple(inputs), None if variables is None else tuple(variables))


def _variant(step: Step, key: StepKey, values: Values) -> Step:
    """Return the step for one combination of its matrix; without a matrix the step itself, with its hash."""
    if values:
        step = replace(step, key=key, compose=interpolate.fill_matrix(step.compose, values), matrix=dict(values))
    return replace(step, definition_hash=definition_hash(step))


def _inputs(header: PipelineHeader) -> list[Input]:
    result = []
    for name, spec in header.inputs.items():
        kind = InputType(spec.type)
        default = typed_default(kind, spec.default)
        result.append(Input(name, kind, tuple(spec.options), default, spec.description))
    return result


def _triggers(header: PipelineHeader) -> dict[str, Any]:
    """Return the triggers that are written, complete with defaults."""
    if header.on is None:
        return {}
    dumped = header.on.model_dump()
    return {key: dumped[key] for key in dumped if key in header.on.model_fields_set and dumped[key] not in (None, [])}


def _rules(rules: Mapping[str, str]) -> tuple[MergeRule, ...]:
    return tuple(MergeRule(pattern, MergePolicy(policy)) for pattern, policy in rules.items())
