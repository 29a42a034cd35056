"""Looks at remotes, each as often as its project wants."""

from __future__ import annotations

from flowbuild.services.decisions import Clock
from flowbuild.services.polling import PROJECTS, PollService
from flowbuild.services.signals import Signals
from flowbuild.triggers.lanes import Lanes

LOOK = 60.0  # seconds after which projects are looked for that were added or changed meanwhile


class Polling(Lanes):
    """See Lanes."""

    def __init__(self, *, service: PollService, signals: Signals, clock: Clock) -> None:
        super().__init__(
            topic=PROJECTS, due=service.due, work=service.look, signals=signals, clock=clock, patience=LOOK
        )
