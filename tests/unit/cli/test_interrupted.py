"""What people see of runs that nobody drives, and of steps that wait for an environment."""

import dataclasses
import io
from datetime import UTC

from flowbuild.cli.following import exit_code
from flowbuild.cli.render.jsonlines import JsonLinesView
from flowbuild.cli.render.live import LiveView
from flowbuild.cli.render.plain import PlainView
from flowbuild.cli.render.show import print_runs
from flowbuild.cli.render.summary import summary
from flowbuild.cli.render.tails import Tails
from flowbuild.cli.render.theme import Look, console_for
from flowbuild.client.base import HolderView
from flowbuild.core.states import StepState
from flowbuild.testing.views import EPOCH, run_view, running, step_view, update

INTERRUPTED = run_view((running("build"),), interrupted=True)
HOLDER = HolderView("prod", "01J9", 7, "shop", "deploy", interrupted=False)


def waiting(holder):
    return run_view((step_view("deploy", state=StepState.WAITING, holder=holder),))


def held(**changes):
    return dataclasses.replace(HOLDER, **changes)


def test_the_end_of_an_interrupted_run_says_what_to_do():
    lines = [line.plain for line in summary(INTERRUPTED, Look(), Tails())]
    assert lines == [
        "! release #12  main@1f2e3d4  interrupted",
        "  1 step: none ended",
        "",
        "  flow resume 12  go on with it",
        "  flow cancel 12  end it",
    ]
    assert exit_code(INTERRUPTED) == 5


def test_json_has_no_last_line_for_a_run_that_did_not_end():
    stream = io.StringIO()
    JsonLinesView(stream).finish(INTERRUPTED)
    assert stream.getvalue() == ""


def test_it_is_called_so_in_the_list():
    stream = io.StringIO()
    print_runs(console_for(stream, width=100), [INTERRUPTED], now=EPOCH + 10)
    assert "! interrupted" in stream.getvalue()


def test_plain_tells_who_holds_what_is_waited_for_and_when_that_changes():
    stream = io.StringIO()
    view = PlainView(stream, zone=UTC)
    holders = [
        HOLDER,
        HOLDER,
        held(interrupted=True),
        held(project="other"),
        held(run=run_view(()).id, step="first"),
        None,
    ]
    for second, holder in enumerate(holders):
        view.on_update(update(waiting(holder), at=second))
    text = "◆ deploy  waits for prod, held by the step deploy of run"
    assert stream.getvalue().splitlines()[1:] == [
        f"15:06:40 {text} 7",
        f"15:06:42 {text} 7, which was interrupted: flow resume 7 goes on with it, flow cancel 7 ends it",
        f"15:06:43 {text} 01J9",
        "15:06:44 ◆ deploy  waits for prod, held by the step first",
    ]


async def test_live_shows_it_below():
    view = LiveView(console_for(io.StringIO(), width=120), clock=lambda: EPOCH)
    view.on_update(update(waiting(held(interrupted=True))))
    text = "\n".join(line.plain for line in view.frame(EPOCH))
    assert "◆ prod is held by the step deploy of run 7, which was interrupted: flow resume 7 goes on" in text
    view.on_update(update(INTERRUPTED))
    assert "! release #12" in view.frame(EPOCH)[0].plain
    assert "interrupted" in view.frame(EPOCH)[0].plain
    view._timer.cancel()
