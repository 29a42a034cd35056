"""What became of one try to tell somebody something. Senders do not raise for what receivers do: they say it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

MAX_ANSWER = 1024  # characters of what a receiver said that are kept


class Verdict(StrEnum):
    """What is to follow from a try."""

    TAKEN = "taken"
    AGAIN = "again"  # it may get better
    REFUSED = "refused"  # the receiver would say the same again
    GONE = "gone"  # there is no such receiver any more, and it wants nothing else, either


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a try. `answer`: what the receiver said, shortened; `error`: for people, when it was not taken.

    `again_after`: seconds that the receiver wants to be left alone. `done`: of several receivers those that have it by now.
    """

    verdict: Verdict
    answer: str = ""
    error: str = ""
    again_after: float = 0.0
    done: Sequence[str] = ()


def words(said: str | bytes, most: int = MAX_ANSWER) -> str:
    """Return what a stranger said as text on one line that can be shown, shortened."""
    text = said if isinstance(said, str) else said.decode("utf-8", "replace")
    text = " ".join(text[: 4 * most].split())
    text = "".join(char if char.isprintable() else "\ufffd" for char in text)
    return text if len(text) <= most else text[: most - 1] + "…"
