"""What tells people what happened: channels, and the way from a change of a run to what is sent."""

from __future__ import annotations

from collections.abc import Callable
from time import time

from flowbuild.api.backend import Telling
from flowbuild.senders.smtp import NO_MAIL, SmtpSender
from flowbuild.services.announcing import AnnounceService
from flowbuild.services.channels import ChannelService
from flowbuild.services.dispatching import DispatchService
from flowbuild.services.facts import StoredFacts
from flowbuild.services.projects import ProjectService
from flowbuild.store.runs import RunRow
from flowbuild.triggers.announcing import Announcing
from flowbuild.vault.sealing import Vault
from flowbuild.wiring.local import Local
from flowbuild.wiring.projects import policy_of
from flowbuild.wiring.sending import mail_sender


def make_telling(local: Local, vault: Vault) -> Telling:
    """Return the use cases; raises InvalidRequest when the options of e-mail do not fit together."""
    database, signals = local.database, local.signals
    return Telling(
        channels=ChannelService(
            database=database,
            sealer=vault,
            policy=policy_of(local),
            signals=signals,
            clock=time,
            no_mail="" if isinstance(mail_sender(local.settings), SmtpSender) else NO_MAIL,
        ),
        dispatches=DispatchService(database=database, sealer=vault, signals=signals, clock=time),
    )


def announcing(local: Local, projects: ProjectService, link: Callable[[RunRow], str]) -> Announcing:
    """Return what works out who is told of what happened."""
    facts = StoredFacts(local.database, local.logbook, projects)
    service = AnnounceService(database=local.database, facts=facts, link=link, signals=local.signals, clock=time)
    return Announcing(service=service, signals=local.signals, clock=time)
