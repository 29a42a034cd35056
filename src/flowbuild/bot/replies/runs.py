"""What is said of one run."""

from __future__ import annotations

from flowbuild.bot.facts import DiffShown, Explained, LogShown, RunShown, Started, Steered, Watched
from flowbuild.bot.messages import Block, Button, Message, Span, Table, Text, Tone, line
from flowbuild.bot.replies import parts
from flowbuild.bot.words import brief
from flowbuild.client.base import RunView, StepView
from flowbuild.core import human
from flowbuild.core.states import Outcome, RunState

MOST_STEPS, MOST_COMMITS = 15, 10
WRONG = (Outcome.FAILED, Outcome.ERRORED)


def started(fact: Started, now: float) -> Message:
    """A run began."""
    run = fact.run
    blocks: list[Block] = [line(f"On {parts.where(run)}.")] if parts.where(run) else []
    if run.inputs:
        blocks.append(line(f"Inputs: {parts.values(run.inputs)}"))
    if fact.of is not None:
        begin = f", from {', '.join(brief(step, 60) for step in fact.steps[:9])} on" if fact.steps else ""
        blocks.append(line(f"It does {parts.title(fact.of)} again{begin}."))
    buttons = (_watch(run), Button("Cancel", parts.command("cancel", parts.ref(run)), danger=True))
    del now
    return Message(f"{parts.title(run)} was started", Tone.BUSY, parts.page(run), tuple(blocks), buttons)


def shown(fact: RunShown, now: float) -> Message:
    """How a run is doing."""
    run = fact.run
    when = f"after {parts.took(run, now)}, {parts.ago(run.finished_at, now)}" if run.finished_at is not None else ""
    first = ", ".join(part for part in (parts.where(run), when or f"for {parts.took(run, now)}", _origin(run)) if part)
    rows = [(brief(step.key, 40), brief(parts.doing(step, now), 80)) for step in run.steps[:MOST_STEPS]]
    blocks: list[Block] = [line(first), Table(("step", "state"), rows)] if rows else [line(first)]
    if len(run.steps) > MOST_STEPS:
        blocks.append(line(f"… and {len(run.steps) - MOST_STEPS} more steps."))
    blocks += [line(f"{brief(key, 40)} waits: {brief(each.message, 300)}") for key, each in fact.waiting.items()]
    return Message(
        f"{parts.title(run)} {parts.state(run)}", parts.tone(run), parts.page(run), tuple(blocks), buttons(run)
    )


def ended(run: RunView, now: float) -> Message:
    """A run ended that somebody watched, or cannot go on without people."""
    blocks: list[Block] = [line(f"{parts.where(run)}, after {parts.took(run, now)}.")]
    blocks += [line(f"{brief(step.key, 60)} {parts.why(step)}") for step in _wrong(run)]
    return Message(
        f"{parts.title(run)} {parts.state(run)}", parts.tone(run), parts.page(run), tuple(blocks), buttons(run)
    )


def lost(title: str, ref: str, words: str) -> Message:
    """It is not known any more how a run that somebody watches is doing; what people and commands call it."""
    again = line("`watch` it again: ", parts.code(parts.command("watch", ref)))
    return Message(f"I cannot watch {title} any more", Tone.BROKEN, blocks=(line(brief(words, 300)), again))


def watched(fact: Watched, now: float) -> Message:
    """Somebody is told when it ends."""
    first = line(
        f"I tell you here when it has ended, or waits for an approval. It {parts.state(fact.run)}; it began {parts.took(fact.run, now)} ago."
    )
    return Message(f"Watching {parts.title(fact.run)}", Tone.BUSY, parts.page(fact.run), (first,))


def explained(fact: Explained, now: float) -> Message:
    """Why it went wrong."""
    run, blocks = fact.run, list[Block]()
    for cause in fact.causes:
        words = f"{cause.outcome}: {cause.words}" if cause.words else cause.outcome
        message = f" {brief(cause.message, 300)}" if cause.message else ""
        blocks.append(line(f"{brief(cause.key, 60)} {words}.{message}"))
        if cause.lines:
            blocks.append(line("the end of its log:" if cause.guessed else f"its log from line {cause.first}:"))
            blocks.append(parts.lines_of(cause.lines))
    more = len(_wrong(run)) - len(fact.causes)
    if more > 0:
        blocks.append(line(f"… and {human.count(more, 'step')} more went wrong."))
    blocks += _changed(fact, now)
    title = f"{parts.title(run)} {parts.state(run)}"
    next_ = tuple(button for button in buttons(run) if not button.command.startswith("why "))
    return Message(title, parts.tone(run), parts.page(run), tuple(blocks), next_)


