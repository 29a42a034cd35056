"""What lists of runs ask of every database: a class of tests, as `store_suite.StoreSuite`."""

# ruff: noqa: S101, D102  a module of tests without pytest: their names say what they check

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flowbuild.core.ids import RunId
from flowbuild.core.run import RunContext
from flowbuild.core.states import RunState
from flowbuild.store.database import Database
from flowbuild.store.run_lists import RunFilter, RunLine
from flowbuild.store.runs import RunRow
from flowbuild.testing.store_suite import StoreBench, make_run

SHA = "0123456789abcdef" * 4


def run_id(number: int) -> RunId:
    """Return the id of the run that was created at that time."""
    return RunId(f"01{number:024}")


class RunListSuite(StoreBench):
    """The tests."""

    def run(
        self,
        database: Database,
        at: int,
        *,
        project: str = "p",
        pipeline: str = "test",
        state: RunState = RunState.RUNNING,
        finished: float | None = None,
        context: RunContext | None = None,
        **known: Any,
    ) -> None:
        """Store a run that was created `at` a time; its id says so, too."""
        run = make_run(run_id(at), now=float(at))
        run = replace(
            run, pipeline=replace(run.pipeline, name=pipeline), context=context or RunContext("main"), state=state
        )
        with database.write() as tx:
            number = tx.runs.next_number(project)
            tx.runs.add(RunRow(run, number, project, "me", "/s", dirty=False, repository="/r", **known))
            if finished is not None:
                tx.runs.save(replace(run, finished_at=finished), [], 0)

    def found(self, database: Database, before: int | None = None, limit: int = 100, **wanted: Any) -> list[int]:
        """Return when the runs of a page were created."""
        with database.read() as tx:
            lines = tx.runs.page(RunFilter(**wanted), None if before is None else run_id(before), limit)
        return [int(line.created_at) for line in lines]

    def test_a_line_says_what_is_known_of_a_run(self, url: str) -> None:
        with self.database(url) as database:
            context = RunContext("main", commit=SHA, event="push")
            cause = {"delivery": "d", "links": ["x"]}
            self.run(database, 1, context=context, actor="somebody", trust="untrusted", cause=cause)
            with database.read() as tx:
                (line,) = tx.runs.page(RunFilter(), None, 10)
                row = tx.runs.get(run_id(1))
            assert line == RunLine(
                run_id(1),
                1,
                "p",
                "test",
                RunState.RUNNING,
                "me",
                "push",
                "main",
                SHA,
                "somebody",
                "untrusted",
                cause,
                dirty=False,
                rerun_of=None,
                created_at=1.0,
                finished_at=None,
            )
            assert (row.actor, row.trust, row.cause) == ("somebody", "untrusted", cause)

    def test_pages_follow_each_other_without_gaps(self, url: str) -> None:
        with self.database(url) as database:
            for at in range(1, 8):
                self.run(database, at)
            assert self.found(database, limit=3) == [7, 6, 5]
            self.run(database, 8)  # what begins meanwhile moves nothing
            assert self.found(database, before=5, limit=3) == [4, 3, 2]
            assert self.found(database, before=2, limit=3) == [1]
            assert self.found(database, before=1) == []
            self.run(database, 9, project="q")
            both = frozenset({"p", "q"})
            assert self.found(database, projects=both, limit=3) == [9, 8, 7]
            assert self.found(database, projects=both, before=9, limit=2) == [8, 7]

    def test_filters(self, url: str) -> None:
        with self.database(url) as database:
            self.run(database, 1, project="p", actor="anna", context=RunContext("main", commit=SHA))
            self.run(database, 2, project="q", pipeline="other", state=RunState.FAILED)
            self.run(database, 3, project="q", context=RunContext("topic", event="push", commit="f" * 64))
            self.run(database, 4, project="r", state=RunState.CANCELLED, context=RunContext("main", event="schedule"))
            cases: list[tuple[dict[str, Any], list[int]]] = [
                ({}, [4, 3, 2, 1]),
                ({"projects": frozenset({"p", "q"})}, [3, 2, 1]),
                ({"projects": frozenset()}, []),
                ({"projects": frozenset({"q", *map(str, range(300))})}, [3, 2]),
                ({"projects": frozenset({"p", "q", "r"}), "branch": "main"}, [4, 2, 1]),
                ({"pipeline": "other"}, [2]),
                ({"states": frozenset({RunState.FAILED, RunState.CANCELLED})}, [4, 2]),
                ({"branch": "main"}, [4, 2, 1]),
                ({"branch": "mai%"}, []),
                ({"event": "push"}, [3]),
                ({"actor": "anna"}, [1]),
                ({"commit": "0123"}, [1]),
                ({"commit": SHA.upper()}, [1]),
                ({"commit": "ff"}, [3]),
                ({"commit": "%"}, []),
                ({"since": 2.0, "until": 4.0}, [3, 2]),
                ({"projects": frozenset({"q"}), "branch": "topic", "states": frozenset({RunState.RUNNING})}, [3]),
                ({"projects": frozenset({"p"}), "branch": "topic"}, []),
            ]
            for wanted, expected in cases:
                assert self.found(database, **wanted) == expected, wanted

    def test_statistics_are_of_runs_that_ended(self, url: str) -> None:
        with self.database(url) as database:
            self.run(database, 1, state=RunState.SUCCEEDED, finished=3.5)
            self.run(database, 2, state=RunState.FAILED, finished=3.0)
            self.run(database, 3)
            self.run(database, 4, pipeline="other", state=RunState.FAILED, finished=9.0)
            self.run(database, 5, project="q", state=RunState.FAILED, finished=9.0)
            self.run(database, 6, context=RunContext("topic"), state=RunState.FAILED, finished=9.0)
            with database.read() as tx:
                found = tx.runs.statistics("p", "test", 10)
                assert [(each.id, each.number, each.state, each.seconds) for each in found] == [
                    (run_id(6), 5, RunState.FAILED, 3.0),
                    (run_id(2), 2, RunState.FAILED, 1.0),
                    (run_id(1), 1, RunState.SUCCEEDED, 2.5),
                ]
                assert [figure.number for figure in tx.runs.statistics("p", "test", 1)] == [5]
                assert [figure.number for figure in tx.runs.statistics("p", "test", 9, branch="topic")] == [5]
                assert tx.runs.statistics("p", "other", 9, branch="topic") == []
