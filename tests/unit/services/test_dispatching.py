"""What is handed out to who sends: everything, in order, at least once and with the same name each time."""

import asyncio
import random
from dataclasses import replace

import pytest
import structlog

from flowbuild.core.access import Role
from flowbuild.core.chat import provider_of
from flowbuild.core.errors import NotFound, VaultError
from flowbuild.core.notifying import NewsKind, Rule
from flowbuild.core.states import Outcome
from flowbuild.services import dispatching
from flowbuild.services.channels import NewChannel
from flowbuild.services.dispatching import CLAIM, DISPATCH, PATIENCE, ChannelKind
from flowbuild.store.users import IdentityRow
from flowbuild.testing.newsroom import COMMIT, OF_PROJECT, PROJECT, ROOT, Newsroom
from flowbuild.testing.triggers import PlainSealer

K = NewsKind
CHAT = [ChannelKind.MATRIX]
ALL = Rule(on=list(K))
AUTHOR = {COMMIT: ("ann@example.org", "Add a thing")}


@pytest.fixture
def room(tmp_path):
    made = Newsroom(tmp_path)
    yield made
    made.database.close()


@pytest.fixture(autouse=True)
def logs():
    with structlog.testing.capture_logs() as captured:
        yield captured


def take(room, kinds=CHAT, limit=100):
    return room.dispatches.due(kinds, limit)[0]


def link(room, owner, network, name):
    with room.database.write() as tx:
        tx.users.link(IdentityRow(provider_of(network), name, owner.user_id, room.clock()))


def join(room, owner, email=""):
    with room.database.write() as tx:
        tx.members.put(room.project, owner.user_id, Role.VIEWER)
        tx.users.change(replace(tx.users.get(owner.user_id), email=email))


def state(room, name="team"):
    return [(row.state, row.tries, row.error) for row in room.log(name)]


class TestParcels:
    def test_what_is_in_one(self, room):
        room.channel("team", ALL)
        room.facts.commits = AUTHOR
        room.ran(actor="bob")
        (first,) = take(room)
        (item,) = first.items
        assert (first.kind, first.channel, first.target, first.project) == (
            ChannelKind.MATRIX,
            "team",
            "!room:x",
            PROJECT,
        )
        assert (item.news.kind, item.earlier, item.remote, first.digest, first.test) == (
            K.STARTED,
            [],
            "",
            False,
            False,
        )
        assert take(room) == [], "the next one of the message waits"
        room.dispatches.sent(first.id, remote="$event", answer="ok")
        (second,) = take(room)
        assert second.id != first.id
        assert (second.items[0].message, second.items[0].remote) == (item.message, "$event")
        assert [news.kind for news in second.items[0].earlier] == [K.STARTED]
        room.dispatches.sent(second.id)
        assert room.dispatches.due(CHAT, 10) == ([], None)
        assert [(row.state, row.answer, row.remote) for row in room.log("team")] == [
            ("sent", "ok", "$event"),
            ("sent", "", "$event"),
        ]

    def test_each_way_out_takes_its_own(self, room):
        room.channel("chat", kind="matrix")
        room.channel("mail", kind="email", target="a@example.org, b@example.org")
        wanted = NewChannel("hook", "webhook", "https://example.org/x?y=1")
        hook, secret = room.channels.add(ROOT, OF_PROJECT, wanted)
        room.ran()
        assert [parcel.channel for parcel in take(room, [ChannelKind.EMAIL, ChannelKind.SLACK])] == ["mail"]
        (parcel,) = take(room, [ChannelKind.WEBHOOK])
        assert (parcel.target, parcel.secret) == (hook.target, secret)
        assert len(secret) >= 32
        (parcel,) = take(room)
        assert (parcel.channel, parcel.secret) == ("chat", "")

    def test_the_same_again_when_nobody_said_what_became_of_it(self, room):
        room.channel("team")
        room.ran()
        (parcel,) = take(room)
        nothing, next_at = room.dispatches.due(CHAT, 10)
        assert (nothing, next_at) == ([], room.clock() + CLAIM)
        room.clock.now = next_at
        assert take(room) == [parcel]
        room.dispatches.sent(parcel.id)
        room.dispatches.sent(parcel.id)
        room.dispatches.failed(parcel.id, "late")
        assert state(room) == [("sent", 0, "")]

    def test_what_is_unknown_or_gone(self, room):
        row = room.channel("team")
        room.ran()
        (parcel,) = take(room)
        assert room.dispatches.kind(parcel.id) is ChannelKind.MATRIX
        with room.database.write() as tx:
            tx.channels.remove(row.id)
        for action in (room.dispatches.kind, room.dispatches.sent, lambda each: room.dispatches.failed(each, "x")):
            with pytest.raises(NotFound):
                action(parcel.id)

    def test_no_more_than_was_asked_for(self, room):
        room.channel("team", Rule(on=[K.STARTED]))
        for _ in range(5):
            room.ran()
            room.clock.pass_(1)
        found = [take(room, limit=2) for _ in range(3)]
        assert [[parcel.items[0].news.number for parcel in parcels] for parcels in found] == [[1, 2], [3, 4], [5]]


