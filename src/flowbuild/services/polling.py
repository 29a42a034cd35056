"""Looks what changed at remotes: those that send no webhooks, and those whose webhooks may not have arrived. Blocking."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import structlog

from flowbuild.core.errors import NotFound, UserError
from flowbuild.core.giturl import parse
from flowbuild.core.sources import PullRequest, PullRequestChange, SourceEvent, SourceKind, asks_to_skip, is_ref_name
from flowbuild.forges import GENERIC
from flowbuild.forges.requests import MOST
from flowbuild.services.decisions import Clock
from flowbuild.services.missed import Missed, request_ref, same_commit
from flowbuild.services.reactions import Reactions, describe
from flowbuild.spec.words import printable
from flowbuild.store.database import Database
from flowbuild.store.hooks import HookRow
from flowbuild.store.projects import ProjectRow
from flowbuild.store.source_heads import Head
from flowbuild.workspace.mirror import HEADS, TAGS

log = structlog.get_logger()
PROJECTS = "projects"  # topic: there may be another project to look at
LEAST = 10.0  # seconds between two looks, whatever is asked for
MISSED = 900.0  # seconds between two looks for what no webhook has told
_BEGUN = ""  # the ref that says that a project was looked at before
_TITLE = 200  # characters of a message that are kept
Refs = Callable[[str], Mapping[str, str]]
Requests = Callable[[HookRow], Sequence[SourceEvent]]
Message = Callable[[str, str], str]


class PollService:
    """Compares where branches, tags and pull requests are with where they were.

    `refs` asks a project's remote: commit by whole name; `message` returns that of a commit; `requests` asks a forge for its
    open pull requests. What the first look finds was always there. A ref of a project without webhooks counts as seen when
    its runs have begun, so a kill loses nothing; what begins twice is known by where the ref was, since when, and where it
    is. With a webhook what was found becomes a delivery, and the ref has moved when that was looked at.
    """

    def __init__(
        self,
        *,
        database: Database,
        refs: Refs,
        message: Message,
        requests: Requests,
        missed: Missed,
        reactions: Reactions,
        clock: Clock,
    ) -> None:
        self._database = database
        self._refs = refs
        self._message = message
        self._requests = requests
        self._missed = missed
        self._reactions = reactions
        self._clock = clock
        self._next: dict[str, float] = {}

    def due(self) -> Mapping[str, float]:
        """Return the projects that are looked at, and when each is to be looked at next. Raises StoreError.

        What is known of others is forgotten: when they are looked at again, what they have by then was always there.
        """
        with self._database.read() as tx:
            hooked = {row.project for row in tx.hooks.all() if row.kind != GENERIC}
            rows = [row for row in tx.projects.list() if row.settings.poll is not None or row.name in hooked]
            others = tx.source_heads.projects() - {row.id for row in rows}
        for project in others:
            with self._database.write() as tx:
                tx.source_heads.forget(project)
        for name in set(self._next) - {row.name for row in rows}:
            self._next.pop(name, None)
        return {row.name: self._next.get(row.name, 0.0) for row in rows}

    def look(self, name: str) -> None:
        """Look at one project, and begin what its changes ask for. Raises StoreError."""
        with self._database.read() as tx:
            row, hooks = tx.projects.get(name), _forges(tx.hooks.of_project(name))
        try:
            self._poll(row, hooks)
        except Exception as error:
            log.error("poll_failed", project=name, exc_info=error)
        pause = row.settings.poll if row.settings.poll is not None else MISSED
        self._next[name] = self._clock() + max(pause, LEAST)

    def _poll(self, row: ProjectRow, hooks: Sequence[HookRow]) -> None:
        found = self._refs(row.name)
        refs = {ref: commit for ref, commit in found.items() if is_ref_name(_name(ref))}
        with self._database.read() as tx:
            known = tx.source_heads.of_project(row.id)
        if _BEGUN not in known:
            self._move(row, [(_BEGUN, ""), *refs.items()])
        else:
            seen = {ref for ref in known if ref.startswith((HEADS, TAGS))}
            for ref in sorted(refs.keys() | seen):
                self._compare(row, hooks, ref, known.get(ref), refs.get(ref, ""))
        self._forget_requests(row, known, hooks)
        for hook in hooks:
            if hook.sealed_token and _repository(row, hook):
                self._look_at_requests(row, hook, known)

    def _compare(self, row: ProjectRow, hooks: Sequence[HookRow], ref: str, before: Head | None, commit: str) -> None:
        if same_commit(commit, before.commit if before else ""):
            return
        event = self._event(row, ref, before, commit)
        if hooks:
            event = replace(event, repository=_repository(row, hooks[0]))
            self._missed.store(hooks[0], ref, event, before)
            return
        key = f"poll/{row.id}/{ref}/{commit}/{before.seen_at if before else 0}"
        try:
            verdicts = self._reactions.judge(row.name, event)
            self._reactions.begin(row.name, event, verdicts, key, describe(event))
        except UserError as error:
            log.warning("poll_without_effect", project=row.name, ref=ref, error=error.message)
        self._move(row, [(ref, commit)])

    def _event(self, row: ProjectRow, ref: str, before: Head | None, commit: str) -> SourceEvent:
        tag, message = ref.startswith(TAGS), ""
        if commit:
            with suppress(NotFound):
                message = self._message(row.name, commit)
        return SourceEvent(
            SourceKind.TAG if tag else SourceKind.PUSH,
            branch="" if tag else ref.removeprefix(HEADS),
            tag=ref.removeprefix(TAGS) if tag else "",
            commit=commit,
            before=before.commit if before else "",
            deleted=not commit,
            skip=asks_to_skip(message),
            title=printable(message.strip().partition("\n")[0][:_TITLE]),
        )

    def _forget_requests(self, row: ProjectRow, known: Mapping[str, Head], hooks: Sequence[HookRow]) -> None:
        """Forget the pull requests of webhooks that were removed: another one of that name may be of another forge."""
        told = {ref.split("/")[1] for ref in known if ref.startswith("pull/")}
        for name in told - {hook.name for hook in hooks}:
            with self._database.write() as tx:
                tx.source_heads.forget(row.id, request_ref(name, ""))

    def _look_at_requests(self, row: ProjectRow, hook: HookRow, known: Mapping[str, Head]) -> None:
        """Compare the open pull requests of a forge with those that were told."""
        listed = self._requests(replace(hook, repository=_repository(row, hook)))
        requests = {event.pull_request.number: event for event in listed if event.pull_request}
        prefix = request_ref(hook.name, "")  # alone: they were looked at before
        if prefix not in known:
            heads = [(request_ref(hook.name, number), event.commit) for number, event in requests.items()]
            self._move(row, [(prefix, ""), *heads])
            return
        for number, event in sorted(requests.items()):
            before = known.get(request_ref(hook.name, number))
            if before is None or not same_commit(before.commit, event.commit):
                self._missed.store(hook, request_ref(hook.name, number), _changed(event, before), before)
        if len(listed) >= MOST:
            return  # there are more: one that is not among them may still be open
        for ref, before in sorted(known.items()):
            number_ = ref.removeprefix(prefix)
            if ref.startswith(prefix) and before.commit and int(number_) not in requests:
                self._missed.store(hook, ref, _closed(int(number_)), before)

    def _move(self, row: ProjectRow, refs: Iterable[tuple[str, str]]) -> None:
        now = self._clock()
        with self._database.write() as tx:
            for ref, commit in refs:
                tx.source_heads.move(row.id, ref, commit, now)


def _name(ref: str) -> str:
    """Return the name of a branch or tag; empty for other refs."""
    return next((ref.removeprefix(prefix) for prefix in (HEADS, TAGS) if ref.startswith(prefix)), "")


def _forges(hooks: Iterable[HookRow]) -> Sequence[HookRow]:
    """Return the webhooks of forges, those first that may ask the forge."""
    return sorted((hook for hook in hooks if hook.kind != GENERIC), key=lambda hook: (not hook.sealed_token, hook.name))


def _repository(row: ProjectRow, hook: HookRow) -> str:
    """Return what the forge calls the repository: as it said itself, or else as the address of the project has it."""
    url = parse(row.url)
    return hook.repository or (url.path.strip("/").removesuffix(".git") if url.host else "")


def _changed(event: SourceEvent, before: Head | None) -> SourceEvent:
    """Return an open pull request as an event: new, or with other commits than before."""
    assert event.pull_request is not None  # noqa: S101 (it is one)
    change = PullRequestChange.UPDATED if before and before.commit else PullRequestChange.OPENED
    return replace(event, pull_request=replace(event.pull_request, change=change))


def _closed(number: int) -> SourceEvent:
    """Return a pull request that is not open any more as an event: nothing else is known of it."""
    request = PullRequest(number, PullRequestChange.CLOSED, head_branch="", base_branch="")
    return SourceEvent(SourceKind.PULL_REQUEST, pull_request=request)
