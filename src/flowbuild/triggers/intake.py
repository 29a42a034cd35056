"""Turns deliveries of webhooks into runs, in order per project, different projects side by side."""

from __future__ import annotations

from flowbuild.services.decisions import Clock
from flowbuild.services.deliveries import INTAKE
from flowbuild.services.intake import IntakeService
from flowbuild.services.signals import Signals
from flowbuild.triggers.lanes import Lanes


class Intake(Lanes):
    """See Lanes."""

    def __init__(self, *, service: IntakeService, signals: Signals, clock: Clock) -> None:
        super().__init__(topic=INTAKE, due=service.pending, work=service.work, signals=signals, clock=clock)
