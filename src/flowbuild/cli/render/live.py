"""A run on a terminal while it goes: the graph, what runs and its last lines of output, what waits for whom.

Everything that is shown follows from the last update, the last lines and the time (`frame`), so it can be painted at
any moment, at any size. Time passes on the screen only while something runs; else it is painted when something comes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from rich.console import Console
from rich.text import Text

from flowbuild.cli.render.graph import GraphLine, Label, graph_lines, run_graph
from flowbuild.cli.render.screen import Screen
from flowbuild.cli.render.summary import summary
from flowbuild.cli.render.tails import Tails
from flowbuild.cli.render.text import clean
from flowbuild.cli.render.theme import SPINNER, Look, details, held_by, run_state, run_symbol, safe, step_symbol, title
from flowbuild.client.base import LogChunk, RunUpdate, RunView, StepView
from flowbuild.core import human
from flowbuild.core.states import Outcome, RunState, StepState

INTERVAL = 0.12  # seconds between two pictures
_MOVING = (StepState.RUNNING, StepState.PREPARING, StepState.BACKOFF)
_RANKS = {StepState.WAITING: 1, **dict.fromkeys(_MOVING, 2), StepState.SERVING: 3, StepState.QUEUED: 4}
_QUEUED, _HIDDEN = 4, 5


class LiveView:
    """Shows a run in place. Used in an event loop; `clock` gives seconds since the epoch."""

    def __init__(self, console: Console, *, clock: Callable[[], float] = time.time) -> None:
        self._screen = Screen(console)
        self._clock = clock
        self._tails = Tails()
        self._run: RunView | None = None
        self._phases: dict[str, str] = {}
        self._notice = ""
        self._timer: asyncio.TimerHandle | None = None
        self._finished = False

    def on_update(self, update: RunUpdate) -> None:
        """Show that the run changed. An event with `step` and `phase` says what the step is doing now."""
        self._run = update.run
        if "phase" in update.event and "step" in update.event:
            self._phases[str(update.event["step"])] = str(update.event["phase"])
        for step in update.run.steps:
            if step.state is StepState.DONE:
                self._tails.flush(step.key)
                self._phases.pop(step.key, None)
        self._wake()

    def on_log(self, chunk: LogChunk) -> None:
        """Take in output; it is seen with the next picture."""
        self._tails.feed(chunk)
        self._wake()

    def interrupted(self, *, force: bool) -> None:
        """Say what Ctrl-C did."""
        self._notice = "killing what runs" if force else "stopping gracefully, Ctrl-C again to kill"
        self._wake()

    def finish(self, run: RunView) -> None:
        """Leave the graph and the summary on the screen."""
        self._finished = True
        if self._timer is not None:
            self._timer.cancel()
        look = Look.of(self._screen.console)
        for step in run.steps:
            self._tails.flush(step.key)
        graph = run_graph(run, look, run.finished_at or self._clock(), compact=len(run.steps) > 12)
        self._screen.close([*graph, Text(""), *summary(run, look, self._tails)])

    def _wake(self) -> None:
        if self._timer is None and not self._finished:
            self._timer = asyncio.get_running_loop().call_later(INTERVAL / 4, self._tick)

    def _tick(self) -> None:
        self._timer = None
        now = self._clock()
        self._screen.paint(self.frame(now))
        run = self._run
        if run is not None and not run.interrupted and any(step.state in _MOVING for step in run.steps):
            self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._tick)

    def frame(self, now: float) -> list[Text]:
        """Return the picture for a moment: never more lines than the terminal has, less one for the cursor."""
        if self._run is None:
            return []
        look = Look.of(self._screen.console)
        head = [look.fit(self._headline(self._run, now)), Text("")]
        foot = [look.fit(line) for line in self._foot(self._run)]
        room = max(self._screen.console.height - 1 - len(head) - len(foot), 1)
        return [*head, *self._body(self._run, look, now, room), *foot]

    def _headline(self, run: RunView, now: float) -> Text:
        symbol, style = run_symbol(run)
        moving = run.state is RunState.RUNNING and not run.interrupted
        text = Text(f"{_spinner(now) if moving else symbol} ", style).append_text(title(run))
        ended = sum(step.state in (StepState.DONE, StepState.SERVING) for step in run.steps)
        text.append(f"  {run_state(run)}", style).append(f"  {ended}/{len(run.steps)} steps", "dim")
        return text.append(f"  {human.duration((run.finished_at or now) - run.created_at)}", "dim")

    def _foot(self, run: RunView) -> list[Text]:
        lines = []
        for step in run.steps:
            if step.state is StepState.WAITING and step.approve:
                text = Text("◆ ", "bold yellow").append(safe(step.key), "bold")
                text.append(f" waits for {safe(' or '.join(step.approve))}: ", "yellow")
                lines.append(text.append(f"flow approve {run.number} {safe(step.key)}", "bold"))
            elif step.holder is not None:
                text = Text("◆ ", "bold yellow").append(safe(step.holder.environment), "bold")
                lines.append(text.append(f" is {safe(held_by(run, step.holder))}", "yellow"))
        if self._notice:
            lines.append(Text(self._notice, "bold yellow"))
        return [Text(""), *lines] if lines else []

    def _body(self, run: RunView, look: Look, now: float, room: int) -> list[Text]:
        """Return the steps, with as much around them as there is room for."""
        steps = {step.key: step for step in run.steps}
        labels = {step.key: self._label(step, now) for step in run.steps}
        talking = max(sum(step.state is StepState.RUNNING for step in run.steps), 1)
        for compact in (False, True):
            lines = graph_lines(labels, run.edges, look, compact=compact)
            if (spare := room - len(lines)) >= 0:
                return self._with_output(lines, steps, look, min(3, spare // talking))
        return self._crowd(steps, labels, look, room)

    def _crowd(self, steps: dict[str, StepView], labels: dict[str, Label], look: Look, room: int) -> list[Text]:
        """Return what matters of more steps than there are lines: failures, what works and says, then what is next."""
        ranked = sorted(
            (key for key, step in steps.items() if _rank(step) < _HIDDEN), key=lambda key: _rank(steps[key])
        )
        room -= 1  # for the counts of the others
        talking = sum(step.state is StepState.RUNNING for step in steps.values())
        busy = sum(_rank(step) < _QUEUED for step in steps.values())
        output = max(0, min(3, (room - busy) // talking)) if talking else 0
        shown = ranked[: max(room - output * talking, 0)]
        lines = graph_lines({key: labels[key] for key in shown}, (), look)
        others = [step for key, step in steps.items() if key not in shown]
        ended = sum(step.state is StepState.DONE for step in others)
        rest = look.fit(Text(f"… {ended} ended, {len(others) - ended} to come", "dim"))
        return [*self._with_output(lines, steps, look, output), rest][-room - 1 :]

    def _with_output(self, lines: list[GraphLine], steps: dict[str, StepView], look: Look, count: int) -> list[Text]:
        shown: list[Text] = []
        for line in lines:
            shown.append(line.text)
            if line.key is None or line.indent is None or steps[line.key].state is not StepState.RUNNING:
                continue
            for output in self._tails.last(line.key, count):
                text = line.indent.copy().append(f"{safe(output.service) or 'flow'} | ", "dim")
                coloured = Text.from_ansi(clean(output.text, colour=True), style="dim", no_wrap=True)
                shown.append(look.fit(text.append_text(coloured)))
        return shown

    def _label(self, step: StepView, now: float) -> Label:
        symbol, style = step_symbol(step)
        if step.state in (StepState.RUNNING, StepState.PREPARING):
            symbol = _spinner(now)
        return Label(symbol, style, safe(step.key), details(step, now, current=self._phases.get(step.key, "")))


def _rank(step: StepView) -> int:
    """Return how much a step matters where there is not room for all: the less the more."""
    if step.outcome in (Outcome.FAILED, Outcome.ERRORED):
        return 0
    return _RANKS.get(step.state, _HIDDEN)


def _spinner(now: float) -> str:
    return SPINNER[int(now / INTERVAL) % len(SPINNER)]
