"""Messages as blocks of Slack. Rich text has no markup: what strangers wrote stays what it is. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape, unescape
from typing import Any

from flowbuild.bot.adapters.fitting import clean, columns, fit, tame, titled
from flowbuild.bot.messages import Block, Choices, Code, Message, Span, Table, Text

MOST = 10_000  # characters of all blocks together; Slack takes about 13,000
FALLBACK = 1000  # of the text of notifications
SAY = "say-"  # the ids of our buttons begin so
LABEL, COMMAND, BUTTONS = 75, 2000, 25  # what Slack allows

_WRAPPED = re.compile(r"<([^<>|]*)(?:\|([^<>]*))?>")


def content_of(message: Message) -> dict[str, Any]:
    """Return the parts of a message as `chat.postMessage` takes them."""
    message = fit(message, lambda each: sum(map(_length, _elements(each))), MOST)
    blocks: list[dict[str, Any]] = [{"type": "rich_text", "elements": _elements(message)}]
    buttons = [each for each in message.buttons if len(each.command) <= COMMAND][:BUTTONS]
    if buttons:
        elements = [
            {
                "type": "button",
                "action_id": f"{SAY}{number}",
                "text": {"type": "plain_text", "text": clean(each.label)[:LABEL] or "?", "emoji": False},
                "value": each.command,
                **({"style": "danger"} if each.danger else {}),
            }
            for number, each in enumerate(buttons)
        ]
        blocks.append({"type": "actions", "elements": elements})
    called = "".join(f" <@{user_of(each)}>" for each in message.mention)
    fallback = escape(titled(message)[:FALLBACK], quote=False)
    return {"blocks": blocks, "text": fallback + called, "unfurl_links": False, "unfurl_media": False}


def plain_of(text: str) -> str:
    """Return what somebody typed from what Slack made of it: names and addresses stand in angle brackets there."""
    return unescape(_WRAPPED.sub(_unwrapped, text))


def user_of(sender: str) -> str:
    """Return what a workspace calls somebody: a sender is TEAM:USER, because another workspace may use the same name."""
    return sender.rpartition(":")[2]


def _unwrapped(match: re.Match[str]) -> str:
    what, label = match[1], match[2]
    if what[:1] in {"@", "#", "!"}:
        return (what[0].replace("!", "@") + (label or what[1:])) if label is None or what[0] != "@" else f"@{label}"
    return label or what


def _elements(message: Message) -> list[dict[str, Any]]:
    first = [_text(titled(message), url=message.url, bold=True)]
    for each in message.mention:
        first += [_text(" "), {"type": "user", "user_id": user_of(each)}]
    found: list[dict[str, Any]] = [{"type": "rich_text_section", "elements": first}]
    for block in message.blocks:
        if found[-1]["type"] == "rich_text_section":
            found[-1]["elements"].append(_text("\n"))
        found.append(_element(block))
    return found


def _element(block: Block) -> dict[str, Any]:
    match block:
        case Text(spans):
            return _section([_span(each) for each in spans])
        case Code(lines):
            return _code([clean(each) for each in lines])
        case Table():
            return _code(columns(block))
        case Choices(items):
            if not items:
                return _section([])
            return {
                "type": "rich_text_list",
                "style": "ordered",
                "elements": [_section([_text(tame(each))]) for each in items],
            }


def _section(elements: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"type": "rich_text_section", "elements": list(elements) or [_text("")]}


def _code(lines: Sequence[str]) -> dict[str, Any]:
    return {"type": "rich_text_preformatted", "elements": [_text("\n".join(lines))]}


def _span(span: Span) -> dict[str, Any]:
    text = clean(span.text) if span.code else tame(span.text)
    return _text(text, url=span.url, bold=span.strong, code=span.code)


def _text(text: str, *, url: str = "", **style: bool) -> dict[str, Any]:
    """Return a piece of text; Slack refuses an empty one."""
    styles = {name: True for name, wanted in style.items() if wanted}
    kind = {"type": "link", "url": url} if url else {"type": "text"}
    return {**kind, "text": text or " ", **({"style": styles} if styles else {})}


def _length(element: Mapping[str, Any]) -> int:
    own = len(element.get("text", "")) + len(element.get("url", ""))
    return own + sum(_length(each) for each in element.get("elements", ()))
