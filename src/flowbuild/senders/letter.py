"""An e-mail as bytes, by RFC 5322: whatever its texts hold, its headers are the ones that are set here. Pure.

Mails about the same thing are one thread: each refers to a Message-ID that is made of the thread's name and that no mail
has, so it does not matter which of them arrives first, or at all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr

from flowbuild.core.addresses import is_email

MAX_SUBJECT = 200  # characters
_NO_LABEL = re.compile(r"[^A-Za-z0-9]+")
_LONGEST_URL = 74  # characters; what does not fit on a line would be encoded, as no mail program expects a URL
_LONG_HOST = 40  # characters; with a longer one an id would not fit on a line, and be broken


@dataclass(frozen=True, slots=True)
class Letter:
    """An e-mail. `id` is the same for what is the same mail, `thread` for mails about the same thing; "" none.

    `at`: when it was written, seconds since the epoch. `list_name`: by what receivers may sort it, like team/app, qa.
    `unsubscribe`: the page on which its receiver can end it; "" none.
    """

    id: str
    to: Sequence[str]
    subject: str
    text: str
    html: str
    at: float
    thread: str = ""
    list_name: Sequence[str] = ()
    unsubscribe: str = ""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Whom mails come from: `Flow <flow@example.org>`."""

    name: str
    address: str

    @property
    def host(self) -> str:
        """Return the domain of the address."""
        return self.address.rpartition("@")[2]


def mailbox(text: str) -> Mailbox:
    """Return the parts of `Name <address>`, or of an address alone; raises ValueError."""
    name, address = parseaddr(text)
    if (
        not is_email(address)
        or not text.isprintable()
        or text.strip() not in (address, f"{text.partition('<')[0]}<{address}>")
    ):
        raise ValueError("not an address like flow@example.org or Flow <flow@example.org>")
    return Mailbox(name, address)


def composed(letter: Letter, sender: Mailbox) -> bytes:
    """Return a mail as it goes over the wire, whose lines are short and ASCII. The same letter gives the same mail but for what separates its parts."""
    mail = EmailMessage(policy=SMTP)
    mail["From"] = Address(sender.name, addr_spec=sender.address)
    mail["To"] = [Address(addr_spec=address) for address in letter.to]
    mail["Subject"] = header_text(letter.subject, MAX_SUBJECT)
    mail["Date"] = format_datetime(datetime.fromtimestamp(letter.at, UTC))
    mail["Message-ID"] = message_id(letter.id, sender)
    if letter.thread:
        mail["In-Reply-To"] = mail["References"] = message_id(letter.thread, sender)
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's vacation answers it
    if letter.list_name:
        mail["List-Id"] = _list_id(letter.list_name, sender)
    if letter.unsubscribe.isascii() and 0 < len(letter.unsubscribe) <= _LONGEST_URL:
        mail["List-Unsubscribe"] = f"<{letter.unsubscribe}>"
    mail.set_content(letter.text, cte="quoted-printable")
    mail.add_alternative(letter.html, subtype="html", cte="quoted-printable")
    return mail.as_bytes()


def message_id(name: str, sender: Mailbox) -> str:
    """Return a Message-ID; the same name gives the same one."""
    host = sender.host if len(sender.host) <= _LONG_HOST else "flow.invalid"  # names are unique in the whole world
    return f"<{_NO_LABEL.sub('-', name)[:40]}@{host}>"


def header_text(text: str, most: int) -> str:
    """Return text for a header: one line, what cannot be shown left out, shortened.

    Encoded words (RFC 2047) are taken apart: `email` would decode them, and write the line ends in them as they are.
    """
    text = " ".join(text[: 8 * most].split())
    text = "".join(char for char in text if char.isprintable()).replace("=?", "= ?")
    return text if len(text) <= most else text[: most - 1] + "…"


def _list_id(names: Sequence[str], sender: Mailbox) -> str:
    labels = [_NO_LABEL.sub("-", name).strip("-").lower()[:20] or "x" for name in reversed(names)]
    host = sender.host if len(sender.host) <= _LONG_HOST else "flow.invalid"
    return f"<{'.'.join(labels)}.{host}>"
