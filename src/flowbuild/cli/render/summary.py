"""The end of a run in a few lines: what happened, why, and what to type next."""

from __future__ import annotations

from collections import Counter

from rich.text import Text

from flowbuild.cli.render.tails import Tails, first_error
from flowbuild.cli.render.text import clean
from flowbuild.cli.render.theme import Look, elapsed, run_state, run_symbol, safe, step_symbol, title
from flowbuild.client.base import RunView, StepView
from flowbuild.core import human
from flowbuild.core.human import why
from flowbuild.core.states import Outcome, Reason, StepState


def summary(run: RunView, look: Look, tails: Tails) -> list[Text]:
    """Return the lines of the summary, cut to the width."""
    lines = [_headline(run), _counts(run)]
    bad = [step for step in run.steps if step.outcome in (Outcome.FAILED, Outcome.ERRORED)]
    for step in bad:
        lines += [Text(""), *_bad_step(step, look, tails)]
    lines += _not_run(run)
    commands = _next(run, bad)
    if commands:
        width = max(len(command) for command, _ in commands)
        lines.append(Text(""))
        lines += [Text(f"  {command:{width}}  ", "bold").append(reason, "not bold dim") for command, reason in commands]
    return [look.fit(line) for line in lines]


def _headline(run: RunView) -> Text:
    symbol, style = run_symbol(run)
    line = Text(f"{symbol} ", style, no_wrap=True).append_text(title(run))
    line.append(f"  {run_state(run)}", style)
    if run.finished_at is not None:
        line.append(f" in {human.duration(run.finished_at - run.created_at)}", style)
    return line


def _counts(run: RunView) -> Text:
    outcomes = Counter(str(step.outcome) for step in run.steps if step.outcome)
    parts = [f"{outcomes[outcome]} {outcome}" for outcome in Outcome if outcomes[outcome]]
    cached = sum(step.cached for step in run.steps)
    reused = sum(step.reused for step in run.steps)
    parts += [f"{number} {word}" for number, word in ((cached, "cached"), (reused, "reused")) if number]
    return Text(f"  {human.count(len(run.steps), 'step')}: {', '.join(parts) or 'none ended'}", "dim")


def _bad_step(step: StepView, look: Look, tails: Tails) -> list[Text]:
    symbol, style = step_symbol(step)
    head = Text(f"{symbol} ", style, no_wrap=True).append(safe(step.key), "bold")
    head.append(f"  {step.outcome}", style)
    if reason := why(step.outcome, step.reason, step.exit_code):
        head.append(f": {reason}", style)
    if (spent := elapsed(step, step.finished_at or 0)) is not None:
        head.append(f"  after {human.duration(spent)}", "dim")
    if len(step.attempts) > 1:
        head.append(f", attempt {step.attempts[-1].attempt}", "dim")
    lines = [head]
    lines += look.wrap(step.message, "  ", style)
    kept = tails.last(step.key)
    marked = first_error(kept)
    services = len({line.service for line in kept}) > 1
    for at, line in enumerate(kept):
        text = Text("→ " if at == marked else "  ", style if at == marked else "")
        text.append("| " if not services else f"{safe(line.service) or 'flow'} | ", "dim")
        shown = Text.from_ansi(clean(line.text, colour=True), no_wrap=True)
        if at == marked:
            shown.stylize("bold")
        lines.append(look.fit(text.append_text(shown)))
    return lines


def _not_run(run: RunView) -> list[Text]:
    """Return which steps did not run, grouped by reason; nothing when the run went as planned."""
    reasons: dict[str, list[str]] = {}
    for step in run.steps:
        if step.outcome is Outcome.CANCELLED:
            reasons.setdefault("cancelled", []).append(safe(step.key))
        elif step.outcome is Outcome.SKIPPED:
            word = "condition false" if step.reason is Reason.CONDITION else "not on the path taken"
            reasons.setdefault(f"skipped, {word}", []).append(safe(step.key))
    lines = [Text(f"  {reason}: {', '.join(keys)}", "dim") for reason, keys in reasons.items()]
    return [Text(""), *lines] if lines else []


def _next(run: RunView, bad: list[StepView]) -> list[tuple[str, str]]:
    """Return commands to type next and what they do."""
    number = run.number
    if run.interrupted:
        return [(f"flow resume {number}", "go on with it"), (f"flow cancel {number}", "end it")]
    if bad:
        key = safe(bad[0].key)
        started = bool(bad[0].attempts)
        commands = [(f"flow logs {number} {key}", "the whole log")] if started else []
        commands += [(f"flow debug {number} {key}", "a shell in its exact input")] if bad[0].input_commit else []
        return [*commands, (f"flow rerun {number} --from {key}", "again from there")]
    if any(step.state is not StepState.DONE or step.outcome is Outcome.CANCELLED for step in run.steps):
        return [(f"flow show {number}", "what was done"), (f"flow rerun {number}", "again")]
    return [(f"flow show {number}", "steps, phases and what they changed")]
