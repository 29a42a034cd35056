"""Symbols, colours and words for states; the same in every view."""

from __future__ import annotations

import os
import textwrap
from dataclasses import dataclass
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from flowbuild.cli.render.text import clean
from flowbuild.client.base import PHASES, HolderView, RunView, StepView
from flowbuild.core import human
from flowbuild.core.human import why
from flowbuild.core.states import Outcome, RunState, StepState

WIDE = 200  # columns of what is no terminal
SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"

_OUTCOMES = {
    Outcome.SUCCEEDED: ("✓", "green"),
    Outcome.FAILED: ("✗", "bold red"),
    Outcome.ERRORED: ("!", "bold magenta"),
    Outcome.CANCELLED: ("⊘", "yellow"),
    Outcome.SKIPPED: ("↷", "dim"),
}
_STATES = {
    StepState.PENDING: ("◌", "dim"),
    StepState.PREPARING: ("●", "cyan"),
    StepState.WAITING: ("◆", "bold yellow"),
    StepState.QUEUED: ("○", "cyan"),
    StepState.RUNNING: ("●", "bold cyan"),
    StepState.BACKOFF: ("↻", "yellow"),
    StepState.SERVING: ("◉", "green"),
    StepState.DONE: ("✓", "green"),
}
_RUNS = {
    RunState.RUNNING: ("●", "bold cyan"),
    RunState.CANCELLING: ("⊘", "yellow"),
    RunState.SUCCEEDED: _OUTCOMES[Outcome.SUCCEEDED],
    RunState.FAILED: _OUTCOMES[Outcome.FAILED],
    RunState.ERRORED: _OUTCOMES[Outcome.ERRORED],
    RunState.CANCELLED: _OUTCOMES[Outcome.CANCELLED],
}

# One character each, so that a line keeps its width and its colours.
_ASCII = str.maketrans(
    {
        **dict(zip("✓✗⊘↷◌●◆○↻◉▶", "+x/-.*?oro>", strict=True)),
        **dict(zip("│╎║┊┃─╌═┄━", "|:|::-~=~-", strict=True)),
        **dict.fromkeys("╭╮╯╰├┤┬┴┼", "+"),
        **dict(zip(SPINNER, "|/-\\|/-\\|/", strict=True)),
        **dict(zip("…→\u00d7·█▓▒░▏▁▂▃▄▅▆▇", "~>x-#=-.|_..+==%", strict=True)),
    }
)


@dataclass(frozen=True, slots=True)
class Look:
    """What the terminal can show: columns, and whether it knows more than ASCII."""

    width: int = 80
    unicode: bool = True

    @classmethod
    def of(cls, console: Console) -> Look:
        """Return what a console can show."""
        return cls(console.width, console.encoding.lower().replace("-", "").startswith("utf"))

    def fit(self, line: Text) -> Text:
        """Return the line cut to the width, in ASCII when nothing else can be shown."""
        if not self.unicode:
            plain = line.plain.translate(_ASCII).encode("ascii", "replace").decode()
            line = Text(plain, style=line.style, spans=line.spans)
        line = line.copy()
        line.no_wrap = True
        if line.cell_len > self.width:
            line.truncate(max(self.width - 1, 0))
            line.append("…" if self.unicode else "~")
            line.truncate(self.width)
        return line

    def wrap(self, text: str, indent: str, style: str = "") -> list[Text]:
        """Return text from elsewhere, made safe, on as many lines as it needs."""
        room = max(self.width - len(indent), 8)
        lines = []
        for paragraph in text.splitlines():
            shown = clean(paragraph)
            room_here = room if cell_len(shown) == len(shown) else room // 2  # two columns for each character at worst
            lines += [Text(indent).append(part, style) for part in textwrap.wrap(shown, room_here) if part.strip()]
        return lines


def console_for(stream: TextIO, *, colour: bool | None = None, width: int | None = None) -> Console:
    """Return a console that writes only what it is given. `colour`: None follows NO_COLOR, FORCE_COLOR and the stream.

    `width`: None follows the terminal and COLUMNS; a file or a pipe has no width, and what reads it wraps as it likes.
    """
    if width is None and not stream.isatty() and not os.environ.get("COLUMNS"):
        width = WIDE
    return Console(
        file=stream,
        force_terminal=colour or None,
        no_color=True if colour is False or (colour is None and os.environ.get("NO_COLOR")) else None,
        width=width,
        highlight=False,
        markup=False,
        emoji=False,
    )


