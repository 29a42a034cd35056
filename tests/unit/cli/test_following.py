"""Following a run: what signals do, and when."""

import asyncio
import os
import signal
from types import SimpleNamespace

import pytest

from flowbuild.cli.following import Follower
from flowbuild.core.states import RunState
from flowbuild.testing.views import done, run_view, running, update

GOING = run_view((running("a"),))
ENDED = run_view((done("a", 1),), state=RunState.SUCCEEDED)


class View:
    """Remembers what it is told."""

    def __init__(self):
        self.told = []

    def on_update(self, found):
        self.told.append(str(found.run.state))

    def on_log(self, chunk):
        pass

    def interrupted(self, *, force):
        self.told.append("kill" if force else "stop")

    def finish(self, run):
        self.told.append("finished")


class Session:
    """A run that ends when it was killed; meanwhile, and while it is cleaned up, signals come."""

    def __init__(self, during_run, during_clean_up):
        self.client = SimpleNamespace(watch=self.watch, cancel=self.cancel, logs=self.logs)
        self.signals = {"run": during_run, "clean-up": during_clean_up}
        self.cancelled = []
        self.over = asyncio.Event()

    async def watch(self, _run):
        yield update(GOING, "attempt_started")
        self.send("run")
        if self.signals["run"]:
            await self.over.wait()
        yield update(ENDED, "attempt_finished")

    async def logs(self, *_arguments, **_options):
        for chunk in ():
            yield chunk

    async def cancel(self, _run, *, force):
        self.cancelled.append(force)
        if len(self.cancelled) == min(2, self.signals["run"]):
            self.over.set()

    async def settle(self, _run):
        last = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, last.set)
        self.send("clean-up")
        os.kill(os.getpid(), signal.SIGUSR1)
        await last.wait()  # the loop handles signals in the order in which they come

    def send(self, when):
        for _ in range(self.signals[when]):
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(
    ("during_run", "during_clean_up", "told", "cancelled"),
    [
        (0, 0, [], []),
        (1, 0, ["stop"], [False]),
        (2, 0, ["stop", "kill"], [False, True]),
        (4, 0, ["stop", "kill"], [False, True]),
        (0, 3, [], []),
        (1, 1, ["stop"], [False]),
    ],
)
async def test_signals(during_run, during_clean_up, told, cancelled):
    failures = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: failures.append(context))
    session, view = Session(during_run, during_clean_up), View()
    assert await Follower(session, view).run(GOING) == ENDED
    assert view.told == ["running", *told, "succeeded", "finished"]
    assert session.cancelled == cancelled
    assert failures == []
