"""`flow show`, `flow runs`, `flow diff`: exact text for one run, and rules for whatever a server may send."""

import dataclasses
import io
import re
from datetime import UTC

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from flowbuild.cli.render.diff import change_lines, print_diff
from flowbuild.cli.render.live import LiveView
from flowbuild.cli.render.plain import PlainView
from flowbuild.cli.render.show import history, phase_bar, print_run, print_runs
from flowbuild.cli.render.summary import summary
from flowbuild.cli.render.tails import Tails
from flowbuild.cli.render.theme import Look, console_for
from flowbuild.client.base import (
    PHASES,
    AttemptView,
    EdgeView,
    FileChange,
    RunUpdate,
    RunView,
    StepDiff,
    StepView,
    VariableChange,
)
from flowbuild.core.model import EdgeKind
from flowbuild.core.states import EdgeState, Outcome, Reason, RunState, StepState
from flowbuild.testing.views import EPOCH, attempt_view, done, run_view

LOST = attempt_view(
    seconds=3, start=1, outcome=Outcome.ERRORED, reason=Reason.IMAGE_UNAVAILABLE, message="no image go:1.99"
)
GOOD = attempt_view(seconds=8, start=5, attempt=2, outcome=Outcome.SUCCEEDED, exit_code=0)
RUN = run_view(
    (
        done("git", 0.4, cached=True),
        done("build", 8, start=5, attempts=(LOST, GOOD)),
        done("unit", 5, start=14, outcome="failed"),
    ),
    "+git>build +build>unit",
    state=RunState.FAILED,
    finished_at=EPOCH + 20,
    inputs={"target": "qa"},
)
DIFF = StepDiff(
    (
        FileChange("A", "dist/app", None, 3_400_000),
        FileChange("M", "go.sum", 120, 140),
        FileChange("D", "a\x1b[2J", 1, None),
    ),
    (VariableChange("VERSION", None, "1.2"), VariableChange("A", "x", "y"), VariableChange("B", "x", None)),
    b"diff --git a/x b/x\n@@ -1 +1 @@\n-old\x1b[2J\n+new \xff\n",
)
CHANGES = """\
  A $VERSION  1.2
  M $A  x  → y
  D $B  x
  A dist/app  3.2 MiB
  M go.sum  120 B → 140 B
  D a  1 B
"""
SHOWN = f"""\
✗ release #12  main@1f2e3d4  failed  20s
  project    shop
  started    2025-06-15 15:06:40 +0000 (1 min ago), manual
  run        01jzz0000000000000000000ab
  inputs     target=qa

✓  git    0.4s  cached
│
✓  build  8.0s  attempt 2
│
✗  unit   5.0s  failed: exit code 1

── success   ╌╌ fail   ══ always   \u00d7 not taken

attempts
✓ git    1    0.4s  exit 0  1111111 → 2222222  A1 M2
    claim 2ms · checkout 10ms · create 80ms · run 280ms · commit 15ms
! build  1    3.0s          1111111 → 2222222  A1 M2
    claim 2ms · checkout 10ms · create 600ms · run 2.1s · commit 15ms · image
    unavailable
    no image go:1.99
✓ build  2    8.0s  exit 0  1111111 → 2222222  A1 M2
    claim 2ms · checkout 10ms · create 1.6s · run 5.6s · commit 15ms
✗ unit   1    5.0s  exit 1  1111111 → 2222222  A1 M2
    claim 2ms · checkout 10ms · create 1.0s · run 3.5s · commit 15ms

build changed
{CHANGES}"""


def printed(printer, *arguments, width=80, encoding="utf-8", **options) -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, write_through=True)
    printer(console_for(stream, width=width), *arguments, **options)
    return "".join(line.rstrip() + "\n" for line in raw.getvalue().decode(encoding).splitlines())


def test_show():
    assert printed(print_run, RUN, {"build": DIFF}, now=EPOCH + 100, zone=UTC) == SHOWN


def test_show_on_a_wide_terminal_has_bars():
    text = printed(print_run, RUN, {}, now=EPOCH + 100, width=120)
    assert "✓ build  2 ▄▄▄▄▄███████████████████    8.0s" in text
    assert phase_bar({}, 5).plain == "     "
    assert phase_bar({"run": 1.0, "commit": 1.0}, 6).plain == "███▓▓▓"


def test_show_in_ascii():
    assert printed(print_run, RUN, {"build": DIFF}, now=EPOCH + 100, width=120, encoding="ascii").isascii()


def test_runs():
    runs = [
        dataclasses.replace(RUN, number=3, state=RunState.RUNNING, finished_at=None, dirty=True),
        dataclasses.replace(RUN, number=2, finished_at=EPOCH + 40),
        dataclasses.replace(RUN, number=1, state=RunState.SUCCEEDED, finished_at=EPOCH + 10),
    ]
    assert printed(print_runs, runs, now=EPOCH + 7200) == (
        "run  pipeline  state        branch  commit    when       took\n"
        "  3  release   ● running    main    1f2e3d4+  2 h ago  2h 00m\n"
        "  2  release   ✗ failed     main    1f2e3d4   2 h ago     40s\n"
        "  1  release   ✓ succeeded  main    1f2e3d4   2 h ago     10s\n"
        "last runs ▃✗●\n"
    )
    assert printed(print_runs, runs, now=EPOCH + 7200, width=30).splitlines()[0] == "● #3 release  2 h ago"
    assert "shop" in printed(print_runs, runs, now=EPOCH, projects=True)
    assert printed(print_runs, [], now=EPOCH) == "no runs yet: flow run starts one\n"
    assert history(runs[2:]).plain == "last runs █"


