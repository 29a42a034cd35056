"""What is kept: by number, age and size, but always one that tells how things are."""

import pytest

from flowbuild.core.retention import DAY, Kept, Retention, expired

ALL = Retention(None, None, None)


def kept(number, *, pipeline="p", branch="main", ok=True, age=0.0, size=1):
    return Kept(f"{number:03}", pipeline, branch, ok, 1000 * DAY - age * DAY + number / 1000, size)


def gone(runs, rules):
    return list(expired(runs, rules, 1000 * DAY))


def test_without_rules_all_stay():
    assert gone([kept(n, age=500) for n in range(9)], ALL) == []


def test_the_newest_ones_stay():
    assert gone([kept(n) for n in (3, 1, 4, 2)], Retention(2, None, None)) == ["001", "002"]


def test_old_ones_go():
    runs = [kept(1, age=40), kept(2, age=29), kept(3, age=31), kept(4)]
    assert gone(runs, Retention(None, 30, None)) == ["001", "003"]
    assert gone(runs, Retention(None, 50, None)) == []


def test_until_the_rest_fits():
    runs = [kept(1, size=10), kept(2, size=60), kept(3, size=30), kept(4, size=20)]
    assert gone(runs, Retention(None, None, 60)) == ["002"]  # the small old one still fits
    assert gone(runs, Retention(None, None, 50)) == ["001", "002"]


def test_the_latest_and_the_latest_green_one_of_each_branch_stay():
    runs = [
        kept(1, age=900),
        kept(2, age=800),
        kept(3, age=700, ok=False),
        kept(4, age=600, branch="other", ok=False),
        kept(5, age=500, pipeline="q"),
        kept(6, age=400, pipeline="q", ok=False),
        kept(7, age=300, pipeline="q", ok=False),
    ]
    assert gone(runs, Retention(0, 0, 0)) == ["001", "006"]


@pytest.mark.parametrize("name", ["runs", "days", "bytes"])
def test_no_bound_is_negative(name):
    with pytest.raises(ValueError, match=name):
        Retention(**{name: -1})
