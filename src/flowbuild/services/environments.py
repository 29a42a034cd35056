"""The environments of a project: who acts on each, who waits to, and what was deployed last. Blocking."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from flowbuild.services.lines import environment_of
from flowbuild.store.database import Database
from flowbuild.store.deployments import Deployment, InLine


@dataclass(frozen=True, slots=True)
class EnvironmentInfo:
    """`line`: who holds it, then who waits for it. `latest`: who got it last; `deployed`: the last one that succeeded."""

    name: str
    line: Sequence[InLine]
    latest: Deployment | None
    deployed: Deployment | None


class Environments:
    """Reads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_project(self, project: str) -> Sequence[EnvironmentInfo]:
        """Return, by name, those that runs which are kept acted on or wait for. Raises NotFound."""
        with self._database.read() as tx:
            tx.projects.get(project)
            lines: dict[str, list[InLine]] = defaultdict(list)
            for each in tx.deployments.lines(project):
                lines[environment_of(project, each.line)].append(each)
            return [
                EnvironmentInfo(
                    name,
                    lines.get(name, ()),
                    tx.deployments.latest(project, name),
                    tx.deployments.latest(project, name, succeeded=True),
                )
                for name in sorted({*lines, *tx.deployments.environments(project)})
            ]
