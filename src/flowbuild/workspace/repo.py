"""The repository of a run: bare, SHA-256, one commit per attempt. See docs/run-repository.md.

Everything on the hot path reads and writes git's formats directly; stock git is only started for what people look at.
"""

from __future__ import annotations

import functools
import json
import os
import re
import secrets
import shutil
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flowbuild.core.errors import Conflict, InvalidRequest, NotFound, WorkspaceError
from flowbuild.core.ids import STEP_NAME, CommitId, StepKey, attempt_ref, step_ref
from flowbuild.core.model import MergeRule
from flowbuild.workspace import commits, diff, history, layout, variables
from flowbuild.workspace.commits import Commit
from flowbuild.workspace.durable import Syncer
from flowbuild.workspace.layout import Layout, TreeKeeper
from flowbuild.workspace.lfs import LfsStore, Pointer, parse_pointer
from flowbuild.workspace.merging import Merged, merge_commits
from flowbuild.workspace.objects import ObjectDatabase
from flowbuild.workspace.packfile import check_pack
from flowbuild.workspace.refs import Refs
from flowbuild.workspace.repack import repack
from flowbuild.workspace.source import Source
from flowbuild.workspace.source_tree import store_source

MAIN = "refs/heads/main"
STEPS = "refs/heads/step/"
MANY_PACKS = 50  # of the small ones; every look-up may ask them all
BORROWED_FROM = 100  # objects of one pack: sharing it is cheaper then than copying them
_OID = re.compile(r"[0-9a-f]{64}")
_CONFIG = """\
[core]
\trepositoryformatversion = 1
\tfilemode = true
\tbare = true
[extensions]
\tobjectformat = sha256
[gc]
\tauto = 0
[receive]
\tfsckObjects = true
\tunpackLimit = 1
[lfs]
\tstorage = "{lfs}"
\tlocksverify = false
"""
_STORAGE = re.compile(r'^\tstorage = "((?:[^"\\]|\\.)*)"$', re.MULTILINE)
_QUOTE = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\b": "\\b"}
_UNQUOTE = {quoted[1]: char for char, quoted in _QUOTE.items()}


@dataclass(frozen=True, slots=True)
class AttemptCommit:
    """One attempt as the repository knows it; `accepted` when it is the result of its step."""

    step: str
    attempt: int
    epoch: int
    commit: CommitId
    time: int  # seconds since the epoch
    accepted: bool
    trailers: Mapping[str, str]


