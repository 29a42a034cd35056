"""`flow show` and `flow runs`: one run with everything about it, and many runs in a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flowbuild.cli.render.diff import change_lines
from flowbuild.cli.render.graph import legend, run_graph
from flowbuild.cli.render.theme import Look, phase, run_state, run_symbol, safe, step_symbol, title
from flowbuild.client.base import PHASES, AttemptView, RunView, StepDiff, StepView
from flowbuild.core import human
from flowbuild.core.human import why
from flowbuild.core.states import StepState

_BAR = 24  # columns of the phases' bar
_PHASE_FACES = dict(zip(PHASES, "▏░▂▒▁▄█▓▇", strict=True))
_PHASE_STYLES = dict(
    zip(PHASES, ("dim", "blue", "dim", "blue", "magenta", "yellow", "green", "cyan", "cyan"), strict=True)
)


def print_run(
    console: Console, run: RunView, diffs: Mapping[str, StepDiff], *, now: float, zone: tzinfo | None = None
) -> None:
    """Print a run: what it is, its graph, every attempt with its phases, what each step of `diffs` changed."""
    look = Look.of(console)
    lines = [*_about(run, now, zone), Text(""), *run_graph(run, look, now), Text(""), legend(look), Text("")]
    lines += _attempts(run, look, zone)
    for step in run.steps:
        if step.key in diffs:
            changes = change_lines(diffs[step.key])
            if changes:
                lines += [Text(""), Text(safe(step.key), "bold").append(" changed", "not bold dim"), *changes]
    for line in lines:
        console.print(look.fit(line), soft_wrap=True)


def _about(run: RunView, now: float, zone: tzinfo | None) -> list[Text]:
    symbol, style = run_symbol(run)
    head = Text(f"{symbol} ", style).append_text(title(run)).append(f"  {run_state(run)}", style)
    end = run.finished_at if run.finished_at is not None else now
    head.append(f"  {human.duration(end - run.created_at)}", "dim")
    rows = [
        ("project", run.project),
        ("started", f"{human.timestamp(run.created_at, zone)} ({human.ago(run.created_at, now)}), {run.event}"),
        ("run", run.id),
        ("repository", run.repository),
        ("inputs", ", ".join(f"{name}={value}" for name, value in run.inputs.items())),
        ("variables", ", ".join(f"{name}={value}" for name, value in run.variables.items())),
    ]
    return [head, *(Text(f"  {name:11}", "dim").append(safe(value), "not dim") for name, value in rows if value)]


def _attempts(run: RunView, look: Look, zone: tzinfo | None) -> list[Text]:
    """Return a line for every attempt: outcome, times by phase, commits, changes."""
    names = min(max((len(step.key) for step in run.steps), default=4), 24)
    used = [name for name in PHASES if any(name in a.phases for step in run.steps for a in step.attempts)]
    bar = _BAR if look.width >= 100 else 0
    lines = []
    for step in run.steps:
        for attempt in step.attempts:
            lines.append(_attempt(step, attempt, names, bar))
            lines += look.wrap(_times(step, attempt), "    ", "dim")
            if attempt.cached is not None:
                ended = human.timestamp(attempt.cached.finished_at, zone)
                lines += look.wrap(f"cached: {attempt.cached}, of {ended}", "    ")
            lines += look.wrap(attempt.message, "    ", step_symbol(step)[1])
    if lines and bar and used:
        key = Text("  ")
        for name in used:
            key.append(_PHASE_FACES[name], _PHASE_STYLES[name]).append(f" {name}  ", "dim")
        lines.append(key)
    return [Text("attempts", "dim"), *lines] if lines else []


def _attempt(step: StepView, attempt: AttemptView, names: int, bar: int) -> Text:
    symbol, style = step_symbol(step)
    if attempt.outcome is not None:
        symbol, style = step_symbol(StepView(step.key, step.name, StepState.DONE, attempt.outcome))
    name = Text(safe(step.key), "bold")
    name.truncate(names, overflow="ellipsis", pad=True)
    line = Text(f"{symbol} ", style).append_text(name).append(f" {attempt.attempt:>2} ", "dim")
    if bar:
        line.append_text(phase_bar(attempt.phases, bar)).append(" ")
    spent = None
    if attempt.started_at is not None and attempt.finished_at is not None:
        spent = attempt.finished_at - attempt.started_at
    line.append(f"{human.duration(spent):>7} ", "dim")
    code = "" if attempt.exit_code is None else f"exit {attempt.exit_code}"
    line.append(f" {code:8}", style if attempt.exit_code else "dim")
    commits = [commit[:7] for commit in (attempt.input_commit, attempt.commit) if commit]
    if commits:
        line.append(safe(" → ".join(commits)), "dim")
    changes = " ".join(f"{safe(name)}{number}" for name, number in attempt.changes.items() if number)
    if changes:
        line.append(f"  {changes}", "cyan")
    return line


def _times(step: StepView, attempt: AttemptView) -> str:
    """Return phases with their times, and what is to say about the end."""
    parts = [f"{safe(name)} {human.short_duration(seconds)}" for name, seconds in attempt.phases.items()]
    if attempt.state == "running" and step.state is StepState.RUNNING:
        parts.append(f"{phase(step)} …")
    reason = why(attempt.outcome, attempt.reason, attempt.exit_code)
    if attempt.reason is not None and reason:
        parts.append(reason)
    if attempt.node:
        parts.append(f"on {safe(attempt.node)}")
    return " · ".join(parts)


def phase_bar(phases: Mapping[str, float], width: int) -> Text:
    """Return the phases as a bar of `width` columns, each as wide as its share of the time."""
    known = [(name, max(0.0, phases[name])) for name in PHASES if name in phases]
    total = sum(seconds for _, seconds in known)
    bar = Text()
    if total > 0:
        at, gone = 0, 0.0
        for name, seconds in known:
            gone += seconds
            end = round(gone / total * width)
            bar.append(_PHASE_FACES[name] * (end - at), _PHASE_STYLES[name])
            at = end
    return bar.append(" " * (width - bar.cell_len))


def print_runs(console: Console, runs: Sequence[RunView], *, now: float, projects: bool = False) -> None:
    """Print runs, newest first, as a table; on narrow terminals with fewer columns."""
    look = Look.of(console)
    if not runs:
        console.print(look.fit(Text("no runs yet: flow run starts one", "dim")))
        return
    if look.width < 60:
        for run in runs:
            console.print(look.fit(_short(run, now)), soft_wrap=True)
        return
    table = Table(box=None, pad_edge=False, header_style="dim", show_edge=False)
    table.add_column("run", justify="right", no_wrap=True)
    for name in ["project"] * projects + ["pipeline", "state", "branch"]:
        table.add_column(name, no_wrap=True)
    if look.width >= 80:
        table.add_column("commit", no_wrap=True)
    table.add_column("when", no_wrap=True)
    table.add_column("took", justify="right", no_wrap=True)
    for column in table.columns:
        column.overflow = "ellipsis" if look.unicode else "crop"
    for run in runs:
        symbol, style = run_symbol(run)
        cells = [Text(str(run.number), "bold")]
        cells += [Text(safe(run.project))] * projects
        cells += [Text(safe(run.pipeline)), Text(f"{symbol} {run_state(run)}", style), Text(safe(run.branch))]
        if look.width >= 80:
            cells.append(Text(safe(run.commit[:7]) + ("+" if run.dirty else ""), "dim"))
        end = run.finished_at if run.finished_at is not None else now
        cells += [Text(human.ago(run.created_at, now)), Text(human.duration(end - run.created_at))]
        table.add_row(*(look.fit(cell) for cell in cells))
    console.print(table)
    if len(runs) > 1:
        console.print(look.fit(history(runs)), soft_wrap=True)


def _short(run: RunView, now: float) -> Text:
    symbol, style = run_symbol(run)
    line = Text(f"{symbol} ", style).append(f"#{run.number} ", "bold").append(safe(run.pipeline))
    return line.append(f"  {human.ago(run.created_at, now)}", "dim")


def history(runs: Sequence[RunView]) -> Text:
    """Return the last 30 runs, oldest first: a bar as high as the run took long, with the symbol's colour."""
    last = list(reversed(runs[:30]))
    spent = [max(0.0, (run.finished_at or run.created_at) - run.created_at) for run in last]
    longest = max(spent) or 1.0
    text = Text("last runs ", "dim")
    for run, seconds in zip(last, spent, strict=True):
        symbol, style = run_symbol(run)
        # A bad run shows its symbol instead of a bar: colour alone would not say it.
        bad = symbol != "✓"
        text.append(symbol if bad else "▁▂▃▄▅▆▇█"[min(7, int(seconds / longest * 8))], style)
    return text
