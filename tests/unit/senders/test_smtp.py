"""E-mail to a real mail server, on its good and on its bad days."""

import pytest

from flowbuild.senders import smtp
from flowbuild.senders.base import Verdict
from flowbuild.senders.letter import Letter, mailbox
from flowbuild.senders.smtp import NoMail, Relay, SmtpSender, relay_of
from flowbuild.testing.certificates import client_context, server_context
from flowbuild.testing.receivers import DROP, SILENT, mail_server, mute_server

ANN, BOB = "ann@example.org", "bob@example.org"
SENDER = mailbox("Flow <flow@example.org>")
LETTER = Letter("01J", (ANN, BOB), "subject", "text\n", "<p>text</p>\n", 1.8e9)


def sender(server, **more):
    return SmtpSender(Relay("127.0.0.1", server.port, tls=False, **more), SENDER)


@pytest.fixture
async def server():
    async with mail_server() as made:
        yield made


async def test_one_mail_for_all(server):
    receipt = await sender(server).send(LETTER)
    (mail,) = server.mails
    assert (receipt.verdict, receipt.done, receipt.error) == (Verdict.TAKEN, (ANN, BOB), "")
    assert receipt.answer == f"{ANN}, {BOB}: taken"
    assert (mail.receivers, mail.id, mail.message["To"]) == ((ANN, BOB), "<01J@example.org>", f"{ANN}, {BOB}")


async def test_a_receiver_that_is_refused_does_not_hold_up_the_other(server):
    server.no[BOB] = ["550 no such user"]
    receipt = await sender(server).send(LETTER)
    assert (receipt.verdict, receipt.done) == (Verdict.TAKEN, (ANN,))
    assert receipt.error == f"{BOB}: 550 no such user"
    assert receipt.error in receipt.answer
    assert server.mails[0].receivers == (ANN,)


async def test_greylisting_of_one_of_two(server):
    server.no[BOB] = ["450 come again"]
    first = await sender(server).send(LETTER)
    assert (first.verdict, first.done, first.error) == (Verdict.AGAIN, (ANN,), f"{BOB}: 450 come again")
    second = await sender(server).send(LETTER, first.done)
    assert (second.verdict, second.done) == (Verdict.TAKEN, (ANN, BOB))
    assert [mail.receivers for mail in server.mails] == [(ANN,), (BOB,)]  # nobody twice
    assert {(mail.id, mail.message["To"]) for mail in server.mails} == {("<01J@example.org>", f"{ANN}, {BOB}")}


@pytest.mark.parametrize(
    ("no", "verdict"), [("550 no", Verdict.REFUSED), ("450 not now", Verdict.AGAIN), ("552 full", Verdict.REFUSED)]
)
async def test_all_are_refused(server, no, verdict):
    server.no = {ANN: [no], BOB: [no]}
    receipt = await sender(server).send(LETTER)
    assert (receipt.verdict, receipt.done) == (verdict, ())
    assert receipt.error == f"{ANN}: {no}; {BOB}: {no}"


@pytest.mark.parametrize(("no", "verdict"), [("554 looks like spam", Verdict.REFUSED), ("451 busy", Verdict.AGAIN)])
async def test_the_mail_is_refused(server, no, verdict):
    server.data = [no]
    receipt = await sender(server).send(LETTER)
    assert (receipt.verdict, receipt.done) == (verdict, ())
    assert no in receipt.error
    assert server.mails == []


async def test_who_is_refused_after_the_other_has_it_does_not_undo_that(server):
    server.no[BOB] = ["550 no such user"]
    receipt = await sender(server).send(LETTER, (ANN,))
    assert (receipt.verdict, receipt.done) == (Verdict.TAKEN, (ANN,))


async def test_a_connection_that_is_dropped_when_the_mail_was_sent(server):
    server.data = [DROP]
    first = await sender(server).send(LETTER)
    second = await sender(server).send(LETTER, first.done)
    assert (first.verdict, second.verdict) == (Verdict.AGAIN, Verdict.TAKEN)
    assert server.by_id() == {"<01J@example.org>": 1}


async def test_a_server_that_falls_silent(server, monkeypatch):
    monkeypatch.setattr(smtp, "SILENCE", 0.3)
    server.data = [SILENT]
    receipt = await sender(server).send(LETTER)
    assert receipt.verdict is Verdict.AGAIN
    assert receipt.error == f"the mail server 127.0.0.1:{server.port} did not answer in time"


async def test_a_server_that_never_says_anything(monkeypatch):
    monkeypatch.setattr(smtp, "SILENCE", 0.3)
    async with mute_server() as port:
        receipt = await SmtpSender(Relay("127.0.0.1", port, tls=False), SENDER).send(LETTER)
    assert (receipt.verdict, "did not answer in time" in receipt.error) == (Verdict.AGAIN, True)


