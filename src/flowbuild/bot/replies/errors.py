"""What is said when something cannot be done: whose fault it is, and what to do."""

from __future__ import annotations

from flowbuild.bot.messages import Block, Message, Tone, line
from flowbuild.bot.words import Refused, brief
from flowbuild.core.errors import (
    FlowError,
    Forbidden,
    Held,
    RateLimited,
    ServerUnreachable,
    SystemFailed,
    Unauthenticated,
)
from flowbuild.spec.findings import InvalidFile

_LINK = "Make a code on your account page and tell it to me in a direct message: link CODE"


def error(problem: FlowError, *, linkable: bool) -> Message:
    """Return an error as a message. `linkable`: people can say who they are on this network."""
    hint, title, tone = problem.hint, brief(problem.message, 500), Tone.PLAIN
    if isinstance(problem, Refused):  # what the server says may begin with a name
        title = _sentence(title)
    if isinstance(problem, Unauthenticated):
        title = "I do not know you well enough for that" if linkable else "The server does not know you"
        hint = _LINK if linkable else "flow login ADDRESS"
    elif isinstance(problem, Forbidden):
        hint = hint or "`whoami` says what you may"
    elif isinstance(problem, Held):  # the server names a command of the terminal
        hint = "whoever may start it may let it go: `unhold PIPELINE`"
    elif isinstance(problem, RateLimited):
        hint = hint or "wait a little"
    elif isinstance(problem, ServerUnreachable):
        title, tone = "The server cannot be reached just now", Tone.BROKEN
        hint = "nothing was done as far as I know: `status` says so when it is back"
    elif isinstance(problem, SystemFailed):
        tone = Tone.BROKEN
    blocks: list[Block] = [line(brief(each, 300)) for each in problem.message.splitlines()[1:6]]
    if isinstance(problem, InvalidFile):
        blocks = [line(brief(str(finding), 300)) for finding in problem.findings[:5]]
    if hint:
        blocks.append(line(_sentence(brief(hint, 500))))
    return Message(title, tone, blocks=tuple(blocks))


def fault(number: str) -> Message:
    """Return what is said when the bot has a fault."""
    hint = line(f"It is in the log of the bot as {number}. Nothing is known to have been done.")
    return Message("That was a fault of mine", Tone.BROKEN, blocks=(hint,))


def gone() -> Message:
    """Return what is said to an answer without a question."""
    hint = line("Questions are answered by those who were asked, where they were asked, and in ten minutes.")
    return Message("I asked you nothing that this answers", blocks=(hint, line("`help` says what I can do.")))


def dropped() -> Message:
    """Return what is said when a question is dropped."""
    return Message("Never mind, then: nothing was done")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
