"""Live logs for many readers: each part is looked for and put into messages once."""

import asyncio
import json
import threading
from dataclasses import replace

import pytest

from flowbuild.api.log_messages import KEPT, LogMessages
from flowbuild.client.base import LogChunk
from flowbuild.core.errors import StoreError
from flowbuild.core.ids import RunId
from flowbuild.services.client import LogPlace
from flowbuild.services.looking import LogLook

PLACE = LogPlace(RunId("r"), "a", 1)
LIMIT = 60


class Log:
    """A `Looking` with one log, which waits in its thread until it is let through."""

    def __init__(self, data=b""):
        self.data, self.looks, self.open = data, [], threading.Event()
        self.open.set()
        self.began = threading.Semaphore(0)

    def log(self, run, step, attempt, offset, service):
        self.looks.append(offset)
        found = self.data[offset:]
        self.began.release()
        assert self.open.wait(LIMIT)
        if offset > 10**6:
            raise StoreError("away")
        chunks = [LogChunk("a", 1, "main", "stdout", 5, found, offset, 1)] if found else []
        return LogLook(chunks, 1, offset + len(found), ended=False, interrupted=False)


def text_of(messages):
    lines = messages.decode().splitlines()
    return "".join(json.loads(line.removeprefix("data: "))["text"] for line in lines if line.startswith("data: "))


async def test_who_asks_at_the_same_time_shares_a_look():
    log = Log(b"one two")
    messages = LogMessages(log)
    answers = await asyncio.gather(*(messages.look(PLACE, 1) for _ in range(50)))
    assert log.looks == [0]
    assert {text_of(data) for _, data in answers} == {"one two"}
    assert {(found.offset, found.chunks) for found, _ in answers} == {(7, ())}
    assert answers[0][1].endswith(b"\nid: 1:7\n\n")
    await messages.look(replace(PLACE, service="main"), 1)  # the control: another one asks for something else
    assert log.looks == [0, 0]


async def test_what_came_after_a_look_began_is_seen_by_who_knows_of_it():
    log = Log()
    messages = LogMessages(log)
    log.open.clear()
    before = asyncio.create_task(messages.look(PLACE, 1))
    await asyncio.to_thread(log.began.acquire)
    log.data = b"new"
    after = asyncio.create_task(messages.look(PLACE, 2))
    await asyncio.to_thread(log.began.acquire)
    log.open.set()
    assert (await before)[1] == b""
    assert text_of((await after)[1]) == "new"


async def test_who_comes_later_gets_what_was_read_and_the_end_is_looked_at_again():
    log = Log(b"some")
    messages = LogMessages(log)
    await messages.look(PLACE, 1)
    assert text_of((await messages.look(PLACE, 2))[1]) == "some"
    assert log.looks == [0]
    end = replace(PLACE, offset=4)
    assert (await messages.look(end, 2))[1] == b""
    log.data += b" more"
    assert text_of((await messages.look(end, 3))[1]) == " more"


async def test_what_is_kept_is_bounded():
    log = Log(b"x" * 100)
    messages = LogMessages(log)
    for offset in range(KEPT + 1):
        await messages.look(replace(PLACE, offset=offset), 1)
    await messages.look(PLACE, 1)
    assert log.looks == [*range(KEPT + 1), 0]


async def test_the_latest_attempt_may_be_another_one_next_time():
    log = Log(b"some")
    messages = LogMessages(log)
    for _ in range(2):
        await messages.look(replace(PLACE, attempt=None), 1)
    assert log.looks == [0, 0]


async def test_who_gives_up_takes_nothing_from_the_others_and_an_error_is_for_all():
    log = Log(b"some")
    messages = LogMessages(log)
    log.open.clear()
    gone, stays = (asyncio.create_task(messages.look(PLACE, 1)) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    log.open.set()
    assert text_of((await stays)[1]) == "some"
    wrong = [messages.look(replace(PLACE, offset=10**6 + 1), 1) for _ in range(3)]
    for error in await asyncio.gather(*wrong, return_exceptions=True):
        with pytest.raises(StoreError):
            raise error
