"""Messages that nobody asked for: what is new of a run. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from flowbuild.bot.messages import Message
from flowbuild.core.notifying import News


def message_of(news: Sequence[News], *, mention: Sequence[str] = ()) -> Message:
    """Return the one message of a run (or of a machine) as of the newest of its news, to be put in the place of the one before.

    `news`: all of the same run so far, the oldest first, at least one. `mention`: who is called by name in it.
    """
    raise NotImplementedError


def detail_of(news: News) -> Message | None:
    """Return what belongs into the thread below that message: first failing lines, links, buttons. None: nothing does."""
    raise NotImplementedError


def digest_of(news: Sequence[News]) -> Message:
    """Return one message for the news of many runs, the oldest first: what is told at once to those who want a digest."""
    raise NotImplementedError
