"""The only part of the command core with effects: an action and a client of the server in, a fact or a question out.

Raises the errors of core.errors: those of the server, and Refused.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from flowbuild.bot import actions
from flowbuild.bot.acting import comparing, looking, settling, starting, steering
from flowbuild.bot.acting.errands import Asking, Errand
from flowbuild.bot.facts import Fact, Question

_WAYS: Mapping[type, Callable[[Any, Errand], Awaitable[Fact]]] = {
    actions.Start: starting.start,
    actions.Retry: starting.retry,
    actions.Status: looking.status,
    actions.Show: looking.show,
    actions.Runs: looking.runs,
    actions.Last: looking.last,
    actions.Pipelines: looking.pipelines,
    actions.Watch: looking.watch,
    actions.Log: looking.log,
    actions.Schedule: looking.schedule,
    actions.Nodes: looking.nodes,
    actions.Queue: looking.queue,
    actions.Why: comparing.why,
    actions.Diff: comparing.diff,
    actions.Approve: steering.judge,
    actions.Reject: steering.judge,
    actions.Cancel: steering.cancel,
    actions.Hold: steering.hold,
    actions.Unhold: steering.unhold,
    actions.Notify: settling.notify,
    actions.Link: settling.link,
    actions.Whoami: settling.whoami,
    actions.Use: settling.use,
    actions.Help: settling.help_,
}


async def perform(action: actions.Action, errand: Errand) -> Fact | Question:
    """Do what is asked for, or return what is to be known first."""
    try:
        return await _WAYS[type(action)](action, errand)
    except Asking as asking:
        return asking.question