class TestFailures:
    def test_pauses_grow_until_it_is_given_up(self, room, logs):
        room.channel("team")
        room.ran()
        pauses, begun = [], room.clock()
        while parcels := take(room):
            room.dispatches.failed(parcels[0].id, "503 from the homeserver", answer="busy")
            next_at = room.dispatches.due(CHAT, 10)[1]
            if next_at is not None:
                pauses.append(next_at - room.clock())
                room.clock.now = next_at
        assert pauses[:4] == [2.0, 4.0, 8.0, 16.0]
        assert max(pauses) == dispatching.PAUSE_MOST
        assert PATIENCE <= room.clock() - begun < PATIENCE + dispatching.PAUSE_MOST
        ((last, tries, error),) = state(room)
        assert (last, tries, error) == ("failed", len(pauses) + 1, "503 from the homeserver")
        assert room.log("team")[0].answer == "busy"
        assert [log["again"] for log in logs] == [True] * len(pauses) + [False]

    def test_who_knows_when_to_try_again_is_believed(self, room):
        room.channel("team")
        room.ran()
        (parcel,) = take(room)
        room.dispatches.failed(parcel.id, "too fast", again_at=room.clock() + 7)
        assert room.dispatches.due(CHAT, 10) == ([], room.clock() + 7)
        room.clock.pass_(7)
        (again,) = take(room)
        assert (again.id, again.tries) == (parcel.id, 1)

    def test_what_is_of_no_use_is_not_repeated_and_what_follows_is_sent(self, room):
        room.channel("team", ALL)
        room.ran()
        (parcel,) = take(room)
        room.dispatches.failed(parcel.id, "there is no such room", lasting=True)
        (following,) = take(room)
        assert (following.items[0].news.kind, following.items[0].earlier) == (K.FAILED, [])
        assert state(room)[0] == ("failed", 1, "there is no such room")

    def test_errors_are_kept_short_and_harmless(self, room):
        room.channel("team")
        room.ran()
        room.dispatches.failed(take(room)[0].id, "x\x1b[2J" + "y" * 5000)
        assert 900 < len(state(room)[0][2]) <= 1000
        assert state(room)[0][2].isprintable()

    def test_a_secret_that_cannot_be_opened_now(self, room, monkeypatch):
        room.channel("hook", kind="webhook", target="https://example.org/x")
        room.ran()

        def closed(*_arguments):
            raise VaultError("the key is not there")

        with monkeypatch.context() as patched:
            patched.setattr(PlainSealer, "open", closed)
            found, next_at = room.dispatches.due([ChannelKind.WEBHOOK], 10)
        assert (found, next_at) == ([], room.clock() + dispatching.PAUSE_MOST)
        room.clock.now = next_at
        assert len(take(room, [ChannelKind.WEBHOOK])) == 1


