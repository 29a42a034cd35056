"""A bot without a network: it says codes that people give it, and settles what is to be said. All over the API, as bots do."""

from __future__ import annotations

from typing import Any

import httpx2

from flowbuild.testing.program import LIMIT
from flowbuild.testing.website import WebSite

WAIT = 20  # seconds; the server answers as soon as there is something


class Bot:
    """A bot on Matrix, let in by the admin of a site."""

    def __init__(self, site: WebSite, name: str, token: str = "") -> None:
        self._site = site
        self._token = token or site.ask("POST", "bots", {"name": name, "network": "matrix"})["token"]

    def link(self, who: str, sender: str) -> None:
        """Let somebody be linked."""
        self.say(self._site.ask("POST", "account/link-codes", who=who)["code"], sender)

    def say(self, code: str, sender: str) -> str:
        """Give the server a code that a sender said; return whose it is."""
        return str(self._ask("bot/links", {"code": code, "sender": sender, "name": sender})["user"])

    def introduce(self, called: str) -> None:
        """Say by what name people find it."""
        self._ask("bot/called", {"called": called}, method="PUT")

    def settle(self, state: str, error: str = "") -> Any:
        """Take the next thing that is to be said, and tell what became of it; return what it was."""
        [task] = self._ask("bot/dispatches/take", {"wait": WAIT, "limit": 1})
        more = {"again_after": 600} if state == "again" else {}
        self._ask(f"bot/dispatches/{task['id']}", {"state": state, "remote": "$event", "error": error, **more})
        return task

    def _ask(self, path: str, body: object, *, method: str = "POST") -> Any:
        answer = httpx2.request(
            method,
            f"{self._site.url}/api/v1/{path}",
            json=body,
            headers={"Authorization": f"Bearer {self._token}"},
            timeout=LIMIT,
        )
        assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None