def step_symbol(step: StepView) -> tuple[str, str]:
    """Return symbol and style of a step."""
    if step.outcome is not None and step.state is StepState.DONE:
        symbol, style = _OUTCOMES[step.outcome]
        return symbol, "yellow" if step.allow_failure and step.outcome is Outcome.FAILED else style
    return _STATES[StepState.BACKOFF if step.returning else step.state]


def run_symbol(run: RunView) -> tuple[str, str]:
    """Return symbol and style of a run."""
    return ("!", "bold yellow") if run.interrupted else _RUNS[run.state]


def run_state(run: RunView) -> str:
    """Return the word for the state of a run."""
    return "interrupted" if run.interrupted else str(run.state)


def safe(text: str) -> str:
    """Return one line of text from elsewhere (messages, branches, names) that cannot act on the terminal."""
    return clean(" ".join(text.split("\n")))


def phase(step: StepView) -> str:
    """Return the phase that the running attempt is in: the one after the last that ended."""
    done = list(step.attempts[-1].phases) if step.attempts else []
    known = [PHASES.index(name) for name in done if name in PHASES]
    if not known:
        return "starting"
    return PHASES[min(max(known) + 1, len(PHASES) - 1)]


def elapsed(step: StepView, now: float) -> float | None:
    """Return how long the latest attempt took, or takes so far; None when it has not started."""
    if step.started_at is None:
        return None
    return (step.finished_at if step.finished_at is not None else now) - step.started_at


def _serving(step: StepView) -> tuple[str, str]:
    return ("is brought back", "yellow") if step.returning else ("serving", "green")


def details(step: StepView, now: float, *, current: str = "") -> Text:
    """Return what there is to say about a step after its name. `current` overrides the phase it is in."""
    text = Text(no_wrap=True)
    parts: list[tuple[str, str]] = []
    if step.state is StepState.DONE and step.outcome is not None:
        parts += _ended(step, now)
    elif step.state is StepState.WAITING:
        environment = step.holder.environment if step.holder else "its environment"
        parts.append(("waits for approval" if step.approve else f"waits for {environment}", "yellow"))
    elif step.state in (StepState.RUNNING, StepState.SERVING):
        parts.append((human.duration(elapsed(step, now)), "cyan" if step.state is StepState.RUNNING else ""))
        parts.append(_serving(step) if step.state is StepState.SERVING else (current or phase(step), "dim"))
    elif step.state is not StepState.PENDING:
        parts.append((str(step.state), "dim"))
    if len(step.attempts) > 1:
        parts.append((f"attempt {step.attempts[-1].attempt}", "yellow"))
    for words, style in parts:
        if words:
            text.append("  " if text else "").append(safe(words), style)
    return text


def held_by(run: RunView, holder: HolderView) -> str:
    """Return who holds the environment that a step of the run waits for, and what to do when nobody drives its run."""
    if holder.run == run.id:
        return f"held by the step {holder.step}"
    name = str(holder.number) if holder.project == run.project else holder.run
    text = f"held by the step {holder.step} of run {name}"
    if not holder.interrupted:
        return text
    return f"{text}, which was interrupted: flow resume {name} goes on with it, flow cancel {name} ends it"


def _ended(step: StepView, now: float) -> list[tuple[str, str]]:
    _, style = step_symbol(step)
    spent = elapsed(step, now) if step.outcome is not Outcome.SKIPPED else None
    parts = [(human.duration(spent), "dim")]
    if step.outcome is not Outcome.SUCCEEDED:
        reason = why(step.outcome, step.reason, step.exit_code)
        parts.append((f"{step.outcome}: {reason}" if reason else str(step.outcome), style))
    if step.allow_failure and step.outcome is Outcome.FAILED:
        parts.append(("allowed", "dim"))
    if step.cached or step.reused:
        parts.append(("cached" if step.cached else "reused", "dim"))
    return parts


def title(run: RunView) -> Text:
    """Return what identifies a run: "release #12  main@1f2e3d4 +uncommitted"."""
    text = Text(no_wrap=True)
    text.append(safe(run.pipeline), "bold").append(f" #{run.number}", "bold")
    where = "@".join(part for part in (safe(run.branch), safe(run.commit[:7])) if part)
    if where:
        text.append("  ").append(where, "dim")
    if run.dirty:
        text.append(" +uncommitted", "yellow")
    if run.rerun_of is not None:
        text.append(f"  rerun of #{run.rerun_of}", "dim")
    return text
