"""When a schedule is due. Times are seconds since the epoch; cron expressions are local times of a time zone.

Clock changes as in Debian's cron (`cronsim`): a time that a clock skips is due right after the change, one that it
repeats is due once; what runs every hour or more often follows real time.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice
from typing import NamedTuple
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

MAX_CRON = 128  # characters
MOST = 24  # runs that are made up for, whatever the policy says
LATE = 60.0  # seconds after which a time counts as missed
_COUNTED = 100_000  # missed times that are looked at, the earliest first: every minute for more than two months


class Misfire(StrEnum):
    """What becomes of times at which the server did not work: nothing, one run for all of them, or one for each."""

    SKIP = "skip"
    ONCE = "once"
    ALL = "all"


class Due(NamedTuple):
    """The times to run for now, the earliest first, and when to look next; None: never again."""

    times: tuple[float, ...]
    next_at: float | None


def cron_problem(cron: str) -> str:
    """Return what is wrong with a cron expression, empty when nothing is. It has five fields: there are no seconds."""
    if len(cron) > MAX_CRON:
        return f"longer than {MAX_CRON} characters"
    if len(cron.split()) != 5:
        return "wrong number of fields"
    try:
        CronSim(cron, datetime(2024, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        return str(error).lower()
    return ""


def fire_times(cron: str, timezone: str, after: float) -> Iterator[float]:
    """Yield the times of a schedule that come after a time. Ends when there is none within the next 50 years."""
    start = datetime.fromtimestamp(after, UTC).astimezone(ZoneInfo(timezone))
    for moment in CronSim(cron, start):
        yield moment.timestamp()


def next_times(cron: str, timezone: str, after: float, count: int) -> list[float]:
    """Return the next times of a schedule."""
    return list(islice(fire_times(cron, timezone, after), count))


def due(cron: str, timezone: str, *, next_at: float, now: float, misfire: Misfire) -> Due:
    """Return what a schedule that was to be looked at at `next_at` asks for now."""
    if now < next_at:
        return Due((), next_at)
    reached, following = [next_at], None
    for moment in islice(fire_times(cron, timezone, next_at), _COUNTED):
        if moment > now:
            following = moment
            break
        reached.append(moment)
    else:
        following = next(fire_times(cron, timezone, now), None)
    return Due(_chosen(reached, now, misfire), following)


def describe(cron: str, timezone: str) -> str:
    """Return a schedule in words."""
    start = datetime(2024, 1, 1, tzinfo=UTC)
    words = CronSim(cron, start).explain()
    return words if timezone == "UTC" else f"{words} ({timezone})"


def _chosen(reached: list[float], now: float, misfire: Misfire) -> tuple[float, ...]:
    if misfire is Misfire.ALL:
        return tuple(reached[-MOST:])
    if misfire is Misfire.SKIP and now - reached[-1] > LATE:
        return ()
    return (reached[-1],)
