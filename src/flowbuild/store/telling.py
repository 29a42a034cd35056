"""What processes that share a PostgreSQL database tell each other, as notifications: who changed what.

`TOKEN` means that who is called so has to look at everything, the empty one that all have to. Anything else is what
`messages` makes.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Sequence

from flowbuild.store.owners import EVERYBODY

LIMIT = 7_000  # bytes of a notification; PostgreSQL takes fewer than 8,000
MOST = 10_000  # topics that are kept while nothing can be told

News = tuple[str, str, str]  # as `services.signals.News`


class Mailbox:
    """What is to be told, until somebody takes it: of each topic, and key below it, the newest word."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._news: dict[tuple[str, str], str] = {}
        self._all = False

    def put(self, news: Iterable[News]) -> None:
        """Add something."""
        with self._lock:
            self._news.update({(topic, key): word for topic, key, word in news})
            if len(self._news) > MOST:
                self._news.clear()
                self._all = True

    def take(self, token: str) -> list[str]:
        """Return what there is as messages of who is called so; nothing of it is left."""
        with self._lock:
            news, all_ = [(topic, key, word) for (topic, key), word in self._news.items()], self._all
            self._news.clear()
            self._all = False
        return [EVERYBODY] if all_ else messages(token, news)

    def fail(self) -> None:
        """Remember that what was taken did not arrive: then all have to look at everything."""
        with self._lock:
            self._all = True


def messages(token: str, news: Iterable[News]) -> list[str]:
    """Return notifications that hold some news; longer ones than PostgreSQL takes are several."""
    made, parts, size = list[str](), list[str](), 0
    for part in (json.dumps(each, separators=(",", ":")) for each in news):
        if parts and size + len(part) > LIMIT:
            made.append(_message(token, parts))
            parts, size = [], 0
        parts.append(part)
        size += len(part) + 1
    return [*made, _message(token, parts)] if parts else made


def read(payload: str, token: str) -> Sequence[News] | None:
    """Return what a notification says to who is called `token`; None: look at everything.

    Nothing when it is for somebody else, or our own.
    """
    if not payload.startswith("{"):
        return None if payload in (token, EVERYBODY) else ()
    told = json.loads(payload)
    return () if told["from"] == token else [(topic, key, word) for topic, key, word in told["news"]]


def _message(token: str, parts: Sequence[str]) -> str:
    return f'{{"from":{json.dumps(token)},"news":[{",".join(parts)}]}}'