def test_diff():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="utf-8", write_through=True)
    print_diff(console_for(stream, colour=True, width=80), DIFF)
    shown = re.sub("\x1b\\[[0-9;]*m", "", raw.getvalue().decode())
    assert shown == CHANGES + "\ndiff --git a/x b/x\n@@ -1 +1 @@\n-old\n+new \\xff\n"
    assert printed(print_diff, StepDiff((), ())) == "nothing changed\n"


def test_a_diff_that_is_no_terminals_is_whole_and_exact():
    raw = io.BytesIO()
    long = StepDiff((FileChange("A", "d/" * 400, None, 1),), (), b"diff --git a/x b/x\n-\told\x1b[2J \xff\r\n")
    stream = io.TextIOWrapper(raw, encoding="utf-8")
    print_diff(console_for(stream), long)
    assert raw.getvalue() == b"  A " + b"d/" * 400 + b"  1 B\n\n" + long.patch


def test_what_is_no_terminal_has_no_width(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    stream = io.TextIOWrapper(io.BytesIO())
    assert console_for(stream).width == 200
    monkeypatch.setenv("COLUMNS", "60")
    assert console_for(stream).width == 60


def test_many_changes():
    many = StepDiff(tuple(FileChange("A", f"f{n}", None, 1) for n in range(100)), ())
    assert [line.plain for line in change_lines(many)][-1] == "  … 60 more files"


hostile = st.one_of(
    st.text(max_size=20), st.sampled_from(["\x1b[2J", "\x1b]0;x\x07", "日本語" * 8, "\u202e", "a\nb", "x" * 300])
)
times = st.one_of(st.none(), st.floats(0, 4e9))
counts = st.integers(0, 10**6)
attempts = st.builds(
    AttemptView,
    attempt=counts,
    epoch=counts,
    state=st.sampled_from(["queued", "running", "done"]),
    outcome=st.sampled_from([None, *Outcome]),
    reason=st.sampled_from([None, *Reason]),
    message=hostile,
    exit_code=st.one_of(st.none(), st.integers(-1, 256)),
    started_at=times,
    finished_at=times,
    phases=st.dictionaries(st.sampled_from([*PHASES, "new"]), st.floats(-1, 1e6), max_size=4),
    node=hostile,
    commit=st.one_of(st.none(), hostile),
    changes=st.dictionaries(st.sampled_from("AMD"), counts, max_size=2),
)
steps = st.builds(
    StepView,
    key=hostile,
    name=hostile,
    state=st.sampled_from(StepState),
    outcome=st.sampled_from([None, *Outcome]),
    reason=st.sampled_from([None, *Reason]),
    message=hostile,
    exit_code=st.one_of(st.none(), counts),
    allow_failure=st.booleans(),
    cached=st.booleans(),
    approve=st.lists(hostile, max_size=2).map(tuple),
    started_at=times,
    finished_at=times,
    attempts=st.lists(attempts, max_size=2).map(tuple),
)


@st.composite
def runs(draw):
    found = draw(st.lists(steps, max_size=8))
    keys = st.sampled_from([*(step.key for step in found), "unknown"])
    edge = st.builds(EdgeView, keys, keys, st.sampled_from(EdgeKind), st.sampled_from(EdgeState))
    return RunView(
        id=draw(hostile),
        number=draw(counts),
        project=draw(hostile),
        pipeline=draw(hostile),
        state=draw(st.sampled_from(RunState)),
        created_at=draw(st.floats(0, 4e9)),
        finished_at=draw(times),
        branch=draw(hostile),
        commit=draw(hostile),
        inputs=draw(st.dictionaries(hostile, hostile, max_size=2)),
        steps=tuple(found),
        edges=tuple(draw(st.lists(edge, max_size=12))),
    )


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(runs(), st.integers(1, 130), st.sampled_from(["utf-8", "ascii"]), st.floats(0, 4e9))
def test_any_run_fits_any_terminal(run, width, encoding, now):
    unique = {step.key: step for step in run.steps}  # keys are unique by contract, all else is not trusted
    run = dataclasses.replace(run, steps=tuple(unique.values()))
    look = Look(width, encoding == "utf-8")
    text = printed(print_run, run, {step.key: DIFF for step in run.steps}, now=now, width=width, encoding=encoding)
    text += printed(print_runs, [run, run], now=now, width=width, encoding=encoding)
    text += "".join(line.plain + "\n" for line in summary(run, look, Tails()))
    view = LiveView(console_for(io.TextIOWrapper(io.BytesIO(), encoding=encoding), width=width))
    view._run = run
    text += "".join(line.plain + "\n" for line in view.frame(now))
    assert max((cell_len(line) for line in text.split("\n")), default=0) <= width
    assert not set(text) & {chr(code) for code in (*range(10), *range(11, 32), 0x7F, *range(0x80, 0xA0), 0x202E)}
    plain = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    PlainView(plain).on_update(RunUpdate(1, now, {"type": "x"}, run))
    PlainView(plain).finish(run)
