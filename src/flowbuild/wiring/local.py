"""The services of one process over one home directory: the server, embedded."""

from __future__ import annotations

import getpass
import os
import uuid
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from time import time

from flowbuild.core.errors import InvalidRequest, UserError, WorkspaceError
from flowbuild.core.ids import RunId
from flowbuild.services.assignments import Assignments, SecretBox, SecretSource
from flowbuild.services.audit import Actor
from flowbuild.services.cache import SecretVersions, StepCache
from flowbuild.services.client import LocalClient
from flowbuild.services.debugging import DebugService
from flowbuild.services.decisions import Decisions
from flowbuild.services.directories import project_of
from flowbuild.services.gate import Gate
from flowbuild.services.logbook import Logbook
from flowbuild.services.looking import Looking
from flowbuild.services.owners import Owners, Ownership
from flowbuild.services.placing import NO_CLUSTER, Placing
from flowbuild.services.removal import Removal
from flowbuild.services.runners import RunnerService
from flowbuild.services.runs import Places, RunService
from flowbuild.services.signals import Signals
from flowbuild.settings import Settings
from flowbuild.store.database import Database
from flowbuild.wiring.cluster import Clustered, clustered
from flowbuild.wiring.journal import close_journal, open_journal
from flowbuild.workspace.source import WorkingTree, source_objects

DIRECTORIES = ("debugging", "lfs", "logs", "owners", "runs", "spool", "work")


class Local:
    """The services of one process over the files below `settings.home`."""

    def __init__(self, settings: Settings, directory: str | None) -> None:
        self.project: str | None = None  # known once it is open; None outside of any repository
        self.serves = False  # as a server: what another one began goes on here, so it never counts as interrupted
        self.clustered: Clustered | None = None  # only of a server
        self._source = None if directory is None else _source(directory)
        home = settings.home
        self.settings = settings
        try:
            _make_private(home, with_database=not settings.database)
            self.journal = open_journal(home / "flow.log", settings.log_level)
        except OSError as error:
            message = f"the data directory {home} cannot be used: {error.strerror}"
            raise WorkspaceError(message, hint="FLOW_HOME may name another one") from error
        self.signals = Signals()
        self.database = Database(database_url(settings))
        self.ownership = _owners(self.database, settings)
        self.shells = Ownership(home / "debugging")  # one owner per debug shell; its token is the run of its objects
        self.gate = Gate(home / "gate.lock")
        self.logbook = Logbook(home / "logs")
        self.secrets: SecretSource = SecretBox()  # a server puts what is kept in projects in its place, before `open`
        self.decisions = Decisions(self.database, self.signals, time, self.wake)
        self.looking = Looking(self.database, self.logbook, self.driven)
        self.places = Places(runs=home / "runs", lfs=home / "lfs")
        self.removal = Removal(
            database=self.database, places=self.places, logs=home / "logs", mirrors=home / "mirrors", clock=time
        )

    def open(self, *, drive: bool, serve: bool = False) -> None:
        """Bring the database up to date; with `drive`, become the owner of runs, as a server with `serve`."""
        self.serves = serve
        self.database.migrate()
        if self._source is not None:
            with self.database.read() as tx:
                self.project = project_of(tx, self._source)
        if drive:
            self.ownership.claim()
        if serve and self.settings.runner:
            living = self.ownership.living()
            with self.database.write() as tx:
                tx.places.offer(self.ownership.token, self.settings.capacity, living=living, now=time())
        if serve:
            self.clustered = clustered(self.settings, self.database, self.signals, self.instance())
        assignments = Assignments(self.secrets, lru_cache(_source_objects), SecretVersions(self.database).of)
        self.runs = RunService(
            database=self.database,
            decisions=self.decisions,
            secrets=self.secrets,
            places=self.places,
            gate=self.gate,
            owner=self.ownership.token,
            serves=self.serves,
            clock=time,
        )
        self.debugging = DebugService(self.database, assignments, time)
        inside = self.settings.capacity * (self.settings.runner or not serve)
        cluster = NO_CLUSTER if self.clustered is None else self.clustered.placing()
        self.placing = Placing(owner=self.ownership.token, serves=serve, capacity=inside, cluster=cluster)
        self.runners = RunnerService(
            database=self.database,
            decisions=self.decisions,
            signals=self.signals,
            assignments=assignments,
            logbook=self.logbook,
            cache=StepCache(self.database),
            owner=self.ownership.token,
            clock=time,
            placing=self.placing,
            ready=None if self.clustered is None else self.clustered.overlays.ready,
        )

    def client(self, actor: Actor | None = None) -> LocalClient:
        """Return a client that acts as somebody, by default the user of this process."""
        return LocalClient(
            runs=self.runs,
            looking=self.looking,
            runners=self.runners,
            removal=self.removal,
            signals=self.signals,
            dead_owners=self.dead_owners,
            wake=self.wake,
            hears=self.hears,
            project=self.project,
            actor=actor or Actor(_user()),
            clock=time,
        )

    def instance(self) -> str:
        """Return what marks objects in the engine as belonging to this home directory."""
        with self.database.write() as tx:
            return tx.setting("instance", uuid.uuid4().hex[:12])

    def dead_owners(self) -> Sequence[str]:
        """Return the owners of open runs that do not live any more."""
        with self.database.read() as tx:
            return self.ownership.dead(tx.runs.owners())

    def hears(self, run: RunId) -> bool:
        """Whether everything that happens to a run is notified here. Blocking."""
        if self.ownership.hears_all:
            return True
        with self.database.read() as tx:
            return tx.runs.owner(run) == self.ownership.token

    def driven(self, owner: str, served: bool) -> bool:  # noqa: FBT001 (it tells two kinds of runs apart)
        """See services.looking.Looking; everybody here is woken when another owner dies."""
        if (self.serves and served) or owner == self.ownership.token:
            return True
        if self.ownership.dead([owner]):
            return False
        self.ownership.mind(owner, self.signals)
        return True

    def wake(self, run: RunId) -> None:
        """Tell the process that drives a run to look at it."""
        with self.database.read() as tx:
            owner = tx.runs.owner(run)
        if owner != self.ownership.token:
            self.ownership.wake(owner)

    def close(self) -> None:
        """Let go of files and connections."""
        self.logbook.close_all()
        self.ownership.close()
        self.database.close()
        close_journal(self.journal)


