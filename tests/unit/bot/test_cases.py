"""Conversations as data: what is said, what is answered, and what the server is asked to change."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from flowbuild.bot.adapters.base import Incoming
from flowbuild.bot.brain import Brain
from flowbuild.bot.printing import text_of
from flowbuild.testing import scripted as fake

HERE = Path(__file__).parent
WORLD = yaml.safe_load((HERE / "world.yaml").read_text())
FILES = sorted((HERE / "cases").glob("*.yaml"))
CASES = [
    pytest.param(case, id=f"{file.stem}-{case['name']}") for file in FILES for case in yaml.safe_load(file.read_text())
]
KEYS = {"say", "as", "room", "direct", "after", "title", "text", "not", "asked", "told", "buttons", "press", "thread"}


def runs_of(written: dict[str, Any]) -> dict[str, Any]:
    made = {}
    for name, about in written.items():
        project, _, number = name.partition("#")
        steps = [fake.step(**each) for each in about.get("steps", ())]
        more = {**about, "steps": steps} if steps else dict(about)
        made[name] = fake.run(int(number), more.pop("state"), project, more.pop("pipeline", "release"), **more)
    return made


class Talk:
    """A brain, and all it was made of."""

    def __init__(self, case: dict[str, Any]) -> None:
        self.now, self.asked, self.told, self.senders, self.buttons = 2000.0, list[Any](), list[str](), list[str](), {}
        answers = {**WORLD["answers"], **case.get("server", {})}
        runs = runs_of({**WORLD["runs"], **case.get("runs", {})})

        def client_for(sender: str) -> Any:
            self.senders.append(sender)
            return fake.FakeClient(answers, runs, self.asked)

        async def say(room: str, thread: str, message: Any, key: str) -> None:
            self.told.append(f"{room}/{thread}: {text_of(message)}")

        rooms = case.get("rooms", {"room": "shop"})
        network = case.get("network", "matrix")
        self.brain = Brain(client_for, say, network=network, rooms=rooms, clock=lambda: self.now)

    async def turn(self, number: int, turn: dict[str, Any]) -> None:
        assert set(turn) <= KEYS, f"no such key: {set(turn) - KEYS}"
        self.asked.clear()
        self.now += turn.get("after", 1)
        sender = turn.get("as", "ann")
        said = self.buttons[turn["press"]] if "press" in turn else turn["say"]
        incoming = Incoming(
            str(number), sender, turn.get("room", "room"), said, turn.get("direct", False), turn.get("thread", "")
        )
        (message,) = (await self.brain.answer(incoming)).messages
        text = text_of(message)
        print(f"--- {said}\n{text}")
        if "title" in turn:
            assert message.title == turn["title"]
        for part in turn.get("text", ()):
            assert re.search(part, text), f"{part!r} is not in:\n{text}"
        for part in turn.get("not", ()):
            assert not re.search(part, text), f"{part!r} is in:\n{text}"
        assert self.asked == turn.get("asked", [])
        self.buttons |= {button.label: button.command for button in message.buttons}
        if "buttons" in turn:
            assert [button.label for button in message.buttons] == turn["buttons"]
        await self.brain.idle()
        told, self.told = self.told, []
        wanted = turn.get("told", [])
        assert len(told) == len(wanted), told
        for part, each in zip(wanted, told, strict=True):
            assert re.search(part, each), each


@pytest.mark.parametrize("case", CASES)
def test_conversation(case):
    async def main() -> None:
        talk = Talk(case)
        for number, turn in enumerate(case["talk"]):
            await talk.turn(number, turn)
        if "senders" in case:
            assert talk.senders == case["senders"]

    asyncio.run(main())


def test_a_case_can_fail():
    case = {"talk": [{"say": "whoami", "title": "You are somebody else"}]}
    with pytest.raises(AssertionError):
        asyncio.run(Talk(case).turn(0, case["talk"][0]))
