"""What the server has to tell is told in the right form, and settled."""

import asyncio

import pytest

from flowbuild.bot.adapters import pauses
from flowbuild.bot.telling import Telling
from flowbuild.core.errors import ChatError, NotFound, ServerUnreachable, Unauthenticated
from flowbuild.testing.fake_network import FakeNetwork

AWAY = ChatError("away", lasting=False, again_after=0.001)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(pauses, "FIRST", 0.001)


def news(kind, **more):
    plain = dict.fromkeys(("commit", "subject", "author", "actor", "node", "message"), "")
    run = {"project": "shop", "pipeline": "release", "run": "r1", "number": 7, "branch": "main"}
    return {"kind": kind, "at": 1.0, **plain, **run, "url": "https://ci.example/7", "seconds": 1.0, "steps": [], **more}


FAILED = news("failed", steps=[{"key": "test", "outcome": "failed", "message": "", "exit_code": 1, "lines": ["boom"]}])


def dispatch(what, identifier="d1", **more):
    plain = {"remote": "", "earlier": [], "room": "team", "sender": "", "mention": "", "test": False, "digest": []}
    return {
        "id": identifier,
        "message": "m1",
        "channel": "c",
        "kind": "matrix",
        "event": what["kind"],
        "news": what,
        **plain,
        **more,
    }


class Server:
    """Hands out what it is given, once, and then nothing for ever; `refusals`: what the next questions raise."""

    def __init__(self, *batches, refusals=()):
        self.batches, self.refusals = list(batches), list(refusals)
        self.settled, self.empty = [], asyncio.Event()

    async def ask(self, method, path, body):
        if self.refusals and (error := self.refusals.pop(0)):
            raise error
        if path != "bot/dispatches/take":
            self.settled.append((path.removeprefix("bot/dispatches/"), body))
            return None
        assert body["wait"] <= 30
        if self.batches:
            return self.batches.pop(0)
        self.empty.set()
        return await asyncio.Event().wait()


async def tell(server, network):
    working = asyncio.create_task(Telling(server, network).run())
    empty = asyncio.create_task(server.empty.wait())
    await asyncio.wait({working, empty}, return_when=asyncio.FIRST_COMPLETED, timeout=60)
    empty.cancel()
    if working.done():
        working.result()
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    return [(each.room, each.title, each.thread, each.edited, each.mention) for each in network.said]


async def test_a_run_is_one_message_with_details_in_its_thread():
    started, network = news("started"), FakeNetwork()
    server = Server([dispatch(started)], [dispatch(FAILED, "d2", remote="m0", earlier=[started], mention="@ann")])
    said = await tell(server, network)
    assert [(room, thread, edited, mention) for room, _, thread, edited, mention in said] == [
        ("team", "", "", ()),
        ("team", "", "m0", ()),
        ("team", "m0", "", ("@ann",)),
    ]
    assert "failed" in said[1][1]
    assert "boom" in str(network.said[2].texts)
    assert server.settled == [("d1", {"state": "sent", "remote": "m0"}), ("d2", {"state": "sent", "remote": "m0"})]


async def test_nobody_is_called_when_nothing_failed():
    said = await tell(Server([dispatch(news("succeeded"), mention="@ann")]), FakeNetwork())
    assert [mention for *_, mention in said] == [()]


async def test_a_person_is_told_directly():
    said = await tell(Server([dispatch(news("succeeded"), room="", sender="ann")]), FakeNetwork())
    assert [room for room, *_ in said] == ["direct-ann"]


async def test_a_message_that_is_gone_is_said_anew():
    network = FakeNetwork(errors=[ChatError("message_not_found", lasting=True)])
    server = Server([dispatch(news("succeeded"), remote="gone", earlier=[news("started")])])
    ((room, _, _, edited, _),) = await tell(server, network)
    assert (room, edited) == ("team", "")
    assert server.settled == [("d1", {"state": "sent", "remote": "m0"})]


async def test_what_cannot_be_said_now_comes_again_and_is_said_once():
    network = FakeNetwork(errors=[None, AWAY])  # the message is said, its detail is not
    server = Server([dispatch(FAILED)], [dispatch(FAILED)])
    said = await tell(server, network)
    assert [thread for _, _, thread, *_ in said] == ["", "m0"]
    first, second = server.settled
    assert (first[1]["state"], first[1]["error"], second[1]["state"]) == ("again", "away", "sent")
    assert first[1]["again_after"] > 0


async def test_while_a_network_is_away_the_rest_is_not_tried():
    network = FakeNetwork(errors=[AWAY])
    server = Server([dispatch(news("succeeded"), f"d{number}") for number in range(3)])
    assert await tell(server, network) == []
    assert [body["state"] for _, body in server.settled] == ["again"] * 3


async def test_a_room_that_is_none_is_not_tried_again():
    network = FakeNetwork(errors=[ChatError("no such room", lasting=True, hint="invite me")])
    server = Server([dispatch(news("succeeded")), dispatch(news("succeeded"), "d2", room="other")])
    assert [room for room, *_ in await tell(server, network)] == ["other"]
    assert dict(server.settled)["d1"] == {"state": "failed", "error": "no such room. invite me"}


async def test_what_is_wrong_with_one_does_not_stop_the_others(monkeypatch):
    def broken(news, **_):
        raise KeyError("a fault")

    monkeypatch.setattr("flowbuild.bot.telling.detail_of", broken)
    server = Server([dispatch(news("succeeded"))], [])
    await tell(server, FakeNetwork())
    assert dict(server.settled)["d1"]["state"] == "failed"


async def test_a_test_and_a_digest_are_messages_of_their_own():
    items = [
        {"message": f"m{number}", "remote": "", "news": news("failed", run=f"r{number}", number=number), "earlier": []}
        for number in (1, 2)
    ]
    digest = dispatch(news("failed"), "d2", digest=[{**each, "event": "failed"} for each in items])
    said = await tell(Server([dispatch(news("succeeded"), test=True)], [digest]), FakeNetwork())
    assert "test" in said[0][1]
    assert len(said) == 2


async def test_a_server_that_is_away_is_waited_for():
    server = Server(
        [dispatch(news("succeeded"))], refusals=[ServerUnreachable("away"), None, ServerUnreachable("away")]
    )
    await tell(server, FakeNetwork())
    assert server.settled == [("d1", {"state": "sent", "remote": "m0"})]


async def test_what_is_settled_already_is_no_matter():
    server = Server([dispatch(news("succeeded"))], refusals=[None, NotFound("no such dispatch")])
    assert len(await tell(server, FakeNetwork())) == 1


async def test_a_bot_that_the_server_does_not_know_ends():
    with pytest.raises(Unauthenticated):
        await tell(Server(refusals=[Unauthenticated("revoked")]), FakeNetwork())
