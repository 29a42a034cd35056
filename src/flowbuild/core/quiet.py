"""When something is told: not in quiet hours, and not before the next digest. Pure; times are seconds since the epoch.

Hours are those of the clocks of a time zone. What a clock skips is over at the change; an hour that it repeats is as
quiet the second time as the first.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from flowbuild.core.errors import InvalidRequest
from flowbuild.core.notifying import NewsKind, Quiet, Rule

HOURLY = "hourly"
HOUR = 3600
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_AT_MOST = 8  # quiet ends that may fall into quiet hours again: a clock that skips a whole day


def when(rule: Rule, kind: NewsKind, now: float) -> float:
    """Return when news that come now are told: `now`, the next digest, or the end of the quiet hours."""
    at = next_digest(rule.digest, rule.timezone, now) if rule.digest else now
    return at if rule.quiet is None or kind in rule.quiet.urgent else quiet_end(rule.quiet, at)


def quiet_end(quiet: Quiet, now: float) -> float:
    """Return the end of the quiet hours that a time is in; the time itself when it is in none."""
    zone = ZoneInfo(quiet.timezone)
    for _ in range(_AT_MOST):
        if not is_quiet(quiet, now):
            break
        now = _next(_time(quiet.end), zone, now)
    return now


def is_quiet(quiet: Quiet, now: float) -> bool:
    """Whether a time is in the quiet hours. Hours that end when they begin are none."""
    begin, end = _time(quiet.begin), _time(quiet.end)
    local = datetime.fromtimestamp(now, UTC).astimezone(ZoneInfo(quiet.timezone)).time()
    return begin <= local < end if begin <= end else local >= begin or local < end


def next_digest(digest: str, timezone: str, now: float) -> float:
    """Return when what comes now is told together with what else comes until then: after the full hour, or the time of day."""
    zone = ZoneInfo(timezone)
    if digest != HOURLY:
        return _next(_time(digest), zone, now, once=True)
    offset = datetime.fromtimestamp(now, UTC).astimezone(zone).utcoffset() or timedelta()
    shift = offset.total_seconds() % HOUR  # there are zones whose hours begin at half past
    return (math.floor((now + shift) / HOUR) + 1) * HOUR - shift


def check_rule(rule: Rule) -> None:
    """Raise InvalidRequest for a rule that cannot be followed, naming the part of it."""
    _check_zone(rule.timezone, "rule.timezone")
    if rule.digest and rule.digest != HOURLY and not _TIME.fullmatch(rule.digest):
        hint = f"`{HOURLY}`, or a time of day like 08:30; empty: at once"
        raise InvalidRequest(f"{rule.digest[:40]!r} is no time for a digest", hint=hint, about="rule.digest")
    if rule.quiet is not None:
        _check_zone(rule.quiet.timezone, "rule.quiet.timezone")
        _check_hours({"begin": rule.quiet.begin, "end": rule.quiet.end}.items())
        if rule.quiet.begin == rule.quiet.end:
            hint = "like 22:00 to 07:00; to be told nothing, disable the channel"
            raise InvalidRequest("the quiet hours end when they begin", hint=hint, about="rule.quiet.end")


def _check_hours(hours: Iterable[tuple[str, str]]) -> None:
    for name, text in hours:
        if not _TIME.fullmatch(text):
            message = f"{text[:40]!r} is no time of day"
            raise InvalidRequest(message, hint="like 22:00", about=f"rule.quiet.{name}")


def _check_zone(name: str, about: str) -> None:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, malformed, or a folder of the database
        raise InvalidRequest(f"unknown time zone {name[:64]!r}", hint="like Europe/Riga or UTC", about=about) from None


def _time(text: str) -> time:
    hour, _, minute = text.partition(":")
    return time(int(hour), int(minute))


def _next(wanted: time, zone: ZoneInfo, now: float, *, once: bool = False) -> float:
    """Return the first moment after `now` at which the clocks of a zone show a time of day, or have skipped it.

    `once`: of a time that they show twice on a day, only the first counts.
    """
    today = datetime.fromtimestamp(now, UTC).astimezone(zone).date()
    days = (today + timedelta(days=number) for number in range(-1, 3))
    moments = (_moments(day, wanted, zone) for day in days)
    return min(at for found in moments for at in (found[:1] if once else found) if at > now)


def _moments(day: date, wanted: time, zone: ZoneInfo) -> list[float]:
    """Return when a time of a day is: once or, where clocks are set back, twice; of a time that is skipped, when that happens."""
    both = [datetime.combine(day, wanted, zone).replace(fold=fold) for fold in (0, 1)]
    first, second = sorted(each.timestamp() for each in both)
    if _shows(first, both[0], zone):
        return [first] if first == second else [first, second]
    before = datetime.fromtimestamp(first, UTC).astimezone(zone).utcoffset()
    low, high = math.floor(first), math.ceil(second)  # the change is between, at a whole second
    while high - low > 1:
        middle = (low + high) // 2
        unchanged = datetime.fromtimestamp(middle, UTC).astimezone(zone).utcoffset() == before
        low, high = (middle, high) if unchanged else (low, middle)
    return [float(high)]


def _shows(at: float, wanted: datetime, zone: ZoneInfo) -> bool:
    return datetime.fromtimestamp(at, UTC).astimezone(zone).replace(tzinfo=None, fold=0) == wanted.replace(
        tzinfo=None, fold=0
    )
