"""E-mail and webhooks of a server to real receivers: all arrive, at least once, with the same id when they come again."""

import asyncio
import json
import socket
import threading

import pytest
import structlog

from flowbuild.core.giturl import Policy
from flowbuild.core.notifying import NewsKind
from flowbuild.services import dispatching
from flowbuild.services.sending import JITTER, PAUSES, pause_after
from flowbuild.testing.receivers import DROP, RESET, SILENT, Answer, hook_receiver, mail_server
from flowbuild.testing.telling import Telling
from flowbuild.triggers import sending as triggers

TO = "ann@example.org, bob@example.org"


@pytest.fixture(autouse=True)
def logs():
    """What is logged here; other tests leave a log behind whose file is closed."""
    with structlog.testing.capture_logs() as captured:
        yield captured


@pytest.fixture
async def server(tmp_path):
    made = await asyncio.to_thread(Telling, tmp_path)
    yield made
    made.database.close()


@pytest.fixture
async def hook():
    async with hook_receiver() as made:
        yield made


@pytest.fixture
async def mail():
    async with mail_server() as made:
        yield made


async def test_a_webhook_and_its_log(server, hook):
    hook.answers = [Answer(202, body=b"thanks")]
    channel = await server.channel("webhook", f"{hook.url}/a")
    async with server.sending():
        identifier = await server.tell(channel, "run 1")
        await server.settled(channel)
    (told,), row = hook.told, await server.row(identifier)
    assert (row.state, row.answer, row.error, row.tries) == ("sent", "202 thanks", "", 0)
    assert told.id == identifier
    assert json.loads(told.body)["type"] == "run.failed"


async def test_a_mail_and_its_log(server, mail):
    channel = await server.channel("email", TO)
    async with server.sending(mail):
        first, second = await server.tell(channel, "run 1", NewsKind.STARTED), await server.tell(channel, "run 1")
        other = await server.tell(channel, "run 2")
        await server.settled(channel)
    assert {row.state for row in await server.log(channel)} == {"sent"}
    by_id = {each.id: each.message for each in mail.mails}
    assert set(by_id) == {f"<{each}@example.org>" for each in (first, second, other)}
    threads = [by_id[f"<{each}@example.org>"]["References"] for each in (first, second, other)]
    assert threads[0] == threads[1] != threads[2]


async def test_failures_of_every_kind_and_everything_arrives(server, hook, capsys):
    bad = [Answer(500), Answer(how=RESET), Answer(429, {"Retry-After": "1"}), Answer(302, {"Location": hook.url})]
    hook.answers = bad * 5
    channel = await server.channel("webhook", hook.url)
    ids = [await server.tell(channel, f"run {number}") for number in range(30)]
    async with server.sending():
        await server.to_the_end(channel)
    taken = hook.taken()
    with capsys.disabled():
        print(f"\nwebhooks: {len(ids)} told, {len(hook.told)} requests, {sum(taken.values())} taken, ids {len(taken)}")
    assert taken == dict.fromkeys(ids, 1)
    assert hook.answers == []


async def test_pauses_grow_and_it_ends_after_about_a_day(server, hook):
    hook.answers = [Answer(503)] * 100
    channel = await server.channel("webhook", hook.url)
    began = server.clock()
    identifier = await server.tell(channel, "run 1")
    async with server.sending():
        for tries, pause in enumerate(PAUSES, 1):
            await server.tried(identifier, tries)
            wait = (await server.row(identifier)).next_at - server.clock()
            assert pause <= wait <= pause * (1 + JITTER) + 0.01
            server.later(wait)
        await server.settled(channel)
    row = await server.row(identifier)
    assert (row.state, row.tries) == ("failed", len(PAUSES) + 1)
    assert "said 503" in row.error
    assert 20 < (server.clock() - began) / 3600 < 28
    assert {told.id for told in hook.told} == {identifier}


async def test_a_receiver_says_when(server, hook):
    hook.answers = [Answer(503, {"Retry-After": "3600"})]
    channel = await server.channel("webhook", hook.url)
    identifier = await server.tell(channel, "run 1")
    async with server.sending():
        await server.tried(identifier)
    assert (await server.row(identifier)).next_at == pytest.approx(server.clock() + 3600)


async def test_what_is_refused_is_not_repeated(server, hook):
    hook.answers = [Answer(422, body=b"what is this?")]
    channel = await server.channel("webhook", hook.url)
    identifier = await server.tell(channel, "run 1")
    async with server.sending():
        await server.settled(channel)
    row = await server.row(identifier)
    assert (row.state, row.answer, len(hook.told)) == ("failed", "422 what is this?", 1)


