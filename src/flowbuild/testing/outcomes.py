"""What became of the steps of a run that something happened to: judged from what the server and its repository say.

The pipelines that this is about have steps that write one line "ATTEMPT WORD" each, to results/STEP and to their log.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

ELSEWHERE = "retried elsewhere"
AGAIN = "retried there"
WENT_ON = "went on"
PERSON = "waits for a person"
GONE = "service gone"  # nothing needed it any more: its step succeeded when it was healthy
OTHER = "other"  # none that the pipeline asks for
OUTCOMES = (ELSEWHERE, AGAIN, WENT_ON, PERSON, GONE, OTHER)

Step = Mapping[str, Any]  # as `flow show --json` has it


@dataclass(frozen=True, slots=True)
class Committed:
    """What the repository of a run holds. `commits`: those of each step that `main` follows from; `lines`: of results/STEP there;
    `heads`: the commit of refs/heads/step/STEP; `words`: the line that the last attempt of each step wrote to its log.
    """

    commits: Mapping[str, Sequence[str]] = field(default_factory=dict)
    lines: Mapping[str, Sequence[str]] = field(default_factory=dict)
    heads: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)


def outcome(step: Step, node: str, *, exclusive: bool = False, serving: bool = False) -> str:
    """Return which of OUTCOMES a step had that ran on a node when something happened to that."""
    attempts = step["attempts"]
    ended = [(each["outcome"], each["reason"]) for each in attempts]
    if exclusive and ended == [("errored", "infra_lost")] and attempts[0]["epoch"] == 1:
        return PERSON
    if serving and step["outcome"] == "succeeded" and {*ended} <= {("errored", "infra_lost"), ("cancelled", None)}:
        return GONE
    if ended[-1][0] != "succeeded" or step["outcome"] != "succeeded":
        return OTHER
    if len(attempts) == 1 and attempts[0]["epoch"] == 1:
        return WENT_ON
    if exclusive or not {*ended[:-1]} <= {("errored", "infra_lost")}:
        return OTHER
    return AGAIN if attempts[-1]["node"] == node else ELSEWHERE


def double_commits(steps: Sequence[Step], found: Committed) -> list[str]:
    """Return where more than one result of a step counts, or another one than that of the attempt that succeeded, in words.

    `main` also follows from what an attempt left that its own runner reported as errored; not from one that lost its lease.
    """
    wrong = []
    for step in steps:
        key = step["key"]
        good = [each for each in step["attempts"] if each["outcome"] == "succeeded"]
        lines = found.lines.get(key, ())
        if len(good) > 1:
            wrong.append(f"{key}: {len(good)} attempts succeeded")
        reported = [each["commit"] for each in step["attempts"]]
        for commit, number in Counter(found.commits.get(key, ())).items():
            if commit not in reported:
                wrong.append(f"{key}: main has {commit}, which no attempt reported in time")
            if number > 1:
                wrong.append(f"{key}: main has {commit} {number} times")
        if len(lines) > 1:
            wrong.append(f"{key}: {len(lines)} results in one file")
        if len(good) != 1:
            continue
        if found.heads.get(key) != good[0]["commit"]:
            wrong.append(f"{key}: its ref is {found.heads.get(key)}, its attempt has {good[0]['commit']}")
        said = found.words.get(key, "")
        if [*lines] != [said] or said.partition(" ")[0] != str(good[0]["attempt"]):
            wrong.append(f"{key}: attempt {good[0]['attempt']} said {said!r}, main has {[*lines]}")
    return wrong


def begun_twice(steps: Sequence[Step], exclusive: Sequence[str]) -> list[str]:
    """Return the exclusive steps that were given out more than once."""
    return [
        step["key"]
        for step in steps
        if step["key"] in exclusive and (len(step["attempts"]) > 1 or step["attempts"][0]["epoch"] > 1)
    ]


def left(found: Mapping[str, Mapping[str, Sequence[str]]]) -> list[str]:
    """Return what is left, in words, of what nodes have by kind."""
    return [
        f"{node}: {kind} {each}" for node, kinds in found.items() for kind, names in kinds.items() for each in names
    ]


def tally(outcomes: Sequence[str]) -> str:
    """Return how often each outcome was."""
    counted = Counter(outcomes)
    return ", ".join(f"{counted[each]} {each}" for each in OUTCOMES if counted[each]) or "none"
