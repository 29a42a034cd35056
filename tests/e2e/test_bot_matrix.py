"""A conversation with the bot in a real room: a real server, real Docker, a real homeserver, and `flow bot` as a program.

What was said is printed at the end (`pytest -s`), as the people in the rooms see it.
"""

import asyncio
import json
import re
import signal
import socket
from contextlib import ExitStack, closing

import pytest

from flowbuild.bot.adapters.fitting import JOINER
from flowbuild.testing.homeserver import Person, running
from flowbuild.testing.program import LIMIT, Program, Started, make_repository

PIPELINES = """
x-box: &box {image: flow-demo/busybox}
pipelines:
  release:
    inputs:
      target: {type: choice, options: [qa, prod], description: Where to deploy}
    steps:
      build: {compose: {services: {build: {<<: *box, command: [sh, -c, "echo built > app"]}}}, success: [test]}
      test:
        secrets: [API_KEY]
        compose:
          services:
            test: {<<: *box, command: [sh, -c, "echo 12 tests; test $$API_KEY = the-good-key || { echo 'FAILED test_login: 401, the key is refused'; exit 1; }; echo ok"]}
        success: [deploy]
      deploy:
        environment: {name: "${{ inputs.target }}", approve: [ann]}
        compose: {services: {deploy: {<<: *box, command: [echo, deployed]}}}
"""
PASSWORD = "correct horse battery"

pytestmark = pytest.mark.docker


@pytest.fixture
def stack():
    with ExitStack() as stack:
        yield stack


class Site:
    """A server with a project, its admin ann, and what she does in a terminal."""

    def __init__(self, top, stack):
        source = top / "source"
        source.mkdir()
        (source / ".flow.yml").write_text(PIPELINES)
        repository = make_repository(source, top / "repository", message="Log in with a key")
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            port = free.getsockname()[1]
        self.url, self._stack = f"http://127.0.0.1:{port}", stack
        environment = {
            "FLOW_PORT": str(port),
            "FLOW_ALLOW_LOCAL": str(top),
            "FLOW_PASSWORD": PASSWORD,
            "XDG_CONFIG_HOME": str(top / "user"),
            "FLOW_PROJECT": "shop",
        }
        self.program = Program(top / "home", repository, environment)
        server = self.start(self.program, "server")
        code = re.search(r"--code (\S+)", server.wait_for("flow setup"))
        self.flow("setup", self.url, "--code", code[1], "--name", "ann")
        self.flow("projects", "add", "shop", str(repository))
        self.flow("members", "set", "shop", "ann", "maintainer")
        (login,) = json.loads((top / "user" / "flow-build" / "servers.json").read_text())["logins"]
        self.token = login["token"]

    def start(self, program, *arguments):
        """Start a program that ends with the test."""
        started = Started(program, *arguments, limit=600)
        self._stack.callback(lambda: started.process.poll() is None and started.kill())
        return started

    def flow(self, *arguments):
        output = self.program.call(*arguments)
        assert output.code == 0, output.text
        return output.stdout

    async def ask(self, method, path, body=None):
        import httpx2

        headers = {"Authorization": f"Bearer {self.token}"}
        async with httpx2.AsyncClient(base_url=f"{self.url}/api/v1/", headers=headers, timeout=LIMIT) as http:
            answer = await http.request(method, path, json=body)
        assert not answer.is_error, answer.text
        return answer.json() if answer.content else None


class Room:
    """A room as somebody in it sees it."""

    def __init__(self, person, room, bot):
        self.person, self.id, self.bot = person, room, bot

    async def ask(self, text):
        """Say something and return the bot's next answer."""
        before = len(await self.said())
        await self.person.say(self.id, text)
        return (await self.until(lambda said: len(said) > before))[-1]

    async def said(self):
        """Return what the bot said here, as it is now."""
        return [text for _, who, text in _shown(await self.person.history(self.id)) if who == self.bot.user]

    async def until(self, met):
        """Return what the bot said once it meets a condition."""

        def check(events):
            return met([text for _, who, text in _shown(events) if who == self.bot.user])

        async with asyncio.timeout(LIMIT):
            return [text for _, who, text in _shown(await self.person.wait(self.id, check)) if who == self.bot.user]

    async def print(self, title):
        """Print what was said here."""
        print(f"\n──── {title} ────")
        for event, who, text in _shown(await self.person.history(self.id)):
            indent = "      │ " if _relation(event).get("rel_type") == "m.thread" else ""
            mark = " (edited)" if event.get("edited") else ""
            lines = text.splitlines()
            print(f"{indent}{who.partition(':')[0]}{mark}: {lines[0]}")
            for each in lines[1:]:
                print(f"{indent}    {each}")


def _relation(event):
    return event["content"].get("m.relates_to", {})


