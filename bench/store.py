"""The database with the history of years in it: lists of runs, the page of a run, claims; on SQLite and PostgreSQL.

All but the newest runs are final. Events are stored for the newest runs only: nothing that is measured looks at those of others.
"""

# ruff: noqa: SLF001  plans are asked for below the store

from __future__ import annotations

import random
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import Any

import psycopg
from bench.figures import Figures
from sqlalchemy import Select, Table, text

from flowbuild.core.events import RunStarted
from flowbuild.core.ids import CommitId, RunId
from flowbuild.core.machine import create_run
from flowbuild.core.run import RunContext
from flowbuild.core.states import RunState
from flowbuild.services.ids import new_run_id
from flowbuild.store.codec import dump_event, dump_pipeline, dump_run
from flowbuild.store.database import Database
from flowbuild.store.run_lists import RunFilter, figures, page
from flowbuild.store.tables import attempts, events, runs
from flowbuild.testing.claiming import claim_oldest
from flowbuild.testing.graphs import make_pipeline
from flowbuild.testing.postgres import running

STEPS = 10  # attempts of a run
OPEN = 200  # runs whose attempts wait for a runner
PAGE = 50
LOOKS = 300  # of each kind
CLAIMS = 500
THREADS = 8
RUNNERS = 50
BEGAN = 1_700_000_000.0
PIPELINES = ("build", "deploy", "nightly", "release")
Row = dict[str, object]
STATES = (RunState.SUCCEEDED,) * 90 + (RunState.FAILED,) * 8 + (RunState.ERRORED, RunState.CANCELLED)


def store(where: Path, *, number: int = 100_000) -> list[Figures]:
    """Measure both databases with that many runs; `where` has room for 3 KB of each run, twice."""
    results = []
    for name, opened in (("SQLite", sqlite), ("PostgreSQL", postgres)):
        with opened(where) as (database, load):
            history = History(number)
            began = time.perf_counter()
            load(runs, history.runs())
            load(attempts, history.attempts())
            load(events, history.events())
            title = f"{name} with {number} runs and {number * STEPS} attempts"
            results.append(measure(database, history, Figures(f"store {name}", title), time.perf_counter() - began))
    return results


@contextmanager
def sqlite(where: Path) -> Iterator[tuple[Database, Callable[[Table, Iterator[Row]], None]]]:
    path = where / "store.db"
    with closing(Database(f"sqlite:///{path}")) as database:
        database.migrate()

        yield database, partial(load_sqlite, path)


@contextmanager
def postgres(_where: Path) -> Iterator[tuple[Database, Callable[[Table, Iterator[Row]], None]]]:
    with running(durable=True) as server, closing(Database(server.database())) as database:
        database.migrate()

        yield database, partial(load_postgres, database)


def load_sqlite(path: Path, table: Table, rows: Iterator[Row]) -> None:
    names, values = columns(rows)
    marks = ", ".join("?" * len(names))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(f"INSERT INTO {table.name} ({quoted(names)}) VALUES ({marks})", values)


def load_postgres(database: Database, table: Table, rows: Iterator[Row]) -> None:
    names, values = columns(rows)
    with psycopg.connect(database.address, autocommit=True) as connection:
        with connection.cursor().copy(f"COPY {table.name} ({quoted(names)}) FROM STDIN".encode()) as copy:
            for row in values:
                copy.write_row(row)
        connection.execute(f"VACUUM ANALYZE {table.name}".encode())  # what autovacuum does in a while


def columns(rows: Iterator[Row]) -> tuple[list[str], Iterator[tuple[object, ...]]]:
    """Return the names that all rows have, and their values."""
    first = next(rows)
    return list(first), (tuple(row.values()) for row in chain((first,), rows))


def quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


