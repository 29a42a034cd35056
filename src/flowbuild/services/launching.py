"""Begins runs of projects: by hand at a branch, tag or commit, and because something happened at the source.

The trust of a run is decided here, by where its commit belongs; nothing in the commit has a say. Blocking.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from flowbuild.core.errors import NotFound
from flowbuild.core.ids import RunId
from flowbuild.core.model import Pipeline
from flowbuild.core.sources import SourceEvent, SourceKind, Trust
from flowbuild.services.audit import NOBODY, Actor
from flowbuild.services.held import refuse_held
from flowbuild.services.projects import Point, ProjectService
from flowbuild.services.runs import Order, RunService, choose, load
from flowbuild.services.starter import Cause
from flowbuild.spec.findings import InvalidFile, has_errors
from flowbuild.spec.load import NO_FILE
from flowbuild.store.database import Database
from flowbuild.workspace.mirror import HEADS, TAGS

# Under which names forges show the commits of pull requests: GitHub and Gitea, GitLab, Bitbucket on one's own machine.
_PULL_REFS = ("refs/pull/{}/head", "refs/merge-requests/{}/head", "refs/pull-requests/{}/from")


@dataclass(frozen=True, slots=True)
class LaunchRequest:
    """Start a pipeline of a project by hand. `ref`: a branch, tag or commit, empty for the default branch."""

    project: str
    pipeline: str = ""
    ref: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    by: Actor = NOBODY
    fresh: bool = False


class Launcher:
    """Begins runs through the same service as `flow run` does. It is the `services.starter.Starter` of a server."""

    def __init__(self, database: Database, projects: ProjectService, runs: RunService) -> None:
        self._database = database
        self._projects = projects
        self._runs = runs

    def launch(self, request: LaunchRequest) -> RunId:
        """Begin a run by hand at the newest state of the source.

        Raises NotFound (project, ref, pipeline), Conflict (archived), Held, InvalidRequest, InvalidFile, Unreachable.
        """
        self._projects.active(request.project)
        with self._database.read() as tx:
            refuse_held(tx, request.project, request.pipeline)  # before anything is fetched
        point = self._newest(request.project, request.ref)
        trust = self._trust(request.project, SourceEvent(SourceKind.PUSH), point)
        source = self._projects.source(request.project, point, large=True)
        order = Order(
            source,
            choose(load(source, trusted=trust is not Trust.UNTRUSTED), request.pipeline),
            inputs=request.inputs,
            variables=request.variables,
            secrets=request.secrets,
            fresh=request.fresh,
            project=request.project,
            actor=request.by.name,
            by=request.by,
            trust=trust,
        )
        return self._runs.begin(order)

    def _newest(self, project: str, ref: str) -> Point:
        """Return the point of a ref after a fetch; a commit that is here needs none."""
        with suppress(NotFound):
            point = self._projects.at(project, ref)
            if not point.branch and not point.tag:
                return point
        self._projects.fetch(project)
        return self._projects.at(project, ref)

    def pipelines(self, project: str, event: SourceEvent) -> Sequence[Pipeline]:
        """See Starter. Raises InvalidFile when a pipeline file has errors."""
        point = self._point(project, event)
        found = self._projects.pipelines_at(
            project, point, trusted=self._trust(project, event, point) is not Trust.UNTRUSTED
        )
        if [finding.code for finding in found.findings] == [NO_FILE]:
            return ()
        if has_errors(found.findings):
            raise InvalidFile(found.findings)
        return tuple(found.pipelines.values())

    def trust(self, project: str, event: SourceEvent) -> Trust:
        """See Starter."""
        return self._trust(project, event, self._point(project, event))

    def message(self, project: str, event: SourceEvent) -> str:
        """See Starter."""
        return self._projects.message(project, self._point(project, event).commit)

    def changed(self, project: str, event: SourceEvent) -> Sequence[str] | None:
        """See Starter."""
        point, request = self._point(project, event), event.pull_request
        if request is not None:
            base = request.base_commit or self._projects.branches(project).get(request.base_branch, "")
            return self._projects.changed(project, base, point.commit, since_fork=True) if base else None
        return self._projects.changed(project, event.before, point.commit) if event.before else None

    def start(
        self, project: str, pipeline: str, event: SourceEvent, inputs: Mapping[str, str], cause: Cause
    ) -> RunId | None:
        """See Starter. Raises InvalidFile, InvalidRequest for inputs that do not fit, Held."""
        with self._database.read() as tx:
            known = tx.starts.find(cause.key)
            if known is not None or tx.projects.get(project).archived_at is not None:
                return known
            refuse_held(tx, project, pipeline)
        point = self._point(project, event)
        trust = self._trust(project, event, point)
        source = self._projects.source(project, point, large=True)
        order = Order(
            source,
            choose(load(source, trusted=trust is not Trust.UNTRUSTED), pipeline),
            inputs=inputs,
            project=project,
            event=event.kind,
            actor=event.actor,
            trust=trust,
            cause=cause.about,
            key=cause.key,
        )
        return self._runs.begin(order)

    def _trust(self, project: str, event: SourceEvent, point: Point) -> Trust:
        return self._projects.trust(project, replace(event, branch=point.branch, tag=point.tag), point.commit)

    def _point(self, project: str, event: SourceEvent) -> Point:
        """Return where an event is in the history, fetching what is not here; raises NotFound when it is gone."""
        if event.pull_request is not None or event.trust is not None:
            return Point(self._proposed(project, event), event.branch, event.tag)
        ref = TAGS + event.tag if event.tag else event.branch and HEADS + event.branch
        if not self._projects.holds(project, ref, event.commit):  # also one that is here as a proposal, and merged now
            self._projects.fetch(project)
        if event.commit:
            return Point(self._projects.commit(project, event.commit), event.branch, event.tag)
        return self._projects.at(project, ref)

    def _proposed(self, project: str, event: SourceEvent) -> str:
        """Return a commit that need not be on any branch of the project."""
        with suppress(NotFound):
            return self._projects.commit(project, event.commit)
        self._projects.fetch(project)
        number = event.pull_request.number if event.pull_request else 0
        for pattern in _PULL_REFS if number else ():
            with suppress(NotFound):
                return self._projects.commit(project, event.commit)
            with suppress(NotFound):
                self._projects.fetch_ref(project, pattern.format(number))
        return self._projects.commit(project, event.commit)
