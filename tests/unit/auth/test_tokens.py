"""Tokens: recognisable, never twice, and what is kept of them opens nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowbuild.auth.tokens import TokenKind, fingerprint, hint, kind_of, new_token


@pytest.mark.parametrize("kind", TokenKind)
def test_tokens_say_what_they_are(kind):
    token = new_token(kind)
    assert kind_of(token) is kind
    assert len(token) == 49
    assert token.endswith(hint(token))
    assert len(hint(token)) == 4


def test_no_two_are_the_same():
    assert len({new_token(TokenKind.API) for _ in range(1000)}) == 1000


def test_what_is_kept_does_not_hold_the_token():
    token = new_token(TokenKind.RUNNER)
    assert fingerprint(token) == fingerprint(token) != fingerprint(new_token(TokenKind.RUNNER))
    assert kind_of(fingerprint(token)) is None  # a copy of the database is no credential
    assert token[6:] not in fingerprint(token)


@pytest.mark.parametrize(
    "change", [str.upper, lambda t: t + "x", lambda t: t[:-1], lambda t: f" {t}", lambda t: f"{t}\n"]
)
def test_nearly_a_token_is_none(change):
    assert kind_of(change(new_token(TokenKind.API))) is None


@given(st.text())
def test_any_text_has_an_answer(text):
    assert kind_of(text) is None or text.startswith("flow")
    assert len(fingerprint(text)) == 64