async def test_nobody_is_there():
    receipt = await SmtpSender(Relay("127.0.0.1", 1, tls=False), SENDER).send(LETTER)
    assert receipt.verdict is Verdict.AGAIN
    assert "FLOW_SMTP_URL" in receipt.error


@pytest.mark.parametrize("to", [("a b@example.org",), ("ann@example.org\r\nDATA",), ("änn@example.org",), ()])
async def test_what_is_no_address_is_refused_before_anybody_is_asked(to):
    letter = Letter("01J", to, "s", "t", "h", 1.0)
    receipt = await SmtpSender(Relay("127.0.0.1", 1, tls=False), SENDER).send(letter)
    assert receipt.verdict is Verdict.REFUSED
    assert "\n" not in receipt.error


async def test_one_that_is_no_address_does_not_hold_up_the_others(server):
    receipt = await sender(server).send(Letter("01J", ("no address", ANN), "s", "t", "h", 1.0))
    assert (receipt.verdict, receipt.done) == (Verdict.TAKEN, (ANN,))
    assert server.mails[0].message["To"] == ANN


class TestTls:
    """Encrypted, to whom the certificate names; passwords go no other way, but to this machine."""

    @pytest.mark.parametrize("from_the_start", [True, False])
    async def test_login_over_tls(self, from_the_start, tmp_path):
        tls = server_context(tmp_path, "localhost")
        async with mail_server(tls=tls, from_the_start=from_the_start, login=("u", "p")) as server:
            relay = Relay("localhost", server.port, tls=from_the_start, user="u", password="p")
            receipt = await SmtpSender(relay, SENDER, client_context(tmp_path)).send(LETTER)
        assert receipt.verdict is Verdict.TAKEN
        assert (server.mails[0].user, server.mails[0].encrypted) == ("u", True)

    @pytest.mark.parametrize("from_the_start", [True, False])
    async def test_another_name_in_the_certificate(self, from_the_start, tmp_path):
        tls = server_context(tmp_path, "elsewhere.example")
        async with mail_server(tls=tls, from_the_start=from_the_start) as server:
            relay = Relay("localhost", server.port, tls=from_the_start)
            receipt = await SmtpSender(relay, SENDER, client_context(tmp_path)).send(LETTER)
        assert receipt.verdict is Verdict.AGAIN
        assert "certificate" in receipt.error.lower()
        assert server.seen == []

    async def test_a_wrong_password_is_tried_again_and_not_shown(self, tmp_path):
        tls = server_context(tmp_path, "localhost")
        async with mail_server(tls=tls, login=("u", "right")) as server:
            relay = Relay("localhost", server.port, tls=False, user="u", password="the wrong one")
            receipt = await SmtpSender(relay, SENDER, client_context(tmp_path)).send(LETTER)
        assert receipt.verdict is Verdict.AGAIN
        assert "535" in receipt.error
        assert "the wrong one" not in receipt.error
        assert "the wrong one" not in repr(relay)

    def test_where_starttls_is_a_must(self):
        def must(host, user="u"):
            return smtp._start_tls(Relay(host, 25, tls=False, user=user))

        assert (must("mail.example"), must("192.0.2.1")) == (True, True)
        assert (must("localhost"), must("127.0.0.1"), must("::1")) == (None, None, None)
        assert must("mail.example", user="") is None


async def test_where_no_mail_server_is_named():
    receipt = await NoMail().send(LETTER)
    assert (receipt.verdict, receipt.done) == (Verdict.REFUSED, ())
    assert "FLOW_SMTP_URL" in receipt.error


@pytest.mark.parametrize(
    ("url", "relay"),
    [
        ("smtp://mail.example", Relay("mail.example", 25, tls=False)),
        ("smtps://mail.example", Relay("mail.example", 465, tls=True)),
        ("smtp://u:p%40x@mail.example", Relay("mail.example", 587, tls=False, user="u", password="p@x")),
        ("smtps://u%40d:p@mail.example:2465/", Relay("mail.example", 2465, tls=True, user="u@d", password="p")),
        ("smtp://[::1]:25", Relay("::1", 25, tls=False)),
    ],
)
def test_urls(url, relay):
    assert relay_of(url) == relay


def test_a_password_of_its_own():
    assert relay_of("smtp://u@mail.example", "p").password == "p"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mail.example",
        "http://mail.example",
        "smtp://",
        "smtp://m:99999",
        "smtp://m:x",
        "smtp://m/x",
        "smtp://m?a=b",
        "smtp://user@mail.example",
        "smtp://:secret@mail.example",
    ],
)
def test_what_is_no_url(url):
    with pytest.raises(ValueError, match=r"port|URL|password") as caught:
        relay_of(url)
    assert "secret" not in str(caught.value)
