from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowbuild.core.schedule import LATE, MOST, Misfire, describe, due, fire_times, next_times

RIGA = "Europe/Riga"
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


def at(text, zone="UTC"):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def shown(times, zone):
    return [datetime.fromtimestamp(time, UTC).astimezone(ZoneInfo(zone)).isoformat() for time in times]


def test_next_times_are_local():
    assert shown(next_times("0 3 * * *", RIGA, at("2026-01-01T00:00"), 2), RIGA) == [
        "2026-01-01T03:00:00+02:00",
        "2026-01-02T03:00:00+02:00",
    ]


def test_the_time_itself_is_not_after_itself():
    first, second = next_times("0 3 * * *", "UTC", at("2026-01-01T03:00"), 2)
    assert (first, second) == (at("2026-01-02T03:00"), at("2026-01-03T03:00"))


def test_a_time_that_a_clock_skips_is_due_after_the_change():
    found = shown(next_times("30 3 * * *", RIGA, at("2026-03-28T12:00"), 2), RIGA)
    assert found == ["2026-03-29T04:00:00+03:00", "2026-03-30T03:30:00+03:00"]


def test_a_time_that_a_clock_repeats_is_due_once():
    found = shown(next_times("30 3 * * *", RIGA, at("2026-10-24T12:00"), 2), RIGA)
    assert found == ["2026-10-25T03:30:00+03:00", "2026-10-26T03:30:00+02:00"]


def test_what_runs_every_hour_follows_real_time():
    times = next_times("0 * * * *", RIGA, at("2026-10-24T20:30"), 10)
    assert {later - earlier for earlier, later in pairwise(times)} == {HOUR}


START = at("2026-06-01T03:00")


@pytest.mark.parametrize("misfire", Misfire)
def test_what_is_on_time_runs(misfire):
    assert due("0 3 * * *", "UTC", next_at=START, now=START - 1, misfire=misfire) == ((), START)
    on_time = due("0 3 * * *", "UTC", next_at=START, now=START + LATE, misfire=misfire)
    assert on_time == ((START,), START + DAY)


@pytest.mark.parametrize(
    ("misfire", "times"),
    [
        (Misfire.SKIP, ()),
        (Misfire.ONCE, (START + 2 * DAY,)),
        (Misfire.ALL, (START, START + DAY, START + 2 * DAY)),
    ],
)
def test_times_that_were_missed(misfire, times):
    found = due("0 3 * * *", "UTC", next_at=START, now=START + 2.5 * DAY, misfire=misfire)
    assert found == (times, START + 3 * DAY)


def test_a_missed_time_does_not_hold_back_one_that_is_on_time():
    found = due("0 3 * * *", "UTC", next_at=START, now=START + 2 * DAY + 1, misfire=Misfire.SKIP)
    assert found == ((START + 2 * DAY,), START + 3 * DAY)


def test_not_everything_is_made_up_for():
    found = due("* * * * *", "UTC", next_at=START, now=START + 7 * DAY, misfire=Misfire.ALL)
    assert len(found.times) == MOST
    assert found.times[-1] == START + 7 * DAY


def test_years_of_missed_minutes_take_no_time():
    now = START + 1000 * DAY
    found = due("* * * * *", "UTC", next_at=START, now=now, misfire=Misfire.ONCE)
    assert len(found.times) == 1
    assert found.next_at == now + MINUTE


@given(
    cron=st.sampled_from(["*/7 * * * *", "30 2 * * *", "0 0 1 * *", "15 3 * * 0", "0 */6 * * *"]),
    zone=st.sampled_from(["UTC", RIGA, "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Kolkata"]),
    start=st.integers(1_700_000_000, 1_900_000_000),
    lives=st.lists(st.integers(1, 10 * 86400), min_size=1, max_size=8),
)
def test_whenever_one_looks_each_time_is_due_once(cron, zone, start, lives):
    """With ALL nothing is lost and nothing twice; the times do not depend on when one looked."""
    next_at, now, seen = next(fire_times(cron, zone, start)), float(start), []
    for pause in lives:
        now += min(pause, MOST * 6 * 60)  # more than MOST times at once are not made up for
        found = due(cron, zone, next_at=next_at, now=now, misfire=Misfire.ALL)
        seen += found.times
        next_at = found.next_at
        assert next_at > now
    expected = next_times(cron, zone, start, len(seen) + 1)
    assert seen == expected[:-1]
    assert next_at == expected[-1]


def test_words():
    assert describe("0 3 * * *", "UTC") == "At 03:00 every day"
    assert describe("0 3 * * *", RIGA) == "At 03:00 every day (Europe/Riga)"
