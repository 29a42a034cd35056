"""The services around runners, over those of a process."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flowbuild.api.backend import Machines
from flowbuild.auth.tokens import TokenKind
from flowbuild.core.access import Principal
from flowbuild.services.attempt_tokens import AttemptTokens
from flowbuild.services.decisions import Clock
from flowbuild.services.registration import Registration
from flowbuild.services.results import Results
from flowbuild.services.runner_keys import RunnerKeys
from flowbuild.wiring.facts import load_of
from flowbuild.wiring.local import Local


def machines(local: Local, clock: Clock) -> Machines:
    """Return them; `local` is open."""
    return Machines(
        runners=local.runners,
        registration=Registration(
            local.database,
            local.signals,
            clock,
            lambda: inside(local),
            standing=local.placing.standing,
            machines=local.placing.machines,
            load=lambda: load_of(local.settings.home),
            join_token=local.settings.join_token.get_secret_value(),
        ),
        keys=RunnerKeys(local.database, local.signals, clock, max_days=local.settings.runner_key_days),
        tokens=AttemptTokens(local.database),
        results=Results(local.database),
    )


def inside(local: Local) -> tuple[int, int]:
    """Return how many attempts the servers over the database may run at once by themselves, and how many servers do so."""
    settings = local.settings
    with local.database.read() as tx:
        places, servers = tx.places.of(local.ownership.living())
    return places + settings.capacity * settings.runner, servers + settings.runner


def known_by(made: Machines) -> Mapping[TokenKind, Callable[[str], Principal]]:
    """Return who knows the tokens of machines, by their kind."""
    return {TokenKind.RUNNER: made.keys.principal, TokenKind.ATTEMPT: made.tokens.principal}
