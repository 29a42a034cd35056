"""A run as lines, one per fact: for CI logs, files and people who prefer it. Time, symbol, step, what happened."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import tzinfo
from typing import TextIO

from rich.text import Text

from flowbuild.cli.render.summary import summary
from flowbuild.cli.render.tails import Line, Tails
from flowbuild.cli.render.text import clean
from flowbuild.cli.render.theme import WIDE, Look, console_for, details, held_by, safe, step_symbol, title
from flowbuild.client.base import LogChunk, RunUpdate, RunView, StepView
from flowbuild.core import human
from flowbuild.core.human import why
from flowbuild.core.states import StepState

_TOLD = (StepState.WAITING, StepState.RUNNING, StepState.BACKOFF, StepState.SERVING, StepState.DONE)


class PlainView:
    """Writes facts as they come. `colour`: None = only on a terminal; output of steps has colours only then."""

    def __init__(self, stream: TextIO, *, colour: bool | None = None, zone: tzinfo | None = None) -> None:
        self._stream = stream
        self._console = console_for(stream, colour=colour, width=WIDE)
        self._coloured = self._console.is_terminal and not self._console.no_color
        self._look = Look(WIDE, Look.of(self._console).unicode)
        self._zone = zone
        self._tails = Tails()
        self._before: RunView | None = None

    def on_update(self, update: RunUpdate) -> None:
        """Write what changed."""
        run, first = update.run, self._before is None
        if first:
            self._fact(run.created_at, Text("▶ ", "bold cyan").append_text(title(run)))
        known = {step.key: step for step in self._before.steps} if self._before else {}
        # What is watched, or resumed, has a past: it is told in its order, with its times.
        changed = [(_since(step, update.at) if first else update.at, step) for step in run.steps]
        for at, step in sorted(changed, key=lambda pair: pair[0]):
            if _changed(known.get(step.key), step):
                if step.state is StepState.DONE:
                    self._write_lines(step.key, self._tails.flush(step.key))
                self._fact(at, _fact(run, step, update.at))
        self._before = run
        self._stream.flush()

    def on_log(self, chunk: LogChunk) -> None:
        """Write the lines that a piece of output completes, at once: whoever reads a pipe waits for them."""
        self._write_lines(chunk.step, self._tails.feed(chunk))
        self._stream.flush()

    def interrupted(self, *, force: bool) -> None:
        """Say what Ctrl-C did."""
        self._write("killing what runs" if force else "stopping gracefully, Ctrl-C again to kill")
        self._stream.flush()

    def finish(self, run: RunView) -> None:
        """Write the summary."""
        for step in run.steps:
            self._write_lines(step.key, self._tails.flush(step.key))
        self._write("")
        for line in summary(run, self._look, self._tails):
            self._console.print(line, soft_wrap=True)
        self._stream.flush()

    def _fact(self, at: float, text: Text) -> None:
        line = Text(human.clock(at, self._zone), "dim").append(" ", "not dim").append_text(text)
        self._console.print(self._look.fit(line), soft_wrap=True)

    def _write_lines(self, step: str, lines: list[Line]) -> None:
        for line in lines:
            self._write(f"{safe(step)}/{safe(line.service) or 'flow'} | {clean(line.text, colour=self._coloured)}")

    def _write(self, line: str) -> None:
        write_line(self._stream, line)


def _since(step: StepView, at: float) -> float:
    """Return when the step came into its state, as far as that is known; `at` is now."""
    since = step.finished_at if step.state is StepState.DONE else step.started_at
    return at if since is None else since


def _changed(before: StepView | None, after: StepView) -> bool:
    """Whether the step came into a state that is told, or a new attempt began."""
    if after.state not in _TOLD:
        return False
    attempts = len(before.attempts) if before else 0
    new_attempt = after.state is StepState.RUNNING and len(after.attempts) > attempts
    new_holder = before is not None and after.holder not in (None, before.holder)
    other_state = before is None or (before.state, before.returning) != (after.state, after.returning)
    return other_state or new_attempt or new_holder


def _fact(run: RunView, step: StepView, at: float) -> Text:
    symbol, style = step_symbol(step)
    text = Text(f"{symbol} ", style).append(safe(step.key), "bold").append("  ")
    if step.state is StepState.RUNNING:
        return text.append("started" if len(step.attempts) < 2 else f"started, {_again(step)}")
    if step.state is StepState.WAITING and step.approve:
        return text.append(
            f"waits for approval by {safe(', '.join(step.approve))}: flow approve {run.number} {safe(step.key)}"
        )
    text.append_text(details(step, at))
    if step.holder is not None:
        text.append(f", {safe(held_by(run, step.holder))}")
    if (step.state is StepState.DONE or step.returning) and step.message:
        text.append(f"  {safe(step.message)}")
    return text


def _again(step: StepView) -> str:
    """Return which attempt this is, and how the one before it ended: nothing else tells that."""
    before, now = step.attempts[-2:]
    ended = before.outcome or before.state
    reason = why(before.outcome, before.reason, before.exit_code)
    return f"attempt {now.attempt} after attempt {before.attempt} {ended}{reason and f': {reason}'}"


def write_line(stream: TextIO, line: str) -> None:
    """Write a line; what the stream's encoding does not know is written as an escape instead of raising."""
    encoding = stream.encoding or "utf-8"
    stream.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")


async def print_log(chunks: AsyncIterator[LogChunk], stream: TextIO, *, prefix: bool, colour: bool) -> None:
    """Write a log as safe lines, each after "step/service | " with `prefix`."""
    tails = Tails()
    async for chunk in chunks:
        for text in _log_lines(chunk.step, tails.feed(chunk), prefix=prefix, colour=colour):
            write_line(stream, text)
        stream.flush()
    for step in tails.steps:
        for text in _log_lines(step, tails.flush(step), prefix=prefix, colour=colour):
            write_line(stream, text)
    stream.flush()


def _log_lines(step: str, lines: list[Line], *, prefix: bool, colour: bool) -> Iterator[str]:
    for line in lines:
        text = clean(line.text, colour=colour)
        yield f"{safe(step)}/{safe(line.service) or 'flow'} | {text}" if prefix else text
