"""Messages that nobody asked for: what is new of a run. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from flowbuild.bot.messages import Block, Button, Message, Table, Tone, line
from flowbuild.bot.replies import parts
from flowbuild.bot.words import brief
from flowbuild.core.notifying import News, NewsKind, StepNews

MOST_STEPS, MOST_LINES, MOST_ROWS = 3, 20, 25
_SAID = {
    NewsKind.STARTED: ("is running", Tone.BUSY),
    NewsKind.FINISHED: ("has ended", Tone.PLAIN),
    NewsKind.SUCCEEDED: ("succeeded", Tone.GOOD),
    NewsKind.FAILED: ("failed", Tone.BAD),
    NewsKind.ERRORED: ("errored", Tone.BROKEN),
    NewsKind.RECOVERED: ("is green again", Tone.GOOD),
    NewsKind.STILL_FAILING: ("still fails", Tone.BAD),
    NewsKind.APPROVAL: ("waits for approval", Tone.WAITS),
    NewsKind.CANCELLED: ("was cancelled", Tone.PLAIN),
}
_WRONG = (NewsKind.FAILED, NewsKind.ERRORED, NewsKind.STILL_FAILING)


def message_of(news: Sequence[News], *, mention: Sequence[str] = ()) -> Message:
    """Return the one message of a run (or of a machine) as of the newest of its news, to be put in the place of the one before.

    `news`: all of the same run so far, the oldest first, at least one. `mention`: who is called by name in it.
    """
    newest = news[-1]
    if newest.kind is NewsKind.NODE_LOST:
        return Message(_title(newest), Tone.BROKEN, newest.url, _about_node(newest), mention=tuple(mention))
    _, tone = _SAID[newest.kind]
    blocks: list[Block] = [line(_about(newest))] if _about(newest) else []
    blocks += [line(_step(step)) for step in newest.steps[:MOST_STEPS]]
    if len(newest.steps) > MOST_STEPS:
        blocks.append(line(f"… and {len(newest.steps) - MOST_STEPS} more."))
    return Message(_title(newest), tone, newest.url, tuple(blocks), _buttons(newest), tuple(mention))


def detail_of(news: News) -> Message | None:
    """Return what belongs into the thread below that message: first failing lines, links, buttons. None: nothing does."""
    if news.kind is NewsKind.APPROVAL:
        waits = [line(_step(step)) for step in news.steps]
        return Message(_title(news), Tone.WAITS, news.url, tuple(waits), _buttons(news)) if waits else None
    if news.kind not in _WRONG:
        return None
    blocks: list[Block] = []
    for step in news.steps[:MOST_STEPS]:
        blocks.append(line(_step(step)))
        if step.lines:
            blocks.append(parts.lines_of(step.lines[:MOST_LINES]))
    if not blocks and not news.message:
        return None
    said = [line(brief(news.message, 300))] if news.message else []
    return Message(_title(news), _SAID[news.kind][1], news.url, (*said, *blocks), _buttons(news))


def digest_of(news: Sequence[News]) -> Message:
    """Return one message for the news of many runs, the oldest first: what is told at once to those who want a digest."""
    latest = {each.run or f"node {each.node}": each for each in news}  # of each the newest, in the order of the first
    red = sum(each.kind in _WRONG for each in latest.values())
    rows = [(_name(each), _words(each), brief(each.branch, 40), brief(each.actor, 40)) for each in latest.values()]
    words = f"{len(rows)} runs" if len(rows) != 1 else "1 run"
    blocks: list[Block] = [Table(("run", "state", "branch", "by"), rows[:MOST_ROWS])]
    if len(rows) > MOST_ROWS:
        blocks.append(line(f"… and {len(rows) - MOST_ROWS} more."))
    return Message(f"{words}, {red} red" if red else words, Tone.BAD if red else Tone.PLAIN, blocks=tuple(blocks))


def _name(news: News) -> str:
    if news.kind is NewsKind.NODE_LOST:
        return brief(f"machine {news.node}", 80)
    return brief(f"{news.project}/{news.pipeline} #{news.number}", 160)


def _words(news: News) -> str:
    return "is lost" if news.kind is NewsKind.NODE_LOST else _SAID[news.kind][0]


def _title(news: News) -> str:
    branch = f" on {brief(news.branch, 60)}" if news.branch else ""
    return f"{_name(news)} {_words(news)}{branch}"


def _about(news: News) -> str:
    """Return commit, subject, who and how long, on one line."""
    commit = " ".join(part for part in (news.commit[:7], brief(news.subject, 100)) if part)
    said = (brief(commit), f"by {brief(news.actor, 60)}" if news.actor else "", parts.duration(news.seconds))
    return " · ".join(part for part in said if part)


def _about_node(news: News) -> tuple[Block, ...]:
    return (line(brief(news.message, 300)),) if news.message else ()


def _step(step: StepNews) -> str:
    code = f" (exit code {step.exit_code})" if step.exit_code is not None else ""
    message = f": {brief(step.message, 200)}" if step.message else ""
    return f"{brief(step.key, 60)} {brief(step.outcome, 40)}{code}{message}"


def _buttons(news: News) -> tuple[Button, ...]:
    """Return what one may want to do; the commands name run and step, so that they mean the same later."""
    run = f"{news.project}#{news.number}" if news.project else news.run
    if news.kind is NewsKind.APPROVAL:
        keys = [step.key for step in news.steps[:2]]
        approve = [Button(f"Approve {brief(key, 30)}", parts.command("approve", run, key), danger=True) for key in keys]
        return (
            *approve,
            *(Button(f"Reject {brief(key, 30)}", parts.command("reject", run, key), danger=True) for key in keys),
        )
    if news.kind in _WRONG:
        retry = [
            Button(f"Retry from {brief(step.key, 30)}", parts.command("retry", run, "from", step.key), danger=True)
            for step in news.steps[:1]
        ]
        return (Button("Why?", parts.command("why", run)), *retry)
    if news.kind is NewsKind.STARTED:
        return (
            Button("Watch", parts.command("watch", run)),
            Button("Cancel", parts.command("cancel", run), danger=True),
        )
    return ()
