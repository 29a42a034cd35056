"""A client of a server elsewhere sees what a client in the process sees; connections break, answers are odd."""

import asyncio
import json
from contextlib import asynccontextmanager

import httpx2
import pytest

from flowbuild.client.http import RETRIES, HttpClient
from flowbuild.client.problems import error_of
from flowbuild.core.errors import (
    Conflict,
    Forbidden,
    Held,
    InvalidRequest,
    LeaseLost,
    NotFound,
    ServerUnreachable,
    SystemFailed,
    Unauthenticated,
    UserError,
)
from flowbuild.spec.findings import InvalidFile
from flowbuild.testing.home import step

CHAIN = {"a": step(log="one two", write="a=1", then="b"), "b": step(write="b=1")}


@asynccontextmanager
async def client(site, who="developer", **options):
    made = HttpClient(site.url, who, **options)
    try:
        yield made
    finally:
        await made.close()


@pytest.fixture(autouse=True)
def project(home):
    home.write(CHAIN)


async def test_the_same_updates_as_in_the_process(home, open_site):
    async with open_site() as site, client(site) as remote:
        begun = await site.life.start(home)
        seen = [update async for update in remote.watch(begun.id)]
        await site.life.finished(begun.id)
        near = [update async for update in site.life.client.watch(begun.id)]
        again = [update async for update in remote.watch(begun.id, after=4)]
    stored = [each for each in seen if each.event["type"] != "attempt_phase"]
    assert [(each.seq, each.event["type"]) for each in stored] == [(each.seq, each.event["type"]) for each in near]
    assert seen[-1].run.state == "succeeded"
    assert [each.seq for each in again] == [each.seq for each in near if each.seq > 4]
    assert again[-1].run.steps == near[-1].run.steps


@pytest.mark.parametrize("follow", [False, True])
async def test_the_same_bytes_of_a_log(home, open_site, follow):
    async with open_site() as site, client(site) as remote:
        run = await site.life.finished((await site.life.start(home)).id)
        near = await site.life.log(run.id, "a")
        far = b"".join([chunk.data async for chunk in remote.logs(run.id, "a", follow=follow)])
        part = b"".join(
            [chunk.data async for chunk in remote.logs(run.id, "a", offset=3, service="main", follow=follow)]
        )
    assert far == near
    assert part == b"one two"


async def test_steering(home, open_site):
    async with open_site() as site, client(site, "approver") as remote:
        run = await site.life.finished((await site.life.start(home)).id)
        new = await remote.rerun(run.id, from_steps=["b"], variables={"X": "1"}, secrets={})
        await remote.cancel(new.id)
        view = await site.life.finished(new.id)
        diff = await remote.diff(run.id, "a", patch=True)
        assert diff == await site.life.client.diff(run.id, "a", patch=True)
        with pytest.raises(Conflict, match="does not wait"):
            await remote.approve(run.id, "a")
    assert view.steps[0].reused


async def test_errors_come_back_as_what_they_were(home, open_site):
    async with open_site() as site, client(site) as remote, client(site, "stranger") as stranger:
        run = await site.life.finished((await site.life.start(home)).id)
        with pytest.raises(NotFound, match="no run"):
            await stranger.get(run.id)
        with pytest.raises(Forbidden) as refused:
            async with client(site, "viewer") as viewer:
                await viewer.cancel(run.id)
        with pytest.raises(NotFound) as missing:
            async for _ in remote.logs(run.id, "c", follow=True):
                pass
        with pytest.raises(Unauthenticated):
            async with client(site, "nobody") as nobody:
                await nobody.get(run.id)
    assert "developer" in refused.value.hint
    assert missing.value.hint == "there are a, b"


async def test_a_stream_that_breaks_off_goes_on_where_it_was(home, open_site):
    """Each connection is cut after two messages; nothing is told twice, nothing is left out."""
    async with open_site() as site:
        run = await site.life.finished((await site.life.start(home)).id)
        whole = [update.seq async for update in site.life.client.watch(run.id)]
        cuts = []

        class Cutting(httpx2.AsyncHTTPTransport):
            async def handle_async_request(self, request):
                answer = await super().handle_async_request(request)
                if "events" in str(request.url):
                    answer.stream = Cut(answer.stream)
                return answer

        class Cut(httpx2.AsyncByteStream):
            def __init__(self, stream):
                self.stream = stream

            async def __aiter__(self):
                told = 0
                async for piece in self.stream:
                    for message in piece.split(b"\n\n")[:-1]:
                        yield message + b"\n\n"
                        if (told := told + 1) == 2:
                            cuts.append(told)
                            raise httpx2.ReadError("cut")

            async def aclose(self):
                await self.stream.aclose()

        async with client(site, transport=Cutting(), sleep=lambda _: asyncio.sleep(0)) as remote:
            seen = [update.seq async for update in remote.watch(run.id)]
    assert cuts
    assert seen == whole


