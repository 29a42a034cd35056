"""The services around people and their secrets, over a database."""

from __future__ import annotations

from flowbuild.api.backend import People
from flowbuild.auth.limits import LoginLimits
from flowbuild.auth.passwords import Passwords
from flowbuild.services.accounts import Accounts
from flowbuild.services.audit import AuditLog
from flowbuild.services.decisions import Clock
from flowbuild.services.members import MemberService
from flowbuild.services.secrets import SecretService
from flowbuild.services.tokens import TokenService
from flowbuild.services.users import UserService
from flowbuild.store.database import Database
from flowbuild.vault.sealing import Vault


def people(database: Database, clock: Clock, vault: Vault) -> People:
    """Return them."""
    passwords = Passwords()
    return People(
        accounts=Accounts(database, passwords, LoginLimits(clock), clock),
        users=UserService(database, passwords, clock),
        tokens=TokenService(database, clock),
        members=MemberService(database, clock),
        audit=AuditLog(database),
        secrets=SecretService(database, vault, clock),
    )
