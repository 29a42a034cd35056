"""Options of e-mail: what they mean, and that a server without them says so."""

import pytest

from flowbuild.core.errors import InvalidRequest
from flowbuild.senders.smtp import NoMail, SmtpSender
from flowbuild.settings import Settings, read_settings
from flowbuild.wiring.sending import mail_sender

URL = "smtp://me:hidden@mail.example:587"
FROM = "Flow <flow@example.org>"


def test_both_are_needed():
    assert isinstance(mail_sender(Settings(smtp_url=URL, mail_from=FROM)), SmtpSender)
    for options in ({}, {"smtp_url": URL}, {"mail_from": FROM}):
        assert isinstance(mail_sender(Settings(**options)), NoMail)


@pytest.mark.parametrize("sender", ["nobody", "a@b.c, d@e.f", "Flow\n<flow@example.org>"])
def test_whom_it_comes_from_is_one_address(sender):
    with pytest.raises(InvalidRequest, match="FLOW_MAIL_FROM: not an address"):
        mail_sender(Settings(smtp_url=URL, mail_from=sender))


def test_a_user_without_a_password():
    with pytest.raises(InvalidRequest, match="FLOW_SMTP_URL: a user without a password"):
        mail_sender(Settings(smtp_url="smtp://me@mail.example", mail_from=FROM))


def test_a_password_in_a_file(monkeypatch, tmp_path):
    (tmp_path / "FLOW_SMTP_PASSWORD").write_text("hidden\n")
    monkeypatch.setenv("FLOW_SECRETS", str(tmp_path))
    monkeypatch.setenv("FLOW_SMTP_URL", "smtp://me@mail.example")
    monkeypatch.setenv("FLOW_MAIL_FROM", FROM)
    settings = read_settings()
    assert isinstance(mail_sender(settings), SmtpSender)
    assert settings.smtp_password.get_secret_value() == "hidden"
    assert "hidden" not in repr(settings)


@pytest.mark.parametrize(
    "url", ["mail.example", "http://me:hidden@mail.example", "smtp://me:hid@den@host:x", "smtp://:0"]
)
def test_a_mail_server_is_named_by_its_url_and_no_password_is_shown(monkeypatch, url):
    monkeypatch.setenv("FLOW_SMTP_URL", url)
    with pytest.raises(InvalidRequest, match="FLOW_SMTP_URL: not a URL like smtp://") as raised:
        read_settings()
    assert "hid" not in str(raised.value)
    monkeypatch.setenv("FLOW_SMTP_URL", URL)
    assert "hidden" not in repr(read_settings())
