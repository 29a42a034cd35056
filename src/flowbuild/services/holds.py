"""Holds: nothing of a pipeline begins, for whatever reason, until it is let go. Runs that are there go on. Blocking."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress

from flowbuild.core.errors import FlowError, NotFound
from flowbuild.core.plain import one_line
from flowbuild.services.audit import Actor, note
from flowbuild.services.decisions import Clock
from flowbuild.services.news import pipelines_topic
from flowbuild.services.projects import ProjectService
from flowbuild.services.signals import Signals
from flowbuild.spec.words import did_you_mean
from flowbuild.store.database import Database
from flowbuild.store.holds import HoldRow
from flowbuild.store.run_lists import RunFilter

REASON_MAX = 1000  # characters


class HoldService:
    """Holds pipelines of projects, and lets them go."""

    def __init__(self, database: Database, projects: ProjectService, signals: Signals, clock: Clock) -> None:
        self._database = database
        self._projects = projects
        self._signals = signals
        self._clock = clock

    def hold(self, actor: Actor, project: str, pipeline: str, reason: str = "") -> HoldRow:
        """Hold a pipeline of the default branch, or one that has run; return the hold.

        One that is held stays so by whom and for what it is: whoever wants another reason lets it go first. Raises NotFound,
        InvalidRequest.
        """
        reason = one_line("the reason", reason, REASON_MAX, about="reason")
        self._require_known(project, pipeline)
        row = HoldRow(project, pipeline, actor.name, self._clock(), reason)
        with self._database.write() as tx:
            if tx.holds.put(tx.projects.get(project).id, row):
                note(tx, row.at, actor, "pipeline.hold", _object(pipeline), project=project, detail={"reason": reason})
            held = tx.holds.get(project, pipeline) or row
        self._signals.notify(pipelines_topic(project))
        return held

    def let_go(self, actor: Actor, project: str, pipeline: str) -> None:
        """Let a pipeline begin again; it need not be there any more. Raises NotFound when nobody holds it."""
        now = self._clock()
        with self._database.write() as tx:
            identifier = tx.projects.get(project).id
            held = tx.holds.get(project, pipeline) if pipeline.isprintable() else None
            if held is None or not tx.holds.remove(identifier, pipeline):
                raise NotFound(f"nobody holds {pipeline!r}", about="pipeline")
            told = {"held_by": held.held_by, "since": held.at}
            note(tx, now, actor, "pipeline.unhold", _object(pipeline), project=project, detail=told)
        self._signals.notify(pipelines_topic(project))

    def of_project(self, project: str) -> Mapping[str, HoldRow]:
        """Return the holds of a project by pipeline."""
        with self._database.read() as tx:
            return {row.pipeline: row for row in tx.holds.of_project(project)}

    def _require_known(self, project: str, pipeline: str) -> None:
        known: Collection[str] = ()
        self._projects.get(project)
        with suppress(FlowError):  # it was never fetched, say
            known = self._projects.pipelines(project).pipelines
        if pipeline in known:
            return
        with self._database.read() as tx:  # of another branch, or its file cannot be read now
            wanted = RunFilter(frozenset({project}), pipeline=pipeline)
            if pipeline.isprintable() and tx.runs.page(wanted, None, 1):
                return
        hint = did_you_mean(pipeline, known) or (f"there are {', '.join(known)}" if known else "")
        raise NotFound(f"there is no pipeline {pipeline!r}", hint=hint, about="pipeline")


def _object(pipeline: str) -> str:
    return f"pipeline:{pipeline}"