def _shown(events):
    """Return the messages of a room with the last version of each."""
    messages = [each for each in events if each["type"] == "m.room.message"]
    edits = {_relation(each)["event_id"]: each for each in messages if _relation(each).get("rel_type") == "m.replace"}
    for each in messages:
        if _relation(each).get("rel_type") != "m.replace":
            edit = edits.get(each["event_id"])
            content = edit["content"]["m.new_content"] if edit else each["content"]
            yield {**each, "edited": edit is not None}, each["sender"], content["body"].replace(JOINER, "")


async def talk(site, private, team, restart):
    """Say what is said; every answer is the one that follows from it. `restart` kills the bot and starts it again."""
    person = private.person
    assert "I do not know you" in await private.ask("whoami")
    code = (await asyncio.to_thread(site.flow, "link", "--name", "ann")).strip()
    await private.ask(code)
    assert "ann" in await private.ask("whoami")

    assert "1. qa" in await private.ask("run release")
    assert "acts on qa" in await private.ask("qa")
    assert "#1 was started" in await private.ask("yes")
    assert "#1" in await private.ask("watch 1")
    ended = await private.until(lambda said: any("failed" in each.splitlines()[0] for each in said))
    assert any("#1" in each for each in ended)

    # In the room of the team: one message, edited in place, with the first failing lines in its thread.
    await team.until(lambda said: any("FAILED test_login" in each for each in said))
    events = [*_shown(await person.history(team.id))]
    (main,) = [
        (event, text)
        for event, who, text in events
        if who == private.bot.user and "m.relates_to" not in event["content"]
    ]
    assert main[0]["edited"]
    assert "failed" in main[1]
    called = [each["content"]["m.mentions"].get("user_ids", []) for each, who, _ in events if who == private.bot.user]
    assert called == [[], [person.user]]  # the author, by the detail: who is named in an edit is not called

    assert "FAILED test_login: 401" in await private.ask("why 1")
    await site.ask("PUT", "projects/shop/secrets/API_KEY", {"value": "the-good-key"})
    assert "It acts on qa" in await private.ask("retry 1 from test")
    assert "#2 was started" in await private.ask("yes")
    await team.until(lambda said: any("waits" in each and "#2" in each for each in said))
    assert "Watching" in await private.ask("watch 2")
    await restart()
    assert "deploy" in await private.ask("approve 2")
    assert "may go on" in await private.ask("yes")
    await private.until(
        lambda said: any("#2 succeeded" in each.splitlines()[0] for each in said)
    )  # told by the next life
    await team.until(lambda said: any("#2" in each and ("succeeded" in each or "green" in each) for each in said))


async def test_a_release_by_chat(stack, tmp_path):
    server = stack.enter_context(running())
    admin, account, bot = server.register("admin", admin=True), server.register("ann"), server.register("flow")
    for each in (account, bot):
        server.unlimited(admin, each.user)
    site = await asyncio.to_thread(Site, tmp_path, stack)
    await site.ask("PUT", "projects/shop/secrets/API_KEY", {"value": "an-old-key"})
    environment = {
        "FLOW_SERVER": site.url,
        "FLOW_BOT_NETWORK": "matrix",
        "FLOW_BOT_TOKEN": site.flow("bots", "add", "chat", "--network", "matrix").strip(),
        "FLOW_MATRIX_HOMESERVER": server.url,
        "FLOW_MATRIX_USER": bot.user,
        "FLOW_MATRIX_PASSWORD": bot.password,
        "FLOW_MATRIX_INVITES": "flow.test",
    }
    lives = []

    async def restart():
        if lives:
            lives[-1].kill()
        lives.append(site.start(Program(tmp_path / "bot", tmp_path, environment), "bot"))
        await asyncio.to_thread(lives[-1].wait_for, "bot on matrix")

    await restart()
    person = Person(server, account)
    bob = Person(server, server.register("bob"))
    team = Room(person, await person.make_room(bot.user, bob.user, name="Team"), bot)
    await bob.join(team.id)
    private = Room(person, await person.make_room(bot.user, direct=True), bot)
    await site.ask("PATCH", "users/ann", {"email": "test@localhost"})  # as the commit says
    rule = {"on": ["started", "failed", "approval", "succeeded", "recovered"]}
    await site.ask(
        "POST", "projects/shop/channels", {"name": "team", "kind": "matrix", "target": team.id, "rule": rule}
    )
    await talk(site, private, team, restart)

    entries = (await site.ask("GET", "audit?limit=100"))["items"]
    by_chat = {each["action"] for each in entries if f"chat:matrix/{account.user}" in json.dumps(each)}
    assert by_chat == {"identity.link", "run.start", "run.rerun", "run.approve"}
    await private.print("ann and the bot")
    await team.print("the room of the team")
    print(f"\nin the audit log, by chat: {', '.join(sorted(by_chat))}")

    lives[-1].process.send_signal(signal.SIGTERM)
    output = await asyncio.to_thread(lives[-1].end)
    assert output.code == 0, output.text
    log = (tmp_path / "bot" / "bot" / "matrix" / "flow.log").read_text()
    for secret in (environment["FLOW_BOT_TOKEN"], bot.password, bot.token):
        assert secret not in log + output.text
