"""Live, plain and JSON views of the same run, with a fixed clock; summaries; hostile output in all of them."""

import asyncio
import dataclasses
import io
import json
import re
from datetime import UTC

import pytest
from rich.console import Console

from flowbuild.cli.render.jsonlines import JsonLinesView
from flowbuild.cli.render.live import LiveView
from flowbuild.cli.render.plain import PlainView, print_log
from flowbuild.cli.render.summary import summary
from flowbuild.cli.render.tails import KEPT, Line, Tails, first_error
from flowbuild.cli.render.theme import Look, console_for, why
from flowbuild.client.base import AttemptView
from flowbuild.core.states import Outcome, Reason, RunState, StepState
from flowbuild.testing.views import EPOCH, attempt_view, chunk, done, run_view, running, step_view, update

EDGES = "build>unit build!email unit!email unit>deploy"
STEPS = (step_view("build"), step_view("unit"), step_view("deploy"), step_view("email"))
BUILD = done("build", 3)
FAILED = done("unit", 4, start=3, outcome="failed", input_commit="1" * 40)
END = run_view(
    (BUILD, FAILED, done("deploy", outcome="skipped"), done("email", 1, start=7)),
    "+build>unit -build!email +unit!email -unit>deploy",
    state=RunState.FAILED,
    finished_at=EPOCH + 8,
)


def play(view) -> None:
    """A run in which a step fails, as the client tells it."""
    view.on_update(update(run_view(STEPS, EDGES), "run_started", seq=1))
    view.on_update(update(run_view((running("build"), *STEPS[1:]), EDGES), "attempt_started", seq=2, step="build"))
    view.on_log(chunk("build", b"compiling\r", at=1))
    view.on_log(chunk("build", b"compil\xc3\xa9\n", at=2))
    unit = running("unit", start=3)
    view.on_update(update(run_view((BUILD, unit, *STEPS[2:]), EDGES), "attempt_started", seq=3, at=3, step="unit"))
    view.on_log(chunk("unit", b"\x1b]0;owned\x07\x1b[31mFAILED test_a\x1b[0m\n", at=5))
    view.on_log(chunk("unit", b"no line end", service="db", stream="stderr", at=6))
    view.on_update(update(END, "attempt_finished", seq=4, at=8, step="unit", outcome="failed"))
    view.finish(END)


PLAIN = """\
15:06:40 ▶ release #12  main@1f2e3d4
15:06:40 ● build  started
build/app | compilé
15:06:43 ✓ build  3.0s
15:06:43 ● unit  started
unit/app | FAILED test_a
unit/db | no line end
15:06:48 ✗ unit  4.0s  failed: exit code 1
15:06:48 ↷ deploy  skipped: not on the path taken
15:06:48 ✓ email  1.0s

✗ release #12  main@1f2e3d4  failed in 8.0s
  4 steps: 2 succeeded, 1 failed, 1 skipped

✗ unit  failed: exit code 1  after 4.0s
→ app | FAILED test_a
  db | no line end

  skipped, not on the path taken: deploy

  flow logs 12 unit          the whole log
  flow debug 12 unit         a shell in its exact input
  flow rerun 12 --from unit  again from there
"""


def text_of(view_class, encoding="utf-8", **arguments) -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    play(view_class(stream, **arguments))
    stream.flush()
    return raw.getvalue().decode(encoding)


def test_plain():
    assert text_of(PlainView, zone=UTC) == PLAIN


def test_plain_on_an_ascii_stream():
    text = text_of(PlainView, "ascii", zone=UTC)
    assert "15:06:48 x unit  4.0s  failed: exit code 1" in text
    assert "build/app | compil\\xe9" in text


def test_plain_has_colours_only_when_forced(monkeypatch):
    assert "\x1b" not in text_of(PlainView)
    coloured = text_of(PlainView, zone=UTC, colour=True)
    assert "\x1b[31mFAILED test_a\x1b[0m" in coloured
    assert "owned" not in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == PLAIN
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in text_of(PlainView)


