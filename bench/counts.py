"""What a campaign of failures counted, of one kind of event, and the table of all."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from flowbuild.testing.outcomes import tally

AIM = 90.0  # seconds until a step goes on


@dataclass(slots=True)
class Count:
    """Of one kind of event. `seconds` until steps went on; `zombies`: from when the network was whole until they were ended.

    `late`: results that were made after their attempts had lost their leases.
    """

    kind: str
    events: int = 0
    rounds: int = 0
    outcomes: list[str] = field(default_factory=list)
    states: list[str] = field(default_factory=list)  # of the runs
    seconds: list[float] = field(default_factory=list)
    zombies: list[float] = field(default_factory=list)
    late: int = 0
    double: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)  # exclusive steps that were begun again
    lost: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)  # steps with an outcome that the pipeline does not ask for
    failed: list[str] = field(default_factory=list)  # rounds that could not be judged

    def wrong(self) -> list[str]:
        """Return what must not be, in words."""
        named = {
            "double commit": self.double,
            "begun twice": self.twice,
            "lost": self.lost,
            "left": self.left,
            "outcome": self.other,
        }
        said = [f"{self.kind}: {what}: {each}" for what, found in named.items() for each in found]
        said += [f"{self.kind}: the round failed: {each}" for each in self.failed]
        return said + [f"{self.kind}: continued after {each:.1f} s" for each in self.seconds if each > AIM]

    def as_dict(self) -> dict[str, object]:
        return {**asdict(self), "outcomes": dict(Counter(self.outcomes)), "states": dict(Counter(self.states))}


def table(counts: Sequence[Count]) -> str:
    """Return the table; seconds are median and worst."""
    heads = f"{'double':>7}{'twice':>6}{'lost':>5}{'left':>5}{'failed':>7}"
    lines = [
        "\n(m) what failures made of runs",
        f"  {'event':<10}{'n':>4}{'runs':>5}{heads}{'continue s':>15}{'zombies s':>14}{'late':>5}  outcomes of the steps that were hit",
    ]
    for each in counts:
        found = (each.double, each.twice, each.lost, each.left, each.failed)
        numbers = "".join(f"{len(what):>{width}}" for what, width in zip(found, (7, 6, 5, 5, 7), strict=True))
        times = f"{_times(each.seconds):>15}{_times(each.zombies):>14}{each.late or '-':>5}"
        lines.append(f"  {each.kind:<10}{each.events:>4}{each.rounds:>5}{numbers}{times}  {tally(each.outcomes)}")
    return "\n".join(lines)


def _times(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds):.1f} / {max(seconds):.1f}" if seconds else "-"
