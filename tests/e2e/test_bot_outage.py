"""A chat network, or the bot, that is away while runs go on: nothing is lost and nothing said twice. A real Synapse, really stopped."""

import asyncio
import os
import signal
from collections import Counter
from contextlib import ExitStack

import pytest

from flowbuild.testing.home import LIMIT, Home, step
from flowbuild.testing.homeserver import Person, running
from flowbuild.testing.program import Program, Started
from flowbuild.testing.site import PROJECT, open_site

RUNS = 50
AWAY = 120 if os.environ.get("FLOW_LONG") else 5  # seconds


@pytest.fixture
def server():
    with running() as server:
        yield server


@pytest.fixture
def stack():
    with ExitStack() as stack:
        yield stack


async def people(server):
    """Return somebody, the bot and a room that they share."""
    admin, ann, bot = server.register("admin", admin=True), server.register("ann"), server.register("flow")
    for each in (ann, bot):
        server.unlimited(admin, each.user)
    person = Person(server, ann)
    room = await person.make_room(bot.user, name="Team")
    await Person(server, bot).join(room)
    return person, bot, room


def begin(stack, tmp_path, url, token, server, bot):  # noqa: PLR0917 (all that there is)
    """Start the program; it ends with the test."""
    environment = {
        "FLOW_SERVER": url,
        "FLOW_BOT_NETWORK": "matrix",
        "FLOW_BOT_TOKEN": token,
        "FLOW_MATRIX_HOMESERVER": server.url,
        "FLOW_MATRIX_TOKEN": bot.token,
        "FLOW_MATRIX_INVITES": "flow.test",
    }
    program = Started(Program(tmp_path / "bot", tmp_path, environment), "bot", limit=1000)
    stack.callback(lambda: program.process.poll() is None and program.kill())
    return program


async def news_of(person, room):
    """Return the messages of a room, their edits, and what is in their threads."""
    events = [each["content"] for each in await person.history(room) if each["type"] == "m.room.message"]
    edits = [each for each in events if each.get("m.relates_to", {}).get("rel_type") == "m.replace"]
    mains = [each for each in events if "m.relates_to" not in each]
    threads = [each for each in events if each.get("m.relates_to", {}).get("rel_type") == "m.thread"]
    return mains, edits, threads


async def judge(person, room):
    """Count what was told: of each run one message, that was edited once, and one detail in its thread."""
    mains, edits, threads = await news_of(person, room)
    edited = {each["m.relates_to"]["event_id"] for each in edits}
    detailed = {each["m.relates_to"]["event_id"] for each in threads}
    twice = max(0, len(mains) - RUNS) + len(edits) - len(edited) + len(threads) - len(detailed)
    lost = 3 * RUNS - min(RUNS, len(mains)) - len(edited) - len(detailed)
    print(f"{len(mains)} messages, {len(edits)} edits, {len(threads)} details; lost {lost}, twice {twice}")
    assert (len(mains), len(edits), len(threads), lost, twice) == (RUNS, RUNS, RUNS, 0, 0)
    assert all("fail" in each["m.new_content"]["body"] for each in edits)
    assert all("the first line that says why" in each["body"] for each in threads)


@pytest.mark.parametrize("gone", ["the homeserver", "the bot"])
async def test_no_news_are_lost_or_doubled_while_somebody_is_away(server, stack, tmp_path, gone):
    home = Home(tmp_path)
    home.write({"build": step(exit=1, log="the first line that says why")})
    person, bot, room = await people(server)
    async with open_site(home) as site:
        await site.add_project(home)
        token = (await site.post("/api/v1/bots", "admin", json={"name": "matrix", "network": "matrix"})).json()["token"]
        channel = {
            "name": "team",
            "kind": "matrix",
            "target": room,
            "rule": {"on": ["started", "failed", "still_failing"]},
        }
        answer = await site.post(f"/api/v1/projects/{PROJECT}/channels", "maintainer", json=channel)
        assert answer.status_code == 201, answer.text
        program = begin(stack, tmp_path, site.url, token, server, bot)
        await asyncio.to_thread(program.wait_for, "bot on matrix")

        async def run():
            made = await site.post(f"/api/v1/projects/{PROJECT}/pipelines/test/runs", "developer", json={})
            assert made.status_code == 201, made.text
            await site.life.finished(made.json()["id"])

        for _ in range(5):
            await run()
        if gone == "the bot":
            program.kill()  # -9, at whatever it was
        else:
            server.stop()
        stopped = asyncio.get_running_loop().time()
        for _ in range(RUNS - 10):
            await run()
        took = asyncio.get_running_loop().time() - stopped
        await asyncio.sleep(max(0, AWAY - took))  # the outage is to last: that is what is tested
        if gone == "the bot":
            program = begin(stack, tmp_path, site.url, token, server, bot)
        else:
            server.start()
        for _ in range(5):
            await run()

        async def waiting():
            page = (
                await site.get(f"/api/v1/projects/{PROJECT}/channels/team/dispatches?limit=200", "maintainer")
            ).json()
            return [each["state"] for each in page["items"]]

        async with asyncio.timeout(LIMIT + AWAY):
            await person.wait(room, lambda events: _told(events) >= 3 * RUNS)
            while "waiting" in (states := await waiting()):  # noqa: ASYNC110 (the bot settles what it has said; nobody tells)
                await asyncio.sleep(0.05)
        assert Counter(states) == {"sent": 2 * RUNS}
        print(f"\n{RUNS} runs, {RUNS - 10} of them while {gone} was away for {max(took, AWAY):.0f} s: ", end="")
        await judge(person, room)
        program.process.send_signal(signal.SIGTERM)
        output = await asyncio.to_thread(program.end)
        assert output.code == 0, output.text


def _told(events):
    return sum(1 for each in events if each["type"] == "m.room.message")