def test_plain_tells_of_approvals_retries_and_what_serves():
    stream = io.StringIO()
    view = PlainView(stream, zone=UTC)
    waiting = step_view("deploy", state=StepState.WAITING, approve=("maintainers", "ann"))
    view.on_update(update(run_view((waiting,))))
    failed = attempt_view(seconds=1, outcome=Outcome.FAILED, reason=Reason.EXIT_CODE, exit_code=1)
    again = (failed, AttemptView(2, 1, "running", started_at=EPOCH))
    view.on_update(update(run_view((running("deploy", attempts=again),)), at=1))
    view.on_update(update(run_view((running("deploy", attempts=again),)), at=2))  # nothing new, nothing told
    serving = running("deploy", state=StepState.SERVING)
    view.on_update(update(run_view((serving,)), at=3))
    gone = dataclasses.replace(
        serving, returning=True, started_at=None, message="attempt 1 is gone (silent); attempt 2 follows"
    )
    view.on_update(update(run_view((gone,)), at=4))
    view.on_update(update(run_view((dataclasses.replace(gone, returning=False, started_at=EPOCH + 5),)), at=6))
    view.interrupted(force=False)
    view.interrupted(force=True)
    assert stream.getvalue().splitlines()[1:] == [
        "15:06:40 ◆ deploy  waits for approval by maintainers, ann: flow approve 12 deploy",
        "15:06:41 ● deploy  started, attempt 2 after attempt 1 failed: exit code 1",
        "15:06:43 ◉ deploy  3.0s  serving",
        "15:06:44 ↻ deploy  is brought back  attempt 1 is gone (silent); attempt 2 follows",
        "15:06:46 ◉ deploy  1.0s  serving",
        "stopping gracefully, Ctrl-C again to kill",
        "killing what runs",
    ]


def test_json_lines():
    lines = [json.loads(line) for line in text_of(JsonLinesView, "ascii").splitlines()]
    assert [line["type"] for line in lines] == [
        *("run_started", "attempt_started", "log", "log", "attempt_started", "log", "log"),
        *("attempt_finished", "run_finished"),
    ]
    assert lines[1] == {
        "type": "attempt_started",
        "seq": 2,
        "at": EPOCH,
        "run": END.id,
        "state": "running",
        "step": "build",
    }
    assert lines[3] == {
        "type": "log",
        "step": "build",
        "attempt": 1,
        "service": "app",
        "stream": "stdout",
        "time_ns": int((EPOCH + 2) * 1e9),
        "data": "compilé\n",
        "offset": 0,
        "line": 0,
    }
    assert lines[-1]["state"] == "failed"
    assert lines[-1]["number"] == 12
    assert lines[-1]["steps"]["unit"] == {
        "state": "done",
        "outcome": "failed",
        "reason": "exit_code",
        "message": "",
        "exit_code": 1,
        "cached": False,
        "reused": False,
        "returning": False,
        "result_commit": None,
        "attempts": 1,
    }


def test_json_keeps_undecodable_bytes_visible():
    stream = io.StringIO()
    JsonLinesView(stream).on_log(chunk("a", b"\xff\x1b[2J"))
    assert json.loads(stream.getvalue())["data"] == "\\xff\x1b[2J"
    assert "\x1b" not in stream.getvalue()


def live(width=60, height=24, encoding="utf-8") -> tuple[LiveView, io.BytesIO]:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, write_through=True)
    console = Console(file=stream, force_terminal=True, width=width, height=height, highlight=False)
    return LiveView(console, clock=lambda: EPOCH + 6), raw


MIDDLE = run_view(
    (BUILD, running("unit", start=3, phases={"claim": 0.1, "create": 0.2}), *STEPS[2:]),
    "+build>unit -build!email unit!email unit>deploy",
)


async def test_live_frame():
    view, _ = live()
    view.on_update(update(MIDDLE, at=3))
    for n in range(5):
        view.on_log(chunk("unit", b"line %d\n" % n))
    view.on_log(chunk("unit", b"half", service="db"))
    view.interrupted(force=False)
    assert "\n".join(line.plain.rstrip() for line in view.frame(EPOCH + 6)) == (
        "⠸ release #12  main@1f2e3d4  running  1/4 steps  6.0s\n"
        "\n"
        "✓    build   3.0s\n"
        "├\u00d7╮\n"
        "⠸ ╎  unit    3.0s  run\n"
        "│ ╎  app | line 3\n"
        "│ ╎  app | line 4\n"
        "│ ╎  db | half\n"
        "├╌┤\n"
        "◌ ╎  deploy\n"
        "  ◌  email\n"
        "\n"
        "stopping gracefully, Ctrl-C again to kill"
    )


