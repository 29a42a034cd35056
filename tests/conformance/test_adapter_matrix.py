"""Matrix keeps the contract of chat networks: against a real Synapse, which is really stopped and started."""

import asyncio
import re
import secrets
from html.parser import HTMLParser

import pytest

from flowbuild.bot.adapters.matrix import MatrixAdapter, MatrixOptions
from flowbuild.bot.adapters.matrix_text import OURS
from flowbuild.bot.memory import Memory
from flowbuild.bot.messages import Message, Tone
from flowbuild.core.errors import ChatError
from flowbuild.testing.adapter_suite import AdapterSuite, Shown, life, refused, said
from flowbuild.testing.homeserver import Person, running

pytestmark = pytest.mark.xdist_group("homeserver")
# What Element makes a link of by itself, outside of code.
LINKED = re.compile(r"\w+://\S+|\b[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}\b", re.IGNORECASE)


@pytest.fixture(scope="module")
def server():
    with running() as server:
        yield server


@pytest.fixture(scope="module")
def admin(server):
    return server.register("admin", admin=True)


class Rendered(HTMLParser):
    """What a client shows of HTML; tags that the specification does not allow are an error."""

    ALLOWED = frozenset({"p", "strong", "code", "pre", "a", "ol", "li", "br"})

    def __init__(self, html):
        super().__init__()
        self.text, self.code, self.links, self._open = "", "", [], []
        self.feed(html)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attrs):
        assert tag in self.ALLOWED, tag
        if tag == "br":
            self.text += "\n"
            return
        self._open.append(tag)
        if tag == "a":
            assert [name for name, _ in attrs] == ["href"]
            self.links.append(attrs[0][1])

    def handle_endtag(self, tag):
        assert self._open.pop() == tag
        self.text += "\n" if tag in {"p", "li", "pre"} else ""

    def handle_data(self, data):
        self.text += data
        if "code" in self._open:
            self.code += data
        elif "a" not in self._open:
            self.links += LINKED.findall(data)


class MatrixSide:
    """See Network."""

    has_buttons = False
    nowhere = "!nowhere:flow.test"

    def __init__(self, server, admin):
        self.server, self._admin = server, admin
        mark = secrets.token_hex(3)
        self._ann, self._robot = (Person(server, server.register(f"{name}{mark}")) for name in ("ann", "robot"))
        self._bot = server.register(f"flow{mark}")
        self.bot = Person(server, self._bot)
        for each in (self._bot, self._ann.account, self._robot.account):
            server.unlimited(admin, each.user)
        self.person, self.called = self._ann.user, self._bot.user

    async def open(self):
        self.room = await self._ann.make_room(self._bot.user, self._robot.user)
        self.private = await self._ann.make_room(self._bot.user, direct=True)
        await self._robot.join(self.room)
        for room in (self.room, self.private):
            await self.bot.join(room)
        return self

    def adapter(self, memory, **options):
        return MatrixAdapter(MatrixOptions(self.server.url, token=self._bot.token, **options), memory)

    async def say(self, room, text, *, thread=""):
        more = {"m.relates_to": {"rel_type": "m.thread", "event_id": thread}} if thread else {}
        if room != self.room:
            return await self._ann.say(room, text, **more)
        name = self._bot.user.partition(":")[0].removeprefix("@")
        return await self._ann.say(room, f"{name}: {text}", **more)

    async def murmur(self, room, text):
        await self._ann.say(room, text)
        await self._ann.say(room, f"{self._bot.user[1:5]} {text}")  # begins like its name
        await self._ann.say(room, text, **{"m.mentions": {"user_ids": ["@else:flow.test"], "room": True}})

    async def another_bot_says(self, room, text):
        name = self._bot.user.partition(":")[0].removeprefix("@")
        await self._robot.say(room, f"{name}: {text}", msgtype="m.notice")
        await self._robot.say(room, f"{name}: {text}", **{OURS: {}})

    async def shown(self, room):
        person = self._ann
        await person.join(room)  # into one that the bot made
        events = [each for each in await person.history(room) if each["type"] == "m.room.message"]
        mine = [each for each in events if each["sender"] == self._bot.user]
        edits = {
            each["content"]["m.relates_to"]["event_id"]: each
            for each in mine
            if each["content"].get("m.relates_to", {}).get("rel_type") == "m.replace"
        }
        return [
            self._shown(each, edits.get(each["event_id"]))
            for each in mine
            if each["content"].get("m.relates_to", {}).get("rel_type") != "m.replace"
        ]

    def _shown(self, event, edit):
        content = edit["content"]["m.new_content"] if edit else event["content"]
        rendered = Rendered(content["formatted_body"])
        mentions = content["m.mentions"]  # always there: without, clients look for names in the text
        assert set(mentions) <= {"user_ids"}
        called = mentions.get("user_ids", [])
        if edit:
            assert edit["content"]["m.mentions"] == {}
        links = [each for each in rendered.links if not each.startswith("https://matrix.to/")]
        assert [f"https://matrix.to/#/{each}" for each in called] == [
            each for each in rendered.links if each not in links
        ]
        relation = event["content"].get("m.relates_to", {})
        thread = relation["event_id"] if relation.get("rel_type") == "m.thread" else ""
        return Shown(event["event_id"], rendered.text.strip(), rendered.code, links, called, thread, edit is not None)

    async def press(self, room, remote, label):
        raise AssertionError("Matrix has no buttons")

    async def stop(self):
        self.server.stop()

    async def start(self):
        self.server.start()

    async def limit(self):
        self.server.unlimited(self._admin, self._bot.user, limited=True)


