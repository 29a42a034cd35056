"""`flow bot` as a program on networks whose servers are ours: it answers, tells what happened, and buttons do something."""

import asyncio
import signal
from contextlib import ExitStack

import pytest

from flowbuild.testing.home import LIMIT, Home, step
from flowbuild.testing.program import Program, Started
from flowbuild.testing.site import PROJECT, open_site
from flowbuild.testing.slack import APP_TOKEN, BOT, BOT_TOKEN, Slack
from flowbuild.testing.telegram import GROUP, TOKEN, Telegram


class OnSlack:
    room, called = "C0TEAM", "@flow"

    def __init__(self):
        self.server = Slack()

    def options(self):
        return {"FLOW_SLACK_TOKEN": BOT_TOKEN, "FLOW_SLACK_APP_TOKEN": APP_TOKEN, "FLOW_SLACK_API": self.server.api}

    async def say(self, text):
        await self.server.say(self.room, "U0ANN", f"<@{BOT}> {text}")

    async def press(self, label):
        message = next(each for each in self.mine() if "Why?" in str(each["blocks"]))
        await self.server.press(self.room, "U0ANN", message["ts"], label)

    def mine(self):
        return [each for each in self.server.channels[self.room].messages if each["user"] == BOT]

    def titles(self):
        return [each["text"] for each in self.mine()]


class OnTelegram:
    room, called = str(GROUP), "@flow_test_bot"

    def __init__(self):
        self.server = Telegram()

    def options(self):
        return {"FLOW_TELEGRAM_TOKEN": TOKEN, "FLOW_TELEGRAM_API": self.server.api}

    async def say(self, text):
        await self.server.say(GROUP, f"/{text}")

    async def press(self, label):
        sent = next(each for each in self.server.sent if any(button["text"] == "Why?" for button in each.buttons))
        await self.server.press(GROUP, sent.id, label)

    def titles(self):
        return [each.text.splitlines()[0] for each in self.server.sent if each.text]


@pytest.fixture
def stack():
    with ExitStack() as stack:
        yield stack


async def until(met):
    async with asyncio.timeout(LIMIT):
        while not met():  # noqa: ASYNC110 (another program says it when it likes)
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(("network", "side"), [("slack", OnSlack), ("telegram", OnTelegram)])
async def test_a_failed_run_is_told_and_asked_about_by_its_button(network, side, stack, tmp_path):
    here = side()
    await here.server.start()
    home = Home(tmp_path)
    home.write({"build": step(exit=1, log="the first line that says why")})
    async with open_site(home, {PROJECT}) as site:
        await site.add_project(home)
        token = (await site.post("/api/v1/bots", "admin", json={"name": "bot", "network": network})).json()["token"]
        channel = {"name": "team", "kind": network, "target": here.room, "rule": {"on": ["started", "failed"]}}
        answer = await site.post(f"/api/v1/projects/{PROJECT}/channels", "maintainer", json=channel)
        assert answer.status_code == 201, answer.text
        options = {"FLOW_SERVER": site.url, "FLOW_BOT_NETWORK": network, "FLOW_BOT_TOKEN": token, **here.options()}
        program = Started(Program(tmp_path / "bot", tmp_path, options), "bot")
        stack.callback(lambda: program.process.poll() is None and program.kill())
        await asyncio.to_thread(program.wait_for, f"bot on {network}")
        await here.say("whoami")
        await until(lambda: any("I do not know you" in each for each in here.titles()))
        made = await site.post(f"/api/v1/projects/{PROJECT}/pipelines/test/runs", "developer", json={})
        await site.life.finished(made.json()["id"])
        await until(lambda: sum("failed" in each for each in here.titles()) == 2)  # the message, and its detail
        await here.press("Why?")
        await until(lambda: sum("failed" in each for each in here.titles()) == 3)
        assert not [each for each in here.titles() if "is running" in each]  # that became "failed" in its place
        (bot,) = (await site.get("/api/v1/bots", "admin")).json()
        assert bot["called"] == here.called
        program.process.send_signal(signal.SIGTERM)
        output = await asyncio.to_thread(program.end)
        assert output.code == 0, output.text
    await here.server.stop()
    log = (tmp_path / "bot" / "bot" / network / "flow.log").read_text()
    assert not [each for each in (token, TOKEN, BOT_TOKEN, APP_TOKEN) if each in log + output.text]
