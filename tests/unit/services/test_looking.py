"""What a look at a run shows while the run goes on."""

import asyncio

import pytest

from flowbuild.store.runs import Runs
from flowbuild.testing.home import Home, step


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


async def test_events_never_run_ahead_of_the_view(home, monkeypatch):
    """Whoever follows a run learns how it ended from the last update, whatever happens while he looks."""
    home.write({"a": step(sleep=100_000)})
    async with home.life() as life:
        run = (await life.start(home)).id
        await life.until(run, "a", "running")
        original = Runs.get
        interfered = []

        def get(self, identifier, *args):
            row = original(self, identifier, *args)
            if not interfered:  # between the reading of the run and that of its events
                interfered.append(identifier)
                life.local.runs.cancel(identifier, by="somebody", force=True)
            return row

        monkeypatch.setattr(Runs, "get", get)
        events, view = await asyncio.to_thread(life.local.looking.since, run, 0, {})
        monkeypatch.undo()
        assert interfered == [run]
        assert view.state == "running"
        assert "cancel_requested" not in [row.event.type for row in events]
        later, view = await asyncio.to_thread(life.local.looking.since, run, events[-1].seq, {})
        assert later[0].event.type == "cancel_requested"
        assert view.state != "running"
        assert (await life.finished(run)).state == "cancelled"