@pytest.fixture
async def network(server, admin):
    if server._process is None:  # a test that failed left it stopped
        server.start()
    return await MatrixSide(server, admin).open()


class TestMatrix(AdapterSuite):
    page = 50


async def test_the_server_itself_counts_whom_a_message_calls(network, tmp_path):
    ann = network._ann
    since = (await ann.ask("GET", "sync", timeout="0"))["next_batch"]

    async def highlights():
        nonlocal since  # the same question gets the same answer, for minutes
        answer = await ann.ask("GET", "sync", timeout="0", since=since)
        since = answer["next_batch"]
        return answer["rooms"]["join"][network.room]["unread_notifications"]["highlight_count"]

    await ann.ask("POST", f"rooms/{network.room}/receipt/m.read/{await ann.say(network.room, 'read')}", {})
    async with life(network, tmp_path) as (adapter, _):
        await adapter.send(network.room, Message(f"@room {network.person} everybody", Tone.BAD), key="1")
        assert await highlights() == 0
        await adapter.send(network.room, Message("you", Tone.BAD, mention=[network.person]), key="2")
        assert await highlights() == 1


async def test_a_message_that_got_through_unheard_is_not_said_again(network, tmp_path):
    """The answer was lost: a new life knows nothing of it, the server does, by the key; over its own end, too."""
    async with life(network, tmp_path) as (adapter, _):
        first = await adapter.send(network.room, said("once"), key="k")
        del adapter._sent["k"]
        await network.stop()
        await network.start()
        assert await adapter.send(network.room, said("once"), key="k") == first
    assert len(await network.shown(network.room)) == 1


@pytest.mark.parametrize(
    ("invites", "welcome"),
    [((), False), (("elsewhere.test",), False), (("flow.test",), True), (("*",), True), ("ann", True), ("room", True)],
)
async def test_invitations_are_followed_as_the_settings_say(network, tmp_path, invites, welcome):
    room = await network._ann.make_room(network._bot.user)
    allowed = {"ann": (network.person,), "room": (room,)}.get(invites, invites)
    memory = Memory(tmp_path / "memory")
    adapter = network.adapter(memory, invites=allowed)
    listening = asyncio.create_task(anext(aiter(adapter.incoming())))
    path = f"rooms/{room}/state/m.room.member/{network._bot.user}"
    ready = asyncio.create_task(adapter.listening.wait())
    await asyncio.wait({ready, listening}, return_when=asyncio.FIRST_COMPLETED)
    assert (await network._ann.ask("GET", path))["membership"] == ("join" if welcome else "leave")
    if welcome:
        name = network._bot.user.partition(":")[0].removeprefix("@")
        await network._ann.say(room, f"{name}: hello")
        assert (await listening).text == "hello"
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    await adapter.close()
    memory.close()