class History:
    """Rows of tables. One a minute began; the same every time. Attempts of the newest runs are `waiting`."""

    def __init__(self, number: int, *, waiting: int = OPEN) -> None:
        chance = random.Random(1)
        self._waiting = waiting
        self.number = number
        self.ids = [new_run_id(BEGAN + 60.0 * index) for index in range(number)]
        self.projects = [f"team/{min(int(chance.paretovariate(0.7)), 50)}" for _ in self.ids]
        self.branches = ["main" if chance.random() < 0.6 else f"topic-{chance.randrange(500)}" for _ in self.ids]
        self.commits = [f"{chance.getrandbits(160):040x}" for _ in self.ids]
        self.actors = [f"person-{chance.randrange(40)}" for _ in self.ids]
        self.steps = [f"step-{index}" for index in range(STEPS)]
        pipeline = make_pipeline(" ".join(self.steps), "")
        run = create_run(
            self.ids[0], pipeline, context=RunContext("main"), initial_commit=CommitId("c" * 64), now=BEGAN
        )
        self._definition, self._snapshot = dump_pipeline(pipeline), dump_run(run)
        self._chance = chance

    def is_open(self, index: int) -> bool:
        return index >= self.number - self._waiting

    def runs(self) -> Iterator[Row]:
        for index, identifier in enumerate(self.ids):
            at, running_now = BEGAN + 60.0 * index, self.is_open(index)
            known = {
                "id": identifier,
                "number": index + 1,
                "project": self.projects[index],
                "pipeline": self._chance.choice(PIPELINES),
                "state": str(RunState.RUNNING if running_now else self._chance.choice(STATES)),
                "owner": "me" if running_now else f"{index // 2000:016x}",
                "directory": "",
                "dirty": 0,
                "repository": f"/home/runs/{identifier}/repository.git",
                "definition": self._definition,
                "snapshot": self._snapshot.replace(self.ids[0], identifier),
                "last_seq": 0,
                "created_at": at,
                "finished_at": None if running_now else at + self._chance.uniform(10, 1000),
                "event": self._chance.choice(("push", "push", "pull_request", "schedule", "manual")),
                "branch": self.branches[index],
                "commit": self.commits[index],
                "actor": self.actors[index],
                "trust": "trusted",
                "cause": '{"delivery":"d"}',
            }
            yield known

    def attempts(self) -> Iterator[Row]:
        for index, identifier in enumerate(self.ids):
            at, waits = BEGAN + 60.0 * index, self.is_open(index)
            for step in self.steps:
                known = {
                    "run_id": identifier,
                    "step": step,
                    "attempt": 1,
                    "epoch": 1,
                    "state": "queued" if waits else "done",
                    "input_commit": "c" * 64,
                    "runner": "" if waits else "local",
                    "request_key": "",
                    "stop": "",
                    "queued_at": at,
                    "message": "",
                    "outcome": None if waits else "succeeded",
                    "details": '{"phases":{"run":1.5},"images":{"main":"image@sha256:1"}}',
                }
                yield known

    def events(self) -> Iterator[Row]:
        body = dump_event(RunStarted())
        for identifier in self.ids[-10 * OPEN :]:
            for seq in range(1, 5 * STEPS):
                yield {"run_id": identifier, "seq": seq, "at": BEGAN, "body": body}


def measure(database: Database, history: History, found: Figures, loading: float) -> Figures:
    chance = random.Random(2)
    for name, query in lists(history, chance).items():
        timed(found, name, LOOKS, partial(_look_at, database, query))
    timed(found, "page of a run", LOOKS, lambda: run_page(database, chance.choice(history.ids[-10 * OPEN :])))
    timed(found, "owners of open runs", 20, lambda: owners(database))
    keys = count()
    timed(found, "claim", CLAIMS, lambda: claim(database, next(keys)))
    timed(found, "heartbeat", 50, lambda: beat(database))
    with ThreadPoolExecutor(THREADS) as pool:
        began = time.perf_counter()
        list(pool.map(lambda _: claim(database, next(keys)), range(CLAIMS)))
        found.note(f"claims per second, {THREADS} at once", CLAIMS / (time.perf_counter() - began))
    scans = [name for name, query in lists(history, chance).items() if scanned(database, query())]
    if scans:
        print(f"every run is looked at for: {', '.join(scans)}")
    found.aim("lists that look at every run", len(scans), aim=0)
    found.note("loading in s", loading)
    return found