async def test_live_shows_the_phase_that_an_event_names_and_approvals():
    view, _ = live(80)
    waiting = step_view("deploy", state=StepState.WAITING, approve=("maintainers",))
    view.on_update(update(run_view((running("unit"), waiting)), "phase", step="unit", phase="pull"))
    text = "\n".join(line.plain for line in view.frame(EPOCH + 6))
    assert "unit    6.0s  pull" in text
    assert "◆ deploy waits for maintainers: flow approve 12 deploy" in text


@pytest.mark.parametrize("height", [2, 3, 5, 8, 13, 19, 20, 21, 24, 30, 39])
@pytest.mark.parametrize("width", [1, 20, 70])
async def test_live_never_exceeds_the_terminal(width, height):
    view, _ = live(width, height)
    steps = tuple(running(f"s{n}") if n % 3 else step_view(f"s{n}") for n in range(15))
    view.on_update(update(run_view(steps, "s0>s1 s0>s2 s1!s9 s2>s5")))
    for n in range(15):
        view.on_log(chunk(f"s{n}", "a very long line of output with wide characters 日本語".encode() * 3 + b"\n"))
    frame = view.frame(EPOCH + 6)
    assert len(frame) <= max(height - 1, 4)
    assert all(line.cell_len <= width for line in frame)


async def test_live_shows_what_matters_of_more_steps_than_lines():
    view, _ = live(60, 14)
    steps = (
        *(done(f"ok{n}", 1) for n in range(7)),
        *(step_view(f"next{n}", state=StepState.QUEUED) for n in range(9)),
        running("work1"),
        running("work2"),
        *(step_view(f"later{n}") for n in range(9)),
        done("bad", 2, outcome="failed"),
    )
    view.on_update(update(run_view(steps)))
    for n in range(9):
        view.on_log(chunk("work1", b"line %d\n" % n))
    assert [re.sub(" +", " ", line.plain) for line in view.frame(EPOCH + 6)[2:]] == [
        "✗ bad 2.0s failed: exit code 1",
        "⠸ work1 6.0s starting",
        " app | line 6",
        " app | line 7",
        " app | line 8",
        "⠸ work2 6.0s starting",
        "○ next0 queued",
        "… 7 ended, 17 to come",
    ]


async def test_live_recording():
    """What is written to the terminal: in place, no escape of a step, cursor given back, the summary stays."""
    view, raw = live(80)
    seen = asyncio.Event()
    paint = view._screen.paint
    view._screen.paint = lambda lines: (paint(lines), seen.set())
    view.on_update(update(MIDDLE, at=3))
    view.on_log(chunk("unit", b"\x1b[2J\x1b]0;owned\x07\x1b[31mhello\x1b[0m\n"))
    await asyncio.wait_for(seen.wait(), 10)
    painted = raw.getvalue().decode()
    assert "hello" in painted
    assert "owned" not in painted
    assert "\x1b[2J" not in painted
    view.finish(END)
    text = raw.getvalue().decode()
    assert text.endswith("\x1b[?25h")
    assert "\x1b[9A" in text  # back over the nine lines of the first picture
    assert "flow rerun 12 --from unit" in text
    assert view._timer is None or view._timer.cancelled()


async def test_live_rests_while_nothing_runs():
    view, _ = live()
    view.on_update(update(run_view((step_view("a"),))))
    view._timer.cancel()
    view._tick()
    assert view._timer is None  # until something comes
    view.on_update(update(MIDDLE))
    view._timer.cancel()
    view._tick()
    assert view._timer is not None  # time goes on for the step that runs
    view._timer.cancel()


async def test_narrowed_terminal_goes_back_over_the_wrapped_rows():
    view, raw = live(60)
    view.on_update(update(MIDDLE))
    view._screen.paint(view.frame(EPOCH + 6))
    view._screen._console = Console(file=view._screen.console.file, force_terminal=True, width=30, height=24)
    view._screen.paint(view.frame(EPOCH + 6.5))
    # Eight lines of which the first is 53 columns wide: nine rows when wrapped at 30.
    assert b"\x1b[9A" in raw.getvalue()
    view._timer.cancel()


