"""Messages fit, and what strangers wrote in them does nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowbuild.bot.adapters.fitting import JOINER, clean, fit, shortened, tame
from flowbuild.bot.adapters.matrix_text import MOST as MATRIX_MOST
from flowbuild.bot.adapters.matrix_text import content_of
from flowbuild.bot.adapters.slack_blocks import content_of as slack_content_of
from flowbuild.bot.adapters.telegram_html import html_of
from flowbuild.bot.messages import Button, Choices, Code, Message, Span, Table, Text, Tone
from flowbuild.testing import slack, telegram

TEXT = st.text(max_size=200)
SPAN = st.builds(Span, TEXT, st.sampled_from(["", "https://ci.example/?a=1&b=<"]), st.booleans(), st.booleans())
BLOCK = st.one_of(
    st.builds(Text, st.lists(SPAN, max_size=4)),
    st.builds(Code, st.lists(TEXT, max_size=30), st.sampled_from(["", "diff"])),
    st.builds(Table, st.lists(TEXT, max_size=3), st.lists(st.lists(TEXT, max_size=4), max_size=20)),
    st.builds(Choices, st.lists(TEXT, max_size=9)),
)
BUTTON = st.builds(Button, TEXT, st.text(min_size=1, max_size=300), st.booleans())
MESSAGE = st.builds(
    Message,
    st.text(max_size=1000),
    st.sampled_from(Tone),
    st.sampled_from(["", "https://ci.example"]),
    st.lists(BLOCK, max_size=8),
    st.lists(BUTTON, max_size=30),
)


@pytest.mark.parametrize(
    ("text", "looks"),
    [
        ("@room", f"@{JOINER}room"),
        ("https://evil.example", f"https:{JOINER}//evil.{JOINER}example"),
        ("www.evil.example", f"www.{JOINER}evil.{JOINER}example"),
        ("1.2.3, a@b, x.", "1.2.3, a@b, x."),
    ],
)
def test_what_looks_like_a_name_or_an_address_is_broken(text, looks):
    assert tame(text) == looks
    assert tame(text).replace(JOINER, "") == text


@given(TEXT)
def test_a_clean_text_is_one_line_that_can_be_sent(text):
    assert len(clean(text).splitlines()) <= 1
    clean(text).encode()


@given(MESSAGE, st.integers(0, 500))
def test_what_is_cut_says_so(message, most):
    cut = shortened(message, most)
    if list(cut.blocks) != list(message.blocks):
        assert "cut here" in cut.blocks[-1].spans[0].text


@given(MESSAGE)
def test_every_message_fits_into_matrix(message):
    import json

    content = content_of(message)
    assert len(json.dumps(content).encode()) <= MATRIX_MOST + 400 * len(message.buttons)


@given(MESSAGE)
def test_every_message_is_one_that_slack_takes(message):
    slack.check(slack_content_of(message))


@given(MESSAGE)
def test_every_message_is_one_that_telegram_takes(message):
    text, entities = telegram.parse(html_of(message, {}))
    assert 0 < len(text.encode("utf-16-le")) // 2 <= 4096
    assert not [kind for kind, _, _ in entities if kind not in {"b", "a", "code", "pre"}]


def test_a_message_that_fits_is_left_alone():
    message = Message("t", blocks=[Code(["a"])])
    assert fit(message, lambda _: 10, 10) is message
    assert fit(message, lambda each: 11 if each.blocks else 1, 10).blocks == ()
