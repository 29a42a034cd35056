"""Use cases of roles in projects. Blocking: call from threads."""

from __future__ import annotations

from collections.abc import Sequence

from flowbuild.core.access import Role, role_named
from flowbuild.core.errors import InvalidRequest, NotFound
from flowbuild.services.audit import Actor, note
from flowbuild.services.decisions import Clock
from flowbuild.services.news import person_topic
from flowbuild.services.signals import Signals
from flowbuild.services.users import user_named
from flowbuild.store.database import Database
from flowbuild.store.members import MemberRow


class MemberService:
    """Gives and takes roles."""

    def __init__(self, database: Database, signals: Signals, clock: Clock) -> None:
        self._database = database
        self._signals = signals
        self._clock = clock

    def of_project(self, project: str) -> Sequence[MemberRow]:
        """Return who has a role in a project, by name. Raises NotFound."""
        with self._database.read() as tx:
            return tx.members.of_project(tx.projects.get(project).id)

    def put(self, actor: Actor, project: str, name: str, role: str) -> None:
        """Give a person a role instead of the one they had. Raises NotFound, InvalidRequest."""
        found = role_named(role)
        if found is None:
            raise InvalidRequest(f"there is no role {role!r}", hint=f"there are {', '.join(Role)}", about="role")
        with self._database.write() as tx:
            user = user_named(tx, name)
            tx.members.put(tx.projects.get(project).id, user.id, found)
            note(tx, self._clock(), actor, "member.put", f"user:{name}", project=project, detail={"role": str(found)})
        self._signals.notify(person_topic(user.id))

    def remove(self, actor: Actor, project: str, name: str) -> None:
        """Take the role of a person away. Raises NotFound."""
        with self._database.write() as tx:
            user, project_id = user_named(tx, name), tx.projects.get(project).id
            if project not in tx.members.roles(user.id):
                raise NotFound(f"{name} has no role in {project}")
            tx.members.remove(project_id, user.id)
            note(tx, self._clock(), actor, "member.remove", f"user:{name}", project=project)
        self._signals.notify(person_topic(user.id))
