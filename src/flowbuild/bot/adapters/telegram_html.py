"""Messages as HTML of Telegram, which knows few tags; it makes links of what looks like one, so that must not. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape

from flowbuild.bot.adapters.fitting import JOINER, clean, columns, fit, tame, titled
from flowbuild.bot.messages import Block, Choices, Code, Message, Span, Table, Text

MOST = 4096  # characters of UTF-16, without tags

_TAGS = re.compile(r"<[^>]*>")
_COMMANDS = re.compile(r"(?<!\w)([/#$])(?=\w)")  # what sends a command or searches when it is touched


def html_of(message: Message, names: Mapping[str, str]) -> str:
    """Return the text of a message. `names`: of people by what Telegram calls them, to mention them."""
    return _html(fit(message, lambda each: _length(_html(each, names)), MOST), names)


def _html(message: Message, names: Mapping[str, str]) -> str:
    parts = [_link(message.url, f"<b>{_tamed(titled(message))}</b>"), *map(_block, message.blocks)]
    if message.mention:
        parts.append(" ".join(_called(each, names.get(each, "")) for each in message.mention))
    return "\n".join(parts)


def _length(html: str) -> int:
    """Count as Telegram does, a bit too much: what is escaped counts with its escape."""
    return len(_TAGS.sub("", html).encode("utf-16-le")) // 2


def _called(user: str, name: str) -> str:
    return f'<a href="tg://user?id={escape(user)}">{escape(clean(name) or "you")}</a>'


def _tamed(text: str) -> str:
    return escape(_COMMANDS.sub(rf"\1{JOINER}", tame(text)), quote=False)


def _link(url: str, html: str) -> str:
    return f'<a href="{escape(url)}">{html}</a>' if url else html


def _block(block: Block) -> str:
    match block:
        case Text(spans):
            return "".join(map(_span, spans))
        case Code(lines):
            return _pre([clean(each) for each in lines])
        case Table():
            return _pre(columns(block))
        case Choices(items):
            return "\n".join(f"{number}. {_tamed(each)}" for number, each in enumerate(items, 1))


def _pre(lines: Sequence[str]) -> str:
    return f"<pre>{escape(chr(10).join(lines), quote=False)}</pre>"


def _span(span: Span) -> str:
    html = f"<code>{escape(clean(span.text), quote=False)}</code>" if span.code else _tamed(span.text)
    return _link(span.url, f"<b>{html}</b>" if span.strong and not span.code else html)
