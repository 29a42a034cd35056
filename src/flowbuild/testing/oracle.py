"""A second, slow reading of the design's rules about joins and outcomes, to hold the machine against.

Shares no rule with `core`: each step is judged on its own, from the outcomes of its sources and from what its attempts
were scripted to do. By induction over the graph that fixes the whole run.
"""

from __future__ import annotations

from collections.abc import Sequence

from flowbuild.core.model import Edge, Pipeline, Step
from flowbuild.core.run import Run
from flowbuild.testing.graphs import CONDITIONS
from flowbuild.testing.player import RESULTS, Script


def edge_fate(pipeline: Pipeline, edge: Edge, outcome: str) -> str:
    """Return "taken", "dead" or "broken" for an edge whose source ended with the outcome."""
    allowed = pipeline.step(edge.source).allow_failure
    if edge.kind == "success":
        goes = outcome == "succeeded" or (outcome == "failed" and allowed)
    elif edge.kind == "fail":
        goes = outcome in ("failed", "errored")
    else:
        goes = outcome in ("succeeded", "failed", "errored")
    if not goes:
        return "dead"
    value = True if edge.condition is None else CONDITIONS[edge.condition]
    return "broken" if value is None else "taken" if value else "dead"


def should_run(step: Step, kinds: Sequence[str], fates: Sequence[str]) -> bool:
    """Whether a step runs, given the kinds and fates of all edges into it; in the words of the design."""
    if not kinds:
        return True  # "Steps without incoming edges start the run."
    taken = [kind for kind, fate in zip(kinds, fates, strict=True) if fate == "taken"]
    if step.join in ("any", "first"):
        return len(taken) >= 1  # "at least one was taken"
    every_success = "success" in kinds and taken.count("success") == kinds.count("success")
    return every_success or "fail" in taken or "always" in taken


def attempts_end(step: Step, words: Sequence[str]) -> str:
    """Return the outcome after all retries of a step that runs, for what its attempts do."""
    words = words or ["ok"]
    for attempt in range(100):
        word = words[min(attempt, len(words) - 1)]
        outcome, reason = RESULTS.get(word, RESULTS["lost" if word == "lost_early" else "ok"])
        again = attempt < step.retry.max and outcome in ("failed", "errored")
        again = again and (outcome in step.retry.on or reason in step.retry.on)
        if not again or (step.environment is not None and reason == "infra_lost"):
            return str(outcome)
    raise AssertionError("retries never end")


def possible_outcomes(run: Run, step: Step, script: Script) -> set[str]:
    """Return the outcomes that the step may have had in a run that was not cancelled."""
    into = [edge for edge in run.pipeline.edges if edge.target == step.key]
    fates = [edge_fate(run.pipeline, edge, str(run.steps[edge.source].outcome)) for edge in into]
    words = list(script.get(step.key, ()))
    possible = set()
    if "broken" in fates:
        possible.add("failed")
        if step.join != "first" or "taken" not in fates:  # else it may have begun before the edge broke
            return possible
    if words[:1] == ["conflict"] and step.join == "all":
        possible.add("failed")  # may be found before a later edge turns out dead
    if not should_run(step, [edge.kind for edge in into], fates):
        return possible | {"skipped"}
    if step.condition is not None and not CONDITIONS[step.condition]:
        possible.add("skipped" if CONDITIONS[step.condition] is False else "failed")
        if words[:1] not in (["conflict"], ["unmergeable"]):
            return possible
    if words[:1] == ["conflict"] or words[:1] == ["unmergeable"]:
        possible.add("failed" if words[0] == "conflict" else "errored")  # only if there was something to merge
    if words[:1] == ["rejected"] and step.environment is not None and step.environment.approve:
        return possible | {"failed"}
    if step.condition is None or CONDITIONS[step.condition]:
        possible.add(attempts_end(step, words))
    return possible


def violations(run: Run, script: Script) -> list[str]:
    """Return what is wrong with a run that ended without having been cancelled; empty when all is right."""
    wrong = []
    for step in run.pipeline.steps:
        outcome, possible = str(run.steps[step.key].outcome), possible_outcomes(run, step, script)
        if outcome not in possible:
            wrong.append(f"{step.key} is {outcome}, not one of {sorted(possible)}")
    if run.state != run_outcome(run):
        wrong.append(f"the run is {run.state}, not {run_outcome(run)}")
    return wrong


def run_outcome(run: Run) -> str:
    """Return how a run ends, from the outcomes of its steps; that somebody asked for its end alone changes nothing."""
    found = {"succeeded"}
    for step in run.pipeline.steps:
        outcome = str(run.steps[step.key].outcome)
        if not (outcome == "failed" and step.allow_failure):
            found.add(outcome)
    if run.cancel_reason == "run_timeout":
        found.add("failed")
    return next(outcome for outcome in ("failed", "errored", "cancelled", "succeeded") if outcome in found)
