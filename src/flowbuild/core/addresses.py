"""Where messages are sent to: which e-mail addresses and which URLs of webhooks are accepted. Pure."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from flowbuild.core.errors import InvalidRequest
from flowbuild.core.giturl import GitUrl, Policy, Transport, judge
from flowbuild.core.plain import required

MAX_ADDRESSES = 20
MAX_URL = 2000  # characters
_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")  # RFC 5322, dot-atom
_DOMAIN = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
)
_EXAMPLE = "https, without user and password: https://hooks.example.org/flow"


def email_addresses(text: str) -> str:
    """Return addresses that stand in a text with commas between, in one form; raises InvalidRequest."""
    found = [part.strip() for part in text.split(",") if part.strip()]
    if not 1 <= len(found) <= MAX_ADDRESSES:
        message = "there is no e-mail address" if not found else f"more than {MAX_ADDRESSES} e-mail addresses"
        raise InvalidRequest(message, hint="ann@example.org, bob@example.org", about="target")
    for address in found:
        if not is_email(address):
            raise InvalidRequest(f"{address[:80]!r} is not an e-mail address", hint="ann@example.org", about="target")
    return ", ".join(dict.fromkeys(found))


def is_email(text: str) -> bool:
    """Tell whether a text is one e-mail address: ASCII, and nothing that means something else to a mail server."""
    local, _, domain = text.rpartition("@")
    fits = len(text) <= 254 and len(local) <= 64
    return fits and _LOCAL.fullmatch(local) is not None and _DOMAIN.fullmatch(domain) is not None


def webhook_url(text: str, policy: Policy) -> str:
    """Return the URL of a webhook; raises InvalidRequest.

    As for repositories plain http has to be allowed. A host given as a number is judged here; what a name resolves to, whoever
    connects has to judge.
    """
    url = required("the address of the webhook", text, MAX_URL, about="target")
    parts = _split(url)
    if parts is None:
        raise InvalidRequest("that is not an address of a webhook", hint=_EXAMPLE, about="target")
    if parts.scheme == "http" and not policy.plain_http:
        hint = "use https, or let the administrator allow plain http: FLOW_ALLOW_HTTP"
        raise InvalidRequest("http is not encrypted", hint=hint, about="target")
    try:
        literal = str(ip_address(parts.hostname or ""))
    except ValueError:
        return url
    judge_host(literal, [literal], policy)
    return url


def judge_host(host: str, addresses: list[str], policy: Policy) -> None:
    """Raise InvalidRequest for a host that the server must not speak to, by the rules for repositories."""
    judge(GitUrl(f"https://{host}", Transport.HTTPS, host, 443, "", "/"), policy, addresses)


def shown_url(url: str) -> str:
    """Return what may be shown of the URL of a webhook: where it leads, without what opens it."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}/…"


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        named = parts.hostname is not None and parts.port != 0
    except ValueError:
        return None
    plain = url.isascii() and not any(char in url for char in ' \\"<>') and "@" not in parts.netloc
    return parts if named and plain and parts.scheme in ("http", "https") and not parts.fragment else None
