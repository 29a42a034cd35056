"""Which addresses messages may be sent to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowbuild.core.addresses import MAX_ADDRESSES, email_addresses, is_email, shown_url, webhook_url
from flowbuild.core.errors import InvalidRequest
from flowbuild.core.giturl import Policy

PUBLIC = Policy()
OPEN = Policy(plain_http=True, internal=("*",))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ann@example.org", "ann@example.org"),
        (" ann@example.org ,bob+ci@mail.example.org,, ", "ann@example.org, bob+ci@mail.example.org"),
        ("ann@example.org, ann@example.org", "ann@example.org"),
        ("root@localhost", "root@localhost"),
    ],
)
def test_e_mail(text, found):
    assert email_addresses(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        " , ",
        "ann",
        "@example.org",
        "ann@",
        "a b@example.org",
        "ann@exa mple.org",
        "ann@example.org\r\nBcc: all@example.org",
        "ann@example.org\nX: y",
        "Ann <ann@example.org>",
        "ann@@example.org",
        ".ann@example.org",
        "a..b@example.org",
        "ann@-example.org",
        "ann@example..org",
        "ann@[127.0.0.1]",
        "änn@example.org",
        f"{'a' * 65}@example.org",
        f"ann@{'a.' * 130}org",
        ", ".join(f"a{number}@example.org" for number in range(MAX_ADDRESSES + 1)),
    ],
)
def test_what_is_no_e_mail_address(text):
    with pytest.raises(InvalidRequest) as caught:
        email_addresses(text)
    assert caught.value.about == "target"


@given(st.text(max_size=40))
def test_nothing_but_addresses_comes_through(text):
    try:
        found = email_addresses(f"a{text}@example.org")
    except InvalidRequest:
        return
    assert found.isascii()
    assert found.isprintable()


@pytest.mark.parametrize(
    "url",
    ["https://hooks.example.org/x", "https://example.org", "https://example.org:8443/a?b=c&d", "https://8.8.8.8/x"],
)
def test_webhooks(url):
    assert webhook_url(f" {url} ", PUBLIC) == url


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("", "empty"),
        ("example.org/x", "not an address"),
        ("ftp://example.org", "not an address"),
        ("file:///etc/passwd", "not an address"),
        ("https://", "not an address"),
        ("https://ann:pw@example.org", "not an address"),
        ("https://example.org/#x", "not an address"),
        ("https://example.org/a b", "not an address"),
        ("https://example.org:0/", "not an address"),
        ("https://example.org:99999/", "not an address"),
        ("https://[::1", "not an address"),
        ("https://example.org\\@evil.example/", "not an address"),
        ("https://example.org/é", "not an address"),
        ("https://example.org/\r\nHost: x", "cannot be shown"),
        (f"https://example.org/{'x' * 2000}", "longer"),
        ("http://example.org/x", "not encrypted"),
        ("https://127.0.0.1/x", "not a public one"),
        ("https://169.254.169.254/latest", "not a public one"),
        ("https://[::1]/x", "not a public one"),
        ("https://[::ffff:10.0.0.1]/x", "not a public one"),
    ],
)
def test_what_is_no_webhook(url, word):
    with pytest.raises(InvalidRequest, match=word) as caught:
        webhook_url(url, PUBLIC)
    assert caught.value.about in ("target", "url")


def test_a_server_that_may_speak_to_its_own_network():
    for url in ("http://127.0.0.1:9/x", "http://hooks.internal/x", "https://10.0.0.1/"):
        assert webhook_url(url, OPEN) == url
    with pytest.raises(InvalidRequest, match="public"):
        webhook_url("http://10.0.0.1/", Policy(plain_http=True))
    with pytest.raises(InvalidRequest, match="not encrypted"):
        webhook_url("http://10.0.0.1/", Policy(internal=("10.0.0.0/8",)))


def test_what_opens_a_webhook_is_not_shown():
    assert shown_url("https://hooks.example.org:8443/T0/B1/secret?key=x") == "https://hooks.example.org:8443/…"


@pytest.mark.parametrize("text", ["ann@example.org", "a.b+c@x-y.example", "flow@localhost", "o'neil@example.org"])
def test_one_address(text):
    assert is_email(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ann",
        "@example.org",
        "ann@",
        "a b@example.org",
        "<ann@example.org>",
        "ann@example.org, bob@example.org",
        "ann@example.org\r\nRCPT TO:<x@y>",
        "ann@example.org\n",
        ".a@example.org",
        "a..b@example.org",
        "ann@exa mple.org",
        "ann@example.org> SIZE=1",
        '"a b"@example.org',
        "änn@example.org",
        "ann@[127.0.0.1]",
        "a@b@c",
        "a" * 65 + "@example.org",
    ],
)
def test_what_is_not_one_address(text):
    assert not is_email(text)
