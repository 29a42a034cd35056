"""Notifications as bodies of webhooks: `schema/notification.schema.json` describes them. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from flowbuild.core.notifying import News, NewsKind, StepNews
from flowbuild.services.dispatching import Parcel

MAX_STEPS, MAX_LINES = 50, 20
MAX_LINE, MAX_TEXT = 1000, 1000  # characters


def body_of(parcel: Parcel) -> bytes:
    """Return the JSON that tells what is in a parcel; the same parcel gives the same bytes."""
    news = [item.news for item in parcel.items]
    kind: str
    data: Mapping[str, Any]
    if parcel.test:
        kind, data = "test", {"message": _text(news[0].message)}
    elif parcel.digest:
        kind, data = "digest", {"news": [{"type": _type(each), **_data(each, lines=False)} for each in news]}
    else:
        kind, data = _type(news[0]), _data(news[0])
    said = {
        "type": kind,
        "timestamp": _time(max(each.at for each in news)),
        "channel": parcel.channel,
        "data": data,
    }
    return json.dumps(said, ensure_ascii=True, separators=(",", ":")).encode("ascii")


def _type(news: News) -> str:
    return "node.lost" if news.kind is NewsKind.NODE_LOST else f"run.{news.kind}"


def _data(news: News, *, lines: bool = True) -> Mapping[str, Any]:
    if news.kind is NewsKind.NODE_LOST:
        return {"node": _text(news.node), "message": _text(news.message), "at": _time(news.at)}
    return {
        "run": {
            "id": news.run,
            "number": news.number,
            "project": news.project,
            "pipeline": news.pipeline,
            "url": news.url,
            "branch": _text(news.branch),
            "commit": news.commit,
            "subject": _text(news.subject),
            "author": _text(news.author),
            "actor": _text(news.actor),
            "seconds": news.seconds,
        },
        "steps": [_step(step, lines=lines) for step in news.steps[:MAX_STEPS]],
        "more_steps": max(0, len(news.steps) - MAX_STEPS),
        "message": _text(news.message),
        "at": _time(news.at),
    }


def _step(step: StepNews, *, lines: bool) -> Mapping[str, Any]:
    return {
        "key": step.key,
        "outcome": step.outcome,
        "message": _text(step.message),
        "exit_code": step.exit_code,
        "lines": _lines(step.lines) if lines else [],
    }


def _lines(lines: Sequence[str]) -> Sequence[str]:
    return [_text(line, MAX_LINE) for line in lines[:MAX_LINES]]


def _text(text: str, most: int = MAX_TEXT) -> str:
    """Return text that any reader of JSON takes: shortened, and without halves of characters."""
    return text[:most].encode("utf-8", "replace").decode()


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