class TestPersons:
    def test_directly_to_whom_the_network_knows(self, room):
        ann = room.person("ann")
        join(room, ann)
        room.channel("mine", owner=ann, target="")
        link(room, ann, "slack", "U1")
        link(room, ann, "matrix", "@ann:x")
        room.ran()
        (parcel,) = take(room)
        assert (parcel.target, parcel.sender, parcel.project, parcel.mention) == ("", "@ann:x", "", "")

    def test_who_is_not_linked_cannot_be_told(self, room):
        ann = room.person("ann")
        join(room, ann)
        room.channel("mine", owner=ann, target="")
        room.channel("team")
        room.ran()
        parcels = take(room)
        assert [parcel.channel for parcel in parcels] == ["team"]
        (row,) = room.log("mine", ann)
        assert (row.state, row.error) == ("failed", "the account ann is not linked on matrix")

    def test_by_e_mail_to_the_address_of_the_account(self, room):
        ann, bob = room.person("ann"), room.person("bob")
        join(room, ann, "ann@example.org")
        join(room, bob)
        for owner in (ann, bob):
            room.channel("mine", kind="email", owner=owner, target="")
        room.ran()
        assert [parcel.target for parcel in take(room, [ChannelKind.EMAIL])] == ["ann@example.org"]
        assert room.log("mine", bob)[0].error == "the account bob has no e-mail address"


class TestMentions:
    def mentioned(self, room, outcome=Outcome.FAILED, rule=None, kind="matrix"):
        room.channel("team", rule or Rule(on=[K.FINISHED]), kind=kind, target="#r")
        room.facts.commits = AUTHOR
        room.ran(outcome)
        (parcel,) = take(room, list(ChannelKind))
        return parcel.mention

    @pytest.fixture
    def ann(self, room):
        ann = room.person("ann")
        join(room, ann, "Ann@Example.org")
        link(room, ann, "matrix", "@ann:x")
        return ann

    @pytest.mark.usefixtures("ann")
    def test_the_author_of_a_failure(self, room):
        assert self.mentioned(room) == "@ann:x"

    @pytest.mark.usefixtures("ann")
    def test_nobody_of_a_success(self, room):
        assert self.mentioned(room, Outcome.SUCCEEDED) == ""

    @pytest.mark.usefixtures("ann")
    def test_nobody_when_the_rule_says_so(self, room):
        assert self.mentioned(room, rule=Rule(on=[K.FINISHED], mention=False)) == ""

    @pytest.mark.usefixtures("ann")
    def test_nobody_on_another_network(self, room):
        assert self.mentioned(room, kind="slack") == ""

    @pytest.mark.usefixtures("ann")
    def test_nobody_when_two_have_that_address(self, room):
        join(room, room.person("carl"), "ann@example.org")
        assert self.mentioned(room) == ""

    def test_nobody_when_nobody_is_known(self, room):
        assert self.mentioned(room) == ""


class TestDigests:
    def test_what_was_collected_is_one_parcel(self, room):
        room.channel("team", Rule(on=[K.STARTED, K.FAILED], digest="hourly"))
        room.ran()
        room.clock.pass_(1)
        room.ran(branch="other")
        nothing, next_at = room.dispatches.due(CHAT, 10)
        assert nothing == []
        assert next_at % 3600 == 0
        room.clock.now = next_at
        (parcel,) = take(room)
        assert parcel.digest
        told = [(item.news.number, item.news.kind, item.remote) for item in parcel.items]
        assert told == [(1, K.STARTED, ""), (1, K.FAILED, ""), (2, K.STARTED, ""), (2, K.FAILED, "")]
        room.dispatches.failed(parcel.id, "away", again_at=room.clock() + 5)
        room.ran(branch="third")
        room.clock.pass_(5)
        assert take(room)[0].items == parcel.items, "what came meanwhile is for the next one"
        room.dispatches.sent(parcel.id, remote="$digest")
        assert {row.state for row in room.log("team")} == {"sent", "waiting"}
        assert {row.remote for row in room.log("team")} == {""}, "there is nothing to edit"
        room.clock.pass_(3600)
        assert [item.news.number for item in take(room)[0].items] == [3, 3]

    def test_one_alone_is_a_digest_too(self, room):
        room.channel("team", Rule(digest="hourly"))
        room.ran()
        room.clock.pass_(3600)
        (parcel,) = take(room)
        assert (parcel.digest, len(parcel.items)) == (True, 1)


