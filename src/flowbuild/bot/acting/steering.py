"""Approving, refusing, ending, holding. All of it says first what it will do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flowbuild.bot import seen
from flowbuild.bot.acting import finding
from flowbuild.bot.acting.errands import Asking, Errand, path
from flowbuild.bot.actions import Approve, Cancel, Hold, Reject, Unhold
from flowbuild.bot.facts import Confirm, Holding, HoldPlan, RunPlan, Steered
from flowbuild.bot.words import Refused
from flowbuild.client.base import RunView
from flowbuild.core.human import doing
from flowbuild.core.states import RunState


async def judge(action: Approve | Reject, errand: Errand) -> Steered:
    """Let a waiting step through, or refuse it."""
    view = await finding.run(errand, action.run, lambda run: replace(action, run=run))
    action = _with_step(replace(action, run=view.id), view)
    step = finding.step(view, action.step, lambda key: replace(action, step=key))
    verb = "approve" if isinstance(action, Approve) else "reject"
    if not step.approve:
        state = f"it is {step.outcome or step.state}"
        raise Refused(f"step {step.key} of run {view.number} waits for nobody: {state}", hint=_possible(view))
    if not action.sure:
        plan = RunPlan(verb, view, (step.key,), (step.environment,) if step.environment else (), action.words)
        raise Asking(Confirm(replace(action, sure=True), plan))
    place = path("runs", view.id, "steps", step.key, verb)
    after = seen.run(await errand.client.ask("POST", place, {"comment": action.words}))
    return Steered(f"{verb.removesuffix('e')}ed", after, step.key, action.words)


def _with_step(action: Any, view: RunView) -> Any:
    """Return the action with its step: named by its first word, else the only one that waits, else the one that is chosen."""
    if action.step:
        return action
    first, _, rest = action.words.partition(" ")
    if first and any(first == step.key for step in view.steps):
        return replace(action, step=first, words=rest.strip())
    waits = [step.key for step in view.steps if step.approve]
    if not waits:
        raise Refused(
            f"nothing of run {view.number} waits for an approval: it {doing(view.state)}", hint=_possible(view)
        )
    if len(waits) > 1:
        raise finding.choose("which step?", waits, lambda key: replace(action, step=key))
    return replace(action, step=waits[0])


def _possible(view: RunView) -> str:
    waits = [step.key for step in view.steps if step.approve]
    if waits:
        return f"{', '.join(waits[: finding.MOST])} can be approved or rejected"
    return f"`status {view.number}` says how far it is" if view.finished_at is None else "`runs` lists others"


async def cancel(action: Cancel, errand: Errand) -> Steered:
    """End a run."""
    view = await finding.run(errand, action.run, lambda run: replace(action, run=run))
    if view.state not in (RunState.RUNNING, RunState.CANCELLING):
        hint = (
            f"`retry {view.number}` starts it again" if view.state is not RunState.SUCCEEDED else "`runs` lists others"
        )
        raise Refused(f"run {view.number} has ended: it {doing(view.state)}", hint=hint)
    if not action.sure:
        running = tuple(step.key for step in view.steps if step.started_at is not None and step.outcome is None)
        raise Asking(Confirm(Cancel(view.id, sure=True), RunPlan("cancel", view, running)))
    after = await errand.client.ask("POST", path("runs", view.id, "cancel"), {"force": False})
    return Steered("cancelled", seen.run(after))


async def hold(action: Hold, errand: Errand) -> Holding:
    """Let nothing of a pipeline begin."""
    one, glance = await finding.pipeline(errand, action.pipeline, lambda name: replace(action, pipeline=name))
    if not action.sure:
        sure = replace(action, pipeline=f"{one.name}/{glance.name}", sure=True)
        raise Asking(Confirm(sure, HoldPlan(one.name, glance.name, True, action.reason)))
    place = path("projects", one.name, "pipelines", glance.name, "hold")
    await errand.client.ask("PUT", place, {"reason": action.reason})
    return Holding(one.name, glance.name, True, action.reason)


async def unhold(action: Unhold, errand: Errand) -> Holding:
    """Let its runs begin again."""
    one, glance = await finding.pipeline(errand, action.pipeline, lambda name: replace(action, pipeline=name))
    if not action.sure:
        sure = Unhold(f"{one.name}/{glance.name}", sure=True)
        reason = glance.hold.reason if glance.hold is not None else ""
        raise Asking(Confirm(sure, HoldPlan(one.name, glance.name, False, reason)))
    await errand.client.ask("DELETE", path("projects", one.name, "pipelines", glance.name, "hold"))
    return Holding(one.name, glance.name, False)
