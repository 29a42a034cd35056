"""Begins what schedules ask for, when they ask for it."""

from __future__ import annotations

from flowbuild.services.decisions import Clock
from flowbuild.services.schedules import SCHEDULES, ScheduleService
from flowbuild.services.signals import Signals
from flowbuild.triggers.lanes import Lanes


class Scheduler(Lanes):
    """See Lanes."""

    def __init__(self, *, service: ScheduleService, signals: Signals, clock: Clock) -> None:
        super().__init__(topic=SCHEDULES, due=service.due, work=service.run, signals=signals, clock=clock)
