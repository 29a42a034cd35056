"""What is said in e-mails and in webhooks, and that nothing in it is more than text."""

import json
from dataclasses import replace
from email import message_from_bytes
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowbuild.core.notifying import News, NewsKind, StepNews
from flowbuild.senders.letter import composed, mailbox
from flowbuild.services.dispatching import ChannelKind, Item, Parcel
from flowbuild.services.mail_text import letter_of
from flowbuild.services.webhook_body import body_of

SCHEMA = json.loads((Path(__file__).parents[3] / "schema/notification.schema.json").read_text())
STEP = StepNews("unit[py=3.13]", "failed", "2 tests failed", 1, ("E   assert 1 == 2", "FAILED test_a.py::test_b"))
NEWS = News(
    NewsKind.FAILED,
    1.8e9,
    project="team/app",
    pipeline="release",
    run="01RUN",
    number=12,
    branch="main",
    commit="0123456789abcdef",
    subject="Fix the parser",
    author="ann@example.org",
    actor="bob",
    url="https://flow.example/runs/01RUN",
    seconds=200.0,
    steps=(STEP,),
)
HERE = "https://flow.example"
TEXTS = st.text(max_size=300)


def parcel(*news, **more):
    items = tuple(Item(f"01MESSAGE{number}", each) for number, each in enumerate(news or (NEWS,)))
    given_ = {"id": "01J", "kind": ChannelKind.EMAIL, "channel": "qa", "target": "ann@example.org, bob@example.org"}
    return Parcel(**{**given_, "items": items, "project": "team/app", **more})


