"""Who may let something run that waits for people: a step that acts on an environment, a delivery from outside. Blocking."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from flowbuild.core.access import Principal, may_approve
from flowbuild.core.errors import Forbidden
from flowbuild.core.ids import RunId
from flowbuild.services.looking import Looking
from flowbuild.services.projects import ProjectService
from flowbuild.store.database import Database, Transaction


class Approvals:
    """Decides it. Where a project wants four eyes, nobody approves what is their own."""

    def __init__(self, database: Database, looking: Looking, projects: ProjectService) -> None:
        self._database = database
        self._looking = looking
        self._projects = projects

    def require_judge(self, caller: Principal, run: RunId, step: str) -> None:
        """Do nothing when the caller may reject a step: one of those whom the pipeline names. Raises Forbidden, NotFound."""
        approvers = self._looking.approvers(run, step)
        if not may_approve(caller, self._looking.project(run), approvers):
            raise Forbidden(f"step {step!r} waits for somebody else: {', '.join(approvers)}")

    def require_approver(self, caller: Principal, run: RunId, step: str) -> None:
        """Do nothing when the caller may approve a step. Raises as `require_judge`, and for what is the caller's own."""
        self.require_judge(caller, run, step)
        with self._database.read() as tx:
            if not _wants_four_eyes(tx, project := tx.runs.project(run)):
                return
            row = tx.runs.get(run)
        self._require_other(caller, project, row.run.context.commit, {row.actor, *_named(row.cause)})

    def require_other_eyes(self, caller: Principal, project: str, delivery: str) -> None:
        """Do nothing when the caller may approve a delivery, as far as it is not their own. Raises Forbidden."""
        with self._database.read() as tx:
            row = tx.deliveries.get(delivery) if _wants_four_eyes(tx, project) else None
        if row is not None and row.project == project:
            names = {name for event in row.result.get("events", ()) for name in _named(event)}
            self._require_other(caller, project, str(row.result.get("commit", "")), names)

    def _require_other(self, caller: Principal, project: str, commit: str, names: Iterable[str]) -> None:
        """Refuse who started it or pushed it, by the names here and at the forge, and by the e-mail addresses of the commit."""
        with self._database.read() as tx:
            email = tx.users.get(caller.id).email
        own = caller.name.casefold() in {name.casefold() for name in names}
        if own or (email and email.casefold() in self._projects.authors(project, commit)):
            hint = "the project wants four eyes: somebody else approves what you start, or have written"
            raise Forbidden("that is your own", hint=hint)


def _named(event: Mapping[str, Any]) -> Iterator[str]:
    """Yield who did something at a forge, as it calls them: pushed, opened a pull request."""
    yield from (str(event[role]) for role in ("actor", "author") if event.get(role))


def _wants_four_eyes(tx: Transaction, project: str) -> bool:
    return any(row.settings.four_eyes for row in tx.projects.list([project], archived=True))
