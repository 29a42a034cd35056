"""What is to be sent to channels now, and what became of it. Blocking: call from threads.

Who sends takes parcels (`due`), sends each, and settles it (`sent` or `failed`). A parcel is claimed for CLAIM seconds: when it is
not settled until then it is handed out again, with the same id and the same items. So everything is sent at least
once; receivers that know ids see it once. A later parcel of a message is not handed out before the earlier one is settled.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from flowbuild.core.notifying import News
from flowbuild.services.decisions import Clock
from flowbuild.store.database import Database

DISPATCH = "dispatch"  # topic: there is something to send, or to look at again
CLAIM = 60.0  # seconds in which nobody else sends the same parcel
PAUSE, PAUSE_MOST = 2.0, 1800.0  # seconds between tries
PATIENCE = 4 * 86400.0  # seconds after which what cannot be sent is given up; it stays in the log as failed


class ChannelKind(StrEnum):
    """By what way people are told. The chat networks are called as in `bots.network`."""

    EMAIL = "email"
    WEBHOOK = "webhook"
    MATRIX = "matrix"
    SLACK = "slack"
    TELEGRAM = "telegram"


CHATS = (ChannelKind.MATRIX, ChannelKind.SLACK, ChannelKind.TELEGRAM)


@dataclass(frozen=True, slots=True)
class Item:
    """Something to tell, and the events of the same message that were told before it, the oldest first.

    `remote`: what the network calls the message that is to be edited; "" there is none yet.
    """

    message: str
    news: News
    earlier: Sequence[News] = ()
    remote: str = ""


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is sent to a channel at once: one item, or with `digest` all that was collected, the oldest first.

    `id` is the same at every try: the Message-ID, the delivery id, the key of an adapter. `target`: addresses separated by
    commas, a URL, a room; for a person on a chat network it is empty and `sender` says whom to write to directly.
    `secret` signs webhooks. `mention`: what the network calls the author, "" nobody. `tries`: those that failed so far.
    `project`: of the channel; "" of a person. `test`: somebody asked for it to see whether the channel works.
    """

    id: str
    kind: ChannelKind
    channel: str
    target: str
    items: Sequence[Item]
    project: str = ""
    sender: str = ""
    secret: str = ""
    mention: str = ""
    digest: bool = False
    test: bool = False
    tries: int = 0


class DispatchService:
    """The way out for messages; triggers send e-mail and webhooks, bots the rest."""

    def __init__(self, *, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def due(self, kinds: Collection[ChannelKind], limit: int) -> tuple[Sequence[Parcel], float | None]:
        """Claim up to `limit` parcels for channels of these kinds; return them, and when to look again (a time, None: not before DISPATCH)."""
        raise NotImplementedError

    def sent(self, parcel: str, *, remote: str = "", answer: str = "") -> None:
        """Store that a parcel was sent. `remote`: what the network calls its message; `answer`: what the receiver said, for the log.

        Settling what is settled already changes nothing. Raises NotFound.
        """
        raise NotImplementedError

    def failed(self, parcel: str, error: str, *, lasting: bool = False, again_at: float | None = None, answer: str = "") -> None:
        """Store that a parcel could not be sent: it is tried again at `again_at`, by default after a pause that grows.

        With `lasting`, or after PATIENCE, it is given up. `error` is for people. Raises NotFound.
        """
        raise NotImplementedError
