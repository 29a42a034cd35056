"""The services around projects, over the files of a home directory."""

from __future__ import annotations

from pathlib import Path
from time import time

import flowbuild
from flowbuild.core.giturl import Policy
from flowbuild.services.demo import Demo
from flowbuild.services.projects import ProjectService
from flowbuild.vault.keys import KeyFile
from flowbuild.vault.sealing import Vault
from flowbuild.wiring.local import Local


def open_vault(local: Local) -> Vault:
    """Return what seals secrets; makes the first key when there is none."""
    settings = local.settings
    return Vault(KeyFile(settings.key_file or settings.home / "vault.keys").ring)


def policy_of(local: Local) -> Policy:
    """Return from where a server may fetch, and which forges it may speak to."""
    settings = local.settings
    return Policy(settings.allow_http, (*settings.allow_local, str(_demo_repository(local))), settings.allow_internal)


def demo_project(local: Local, projects: ProjectService) -> Demo:
    """Return what adds the demo project: its files are in the package, or beside it where that was not installed."""
    package = Path(flowbuild.__file__).parent
    places = (package / "examples" / "demo", package.parents[1] / "examples" / "demo")
    files = next((place for place in places if (place / ".flow.yml").is_file()), None)
    return Demo(projects, files, _demo_repository(local))


def _demo_repository(local: Local) -> Path:
    return local.settings.home.resolve() / "demo" / "guestbook.git"


def project_service(local: Local, vault: Vault) -> ProjectService:
    """Return the projects of a server."""
    return ProjectService(
        database=local.database,
        directory=local.settings.home / "mirrors",
        policy=policy_of(local),
        sealer=vault,
        signals=local.signals,
        clock=time,
    )