def test_summary_of_a_success_and_of_a_cancelled_run():
    good = run_view((done("a", cached=True), done("b", reused=True)), state=RunState.SUCCEEDED, finished_at=EPOCH + 2)
    lines = [line.plain for line in summary(good, Look(), Tails())]
    assert lines == [
        "✓ release #12  main@1f2e3d4  succeeded in 2.0s",
        "  2 steps: 2 succeeded, 1 cached, 1 reused",
        "",
        "  flow show 12  steps, phases and what they changed",
    ]
    gone = run_view((done("a"), done("b", outcome="cancelled")), state=RunState.CANCELLED, finished_at=EPOCH + 2)
    text = "\n".join(line.plain for line in summary(gone, Look(), Tails()))
    assert "  cancelled: b" in text
    assert "flow rerun 12 " in text


def test_summary_shows_message_and_the_last_lines_of_the_last_attempt():
    tails = Tails()
    tails.feed(chunk("unit", b"old attempt\n"))
    second = dataclasses.replace(chunk("unit", b"".join(b"line %d\n" % n for n in range(40))), attempt=2)
    tails.feed(second)
    step = done("unit", outcome="failed", message="compose file refused:\n\x1b[2Jprivileged " + "is not allowed " * 9)
    run = run_view((step,), state=RunState.FAILED, finished_at=EPOCH + 1)
    lines = [line.plain for line in summary(run, Look(60), tails)]
    assert "  compose file refused:" in lines
    assert sum(line.count("allowed") for line in lines) == 9  # long messages are wrapped, never cut
    shown = [line for line in lines if line.startswith("  | ")]
    assert shown == [f"  | line {n}" for n in range(40 - KEPT, 40)]
    assert not any("\x1b" in line or "old attempt" in line for line in lines)


def test_first_error():
    assert (
        first_error([Line("a", text) for text in ("ok", "0 errors", "no failures", "ValueError: x", "error: y")]) == 3
    )
    assert first_error([Line("a", text) for text in ("ok", "terror", "errorless? no")]) is None


async def test_print_log():
    async def chunks():
        yield chunk("a", b"one\ntwo\x1b[2J")
        yield chunk("a", b"db\n", service="db")
        yield chunk("a", b" more\nend")

    stream = io.StringIO()
    await print_log(chunks(), stream, prefix=True, colour=False)
    assert stream.getvalue() == "a/app | one\na/db | db\na/app | two more\na/app | end\n"
    stream = io.StringIO()
    await print_log(chunks(), stream, prefix=False, colour=False)
    assert stream.getvalue() == "one\ndb\ntwo more\nend\n"


def test_no_color(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    console = console_for(io.StringIO(), width=40)
    assert console.no_color


def test_what_happened_before_is_told_with_its_times():
    """`flow watch` and `flow resume` come late: the first update is of a run that has a past."""
    stream = io.StringIO()
    late = run_view((running("c", start=6), done("b", 2, start=3), done("a", 3)), "a>b b>c")
    PlainView(stream, zone=UTC).on_update(update(late, "run_started", seq=1, at=100))
    assert stream.getvalue().splitlines() == [
        "15:06:40 ▶ release #12  main@1f2e3d4",
        "15:06:43 ✓ a  3.0s",
        "15:06:45 ✓ b  2.0s",
        "15:06:46 ● c  started",
    ]


@pytest.mark.parametrize(
    ("outcome", "reason", "code", "words"),
    [
        (Outcome.FAILED, Reason.EXIT_CODE, 2, "exit code 2"),
        (Outcome.FAILED, Reason.EXIT_CODE, None, ""),  # a build that failed; its message follows
        (Outcome.FAILED, None, 2, "exit code 2"),
        (Outcome.CANCELLED, Reason.USER, None, "by a person"),  # after "cancelled: "
        (Outcome.SUCCEEDED, None, 0, ""),
    ],
)
def test_why(outcome, reason, code, words):
    assert why(outcome, reason, code) == words
