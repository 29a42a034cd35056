"""The services around people and their secrets, over a database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from flowbuild.api.backend import People
from flowbuild.auth.limits import LoginLimits
from flowbuild.auth.passwords import Passwords
from flowbuild.services.accounts import Accounts
from flowbuild.services.audit import AuditLog
from flowbuild.services.bots import BotService
from flowbuild.services.decisions import Clock
from flowbuild.services.external import External, ExternalLogins
from flowbuild.services.linking import Linking
from flowbuild.services.members import MemberService
from flowbuild.services.secrets import SecretService
from flowbuild.services.signals import Signals
from flowbuild.services.tokens import TokenService
from flowbuild.services.users import UserService
from flowbuild.settings import Settings
from flowbuild.store.database import Database
from flowbuild.vault.sealing import Vault

OIDC = "oidc"  # the name of the provider of the settings, in addresses and as that of identities


def people(
    database: Database, signals: Signals, clock: Clock, vault: Vault, providers: Iterable[External] = ()
) -> People:
    """Return them."""
    passwords = Passwords()
    accounts = Accounts(database, passwords, LoginLimits(clock), signals, clock)
    return People(
        accounts=accounts,
        external=ExternalLogins(database, accounts, vault, clock, {each.name: each for each in providers}),
        users=UserService(database, passwords, signals, clock),
        tokens=TokenService(database, signals, clock),
        members=MemberService(database, signals, clock),
        bots=BotService(database, signals, clock),
        linking=Linking(database, signals, clock),
        audit=AuditLog(database),
        secrets=SecretService(database, vault, clock),
    )


def providers_of(settings: Settings, public_url: str, clock: Clock) -> Iterator[External]:
    """Yield the provider of the settings, if there is one; raises InvalidRequest."""
    if settings.oidc_issuer:
        from flowbuild.auth.oidc import OidcClient, OidcProvider  # noqa: PLC0415 (200 modules that few servers need)

        secret = settings.oidc_client_secret.get_secret_value()
        back = f"{public_url}/api/v1/login/{OIDC}/back"
        client = OidcClient(settings.oidc_issuer, settings.oidc_client_id, secret, back)
        yield External(OIDC, settings.oidc_title, OidcProvider(client, clock), create=settings.oidc_create)
