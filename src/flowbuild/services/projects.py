"""Use cases of projects: add, change, fetch, look at branches, tags and pipelines. Blocking: call from threads."""

from __future__ import annotations

import heapq
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from flowbuild.core.errors import Conflict, FlowError, InvalidRequest, NotFound
from flowbuild.core.giturl import Policy, parse
from flowbuild.core.model import Pipeline
from flowbuild.core.project import ProjectSettings, Visibility, check_name
from flowbuild.core.sources import SourceEvent, Trust, trust_of
from flowbuild.services.audit import Actor, note
from flowbuild.services.decisions import Clock
from flowbuild.services.ids import new_id
from flowbuild.services.news import PUBLIC
from flowbuild.services.signals import Signals
from flowbuild.services.source_files import SourceFiles
from flowbuild.spec.findings import Finding
from flowbuild.spec.load import load_pipelines, pipeline_files
from flowbuild.spec.words import did_you_mean
from flowbuild.store.database import Database, Transaction
from flowbuild.store.projects import ProjectRow
from flowbuild.workspace.git import Children
from flowbuild.workspace.mirror import HEADS, TAGS, Listing, Mirror
from flowbuild.workspace.remote import Credential, Remote, reach
from flowbuild.workspace.source_commit import CommitSource


class Sealer(Protocol):
    """Encrypts what the database must not show; `vault` has it. What a text is about must be said again to open it."""

    def seal(self, text: str, *about: str) -> str:
        """Return a sealed text."""
        ...

    def open(self, sealed: str, *about: str) -> str:
        """Return the text; raises an error when it was changed or moved."""
        ...


@dataclass(frozen=True, slots=True)
class Point:
    """A place in the history of a project: a commit, and the branch or tag that led to it; both may be empty."""

    commit: str
    branch: str = ""
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Ref:
    """A branch or tag, and the commit that it means; `default`: the branch that counts when none is named."""

    name: str
    commit: str
    kind: Literal["branch", "tag"]
    default: bool = False


@dataclass(frozen=True, slots=True)
class PipelinesAt:
    """The pipelines at a point: those without errors by name, and every problem of all `files`."""

    point: Point
    pipelines: Mapping[str, Pipeline]
    findings: Sequence[Finding]
    files: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ProjectChange:
    """What is to be different about a project; None leaves it as it is. An empty credential takes it away."""

    url: str | None = None
    credential: Credential | None = None
    default_branch: str | None = None
    visibility: Visibility | None = None
    settings: ProjectSettings | None = None


