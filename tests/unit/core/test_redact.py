"""Masking: nothing of a secret comes out, nothing else changes, however the stream is cut."""

import base64
import json
import time
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flowbuild.core.errors import InvalidRequest
from flowbuild.core.redact import MASK, Redactor, check_secrets, weak_secrets

PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEF\nAASCBKcwggSjAgEAAoIBAQC7VJTU\nt9Us8cKj\n-----END PRIVATE KEY-----\n"


def masked(secrets: dict[str, str], *chunks: bytes) -> bytes:
    redactor = Redactor(secrets)
    return b"".join([*map(redactor.feed, chunks), redactor.flush()])


def test_without_secrets_the_same_object_comes_back():
    redactor = Redactor({})
    data = b"anything"
    assert redactor.feed(data) is data
    assert redactor.flush() == b""


@pytest.mark.parametrize("value", ["", "abc", "  ab\n"])
def test_too_short_is_refused_by_name_not_by_value(value):
    with pytest.raises(InvalidRequest, match="secret TOKEN has fewer than 4") as caught:
        Redactor({"TOKEN": value})
    assert value == "" or value not in caught.value.message


@pytest.mark.parametrize("value", ["bytes \udcff", "nul \0 inside"])
def test_what_no_environment_can_hold_is_refused(value):
    with pytest.raises(InvalidRequest, match="secret TOKEN is not text") as caught:
        check_secrets({"TOKEN": value})
    assert value not in caught.value.message


def test_a_whole_text():
    redactor = Redactor({"P": "hunter2"})
    redactor.feed(b"hunt")  # a stream that goes on meanwhile
    assert redactor.text("it is hunter2, says hun\udcff") == "it is ***, says hun\udcff"
    assert redactor.feed(b"er2") + redactor.flush() == b"***"


def test_weak_secrets_are_named():
    assert weak_secrets({"A": "hunter2", "B": "long enough", "C": "12345678"}) == ("A",)


def test_masks_exactly():
    assert masked({"P": "hunter2"}, b"pw=hunter2! hunter hunter3 unter2") == b"pw=***! hunter hunter3 unter2"


def test_touching_occurrences_are_two_masks_overlapping_ones_are_one():
    assert masked({"P": "abab"}, b"abababab-ababab") == b"***-***"
    assert masked({"P": "abcd"}, b"abcdabcd") == b"******"
    assert masked({"A": "abcdef", "B": "defghi"}, b"xabcdefghix") == b"x***x"


def test_longest_match_wins():
    secrets = {"A": "password", "B": "password-of-the-admin"}
    assert masked(secrets, b"password-of-the-admin password-of") == b"*** ***-of"


def test_tail_is_held_only_while_it_can_begin_a_secret():
    redactor = Redactor({"P": "hunter2"})
    assert redactor.feed(b"a line\n") == b"a line\n"
    assert redactor.feed(b"say hunt") == b"say "
    assert redactor.feed(b"ing\n") == b"hunting\n"
    assert redactor.feed(b"hunter") == b""
    assert redactor.feed(b"2") == b"***"
    assert redactor.feed(b"hunter") == b""
    assert redactor.flush() == b"hunter"


def test_fork_shares_nothing_but_the_secrets():
    one = Redactor({"P": "hunter2"})
    one.feed(b"hunt")
    two = one.fork()
    assert two.feed(b"er2 hunter2") + two.flush() == b"er2 ***"


SECRET = "p4ss/w+rd?\"with' ünicode~>>>???"
ENCODED = {
    "plain": SECRET.encode(),
    "hex": SECRET.encode().hex().encode(),
    "HEX": SECRET.encode().hex().upper().encode(),
    "url": quote(SECRET, safe="").encode(),
    "url path": quote(SECRET).encode(),
    "url lower": quote(SECRET, safe="").replace("%2F", "%2f").encode(),
    "json": json.dumps(SECRET)[1:-1].encode(),
    "json utf-8": json.dumps(SECRET, ensure_ascii=False)[1:-1].encode(),
    "shell": SECRET.replace("'", "'\\''").encode(),
}


@pytest.mark.parametrize("form", [name for name in ENCODED if name != "url lower"])
def test_encodings(form):
    assert masked({"S": SECRET}, b"<" + ENCODED[form] + b">") == b"<***>"


