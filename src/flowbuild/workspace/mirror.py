"""The mirror of a project's source: a bare repository that is fetched into, and that runs are started from.

    <directory>/source.git     branches in refs/heads, tags in refs/tags, other refs that were asked for in refs/asked
    <directory>/known_hosts    keys of ssh hosts, as they were shown first
    <directory>/lock           one fetch at a time

Workspaces borrow its objects, so nothing in it is ever deleted: packs are put together, never pruned.
"""

from __future__ import annotations

import fcntl
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from flowbuild.core.errors import FlowError, InvalidRequest, NotFound
from flowbuild.core.giturl import Transport
from flowbuild.core.plain import shown
from flowbuild.workspace import git, lfs_fetch
from flowbuild.workspace.git import Children, GitError, GitFailure
from flowbuild.workspace.lfs import LfsStore, Pointer
from flowbuild.workspace.remote import Remote, Unreachable, access

FETCH_SECONDS = 1800.0
LIST_SECONDS = 120.0
MANY_PACKS = 20
MAX_MESSAGE = 65_536
MAX_NAME, MAX_SUBJECT = 100, 200  # characters
HEADS, TAGS, ASKED = "refs/heads/", "refs/tags/", "refs/asked/"
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
# What old but honest histories are known to hold; everything else that fsck finds is refused.
_LENIENT = ("badTimezone", "missingSpaceBeforeDate", "zeroPaddedFilemode")


@dataclass(frozen=True, slots=True)
class Listing:
    """What a remote offers: its refs with the objects they point to, and its default branch (empty: unknown)."""

    refs: Mapping[str, str]
    default_branch: str


class Change(NamedTuple):
    """A commit as people speak of it. `at`: when it was written, in seconds since 1970; the subject is shortened."""

    commit: str
    at: float
    author: str
    subject: str