async def test_a_server_that_is_gone_is_given_up_in_the_end():
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    answers = iter([b'{"id":"x"}'])

    def handle(request):
        try:
            next(answers)
        except StopIteration:
            raise httpx2.ConnectError("refused") from None
        return httpx2.Response(200, json=VIEW)

    remote = HttpClient("http://gone", "", transport=httpx2.MockTransport(handle), sleep=sleep)
    with pytest.raises(ServerUnreachable, match="http://gone cannot be reached: refused"):
        async for _ in remote.watch("0" * 26):
            pass
    await remote.close()
    assert len(slept) == RETRIES
    assert slept == sorted(slept)


VIEW = {
    "id": "0" * 26,
    "number": 1,
    "project": "p",
    "pipeline": "t",
    "state": "running",
    "created_at": 1.0,
    "finished_at": None,
}


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"id": 5}', b"\xff"])
async def test_what_is_no_flow_server_is_told(body):
    remote = HttpClient("http://x", "", transport=httpx2.MockTransport(lambda _: httpx2.Response(200, content=body)))
    with pytest.raises(ServerUnreachable, match="does not answer as a flow server"):
        await remote.get("0" * 26)
    await remote.close()


@pytest.mark.parametrize("sender", ["@ann:example.org", "U012AB", "@änn:example.org"])
async def test_a_bot_says_for_whom_it_asks(sender):
    sent = []

    def answer(request):
        sent.append(
            {name: value for name, value in request.headers.raw if name.lower() in (b"flow-sender", b"authorization")}
        )
        return httpx2.Response(200, json={})

    remote = HttpClient("http://x", "flowb_t", sender=sender, transport=httpx2.MockTransport(answer))
    await remote.ask("GET", "me")
    await remote.close()
    assert sent == [{b"Authorization": b"Bearer flowb_t", b"Flow-Sender": sender.encode()}]


@pytest.mark.parametrize("sender", ["a\r\nX: y", "\ud800", "x" * 257, " a"])
def test_a_sender_that_no_network_has_is_refused_before_anything_is_sent(sender):
    with pytest.raises(InvalidRequest, match="sender"):
        HttpClient("http://x", "flowb_t", sender=sender)


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (404, b'{"code": "not_found", "detail": "no", "hint": "h"}', NotFound, "no"),
        (502, b"<html>Bad gateway</html>", SystemFailed, "status 502"),
        (400, b'{"code": "of the future", "detail": "new"}', UserError, "new"),
        (418, b"[" * 100_000, UserError, "status 418"),
        (422, b'{"code": "invalid_file", "detail": "x", "findings": [{}]}', UserError, "x"),
        (429, b'{"code": "rate_limited", "detail": "slow"}', UserError, "slow"),
    ],
)
def test_whatever_an_error_looks_like_it_is_told(status, body, kind, words):
    error = error_of(status, body)
    assert isinstance(error, kind)
    assert words in error.message


@pytest.mark.parametrize(
    "kind", [UserError, NotFound, Conflict, Held, LeaseLost, Unauthenticated, Forbidden, SystemFailed]
)
def test_an_error_is_what_it_was(kind):
    body = json.dumps({"code": kind.code, "detail": "words", "hint": "advice"}).encode()
    error = error_of(400, body)
    assert (type(error), error.message, error.hint) == (kind, "words", "advice")


def test_findings_keep_their_places():
    one = b'{"code":"unknown_key","file":".flow.yml","line":3,"column":5,"message":"m","hint":"h","severity":"error"}'
    error = error_of(422, b'{"code": "invalid_file", "detail": "x", "findings": [' + one + b"]}")
    assert isinstance(error, InvalidFile)
    assert str(error.findings[0]).startswith(".flow.yml:3:5: error: m [unknown_key]")
