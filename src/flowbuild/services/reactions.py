"""What follows from something that happened at the source of a project: pipelines are judged, and runs begin."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flowbuild.core.errors import Held, UserError
from flowbuild.core.ids import RunId
from flowbuild.core.match import Verdict, held_back, judge, needs_paths
from flowbuild.core.sources import SourceEvent, SourceKind, Trust, asks_to_skip
from flowbuild.services.starter import Cause, Starter, start_key


@dataclass(frozen=True, slots=True)
class Reaction:
    """What became of one pipeline: the run that began, or why none did.

    `problem`: it should have begun; `held`: it would have, had nobody held it.
    """

    pipeline: str
    why: str
    run: RunId | None = None
    problem: str = ""
    held: bool = False

    def told(self) -> dict[str, Any]:
        """Return it as plain values, for JSON."""
        told = {"pipeline": self.pipeline, "why": self.why, "run": self.run, "problem": self.problem, "held": self.held}
        return {key: value for key, value in told.items() if value}


class Reactions:
    """Turns events into runs. Blocking. What was done already is not done again, so it may be repeated at any time.

    `moved` is told of every branch of a project that was pushed to.
    """

    def __init__(self, starter: Starter, moved: Callable[[str, str], None] = lambda _project, _branch: None) -> None:
        self._starter = starter
        self._moved = moved

    def judge(self, project: str, event: SourceEvent) -> Sequence[Verdict]:
        """Return the verdict on each pipeline at the commit of an event; none when it starts nothing anyway.

        Raises UserError, SystemFailed.
        """
        try:
            pipelines = () if held_back(event) else self._starter.pipelines(project, event)
        finally:  # after the fetch: what the default branch is may have changed, too
            if event.kind is SourceKind.PUSH and not event.deleted:
                self._moved(project, event.branch)
        if pipelines and event.pull_request and asks_to_skip(self._starter.message(project, event)):
            event = replace(event, skip=True)  # forges do not send the messages of pull requests along
        changed = self._starter.changed(project, event) if needs_paths(event, pipelines) else None
        return judge(event, pipelines, changed)

    def trust(self, project: str, event: SourceEvent) -> Trust:
        """Return how far the commit of an event is trusted; raises as `judge`."""
        return self._starter.trust(project, event)

    def begin(
        self, project: str, event: SourceEvent, verdicts: Sequence[Verdict], key: str, about: Mapping[str, Any]
    ) -> list[Reaction]:
        """Begin the runs that verdicts ask for; `key` names what happened, and with a pipeline the run.

        Raises SystemFailed: then try again, those that began stay the ones.
        """
        return [self._begin(project, event, verdict, key, about) for verdict in verdicts]

    def _begin(
        self, project: str, event: SourceEvent, verdict: Verdict, key: str, about: Mapping[str, Any]
    ) -> Reaction:
        if not verdict.starts:
            return Reaction(verdict.pipeline, verdict.why)
        cause = Cause(start_key("event", key, verdict.pipeline), about)
        try:
            run = self._starter.start(project, verdict.pipeline, event, verdict.inputs, cause)
        except Held as error:
            return Reaction(verdict.pipeline, error.message, held=True)
        except UserError as error:
            return Reaction(verdict.pipeline, verdict.why, problem=error.message)
        return Reaction(verdict.pipeline, verdict.why, run, "" if run else "the project takes no runs")


def describe(event: SourceEvent) -> dict[str, Any]:
    """Return what people want to know of an event, as plain values."""
    request = event.pull_request
    told = {
        "event": str(event.kind),
        "branch": event.branch,
        "tag": event.tag,
        "commit": event.commit,
        "actor": event.actor,
        "title": event.title,
        "url": event.url,
        "pull_request": request.number if request else 0,
        "author": request.author if request else "",
        "target": request.base_branch if request else "",
    }
    return {key: value for key, value in told.items() if value}
