"""Webhooks to a real receiver, on its good and on its bad days; signatures as the specification describes them."""

import base64
import hashlib
import re
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from flowbuild.core.giturl import Policy
from flowbuild.senders import webhook
from flowbuild.senders.base import Verdict
from flowbuild.senders.webhook import Call, WebhookSender, new_secret, retry_after, signed
from flowbuild.testing.certificates import server_context
from flowbuild.testing.receivers import ENDLESS, RESET, SILENT, Answer, hook_receiver
from flowbuild.workspace import judged
from flowbuild.workspace.judged import JudgedTransport

NOW = 1_800_000_000
SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
BODY = b'{"type":"run.failed"}'
HERE = Policy(plain_http=True, internal=("127.0.0.1",))


@asynccontextmanager
async def place(policy=HERE, **options):
    async with hook_receiver(**options) as receiver, httpx2.AsyncClient(transport=JudgedTransport(policy)) as http:
        yield receiver, WebhookSender(http, lambda: NOW + 0.5)


def call(receiver, path="/hook", **more):
    return Call(**{"id": "01J", "url": receiver.url + path, "secret": SECRET, "body": BODY, **more})


def verified(told, secret=SECRET):
    """Whether a receiver that knows nothing of our code believes a request; by the words of the specification."""
    key = base64.b64decode(secret.split("_", 1)[1])
    text = told.headers["webhook-id"] + "." + told.headers["webhook-timestamp"] + "." + told.body.decode()
    inner = hashlib.sha256(bytes(b ^ 0x36 for b in key.ljust(64, b"\0")) + text.encode()).digest()
    mac = hashlib.sha256(bytes(b ^ 0x5C for b in key.ljust(64, b"\0")) + inner).digest()  # RFC 2104, by hand
    return f"v1,{base64.b64encode(mac).decode()}" in told.headers["webhook-signature"].split(" ")


async def test_a_call_that_is_signed():
    async with place() as (receiver, sender):
        receipt = await sender.send(call(receiver))
        (told,) = receiver.told
    assert (receipt.verdict, receipt.answer) == (Verdict.TAKEN, "200")
    assert (told.path, told.body, told.id) == ("/hook", BODY, "01J")
    assert told.headers["webhook-timestamp"] == str(NOW)
    assert told.headers["content-type"] == "application/json"
    assert verified(told)


async def test_negative_control_of_the_signature():
    async with place() as (receiver, sender):
        await sender.send(call(receiver))
        (told,) = receiver.told
    assert not verified(told, new_secret())
    for name, value in (("webhook-id", "01K"), ("webhook-timestamp", str(NOW + 1))):
        assert not verified(type(told)(told.path, {**told.headers, name: value}, told.body, taken=True))
    assert not verified(type(told)(told.path, told.headers, told.body + b" ", taken=True))


def test_the_example_of_the_specification():
    """https://github.com/standard-webhooks/standard-webhooks: what its libraries are tested with."""
    known = Call("msg_p5jXN8AQM9LWM0D4loKWxJek", "", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}')
    assert signed(known, 1614265330)["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_secrets():
    first, second = new_secret(), new_secret()
    assert first != second
    assert len(base64.b64decode(first.removeprefix("whsec_"))) == 32


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_!", "plain words"])
async def test_what_is_no_secret_signs_nothing(secret):
    async with place() as (receiver, sender):
        receipt = await sender.send(call(receiver, secret=secret))
    assert (receipt.verdict, receiver.told) == (Verdict.REFUSED, [])
    assert "secret" in receipt.error


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        *((code, Verdict.TAKEN) for code in (200, 201, 202)),
        *((code, Verdict.AGAIN) for code in (301, 302, 307, 401, 403, 404, 408, 409, 429, 451, 500, 502, 503, 504)),
        *((code, Verdict.REFUSED) for code in (400, 413, 415, 422)),
        (410, Verdict.GONE),
    ],
)
async def test_what_follows_from_a_status(code, verdict):
    async with place(answers=[Answer(code, body=b"so it is")]) as (receiver, sender):
        receipt = await sender.send(call(receiver))
    assert receipt.verdict is verdict
    assert receipt.answer == f"{code} so it is"
    assert (str(code) in receipt.error) is (verdict is not Verdict.TAKEN)


