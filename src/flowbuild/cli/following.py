"""Follows a run to its end: updates and logs to a view, Ctrl-C and approvals back to the run."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Collection
from typing import Protocol

from flowbuild.client.base import LogChunk, RunUpdate, RunView, Session
from flowbuild.core.errors import Conflict
from flowbuild.core.states import RunState

INTERRUPTED = 5  # nobody drives the run: nothing more will come until it is resumed or ended
EXIT_CODES = {
    RunState.SUCCEEDED: 0,
    RunState.FAILED: 1,
    RunState.ERRORED: 3,
    RunState.CANCELLED: 4,
}


def exit_code(run: RunView) -> int:
    """Return the exit code of a command that followed a run as long as there was something to follow."""
    return INTERRUPTED if run.interrupted else EXIT_CODES[run.state]


class View(Protocol):
    """Shows a run as it goes."""

    def on_update(self, update: RunUpdate) -> None:
        """Show that the run changed."""

    def on_log(self, chunk: LogChunk) -> None:
        """Show output of a step."""

    def interrupted(self, *, force: bool) -> None:
        """Show that the run is being ended because a person asked for it."""

    def finish(self, run: RunView) -> None:
        """Show the end of the run, or that nobody drives it any more."""


class Follower:
    """Follows one run of a session. `approve` names steps to approve unasked, or holds "all"."""

    def __init__(self, session: Session, view: View, approve: Collection[str] = ()) -> None:
        self._session = session
        self._view = view
        self._approve = approve
        self._followed: set[tuple[str, int]] = set()
        self._approved: set[str] = set()
        self._signals = 0
        self._ended = False

    async def run(self, run: RunView, *, steer: bool = True) -> RunView:
        """Show everything until the run is final and, when this process drives it, cleaned up; return it then.

        A run that this process does not drive is also returned when nobody drives it any more.
        """
        last = run
        async with asyncio.TaskGroup() as group:
            if steer:
                self._on_signals(lambda: self._ended or group.create_task(self._interrupt(run.id)))
            async for update in self._session.client.watch(run.id):
                last = update.run
                self._view.on_update(update)
                self._follow_logs(group, update.run)
                if steer:
                    await self._approve_waiting(update.run)
            self._ended = True  # from here on Ctrl-C has nothing to end; what is left is cleaning up
        if steer:
            await self._session.settle(run.id)
        self._view.finish(last)
        return last

    def _on_signals(self, interrupt: Callable[[], object]) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, interrupt)

    async def _interrupt(self, run: str) -> None:
        self._signals += 1
        if self._signals > 2:
            return  # what could be done was done
        force = self._signals == 2
        self._view.interrupted(force=force)
        await self._session.client.cancel(run, force=force)

    def _follow_logs(self, group: asyncio.TaskGroup, run: RunView) -> None:
        for step in run.steps:
            for attempt in step.attempts:
                key = (step.key, attempt.attempt)
                if attempt.state != "queued" and key not in self._followed:
                    self._followed.add(key)
                    group.create_task(self._follow_log(run.id, *key))

    async def _follow_log(self, run: str, step: str, attempt: int) -> None:
        async for chunk in self._session.client.logs(run, step, attempt=attempt, follow=True):
            self._view.on_log(chunk)

    async def _approve_waiting(self, run: RunView) -> None:
        for step in run.steps:
            wanted = "all" in self._approve or step.key in self._approve or step.name in self._approve
            if step.approve and wanted and step.key not in self._approved:
                self._approved.add(step.key)
                try:
                    await self._session.client.approve(run.id, step.key)
                except Conflict:
                    continue  # the run went on in the meantime
