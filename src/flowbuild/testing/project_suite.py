"""What every database must do for projects, and for runs that go: tests like those of `store_suite`."""

# ruff: noqa: S101, D102  a module of tests without pytest: their names say what they check

from __future__ import annotations

from dataclasses import replace

from flowbuild.core.commands import FinishRun
from flowbuild.core.errors import Conflict, NotFound
from flowbuild.core.project import ProjectSettings, Visibility
from flowbuild.core.retention import Retention
from flowbuild.core.states import RunState
from flowbuild.store.attempts import AttemptKey
from flowbuild.store.database import Database
from flowbuild.store.notices import Notice
from flowbuild.store.projects import ProjectRow
from flowbuild.testing.store_suite import COMMIT, ONE, TWO, A, StoreBench, add, make_run, refused

APP = ProjectRow(
    "01AAAAAAAAAAAAAAAAAAAAAAP1",
    "app",
    "https://git.example/app.git",
    1.0,
    "trunk",
    Visibility.PUBLIC,
    ProjectSettings(("main", "release/*"), (), Retention(5, None, 1 << 40)),
    "v1.sealed",
)
OTHER = ProjectRow("01AAAAAAAAAAAAAAAAAAAAAAP2", "other", "/srv/other", 2.0)


def _ended(database: Database, *runs: str) -> None:
    for run in runs:
        add(database, replace(make_run(run), state=RunState.SUCCEEDED, finished_at=5.0))  # type: ignore[arg-type]


class ProjectSuite(StoreBench):
    """The tests."""

    def test_projects(self, url: str) -> None:
        with self.database(url) as database:
            with database.write() as tx:
                tx.projects.add(OTHER)
                tx.projects.add(APP)
            with database.read() as tx:
                assert tx.projects.get("app") == tx.projects.by_id(APP.id) == APP
                assert tx.projects.list() == [APP, OTHER]
                assert tx.projects.list(["other", "nobody"]) == [OTHER]
                assert tx.projects.list([]) == []
                assert "no project" in refused(lambda: tx.projects.get("nobody"))
                assert refused(lambda: tx.projects.by_id(ONE))

    def test_a_name_is_given_once(self, url: str) -> None:
        with self.database(url) as database:
            with database.write() as tx:
                tx.projects.add(APP)

            def again() -> None:
                with database.write() as tx:
                    tx.projects.add(replace(OTHER, name="app"))

            assert "already" in refused(again, Conflict)
            with database.read() as tx:
                assert tx.projects.list() == [APP]

    def test_changes_do_not_touch_what_is_recorded(self, url: str) -> None:
        with self.database(url) as database:
            with database.write() as tx:
                tx.projects.add(APP)
                tx.projects.fetched(APP.id, 7.0, "")
                tx.projects.save(replace(APP, url="/elsewhere", archived_at=9.0, fetched_at=None))
                tx.projects.fetched(APP.id, None, "no answer")
            wanted = replace(APP, url="/elsewhere", archived_at=9.0, fetched_at=7.0, fetch_error="no answer")
            with database.read() as tx:
                assert tx.projects.get("app") == wanted
                assert (tx.projects.list(), tx.projects.list(archived=True)) == ([], [wanted])
            with database.write() as tx:
                tx.projects.delete(APP.id)
            with database.read() as tx:
                assert tx.projects.list(archived=True) == []

    def test_runs_go_when_nothing_is_left_to_do(self, url: str) -> None:
        with self.database(url) as database:
            _ended(database, ONE, TWO)
            with database.write() as tx:
                tx.attempts.enqueue(AttemptKey(ONE, A, 1, 1), COMMIT, 1.0)
                tx.outbox.put(ONE, [FinishRun()])
            with database.write() as tx:
                assert [line.id for line in tx.runs.removable("p")] == [TWO]
                assert tx.runs.removable("q") == []
                assert not tx.runs.remove(ONE)
                for identifier, _, _ in tx.outbox.pending("me"):
                    tx.outbox.done(identifier)
                tx.leftovers.add("one", ONE)
                assert not tx.runs.remove(ONE)
                tx.leftovers.forget("one", ONE)
                tx.notices.add(Notice(id=TWO, kind="after", run=ONE, payload={}, next_at=3.0))
                assert not tx.runs.remove(ONE)
                tx.notices.done(TWO)
                tx.notices.put(Notice(id=TWO, kind="status", run=None, payload={}, next_at=3.0))  # of no run
                assert [line.id for line in tx.runs.removable("p")] == [TWO, ONE]
                assert tx.runs.remove(ONE)
                assert not tx.runs.remove(ONE)  # it is gone
            with database.read() as tx:
                assert not tx.attempts.of_run(ONE)
                assert tx.runs.ids() == {TWO}
                assert refused(lambda: tx.runs.get(ONE), NotFound)

    def test_a_run_that_goes_on_does_not_go(self, url: str) -> None:
        with self.database(url) as database:
            add(database, make_run())
            with database.write() as tx:
                assert (tx.runs.removable("p"), tx.runs.remove(ONE)) == ([], False)
