"""Looking at runs, pipelines, logs, machines."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from flowbuild.bot import actions, seen
from flowbuild.bot.acting import finding
from flowbuild.bot.acting.errands import Errand, path
from flowbuild.bot.facts import (
    LogShown,
    NodeList,
    PipelineList,
    QueueShown,
    RunList,
    RunShown,
    Timers,
    Watched,
)
from flowbuild.bot.words import Refused
from flowbuild.client.base import RunView
from flowbuild.core.states import RunState, StepState

WAITING = (StepState.WAITING, StepState.QUEUED)
_GOING = (RunState.RUNNING, RunState.CANCELLING)
MOST_WAITING = 5  # steps that are asked what they wait for


async def status(action: actions.Status, errand: Errand) -> RunShown | PipelineList | RunList:
    """Say how a run, a pipeline, a project or everything is doing."""
    if finding.is_run(action.what):
        return await show(actions.Show(action.what), errand)
    known = await finding.projects(errand)
    if not action.what:
        return PipelineList([each for each in known if each.name == errand.place.project] or known, state=True)
    named = [each for each in known if each.name == action.what]
    if named:
        return PipelineList(named, state=True)
    one, glance = finding.chosen(known, errand.place.project, action.what, actions.Status)
    if not glance.runs:
        return PipelineList([replace(one, pipelines=[glance])], state=True)
    return await shown(errand, await _whole(errand, glance.runs[0]))


async def show(action: actions.Show, errand: Errand) -> RunShown:
    """Say how far a run is."""
    return await shown(errand, await finding.run(errand, action.run, actions.Show))


async def shown(errand: Errand, view: RunView) -> RunShown:
    """Return a run with what its steps wait for."""
    waits = [step.key for step in view.steps if step.state in WAITING] if view.state in _GOING else []
    answers = await asyncio.gather(
        *(errand.client.ask("GET", path("runs", view.id, "steps", key, "waiting")) for key in waits[:MOST_WAITING])
    )
    return RunShown(view, {key: seen.read(seen.waiting, each) for key, each in zip(waits, answers, strict=False)})


async def runs(action: actions.Runs, errand: Errand) -> RunList:
    """List runs."""
    query, of = {"limit": str(action.limit)}, ""
    if action.what:
        known = await finding.projects(errand)
        if action.what in [each.name for each in known]:
            query, of = query | {"project": action.what}, action.what
        else:
            place = errand.place.project
            one, glance = finding.chosen(known, place, action.what, lambda name: replace(action, what=name))
            query, of = query | {"project": one.name, "pipeline": glance.name}, f"{one.name}/{glance.name}"
    elif errand.place.project:
        query |= {"project": errand.place.project}
    wanted = {"branch": action.branch, "state": action.state}
    query |= {name: value for name, value in wanted.items() if value}
    return RunList(seen.runs(await errand.client.ask("GET", "runs", **query)), of)


async def last(action: actions.Last, errand: Errand) -> RunShown:
    """Show the latest run."""
    again = actions.Runs(action.pipeline, action.branch, limit=1)
    if action.pipeline:
        one, glance = await finding.pipeline(errand, action.pipeline, lambda name: replace(action, pipeline=name))
        again = replace(again, what=f"{one.name}/{glance.name}")
    found = await runs(again, errand)
    if not found.runs:
        raise Refused("there is no such run", hint="`pipelines` says what there is to run, `runs` lists what was run")
    return await shown(errand, await _whole(errand, found.runs[0]))


async def _whole(errand: Errand, view: RunView) -> RunView:
    return seen.run(await errand.client.ask("GET", path("runs", view.id)))


async def pipelines(action: actions.Pipelines, errand: Errand) -> PipelineList:
    """List pipelines."""
    known = await finding.projects(errand)
    if not action.project:
        return PipelineList(known)
    wanted = await finding.project(errand, action.project, actions.Pipelines)
    return PipelineList([each for each in known if each.name == wanted])


async def watch(action: actions.Watch, errand: Errand) -> Watched | RunShown:
    """Find the run that is to be watched; one that has ended is shown instead."""
    view = await finding.run(errand, action.run, actions.Watch)
    return Watched(view) if view.state in _GOING else RunShown(view)


async def log(action: actions.Log, errand: Errand) -> LogShown:
    """Return the end of a log."""
    view = await finding.run(errand, action.run, lambda run: replace(action, run=run))
    step = finding.step(view, action.step, lambda key: replace(action, run=view.id, step=key))
    if not step.attempts:
        reused = f"it was taken over from run {view.rerun_of}" if step.reused else f"it is {step.outcome or step.state}"
        raise Refused(f"step {step.key} of run {view.number} has no log: {reused}", hint=f"`status {view.number}`")
    page = await log_page(errand, view.id, step.key, line=1, limit=1)
    begin = max(1, page.lines - action.lines + 1)
    if page.lines:
        page = await log_page(errand, view.id, step.key, line=begin, limit=action.lines + 1)
    return LogShown(view, step.key, page.text()[-action.lines :], max(page.lines, 0), page.ended)


async def log_page(errand: Errand, run: str, step: str, **query: Any) -> seen.LogPage:
    """Return some lines of a log."""
    wanted = {name: str(value) for name, value in query.items()}
    return seen.read(seen.log_page, await errand.client.ask("GET", path("runs", run, "steps", step, "logs"), **wanted))


async def schedule(action: actions.Schedule, errand: Errand) -> Timers:
    """List schedules of a project, or of a pipeline of it."""
    known, only = await finding.projects(errand), ""
    names = [each.name for each in known]
    if action.what and not finding.fitting(action.what, names):
        place = errand.place.project
        one, glance = finding.chosen(known, place, action.what, actions.Schedule)
        project, only = one.name, glance.name
    else:
        project = await finding.project(errand, action.what, actions.Schedule)
    found = seen.read(seen.timers, await errand.client.ask("GET", path("projects", project, "schedules")))
    return Timers(project, [each for each in found if only in ("", each.pipeline)], only)


async def nodes(_action: actions.Nodes, errand: Errand) -> NodeList:
    """List machines."""
    found = seen.read(seen.nodes, await errand.client.ask("GET", "runners"))
    return NodeList(found)


async def queue(_action: actions.Queue, errand: Errand) -> QueueShown:
    """List what waits and what runs."""
    found = seen.read(seen.works, await errand.client.ask("GET", "queue", limit="50"))
    return QueueShown(found)
