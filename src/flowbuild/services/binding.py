"""What is filled in when a run starts: the values of variables and the names of environments."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from flowbuild.core.context import expression_context
from flowbuild.core.errors import InvalidRequest
from flowbuild.core.expr import ExpressionError
from flowbuild.core.model import Pipeline, Step
from flowbuild.core.project import ProjectSettings
from flowbuild.core.run import RunContext
from flowbuild.core.steering import guarded, refusals
from flowbuild.spec.interpolate import render
from flowbuild.workspace.variables import check

MAX_GROUP = 256  # characters of the name of a concurrency group

ENVIRONMENT_MAX = 128  # characters of a name


def check_given(pipeline: Pipeline, given: Collection[str], settings: ProjectSettings) -> None:
    """Raise InvalidRequest for variables that who starts or restarts a run of a project may not set."""
    if settings.any_variables or not guarded(pipeline):
        return
    if problems := refusals(pipeline, given):
        hint = (
            f"{pipeline.name} has secrets or environments, so it takes only what it declares under `variables` or `inputs`;"
            " maintainers may allow more: the setting any_variables of the project"
        )
        raise InvalidRequest("\n".join(problems), hint=hint)


def bind_variables(pipeline: Pipeline, context: RunContext, given: Mapping[str, str]) -> dict[str, str]:
    """Return the initial variables: those of the pipeline, then those given; raises InvalidRequest."""
    check(given)
    known = expression_context(context, variables={}, matrix={}, steps={})
    rendered = {}
    for name, text in pipeline.variables.items():
        try:
            rendered[name] = render(text, known)
        except ExpressionError as error:
            raise InvalidRequest(f"variable {name}: {error}") from error
    return {**rendered, **given}


def bind_environments(pipeline: Pipeline, context: RunContext, variables: Mapping[str, str]) -> Pipeline:
    """Return the pipeline with the `${{ … }}` of environment names filled in; raises InvalidRequest."""
    return replace(pipeline, steps=tuple(_bound(step, context, variables) for step in pipeline.steps))


def bind_group(pipeline: Pipeline, context: RunContext, variables: Mapping[str, str]) -> Pipeline:
    """Return the pipeline with the `${{ … }}` in the name of its concurrency group filled in; raises InvalidRequest."""
    group = pipeline.concurrency
    if group is None:
        return pipeline
    known = expression_context(context, variables=variables, matrix={}, steps={})
    try:
        name = render(group.group, known)
    except ExpressionError as error:
        raise InvalidRequest(f"concurrency group: {error}") from error
    if not name or len(name) > MAX_GROUP:
        raise InvalidRequest(
            f"the concurrency group {group.group!r} has no name, or one of over {MAX_GROUP} characters"
        )
    return replace(pipeline, concurrency=replace(group, group=name))


def _bound(step: Step, context: RunContext, variables: Mapping[str, str]) -> Step:
    if step.environment is None:
        return step
    known = expression_context(context, variables=variables, matrix=step.matrix, steps={})
    try:
        name = render(step.environment.name, known)
    except ExpressionError as error:
        raise InvalidRequest(f"{step.position}: environment of {step.key}: {error}") from error
    if not name or len(name) > ENVIRONMENT_MAX:
        words = "is empty" if not name else f"has more than {ENVIRONMENT_MAX} characters"
        raise InvalidRequest(f"{step.position}: the name of the environment of {step.key} {words}")
    return replace(step, environment=replace(step.environment, name=name))
