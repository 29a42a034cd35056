"""What commands say when there is nothing to show or to do, with a client that answers as it is told."""

from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest

from flowbuild.cli.main import build, run_program
from flowbuild.core.states import Reason, RunState, StepState
from flowbuild.testing.views import done, run_view, running, step_view

SKIPPED = replace(done("skipped", outcome="skipped", attempts=()), reason=Reason.DEAD_PATH)
REUSED = done("reused", 1, reused=True, attempts=())
ENDED = run_view((done("ran", 1), SKIPPED, REUSED), state=RunState.FAILED, rerun_of=11)


class Client:
    """Knows one run, whose steps wrote nothing."""

    def __init__(self, run):
        self.run, self.asked = run, []

    async def get(self, _run):
        return self.run

    async def runs(self, **_options):
        return [self.run]

    async def cancel(self, run, *, force):
        self.asked.append((run, force))

    async def delete(self, run):
        self.asked.append(run)

    async def logs(self, *_arguments, **_options):
        for chunk in ():
            yield chunk


def call(client, *arguments):
    @asynccontextmanager
    async def connect(_directory, **_options):
        yield SimpleNamespace(client=client)

    return run_program(connect, list(arguments))


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("ran", ""),
        ("skipped", "step 'skipped' of run 12 has no log, it did not run: skipped, not on the path taken\n"),
        ("reused", "step 'reused' of run 12 was taken over from run 11: flow logs 11 reused\n"),
    ],
)
def test_a_step_without_a_log(capsys, step, said):
    assert call(Client(ENDED), "logs", "12", step) == 0
    assert capsys.readouterr() == ("", said)


def test_a_step_of_a_run_that_is_gone(capsys):
    assert call(Client(replace(ENDED, rerun_of=None)), "logs", "12", "reused") == 0
    assert capsys.readouterr().err == "step 'reused' of run 12 was taken over from a run that is gone\n"


def test_a_step_that_has_not_started(capsys):
    run = run_view((running("a"), step_view("b", state=StepState.QUEUED)))
    assert call(Client(run), "logs", "12", "b") == 0
    assert capsys.readouterr().err == "step 'b' of run 12 has not started: it is queued\n"


@pytest.mark.parametrize("options", [(), ("--force",)])
def test_cancel_says_what_it_does(capsys, options):
    client = Client(run_view((running("a"),)))
    assert call(client, "cancel", "12", *options) == 0
    assert client.asked == [(client.run.id, bool(options))]
    assert capsys.readouterr().err == "run 12 is being ended; flow watch 12 shows how\n"


def test_delete_says_what_it_did(capsys):
    client = Client(ENDED)
    assert call(client, "delete", "12") == 0
    assert client.asked == [client.run.id]
    assert capsys.readouterr().err == "run 12 is deleted\n"


def test_cancel_of_what_has_ended(capsys):
    client = Client(ENDED)
    assert call(client, "cancel", "12") == 0
    assert client.asked == []
    assert capsys.readouterr().err == "run 12 has ended already: failed\n"


@pytest.mark.parametrize("command", ["run", "rerun", "debug", "logs", "validate", "runs"])
def test_help_is_plain(capsys, command):
    assert call(Client(ENDED), command, "--help") == 0
    text = capsys.readouterr().out
    assert "[[" not in text
    assert "<str>\n" not in text
    summary = text.split("\n\n")[1].strip()
    assert summary.endswith(".")
    assert len(summary) <= 60  # so that the list of commands shows all of it


def test_every_command_is_in_the_list(capsys):
    assert call(Client(ENDED), "--help") == 0
    listed = capsys.readouterr().out
    assert "..." not in listed.partition("Commands:")[2]
    assert all(f"  {command.name} " in listed for command in build(None).registered_commands)
