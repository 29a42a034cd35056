"""Whatever is said and whatever the server answers: a message that is safe to show, and no exception. FLOW_FUZZ=1: all 10,000."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowbuild.bot.adapters.base import Incoming
from flowbuild.bot.brain import Brain
from flowbuild.bot.messages import Choices, Code, Message, Table, Text
from flowbuild.bot.notices import detail_of, digest_of, message_of
from flowbuild.bot.printing import text_of
from flowbuild.bot.replies import parts
from flowbuild.core.states import StepState

_spec = importlib.util.spec_from_file_location("guesses", Path(__file__).with_name("guesses.py"))
guesses = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(guesses)

MESSAGES = 10_000 if os.environ.get("FLOW_FUZZ") else 1000
MOST_SHOWN = 20_000  # characters of all that one message shows


def texts(message: Message) -> Iterator[str]:
    """Yield every text that a network would show or send."""
    yield message.title
    for block in message.blocks:
        match block:
            case Text(spans=spans):
                yield from (span.text for span in spans)
            case Code(lines=lines):
                yield from lines
            case Table(head=head, rows=rows):
                yield from head
                yield from (cell for row in rows for cell in row)
            case Choices(items=items):
                yield from items
    for button in message.buttons:
        yield from (button.label, button.command)


def check(message: Message) -> None:
    shown = list(texts(message))
    for text in shown:
        assert text.isprintable(), text
        text.encode()
    assert sum(map(len, shown)) < MOST_SHOWN, message.title
    text_of(message)


async def fuzz(seed: int, count: int) -> tuple[float, str, Counter[str]]:
    """Say so many messages; return how long the slowest took and what it was."""
    guesser, now, told = guesses.Guesser(seed), 1_700_000_000.0, list[Message]()

    async def say(room: str, thread: str, message: Message, key: str) -> None:
        told.append(message)

    server: Any = guesses.GuessedServer(guesser)
    brain = Brain(lambda _: server, say, network="matrix", rooms={"x": "shop"}, clock=lambda: now)
    slowest, what, titles = 0.0, "", Counter[str]()
    for number in range(count):
        now += guesser.random.choice([0.1, 1, 60, 900])
        who, room = guesser.random.choice("abc"), guesser.random.choice("xy")
        text = guesser.message()
        incoming = Incoming(str(number), who, room, text, direct=room == "x", sender_name=guesser.text())
        begin = time.perf_counter()
        messages = (await brain.answer(incoming)).messages
        took = time.perf_counter() - begin
        if took > slowest:
            slowest, what = took, f"{text[:60]!r} ({len(text)} characters)"
        for message in messages:
            check(message)
            titles[message.title[:25]] += 1
            guesser.heard += [button.command for button in message.buttons]
    await brain.idle()
    for message in told:
        check(message)
    return slowest, what, titles


def test_nothing_that_is_said_or_answered_is_a_fault():
    slowest, what, titles = asyncio.run(fuzz(1, MESSAGES))
    print(f"\n{MESSAGES} messages, exceptions: 0, slowest: {slowest * 1000:.1f} ms for {what}")
    print(f"{len(titles)} kinds of answers: {titles.most_common(12)}")
    assert len(titles) > MESSAGES / 100, "it says the same all the time: the guesses reach nothing"


def test_whatever_is_new_is_a_message():
    guesser = guesses.Guesser(2)
    for _ in range(MESSAGES // 20):
        news = [guesses.news(guesser) for _ in range(guesser.random.randrange(1, 40))]
        for message in (message_of(news), detail_of(news[-1]), digest_of(news)):
            if message is not None:
                check(message)


async def fuzz_all(seeds: range) -> None:
    for seed in seeds:
        await fuzz(seed, 1000)


def test_a_planted_fault_is_found(monkeypatch):
    doing = parts.doing

    def faulty(step: Any, now: float) -> str:
        if step.state is StepState.WAITING:  # one of eight
            raise KeyError("planted")
        return doing(step, now)

    monkeypatch.setattr(parts, "doing", faulty)
    with pytest.raises(KeyError, match="planted"):
        asyncio.run(fuzz_all(range(1, 11)))  # what one seed reaches changes with the schema


def test_a_text_that_is_not_safe_is_found():
    with pytest.raises(AssertionError):
        check(Message("title\u202e"))