async def test_a_receiver_that_is_gone_disables_its_channel(server, hook):
    hook.answers = [Answer(410)]
    channel, other = await server.channel("webhook", hook.url), await server.channel("webhook", hook.url, "other")
    first = await server.tell(channel, "run 1", NewsKind.STARTED)
    second = await server.tell(channel, "run 1")
    async with server.sending():
        await server.settled(channel)
        await server.tell(other, "run 1")
        await server.settled(other)
    assert await asyncio.to_thread(disabled, server, channel, other) == [True, False]
    assert [(await server.row(each)).state for each in (first, second)] == ["failed", "failed"]
    assert [told.id for told in hook.told][:1] == [first]
    assert len(hook.told) == 2


def disabled(server, *channels):
    with server.database.read() as tx:
        return [tx.channels.get(channel.id).disabled_at is not None for channel in channels]


async def test_a_later_one_waits_for_the_earlier_one_of_its_message(server, hook):
    hook.answers = [Answer(500)]
    channel = await server.channel("webhook", hook.url)
    first, second = await server.tell(channel, "run 1", NewsKind.STARTED), await server.tell(channel, "run 1")
    async with server.sending():
        await server.tried(first)
        assert (await server.row(second)).tries == 0
        server.later(PAUSES[0] * 2)
        await server.settled(channel)
    assert [told.id for told in hook.told] == [first, first, second]


async def test_slow_receivers_hold_up_nobody_but_themselves(server, hook, monkeypatch):
    monkeypatch.setattr(triggers, "GRACE", 0.0)
    hook.by_path["/slow"] = [Answer(how=SILENT)] * 1000
    count = 30  # channels, with more connections than a client has by itself
    slow = [await server.channel("webhook", f"{hook.url}/slow", f"slow{number}") for number in range(count)]
    for channel in slow:
        for number in range(triggers.AT_ONCE + 1):
            await server.tell(channel, f"run {number}")
    quick = await server.channel("webhook", f"{hook.url}/quick")
    async with server.sending():
        await hook.until(lambda: len(hook.told) >= 110)
        ids = [await server.tell(quick, f"run {number}") for number in range(40)]
        await server.settled(quick)
    assert hook.taken() == dict.fromkeys(ids, 1)
    waiting = [row for channel in slow for row in await server.log(channel)]
    assert {row.state for row in waiting} == {"waiting"}
    assert (
        sum(told.path == "/slow" for told in hook.told) <= count * triggers.AT_ONCE
    )  # and no more of them were claimed