def test_percent_encoding_in_lower_case():
    lower = "".join(
        f"%{b:02x}" if chr(b) not in "abcdefghijklmnopqrstuvwxyz0123456789~" else chr(b) for b in SECRET.encode()
    )
    assert masked({"S": SECRET}, lower.encode()) == MASK


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("prefix", ["", "u", "us", "usr"])
@pytest.mark.parametrize("suffix", ["", "\n", ":", ":x", ":xy"])
def test_base64_at_every_offset(encode, prefix, suffix):
    text = encode((prefix + SECRET + suffix).encode())
    for form in (text, text.rstrip(b"=")):
        out = masked({"S": SECRET}, form)
        assert MASK in out
        # What remains is the foreign data and at most one character on each side that holds bits of both.
        assert len(out.replace(MASK, b"")) <= -(-len(prefix) * 8 // 6) + -(-len(suffix) * 8 // 6) + 3


def test_base64_alone_leaves_nothing():
    for tail in (b"", b"\n"):
        assert masked({"S": SECRET}, base64.b64encode(SECRET.encode() + tail)) == MASK


def test_wrapped_base64():
    long = "".join(f"{n:03}-" for n in range(60))
    wrapped = base64.encodebytes(long.encode())
    assert set(masked({"S": long}, wrapped)) <= set(b"*\n")


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_pem_whole_and_by_line(newline):
    text = PEM.strip().replace("\n", newline)
    assert masked({"KEY": PEM}, text.encode()) == MASK
    prefixed = "".join(f"| {line}{newline}" for line in text.splitlines()).encode()
    out = masked({"KEY": PEM}, prefixed)
    assert out.count(MASK) == 3
    assert b"BEGIN PRIVATE KEY" in out  # the frame says nothing
    assert b"MIIE" not in out
    assert masked({"KEY": PEM}, json.dumps(text).encode()) == b'"***"'


def test_periodic_secret_takes_linear_time_and_bounded_memory():
    redactor = Redactor({"A": "a" * 1000})
    began = time.perf_counter()
    out = b"".join(redactor.feed(b"a" * 65536) for _ in range(64)) + redactor.flush()
    assert out == MASK
    assert len(redactor._held) < 2000
    assert time.perf_counter() - began < 20  # quadratic would take hours


def naive(secrets: dict[str, str], data: bytes) -> bytes:
    """Mark every occurrence of every form, then write one mask for each chain."""
    ends = {}
    for form in Redactor(secrets)._tables.forms:
        at = data.find(form)
        while at >= 0:
            ends[at] = max(ends.get(at, 0), at + len(form))
            at = data.find(form, at + 1)
    out, until = bytearray(), 0
    for at, byte in enumerate(data):
        if at in ends:
            if at >= until:
                out += MASK
            until = max(until, ends[at])
        if at >= until:
            out.append(byte)
    return bytes(out)


small = st.text("ab/\n", min_size=4, max_size=9).filter(lambda s: len(s.strip()) >= 4)


@settings(max_examples=400, deadline=None)
@given(
    st.dictionaries(st.sampled_from("STU"), small, max_size=3),
    st.lists(st.one_of(st.text("ab/\n", max_size=12).map(str.encode), st.binary(max_size=4)), max_size=12),
    st.data(),
)
@example({"S": "abab"}, [b"ab", b"ababab", b"a"], None)
def test_any_chunking_gives_what_the_whole_gives(secrets, chunks, data):
    if data is not None and secrets:
        forms = st.sampled_from(Redactor(secrets)._tables.forms)
        chunks = [*chunks, *data.draw(st.lists(forms, max_size=3))]
    whole = b"".join(chunks)
    expected = naive(secrets, whole)
    assert masked(secrets, *chunks) == expected
    assert masked(secrets, whole) == expected
    assert masked(secrets, *(whole[i : i + 1] for i in range(len(whole)))) == expected


@settings(max_examples=200, deadline=None)
@given(
    st.text(st.characters(codec="utf-8", exclude_characters="*"), min_size=4, max_size=40).filter(
        lambda s: len(s.strip()) >= 4
    ),
    st.binary(max_size=30),
    st.binary(max_size=30),
    st.lists(st.integers(1, 20), max_size=20),
)
def test_no_form_of_any_secret_is_in_the_output(secret, before, after, sizes):
    redactor = Redactor({"S": secret})
    for form in redactor._tables.forms:
        stream = before + form + after
        stream = stream.replace(b"*", b"+")
        chunks, at = [], 0
        for size in [*sizes, len(stream)]:
            chunks.append(stream[at : at + size])
            at += size
        out = b"".join([*map(redactor.feed, chunks), redactor.flush()])
        assert not any(other in out for other in redactor._tables.forms if b"*" not in other)
        redactor = redactor.fork()
