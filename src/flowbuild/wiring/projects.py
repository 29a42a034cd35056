"""The services around projects, over the files of a home directory."""

from __future__ import annotations

from time import time

from flowbuild.core.giturl import Policy
from flowbuild.services.projects import ProjectService
from flowbuild.vault.keys import KeyFile
from flowbuild.vault.sealing import Vault
from flowbuild.wiring.local import Local


def open_vault(local: Local) -> Vault:
    """Return what seals secrets; makes the first key when there is none."""
    settings = local.settings
    return Vault(KeyFile(settings.key_file or settings.home / "vault.keys").ring)


def project_service(local: Local, vault: Vault) -> ProjectService:
    """Return the projects of a server."""
    settings = local.settings
    return ProjectService(
        database=local.database,
        directory=settings.home / "mirrors",
        policy=Policy(settings.allow_http, settings.allow_local, settings.allow_internal),
        sealer=vault,
        clock=time,
    )
