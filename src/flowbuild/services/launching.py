"""Begins runs of projects by hand, at a branch, tag or commit.

The trust of a run is decided here, by where its commit belongs; nothing in the commit has a say. Blocking.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from flowbuild.core.errors import NotFound
from flowbuild.core.ids import RunId
from flowbuild.core.sources import SourceEvent, SourceKind, Trust
from flowbuild.services.projects import Point, ProjectService
from flowbuild.services.runs import Order, RunService, choose, load


@dataclass(frozen=True, slots=True)
class LaunchRequest:
    """Start a pipeline of a project by hand. `ref`: a branch, tag or commit, empty for the default branch."""

    project: str
    pipeline: str = ""
    ref: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    actor: str = ""
    fresh: bool = False


class Launcher:
    """Begins runs through the same service as `flow run` does."""

    def __init__(self, projects: ProjectService, runs: RunService) -> None:
        self._projects = projects
        self._runs = runs

    def launch(self, request: LaunchRequest) -> RunId:
        """Begin a run by hand at the newest state of the source.

        Raises NotFound (project, ref, pipeline), Conflict (archived), InvalidRequest, InvalidFile, Unreachable.
        """
        self._projects.active(request.project)
        point = self._newest(request.project, request.ref)
        event = SourceEvent(SourceKind.PUSH, branch=point.branch, tag=point.tag, commit=point.commit)
        trust = self._projects.trust(request.project, event, point.commit)
        source = self._projects.source(request.project, point, large=True)
        order = Order(
            source,
            choose(load(source, trusted=trust is not Trust.UNTRUSTED), request.pipeline),
            inputs=request.inputs,
            variables=request.variables,
            secrets=request.secrets,
            fresh=request.fresh,
            project=request.project,
            actor=request.actor,
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