def _changed(fact: Explained, now: float) -> list[Block]:
    """Say what changed since the last good run."""
    run, green = fact.run, fact.green
    if green is None:
        return [line("It never succeeded before on this branch.")]
    commits = "the same commit" if green.commit == run.commit else f"{green.commit[:7]}…{run.commit[:7]}"
    blocks: list[Block] = [
        line(f"Last green: #{green.number}, {parts.ago(green.created_at, now)}. Since then: {brief(commits)}.")
    ]
    blocks += [
        line(parts.code(brief(each.commit[:7])), f" {brief(each.author, 40)}: {brief(each.subject, 100)}")
        for each in fact.commits[:MOST_COMMITS]
    ]
    if len(fact.commits) > MOST_COMMITS:
        blocks.append(line("… and earlier ones."))
    for other in fact.between[:5]:
        about = brief(str(other.cause.get("title") or ""), 100)
        who = f" by {brief(other.actor, 40)}" if other.actor else ""
        blocks.append(line(f"#{other.number} {parts.where(other)} {parts.state(other)}{who} {about}".rstrip()))
    if fact.problem:
        blocks.append(line(f"What else differs is not known: {brief(fact.problem, 200)}"))
    differs = fact.differs
    if differs is None:
        return blocks
    said = [f"{brief(each.name, 40)}: {_value(each.before)} → {_value(each.after)}" for each in differs.inputs[:9]]
    blocks += [line(f"Inputs that differ: {'; '.join(said)}")] if said else []
    redefined = [brief(each.key, 40) for each in differs.steps if each.redefined]
    blocks += [line(f"Steps defined anew: {', '.join(redefined[:9])}")] if redefined else []
    names = [brief(each.name, 40) for each in differs.variables]
    blocks += [line(f"Variables that differ: {', '.join(names[:9])}")] if names else []
    count = sum(differs.changes.values())
    if count:
        place = Span("which ones", url=f"{parts.page(green)}/compare/{run.number}") if parts.page(green) else ""
        blocks.append(line(f"{human.count(count, 'file')} of the workspace differ ", place))
    return blocks


def _value(value: object) -> str:
    return "none" if value is None else brief(parts.value_of(value), 60)


def log(fact: LogShown, now: float) -> Message:
    """The end of a log."""
    del now
    title = f"Log of {brief(fact.step, 60)} in {parts.title(fact.run)}"
    if not fact.lines:
        text = "It is empty." if fact.ended else "It is empty so far."
        return Message(title, url=parts.page(fact.run), blocks=(line(text),))
    block = parts.lines_of(fact.lines)
    shown = f"{'The' if len(block.lines) >= fact.total else 'The last'} {human.count(len(block.lines), 'line')}"
    total = f" of {fact.total}" if len(block.lines) < fact.total else ""
    first = line(f"{shown}{total}{'.' if fact.ended else '; it goes on.'}")
    return Message(title, url=parts.page(fact.run), blocks=(first, block))


def diff(fact: DiffShown, now: float) -> Message:
    """What a step changed."""
    del now
    title = f"{brief(fact.step, 60)} in {parts.title(fact.run)} changed "
    count = (
        human.count(len(fact.files), "file") if not fact.more else f"more than {human.count(len(fact.files), 'file')}"
    )
    blocks: list[Block] = []
    if fact.files:
        rows = [
            (brief(each.status, 8), brief(each.name, 80), _sizes(each.size_before, each.size_after))
            for each in fact.files
        ]
        blocks.append(Table(("", "file", "size"), rows))
    said = [f"{brief(each.name, 40)}: {_value(each.before)} → {_value(each.after)}" for each in fact.variables[:9]]
    blocks += [line(each) for each in said]
    if fact.patch:
        blocks.append(parts.lines_of(fact.patch, "diff"))
    if fact.cut:
        blocks.append(line("There is more; the page of the run shows it."))
    nothing = not fact.files and not fact.variables
    return Message(title + ("nothing" if nothing else count), url=parts.page(fact.run), blocks=tuple(blocks))


def _sizes(before: int | None, after: int | None) -> str:
    return " → ".join(human.size(each) for each in (before, after) if each is not None)


def steered(fact: Steered, now: float) -> Message:
    """Something was done to a run."""
    del now
    run = fact.run
    if fact.verb == "cancelled":
        tone, title = Tone.PLAIN, f"{parts.title(run)} {parts.state(run)}"
        return Message(title, tone, parts.page(run), (), (_watch(run),) if run.finished_at is None else ())
    said = "may go on" if fact.verb == "approved" else "was rejected"
    blocks: tuple[Text, ...] = (line(f"Comment: {brief(fact.comment, 500)}"),) if fact.comment else ()
    tone = Tone.BUSY if fact.verb == "approved" else Tone.BAD
    return Message(
        f"{brief(fact.step, 60)} of {parts.title(run)} {said}", tone, parts.page(run), blocks, (_watch(run),)
    )


def buttons(run: RunView) -> tuple[Button, ...]:
    """Return what one may want to do next with a run."""
    name = parts.ref(run)
    if run.state in (RunState.RUNNING, RunState.CANCELLING):
        waits = [step.key for step in run.steps if step.approve][:2]
        found = [Button(f"Approve {brief(key, 30)}", parts.command("approve", name, key), danger=True) for key in waits]
        found += [Button(f"Reject {brief(key, 30)}", parts.command("reject", name, key), danger=True) for key in waits]
        return (*found, _watch(run), Button("Cancel", parts.command("cancel", name), danger=True))
    wrong = _wrong(run)
    if wrong:
        first = wrong[0].key
        return (
            Button("Why?", parts.command("why", name)),
            Button(f"Retry from {brief(first, 30)}", parts.command("retry", name, "from", first), danger=True),
            Button("Log", parts.command("log", name, first)),
        )
    return ()


def _watch(run: RunView) -> Button:
    return Button("Watch", parts.command("watch", parts.ref(run)))


def _wrong(run: RunView) -> list[StepView]:
    return [step for step in run.steps if step.outcome in WRONG and not step.allow_failure]


def _origin(run: RunView) -> str:
    again = f"again from #{run.rerun_of}" if run.rerun_of is not None else ""
    return ", ".join(part for part in (f"by {brief(run.actor, 60)}" if run.actor else "", again) if part)
