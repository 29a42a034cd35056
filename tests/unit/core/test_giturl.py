"""Addresses of sources: only what is understood completely, and only hosts that a server may reach."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowbuild.core.errors import InvalidRequest
from flowbuild.core.giturl import Policy, Transport, judge, parse

GOOD = {
    "https://example.org/group/project.git": ("https", "example.org", 443, "", "/group/project.git"),
    "HTTPS://Example.ORG:8443/p": ("https", "example.org", 8443, "", "/p"),
    "https://example.org:443/p": ("https", "example.org", 443, "", "/p"),
    "http://[2001:db8::1]:80/p.git": ("http", "2001:db8::1", 80, "", "/p.git"),
    "ssh://git@example.org:2222/~ann/p.git": ("ssh", "example.org", 2222, "git", "/~ann/p.git"),
    "ssh://example.org/p": ("ssh", "example.org", 22, "", "/p"),
    "git@example.org:group/p.git": ("ssh", "example.org", 22, "git", "group/p.git"),
    "example.org:/srv/p.git": ("ssh", "example.org", 22, "", "/srv/p.git"),
    "git@[2001:db8::1]:p": ("ssh", "2001:db8::1", 22, "git", "p"),
    "/srv/git/p.git": ("file", "", 0, "", "/srv/git/p.git"),
    "  https://example.org/p  ": ("https", "example.org", 443, "", "/p"),
}
BAD = [
    "",
    "p.git",
    "./p",
    "../p",
    "~/p",
    "--upload-pack=touch /tmp/x",
    "-oProxyCommand=id",
    "ext::sh -c id",
    "EXT::sh",
    "fd::17",
    "::x",
    "file:///etc",
    "FILE:///etc",
    "git://example.org/p",
    "ftp://example.org/p",
    "https://user:secret@example.org/p",
    "https://token@example.org/p",
    "ssh://git:secret@example.org/p",
    "ssh://-oProxyCommand=id/x",
    "ssh://-oProxyCommand=id@example.org/x",
    "-oProxyCommand=id@example.org:p",
    "git@-oProxyCommand=id:p",
    "git@example.org:-p",
    "git@example.org:",
    "https://example.org",
    "https://example.org/",
    "https:///p",
    "https://example.org:0/p",
    "https://example.org:99999/p",
    "https://example.org:/p",
    "https://example.org:8x/p",
    "https://exa mple.org/p",
    "https://example.org/p\nhost: x",
    "https://example.org/p\x00",
    "https://example.org/p\x7f",
    "https://example.org\\@127.0.0.1/p",
    "https://example.org/p?x=1",
    "https://example.org/p#x",
    "https://0x7f.1/p",
    "https://2130706433/p",
    "https://127.1/p",
    "https://0177.0.0.1/p",
    "https://[::1/p",
    "https://[fe80::1%25eth0]/p",
    "https://exämple.org/p",
    "https://example..org/p",
    "/srv/../etc/p",
    "https://example.org/" + "p" * 3000,
]


@pytest.mark.parametrize("text", GOOD)
def test_parts(text):
    url = parse(text)
    assert (url.transport.value, url.host, url.port, url.user, url.path) == GOOD[text]
    assert parse(url.text) == url


@pytest.mark.parametrize("text", BAD)
def test_refused(text):
    with pytest.raises(InvalidRequest) as refused:
        parse(text)
    assert refused.value.message.isprintable()
    assert refused.value.hint


def test_a_secret_is_not_repeated():
    for text in ("https://ann:hunter2@example.org/p", "https://ann:hunter2@bad host/p", "ssh://ann:hunter2@h/p"):
        with pytest.raises(InvalidRequest) as refused:
            parse(text)
        assert "hunter2" not in str(refused.value)


PUBLIC = ["93.184.216.34"]
INTERNAL = [
    "127.0.0.1",
    "10.1.2.3",
    "192.168.0.1",
    "172.16.5.4",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fd00::1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
    "ff02::1",
]


def test_public_hosts_are_allowed():
    judge(parse("https://example.org/p"), Policy(), [*PUBLIC, "2606:2800:220:1::1"])


@pytest.mark.parametrize("address", INTERNAL)
def test_internal_hosts_are_refused(address):
    """Also when only one of several addresses is internal."""
    url = parse("https://example.org/p")
    with pytest.raises(InvalidRequest, match="not a public one"):
        judge(url, Policy(), [*PUBLIC, address])
    judge(url, Policy(internal=("*",)), [address])
    judge(url, Policy(internal=("example.org",)), [address])


def test_internal_networks_can_be_allowed():
    policy = Policy(internal=("10.1.0.0/16", "other.example"))
    judge(parse("https://a.example/p"), policy, ["10.1.2.3"])
    with pytest.raises(InvalidRequest):
        judge(parse("https://a.example/p"), policy, ["10.2.2.3"])


def test_a_host_without_address_is_refused():
    with pytest.raises(InvalidRequest, match="no address"):
        judge(parse("https://example.org/p"), Policy(internal=("*",)), [])


def test_plain_http_is_a_matter_of_policy():
    url = parse("http://example.org/p")
    with pytest.raises(InvalidRequest, match="not encrypted"):
        judge(url, Policy(), PUBLIC)
    judge(url, Policy(plain_http=True), PUBLIC)


def test_paths_only_below_allowed_directories():
    url, policy = parse("/srv/git/p"), Policy(local=("/srv/git/",))
    judge(url, policy, ["/srv/git/p"])
    for real in ["/srv/gitx/p", "/etc"]:  # where a symbolic link leads
        with pytest.raises(InvalidRequest):
            judge(url, policy, [real])
    with pytest.raises(InvalidRequest):
        judge(url, policy, [])
    with pytest.raises(InvalidRequest):
        judge(url, Policy(), ["/srv/git/p"])


@given(st.text(max_size=80) | st.from_regex(r"(https?|ssh|ext|file|git)(://|::)[^\n]{0,40}", fullmatch=True))
def test_any_text_is_an_address_or_refused(text):
    try:
        url = parse(text)
    except InvalidRequest:
        return
    assert not any(part.startswith("-") for part in (url.text, url.host, url.user))
    assert "::" not in url.text.partition("/")[0] or "[" in url.text
    assert url.text.isprintable()
    assert url.host or url.transport is Transport.FILE
    assert parse(url.text) == url
