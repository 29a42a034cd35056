"""When news are told: by quiet hours and digests, also where clocks change."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flowbuild.core.errors import InvalidRequest
from flowbuild.core.notifying import NewsKind, Quiet, Rule
from flowbuild.core.quiet import check_rule, is_quiet, next_digest, quiet_end, when

K = NewsKind
RIGA = ZoneInfo("Europe/Riga")
NIGHT = Quiet("22:00", "07:00", "Europe/Riga", (K.NODE_LOST,))
ZONES = [
    "UTC",
    "Europe/Riga",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "Pacific/Apia",
]
TIMES = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))
MOMENTS = st.floats(1_300_000_000, 1_900_000_000)  # 2011 to 2030


def at(text, zone=RIGA, fold=0):
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp()


def local(moment, zone=RIGA):
    return datetime.fromtimestamp(moment, UTC).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")


@pytest.mark.parametrize(
    ("now", "told"),
    [
        ("2026-06-01 12:00", "2026-06-01 12:00:00"),
        ("2026-06-01 21:59:59", "2026-06-01 21:59:59"),
        ("2026-06-01 22:00", "2026-06-02 07:00:00"),
        ("2026-06-01 23:59", "2026-06-02 07:00:00"),
        ("2026-06-02 00:00", "2026-06-02 07:00:00"),
        ("2026-06-02 06:59:59", "2026-06-02 07:00:00"),
        ("2026-06-02 07:00", "2026-06-02 07:00:00"),
        ("2026-12-31 23:00", "2027-01-01 07:00:00"),
    ],
)
def test_over_midnight(now, told):
    assert local(when(Rule(quiet=NIGHT), K.FAILED, at(now))) == told


def test_within_a_day():
    noon = Rule(quiet=Quiet("12:00", "13:30", "Europe/Riga"))
    assert local(when(noon, K.FAILED, at("2026-06-01 12:30"))) == "2026-06-01 13:30:00"
    assert local(when(noon, K.FAILED, at("2026-06-01 23:00"))) == "2026-06-01 23:00:00"


def test_what_is_urgent_is_told_all_the_same():
    now = at("2026-06-01 23:00")
    assert when(Rule(quiet=NIGHT), K.NODE_LOST, now) == now
    assert when(Rule(quiet=NIGHT), K.FAILED, now) > now


def test_without_a_rule_at_once():
    assert when(Rule(), K.FAILED, 5.5) == 5.5


class TestClocksThatChange:
    """In Riga clocks go from 03:00 to 04:00 on 29 March 2026, and from 04:00 to 03:00 on 25 October."""

    def test_nights_are_shorter_and_longer(self):
        assert quiet_end(NIGHT, at("2026-03-28 23:00")) - at("2026-03-28 23:00") == 7 * 3600
        assert quiet_end(NIGHT, at("2026-10-24 23:00")) - at("2026-10-24 23:00") == 9 * 3600

    def test_an_end_that_is_skipped_is_the_change(self):
        quiet = Quiet("22:00", "03:30", "Europe/Riga")
        end = quiet_end(quiet, at("2026-03-29 01:00"))
        assert local(end) == "2026-03-29 04:00:00"
        assert local(end - 1) == "2026-03-29 02:59:59"

    def test_an_end_that_comes_twice(self):
        quiet = Quiet("22:00", "03:30", "Europe/Riga")
        first, second = (at("2026-10-25 03:30", fold=fold) for fold in (0, 1))
        assert second - first == 3600
        assert quiet_end(quiet, at("2026-10-25 03:10")) == first
        assert quiet_end(quiet, at("2026-10-25 03:40")) == at("2026-10-25 03:40")
        assert quiet_end(quiet, at("2026-10-25 03:10", fold=1)) == second

    def test_a_digest_whose_time_is_skipped_or_comes_twice(self):
        assert local(next_digest("03:30", "Europe/Riga", at("2026-03-29 01:00"))) == "2026-03-29 04:00:00"
        once = next_digest("03:30", "Europe/Riga", at("2026-10-25 01:00"))
        assert once == at("2026-10-25 03:30")
        assert local(next_digest("03:30", "Europe/Riga", once)) == "2026-10-26 03:30:00"

    def test_a_day_that_does_not_exist(self):
        apia = ZoneInfo("Pacific/Apia")  # there was no 30 December 2011
        quiet = Quiet("22:00", "07:00", "Pacific/Apia")
        assert local(quiet_end(quiet, at("2011-12-29 23:00", apia)), apia) == "2011-12-31 07:00:00"


class TestDigests:
    @pytest.mark.parametrize(
        ("digest", "now", "told"),
        [
            ("hourly", "2026-06-01 12:00:00", "2026-06-01 13:00:00"),
            ("hourly", "2026-06-01 12:59:59", "2026-06-01 13:00:00"),
            ("08:30", "2026-06-01 08:29:59", "2026-06-01 08:30:00"),
            ("08:30", "2026-06-01 08:30:00", "2026-06-02 08:30:00"),
            ("08:30", "2026-06-01 23:00:00", "2026-06-02 08:30:00"),
        ],
    )
    def test_times(self, digest, now, told):
        assert local(when(Rule(digest=digest, timezone="Europe/Riga"), K.FAILED, at(now))) == told

    def test_hours_that_begin_at_half_past(self):
        kolkata = ZoneInfo("Asia/Kolkata")
        now = at("2026-06-01 12:10", kolkata)
        assert local(next_digest("hourly", "Asia/Kolkata", now), kolkata) == "2026-06-01 13:00:00"

    def test_one_that_is_in_quiet_hours_waits_for_their_end(self):
        rule = Rule(digest="hourly", timezone="Europe/Riga", quiet=NIGHT)
        assert local(when(rule, K.FAILED, at("2026-06-01 21:30"))) == "2026-06-02 07:00:00"
        assert local(when(rule, K.NODE_LOST, at("2026-06-01 21:30"))) == "2026-06-01 22:00:00"
        assert local(when(rule, K.FAILED, at("2026-06-01 20:30"))) == "2026-06-01 21:00:00"


@given(TIMES, TIMES, st.sampled_from(ZONES), MOMENTS)
@example("22:00", "02:30", "Australia/Lord_Howe", datetime(2026, 4, 4, 14, 50, tzinfo=UTC).timestamp())
@example("23:00", "00:30", "Pacific/Apia", datetime(2011, 12, 30, 9, 30, tzinfo=UTC).timestamp())
def test_the_end_is_the_first_moment_that_is_not_quiet(begin, end, zone, now):
    quiet = Quiet(begin, end, zone)
    found = quiet_end(quiet, now)
    assert found >= now
    assert not is_quiet(quiet, found)
    assert (found > now) is is_quiet(quiet, now)
    if found > now:
        assert found - now <= 2 * 86400
        step = now
        while step < found and not set_back(
            zone, now, found
        ):  # set back, clocks may show a time before the quiet hours
            assert is_quiet(quiet, step), "nobody waits longer than they asked for"
            step += 420


@given(TIMES, st.sampled_from(ZONES), MOMENTS)
def test_a_digest_is_at_its_time_once_a_day(digest, zone, now):
    found = next_digest(digest, zone, now)
    assert now < found <= now + 2 * 86400
    shown = datetime.fromtimestamp(found, UTC).astimezone(ZoneInfo(zone))
    skipped = shown.utcoffset() != datetime.fromtimestamp(found - 1, UTC).astimezone(ZoneInfo(zone)).utcoffset()
    assert shown.strftime("%H:%M") == digest or skipped
    assert next_digest(digest, zone, found) - found > 20 * 3600


def set_back(zone, begin, end):
    offsets = [datetime.fromtimestamp(each, UTC).astimezone(ZoneInfo(zone)).utcoffset() for each in (begin, end)]
    return offsets[1] < offsets[0]


@pytest.mark.parametrize(
    ("rule", "about"),
    [
        (Rule(digest="daily"), "rule.digest"),
        (Rule(digest="8:30"), "rule.digest"),
        (Rule(digest="24:00"), "rule.digest"),
        (Rule(timezone="Mars/Olympus"), "rule.timezone"),
        (Rule(timezone="../etc/passwd"), "rule.timezone"),
        (Rule(timezone=""), "rule.timezone"),
        (Rule(quiet=Quiet("22", "07:00")), "rule.quiet.begin"),
        (Rule(quiet=Quiet("22:00", "07:60")), "rule.quiet.end"),
        (Rule(quiet=Quiet("22:00", "22:00")), "rule.quiet.end"),
        (Rule(quiet=Quiet("22:00", "07:00", "Europe")), "rule.quiet.timezone"),
    ],
)
def test_rules_that_cannot_be_followed(rule, about):
    with pytest.raises(InvalidRequest) as caught:
        check_rule(rule)
    assert caught.value.about == about


def test_rules_that_can():
    check_rule(Rule())
    check_rule(Rule(digest="hourly", quiet=NIGHT, timezone="America/St_Johns"))
    check_rule(Rule(digest="08:30"))
