"""Messages between servers: what goes in comes out, in as few as fit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowbuild.store import telling
from flowbuild.store.owners import EVERYBODY
from flowbuild.store.telling import LIMIT, Mailbox, messages, read

ME, OTHER = "0" * 16, "1" * 16
WORDS = st.text(max_size=100)


@given(st.lists(st.tuples(WORDS, WORDS, WORDS), max_size=60))
def test_all_arrives_in_messages_that_postgresql_takes(news):
    made = messages(ME, news)
    assert [each for message in made for each in read(message, OTHER)] == news
    assert all(len(message.encode()) < 8000 for message in made)
    assert all(not read(message, ME) for message in made)  # nobody hears himself


def test_many_go_together():
    news = [(f"run:{n:026d}", "", "") for n in range(500)]
    assert len(messages(ME, news)) == 1 + 500 * 40 // LIMIT


@pytest.mark.parametrize(("payload", "told"), [(ME, None), (EVERYBODY, None), (OTHER, ())])
def test_to_look_at_everything(payload, told):
    assert read(payload, ME) == told


def test_a_mailbox_keeps_the_newest_word(monkeypatch):
    box = Mailbox()
    box.put([("t", "", ""), ("p", "a", "pull")])
    box.put([("p", "a", "run"), ("t", "", "")])
    (message,) = box.take(ME)
    assert read(message, OTHER) == [("t", "", ""), ("p", "a", "run")]
    assert box.take(ME) == []
    box.fail()
    assert box.take(ME) == [EVERYBODY]
    monkeypatch.setattr(telling, "MOST", 10)
    box.put((f"topic {n}", "", "") for n in range(11))
    assert box.take(ME) == [EVERYBODY]
    assert box.take(ME) == []
