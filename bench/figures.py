"""Times of one benchmark, their medians and ratios, as a table and as JSON."""

from __future__ import annotations

import statistics
from collections import defaultdict
from typing import TypedDict


class Result(TypedDict):
    """A figure that was computed, and what it should not be above."""

    value: float
    aim: float | None


class Figures:
    """Seconds by name of what was measured; ratios and aims between medians of the same run."""

    def __init__(self, name: str, title: str) -> None:
        self.name = name
        self._title = title
        self._seconds: defaultdict[str, list[float]] = defaultdict(list)
        self._results: dict[str, Result] = {}

    def add(self, name: str, seconds: float) -> None:
        self._seconds[name].append(seconds)

    def clear(self) -> None:
        """Forget what was measured while warming up."""
        self._seconds.clear()

    def median(self, name: str) -> float:
        return statistics.median(self._seconds[name])

    def ratio(self, ours: str, *theirs: str, aim: float | None = None) -> None:
        """Compare medians: ours against the sum of theirs."""
        value = self.median(ours) / sum(self.median(name) for name in theirs)
        self._results[f"{ours} / {' + '.join(theirs)}"] = {"value": value, "aim": aim}

    def aim(self, name: str, value: float, *, aim: float) -> None:
        """Keep a figure that was computed."""
        self._results[name] = {"value": value, "aim": aim}

    def note(self, name: str, value: float) -> None:
        """Keep a number that belongs to the figures."""
        self._results[name] = {"value": value, "aim": None}

    def table(self) -> str:
        """Return the table that is printed: milliseconds, then ratios (x) and derived times (s) with their aims."""
        lines = [f"\n{self._title}", f"  {'':<34}{'median ms':>11}{'best':>9}{'worst':>9}{'n':>5}"]
        for name, found in self._seconds.items():
            low, middle, high = min(found) * 1e3, self.median(name) * 1e3, max(found) * 1e3
            lines.append(f"  {name:<34}{middle:>11.1f}{low:>9.1f}{high:>9.1f}{len(found):>5}")
        for name, result in self._results.items():
            value, aim = result["value"], result["aim"]
            wanted = "" if aim is None else f"   aim <= {aim:g}: {'met' if value <= aim else 'missed'}"
            lines.append(f"  {name:<47}{value:>7.3f}{wanted}")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, object]:
        medians = {name: self.median(name) for name in self._seconds}
        return {"seconds": dict(self._seconds), "medians": medians, "results": self._results}
