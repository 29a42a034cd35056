"""The demo project: its repository is made of files that come with the program. Blocking: call from threads."""

from __future__ import annotations

from pathlib import Path

from flowbuild.core.errors import NotFound
from flowbuild.services.audit import Actor
from flowbuild.services.projects import ProjectService
from flowbuild.store.projects import ProjectRow
from flowbuild.workspace.packaged import make_repository

NAME = "demo"


class Demo:
    """Adds the project. `files`: where they are, None when the program came without; `repository`: where it is made."""

    def __init__(self, projects: ProjectService, files: Path | None, repository: Path) -> None:
        self._projects = projects
        self._files = files
        self._repository = repository

    @property
    def available(self) -> bool:
        """Whether the program has the files."""
        return self._files is not None

    def add(self, actor: Actor) -> ProjectRow:
        """Create the project; it is not fetched yet. Raises Conflict when there is one of that name, NotFound without files."""
        if self._files is None:
            raise NotFound("this program came without the demo project")
        make_repository(self._files, self._repository, message="Guestbook", tag="v1.0", without=("/expect.json",))
        return self._projects.add(actor, NAME, str(self._repository))