def lists(history: History, chance: random.Random) -> dict[str, Callable[[], Select[Any]]]:
    """Return queries by name; each call makes one for another page."""

    def index() -> int:
        return chance.randrange(history.number)

    def listed(before: RunId | None = None, **wanted: Any) -> Select[Any]:
        return page(RunFilter(**wanted), before, PAGE)

    def project() -> frozenset[str]:
        return frozenset({history.projects[index()]})

    some = frozenset(f"team/{number}" for number in (3, 7, 20, 33))
    return {
        "newest runs": listed,
        "newest of a project": lambda: listed(projects=project()),
        "some page of a project": lambda: listed(history.ids[index()], projects=project()),
        "of four projects": lambda: listed(projects=some),
        "of a pipeline": lambda: listed(projects=project(), pipeline=chance.choice(PIPELINES)),
        "of a branch": lambda: listed(projects=project(), branch=history.branches[index()]),
        "of a rare branch, all projects": lambda: listed(branch=f"topic-{chance.randrange(500)}"),
        "failed ones": lambda: listed(states=frozenset({RunState.FAILED})),
        "failed ones of a project": lambda: listed(projects=project(), states=frozenset({RunState.FAILED})),
        "by actor": lambda: listed(actor=history.actors[index()]),
        "by commit": lambda: listed(commit=history.commits[index()][:9]),
        "statistics of a pipeline": lambda: figures(next(iter(project())), chance.choice(PIPELINES), "", PAGE),
        "statistics of a pipeline and branch": lambda: figures("team/1", "build", history.branches[index()], PAGE),
    }


def timed(found: Figures, name: str, times: int, do: Callable[[], object]) -> None:
    """Do it once unmeasured, then that often."""
    do()
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        do()
        seconds.append(time.perf_counter() - began)
        found.add(name, seconds[-1])
    found.note(f"{name}, p99 in ms", statistics.quantiles(seconds, n=100)[-1] * 1e3)


def _look_at(database: Database, query: Callable[[], Select[Any]]) -> None:
    look(database, query())


def look(database: Database, query: Select[Any]) -> None:
    with database.read() as tx:
        tx._connection.execute(query).all()


def run_page(database: Database, run: RunId) -> None:
    with database.read() as tx:
        row = tx.runs.get(run)
        tx.attempts.of_run(run)
        tx.runs.events(run, 0, row.last_seq)


def owners(database: Database) -> None:
    with database.read() as tx:
        tx.runs.owners()


def claim(database: Database, number: int) -> None:
    key, runner = f"k{number}", f"r{number % RUNNERS}"
    with database.write() as tx:
        tx.attempts.begin_claim(key)
        tx.attempts.answered(runner=runner, request_key=key)
        found = claim_oldest(tx, runner=runner, owner="me", request_key=key, now=BEGAN, lease=60.0)
    if found is None:
        raise RuntimeError("nothing is left to claim")


def beat(database: Database) -> None:
    with database.write() as tx:
        tx.attempts.renew("r1", [row.key for row in tx.attempts.held("r1")], BEGAN)


def scanned(database: Database, query: Select[Any]) -> bool:
    """Whether the plan of a query goes through the whole table."""
    with database.read() as tx:
        compiled = query.compile(tx._connection, compile_kwargs={"literal_binds": True})
        is_sqlite = tx._connection.dialect.name == "sqlite"
        steps = tx._connection.execute(text(f"EXPLAIN {'QUERY PLAN ' if is_sqlite else ''}{compiled}")).all()
        words = "\n".join(str(step[-1]) for step in steps)
    return "Seq Scan" in words or any(
        step.startswith("SCAN runs") and "INDEX" not in step for step in words.split("\n")
    )
