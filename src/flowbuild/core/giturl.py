"""Addresses of source repositories: which ones are well-formed, and which ones a server fetches from. Pure.

An address comes from a person and ends up as an argument of git, so whatever is not understood completely is refused:
transports that run programs (`ext::`), options (`-…`), `file://`, secrets in the text, control characters. A server also
reaches what the person cannot: so hosts are judged by the addresses they resolve to, and the caller connects to these.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from flowbuild.core.errors import InvalidRequest

MAX_LENGTH = 2048  # characters

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_HELPER = re.compile(r"[A-Za-z0-9+.-]*::")
_SCP = re.compile(r"(?:([^@:/]*)@)?(\[[^\]]*\]|[^@:/\[\]]+):(.*)", re.DOTALL)
_AUTHORITY = re.compile(r"(?:(.*)@)?(\[[^\]]*\]|[^@:\[\]]*)(?::([0-9]*))?")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\xa0\u2000-\u200f\u2028-\u202f\u2066-\u2069\ufeff\\]")
_USER_INFO = re.compile(r"//.*@", re.DOTALL)
_EXAMPLE = "an address is like https://example.org/group/project.git or git@example.org:group/project.git"
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address

_Address = IPv4Address | IPv6Address


class Transport(StrEnum):
    """How git gets at a repository; the values are git's own names."""

    HTTPS = "https"
    HTTP = "http"
    SSH = "ssh"
    FILE = "file"  # a path on the server's machine


_PORTS = {Transport.HTTPS: 443, Transport.HTTP: 80, Transport.SSH: 22}


@dataclass(frozen=True, slots=True)
class GitUrl:
    """A well-formed address. `text` is what git gets; `host` has no brackets and is empty for a path on this machine."""

    text: str
    transport: Transport
    host: str
    port: int
    user: str
    path: str


@dataclass(frozen=True, slots=True)
class Policy:
    """What a server fetches from besides public hosts by https and ssh.

    `local`: directories below which repositories may lie. `internal`: names of hosts and networks (`10.0.0.0/8`) that are
    allowed although they are not public; `*` allows all.
    """

    plain_http: bool = False
    local: tuple[str, ...] = ()
    internal: tuple[str, ...] = ()


def parse(text: str) -> GitUrl:
    """Return the parts of an address; raises InvalidRequest for one that is malformed or could mean something else."""
    text = text.strip(" ")
    if not text or len(text) > MAX_LENGTH:
        raise _refused(text, "it is empty" if not text else f"it is longer than {MAX_LENGTH} characters")
    if _UNPRINTABLE.search(text):
        raise _refused(text, "it holds a space, a backslash or a character that cannot be seen")
    if text.startswith("-"):
        raise _refused(text, "it begins with a dash")
    if _HELPER.match(text):
        raise _refused(text, "it names a program that git would start")
    if match := _SCHEME.fullmatch(text):
        return _with_scheme(text, match[1].lower(), match[2])
    if text.startswith("/"):
        return _local(text)
    if match := _SCP.fullmatch(text):
        return _scp(text, match[1], match[2], match[3])
    raise _refused(text, "there is neither a transport nor a host in it")


def judge(url: GitUrl, policy: Policy, resolved: Sequence[str]) -> None:
    """Raise InvalidRequest unless the server may fetch from an address.

    `resolved`: the IP addresses of its host, to which the caller then connects; of a path, its real path.
    """
    if url.transport is Transport.FILE:
        _judge_path(url, policy, resolved)
        return
    if url.transport is Transport.HTTP and not policy.plain_http:
        raise _refused(
            url.text,
            "http is not encrypted",
            hint="use https, or let the administrator allow plain http: FLOW_ALLOW_HTTP",
        )
    if not resolved:
        raise _refused(url.text, f"the host {url.host} has no address")
    for text in resolved:
        if not _allowed(url.host, ip_address(text.partition("%")[0]), policy.internal):
            raise _refused(
                url.text,
                f"the host {url.host} is not a public one",
                hint=f"if the server is to fetch from it, let the administrator allow it: FLOW_ALLOW_INTERNAL={url.host}",
            )


