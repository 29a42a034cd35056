"""How questions are asked: which, what value, whether."""

from __future__ import annotations

from flowbuild.bot.facts import Choose, Confirm, Fill, HoldPlan, Question, RunPlan, StartPlan
from flowbuild.bot.messages import Block, Button, Choices, Message, Tone, line
from flowbuild.bot.replies import parts
from flowbuild.bot.words import brief
from flowbuild.core.model import InputType

MOST_OPTIONS = 20
_ANSWER = "Answer with a number, or `never mind`."
_VERBS = {"approve": "Approve", "reject": "Reject", "cancel": "Cancel", "retry": "Retry"}


def ask(question: Question, key: str) -> Message:
    """Return a question as a message."""
    match question:
        case Choose():
            return _choose(question)
        case Fill():
            return _fill(question)
        case Confirm(plan=plan):
            title, blocks = _plan(plan)
            buttons = (Button("Yes", f"yes {key}", danger=True, answer=True), Button("No", f"no {key}", answer=True))
            last = line("Answer ", parts.code("yes"), " or ", parts.code("no"), ".")
            return Message(title, Tone.WAITS, blocks=(*blocks, last), buttons=buttons)


def _choose(question: Choose) -> Message:
    more = [line(f"There are {question.more} more: type more of the name.")] if question.more else []
    items = [brief(option.label) for option in question.options]
    about = question.about[:1].upper() + question.about[1:]
    return Message(brief(about, 200), Tone.WAITS, blocks=(Choices(items), *more, line(_ANSWER)))


def _fill(question: Fill) -> Message:
    wanted, blocks = question.input, list[Block]()
    if question.problem:
        blocks.append(line(brief(question.problem, 300)))
    if wanted.description:
        blocks.append(line(brief(wanted.description, 300)))
    kinds = {InputType.NUMBER: "a number", InputType.BOOLEAN: "true or false", InputType.STRING: "text"}
    if wanted.type is InputType.CHOICE:
        blocks += [Choices([brief(each) for each in wanted.options[:MOST_OPTIONS]]), line(_ANSWER)]
    else:
        hint = "; what is also a command goes in quotes" if wanted.type is InputType.STRING else ""
        blocks.append(line(f"Type {kinds[wanted.type]}{hint}, or `never mind`."))
    title = f"What is {brief(wanted.name, 60)!r} to be, for {brief(question.action.pipeline)}?"
    return Message(title, Tone.WAITS, blocks=tuple(blocks))


def _plan(plan: StartPlan | RunPlan | HoldPlan) -> tuple[str, list[Block]]:
    match plan:
        case StartPlan():
            title = f"Start {brief(f'{plan.project}/{plan.pipeline}')} on {brief(plan.ref)}?"
            blocks: list[Block] = [line(f"It acts on {_names(plan.environments)}.")]
            if plan.inputs:
                blocks.append(line(f"Inputs: {parts.values(plan.inputs)}"))
            return title, blocks
        case RunPlan():
            return _run_plan(plan)
        case HoldPlan():
            name = brief(f"{plan.project}/{plan.pipeline}")
            if plan.hold:
                because = f" Reason: {brief(plan.reason, 500)}" if plan.reason else " No reason is given."
                return f"Hold {name}?", [line(f"Nothing of it begins until `unhold`; what runs goes on.{because}")]
            was = f" It was held because: {brief(plan.reason, 500)}" if plan.reason else ""
            return f"Let {name} begin again?", [line(f"Its schedules and webhooks start it from then on.{was}")]


def _run_plan(plan: RunPlan) -> tuple[str, list[Block]]:
    run = plan.run
    title = f"{_VERBS[plan.verb]} {parts.title(run)} ({parts.where(run) or 'no branch'})?"
    acts = f" on {_names(plan.environments)}" if plan.environments else ""
    steps = _names(plan.steps)
    said = {
        "approve": f"Step {steps} will act{acts}.",
        "reject": f"Step {steps} will fail and not act{acts}.",
        "cancel": f"It {parts.state(run)}; {steps} will be stopped." if plan.steps else f"It {parts.state(run)}.",
        "retry": f"A new run takes over what stands before {steps}, and goes on from there."
        if plan.steps
        else "A new run does all of it again.",
    }[plan.verb]
    blocks: list[Block] = [line(said)]
    if plan.verb == "retry" and plan.environments:
        blocks.append(line(f"It acts on {_names(plan.environments)}."))
    if plan.comment:
        blocks.append(line(f"Comment: {brief(plan.comment, 500)}"))
    return title, blocks


def _names(names: object) -> str:
    known = [brief(str(each), 60) for each in names] if isinstance(names, list | tuple) else []
    return (
        f"{', '.join(known[:9])} and {len(known) - 9} more"
        if len(known) > 9
        else " and ".join(part for part in (", ".join(known[:-1]), *known[-1:]) if part)
    )