async def test_the_same_id_when_it_comes_again():
    answers = [Answer(500), Answer(how=RESET), Answer(503)]
    async with place(answers=answers) as (receiver, sender):
        receipts = [await sender.send(call(receiver)) for _ in range(4)]
    assert [receipt.verdict for receipt in receipts] == [*[Verdict.AGAIN] * 3, Verdict.TAKEN]
    assert [told.id for told in receiver.told] == ["01J"] * 4
    assert all(verified(told) for told in receiver.told)
    assert receiver.taken() == {"01J": 1}


async def test_a_receiver_that_never_answers(monkeypatch):
    monkeypatch.setattr(webhook, "DEADLINE", 0.3)
    async with place(answers=[Answer(how=SILENT)]) as (receiver, sender):
        receipt = await sender.send(call(receiver))
    assert (receipt.verdict, "did not answer within" in receipt.error) == (Verdict.AGAIN, True)
    assert len(receiver.told) == 1


async def test_an_answer_without_end_is_not_read():
    async with place(answers=[Answer(how=ENDLESS)]) as (receiver, sender):
        receipt = await sender.send(call(receiver))
    assert receipt.verdict is Verdict.TAKEN
    assert len(receipt.answer) <= 1024
    assert receiver.sent < 32 << 20  # what fits into buffers


async def test_an_answer_that_does_not_come_counts_by_its_status(monkeypatch):
    monkeypatch.setattr(webhook, "ANSWER_SECONDS", 0.2)
    slow = Answer(503, {"Content-Length": "100"}, b"begin")
    async with place(answers=[slow]) as (receiver, sender):
        receipt = await sender.send(call(receiver))
    assert receipt.verdict is Verdict.AGAIN


async def test_a_packed_answer_is_not_unpacked():
    packed = Answer(headers={"Content-Encoding": "gzip"}, body=b"\x1f\x8b" + b"\0" * 100)
    async with place(answers=[packed]) as (receiver, sender):
        receipt = await sender.send(call(receiver))
    assert (receipt.verdict, receipt.answer) == (Verdict.TAKEN, "200")


async def test_an_answer_that_is_no_text():
    async with place(answers=[Answer(body=b"a\x00\x1b[31m\xff\r\nb" + b"x" * 5000)]) as (receiver, sender):
        receipt = await sender.send(call(receiver))
    assert receipt.answer.isprintable()
    assert len(receipt.answer) <= 1024


async def test_what_is_no_http(monkeypatch):
    monkeypatch.setattr(webhook, "DEADLINE", 5)
    async with place(answers=[Answer(99999, {"a b": "\x01"})]) as (receiver, sender):
        assert (await sender.send(call(receiver))).verdict is Verdict.AGAIN


async def test_nobody_is_there():
    async with place() as (_receiver, sender):
        receipt = await sender.send(Call("01J", "http://127.0.0.1:1/a/secret/path", SECRET, BODY))
    assert receipt.verdict is Verdict.AGAIN
    assert "secret/path" not in receipt.error


@pytest.mark.parametrize("header", ["120", "Fri, 15 Jan 2027 08:02:00 GMT"])
async def test_a_receiver_says_when(header):
    async with place(answers=[Answer(429, {"Retry-After": header})]) as (receiver, sender):
        receipt = await sender.send(call(receiver))
    assert (receipt.verdict, receipt.again_after) == (Verdict.AGAIN, pytest.approx(120, abs=1))


@pytest.mark.parametrize("value", ["", "soon", "-5", "Fri, 15 Jan 2016 08:02:00 GMT", "0", "\N{SUPERSCRIPT TWO}"])
def test_a_time_that_says_nothing(value):
    assert retry_after(value, NOW) == 0


@pytest.mark.parametrize("value", ["9" * 400, "86400", "Fri, 15 Jan 2100 08:02:00 GMT"])
def test_nobody_makes_us_wait_for_ever(value):
    assert retry_after(value, NOW) == webhook.MAX_RETRY_AFTER