class ProjectService:
    """Projects whose mirrors are below `directory`, fetched from where `policy` allows."""

    def __init__(
        self, *, database: Database, directory: Path, policy: Policy, sealer: Sealer, signals: Signals, clock: Clock
    ) -> None:
        self._database = database
        self._directory = directory
        self._policy = policy
        self._sealer = sealer
        self._signals = signals
        self._clock = clock
        self._asking = Children()

    def hang_up(self) -> None:
        """End what remotes are being asked for, and ask them for nothing more: whoever waits for it gets a GitError."""
        self._asking.end()

    def add(
        self,
        actor: Actor,
        name: str,
        url: str,
        *,
        credential: Credential | None = None,
        default_branch: str = "",
        visibility: Visibility = Visibility.PRIVATE,
        settings: ProjectSettings | None = None,
    ) -> ProjectRow:
        """Create a project of a repository that answers; it is not fetched yet.

        Raises InvalidRequest for a bad name or address, or when the repository does not let us in, Unreachable, Conflict.
        """
        check_name(name)
        with self._database.read() as tx:
            _refuse_taken(tx, name)
        now = self._clock()
        row = ProjectRow(new_id(now), name, parse(url).text, now, default_branch, visibility)
        row = replace(row, settings=settings or row.settings, sealed_credential=self._sealed(row, credential))
        listing = self._mirror(row).offered(self._remote(row))
        _check_branch(default_branch, listing)
        with self._database.write() as tx:
            tx.projects.add(row)
            told = {"url": row.url, "visibility": str(visibility)}
            note(tx, now, actor, "project.add", f"project:{name}", project=name, detail=told)
        return row

    def change(self, actor: Actor, name: str, change: ProjectChange) -> ProjectRow:
        """Change a project. A new address or credential must work; raises as `add`, and NotFound."""
        row = self._changed(self.get(name), change)
        if change.url is not None or change.credential is not None or change.default_branch:
            _check_branch(row.default_branch, self._mirror(row).offered(self._remote(row)))
        with self._database.write() as tx:
            old = tx.projects.get(name)
            row = self._changed(old, change)
            tx.projects.save(row)
            if row.url != old.url:  # what another repository has was always there
                tx.source_heads.forget(row.id)
            note(tx, self._clock(), actor, "project.change", f"project:{name}", project=name, detail=_told(change))
        if row.visibility is not old.visibility:
            self._signals.notify(PUBLIC)
        return row

    def archive(self, actor: Actor, name: str, *, archived: bool = True) -> ProjectRow:
        """Put a project away, or take it out again: what is archived can be looked at, but nothing of it starts."""
        with self._database.write() as tx:
            row = replace(tx.projects.get(name), archived_at=self._clock() if archived else None)
            tx.projects.save(row)
            action = "project.archive" if archived else "project.unarchive"
            note(tx, self._clock(), actor, action, f"project:{name}", project=name)
        self._signals.notify(PUBLIC)  # one that is put away is shown to its people only
        return row

    def get(self, name: str) -> ProjectRow:
        """Return a project; raises NotFound."""
        with self._database.read() as tx:
            return tx.projects.get(name)

    def list(self, names: Collection[str] | None = None, *, archived: bool = False) -> Sequence[ProjectRow]:
        """Return projects by name, all or those of `names`; archived ones only when asked for."""
        with self._database.read() as tx:
            return tx.projects.list(names, archived=archived)

    def public(self) -> frozenset[str]:
        """Return the names of the projects that everybody may look at."""
        with self._database.read() as tx:
            return frozenset(row.name for row in tx.projects.list() if row.visibility is Visibility.PUBLIC)

    def fetch(self, name: str) -> Listing:
        """Bring the mirror of a project up to date; return its refs. Why it did not work is kept with the project, too.

        Raises Conflict when it is archived, Unreachable, InvalidRequest, GitError.
        """
        row = self.active(name)
        try:
            listing = self._mirror(row).fetch(self._remote(row))
        except FlowError as error:
            self._record(row, None, error.message)
            raise
        self._record(row, self._clock(), "")
        return listing

    def active(self, name: str) -> ProjectRow:
        """Return a project of which something may start; raises NotFound, Conflict when it is archived."""
        row = self.get(name)
        if row.archived_at is not None:
            raise Conflict(f"the project {name} is archived", hint="take it out of the archive first")
        return row

    def default_branch(self, name: str) -> str:
        """Return the branch that counts when none is named; empty when the remote has none."""
        row = self.get(name)
        return row.default_branch or self._mirror(row).default_branch

    def branches(self, name: str) -> Mapping[str, str]:
        """Return the branches as of the last fetch, with their commits."""
        return self._mirror(self.get(name)).branches()

    def tags(self, name: str) -> Mapping[str, str]:
        """Return the tags as of the last fetch, with the commits that they name."""
        return self._mirror(self.get(name)).tags()

    def refs(self, name: str, search: str, limit: int) -> Sequence[Ref]:
        """Return so many branches and tags as of the last fetch whose names hold a text, in whatever case.

        First the default branch, then what is called so, then what begins so; branches before tags.
        """
        mirror, text, first = self._mirror(self.get(name)), search.lower(), self.default_branch(name)
        found = [Ref(ref, commit, "branch", ref == first) for ref, commit in mirror.branches().items()]
        found += [Ref(ref, commit, "tag") for ref, commit in mirror.tags().items()]
        fitting = [ref for ref in found if text in ref.name.lower()]

        def turn(ref: Ref) -> tuple[bool, bool, bool, str, str]:
            low = ref.name.lower()
            return not ref.default, low != text, not low.startswith(text), ref.kind, ref.name

        return heapq.nsmallest(limit, fitting, key=turn)

    def at(self, name: str, ref: str = "") -> Point:
        """Return the point that a branch, tag, commit id or full ref name means as of the last fetch; default branch if empty.

        Raises NotFound.
        """
        ref = ref or self.default_branch(name)
        mirror = self._mirror(self.get(name))
        if not ref:
            raise NotFound(f"the project {name} has no default branch", hint="name a branch, tag or commit")
        if ref.startswith(HEADS):
            return Point(mirror.commit_of(ref), branch=ref.removeprefix(HEADS))
        if ref.startswith(TAGS):
            return Point(mirror.commit_of(ref), tag=ref.removeprefix(TAGS))
        branches, tags = mirror.branches(), mirror.tags()
        if ref in branches:
            return Point(branches[ref], branch=ref)
        if ref in tags:
            return Point(tags[ref], tag=ref)
        try:
            return Point(mirror.commit_of(ref))
        except (NotFound, InvalidRequest) as error:
            hint = did_you_mean(ref, [*branches, *tags]) or "if it is new, fetch the project"
            raise NotFound(f"{name} has no branch, tag or commit {ref!r}", hint=hint) from error

    def commit(self, name: str, commit: str) -> str:
        """Return the whole id of a commit that is here; raises NotFound."""
        try:
            return self._mirror(self.get(name)).commit_of(commit)
        except InvalidRequest as error:
            raise NotFound(f"{name} has no commit {commit!r}") from error

    def message(self, name: str, commit: str) -> str:
        """Return the message of a commit that is here; raises NotFound."""
        mirror = self._mirror(self.get(name))
        return mirror.message(mirror.commit_of(commit))

    def holds(self, name: str, ref: str, commit: str) -> bool:
        """Tell whether a commit was part of a ref, by its whole name, at the last fetch; an empty one never is."""
        mirror = self._mirror(self.get(name))
        try:
            return bool(ref and commit) and mirror.contains(mirror.commit_of(commit), ref)
        except (NotFound, InvalidRequest):
            return False

    def authors(self, name: str, commit: str) -> frozenset[str]:
        """Return the e-mail addresses of who wrote a commit, in small letters; none of one that is not here."""
        try:
            return self._mirror(self.get(name)).authors(commit)
        except (NotFound, InvalidRequest):
            return frozenset()

    def described(self, name: str, commit: str) -> tuple[str, str]:
        """Return the e-mail address of the author of a commit, and its subject; raises NotFound."""
        try:
            return self._mirror(self.get(name)).described(commit)
        except InvalidRequest as error:
            raise NotFound(f"{name} has no commit {commit!r}") from error

    def fetch_ref(self, name: str, ref: str) -> str:
        """Fetch a ref that is no branch or tag, like that of a pull request; return its commit. Raises as `fetch`."""
        row = self.active(name)
        return self._mirror(row).fetch_ref(self._remote(row), ref)

    def source(self, name: str, point: Point, *, large: bool = False) -> CommitSource:
        """Return the files at a point; with `large`, its LFS objects are fetched so that a run can be made of it."""
        row = self.get(name)
        mirror = self._mirror(row)
        source = CommitSource(mirror, point.commit, branch=point.branch, tag=point.tag)
        if large and (missing := source.missing_large()):
            mirror.fetch_large(self._remote(row), source.commit, missing)
        return source

    def trust(self, name: str, event: SourceEvent, commit: str) -> Trust:
        """Return how far the commit of an event is trusted: by its branch or tag, and only if it belongs to that.

        Who names a protected branch beside a commit of another one gets what that one gets; a commit of no branch is not
        trusted. Where a run follows another one, that was decided before.
        """
        if event.trust is not None:
            return event.trust
        row = self.get(name)
        mirror = self._mirror(row)
        protected = row.settings.protected or (row.default_branch or mirror.default_branch,)
        trust = trust_of(event, branches=protected, tags=row.settings.protected_tags)
        if trust is Trust.UNTRUSTED or event.pull_request is not None:
            return trust
        if trust is Trust.TRUSTED and mirror.contains(commit, TAGS + event.tag if event.tag else HEADS + event.branch):
            return Trust.TRUSTED
        return Trust.INTERNAL if mirror.contains(commit) else Trust.UNTRUSTED

    def changed(self, name: str, old: str, new: str, *, since_fork: bool = False) -> Sequence[str] | None:
        """Return the paths that differ between two commits; None when one is not known. See `Mirror.changed`."""
        return self._mirror(self.get(name)).changed(old, new, since_fork=since_fork)

    def pipelines(self, name: str, ref: str = "", *, trusted: bool = True) -> PipelinesAt:
        """Return the pipelines at a branch, tag or commit as of the last fetch, with findings. Raises NotFound."""
        return self.pipelines_at(name, self.at(name, ref), trusted=trusted)

    def pipelines_at(self, name: str, point: Point, *, trusted: bool) -> PipelinesAt:
        """Return the pipelines at a point, with findings."""
        files = SourceFiles(self.source(name, point))
        loaded = load_pipelines(files, trusted=trusted)
        return PipelinesAt(point, loaded.pipelines, loaded.findings, tuple(pipeline_files(files)))

    def file(self, name: str, ref: str, path: str, limit: int) -> tuple[str, bytes]:
        """Return the commit that a branch, tag or commit means, and a file there. Raises NotFound, InvalidRequest."""
        source = self.source(name, self.at(name, ref))
        data = source.read(path) if "\0" not in path else None
        if data is None:
            raise NotFound(f"{name} has no file {path!r} at {ref or 'the head of its default branch'}")
        if len(data) > limit:
            raise InvalidRequest(f"the file {path!r} is longer than {limit} bytes")
        return source.commit, data

    def _mirror(self, row: ProjectRow) -> Mirror:
        return Mirror(self._directory / row.id, self._asking)

    def _remote(self, row: ProjectRow) -> Remote:
        credential = None
        if row.sealed_credential:
            credential = Credential(**json.loads(self._sealer.open(row.sealed_credential, *_about(row))))
        return reach(parse(row.url), self._policy, credential)

    def _sealed(self, row: ProjectRow, credential: Credential | None) -> str:
        if credential is None or credential == Credential():
            return ""
        return self._sealer.seal(json.dumps(asdict(credential)), *_about(row))

    def _changed(self, row: ProjectRow, change: ProjectChange) -> ProjectRow:
        """Return the project as it is to be. A secret never goes along to another address."""
        url = row.url if change.url is None else parse(change.url).text
        sealed = row.sealed_credential
        if change.credential is not None:
            sealed = self._sealed(row, change.credential)
        elif url != row.url and sealed:
            hint = "give the credential for the new address, or an empty one"
            raise InvalidRequest("the credential belongs to the old address", hint=hint, about="url")
        return replace(
            row,
            url=url,
            sealed_credential=sealed,
            default_branch=row.default_branch if change.default_branch is None else change.default_branch,
            visibility=change.visibility or row.visibility,
            settings=change.settings or row.settings,
        )

    def _record(self, row: ProjectRow, at: float | None, error: str) -> None:
        with self._database.write() as tx:
            tx.projects.fetched(row.id, at, error)


def _about(row: ProjectRow) -> tuple[str, ...]:
    return ("credential", row.id)


def _check_branch(branch: str, listing: Listing) -> None:
    if branch and HEADS + branch not in listing.refs:
        names = [ref.removeprefix(HEADS) for ref in listing.refs if ref.startswith(HEADS)]
        hint = did_you_mean(branch, names)
        raise InvalidRequest(f"the repository has no branch {branch!r}", hint=hint, about="default_branch")


def _told(change: ProjectChange) -> dict[str, Any]:
    """Return what the audit log says of a change: everything but the credential."""
    told: dict[str, Any] = {"url": change.url, "default_branch": change.default_branch, "visibility": change.visibility}
    if change.settings is not None:
        told["settings"] = asdict(change.settings)
    if change.credential is not None:
        told["credential"] = "another one" if change.credential != Credential() else "none"
    return {name: value for name, value in told.items() if value is not None}


def _refuse_taken(tx: Transaction, name: str) -> None:
    """Refuse early; that two add the same at once is left to the database. Also a name that local runs have."""
    if tx.projects.list([name], archived=True) or name in tx.runs.projects().values():
        raise Conflict(f"there is a project {name!r} already", hint="give the new one another name", about="name")
