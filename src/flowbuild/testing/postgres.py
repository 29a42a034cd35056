"""A private PostgreSQL server for tests and benchmarks: a directory of its own, reached by a Unix socket only."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path

import psycopg
from sqlalchemy import make_url

from flowbuild.store.chat_tables import metadata
from flowbuild.store.database import Database

_READY = "database system is ready to accept connections"
_UNSAFE = ("fsync=off", "full_page_writes=off")  # what is committed survives a crash of the server, not of the machine


class Postgres:
    """A server in `directory`. PostgreSQL refuses to be root: then it is the user `postgres`, who must reach the directory."""

    def __init__(self, directory: Path, *, durable: bool = False) -> None:
        self._directory = directory
        always = ("listen_addresses=", f"unix_socket_directories={directory}", "max_connections=200")
        self._settings = always if durable else (*always, *_UNSAFE)
        self._numbers = count(1)
        self._making = threading.Lock()
        self._migrated = ""  # the name of the database that others are copies of
        self._cleared: list[str] = []  # databases that may be lent again
        self._process: subprocess.Popen[str] | None = None
        self._said: deque[str] = deque(maxlen=50)
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user is not None:
            owner = pwd.getpwnam(self._user)
            os.chown(directory, owner.pw_uid, owner.pw_gid)
        self._run(
            "initdb",
            f"--pgdata={directory}/data",
            "--username=flow",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        )

    def start(self) -> None:
        """Start the server; return when it answers."""
        options = [part for setting in self._settings for part in ("-c", setting)]
        command = self._command("postgres", "-D", f"{self._directory}/data", *options)
        ready = threading.Event()
        self._process = subprocess.Popen(
            command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=_environment(), cwd="/"
        )
        threading.Thread(target=self._listen, args=(self._process, ready), daemon=True).start()
        ready.wait()
        if self._process.poll() is not None:
            raise RuntimeError("PostgreSQL did not start:\n" + "".join(self._said))

    def stop(self, *, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server: SIGINT ends all sessions first, SIGQUIT is a crash that the next start recovers from."""
        assert self._process is not None  # noqa: S101 (it was started)
        self._process.send_signal(how)
        self._process.wait()
        self._process = None

    def empty(self) -> str:
        """Return the URL of a new database without anything in it."""
        return self._new("template1")

    def database(self) -> str:
        """Return the URL of a new database that is up to date: a copy of one that the migrations made once."""
        with self._making:
            if not self._migrated:
                url = self.empty()
                with closing(Database(url)) as database:
                    database.migrate()
                self._migrated = str(make_url(url).database)
        return self._new(self._migrated)

    @contextmanager
    def lent(self) -> Iterator[str]:
        """Lend a database that is up to date and empty of rows, which nobody uses afterwards.

        It is lent again then: each one consists of 400 files, and their removal takes longer than most tests.
        """
        url = self._cleared.pop() if self._cleared else self.database()
        yield url
        _clear(url)
        self._cleared.append(url)

    def _new(self, template: str) -> str:
        name = f"test{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return f"postgresql://flow@/{name}?host={self._directory}"

    def execute(self, statement: str) -> Sequence[tuple[object, ...]]:
        """Execute a statement as the administrator; return its rows."""
        address = f"postgresql://flow@/postgres?host={self._directory}"
        with closing(psycopg.connect(address, autocommit=True)) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def _listen(self, process: subprocess.Popen[str], ready: threading.Event) -> None:
        """Keep what the server says last, for whoever wonders why it does not start; its pipe must not fill up."""
        assert process.stderr is not None  # noqa: S101 (a pipe was asked for)
        with process.stderr as lines:
            for line in lines:
                self._said.append(line)
                if _READY in line:
                    ready.set()
        process.wait()
        ready.set()

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            self._command(program, *arguments), capture_output=True, text=True, env=_environment(), cwd="/", check=False
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed:\n{done.stdout}{done.stderr}")

    def _command(self, program: str, *arguments: str) -> list[str]:
        """Return a command line that ends with the thread that starts it, and is not root."""
        user = [] if self._user is None else [f"--reuid={self._user}", f"--regid={self._user}", "--init-groups"]
        return ["setpriv", *user, "--pdeathsig=INT", "--", _program(program), *arguments]


@contextmanager
def running(*, durable: bool = False) -> Iterator[Postgres]:
    """Run a server as long as the context is open; `durable`: with the safety that costs time."""
    directory = Path(tempfile.mkdtemp(prefix="flow-pg-"))  # short: the address of a socket holds about 100 bytes
    try:
        server = Postgres(directory, durable=durable)
        server.start()
        try:
            yield server
        finally:
            if server._process is not None:  # noqa: SLF001 (a test may have stopped it)
                server.stop(how=signal.SIGQUIT)  # what it has not written yet nobody wants
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _clear(url: str) -> None:
    """Remove all rows that are in a database, and start its sequences again; raises when somebody still works in it."""
    names = ", ".join(f'"{name}"' for name in metadata.tables)
    with closing(psycopg.connect(url, autocommit=True, options="-c lock_timeout=10s")) as connection:
        connection.execute(f"TRUNCATE {names} RESTART IDENTITY".encode())


def _program(name: str) -> str:
    """Return the path of a program of PostgreSQL: Debian keeps those of the server out of the PATH."""
    found = [*Path("/usr/lib/postgresql").glob(f"*/bin/{name}")]
    newest = max(found, key=lambda path: int(path.parts[-3]), default=None)
    path = newest or shutil.which(name)
    if path is None:
        raise RuntimeError(f"PostgreSQL is not installed: there is no {name}; scripts/setup --dev installs it")
    return str(path)


def _environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "LC_ALL": "C"}
