"""Notifications as e-mails: a parcel in, a letter out, as plain text and as simple HTML. Pure.

Whatever branches, commits and logs hold is text and nothing else: no header, no markup, no sequence for a terminal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import quote

from flowbuild.core.human import duration
from flowbuild.core.notifying import News, NewsKind, StepNews
from flowbuild.core.visible import clean
from flowbuild.senders.letter import Letter
from flowbuild.services.dispatching import Parcel

MAX_STEPS = 20  # in one mail; there may be hundreds
MAX_LINES = 20  # of the log of a step
MAX_LINE, MAX_TEXT = 400, 200  # characters of a line of a log, and of any other text

_WORDS = {
    NewsKind.STARTED: "started",
    NewsKind.FINISHED: "finished",
    NewsKind.SUCCEEDED: "succeeded",
    NewsKind.FAILED: "failed",
    NewsKind.ERRORED: "errored",
    NewsKind.RECOVERED: "recovered",
    NewsKind.STILL_FAILING: "is still failing",
    NewsKind.APPROVAL: "waits for approval",
    NewsKind.CANCELLED: "was cancelled",
    NewsKind.NODE_LOST: "lost",
}
_GREEN, _RED, _VIOLET, _AMBER, _GREY = "#2b8a3e", "#c92a2a", "#862e9c", "#e67700", "#868e96"
_COLOURS = {
    NewsKind.SUCCEEDED: _GREEN,
    NewsKind.RECOVERED: _GREEN,
    NewsKind.FAILED: _RED,
    NewsKind.STILL_FAILING: _RED,
    NewsKind.ERRORED: _VIOLET,
    NewsKind.NODE_LOST: _VIOLET,
    NewsKind.APPROVAL: _AMBER,
}
_MONO = "font-family:ui-monospace,Menlo,Consolas,monospace;font-size:13px"


def letter_of(parcel: Parcel, public_url: str) -> Letter:
    """Return the e-mail that tells what is in a parcel. `public_url`: of the server, where one says what one is told."""
    several = parcel.digest and not parcel.project  # of all projects of a person
    told = [
        _tried(item.news) if parcel.test else _told(item.news, short=parcel.digest, named=several)
        for item in parcel.items
    ]
    single = len(told) == 1 and not parcel.digest
    subject = told[0].headline if single else _summary(parcel)
    where = _one_line(parcel.project or ("" if parcel.digest else parcel.items[0].news.project)) or "flow"
    footer = f"You are told this by the channel {_one_line(parcel.channel)}" + (
        f" of {where}." if parcel.project else "."
    )
    rules = f"{public_url}/{_owner(parcel)}?tab=notifications"
    page = f"{rules}&channel={quote(parcel.channel, safe='')}"
    return Letter(
        id=parcel.id,
        to=tuple(filter(None, (address.strip() for address in parcel.target.split(",")))),
        subject=f"[{where}] {subject}",
        text="\n\n\n".join(each.text() for each in told) + f"\n\n-- \n{footer}\n{page}\n",
        html=_page([each.html() for each in told], footer, page),
        at=max((item.news.at for item in parcel.items), default=0.0),
        thread=parcel.items[0].message if single and not parcel.test else "",
        list_name=tuple(filter(None, (parcel.project, parcel.channel))),
        unsubscribe="" if parcel.project else rules,  # who gets mail of a project may be nobody here
    )


def _owner(parcel: Parcel) -> str:
    """Return the page of whose channel it is, below the address of the server."""
    return f"projects/{quote(parcel.project, safe='')}" if parcel.project else "account"


@dataclass(frozen=True, slots=True)
class _Told:
    """News in words: what happened, some facts, steps with what their logs say."""

    headline: str
    url: str
    colour: str
    facts: Sequence[tuple[str, str]]
    steps: Sequence[tuple[str, Sequence[str]]]
    more: str

    def text(self) -> str:
        """Return it as plain text."""
        parts = [self.headline, *(f"{name}: {value}" for name, value in self.facts)]
        for step, lines in self.steps:
            parts += ["", step, *(f"    {line}" for line in lines)]
        parts += ["", self.more] if self.more else []
        parts += ["", self.url] if self.url else []
        return "\n".join(parts)

    def html(self) -> str:
        """Return it as a piece of HTML."""
        title = escape(self.headline)
        if self.url:
            title = f'<a href="{escape(self.url)}" style="color:inherit">{title}</a>'
        parts = [f'<p style="margin:0 0 8px;font-size:17px;font-weight:600">{title}</p>']
        parts += [f'<div style="color:#495057">{escape(name)}: {escape(value)}</div>' for name, value in self.facts]
        for step, lines in self.steps:
            parts.append(f'<p style="margin:12px 0 4px"><b>{escape(step)}</b></p>')
            if lines:
                shown = escape("\n".join(lines))
                parts.append(
                    f'<pre style="{_MONO};margin:0;padding:8px;background:#f1f3f5;white-space:pre-wrap">{shown}</pre>'
                )
        parts += [f"<p>{escape(self.more)}</p>"] if self.more else []
        style = f"border-left:4px solid {self.colour};padding:2px 0 2px 12px;margin:0 0 24px"
        return f'<div style="{style}">{"".join(parts)}</div>'


def _told(news: News, *, short: bool, named: bool) -> _Told:
    steps = () if short else tuple(_step(step) for step in news.steps[:MAX_STEPS])
    left = len(news.steps) - len(steps) if not short else 0
    return _Told(
        headline=(f"{_one_line(news.project)}: " if named and news.project else "") + _headline(news),
        url=news.url if news.url.startswith(("https://", "http://")) and news.url.isprintable() else "",
        colour=_COLOURS.get(news.kind, _GREY),
        facts=tuple(_facts(news)),
        steps=steps,
        more=f"… and {left} more steps" if left else "",
    )


def _tried(news: News) -> _Told:
    """Return what is said when somebody wants to know whether a channel works."""
    return _Told("a test of this channel", "", _GREY, (("Why", _one_line(news.message)),), (), "")


def _headline(news: News) -> str:
    if news.kind is NewsKind.NODE_LOST:
        return f"machine {_one_line(news.node)} is lost"
    branch = f" on {_one_line(news.branch)}" if news.branch else ""
    return f"{_one_line(news.pipeline)} #{news.number} {_WORDS[news.kind]}{branch}"


def _facts(news: News) -> list[tuple[str, str]]:
    commit = " ".join(filter(None, (_one_line(news.commit)[:10], _one_line(news.subject))))
    facts = (
        ("Why", _one_line(news.message)),
        ("Commit", commit),
        ("Author", _one_line(news.author)),
        ("Begun by", _one_line(news.actor)),
        ("Took", duration(news.seconds)),
    )
    return [(name, value) for name, value in facts if value]


def _step(step: StepNews) -> tuple[str, Sequence[str]]:
    code = f"exit code {step.exit_code}" if step.exit_code is not None else ""
    why = ", ".join(filter(None, (_one_line(step.outcome), code)))
    words = f"{_one_line(step.key)}: {why}" + (f" ({_one_line(step.message)})" if step.message else "")
    return words, [_cut(clean(line[: 4 * MAX_LINE]), MAX_LINE).rstrip() for line in step.lines[:MAX_LINES]]


def _summary(parcel: Parcel) -> str:
    """Return what a digest holds, by kind."""
    counts = Counter(_WORDS[item.news.kind] for item in parcel.items)
    return f"{len(parcel.items)} in a digest: " + ", ".join(f"{number} {word}" for word, number in counts.most_common())


def _one_line(text: str) -> str:
    return _cut(clean(" ".join(text[: 4 * MAX_TEXT].split())), MAX_TEXT)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _page(parts: Sequence[str], footer: str, page: str) -> str:
    style = "font-family:system-ui,sans-serif;font-size:14px;line-height:1.45;color:#212529;max-width:720px"
    link = f'<a href="{escape(page)}" style="color:inherit">What it is told</a>'
    small = f'<p style="color:{_GREY};font-size:12px">{escape(footer)} {link}</p>'
    body = "\n".join([*parts, small])
    return f'<!doctype html>\n<html><body style="{style}">\n{body}\n</body></html>\n'