def _with_scheme(text: str, scheme: str, rest: str) -> GitUrl:
    if scheme not in {"https", "http", "ssh"}:
        hint = "name the path itself, without file://" if scheme == "file" else ""
        raise _refused(text, f"{scheme}:// is not supported: https and ssh are", hint=hint)
    transport = Transport(scheme)
    authority, slash, path = rest.partition("/")
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        raise _refused(text, "the part between // and the next / is not a host")
    user = _user(text, match[1], transport)
    host = _host(text, match[2])
    port = _port(text, match[3], _PORTS[transport])
    if "?" in path or "#" in path:
        raise _refused(text, "it has a ? or # in its path")
    if not path.strip("/"):
        raise _refused(text, "it names a host but no repository there")
    shown = f"[{host}]" if ":" in host else host
    place = (f"{user}@" if user else "") + shown + (f":{port}" if port != _PORTS[transport] else "")
    return GitUrl(f"{scheme}://{place}{slash}{path}", transport, host, port, user, slash + path)


def _scp(text: str, user: str | None, host: str, path: str) -> GitUrl:
    user, host = _user(text, user, Transport.SSH), _host(text, host)
    if not path.strip("/") or path.startswith("-"):
        raise _refused(text, "there is no repository behind the colon")
    shown = f"[{host}]" if ":" in host else host
    return GitUrl(f"{user}@{shown}:{path}" if user else f"{shown}:{path}", Transport.SSH, host, 22, user, path)


def _local(text: str) -> GitUrl:
    if any(part in {"..", "."} for part in text.split("/")):
        raise _refused(text, "its path goes back")
    return GitUrl(text, Transport.FILE, "", 0, "", text)


def _user(text: str, user: str | None, transport: Transport) -> str:
    if user is None:
        return ""
    if transport is not Transport.SSH or ":" in user:
        hint = "give the address without, and the secret on its own"
        raise _refused(text, "there is a name or a secret in it", hint=hint)
    if not _USER.fullmatch(user):
        raise _refused(text, "the part before @ is not the name of a user")
    return user


def _host(text: str, host: str) -> str:
    host = host.lower().removesuffix(".")
    if host.startswith("["):
        try:
            return str(IPv6Address(host[1:-1].replace("%", " ")))  # no zone: it names a network card of this machine
        except ValueError as error:
            raise _refused(text, "what is between the brackets is not an IPv6 address") from error
    labels = host.split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise _refused(text, "its host is not a name", hint="write a name with other letters in its ASCII form, xn--…")
    if re.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1]):  # else resolvers take 0x7f.1 and 2130706433 for addresses
        try:
            return str(IPv4Address(host))
        except ValueError as error:
            raise _refused(text, "its host is a number that is not an IP address") from error
    return host


def _port(text: str, digits: str | None, default: int) -> int:
    if digits is None:
        return default
    if not digits or len(digits) > 5 or not 0 < int(digits) < 65536:
        raise _refused(text, "its port is not a number from 1 to 65535")
    return int(digits)


def _judge_path(url: GitUrl, policy: Policy, resolved: Sequence[str]) -> None:
    for path in resolved:
        if not any(path == top or path.startswith(top.rstrip("/") + "/") for top in policy.local):
            break
    else:
        if resolved:
            return
    raise _refused(
        url.text,
        "repositories of the server's own machine are not allowed there",
        hint="the administrator may allow a directory for them",
    )


def _allowed(host: str, address: _Address, internal: Iterable[str]) -> bool:
    address = _real(address)
    if address.is_global and not address.is_multicast:
        return True
    return any(name in ("*", host) or address in _network(name) for name in internal)


def _real(address: _Address) -> _Address:
    """Return the IPv4 address that an IPv6 one stands for, or the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _network(name: str) -> IPv4Network | IPv6Network | tuple[()]:
    try:
        return ip_network(name)
    except ValueError:  # the name of another host
        return ()


def _refused(text: str, why: str, *, hint: str = "") -> InvalidRequest:
    shown = _UNPRINTABLE.sub("\ufffd", _USER_INFO.sub("//…@", text)[:200])
    return InvalidRequest(f"the address {shown!r} is refused: {why}", hint=hint or _EXAMPLE, about="url")
