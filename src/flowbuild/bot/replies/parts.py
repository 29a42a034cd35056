"""Pieces of messages: what runs and steps are called, times, and what one types to go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import quote

from flowbuild.bot.messages import Code, Span, Tone
from flowbuild.bot.words import QUOTES, brief, log_line, visible
from flowbuild.client.base import RunView, StepView
from flowbuild.core import human
from flowbuild.core.states import Outcome, RunState, StepState

_TONES = {
    RunState.RUNNING: Tone.BUSY,
    RunState.CANCELLING: Tone.BUSY,
    RunState.SUCCEEDED: Tone.GOOD,
    RunState.FAILED: Tone.BAD,
    RunState.ERRORED: Tone.BROKEN,
    RunState.CANCELLED: Tone.PLAIN,
}
MOST_CODE = 8000  # characters of lines in one place
_LONGEST = 10 * 365 * 86_400.0  # seconds; what is longer comes of a clock that is wrong


def tone(run: RunView) -> Tone:
    """Return what a run is like at a glance."""
    if run.state is RunState.RUNNING and any(step.approve for step in run.steps):
        return Tone.WAITS
    return _TONES[run.state]


def state(run: RunView) -> str:
    """Return how a run is doing, in words."""
    if run.interrupted:
        return "was interrupted"
    if run.state is RunState.RUNNING and any(step.approve for step in run.steps):
        return "waits for approval"
    return human.doing(run.state)


def ref(run: RunView) -> str:
    """Return how a run is called in commands, everywhere."""
    return f"{run.project}#{run.number}" if run.project else run.id


def title(run: RunView) -> str:
    """Return what a run is called for people: "shop/release #12"."""
    return brief(f"{run.project}/{run.pipeline} #{run.number}", 160)


def where(run: RunView) -> str:
    """Return "main@1a2b3c4", as far as it is known."""
    return brief("@".join(part for part in (run.branch, run.commit[:7]) if part))


def page(run: RunView) -> str:
    """Return the address of the page of a run, "" when it is not known. The server says where it is with its repository."""
    top, found, _ = run.repository.partition("/git/runs/")
    if not found or not top.startswith(("http://", "https://")):
        return ""
    return f"{top}/projects/{quote(run.project, safe='', errors='replace')}/runs/{run.number}"


def took(run: RunView, now: float) -> str:
    """Return how long a run took, or takes so far."""
    return duration((run.finished_at if run.finished_at is not None else now) - run.created_at)


def duration(seconds: float | None) -> str:
    """Return a time span in words."""
    return human.duration(None if seconds is None else min(seconds, _LONGEST))


def ago(then: float | None, now: float) -> str:
    """Return how long ago something was."""
    return "" if then is None else human.ago(max(then, now - _LONGEST), now)


def moment(at: float) -> str:
    """Return a date and time of day, in UTC."""
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError, OSError):
        return "never"


def why(step: StepView) -> str:
    """Return in a few words how a step ended: "failed: exit code 1"."""
    words = human.why(step.outcome, step.reason, step.exit_code)
    return f"{step.outcome}: {words}" if words else str(step.outcome)


def doing(step: StepView, now: float) -> str:
    """Return how a step is doing."""
    if step.outcome is not None and step.state is StepState.DONE:
        spent = "" if step.started_at is None or step.finished_at is None else step.finished_at - step.started_at
        ended = "succeeded" if step.outcome is Outcome.SUCCEEDED else why(step)
        if step.reused or step.cached:
            return f"{ended} ({'taken over' if step.reused else 'from the cache'})"
        after = f" after {duration(spent)}" if isinstance(spent, float) and step.outcome is not Outcome.SKIPPED else ""
        return ended + after + (" (allowed)" if step.allow_failure and step.outcome is Outcome.FAILED else "")
    if step.state is StepState.WAITING and step.approve:
        return "waits for approval"
    if step.returning:
        return "was lost and is brought back"
    since = f" for {duration(now - step.started_at)}" if step.started_at is not None else ""
    return {"pending": "waits for other steps", "serving": "is up"}.get(str(step.state), f"{step.state}{since}")


def code(text: str) -> Span:
    """Return a span of what one types."""
    return Span(text, code=True)


def typed(name: str) -> str:
    """Return a name as it is to be typed: in quotes when it holds spaces or begins with one."""
    if not any(char.isspace() or char in QUOTES for char in name) and "=" not in name:
        return name
    quotes = next((each for each in "\"'`" if each not in name), "")
    return f"{quotes}{name}{quotes}"


def lines_of(lines: Sequence[str], language: str = "") -> Code:
    """Return the last lines that a message has room for, of a log or a diff."""
    room, kept = MOST_CODE, list[str]()
    for text in reversed([log_line(each) for each in lines]):
        room -= len(text) + 1
        if room < 0:
            break
        kept.append(text)
    return Code(tuple(reversed(kept)), language)


def command(*words: str) -> str:
    """Return a command that a button says. Names come from files of others: what cannot be seen is not in them."""
    return " ".join([words[0], *(typed(visible(word[:200])) for word in words[1:] if word)])


def values(given: Mapping[str, object]) -> str:
    """Return inputs as "name=value, …"."""
    return ", ".join(f"{brief(name, 40)}={brief(value_of(value), 60)}" for name, value in given.items())


def value_of(value: object) -> str:
    """Return a value as it is typed."""
    return str(value).lower() if isinstance(value, bool) else str(value)