class RunRepository:
    """One run repository; safe for several threads, and for several processes that each open it."""

    def __init__(self, path: Path, lfs: LfsStore) -> None:
        """Use `create`, `open` or `fork`."""
        self.path = path
        self.lfs = lfs
        self.db = ObjectDatabase(path)
        self.refs = Refs(path)
        self._commits: dict[str, Commit] = {}
        self._objects, self._large = Syncer(path), Syncer(lfs.root)

    @classmethod
    def create(cls, path: Path, *, lfs: Path) -> RunRepository:
        """Make an empty repository whose large files are kept in `lfs`; raises Conflict when `path` exists."""
        try:
            path.mkdir(parents=True)
        except FileExistsError as error:
            raise Conflict(f"{path} already exists") from error
        for directory in ("objects/info", "objects/pack", "refs/heads", "refs/tags"):
            (path / directory).mkdir(parents=True)
        _name_storage(path, lfs)
        (path / "HEAD.new").write_text(f"ref: {MAIN}\n", "ascii")
        (path / "HEAD.new").rename(path / "HEAD")  # last and whole: without it this is no repository
        return cls(path, LfsStore(lfs))

    @classmethod
    def open(cls, path: Path) -> RunRepository:
        """Open a repository; raises NotFound when there is none."""
        try:
            config = (path / "config").read_text("utf-8", "surrogateescape")
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotFound(f"no run repository at {path}") from error
        match = _STORAGE.search(config)
        if match is None or not (path / "HEAD").is_file():
            raise WorkspaceError(f"{path} is not a run repository")
        return cls(path, LfsStore(Path(re.sub(r"\\(.)", lambda quoted: _UNQUOTE[quoted[1]], match[1]))))

    @staticmethod
    def move_large(path: Path, lfs: Path) -> None:
        """Tell the repository at `path` that its large files are kept in `lfs` now."""
        _name_storage(path, lfs)

    def take_back(self, initial: CommitId, attempts: Collection[str]) -> None:
        """Go back to the time when only the refs `attempts` were there, and no result was accepted."""
        for name in self.refs.list("refs/attempts/").keys() - set(attempts):
            self.refs.remove(name)
        for name in self.refs.list(STEPS):
            self.refs.remove(name)
        self.refs.update(MAIN, initial, old=self.refs.read(MAIN))

    def fork(self, path: Path) -> RunRepository:
        """Make a repository with the same objects (hard links where possible) and large files, but refs of its own.

        It keeps working when this one is removed.
        """
        copy = RunRepository.create(path, lfs=self.lfs.root)
        with self.refs.exclusive():  # no pack is removed meanwhile
            for source in sorted(self.path.joinpath("objects").rglob("*"), key=lambda file: file.suffix == ".idx"):
                if source.is_file() and source.suffix in {".pack", ".idx", ""} and not source.name.startswith("tmp_"):
                    _link(source, path / source.relative_to(self.path))
        copy.db.refresh()
        return copy

    def borrow(self, other: RunRepository, oids: Iterable[bytes]) -> None:
        """Have packs of another repository here too (hard links where possible) that hold many of some objects.

        Whatever else is in them comes along, so each is checked. Raises WorkspaceError when one is damaged.
        """
        held = Counter(pack for oid in oids if (pack := other.db.pack_of(oid)) is not None)
        with other.refs.exclusive():  # no pack is removed meanwhile
            for pack in [pack for pack, count in held.items() if count >= BORROWED_FROM and pack.exists()]:
                check_pack(pack)
                for source in (pack, pack.with_suffix(".idx")):
                    _link(source, self.path / "objects" / "pack" / source.name)
        self.db.refresh()

    def initial(self, *, source: Source | None, variables: Mapping[str, str], trailers: Mapping[str, str]) -> CommitId:
        """Write the first commit, the input of first steps, and point `main` to it.

        Its workspace is the source as it is on disk, or empty; `trailers` say what the run is and are its run record.
        """
        with TreeKeeper(self.path, self.db) as writer:
            stored = store_source(source, writer, self.lfs)
            record = json.dumps(dict(trailers), indent=1, sort_keys=True).encode() + b"\n"
            root = layout.write(writer, Layout(stored.tree, stored.meta, variables, stored.lfs, record))
            commit = self._add_commit(writer, Commit(root.hex(), (), int(time.time()), "Start of the run", trailers))
        self.refs.update(MAIN, commit, old=None)
        return commit

    def merge(
        self,
        parents: Sequence[tuple[StepKey, CommitId]],
        *,
        rules: Sequence[MergeRule],
        variable_rules: Sequence[MergeRule],
    ) -> Merged:
        """Merge the results of a step's parents, in file order, into its input; see `merging.merge_commits`."""
        if not parents:
            raise InvalidRequest("nothing to merge")
        return merge_commits(self, parents, rules=rules, variable_rules=variable_rules)

    def with_variables(self, commit: CommitId, changes: Mapping[str, str | None]) -> CommitId:
        """Return a child of `commit` with other variables (None removes one); `commit` itself when nothing changes."""
        variables.check(changes)
        old = self.layout(commit)
        merged = {**old.variables, **changes}
        values = {name: value for name, value in merged.items() if value is not None}
        if values == old.variables:
            return commit
        parent = self.commit(commit)
        with TreeKeeper(self.path, self.db) as writer:
            root = layout.write(writer, Layout(old.workspace, old.meta, values, old.lfs, old.record))
            trailers = {"Flow-Variables": " ".join(sorted(changes))}
            return self._add_commit(writer, Commit(root.hex(), (commit,), parent.time, "Set variables", trailers))

    def variables(self, commit: CommitId) -> dict[str, str]:
        """Return the variables of a commit."""
        return dict(self.layout(commit).variables)

    def write_attempt_ref(self, step: str, attempt: int, epoch: int, commit: CommitId) -> None:
        """Record the result of an attempt under the ref that its lease allows; the same again is no error.

        Raises Conflict when that attempt and epoch already has another result.
        """
        _check_step(step)
        self.commit(commit)
        name = attempt_ref(step, int(attempt), int(epoch))
        with self.refs.exclusive():
            present = self.refs.read(name)
            if present is None:
                self.refs.update(name, commit, old=None)
            elif present != commit:
                raise Conflict(
                    f"attempt {attempt} of step {step} (epoch {epoch}) already has the result {present[:12]}"
                )

    def attempt_result(self, step: str, attempt: int, epoch: int) -> CommitId | None:
        """Return what `write_attempt_ref` recorded for an attempt and epoch."""
        _check_step(step)
        found = self.refs.read(attempt_ref(step, int(attempt), int(epoch)))
        return None if found is None else CommitId(found)

    def accept(
        self,
        step: str,
        commit: CommitId,
        *,
        rules: Sequence[MergeRule],
        variable_rules: Sequence[MergeRule],
        order: Sequence[StepKey] = (),
    ) -> None:
        """Make a commit the result of its step, and `main` the merge of all results.

        `order`: the steps as they stand in the file, which is the order of sides for policies; a conflict that no policy
        settles goes to the last one, so that there always is a `main`.

        Only the server may call this, in the decision that accepts the result. Again with the same is no error. When
        it returns, the result survives a loss of power; this waits for the disk, so keep it off the hot path.
        """
        _check_step(step)
        self.commit(commit)
        self._large.sync(self.lfs.path(pointer.oid) for pointer in self.large_files(commit))
        name = step_ref(step)
        while True:
            main = self.refs.read(MAIN)
            merged = self._onto_main(main, step, commit, rules=rules, variable_rules=variable_rules, order=order)
            # Outside of the lock: other steps do not wait for the disk to record their attempts.
            self._objects.sync([self.path / "config", self.path / "HEAD", *self.path.glob("objects/pack/pack-*")])
            with self.refs.exclusive():
                if self.refs.read(MAIN) != main:  # another result came first
                    continue
                if (present := self.refs.read(name)) != commit:
                    self.refs.update(name, commit, old=present, durable=True)
                if merged != main:
                    self.refs.update(MAIN, merged, old=main, durable=True)
                return

    def _onto_main(
        self,
        main: str | None,
        step: str,
        commit: CommitId,
        *,
        rules: Sequence[MergeRule],
        variable_rules: Sequence[MergeRule],
        order: Sequence[StepKey],
    ) -> str:
        if main is None:
            return commit
        sides = [(StepKey("main"), CommitId(main)), (StepKey(step), commit)]
        undisputed = merge_commits(self, sides, rules=(), variable_rules=()).commit
        if undisputed is not None:
            return undisputed
        # What the pipeline says of conflicts, it says of the results of steps in the order of its file, not of what was
        # merged here before, in the order in which results came.
        results = {StepKey(name.rpartition("/")[2]): CommitId(oid) for name, oid in self.refs.list(STEPS).items()}
        results[StepKey(step)] = commit
        rank = {key: number for number, key in enumerate(order)}
        sides = sorted(results.items(), key=lambda side: (rank.get(side[0], len(rank)), side[0]))
        merged = merge_commits(self, sides, rules=rules, variable_rules=variable_rules, later_wins=True).commit
        return self._on_top(CommitId(main), commit, merged or commit)

    def _on_top(self, main: CommitId, result: CommitId, merged: CommitId) -> CommitId:
        """Give `main` the content of a merge without leaving its history, so that clones can follow it."""
        found = self.commit(merged)
        with TreeKeeper(self.path, self.db) as writer:
            parents = tuple(dict.fromkeys((main, result)))
            return self._add_commit(writer, Commit(found.tree, parents, found.time, found.subject, found.trailers))

    def large_files(self, commit: CommitId) -> frozenset[Pointer]:
        """Return the large files that a commit lists."""
        stored = self.layout(commit)
        read_tree = functools.cache(self.db.tree)
        entries = (layout.lookup(stored.workspace, path, read_tree) for path in stored.lfs)
        pointers = (parse_pointer(self.db.blob(entry.oid)) for entry in entries if entry is not None)
        return frozenset(pointer for pointer in pointers if pointer is not None)

    def changes(self, old: CommitId | None, new: CommitId) -> list[diff.Change]:
        """Return what changed in the workspace between two commits (None: nothing at all), sorted by path."""
        before = self.layout(old).workspace if old is not None else None
        return diff.changes(before, self.layout(new).workspace, self.db.tree, self.db.blob)

    def change_counts(self, old: CommitId, new: CommitId) -> dict[str, int]:
        """Return how many paths of the workspace were added (A), modified (M) and deleted (D)."""
        differences = layout.differences(self.layout(old).workspace, self.layout(new).workspace, self.db.tree)
        return dict(Counter(diff.status(one).replace("T", "M") for one in differences))

    def patch(self, old: CommitId, new: CommitId) -> Iterator[bytes]:
        """Yield the text of `git diff` between two workspaces, at most `diff.PATCH_LIMIT` bytes."""
        self.commit(old)
        self.commit(new)
        return diff.patch(self.path, old, new)

    def log(self) -> list[AttemptCommit]:
        """Return all attempts, in the order of their commits."""
        accepted = set(self.refs.list(STEPS).values())
        found = []
        for name, oid in self.refs.list("refs/attempts/").items():
            _, _, step, attempt, epoch = name.split("/")
            commit = self.commit(oid)
            found.append(
                AttemptCommit(
                    step, int(attempt), int(epoch), CommitId(oid), commit.time, oid in accepted, commit.trailers
                )
            )
        return sorted(found, key=lambda one: (one.time, one.step, one.attempt, one.epoch))

    def tidy(self) -> bool:
        """Put small packs together when there are at least MANY_PACKS; return whether that was done.

        Safe beside readers and writers: objects are in the new pack before they leave the old ones.
        """
        return repack(self.path, self.db, self.refs.exclusive, at_least=MANY_PACKS)

    def main(self) -> CommitId | None:
        """Return the merge of all results so far."""
        found = self.refs.read(MAIN)
        return None if found is None else CommitId(found)

    def commit(self, oid: str) -> Commit:
        """Return a commit; raises InvalidRequest for what is not an id, WorkspaceError when it is missing or damaged."""
        found = self._commits.get(oid)
        if found is None:
            if not _OID.fullmatch(oid):
                raise InvalidRequest(f"not the id of a commit: {oid!r}")
            kind, data = self.db.read(bytes.fromhex(oid))
            if kind != "commit":
                raise InvalidRequest(f"{oid} is a {kind}, not a commit")
            found = self._commits[oid] = commits.decode(data)
        return found

    def layout(self, oid: str) -> Layout:
        """Return the parts of a commit's tree; raises as `commit`."""
        return layout.read(self.db, bytes.fromhex(self.commit(oid).tree))

    def ancestors(self, commit: CommitId) -> frozenset[str]:
        """Return the commits that `commit` was made of, itself included."""
        return history.ancestors(self, commit)

    @staticmethod
    def _add_commit(writer: TreeKeeper, commit: Commit) -> CommitId:
        return CommitId(writer.add("commit", commits.encode(commit)).hex())


def _check_step(step: str) -> None:
    if not STEP_NAME.fullmatch(step):
        raise InvalidRequest(f"not the name of a step: {step!r}")


def _name_storage(path: Path, lfs: Path) -> None:
    storage = "".join(_QUOTE.get(char, char) for char in str(lfs.absolute()))
    (path / "config").write_text(_CONFIG.format(lfs=storage), "utf-8", "surrogateescape")
    # git-lfs serves a local clone from here: started by git it reads the configuration of the clone, not this one.
    (path / "lfs").unlink(missing_ok=True)
    (path / "lfs").symlink_to(lfs.absolute(), target_is_directory=True)


def _link(source: Path, target: Path) -> None:
    """Give a finished object file a second name, or copy it to another file system; one that is there is left alone."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except FileExistsError:
        return
    except OSError:
        temporary = target.with_name(f"tmp_{secrets.token_hex(8)}")
        shutil.copyfile(source, temporary)
        temporary.rename(target)
