"""Mails are what RFC 5322 wants, whatever the texts hold that strangers chose."""

import email
from email.policy import default

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowbuild.senders.letter import Letter, composed, mailbox, message_id

SENDER = mailbox("Flow <flow@ci.example.org>")
TEXTS = st.text(max_size=600)  # also surrogates, controls, other directions
KNOWN = {
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "Auto-Submitted",
    "List-Id",
    "MIME-Version",
    "Content-Type",
}


def letter(**more):
    given_ = {"id": "01J", "to": ("ann@example.org",), "subject": "s", "text": "t\n", "html": "<p>t</p>\n", "at": 1.8e9}
    return Letter(**{**given_, "thread": "01T", "list_name": ("team/app", "qa"), **more})


def parsed(made, sender=SENDER):
    return email.message_from_bytes(composed(made, sender), policy=default)


def test_its_headers():
    mail = parsed(letter(subject="release #12 failed on main"))
    assert dict(mail.items()) | {"Content-Type": ""} == {
        "From": "Flow <flow@ci.example.org>",
        "To": "ann@example.org",
        "Subject": "release #12 failed on main",
        "Date": "Fri, 15 Jan 2027 08:00:00 +0000",
        "Message-ID": "<01J@ci.example.org>",
        "In-Reply-To": "<01T@ci.example.org>",
        "References": "<01T@ci.example.org>",
        "Auto-Submitted": "auto-generated",
        "List-Id": "<qa.team-app.ci.example.org>",
        "MIME-Version": "1.0",
        "Content-Type": "",
    }


def test_a_page_on_which_one_can_end_it_is_told_as_it_is_or_not_at_all():
    pages = ["https://ci.example.org/account?tab=notifications", "https://ci.example.org/" + "a" * 51, "https://x/ü"]
    assert len(pages[1]) == 74
    told = [parsed(letter(unsubscribe=page))["List-Unsubscribe"] for page in (*pages, pages[1] + "a", "")]
    assert [each and each.strip() for each in told] == [f"<{pages[0]}>", f"<{pages[1]}>", None, None, None]
    assert f"\r\n <{pages[1]}>\r\n".encode() in composed(letter(unsubscribe=pages[1]), SENDER)


def test_what_belongs_to_no_thread_refers_to_nothing():
    mail = parsed(letter(thread=""))
    assert (mail["References"], mail["In-Reply-To"]) == (None, None)


@pytest.mark.parametrize(
    "subject",
    [
        "a\r\nBcc: victim@example.org",
        "a\nBcc: victim@example.org",
        "a\r\n\r\nbody",
        "a\x0bBcc: b@example.org\x0c\x1c\x1d\x1e\x85\u2028\u2029c",
        "x" * 100_000,
        "\N{LATIN SMALL LETTER U WITH DIAERESIS}" * 1000,
        "grün \U0001f389 \u202e gnp.exe",
        "=?utf-8?q?evil=0D=0ABcc:_x@example.org?=",
        "\ud800 half",
        "",
    ],
)
def test_no_subject_makes_another_header(subject):
    raw = composed(letter(subject=subject), SENDER)
    mail = parsed(letter(subject=subject))
    assert set(mail.keys()) <= KNOWN
    assert len(mail.get_all("To")) == 1
    assert len(mail["Subject"]) <= 200
    assert max(map(len, raw.split(b"\r\n"))) <= 78
    assert raw.isascii()


def test_negative_control_an_unguarded_header_is_seen():
    """What the test above would say if lines of a subject were put as they are."""
    mail = email.message_from_string("Subject: a\nBcc: victim@example.org\n\nbody", policy=default)
    assert not set(mail.keys()) <= KNOWN


def test_text_that_is_not_ascii_arrives():
    subject, text = "Grüße \N{SNOWMAN} 漢字", "line\n. alone\n" + "ä" * 3000 + "\n"
    mail = parsed(letter(subject=subject, text=text, html=f"<pre>{text}</pre>"))
    assert mail["Subject"] == subject
    plain, html = ((part.get_content_type(), part.get_content().replace("\r\n", "\n")) for part in mail.iter_parts())
    assert plain == ("text/plain", text)
    assert html == ("text/html", f"<pre>{text}</pre>\n")


@given(subject=TEXTS, text=TEXTS, project=TEXTS, channel=TEXTS)
def test_any_text(subject, text, project, channel):
    made = letter(subject=subject, text=text, html=text, list_name=(project, channel))
    raw = composed(made, SENDER)
    mail = email.message_from_bytes(raw, policy=default)
    assert set(mail.keys()) <= KNOWN
    assert [part.get_content_type() for part in mail.walk()] == ["multipart/alternative", "text/plain", "text/html"]
    assert max(map(len, raw.split(b"\r\n"))) <= 100
    assert not set(b"\r\n") & set(raw.replace(b"\r\n", b""))  # else mail servers disagree where a mail ends
    assert mail["Message-ID"] == "<01J@ci.example.org>"


@pytest.mark.parametrize("host", ["a.example", "long-" * 8 + "x.example.org", ("b" * 60 + ".") * 3 + "example"])
def test_ids_are_not_broken_by_long_domains(host):
    raw = composed(
        letter(id="01ARZ3NDEKTSV4RRFFQ69G5FAV", thread="01ARZ3NDEKTSV4RRFFQ69G5FAW"), mailbox(f"flow@{host}")
    )
    mail = email.message_from_bytes(raw)
    for name, id_ in (("Message-ID", "01ARZ3NDEKTSV4RRFFQ69G5FAV"), ("References", "01ARZ3NDEKTSV4RRFFQ69G5FAW")):
        assert mail[name].strip() == message_id(id_, mailbox(f"flow@{host}"))


@pytest.mark.parametrize(
    "text", ["flow@example.org", "Flow <flow@example.org>", '"Flow, the server" <flow@example.org>']
)
def test_senders(text):
    assert mailbox(text).address == "flow@example.org"


@pytest.mark.parametrize("text", ["", "flow", "Flow <flow>", "Flow\r\nX: y <flow@example.org>", "a@b.c, d@e.f"])
def test_what_is_no_sender(text):
    with pytest.raises(ValueError, match="not an address like"):
        mailbox(text)
