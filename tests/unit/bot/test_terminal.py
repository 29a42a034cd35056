"""Scripts for `flow chat`: what they print, and how they end."""

import asyncio
import io

import pytest

from flowbuild.bot.printing import console_of
from flowbuild.bot.terminal import talk
from flowbuild.testing import scripted

PIPELINES = [{"name": "shop", "branch": "main", "pipelines": [{"name": "release", "runs": []}]}]
AWAY = {"problem": {"status": 500, "code": "server_unreachable", "detail": "refused"}}


def conversation(script: str, project: str = "shop", **answers: object) -> tuple[int, str, list]:
    asked, stream = [], io.StringIO()
    runs = {
        "ok": scripted.run(1),
        "red": scripted.run(2, "failed"),
        "broken": scripted.run(3, "errored"),
        "on": scripted.run(4, "running"),
    }
    known = {"GET pipelines": PIPELINES, **{name.replace("_", " "): answer for name, answer in answers.items()}}
    client = scripted.FakeClient(known, runs, asked)
    code = asyncio.run(talk(client, project, source=io.StringIO(script), console=console_of(stream)))
    return code, stream.getvalue(), asked


def test_a_script_prints_the_conversation():
    code, output, _ = conversation("status 1\n\nhelp whoami\n")
    assert code == 0
    assert output.startswith("flow> status 1\n✓ shop/release #1 succeeded\n")
    assert "\nflow> help whoami\nwhoami\n" in output


@pytest.mark.parametrize(("line", "code"), [("run relaese", 2), ("frobnicate", 2), ("yes", 2), ("whoami", 3)])
def test_a_script_ends_with_the_line_that_was_not_done(line, code):
    ended, output, _ = conversation(f"status 1\n{line}\nstatus 1\n", **{"GET me": AWAY})
    assert ended == code
    assert output.count("flow> status 1") == 1


@pytest.mark.parametrize(("run", "code"), [("ok", 0), ("red", 1), ("broken", 3)])
def test_watch_waits_and_says_how_it_ended(run, code):
    ended, output, _ = conversation("watch 4\nstatus 1\n", **{"WATCH shop#4": {"run": run}})
    assert ended == code
    assert output.index("flow> status 1") > output.index(f"#{ {'ok': 1, 'red': 2, 'broken': 3}[run] } ")


def test_leaving_early():
    code, output, _ = conversation("exit\nstatus 1\n")
    assert (code, output) == (0, "")


def test_questions_are_answered_by_the_next_line():
    answers = {f"POST runs/{scripted.run_id('shop', 4)}/cancel": {"run": "on"}}
    code, output, asked = conversation("cancel 4\nyes\n", **answers)
    assert code == 0
    assert "Cancel shop/release #4" in output
    assert asked == [["POST", f"runs/{scripted.run_id('shop', 4)}/cancel", {"force": False}]]
