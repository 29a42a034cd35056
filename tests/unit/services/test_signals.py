"""Wake-ups: none is missed, none is for ever remembered, and what one process notifies and says others hear."""

import asyncio

import pytest

from flowbuild.services import signals as module
from flowbuild.services.signals import Signals


async def woken(signals, topic, token):
    return await signals.wait(topic, token, 0)


async def test_a_change_between_look_and_wait_is_not_missed():
    signals = Signals()
    before = signals.token("a")
    assert not await woken(signals, "a", before)
    signals.notify("b")
    assert not await woken(signals, "a", before)
    signals.notify("a", "b")
    assert await woken(signals, "a", before)
    assert not await woken(signals, "a", signals.token("a"))


async def test_who_waits_goes_on():
    signals = Signals()
    waiting = asyncio.create_task(signals.wait("a", signals.token("a")))
    await asyncio.sleep(0)
    await asyncio.to_thread(signals.notify, "a")
    assert await waiting


async def test_everybody_is_woken():
    signals = Signals()
    token = signals.token("looked at, not waited for")
    waiting = asyncio.create_task(signals.wait("a", signals.token("a")))
    await asyncio.sleep(0)
    signals.notify_all()
    assert await waiting
    assert await woken(signals, "looked at, not waited for", token)


async def test_topics_are_forgotten_and_no_change_is(monkeypatch):
    monkeypatch.setattr(module, "LIMIT", 10)
    signals = Signals()
    signals.notify("mine")
    old, new = signals.token("mine"), signals.token("new")
    waiting = asyncio.create_task(signals.wait("mine", old))
    await asyncio.sleep(0)
    for number in range(25):
        signals.notify(f"run:{number}")
    assert len(signals._versions) <= 10
    assert await woken(signals, "new", new)  # needless, and harmless
    signals.notify("mine")
    assert await waiting
    assert not signals._waiting


async def test_a_follower_gets_each_topic_once():
    signals = Signals()
    signals.notify("run:0")
    with signals.follow("run:", "runner:") as following:
        signals.notify("run:1", "log:1")
        signals.notify("run:1", "runner:2")
        assert await following.changed() == {"run:1", "runner:2"}
        waiting = asyncio.create_task(following.changed())
        await asyncio.sleep(0)
        signals.notify("log:3")
        await asyncio.to_thread(signals.notify, "run:3")
        assert await waiting == {"run:3"}
        signals.notify("run:4")
        signals.notify_all()
        assert await following.changed() is None
    signals.notify("run:5")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await following.changed()


async def changed(signals, topic, act):
    """Whether something about a topic changes by what `act` does."""
    token = signals.token(topic)
    act()
    return await signals.wait(topic, token, 0)


def connected():
    """Return two that hear each other."""
    one, two = Signals(), Signals()
    one.share(lambda news: two.hear([*news]))
    two.share(lambda news: one.hear([*news]))
    return one, two


async def test_what_changes_here_changes_there():
    one, two = connected()
    assert await changed(two, "t", lambda: one.notify("t", "u"))
    assert not await changed(two, "t", lambda: one.notify("u"))
    assert not await changed(two, "t", one.notify_all)  # it says only that somebody else changed something
    assert await changed(one, "t", lambda: two.notify("t"))


async def test_the_last_word_counts_and_an_empty_one_is_none():
    one, two = connected()
    assert await changed(two, "phase", lambda: one.say("phase", "a", "pull"))
    one.say("phase", "b", "run")
    two.say("phase", "a", "run")
    assert one.said("phase") == two.said("phase") == {"a": "run", "b": "run"}
    one.say("phase", "a", "")
    two.say("phase", "b", "")
    assert one.said("phase") == two.said("phase") == {}
    assert not one._words
    assert not two._words
