"""Two repositories in directories of one name do not share runs."""

from flowbuild.testing.home import Home, step


async def start(home):
    async with home.life() as life:
        view = await life.finished((await life.start(home)).id)
        assert [run.id for run in await life.client.runs(limit=1)] == [view.id]  # by the name it has from now on
        return view


def beside(tmp_path, name):
    """A project called `project`, of which there are others, over one data directory."""
    home = Home(tmp_path / name)
    home.top.mkdir()
    home.data.symlink_to(tmp_path / "data")
    home.write({"a": step()})
    return home


async def test_names_of_projects(tmp_path):
    (tmp_path / "data").mkdir()
    one, two = beside(tmp_path, "one"), beside(tmp_path, "two")
    views = [await start(home) for home in (one, two, one, two)]
    assert [(view.project, view.number) for view in views] == [
        ("project", 1),
        ("two/project", 1),
        ("project", 2),
        ("two/project", 2),
    ]
    async with two.looking() as life:
        assert {run.id for run in await life.client.runs()} == {views[1].id, views[3].id}
        assert (await life.client.get("last")).id == views[3].id
        assert (await life.client.get("1")).id == views[1].id
        assert len(await life.client.runs(everything=True)) == 4


async def test_a_directory_that_was_moved_keeps_its_runs(tmp_path):
    (tmp_path / "data").mkdir()
    home = beside(tmp_path, "one")
    first = await start(home)
    (tmp_path / "elsewhere").mkdir()
    home.project.rename(tmp_path / "elsewhere/project")
    moved = Home(tmp_path / "elsewhere", machine=home.machine)
    moved.data.symlink_to(tmp_path / "data")
    second = await start(moved)
    assert (second.project, second.number) == (first.project, 2)
