"""Environments belong to projects: a run keeps those of its own project waiting, and no others."""

import asyncio
from dataclasses import replace

import pytest

from flowbuild.services.runs import Order, choose, load
from flowbuild.store.projects import ProjectRow
from flowbuild.testing.home import Home, step
from flowbuild.workspace.source import WorkingTree


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path)
    home.write({"a": {**step(sleep=1000), "environment": "prod"}})
    return home


def begin(home, local, project):
    source = WorkingTree(home.project)
    return local.runs.begin(Order(source, choose(load(source), ""), project=project))


def add_project(database, name, number):
    with database.write() as tx:
        tx.projects.add(ProjectRow(str(number) * 26, name, "/source", 1.0))


async def test_a_project_keeps_no_other_out_of_its_environments(home):
    async with home.life() as life:
        for number, name in enumerate(("shop", "bank")):
            await asyncio.to_thread(add_project, life.local.database, name, number)
        first, second, other = [
            await asyncio.to_thread(begin, home, life.local, name) for name in ("shop", "shop", "bank")
        ]
        await life.until(first, "a", "run")
        await life.until(other, "a", "run")
        waiting = await life.client.get(second)
        await life.client.cancel(first, force=True)
        await life.until(second, "a", "run")
        for run in (second, other):
            await life.client.cancel(run, force=True)
        for run in (first, second, other):
            await life.finished(run)
    (holder,) = [each.holder for each in waiting.steps]
    assert (holder.project, holder.run, holder.environment) == ("shop", first, "prod")


async def test_without_a_server_there_is_one_line(home):
    """The control, and as it is meant: directories of one person that deploy to one place."""
    async with home.life() as life:
        first = (await life.start(home)).id
        other = replace(home, top=home.top / "other")
        other.top.mkdir()
        other.write({"a": {**step(sleep=1000), "environment": "prod"}})
        second = (await life.start(other)).id
        await life.until(first, "a", "run")
        (holder,) = [each.holder for each in (await life.client.get(second)).steps]
        for run in (second, first):
            await life.client.cancel(run, force=True)
            await life.finished(run)
    assert holder.run == first