@pytest.mark.parametrize("seed", range(5))
def test_whatever_fails_all_is_sent_in_order(room, seed):
    """Senders that die, fail and succeed as they like: nothing is lost, nothing overtakes, each try has the same name."""
    chance = random.Random(seed)
    room.channel("team", ALL)
    room.channel("some", Rule(on=[K.FINISHED], digest="hourly"))
    for number in range(12):
        room.ran((Outcome.FAILED, Outcome.SUCCEEDED)[chance.random() < 0.5], branch=f"b{number % 3}")
        room.clock.pass_(chance.choice([1, 500]))
    sent, contents = [], {}
    while (next_at := waiting(room)) is not None:
        room.clock.now = max(room.clock.now, next_at)
        for parcel in take(room, limit=chance.randint(1, 9)):
            told = [(item.news.number, str(item.news.kind)) for item in parcel.items]
            assert contents.setdefault(parcel.id, told) == told
            fate = chance.random()
            if fate < 0.4:
                room.dispatches.sent(parcel.id)
                sent += [(parcel.channel, *each) for each in told]
            elif fate < 0.7:
                room.dispatches.failed(parcel.id, "away")
    assert {row.state for name in ("team", "some") for row in room.log(name)} == {"sent"}
    for name in ("team", "some"):
        known = [(row.news.number, str(row.news.kind)) for row in room.log(name)]
        found = [tuple(each[1:]) for each in sent if each[0] == name]
        assert sorted(found) == sorted(known)
        for number in {each for each, _ in known}:
            assert [kind for each, kind in found if each == number] == [kind for each, kind in known if each == number]


def waiting(room):
    with room.database.read() as tx:
        return tx.dispatches.next_at(["matrix"])


class TestTake:
    async def test_it_waits_for_something(self, tmp_path):
        room = await asyncio.to_thread(Newsroom, tmp_path)
        await asyncio.to_thread(room.channel, "team")
        taking = asyncio.create_task(room.dispatches.take(CHAT, 10, 30))
        run = await asyncio.to_thread(room.begin)
        await asyncio.to_thread(room.end, run)
        await asyncio.to_thread(room.announcing.run_due)
        assert [parcel.channel for parcel in await taking] == ["team"]
        room.database.close()

    async def test_it_is_told_when_it_is_time_for_the_next(self, tmp_path):
        room = await asyncio.to_thread(Newsroom, tmp_path)
        await asyncio.to_thread(room.channel, "team", ALL)
        await asyncio.to_thread(room.ran)
        (first,) = await room.dispatches.take(CHAT, 10, 0)
        taking = asyncio.create_task(room.dispatches.take(CHAT, 10, 30))
        await asyncio.to_thread(room.dispatches.sent, first.id)
        assert [parcel.items[0].news.kind for parcel in await taking] == [K.FAILED]
        room.database.close()

    async def test_it_returns_with_nothing(self, tmp_path):
        room = await asyncio.to_thread(Newsroom, tmp_path)
        assert await room.dispatches.take(CHAT, 10, 0) == []
        room.database.close()

    async def test_those_who_wait_are_told_of_every_change(self, tmp_path):
        room = await asyncio.to_thread(Newsroom, tmp_path)
        await asyncio.to_thread(room.channel, "team")
        await asyncio.to_thread(room.ran)
        (parcel,) = await room.dispatches.take(CHAT, 10, 0)
        for action in (room.dispatches.failed, room.dispatches.sent):
            token = room.signals.token(DISPATCH)
            await asyncio.to_thread(action, parcel.id, *(["x"] if action == room.dispatches.failed else []))
            assert room.signals.token(DISPATCH) != token
        room.database.close()