class Mirror:
    """The mirror below a directory of its own. Blocking; safe for several threads and processes.

    `asking`: what is under way at remotes; whoever ends that makes those who wait for it fail.
    """

    def __init__(self, directory: Path, asking: Children | None = None) -> None:
        self._directory = directory
        self._asking = asking or Children()
        self.path = directory / "source.git"

    def fetch(self, remote: Remote, *, seconds: float = FETCH_SECONDS) -> Listing:
        """Bring branches and tags up to date; return what the remote offers. Nothing is transferred when nothing changed.

        Raises Unreachable, InvalidRequest (it refuses us, or is no repository), GitError.
        """
        listing = self.offered(remote)
        with self._exclusive(), access(remote, self._directory / "known_hosts") as config:
            self._ensure(listing)
            if dict(listing.refs) != self._refs(HEADS, TAGS):
                specs = [f"+{prefix}*:{prefix}*" for prefix in (HEADS, TAGS)]
                self._fetch(remote, config, specs, "--prune", seconds=seconds)
                self._tidy()
            if listing.default_branch and listing.default_branch != self.default_branch:
                git.run(self.path, "symbolic-ref", "HEAD", HEADS + listing.default_branch)
        return listing

    def fetch_ref(self, remote: Remote, ref: str, *, seconds: float = FETCH_SECONDS) -> str:
        """Fetch one more ref, like that of a pull request, and return its commit. Raises as `fetch`, and NotFound."""
        if not ref.startswith("refs/") or git.run(None, "check-ref-format", ref, accept=(0, 1)).returncode != 0:
            raise InvalidRequest(f"{ref!r} is not the full name of a ref", hint="it begins with refs/")
        kept = ASKED + ref.removeprefix("refs/")
        self._begun(remote)
        with self._exclusive(), access(remote, self._directory / "known_hosts") as config:
            try:
                self._fetch(remote, config, [f"+{ref}:{kept}"], seconds=seconds)
            except GitError as error:
                if "couldn't find remote ref" in error.message:
                    raise NotFound(f"{remote.url.text} has no {ref}") from error
                raise
        return self.commit_of(kept)

    def fetch_large(
        self, remote: Remote, commit: str, missing: Collection[Pointer], *, seconds: float = FETCH_SECONDS
    ) -> None:
        """Fetch the LFS objects of a commit that are not here yet. Raises as `fetch`, and WorkspaceError."""
        self._begun(remote)
        with self._exclusive(), access(remote, self._directory / "known_hosts") as config, _told(remote):
            if remote.url.transport is Transport.FILE:
                self._copy_large(remote, commit, config, seconds)
                return
            store = LfsStore(self.path / "lfs")
            lfs_fetch.fetch(remote, config, missing, store, seconds=seconds, children=self._asking)

    def _copy_large(self, remote: Remote, commit: str, config: dict[str, str], seconds: float) -> None:
        """Let git-lfs look for them at a path, which it does without any connection."""
        if shutil.which("git-lfs") is None:
            raise InvalidRequest("the source has large files, and git-lfs is not installed", hint="install git-lfs")
        config |= {"remote.origin.url": remote.url.text, "remote.lfsdefault": "origin", "lfs.locksverify": "false"}
        config["lfs.url"] = f"file://{remote.url.path}"
        git.run(self.path, "lfs", "fetch", "origin", commit, config=config, timeout=seconds, children=self._asking)

    def offered(self, remote: Remote) -> Listing:
        """Ask a remote for its branches and tags. Raises as `fetch`."""
        command = ("ls-remote", "--symref", "--quiet", "--end-of-options", remote.url.text)
        with access(remote, self._directory / "known_hosts") as config, _told(remote):
            self._directory.mkdir(parents=True, exist_ok=True)
            wanted = ("HEAD", HEADS + "*", TAGS + "*")
            done = git.run(None, *command, *wanted, config=config, timeout=LIST_SECONDS, children=self._asking)
        refs, default = dict[str, str](), ""
        for line in done.stdout.decode("utf-8", "replace").splitlines():
            left, _, name = line.partition("\t")
            if name == "HEAD" and left.startswith(f"ref: {HEADS}"):
                default = left.removeprefix(f"ref: {HEADS}")
            elif name.startswith((HEADS, TAGS)) and not name.endswith("^{}"):
                refs[name] = left
        return Listing(refs, default)

    @property
    def default_branch(self) -> str:
        """The branch that the remote's HEAD pointed to at the last fetch; empty when that is unknown."""
        if not self.path.is_dir():
            return ""
        done = git.run(self.path, "symbolic-ref", "--quiet", "HEAD", accept=(0, 1))
        return done.stdout.decode("utf-8", "replace").strip().removeprefix(HEADS)

    def branches(self) -> dict[str, str]:
        """Return the branches and their commits, sorted by name."""
        return {name.removeprefix(HEADS): oid for name, oid in self._refs(HEADS).items()}

    def tags(self) -> dict[str, str]:
        """Return the tags of commits and these commits, sorted by name."""
        lines = self._for_each("%(refname)%00%(objectname)%00%(*objectname)%00%(objecttype)%00%(*objecttype)", TAGS)
        found = {}
        for name, oid, peeled, kind, inner in lines:
            if "commit" in (kind, inner):
                found[name.removeprefix(TAGS)] = peeled or oid
        return found

    def commit_of(self, name: str) -> str:
        """Return the commit that a full ref name or a (perhaps shortened) commit id means. Raises NotFound."""
        if not self.path.is_dir():
            raise NotFound("nothing was fetched yet")
        if name.startswith("refs/"):
            found = [commit for commit in [self._peeled(name)] if commit]
        elif re.fullmatch(r"[0-9a-f]{7,64}", name):  # not by its name alone: a branch may be called like a commit
            objects = git.run(self.path, "rev-parse", f"--disambiguate={name}").stdout.decode().split()
            found = [commit for commit in map(self._peeled, objects) if commit]
        else:
            raise InvalidRequest(f"{name!r} is not the id of a commit")
        if len(found) != 1:
            shown = name.removeprefix(HEADS).removeprefix(TAGS)
            raise NotFound(f"the source has {'no' if not found else 'more than one'} {shown}")
        return found[0]

    def _peeled(self, name: str) -> str:
        """Return the commit that a full ref name or the id of an object means; empty when it means none."""
        command = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        done = git.run(self.path, *command, accept=(0, 1, 128))
        commit = done.stdout.decode().strip()
        return commit if done.returncode == 0 and _COMMIT.fullmatch(commit) else ""

    def contains(self, commit: str, *refs: str) -> bool:
        """Tell whether a commit belongs to one of the refs, by whole name; none named: to any branch or tag.

        What others only proposed does not belong to the project.
        """
        command = ("for-each-ref", "--count=1", f"--contains={commit}", *(refs or (HEADS, TAGS)))
        return bool(git.run(self.path, *command, accept=(0, 129)).stdout)

    def message(self, commit: str) -> str:
        """Return the message of a commit that is here, at most its first MAX_MESSAGE characters."""
        command = ("show", "--no-patch", "--format=%B", "--end-of-options", commit)
        return git.run(self.path, *command).stdout.decode("utf-8", "replace")[:MAX_MESSAGE]

    def changed(self, old: str, new: str, *, since_fork: bool = False) -> list[str] | None:
        """Return the paths that differ between two commits, None when one of them is not here.

        `since_fork`: those that `new` changed since it left the history of `old`, as forges show pull requests.
        """
        try:
            old, new = self.commit_of(old), self.commit_of(new)
            if since_fork:
                base = git.run(self.path, "merge-base", "--end-of-options", old, new, accept=(0, 1)).stdout
                old = base.decode().strip() or old
        except (NotFound, InvalidRequest):
            return None
        command = ("diff-tree", "-r", "-z", "--no-renames", "--name-only", "--end-of-options", old, new)
        return [path.decode("utf-8", "replace") for path in git.run(self.path, *command).stdout.split(b"\0") if path]

    def authors(self, commit: str) -> frozenset[str]:
        """Return the e-mail addresses of author and committer of a commit, in small letters. Raises NotFound."""
        command = ("show", "--no-patch", "--format=%ae%n%ce", "--end-of-options", self.commit_of(commit))
        text = git.run(self.path, *command).stdout.decode("utf-8", "replace")
        return frozenset(line.casefold() for line in text.splitlines() if line)

    def described(self, commit: str) -> tuple[str, str]:
        """Return the e-mail address of the author of a commit, and the subject of its message. Raises NotFound."""
        command = ("show", "--no-patch", "--format=%ae%n%s", "--end-of-options", self.commit_of(commit))
        author, _, subject = git.run(self.path, *command).stdout.decode("utf-8", "replace").partition("\n")
        return author, subject.strip()

    def since(self, old: str, new: str, limit: int) -> list[Change]:
        """Return the commits that `new` has and `old` has not, the newest first, at most `limit`. Raises NotFound, InvalidRequest."""
        old, new = self.commit_of(old), self.commit_of(new)
        command = ("log", "-z", "--format=%H%x1f%at%x1f%an%x1f%s", f"--max-count={limit}", "--end-of-options")
        text = git.run(self.path, *command, new, f"^{old}").stdout.decode("utf-8", "replace")
        return [Change(*_told_of(entry)) for entry in text.split("\0") if entry]

    def remove(self) -> None:
        """Delete the mirror."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def _begun(self, remote: Remote) -> None:
        """Fetch everything first where nothing was fetched yet."""
        if not self.path.is_dir():
            self.fetch(remote)

    def _ensure(self, listing: Listing) -> None:
        if (self.path / "HEAD").is_file():
            return
        kinds = {len(oid) for oid in listing.refs.values()}
        made = self._directory / "making.git"
        shutil.rmtree(made, ignore_errors=True)
        object_format = "sha256" if kinds == {64} else "sha1"
        git.run(None, "init", "--quiet", "--bare", "--template=", f"--object-format={object_format}", str(made))
        made.rename(self.path)

    def _fetch(
        self, remote: Remote, config: Mapping[str, str], specs: list[str], *options: str, seconds: float
    ) -> None:
        lenient = {f"fetch.fsck.{name}": "ignore" for name in _LENIENT}
        settings = {**config, **lenient, "fetch.unpackLimit": "1", "fetch.writeCommitGraph": "false"}
        quiet = ("--quiet", "--no-auto-maintenance", "--no-write-fetch-head", "--no-recurse-submodules", "--no-tags")
        command = ("fetch", *quiet, *options, "--end-of-options", remote.url.text, *specs)
        with _told(remote):
            git.run(self.path, *command, config=settings, timeout=seconds, children=self._asking)

    def _tidy(self) -> None:
        """Put small packs together when there are many. A repack that fails leaves what is there."""
        if len(list(self.path.glob("objects/pack/pack-*.pack"))) >= MANY_PACKS:
            git.run(self.path, "repack", "--geometric=2", "-d", "-q", accept=(0, 1, 128))

    def _refs(self, *prefixes: str) -> dict[str, str]:
        return {line[0]: line[1] for line in self._for_each("%(refname)%00%(objectname)", *prefixes)}

    def _for_each(self, form: str, *prefixes: str) -> list[list[str]]:
        if not self.path.is_dir():
            return []
        text = git.run(self.path, "for-each-ref", f"--format={form}", *prefixes).stdout.decode("utf-8", "replace")
        return [line.split("\0") for line in text.split("\n") if line]

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self._directory / "lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _told_of(entry: str) -> tuple[str, float, str, str]:
    commit, at, author, subject = entry.split("\x1f", 3)
    return commit, float(at or 0), shown(author, MAX_NAME), shown(subject, MAX_SUBJECT)


@contextmanager
def _told(remote: Remote) -> Iterator[None]:
    """Turn what git says about a remote into an error for people."""
    try:
        yield
    except GitError as error:
        raise _explained(remote, error) from error


def _explained(remote: Remote, error: GitError) -> FlowError:
    words = error.message.partition(": ")[2] or error.message
    where = remote.url.text
    match error.failure:
        case GitFailure.REFUSED:
            hint = "the project needs another credential"
            return InvalidRequest(f"{where} does not let the server in: {words}", hint=hint)
        case GitFailure.NOT_A_REPOSITORY:
            return InvalidRequest(f"there is no git repository at {where}: {words}", hint="is the address right?")
        case GitFailure.UNREACHABLE | GitFailure.TIMEOUT:
            return Unreachable(f"{where} cannot be reached: {words}")
    if error.failure is GitFailure.DENIED:
        hint = "it must belong to the user of the server, and be readable for it"
        return InvalidRequest(f"{where} cannot be read: {words}", hint=hint)
    if "not found" in words and "repository" in words:
        return InvalidRequest(
            f"there is no git repository at {where}", hint="is the address right, and the credential?"
        )
    if "returned error: 30" in words:
        return InvalidRequest(
            f"{where} moved: {words}", hint="give the address that it leads to; often .git is missing"
        )
    return error
