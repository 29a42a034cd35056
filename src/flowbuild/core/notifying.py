"""What people are told of, and which of it a rule lets through. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class NewsKind(StrEnum):
    """What happened. `recovered` and `still_failing` take the place of succeeded and failed after a red run of the same branch."""

    STARTED = "started"
    FINISHED = "finished"  # in whatever way: as a rule's word; news say how
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ERRORED = "errored"
    RECOVERED = "recovered"
    STILL_FAILING = "still_failing"
    APPROVAL = "approval"  # a step waits for people
    CANCELLED = "cancelled"
    NODE_LOST = "node_lost"


@dataclass(frozen=True, slots=True)
class StepNews:
    """A step that did not succeed, or that waits. `lines`: the first that say why, of the log, at most 20."""

    key: str
    outcome: str
    message: str = ""
    exit_code: int | None = None
    lines: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class News:
    """Something that happened to a run, or to a machine (then only `node`, `message` and `at` are set).

    `author` and `actor`: of the commit as its address, and who began the run; `url` leads to the run's page.
    """

    kind: NewsKind
    at: float
    project: str = ""
    pipeline: str = ""
    run: str = ""
    number: int = 0
    branch: str = ""
    commit: str = ""
    subject: str = ""
    author: str = ""
    actor: str = ""
    url: str = ""
    seconds: float | None = None  # that the run took
    steps: Sequence[StepNews] = ()
    node: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Quiet:
    """Hours of the day in which nobody is disturbed: "22:00" to "07:00" in a timezone. `urgent` is told all the same."""

    begin: str
    end: str
    timezone: str = "UTC"
    urgent: Sequence[NewsKind] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """What a channel is told. Globs as in triggers; none means all.

    `mine`: only of runs that its person began or whose commit is theirs. `digest`: "" at once, "hourly", or "08:30", a time
    of day in the timezone of `timezone`. `mention`: names the author, on failures only.
    """

    on: Sequence[NewsKind] = (NewsKind.FAILED, NewsKind.ERRORED, NewsKind.RECOVERED, NewsKind.APPROVAL)
    pipelines: Sequence[str] = ()
    branches: Sequence[str] = ()
    mine: bool = False
    quiet: Quiet | None = None
    digest: str = ""
    timezone: str = "UTC"
    mention: bool = True
