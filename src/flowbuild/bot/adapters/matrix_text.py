"""Messages as events of Matrix: plain text, and HTML in which everything that is not ours is escaped. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby
from typing import Any
from urllib.parse import quote

from flowbuild.bot.adapters.fitting import clean, columns, fit, tame, titled
from flowbuild.bot.messages import Block, Choices, Code, Message, Span, Table, Text, Tone

OURS = "org.flow-build.bot"  # marks what bots of ours say, which bots of ours do not answer
MOST = 48_000  # bytes of a content; an event has at most 65,536, with its hashes and signatures
ALOUD = {Tone.BAD, Tone.BROKEN, Tone.WAITS}  # clients do not ring for notices


def content_of(message: Message, *, prefix: str = "") -> dict[str, Any]:
    """Return the content of an `m.room.message`. `prefix`: what commands begin with in the room, so that they reach the bot."""
    return _content(fit(message, lambda each: len(json.dumps(_content(each, prefix)).encode()), MOST), prefix)


def in_thread(content: Mapping[str, Any], thread: str) -> dict[str, Any]:
    """Return content that belongs to the thread below a message."""
    relation = {
        "rel_type": "m.thread",
        "event_id": thread,
        "is_falling_back": True,
        "m.in_reply_to": {"event_id": thread},
    }
    return {**content, "m.relates_to": relation}


def in_place(content: Mapping[str, Any], remote: str) -> dict[str, Any]:
    """Return content that takes the place of a message; nobody is called by that."""
    first = str(content["body"]).splitlines()[0]
    return {
        "msgtype": content["msgtype"],
        "body": f"* {first}",
        "m.mentions": {},
        "m.new_content": dict(content),
        "m.relates_to": {"rel_type": "m.replace", "event_id": remote},
        OURS: {},
    }


def _content(message: Message, prefix: str) -> dict[str, Any]:
    plain, rich = [titled(message)], [_title(message)]
    for texts, blocks in groupby(message.blocks, key=lambda block: isinstance(block, Text)):
        together = list(blocks)
        plain += [line for block in together for line in _plain(block)]
        parts = map(_rich, together)
        rich.append(f"<p>{'<br>'.join(parts)}</p>" if texts else "".join(parts))
    buttons = [button for button in message.buttons if not button.answer]
    if buttons:
        commands = [(button.label, prefix + clean(button.command)) for button in buttons]
        plain += [f"{tame(label)}: {command}" for label, command in commands]
        shown = (f"{_html(label)}: <code>{escape(command)}</code>" for label, command in commands)
        rich.append(f"<p>{' · '.join(shown)}</p>")
    if message.mention:
        plain.append(" ".join(message.mention))
        rich.append(f"<p>{' '.join(map(_pill, message.mention))}</p>")
    return {
        "msgtype": "m.text" if message.tone in ALOUD or message.mention else "m.notice",
        "body": "\n".join(plain),
        "format": "org.matrix.custom.html",
        "formatted_body": "".join(rich),
        "m.mentions": {"user_ids": list(message.mention)} if message.mention else {},  # given: the text calls nobody
        OURS: {},
    }


def _title(message: Message) -> str:
    title = escape(titled(message))
    return f"<p><strong>{_link(message.url, title)}</strong></p>"


def _pill(user: str) -> str:
    return f'<a href="https://matrix.to/#/{quote(user, safe="@:")}">{escape(user)}</a>'


def _link(url: str, html: str) -> str:
    return f'<a href="{escape(url)}">{html}</a>' if url else html


def _html(text: str) -> str:
    return escape(tame(text))


def _plain(block: Block) -> Sequence[str]:
    match block:
        case Text(spans):
            return ["".join(_plain_span(span) for span in spans)]
        case Code(lines):
            return [clean(each) for each in lines]
        case Table():
            return columns(block)
        case Choices(items):
            return [f"{number}. {tame(item)}" for number, item in enumerate(items, 1)]


def _plain_span(span: Span) -> str:
    text = clean(span.text) if span.code else tame(span.text)
    return f"{text} ({span.url})" if span.url else text


def _rich(block: Block) -> str:
    match block:
        case Text(spans):
            return "".join(_rich_span(span) for span in spans)
        case Code(lines, language):
            kind = f' class="language-{escape(language)}"' if language else ""
            return f"<pre><code{kind}>{escape(chr(10).join(map(clean, lines)))}\n</code></pre>"
        case Table():
            return f"<pre><code>{escape(chr(10).join(columns(block)))}\n</code></pre>"
        case Choices(items):
            return f"<ol>{''.join(f'<li>{_html(item)}</li>' for item in items)}</ol>"


def _rich_span(span: Span) -> str:
    html = f"<code>{escape(clean(span.text))}</code>" if span.code else _html(span.text)
    html = f"<strong>{html}</strong>" if span.strong else html
    return _link(span.url, html)