async def test_a_name_server_that_is_away_takes_no_threads_of_others(server, hook, monkeypatch):
    """Everything that a server decides is done in the threads of everybody."""
    found, seen = threading.Event(), []

    def look_up(host, port, **_):
        seen.append(threading.current_thread().name)
        if host == "away.example":
            found.wait(60)
        return [(0, 0, 0, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(triggers, "GRACE", 0.0)
    away, quick = (
        await server.channel("webhook", "http://away.example/", "away"),
        await server.channel("webhook", hook.url),
    )
    for number in range(triggers.AT_ONCE):
        await server.tell(away, f"run {number}")
    try:
        async with server.sending():
            identifier = await server.tell(quick, "run 1")
            await server.settled(quick)
    finally:
        found.set()
    assert hook.taken() == {identifier: 1}
    assert len(seen) == triggers.AT_ONCE + 1
    assert all(name.startswith("names") for name in seen)


async def test_two_servers_share_the_work(server, hook, mail):
    hooks, mails = await server.channel("webhook", hook.url), await server.channel("email", TO, "mail")
    async with server.sending(mail), server.sending(mail):
        ids = [await server.tell(channel, f"run {number}") for number in range(30) for channel in (hooks, mails)]
        for channel in (hooks, mails):
            await server.settled(channel)
    assert hook.taken() == dict.fromkeys(ids[::2], 1)
    assert mail.by_id() == {f"<{identifier}@example.org>": 1 for identifier in ids[1::2]}


async def test_what_is_on_its_way_at_the_end_is_settled(server, hook):
    channel = await server.channel("webhook", hook.url)
    identifier = await server.tell(channel, "run 1")
    async with server.sending():
        await hook.until(lambda: len(hook.told) == 1)
    assert (await server.row(identifier)).state == "sent"


async def test_what_was_sent_and_not_noted_comes_again_with_its_id(server, hook, monkeypatch):
    monkeypatch.setattr(triggers, "GRACE", 0.0)
    hook.answers = [Answer(how=SILENT)]
    channel = await server.channel("webhook", hook.url)
    identifier = await server.tell(channel, "run 1")
    async with server.sending():
        await hook.until(lambda: len(hook.told) == 1)
    assert (await server.row(identifier)).state == "waiting"
    async with server.sending():
        server.later(dispatching.CLAIM + 1)
        await server.settled(channel)
    assert [told.id for told in hook.told] == [identifier, identifier]


async def test_mail_of_a_server_that_has_bad_days(server, mail, capsys):
    mail.data = ["451 busy", DROP, "250 taken", "451 busy"]
    mail.no = {"bob@example.org": ["450 come again"]}
    channel = await server.channel("email", TO)
    ids = [await server.tell(channel, f"run {number}") for number in range(10)]
    async with server.sending(mail):
        await server.to_the_end(channel)
    with capsys.disabled():
        print(f"\nmails: {len(ids)} told, {len(mail.seen)} tries, {len(mail.mails)} taken, ids {len(mail.by_id())}")
    for address in ("ann@example.org", "bob@example.org"):
        got = [each.id for each in mail.mails if address in each.receivers]
        assert sorted(got) == sorted(f"<{each}@example.org>" for each in ids)


async def test_who_has_a_mail_does_not_get_it_again(server, mail):
    mail.no = {"bob@example.org": ["450 come again"]}
    channel = await server.channel("email", TO)
    identifier = await server.tell(channel, "run 1")
    async with server.sending(mail):
        await server.tried(identifier)
        assert (await server.row(identifier)).done == ("ann@example.org",)
        server.later(PAUSES[0] * 2)
        await server.settled(channel)
    assert [each.receivers for each in mail.mails] == [("ann@example.org",), ("bob@example.org",)]
    assert (await server.row(identifier)).state == "sent"


async def test_an_address_that_is_refused_is_named_in_the_log(server, mail):
    mail.no = {"bob@example.org": ["550 no such user"]}
    channel = await server.channel("email", TO)
    identifier = await server.tell(channel, "run 1")
    async with server.sending(mail):
        await server.settled(channel)
    assert (await server.row(identifier)).state == "sent"
    assert "bob@example.org: 550 no such user" in (await server.row(identifier)).answer


async def test_without_a_mail_server_the_log_says_why(server):
    channel = await server.channel("email", TO)
    identifier = await server.tell(channel, "run 1")
    async with server.sending():
        await server.settled(channel)
    row = await server.row(identifier)
    assert row.state == "failed"
    assert "FLOW_SMTP_URL" in row.error


async def test_a_receiver_that_the_server_must_not_speak_to(server, hook):
    channel = await server.channel("webhook", hook.url)
    identifier = await server.tell(channel, "run 1")
    async with server.sending(policy=Policy(plain_http=True)):
        await server.settled(channel)
    assert hook.told == []
    assert "not a public one" in (await server.row(identifier)).error


async def test_an_error_of_ours_stops_nobody_else(server, hook, monkeypatch, logs):
    def broken(parcel):
        if parcel.items[0].news.run == "run 0":
            raise RuntimeError("a mistake of ours")
        return b"{}"

    monkeypatch.setattr("flowbuild.wiring.sending.body_of", broken)
    channel = await server.channel("webhook", hook.url)
    first, second = await server.tell(channel, "run 0"), await server.tell(channel, "run 1")
    async with server.sending():
        await hook.until(lambda: len(hook.told) == 1)
        await server.tried(first)
    rows = [await server.row(each) for each in (first, second)]
    assert [(row.state, row.tries) for row in rows] == [("waiting", 1), ("sent", 0)]
    assert "a mistake of ours" in rows[0].error
    assert "sending_failed" in [log["event"] for log in logs]


def test_pauses_of_different_parcels_are_different():
    def parcel(number, tries):
        return dispatching.Parcel(f"id{number}", dispatching.ChannelKind.WEBHOOK, "c", "t", (), tries=tries)

    pauses = {pause_after(parcel(number, 3)) for number in range(100)}
    assert len(pauses) > 50
    assert all(PAUSES[3] <= pause <= PAUSES[3] * (1 + JITTER) for pause in pauses)
    assert pause_after(parcel(1, 3)) == pause_after(parcel(1, 3))
