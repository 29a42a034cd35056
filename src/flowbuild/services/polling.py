"""Looks what changed at remotes that send no webhooks. Blocking: call from threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import structlog

from flowbuild.core.errors import UserError
from flowbuild.core.sources import SourceEvent, SourceKind
from flowbuild.services.decisions import Clock
from flowbuild.services.reactions import Reactions, describe
from flowbuild.store.database import Database
from flowbuild.store.projects import ProjectRow
from flowbuild.store.source_heads import Head

log = structlog.get_logger()
LEAST = 10.0  # seconds between two looks, whatever is asked for
HEADS, TAGS = "refs/heads/", "refs/tags/"
Refs = Callable[[str], Mapping[str, str]]


class PollService:
    """Compares where branches and tags are with where they were. `refs` asks a project's remote: id by whole name.

    What the first look at a project finds was always there. A ref counts as seen when its runs have begun, so a kill
    loses nothing; what begins twice is known by where the ref was, since when, and where it is.
    """

    def __init__(self, *, database: Database, refs: Refs, reactions: Reactions, clock: Clock) -> None:
        self._database = database
        self._refs = refs
        self._reactions = reactions
        self._clock = clock
        self._next: dict[str, float] = {}

    def run_due(self) -> float | None:
        """Look at the projects whose time has come; return when to look again. Raises StoreError."""
        with self._database.read() as tx:
            polled = {row.name: row for row in tx.projects.list() if row.settings.poll is not None}
        for name, row in polled.items():
            if self._next.get(name, 0.0) <= self._clock():
                self._poll_safely(row)
                self._next[name] = self._clock() + max(row.settings.poll or 0.0, LEAST)
        self._next = {name: at for name, at in self._next.items() if name in polled}
        return min(self._next.values(), default=None)

    def poll(self, row: ProjectRow) -> None:
        """Look at one project, and begin what its changes ask for; raises FlowError."""
        now, found = self._clock(), self._refs(row.name)
        refs = {ref: commit for ref, commit in found.items() if ref.startswith((HEADS, TAGS))}
        with self._database.read() as tx:
            known = tx.source_heads.of_project(row.id)
        if not known:
            self._move(row, refs.items(), now)
            return
        for ref in sorted(refs.keys() | known.keys()):
            before, commit = known.get(ref), refs.get(ref, "")
            if commit != (before.commit if before else ""):
                self._changed(row, ref, before, commit)
                self._move(row, [(ref, commit)], now)

    def _poll_safely(self, row: ProjectRow) -> None:
        try:
            self.poll(row)
        except Exception as error:
            log.error("poll_failed", project=row.name, exc_info=error)

    def _changed(self, row: ProjectRow, ref: str, before: Head | None, commit: str) -> None:
        tag = ref.startswith(TAGS)
        event = SourceEvent(
            SourceKind.TAG if tag else SourceKind.PUSH,
            branch="" if tag else ref.removeprefix(HEADS),
            tag=ref.removeprefix(TAGS) if tag else "",
            commit=commit,
            before=before.commit if before else "",
            deleted=not commit,
        )
        key = f"poll/{row.id}/{ref}/{commit}/{before.seen_at if before else 0}"
        try:
            verdicts = self._reactions.judge(row.name, event)
            self._reactions.begin(row.name, event, verdicts, key, describe(event))
        except UserError as error:
            log.warning("poll_without_effect", project=row.name, ref=ref, error=error.message)

    def _move(self, row: ProjectRow, refs: Iterable[tuple[str, str]], now: float) -> None:
        with self._database.write() as tx:
            for ref, commit in refs:
                tx.source_heads.move(row.id, ref, commit, now)
