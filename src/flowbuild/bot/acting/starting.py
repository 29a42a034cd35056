"""Starting pipelines, and runs again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from flowbuild.bot import seen
from flowbuild.bot.acting import finding
from flowbuild.bot.acting.errands import Asking, Errand, path
from flowbuild.bot.actions import Retry, Start
from flowbuild.bot.facts import Confirm, Fill, RunPlan, Started, StartPlan
from flowbuild.bot.words import Refused
from flowbuild.client.base import RunView
from flowbuild.core.model import Input, Pipeline, Position
from flowbuild.core.states import Outcome, RunState
from flowbuild.spec.inputs import InvalidInputs, bind_inputs

WRONG = (Outcome.FAILED, Outcome.ERRORED, Outcome.CANCELLED)
_INPUT = re.compile(r"\$\{\{\s*inputs\.([A-Za-z0-9_-]+)\s*\}\}")


async def start(action: Start, errand: Errand) -> Started:
    """Start a pipeline, when all its inputs are known and it was said what it acts on."""
    one, glance = await finding.pipeline(errand, action.pipeline, lambda name: replace(action, pipeline=name))
    action = replace(action, pipeline=f"{one.name}/{glance.name}")
    ref = await finding.ref(errand, one.name, action.ref, lambda name: replace(action, ref=name))
    action = replace(action, ref=ref)
    place = path("projects", one.name, "pipelines", glance.name)
    found = seen.read(seen.pipeline, await errand.client.ask("GET", place, **({"ref": ref} if ref else {})))
    values = _values(action, found)
    environments = _environments(found, values)
    if environments and not action.sure:
        plan = StartPlan(one.name, found.name, ref or one.branch, values, environments)
        raise Asking(Confirm(replace(action, sure=True), plan))
    body = {"ref": ref, "inputs": dict(action.inputs)}
    return Started(seen.run(await errand.client.ask("POST", f"{place}/runs", body)))


def _values(action: Start, found: seen.Pipeline) -> Mapping[str, object]:
    """Return the value of every input, checked as the server does; asks for the first one that is missing or wrong."""
    known = {declared.name: declared for declared in found.inputs}
    try:
        return bind_inputs(_declaring(found), action.inputs)
    except InvalidInputs as error:
        strange = [name for name in action.inputs if name not in known]
        if strange:
            raise Refused(error.problems[strange[0]], hint=error.hint) from error
        name = next(name for name in known if name in error.problems)
        kept = {given: value for given, value in action.inputs.items() if given != name}
        wrong = error.problems[name] if name in action.inputs else ""
        raise Asking(Fill(replace(action, inputs=kept), known[name], wrong)) from error


def _declaring(found: seen.Pipeline) -> Pipeline:
    """Return a pipeline that has nothing but these inputs."""
    inputs: tuple[Input, ...] = tuple(found.inputs)
    return Pipeline(found.name, Position("", 0, 0), steps=(), edges=(), inputs=inputs)


def _environments(found: seen.Pipeline, values: Mapping[str, object]) -> list[str]:
    """Return what the pipeline acts on; what depends on more than inputs is left as it is in the file."""
    named = [
        _INPUT.sub(lambda match: str(values.get(match[1], match[0])), step.environment)
        for step in found.steps
        if step.environment
    ]
    return list(dict.fromkeys(named))


async def retry(action: Retry, errand: Errand) -> Started:
    """Start a run again. What will run is said first."""
    view = await finding.run(errand, action.run, lambda run: replace(action, run=run))
    action = replace(action, run=view.id)
    steps = []
    for number, text in enumerate(action.steps):
        before, after = action.steps[:number], action.steps[number + 1 :]
        steps.append(finding.step(view, text, lambda key: replace(action, steps=(*before, key, *after))).key)  # noqa: B023
    failed = not action.everything and not steps and view.state is not RunState.SUCCEEDED
    if failed and view.state in (RunState.RUNNING, RunState.CANCELLING):
        hint = f"`cancel {view.number}` ends it, `retry {view.number} from STEP` starts another one besides"
        raise Refused(f"run {view.number} has not ended yet", hint=hint)
    wrong = [step.key for step in view.steps if step.outcome in WRONG and not step.allow_failure] if failed else steps
    if failed and not wrong:
        raise Refused(
            f"no step of run {view.number} went wrong", hint=f"`retry {view.number} all` runs all of it again"
        )
    if not action.sure:
        plan = RunPlan("retry", view, wrong, _acted_on(view, wrong))
        raise Asking(Confirm(replace(action, steps=tuple(steps), sure=True), plan))
    body = {"from_steps": steps, "failed": failed}
    new = seen.run(await errand.client.ask("POST", path("runs", view.id, "rerun"), body))
    return Started(new, of=view, steps=wrong)


def _acted_on(view: RunView, begin: list[str]) -> list[str]:
    """Return the environments of the steps that will run again: those named and what follows; none named: all."""
    again = set(begin) or {step.key for step in view.steps}
    while more := {edge.target for edge in view.edges if edge.source in again} - again:
        again |= more
    return list(dict.fromkeys(step.environment for step in view.steps if step.key in again and step.environment))
