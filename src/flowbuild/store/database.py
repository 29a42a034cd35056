"""The database and its transactions.

SQLite: BEGIN IMMEDIATE and a fair lock for writers. The default deferred BEGIN loses writes with "database is locked"
when a reader becomes a writer; that and SQLite's unfair back-off are why writers queue up here before they ask SQLite
(measured in the research on libraries). PostgreSQL: READ COMMITTED; writers run side by side, see `store.sharing`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, select, text
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from flowbuild.core.errors import StoreError
from flowbuild.core.ids import RunId
from flowbuild.store.attempts import Attempts
from flowbuild.store.audit import Audit
from flowbuild.store.bots import Bots
from flowbuild.store.cache import Cache
from flowbuild.store.channels import Channels
from flowbuild.store.concurrency import Concurrency
from flowbuild.store.deliveries import Deliveries
from flowbuild.store.deployments import Deployments
from flowbuild.store.dispatches import Dispatches
from flowbuild.store.engine import address, make_engine
from flowbuild.store.figures import Figures
from flowbuild.store.holds import Holds
from flowbuild.store.hooks import Hooks
from flowbuild.store.leftovers import Leftovers
from flowbuild.store.link_codes import LinkCodes
from flowbuild.store.locks import Locks
from flowbuild.store.members import Members
from flowbuild.store.networks import Networks
from flowbuild.store.notices import Notices
from flowbuild.store.outbox import Outbox
from flowbuild.store.owners import Owners
from flowbuild.store.places import Places
from flowbuild.store.projects import Projects
from flowbuild.store.queue import Queue
from flowbuild.store.runners import Runners
from flowbuild.store.runs import Runs
from flowbuild.store.schedules import Schedules
from flowbuild.store.sealed import Sealed
from flowbuild.store.secrets import Secrets
from flowbuild.store.sessions import Sessions
from flowbuild.store.sharing import insert, savepoint, serialise
from flowbuild.store.source_heads import SourceHeads
from flowbuild.store.starts import Starts
from flowbuild.store.tables import meta
from flowbuild.store.timers import Timers
from flowbuild.store.tokens import Tokens
from flowbuild.store.users import Users
from flowbuild.store.work import Work

MIGRATIONS = Path(__file__).parent / "migrations"
CLOSE_SECONDS = 5.0
HEAD = "0009"  # the newest revision in migrations/versions; a test compares the two


class Transaction:
    """One unit of work; its parts speak for one table each."""

    def __init__(self, connection: Connection, *, writing: bool) -> None:
        self.runs = Runs(connection, writing=writing)
        self.attempts = Attempts(connection)
        self.outbox = Outbox(connection)
        self.timers = Timers(connection)
        self.locks = Locks(connection)
        self.deployments = Deployments(connection)
        self.cache = Cache(connection)
        self.figures = Figures(connection)
        self.users = Users(connection)
        self.sessions = Sessions(connection)
        self.tokens = Tokens(connection)
        self.members = Members(connection)
        self.bots = Bots(connection)
        self.link_codes = LinkCodes(connection)
        self.audit = Audit(connection)
        self.secrets = Secrets(connection)
        self.leftovers = Leftovers(connection)
        self.networks = Networks(connection)
        self.runners = Runners(connection)
        self.places = Places(connection)
        self.projects = Projects(connection)
        self.sealed = Sealed(connection)
        self.hooks = Hooks(connection)
        self.deliveries = Deliveries(connection)
        self.schedules = Schedules(connection)
        self.source_heads = SourceHeads(connection)
        self.starts = Starts(connection)
        self.holds = Holds(connection)
        self.notices = Notices(connection)
        self.channels = Channels(connection)
        self.dispatches = Dispatches(connection)
        self.concurrency = Concurrency(connection)
        self.owners = Owners(connection)
        self.queue = Queue(connection)
        self.work = Work(connection)
        # What to announce when this is committed, and which further runs it changed; the store itself tells nobody.
        self.topics: set[str] = set()
        self.others: set[RunId] = set()
        self._connection = connection

    def setting(self, key: str, default: str) -> str:
        """Return the value kept under `key`; `default` is kept when there is none."""
        query = select(meta.c.value).where(meta.c.key == key).with_for_update()
        found = self._connection.execute(query).scalar()
        if found is None:
            row = insert(self._connection, meta).values(key=key, value=default)
            self._connection.execute(row.on_conflict_do_nothing())
            found = self._connection.execute(query).scalar()
        return str(found)

    def serialise(self, what: str) -> None:
        """Let transactions that name the same thing come one after another, from here to their end.

        For what is read first and written then without a row to lock, as the next number of something. See `store.sharing`.
        """
        serialise(self._connection, what)

    def savepoint(self) -> AbstractContextManager[Callable[[], None]]:
        """Enter it to have what undoes the changes made in there, and gives back the runs that were locked for them."""
        return savepoint(self._connection)


class Database:
    """A database by URL (`sqlite:///PATH`, `postgresql://…`). Use from threads only: it blocks.

    Raises StoreError when the database does not do its part.
    """

    def __init__(self, url: str) -> None:
        self._engine = make_engine(url)
        self._reading = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._turn = threading.Lock()
        self._idle = threading.Condition()
        self._under_way = 0  # transactions
        self._sqlite = self._engine.dialect.name == "sqlite"

    @property
    def address(self) -> str:
        """Return the address for connections of one's own to PostgreSQL, with the password; on those one may wait for ever."""
        return address(self._engine.url)

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """Begin a transaction that may change things; commits at the end, rolls back on any exception."""
        _refuse_event_loop()
        try:
            with self._counted(), self._sqlite_transaction() if self._sqlite else self._engine.begin() as connection:
                transaction = Transaction(connection, writing=True)
                yield transaction
                transaction.audit.write()
        except SQLAlchemyError as error:
            raise _failed("the database refused a write", error) from error

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """Look at the newest committed state; each statement for itself."""
        _refuse_event_loop()
        try:
            with self._counted(), self._reading.connect() as connection:
                yield Transaction(connection, writing=False)
        except SQLAlchemyError as error:
            raise _failed("the database could not be read", error) from error

    @contextmanager
    def _sqlite_transaction(self) -> Iterator[Connection]:
        with self._turn, self._engine.connect() as connection:
            connection.execute(text("BEGIN IMMEDIATE"))
            try:
                yield connection
            except BaseException:
                with suppress(SQLAlchemyError):  # of a full disk, for one, SQLite has rolled back by itself
                    connection.execute(text("ROLLBACK"))
                raise
            connection.execute(text("COMMIT"))

    def migrate(self) -> None:
        """Bring the schema to HEAD. Alembic is loaded only when there is something to do: it costs a start-up 0.2 s."""
        try:
            if _revision(self._engine) == HEAD:
                return
            from alembic import command  # noqa: PLC0415 (see docstring)
            from alembic.config import Config  # noqa: PLC0415

            config = Config()
            config.set_main_option("script_location", str(MIGRATIONS))
            config.attributes["engine"] = self._engine
            command.upgrade(config, "head")
        except OperationalError as error:
            if self._sqlite:
                raise _outdated(error) from error
            hint = "is it up, and does FLOW_DATABASE say the right address, user and password?"
            raise StoreError(f"the database cannot be reached: {_words(error)}", hint=hint) from error
        except SQLAlchemyError as error:
            raise _outdated(error) from error

    def close(self) -> None:
        """Close all connections, when the threads that outlive their tasks are done with them, CLOSE_SECONDS at most."""
        with self._idle:
            self._idle.wait_for(lambda: self._under_way == 0, CLOSE_SECONDS)
        self._engine.dispose()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._idle:
            self._under_way += 1
        try:
            yield
        finally:
            with self._idle:
                self._under_way -= 1
                self._idle.notify_all()


def _outdated(error: SQLAlchemyError) -> StoreError:
    message = f"the database schema could not be brought up to date: {error}"
    return StoreError(message, hint="restore the database from a backup")


def _failed(what: str, error: SQLAlchemyError) -> StoreError:
    words = _words(error)
    hint = "free some space on the disk of the data directory (FLOW_HOME)" if "disk is full" in words else ""
    return StoreError(f"{what}: {words}", hint=hint)


def _words(error: SQLAlchemyError) -> str:
    """Say what the database said, without the statement and its values."""
    said = str(error.orig if isinstance(error, DBAPIError) else error).splitlines()
    return said[0] if said else type(error).__name__


def _refuse_event_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise AssertionError("the database blocks: call it from a thread, not from the event loop")


def _revision(engine: Engine) -> str | None:
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