class Page(HTMLParser):
    """The tags of a page, and where its links lead."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.text = set(), set(), ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.links |= {value for name, value in attributes if name in ("href", "src")}
        assert all(name in ("href", "style") for name, _ in attributes)

    def handle_data(self, data):
        self.text += data


def test_a_run_that_failed():
    letter = letter_of(parcel(), HERE)
    assert letter.subject == "[team/app] release #12 failed on main"
    assert letter.to == ("ann@example.org", "bob@example.org")
    assert (letter.id, letter.thread, letter.at) == ("01J", "01MESSAGE0", 1.8e9)
    assert letter.text == (
        "release #12 failed on main\n"
        "Commit: 0123456789 Fix the parser\n"
        "Author: ann@example.org\n"
        "Begun by: bob\n"
        "Took: 3m 20s\n"
        "\n"
        "unit[py=3.13]: failed, exit code 1 (2 tests failed)\n"
        "    E   assert 1 == 2\n"
        "    FAILED test_a.py::test_b\n"
        "\n"
        "https://flow.example/runs/01RUN\n"
        "\n"
        "-- \n"
        "You are told this by the channel qa of team/app.\n"
        "https://flow.example/projects/team%2Fapp?tab=notifications&channel=qa\n"
    )
    page = Page(letter.html)
    assert page.links == {
        "https://flow.example/runs/01RUN",
        "https://flow.example/projects/team%2Fapp?tab=notifications&channel=qa",
    }
    assert letter.unsubscribe == ""
    assert "E   assert 1 == 2\nFAILED test_a.py::test_b" in page.text


@pytest.mark.parametrize("kind", NewsKind)
def test_every_kind_has_words(kind):
    made = parcel(replace(NEWS, kind=kind, node="n1"))
    assert letter_of(made, HERE).subject
    assert json.loads(body_of(made))["type"].endswith(kind) or kind is NewsKind.NODE_LOST


def test_a_lost_machine():
    letter = letter_of(parcel(News(NewsKind.NODE_LOST, 5.0, node="n1", message="not heard of for 60 s")), HERE)
    assert letter.subject == "[team/app] machine n1 is lost"
    assert "Why: not heard of for 60 s" in letter.text


def test_a_digest_is_one_mail():
    ok = replace(NEWS, kind=NewsKind.RECOVERED, number=13, steps=())
    letter = letter_of(parcel(NEWS, NEWS, ok, digest=True), HERE)
    assert letter.subject == "[team/app] 3 in a digest: 2 failed, 1 recovered"
    assert letter.thread == ""
    assert letter.text.count("release #12 failed on main") == 2
    assert "release #13 recovered on main" in letter.text
    assert "assert 1 == 2" not in letter.text  # whoever wants to know looks at the run


def test_a_digest_of_one_thing():
    assert letter_of(parcel(digest=True), HERE).subject == "[team/app] 1 in a digest: 1 failed"


def test_a_person_hears_of_several_projects():
    letter = letter_of(parcel(NEWS, replace(NEWS, project="other"), project="", digest=True), HERE)
    assert letter.subject == "[flow] 2 in a digest: 2 failed"
    assert "team/app: release #12 failed on main" in letter.text
    assert "other: release #12 failed on main" in letter.text
    assert letter_of(parcel(project=""), HERE).subject == "[team/app] release #12 failed on main"


def test_a_channel_of_a_person_and_a_test_of_it():
    tried = parcel(News(NewsKind.SUCCEEDED, 1.0, message="ann tries the channel qa"), project="", test=True)
    letter = letter_of(tried, HERE)
    assert letter.subject == "[flow] a test of this channel"
    assert "ann tries the channel qa" in letter.text
    assert letter.text.endswith("by the channel qa.\nhttps://flow.example/account?tab=notifications&channel=qa\n")
    assert letter.unsubscribe == "https://flow.example/account?tab=notifications"
    assert json.loads(body_of(tried))["type"] == "test"
    jsonschema.validate(json.loads(body_of(tried)), SCHEMA)


def test_what_is_long_is_shortened():
    steps = tuple(replace(STEP, key=f"s{number}", lines=["x" * 100_000] * 100) for number in range(300))
    made = parcel(replace(NEWS, steps=steps, branch="b" * 10_000, subject="s" * 10_000, message="m" * 10_000))
    letter = letter_of(made, HERE)
    assert "… and 280 more steps" in letter.text
    assert len(letter.text) < 200_000
    assert len(body_of(made)) < 2_000_000
    assert json.loads(body_of(made))["data"]["more_steps"] == 250


@pytest.mark.parametrize("url", ["javascript:alert(1)", "https://a\r\nb", "data:text/html,x", "//x", ""])
def test_a_link_leads_to_a_page_and_nowhere_else(url):
    assert Page(letter_of(parcel(replace(NEWS, url=url)), HERE).html).links == {
        f"{HERE}/projects/team%2Fapp?tab=notifications&channel=qa"
    }


HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=y>\"' & </pre></div>\r\nBcc: evil@example.org\r\n\r\n\x1b[2J\u202e"
)


def test_hostile_text_is_text():
    step = StepNews(HOSTILE, HOSTILE, HOSTILE, 1, (HOSTILE,))
    news = replace(
        NEWS, pipeline=HOSTILE, branch=HOSTILE, subject=HOSTILE, author=HOSTILE, actor=HOSTILE, steps=(step,)
    )
    letter = letter_of(parcel(news, channel=HOSTILE, project=HOSTILE), HERE)
    page = Page(letter.html)
    assert page.tags <= {"html", "body", "div", "p", "a", "b", "pre"}
    assert "<script>alert(1)</script>" in page.text
    assert not set("\x1b\u202e\r") & set(letter.text + letter.html)
    assert "Bcc" not in message_from_bytes(composed(letter, mailbox("flow@example.org")))


def test_negative_control_a_tag_that_is_not_escaped_is_seen():
    assert "script" in Page("<p><script>alert(1)</script></p>").tags


@given(st.builds(News, st.sampled_from(NewsKind), st.floats(0, 4e9), *[TEXTS] * 3, st.integers(0, 10**9), *[TEXTS] * 6,
    st.none() | st.floats(0, 1e9), st.lists(st.builds(StepNews, TEXTS, TEXTS, TEXTS, st.none() | st.integers(0, 255),
    st.lists(TEXTS, max_size=3)), max_size=3), TEXTS, TEXTS), st.booleans(), st.booleans())  # fmt: skip
def test_any_news(news, digest, test):
    test = test and not digest
    made = parcel(news, news, digest=True) if digest else parcel(news, test=test)
    letter = letter_of(made, HERE)
    composed(letter, mailbox("flow@example.org"))
    assert Page(letter.html).tags <= {"html", "body", "div", "p", "a", "b", "pre"}
    said = json.loads(body_of(made))
    jsonschema.validate(said, SCHEMA)
    assert (said["type"] == "test") is test
    assert body_of(made) == body_of(made)


def test_the_body_of_a_webhook():
    assert json.loads(body_of(parcel())) == {
        "type": "run.failed",
        "timestamp": "2027-01-15T08:00:00.000Z",
        "channel": "qa",
        "data": {
            "run": {
                "id": "01RUN",
                "number": 12,
                "project": "team/app",
                "pipeline": "release",
                "url": "https://flow.example/runs/01RUN",
                "branch": "main",
                "commit": "0123456789abcdef",
                "subject": "Fix the parser",
                "author": "ann@example.org",
                "actor": "bob",
                "seconds": 200.0,
            },
            "steps": [
                {
                    "key": "unit[py=3.13]",
                    "outcome": "failed",
                    "message": "2 tests failed",
                    "exit_code": 1,
                    "lines": ["E   assert 1 == 2", "FAILED test_a.py::test_b"],
                }
            ],
            "more_steps": 0,
            "message": "",
            "at": "2027-01-15T08:00:00.000Z",
        },
    }


@pytest.mark.parametrize(
    ("key", "value"),
    [("type", "run.exploded"), ("timestamp", "yesterday"), ("data", {}), ("data", {"message": ""}), ("channel", None)],
)
def test_negative_control_the_schema_refuses_other_bodies(key, value):
    said = json.loads(body_of(parcel()))
    jsonschema.validate(said, SCHEMA)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**said, key: value}, SCHEMA)