class TestWhere:
    """The server speaks to nobody whom its policy does not allow, by whatever name or redirect."""

    async def test_a_redirect_is_not_followed(self):
        async with place() as (elsewhere, _), place() as (receiver, sender):
            receiver.answers = [Answer(307, {"Location": elsewhere.url + "/private"})]
            receipt = await sender.send(call(receiver))
        assert (receipt.verdict, elsewhere.told) == (Verdict.AGAIN, [])
        assert "redirects are not followed" in receipt.error

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "[::ffff:127.0.0.1]", "0.0.0.0"])
    async def test_this_machine(self, host):
        async with place(Policy(plain_http=True)) as (receiver, sender):
            receipt = await sender.send(call(receiver, url=receiver.url.replace("127.0.0.1", host)))
        assert (receipt.verdict, receiver.told) == (Verdict.REFUSED, [])
        assert "not a public one" in receipt.error

    @pytest.mark.parametrize(("name", "verdict"), [("localhost", Verdict.TAKEN), ("elsewhere.example", Verdict.AGAIN)])
    async def test_who_is_encrypted_to_is_who_the_address_names(self, name, verdict, tmp_path, monkeypatch):
        tls = server_context(tmp_path, name)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        async with place(Policy(internal=("localhost",)), tls=tls) as (receiver, sender):
            receipt = await sender.send(call(receiver))
        assert receipt.verdict is verdict
        assert len(receiver.told) == (verdict is Verdict.TAKEN)
        assert ("certificate" in receipt.error.lower()) is (verdict is Verdict.AGAIN)

    async def test_a_name_is_looked_up_once_and_all_its_addresses_are_judged(self, monkeypatch):
        asked, addresses = [], ["127.0.0.1"]

        async def resolve(host, _port, _threads):
            asked.append(host)
            return addresses

        monkeypatch.setattr(judged, "_resolve", resolve)
        async with place(Policy(plain_http=True, internal=("hooks.example",))) as (receiver, sender):
            url = f"http://hooks.example:{receiver.url.rpartition(':')[2]}/"
            assert (await sender.send(call(receiver, url=url))).verdict is Verdict.TAKEN
            assert receiver.told[0].headers["host"] == url.split("/")[2]
        addresses[:] = ["203.0.113.1", "127.0.0.1"]
        async with place(Policy(plain_http=True)) as (receiver, sender):
            assert (await sender.send(call(receiver, url=url))).verdict is Verdict.REFUSED
        assert asked == ["hooks.example"] * 2

    async def test_without_encryption(self):
        async with place(Policy(internal=("*",))) as (receiver, sender):
            receipt = await sender.send(call(receiver))
        assert (receipt.verdict, receiver.told) == (Verdict.REFUSED, [])
        assert "http is not encrypted" in receipt.error

    @pytest.mark.parametrize(
        "url", ["", "ftp://example.org/", "https://", "nonsense", "https://a\nb/", "file:///etc/passwd"]
    )
    async def test_what_is_no_url(self, url):
        async with place() as (receiver, sender):
            receipt = await sender.send(call(receiver, url=url))
        assert receipt.verdict in (Verdict.REFUSED, Verdict.AGAIN)
        assert receipt.error
        assert receiver.told == []


async def test_the_example_in_the_docs_checks_signatures(monkeypatch):
    page = (Path(__file__).parents[3] / "docs/outgoing.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    there = {}
    exec(example, there)
    is_ours = there["is_ours"]
    monkeypatch.setattr(there["time"], "time", lambda: NOW + 10)
    async with place() as (receiver, sender):
        await sender.send(call(receiver))
        (told,) = receiver.told
    assert is_ours(told.headers, told.body, SECRET)
    assert not is_ours(told.headers, told.body + b" ", SECRET)
    assert not is_ours(told.headers, told.body, new_secret())
    assert not is_ours({**told.headers, "webhook-signature": "v1,"}, told.body, SECRET)
    monkeypatch.setattr(there["time"], "time", lambda: NOW + 1000)
    assert not is_ours(told.headers, told.body, SECRET)
