"""A server that receives deliveries, without HTTP and without git: see `testing.triggers.StoringStarter`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flowbuild.services.audit import Actor
from flowbuild.services.deliveries import DeliveryService, Receipt
from flowbuild.services.hooks import HookChange, HookService
from flowbuild.services.intake import IntakeService
from flowbuild.services.signals import Signals
from flowbuild.store.deliveries import DeliveryRow
from flowbuild.testing.databases import new_sqlite
from flowbuild.testing.payloads import FORGES, Delivery, Push, Request
from flowbuild.testing.triggers import Clock, PlainSealer, StoringStarter, add_project, consequences_of, pipeline_file

PROJECT, HOOK = "team/app", "forge"


class Receiving:
    """The server, with one project that has one webhook; pipelines for a push, a tag and a pull request."""

    def __init__(self, path: Path, kind: str = "github", **hook: Any) -> None:
        self.database = new_sqlite(path / "flow.db")
        self.kind, self.clock, self.signals = kind, Clock(), Signals()
        add_project(self.database, PROJECT)
        self.starter = StoringStarter(self.database, self.signals, self.clock)
        self.starter.script.files = pipeline_file({"build": "push", "release": "tag", "check": "pull_request"})
        self.hooks = HookService(self.database, PlainSealer(), self.clock)
        _, self.secret = self.hooks.add(Actor("ann"), PROJECT, kind, HOOK, HookChange(**hook))
        self.deliveries = DeliveryService(
            database=self.database, hooks=self.hooks, signals=self.signals, clock=self.clock
        )
        self.intake = self.another_intake()

    def another_intake(self) -> IntakeService:
        """Return what another life, or another server, works with."""
        self.consequences = consequences_of(self.database, self.starter, self.clock)
        return IntakeService(
            database=self.database, consequences=self.consequences, signals=self.signals, clock=self.clock
        )

    def receive(self, what: Push | Request | Delivery, secret: str = "") -> Receipt:
        """Receive a delivery that is signed as the forge does it, a moment after what came before."""
        self.clock.pass_(0.01)
        sent = self.signed(what, secret or self.secret)
        return self.deliveries.receive(PROJECT, HOOK, sent.headers, sent.body)

    def signed(self, what: Push | Request | Delivery, secret: str) -> Delivery:
        """Return a delivery as the forge would send it."""
        sent = what if isinstance(what, Delivery) else FORGES[self.kind](what)
        return sent.signed(self.kind, secret)

    def work(self) -> int:
        """Do what there is to do now; return how many deliveries were looked at."""
        looked = 0
        while now := self.intake.work(PROJECT):
            looked += now
        return looked

    def get(self, receipt: Receipt) -> DeliveryRow:
        """Return what became of a delivery."""
        return self.deliveries.get(PROJECT, receipt.id)
