"""Which finished runs of a project are kept. Pure: ages are told, nothing is deleted here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Retention:
    """What a project keeps at most; None is no bound. `runs` counts finished ones, `bytes` what they hold on the disk."""

    runs: int | None = 500
    days: float | None = 90.0
    bytes: int | None = 50 << 30

    def __post_init__(self) -> None:
        for name in ("runs", "days", "bytes"):
            bound = getattr(self, name)
            if bound is not None and not bound >= 0:
                raise ValueError(f"retention: {name} must not be negative")


@dataclass(frozen=True, slots=True)
class Kept:
    """A finished run: when it ended (seconds since the epoch), what it holds, and what it is an example of."""

    run: str
    pipeline: str
    branch: str
    succeeded: bool
    finished_at: float
    bytes: int


def expired(runs: Iterable[Kept], rules: Retention, now: float) -> Sequence[str]:
    """Return the runs that are to go, the oldest first.

    The newest run of each pipeline and branch stays, and the newest successful one: whatever the rules say, they tell how
    things are. Of equal age, the one with the smaller id is the older one.
    """
    newest_first = sorted(runs, key=lambda run: (run.finished_at, run.run), reverse=True)
    examples = _examples(newest_first)
    gone, count, size = [], 0, 0
    for run in newest_first:
        count += 1
        size += run.bytes
        if run.run in examples:
            continue
        too_many = rules.runs is not None and count > rules.runs
        too_old = rules.days is not None and now - run.finished_at > rules.days * DAY
        too_large = rules.bytes is not None and size > rules.bytes
        if too_many or too_old or too_large:
            gone.append(run.run)
            count -= 1
            size -= run.bytes
    return gone[::-1]


def _examples(newest_first: Sequence[Kept]) -> frozenset[str]:
    latest: dict[tuple[str, str], str] = {}
    green: dict[tuple[str, str], str] = {}
    for run in newest_first:
        latest.setdefault((run.pipeline, run.branch), run.run)
        if run.succeeded:
            green.setdefault((run.pipeline, run.branch), run.run)
    return frozenset([*latest.values(), *green.values()])
