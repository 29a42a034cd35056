"""What one does with a server on its own machine, besides running it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from time import gmtime, strftime, time

from flowbuild.client.base import Check
from flowbuild.core.errors import FlowError, InvalidRequest
from flowbuild.services.audit import Actor
from flowbuild.services.backup import Manifest, back_up
from flowbuild.services.keys import KeyService
from flowbuild.services.restoring import restore as restore_into
from flowbuild.settings import Settings, read_settings
from flowbuild.store.database import Database
from flowbuild.vault.keys import KeyFile
from flowbuild.vault.sealing import Vault
from flowbuild.wiring.driving import doctor
from flowbuild.wiring.local import Local, database_url

OPERATOR = "operator"  # who acts on the machine of the server, in its audit log
FREE = 1 << 30  # bytes below which a disk is called full


def backup(directory: str, *, keys: bool) -> str:
    """See client.base.Operator."""
    settings = read_settings()
    if not settings.home.is_dir():
        raise InvalidRequest(f"there is no server at {settings.home}", hint="FLOW_HOME names its data directory")
    manifest = back_up(
        settings.home,
        database_url(settings),
        Path(directory),
        keys=_key_file(settings) if keys else None,
        version=version("flow-build-server"),
        clock=time,
    )
    more = (
        "" if keys else f"\nWithout {_key_file(settings)} no secret in it can be read: keep a copy of that file apart."
    )
    return f"backup of {_words(manifest)} in {directory}{more}"


def restore(directory: str) -> str:
    """See client.base.Operator."""
    settings = read_settings()
    manifest = restore_into(Path(directory), settings.home, database_url(settings), time)
    keys = _key_file(settings)
    more = "" if keys.exists() else f"\nIts keys are not in the backup: put them to {keys}, or set every secret again."
    return f"restored what there was {_words(manifest)} to {settings.home}{more}"


def keys(*, change: bool, prune: bool) -> str:
    """See client.base.Operator."""
    settings = read_settings()
    path, database = _key_file(settings), Database(database_url(settings))
    if not path.exists():
        raise InvalidRequest(f"there are no keys at {path}", hint="FLOW_HOME or FLOW_KEY_FILE names another place")
    try:
        database.migrate()
        service, done = KeyService(database, KeyFile(path), time), []
        if change:
            done.append(f"sealed {service.change(Actor(OPERATOR))} secrets with a new key; keep a copy of {path}")
        if prune:
            service.reseal()
            done.append(f"dropped {len(service.prune(Actor(OPERATOR)))} keys; only backups that are older need them")
        uses = [f"{name}  seals {count}" for name, count in service.uses().items()]
    finally:
        database.close()
    return "\n".join([*done, *uses])


def examine() -> Sequence[Check]:
    """See client.base.Operator."""
    settings = read_settings()
    checks = [_check_database(settings), _check_keys(settings), _check_disk(settings.home)]
    local = Local(settings, None)
    try:
        return [*checks, *asyncio.run(doctor(local))]
    finally:
        local.close()


def _words(manifest: Manifest) -> str:
    when = strftime("%Y-%m-%d %H:%M:%S", gmtime(manifest.taken_at))
    return f"{when} UTC ({manifest.files} files, {manifest.bytes / 1e6:.1f} MB)"


def _key_file(settings: Settings) -> Path:
    return settings.key_file or settings.home / "vault.keys"


def _check_database(settings: Settings) -> Check:
    database = Database(database_url(settings))
    try:
        with database.read() as tx:
            owners = tx.runs.owners()
    except FlowError as error:
        return Check(False, f"database: {error.message}", error.hint)
    finally:
        database.close()
    return Check(True, f"the database answers; runs are open under {len(owners)} programs")


def _check_keys(settings: Settings) -> Check:
    path = _key_file(settings)
    if not path.exists():
        return Check(True, f"no keys yet; {path} is made when the server starts")
    try:
        vault = Vault(KeyFile(path).ring)
        vault.open(vault.seal("x", "doctor"), "doctor")
    except FlowError as error:
        return Check(False, error.message, error.hint)
    return Check(True, f"the keys in {path} seal and open")


def _check_disk(home: Path) -> Check:
    free = shutil.disk_usage(home if home.exists() else home.parent).free
    text = f"{free / 1e9:.1f} GB are free at {home}"
    return Check(free > FREE, text, "" if free > FREE else "free some space, or keep fewer runs")
