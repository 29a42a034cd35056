"""Lists: runs, pipelines, schedules, machines, the queue."""

from __future__ import annotations

from flowbuild.bot import seen
from flowbuild.bot.facts import NodeList, PipelineList, QueueShown, RunList, Timers
from flowbuild.bot.messages import Block, Message, Table, Text, Tone, line
from flowbuild.bot.replies import parts
from flowbuild.bot.words import brief
from flowbuild.core import human
from flowbuild.core.states import RunState

MOST_ROWS = 25
_RED = (RunState.FAILED, RunState.ERRORED)


def runs(fact: RunList, now: float) -> Message:
    """Runs, the newest first."""
    of = f" of {brief(fact.of)}" if fact.of else ""
    if not fact.runs:
        return Message(f"There is no such run{of}")
    rows = [
        (
            brief(parts.ref(run), 60),
            brief(run.pipeline, 40),
            parts.state(run),
            parts.where(run),
            parts.took(run, now),
            parts.ago(run.created_at, now),
        )
        for run in fact.runs[:MOST_ROWS]
    ]
    return Message(f"The latest runs{of}", blocks=(Table(("run", "pipeline", "state", "of", "took", "began"), rows),))


def pipelines(fact: PipelineList, now: float) -> Message:
    """Pipelines and how they are doing, or what they take."""
    whole = [(project, each) for project in fact.projects for each in project.pipelines]
    if not whole:
        troubles = _troubles(fact)
        hint = "Projects that are not public show themselves to those who linked themselves: `link CODE`."
        return Message("There are no pipelines that you may see", blocks=(*troubles, line(hint)))
    rows = [_doing(project, each, now) if fact.state else _taking(project, each) for project, each in whole[:MOST_ROWS]]
    head = ("pipeline", "latest", "of", "when") if fact.state else ("pipeline", "inputs", "")
    blocks: list[Block] = [Table(head, rows)]
    if len(whole) > MOST_ROWS:
        blocks.append(line(f"… and {len(whole) - MOST_ROWS} more."))
    blocks += _troubles(fact)
    red = [each for _, each in whole if each.runs and each.runs[0].state in _RED]
    words = f"{human.count(len(whole), 'pipeline')}, {len(red)} red" if red else human.count(len(whole), "pipeline")
    held = sum(each.hold is not None for _, each in whole)
    return Message(
        words + (f", {held} held" if held else ""), Tone.BAD if red and fact.state else Tone.PLAIN, blocks=tuple(blocks)
    )


def _troubles(fact: PipelineList) -> list[Text]:
    return [line(f"{brief(each.name)}: {brief(each.trouble, 300)}") for each in fact.projects if each.trouble][:3]


def _doing(project: seen.ProjectGlance, each: seen.PipelineGlance, now: float) -> tuple[str, ...]:
    name = brief(f"{project.name}/{each.name}", 80) + (" (held)" if each.hold is not None else "")
    if not each.runs:
        return name, "never ran", "", ""
    run = each.runs[0]
    return name, f"#{run.number} {parts.state(run)}", parts.where(run), parts.ago(run.created_at, now)


def _taking(project: seen.ProjectGlance, each: seen.PipelineGlance) -> tuple[str, ...]:
    inputs = [f"{one.name}{'' if one.default is None else '=' + parts.value_of(one.default)}" for one in each.inputs]
    held = f"held: {each.hold.reason or 'no reason given'} " if each.hold is not None else ""
    about = brief(held + each.description, 80)
    return brief(f"{project.name}/{each.name}", 80), brief(" ".join(inputs), 80), about


def timers(fact: Timers, now: float) -> Message:
    """Schedules."""
    del now
    of = brief(f"{fact.project}/{fact.pipeline}" if fact.pipeline else fact.project)
    if not fact.timers:
        return Message(f"Nothing of {of} begins by itself at set times")
    rows = [
        (brief(each.pipeline, 40), brief(each.words, 60), brief(each.branch, 40), _next(each))
        for each in fact.timers[:MOST_ROWS]
    ]
    blocks: list[Block] = [Table(("pipeline", "when", "branch", "next"), rows)]
    blocks += [line(f"{brief(each.pipeline, 40)}: {brief(each.error, 300)}") for each in fact.timers if each.error][:5]
    return Message(f"Schedules of {of}", blocks=tuple(blocks))


def _next(each: seen.Timer) -> str:
    if each.paused_at is not None:
        return "paused"
    return parts.moment(each.next[0]) if each.next else "never again"


def nodes(fact: NodeList, now: float) -> Message:
    """Machines."""
    if not fact.nodes:
        return Message("There is no machine that executes steps", Tone.BROKEN)
    silent = [each for each in fact.nodes if not each.heard]
    rows = [
        (
            brief(each.name, 40),
            brief(each.state, 40) if each.heard else f"silent, heard {parts.ago(each.seen_at, now) or 'never'}",
            f"{each.busy} of {each.capacity}",
            brief(each.closed, 80),
        )
        for each in fact.nodes[:MOST_ROWS]
    ]
    words = human.count(len(fact.nodes), "machine") + (f", {len(silent)} silent" if silent else "")
    tone = Tone.BROKEN if silent else Tone.PLAIN
    return Message(words, tone, blocks=(Table(("machine", "state", "busy", ""), rows),))


def queue(fact: QueueShown, now: float) -> Message:
    """What waits and what runs."""
    waits = [each for each in fact.works if each.state == "queued"]
    if not fact.works:
        return Message("Nothing runs, and nothing waits for a machine")
    rows = [
        (
            brief(f"{each.project}#{each.number}", 60),
            brief(each.pipeline, 40),
            brief(each.step, 40),
            "waits" if each.state == "queued" else f"on {brief(each.runner, 40)}",
            parts.duration(now - (each.started_at if each.started_at is not None else each.queued_at)),
        )
        for each in fact.works[:MOST_ROWS]
    ]
    title = f"{human.count(len(waits), 'step')} waiting, {len(fact.works) - len(waits)} running"
    return Message(title, blocks=(Table(("run", "pipeline", "step", "state", "for"), rows),))