async def test_encrypted_rooms_are_told_that_they_are_not_supported(network, tmp_path):
    encryption = {"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}
    room = await network._ann.make_room(network._bot.user, initial_state=[encryption])
    await network.bot.join(room)
    async with life(network, tmp_path) as (adapter, ear):
        for _ in range(2):
            content = {
                "algorithm": "m.megolm.v1.aes-sha2",
                "ciphertext": "x",
                "session_id": "s",
                "device_id": "D",
                "sender_key": "k",
            }
            await network._ann.send(room, "m.room.encrypted", content)
        await network.say(network.room, "next")
        assert await ear.texts(1) == ["next"]
        error = await refused(adapter.send(room, said("results"), key="1"))
        assert error.lasting
        assert "encrypted" in error.message
    told = [each["content"]["body"] for each in await network._ann.history(room) if each["type"] == "m.room.message"]
    assert len(told) == 1
    assert "encrypted" in told[0]


async def test_a_third_reader_makes_a_room_one_of_many(network, tmp_path):
    async with life(network, tmp_path) as (adapter, ear):
        await network.say(network.private, "one")
        assert (await ear.heard.get()).direct
        await network._ann.ask("POST", f"rooms/{network.private}/invite", {"user_id": network._robot.user})
        await network._ann.say(network.private, "two")  # not for the bot any more
        await network._ann.say(network.private, f"{network._bot.user}: three")
        heard = await ear.heard.get()
        assert (heard.text, heard.direct) == ("three", False)
        fresh = await adapter.direct_room(network.person)
        assert fresh != network.private


async def test_names_replies_and_edits(network, tmp_path):
    bot, room = network._bot.user, network.room
    async with life(network, tmp_path) as (_, ear):
        pill = {"m.mentions": {"user_ids": [bot]}}
        await network._ann.say(room, f"{bot.partition(':')[0][1:]} status", **pill)  # as Element writes it
        await network._ann.say(
            room,
            f"> <{bot}> failed\n> again\n\n{bot}: why 7",
            **{"m.relates_to": {"m.in_reply_to": {"event_id": "$x"}}},
        )
        mine = await network._ann.say(room, "not for the bot")
        edit = {
            "m.relates_to": {"rel_type": "m.replace", "event_id": mine},
            "m.new_content": {"msgtype": "m.text", "body": f"{bot}: run"},
        }
        await network._ann.say(room, f"* {bot}: run", **edit)
        await network._ann.say(room, f"{bot.upper()}, last")
        assert await ear.texts(3) == ["status", "why 7", "last"]


async def test_the_name_that_the_bot_has_in_a_room(network, tmp_path):
    bot, room = network.bot, network.room
    await bot.ask("PUT", f"profile/{bot.user}/displayname", {"displayname": "The Builder"})
    async with asyncio.timeout(60):
        while True:  # the homeserver tells rooms of it afterwards, by itself
            member = await bot.ask("GET", f"rooms/{room}/state/m.room.member/{bot.user}")
            if member.get("displayname") == "The Builder":
                break
            await asyncio.sleep(0.05)
    async with life(network, tmp_path) as (_, ear):
        await network._ann.say(room, "The Builder: status", **{"m.mentions": {"user_ids": [bot.user]}})
        await network._ann.say(room, "the builder, queue")
        await network._ann.say(room, "The Builders are away")
        await network._ann.say(room, f"{bot.user} last")
        assert await ear.texts(3) == ["status", "queue", "last"]


async def test_a_room_that_cannot_be_read_does_not_end_the_bot(network, tmp_path):
    async with life(network, tmp_path) as (adapter, ear):
        look = adapter._room

        async def removed(room):
            if room == network.room:
                raise ChatError("M_FORBIDDEN: not in the room", lasting=True)
            return await look(room)

        adapter._room = removed
        await network.say(network.room, "one")
        await network.say(network.private, "two")
        assert await ear.texts(1) == ["two"]


async def test_somebody_who_was_asked_answers_without_naming_the_bot(network, tmp_path):
    memory = Memory(tmp_path / "memory")
    options = MatrixOptions(network.server.url, token=network._bot.token)
    adapter = MatrixAdapter(
        options, memory, expects=lambda room, sender: (room, sender) == (network.room, network.person)
    )
    listening = asyncio.create_task(anext(aiter(adapter.incoming())))
    await adapter.listening.wait()
    await network._robot.say(network.room, "1")
    await network._ann.say(network.room, "2")
    assert (await listening).text == "2"
    await adapter.close()
    memory.close()


async def test_a_password_keeps_its_session_and_signs_in_again_when_it_ended(network, tmp_path):
    account = network._bot
    options = MatrixOptions(network.server.url, user=account.user, password=account.password)
    devices = set()
    for _ in range(2):
        memory = Memory(tmp_path / "memory")
        adapter = MatrixAdapter(options, memory)
        await adapter.send(network.room, said("hello"), key=str(len(devices)))
        devices.add(memory.table("matrix")["device"])
        if len(devices) == 1:
            token = memory.table("matrix")["token"]
        await adapter.close()
        memory.close()
    assert len(devices) == 1
    network.server.ask(token, "POST", "/_matrix/client/v3/logout", {})
    memory = Memory(tmp_path / "memory")
    adapter = MatrixAdapter(options, memory)
    await adapter.send(network.room, said("again"), key="again")
    await adapter.close()
    memory.close()
    assert account.password not in repr(options)


async def test_a_wrong_token_is_a_lasting_error(network, tmp_path):
    memory = Memory(tmp_path / "memory")
    adapter = MatrixAdapter(MatrixOptions(network.server.url, token="syt_wrong"), memory)
    with pytest.raises(ChatError) as raised:
        await anext(aiter(adapter.incoming()))
    assert raised.value.lasting
    assert "token" in raised.value.hint
    assert "syt_wrong" not in str(raised.value)
    await adapter.close()
    memory.close()
