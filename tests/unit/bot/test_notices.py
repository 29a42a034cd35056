"""What is said unasked: one message of a run as of its newest news, the details below it, and digests."""

from dataclasses import replace

import pytest

from flowbuild.bot.commands import parse
from flowbuild.bot.messages import Tone
from flowbuild.bot.notices import detail_of, digest_of, message_of
from flowbuild.bot.printing import text_of
from flowbuild.bot.words import split
from flowbuild.core.notifying import News, NewsKind, StepNews

STARTED = News(
    NewsKind.STARTED,
    1.0,
    project="shop",
    pipeline="release",
    run="01K00000000000000000001012",
    number=12,
    branch="main",
    commit="0123456789ab",
    subject="Faster",
    actor="ann",
    url="https://flow.example.org/projects/shop/runs/12",
)
UNIT = StepNews(
    "unit", "failed", "main ended with exit code 2", 2, ("E: \x1b[31massert\x1b[0m 1 == 2", "<!channel> @room")
)
FAILED = replace(STARTED, kind=NewsKind.FAILED, at=9.0, seconds=62.0, steps=(UNIT,))


def test_the_newest_news_are_the_message():
    message = message_of([STARTED, FAILED], mention=["@ann:x"])
    assert message.title == "shop/release #12 failed on main"
    assert (message.tone, message.url, message.mention) == (Tone.BAD, STARTED.url, ("@ann:x",))
    assert "0123456 Faster · by ann · 1m 02s" in text_of(message)
    assert "unit failed (exit code 2): main ended with exit code 2" in text_of(message)
    assert message_of([STARTED]).title == "shop/release #12 is running on main"


@pytest.mark.parametrize("kind", [kind for kind in NewsKind if kind is not NewsKind.NODE_LOST])
def test_each_kind_has_words_and_buttons_that_are_commands(kind):
    message = message_of([replace(FAILED, kind=kind)])
    assert message.title.startswith("shop/release #12 ")
    for button in message.buttons:
        parse(split(button.command))


def test_details_have_the_first_failing_lines():
    detail = detail_of(FAILED)
    assert "| E: assert 1 == 2" in text_of(detail)
    assert [button.command for button in detail.buttons] == ["why shop#12", "retry shop#12 from unit"]
    assert detail_of(STARTED) is None
    assert detail_of(replace(FAILED, kind=NewsKind.RECOVERED)) is None


def test_an_approval_has_buttons_for_its_step():
    waits = replace(STARTED, kind=NewsKind.APPROVAL, steps=(StepNews("deploy", "waiting"),))
    assert [button.command for button in detail_of(waits).buttons] == [
        "approve shop#12 deploy",
        "reject shop#12 deploy",
    ]


def test_a_lost_machine():
    lost = News(NewsKind.NODE_LOST, 1.0, node="far", message="not heard for 60 s")
    assert message_of([lost]).title == "machine far is lost"
    assert detail_of(lost) is None


def test_a_digest_has_each_run_once_as_it_is_now():
    other = replace(STARTED, run="x", number=13)
    digest = digest_of([STARTED, other, FAILED])
    assert digest.title == "2 runs, 1 red"
    assert text_of(digest).count("#12") == 1
    assert "shop/release #12  failed" in text_of(digest)
