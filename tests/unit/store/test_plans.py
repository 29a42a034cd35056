"""How SQLite finds what lists of runs and runners ask for: never by looking at every run."""

import pytest
from sqlalchemy import select, text
from sqlalchemy.dialects import sqlite

from flowbuild.core.ids import RunId
from flowbuild.core.states import RunState
from flowbuild.store.figures import attempts_of
from flowbuild.store.networks import collectable
from flowbuild.store.run_lists import RunFilter, figures, page
from flowbuild.store.runs import _begins
from flowbuild.store.tables import runs
from flowbuild.testing.databases import new_sqlite


@pytest.fixture
def database(tmp_path):
    database = new_sqlite(tmp_path / "flow.db")
    yield database
    database.close()


def plan(database, query):
    """Return the steps in which SQLite would answer a query."""
    compiled = str(query.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))
    with database.read() as tx:
        return [row[3] for row in tx._connection.execute(text(f"EXPLAIN QUERY PLAN {compiled}"))]


def sorts_or_scans(steps):
    return [step for step in steps if "USE TEMP B-TREE" in step or (step.startswith("SCAN") and "INDEX" not in step)]


ONE = {"projects": frozenset({"p"})}


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        ({}, "sqlite_autoindex_runs_1"),
        (ONE, "ix_runs_project_id"),
        ({**ONE, "pipeline": "x"}, "ix_runs_project_pipeline_id"),
        ({**ONE, "branch": "x"}, "ix_runs_project_branch_id"),
        ({"branch": "x"}, "ix_runs_branch_id"),
        ({"states": frozenset({RunState.FAILED})}, "ix_runs_state_id"),
        ({"branch": "x", "states": frozenset({RunState.FAILED})}, "ix_runs_branch_id"),
        ({"actor": "x"}, "ix_runs_actor_id"),
        ({"actor": "x", "states": frozenset({RunState.FAILED})}, "ix_runs_actor_id"),
    ],
)
def test_a_page_is_read_from_an_index_that_has_its_order(database, wanted, index):
    for before in (None, RunId("0" * 26)):
        steps = plan(database, page(RunFilter(**wanted), before, 50))
        assert index in " ".join(steps)
        assert sorts_or_scans(steps) == []


def test_a_commit_is_looked_up(database):
    assert "ix_runs_commit" in " ".join(plan(database, page(RunFilter(commit="abc"), None, 50)))


def test_statistics_are_read_from_an_index(database):
    steps = plan(database, figures("p", "x", "", 50))
    assert "ix_runs_project_pipeline_id" in " ".join(steps)
    assert sorts_or_scans(steps) == []


def test_statistics_of_a_branch_are_read_from_its_index(database):
    steps = plan(database, figures("p", "x", "topic", 50))
    assert "ix_runs_project_branch_id" in " ".join(steps)
    assert sorts_or_scans(steps) == []


def test_attempts_of_runs_are_looked_up(database):
    steps = plan(database, attempts_of([RunId("0" * 26), RunId("1" * 26)]))
    assert "sqlite_autoindex_attempts_1 (run_id=?)" in " ".join(steps)
    assert sorts_or_scans(steps) == []


def test_a_run_is_found_by_the_beginning_of_its_id(database):
    steps = plan(database, select(runs.c.id).where(_begins("01ABC")))
    assert "sqlite_autoindex_runs_1" in " ".join(steps)
    assert sorts_or_scans(steps) == []


def test_networks_that_can_go_are_found_by_the_few_that_there_are(database):
    steps = plan(database, collectable())
    looked = [step.split()[:2] for step in steps if step.startswith(("SCAN", "SEARCH"))]
    assert sorted(looked) == [["SCAN", "networks"], ["SEARCH", "leftovers"], ["SEARCH", "runs"]]


def test_a_query_without_an_index_is_seen(database):
    """The negative control."""
    assert sorts_or_scans(plan(database, select(runs).where(runs.c.directory == "x").order_by(runs.c.directory)))