def database_url(settings: Settings) -> str:
    """Return where the database is."""
    return settings.database or f"sqlite:///{settings.home / 'flow.db'}"


def _owners(database: Database, settings: Settings) -> Owners:
    if not settings.database:
        return Ownership(settings.home / "owners")
    from flowbuild.services.shared_owners import SharedOwners  # noqa: PLC0415 (loads the driver of PostgreSQL)

    return SharedOwners(database)


def _make_private(home: Path, *, with_database: bool) -> None:
    """Make the data directory, or what is below one that others can read: logs, variables, files with the bits of a step."""
    if not home.is_dir():
        home.mkdir(parents=True, mode=0o700)
        (home / ".gitignore").write_text("*\n")  # inside of a repository it would become part of every workspace
    for name in DIRECTORIES:
        (home / name).mkdir(exist_ok=True, mode=0o700)
    for name in ("flow.log", "flow.db") if with_database else ("flow.log",):
        (home / name).touch(mode=0o600)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a number without a name, as in many containers
        return str(os.getuid())


def _source(directory: str) -> Path | None:
    if not Path(directory).is_dir():
        raise InvalidRequest(f"{directory} is not a directory")
    try:
        source = WorkingTree(Path(directory)).directory
    except UserError:
        return None
    if os.fsencode(source).decode(errors="ignore") != str(source):
        raise InvalidRequest(f"the name of {str(source)!r} is not valid UTF-8", hint="rename the directory")
    return source


def _source_objects(place: str) -> tuple[str, ...]:
    return tuple(str(path) for path in source_objects(place))
