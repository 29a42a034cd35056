"""What every action needs to be done: who asks, where, and the server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from flowbuild.bot.facts import Question
from flowbuild.client.base import ServerClient


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was said, and by whom. `project`: the one that is meant there when none is named."""

    room: str
    sender: str
    sender_name: str = ""
    direct: bool = True
    network: str = ""
    project: str = ""


@dataclass(frozen=True, slots=True)
class Errand:
    """`client` has the rights of who asks; `own` gives that of the bot; `use` keeps the project of the room."""

    client: ServerClient
    place: Place
    own: Callable[[], ServerClient]
    use: Callable[[str], None]


class Asking(Exception):
    """The action stops here; its question carries the actions that go on."""

    def __init__(self, question: Question) -> None:
        super().__init__()
        self.question = question


def path(*parts: str) -> str:
    """Return the path of a thing on the server, from names that may hold anything."""
    return "/".join(quote(part, safe="", errors="replace") for part in parts)
