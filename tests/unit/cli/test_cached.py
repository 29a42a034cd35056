"""What people see of a step that took its result from the step cache."""

import io
import json
from datetime import UTC

from flowbuild.cli.looking import _in_order
from flowbuild.cli.render.jsonlines import JsonLinesView, jsonable
from flowbuild.cli.render.live import LiveView
from flowbuild.cli.render.plain import PlainView
from flowbuild.cli.render.show import print_run
from flowbuild.cli.render.theme import console_for
from flowbuild.client.base import RunUpdate
from flowbuild.core.cache import Origin
from flowbuild.core.states import Outcome, RunState
from flowbuild.testing.views import EPOCH, attempt_view, done, run_view

ORIGIN = Origin("01A", 12, "build", 2, EPOCH - 100)
TOOK = attempt_view(
    seconds=0.1, outcome=Outcome.SUCCEEDED, exit_code=0, started_at=None, phases={"cache": 0.05}, cached=ORIGIN
)
RUN = run_view(
    (done("build", 0.1, cached=True, attempts=(TOOK,)), done("test", 3)),
    "+build>test",
    state=RunState.SUCCEEDED,
    finished_at=EPOCH + 4,
)
UPDATE = RunUpdate(7, EPOCH + 1, {"type": "attempt_finished", "step": "build", "cached": True}, RUN)


def shown(width=100):
    stream = io.StringIO()
    print_run(console_for(stream, colour=False, width=width), RUN, {}, now=EPOCH + 9, zone=UTC)
    return stream.getvalue()


def test_show_says_whose_result_it_is():
    text = shown()
    assert "    cached: result of run 12, step build, attempt 2, of 2025-06-15 15:05:00 +0000\n" in text
    assert text.count("cached: result") == 1
    assert "    cache 50ms\n" in text
    assert max(map(len, shown(40).splitlines())) <= 40


def test_plain_lines_and_live_progress_say_that_it_is_cached():
    stream = io.StringIO()
    view = PlainView(stream, colour=False, zone=UTC)
    view.on_update(UPDATE)
    view.finish(RUN)
    lines = stream.getvalue().splitlines()
    assert [line.split("build")[1] for line in lines if "build" in line and "✓" in line] == ["  0.1s  cached"]
    assert "2 succeeded, 1 cached" in stream.getvalue()
    live = LiveView(console_for(io.StringIO(), colour=False, width=80), clock=lambda: EPOCH)
    live._run = RUN
    assert any("build" in line.plain and "cached" in line.plain for line in live.frame(EPOCH + 2))


def test_json_lines_say_that_it_is_cached_and_show_says_whose():
    stream = io.StringIO()
    view = JsonLinesView(stream)
    view.on_update(UPDATE)
    view.finish(RUN)
    event, end = map(json.loads, stream.getvalue().splitlines())
    assert event["cached"] is True
    assert {key: step["cached"] for key, step in end["steps"].items()} == {"build": True, "test": False}
    assert jsonable(RUN)["steps"][0]["attempts"][0]["cached"] == {
        "run": "01A",
        "number": 12,
        "step": "build",
        "attempt": 2,
        "finished_at": EPOCH - 100,
    }


def test_logs_of_all_steps_come_in_the_order_of_the_steps():
    assert _in_order(RUN) == ["build", "test"]
