"""A replayed result is what running the step again would give, or there is none."""

import contextlib
import itertools
import os
import shutil
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from flowbuild.core.errors import FlowError
from flowbuild.core.ids import CommitId
from flowbuild.testing.trees import differences, scan
from flowbuild.workspace import git, layout
from flowbuild.workspace import repo as repo_module
from flowbuild.workspace.commits import Commit, encode
from flowbuild.workspace.layout import Layout, TreeKeeper
from flowbuild.workspace.materialise import materialise
from flowbuild.workspace.replay import Misfit, Recorded, replay
from flowbuild.workspace.repo import RunRepository
from flowbuild.workspace.snapshot import Options, snapshot
from flowbuild.workspace.statcache import StatCache

SMALL = Options(large_bytes=20)  # so that "L" is a large file
CONTENTS = ("", "one", "two", "L" * 30, "M" * 30)
STEPS = itertools.count(1_700_000_000 * 10**9, 10**9)


class Lab:
    """Directories and repositories below a temporary directory."""

    def __init__(self, top):
        self.top = Path(top)
        self.count = itertools.count()

    def repository(self):
        return RunRepository.create(self.top / f"run{next(self.count)}.git", lfs=self.top / "lfs")

    def directory(self):
        path = self.top / f"tree{next(self.count)}"
        path.mkdir()
        return path

    def copy(self, directory):
        made = self.top / f"tree{next(self.count)}"
        shutil.copytree(directory, made, symlinks=True, copy_function=shutil.copy2)  # cannot copy FIFOs: see `start`
        return made

    def commit(self, repo, directory, variables=(), parent=None):
        with TreeKeeper(repo.path, repo.db) as writer:
            stored = snapshot(directory, writer, lfs=repo.lfs, cache=StatCache(), options=SMALL)
            parts = Layout(stored.tree, stored.meta, dict(variables), tuple(sorted(stored.large)), b"{}\n")
            made = Commit(layout.write(writer, parts).hex(), (parent,) if parent else (), 1, "test", {})
            return CommitId(writer.add("commit", encode(made)).hex())

    def fsck(self, repo, commit):
        repo.refs.update(repo_module.MAIN, commit, old=repo.refs.read(repo_module.MAIN))
        git.fsck(repo.path)

    def contents(self, repo, commit):
        """All that a step could notice of a commit's workspace."""
        made, parts = self.directory(), repo.layout(commit)
        lost = materialise(repo.db, parts.workspace, parts.meta, made, lfs=repo.lfs, options=SMALL)
        assert lost == ()
        return scan(made)


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path)


# What a step does: (verb, path, argument). Each says what becomes of a path, whatever is there.


def do(top, action, at):
    """Do it as a shell with `set -e` would, at a time; raises OSError when that is not possible."""
    verb, path, argument = action
    target = top / path
    if any((top / parent).is_symlink() for parent in Path(path).parents) or (
        verb in ("fill", "chmod") and target.is_symlink()
    ):
        raise OSError(f"{target} is another path behind a link")
    for parent in reversed(target.parents[: len(Path(path).parts) - 1]):
        if verb not in ("remove", "dismantle", "remove all", "chmod", "touch"):
            make(parent, at)
    before = set(target.parent.iterdir()) if target.parent.is_dir() else set()
    perform(target, verb, argument)
    written = verb in ("replace", "fill", "link", "touch", "fifo") or (verb == "mkdir" and target not in before)
    if written and (target.is_symlink() or target.exists()):
        os.utime(target, ns=(at, at), follow_symlinks=False)
    if target.parent.is_dir() and (before != set(target.parent.iterdir()) or verb in ("replace", "link", "fifo")):
        os.utime(target.parent, ns=(at, at))


def make(parent, at):
    if not parent.is_dir():
        parent.mkdir(mode=0o755)
        os.utime(parent, ns=(at, at))
        os.utime(parent.parent, ns=(at, at))


def perform(target, verb, argument):
    there = target.is_symlink() or target.exists()
    if verb in ("replace", "link", "fifo") and there:
        target.unlink()
    match verb:
        case "replace":
            target.write_text(argument[0])
            target.chmod(argument[1])
        case "fill":
            if target.is_fifo():
                raise OSError(f"{target} would make its writer wait")
            with target.open("w") as file:  # keeps the permissions of a file that is there
                file.write(argument)
        case "link":
            target.symlink_to(argument)
        case "fifo":
            os.mkfifo(target, 0o644)
        case "mkdir":
            target.mkdir(exist_ok=True)
        case "chmod":
            target.chmod(argument)
        case "touch":
            os.utime(target, ns=(0, 0), follow_symlinks=False)
        case "dismantle":
            (target / "a").unlink(missing_ok=True)
            target.rmdir()
        case "remove" if there:
            target.unlink()
        case "remove all" if there:
            shutil.rmtree(target) if target.is_dir() and not target.is_symlink() else target.unlink()


def look(top):
    """What the actions can change; directories without their times."""
    return {
        path: (entry if stat.S_IFMT(entry.kind) != stat.S_IFDIR else (entry.kind, entry.mode))
        for path, entry in scan(top).items()
    }


NAMES = st.sampled_from(["a", "b", ".git", "%"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
MODES = st.sampled_from([0o644, 0o755, 0o600])
ACTIONS = st.one_of(
    st.tuples(st.just("replace"), PATHS, st.tuples(st.sampled_from(CONTENTS), MODES)),
    st.tuples(st.just("fill"), PATHS, st.sampled_from(CONTENTS)),
    st.tuples(st.just("link"), PATHS, st.sampled_from(["a", "../b", "nowhere"])),
    st.tuples(st.just("chmod"), PATHS, st.sampled_from([0o644, 0o755, 0o700])),
    st.tuples(st.sampled_from(["fifo", "mkdir", "touch", "remove", "dismantle", "remove all"]), PATHS, st.none()),
)


def related(one, other):
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def start(lab, actions):
    """Make a tree; actions that are not possible are left out."""
    top = lab.directory()
    for action in actions:
        if action[0] != "fifo":
            with contextlib.suppress(OSError):
                do(top, action, next(STEPS))
    return top


def record(lab, top, actions):
    """Do actions on disjoint paths that each change something; return those, with their times."""
    done = []
    for action in actions:
        if any(related(action[1], earlier[1]) for earlier, _ in done):
            continue
        trial, at = lab.copy(top), next(STEPS)
        try:
            do(trial, action, at)
        except OSError:
            continue
        if look(trial) != look(top):
            done.append((action, at))
        shutil.rmtree(trial)
    for action, at in done:
        do(top, action, at)
    return done


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    begin=st.lists(ACTIONS, max_size=8),
    step=st.lists(ACTIONS, min_size=1, max_size=4),
    others=st.lists(ACTIONS, max_size=4),
)
@example(  # more was appended to it, or it was made anew
    begin=[("fill", "a", "one")], step=[("fill", "a", "two")], others=[("fill", "a", "M" * 30)]
)
@example(begin=[], step=[("fill", "a", "one")], others=[("fill", "a", "one")])
@example(  # written as it was, or touched: its time alone does not tell
    begin=[("replace", "a", ("one", 0o644))], step=[("fill", "a", "one")], others=[("fill", "a", "two")]
)
@example(begin=[("fill", "a", "one")], step=[("touch", "a", None)], others=[("fill", "a", "two")])
@example(  # written in place or anew: the permissions that are there now would stay or not
    begin=[("replace", "a", ("one", 0o644))], step=[("fill", "a", "two")], others=[("chmod", "a", 0o755)]
)
@example(  # `rm -r` would take along what nobody recorded, `rm` and `rmdir` would not
    begin=[("replace", "a/a", ("one", 0o644))], step=[("dismantle", "a", None)], others=[("fill", "a/b", "two")]
)
@example(begin=[("fill", "a/a", "one")], step=[("remove all", "a", None)], others=[("fill", "a/b", "two")])
@example(begin=[("mkdir", "a", None)], step=[("replace", "a/b", ("L" * 30, 0o755))], others=[("remove all", "a", None)])
@example(begin=[("fill", "a", "one")], step=[("chmod", "a", 0o755)], others=[("fill", "a", "M" * 30)])
def test_a_replay_is_what_running_again_would_give(begin, step, others):
    with tempfile.TemporaryDirectory() as top:
        lab = Lab(top)
        old, new = lab.repository(), lab.repository()
        tree = start(lab, begin)
        changed = lab.copy(tree)
        recorded_input = lab.commit(old, tree)
        step = record(lab, tree, step)
        recorded = Recorded(old, recorded_input, lab.commit(old, tree, parent=recorded_input))
        touched = set()
        for action in others:
            with contextlib.suppress(OSError):
                do(changed, action, next(STEPS))
                touched.add(action[1])
        current = lab.commit(new, changed)
        try:
            for action, at in step:
                do(changed, action, at)
        except OSError:
            changed = None  # running it again fails
        try:
            done = replay(new, current, recorded, message="again", trailers={})
        except Misfit:
            apart = not any(related(path, action[1]) for path in touched for action, _ in step)
            assert not apart, "nothing that the step changed has changed, so it must be possible"
            event("misfit")
            return
        event("replayed" if touched else "replayed on the same input")
        assert changed is not None, "running it again fails, so there must be no replay"
        assert replay(new, current, recorded, message="again", trailers={}) == done
        real = lab.commit(new, changed, parent=current)
        assert new.layout(done).workspace == new.layout(real).workspace
        assert new.layout(done).lfs == new.layout(real).lfs
        found, expected = lab.contents(new, done), scan(changed)
        folders = {path for path, entry in expected.items() if stat.S_ISDIR(entry.kind)}
        assert differences(*({p: e for p, e in one.items() if p not in folders} for one in (found, expected))) == []
        # The directory above one that is made, but was there already, is as new here as if it had not been there.
        assert differences(found, expected, ignore=frozenset({"mtime_ns"} if touched else ())) == []
        lab.fsck(new, done)


def small_case(lab, text="one", variables=None):
    """A recorded step that writes `out` and changes a variable, and another input for it."""
    old, new = lab.repository(), lab.repository()
    tree = start(lab, [("fill", "in", "in"), ("fill", "large", "L" * 30)])
    changed = lab.copy(tree)
    before = lab.commit(old, tree, {"A": "1", "GONE": "x", "KEPT": "k"})
    do(tree, ("fill", "out", text), next(STEPS))
    do(tree, ("fill", "out-large", "M" * 30), next(STEPS))
    after = lab.commit(old, tree, {"A": "2", "NEW": "n", "KEPT": "k"}, parent=before)
    do(changed, ("fill", "undeclared", "mine"), next(STEPS))
    current = lab.commit(new, changed, {"A": "1", "GONE": "y", "KEPT": "other", "MINE": "m"} | (variables or {}))
    return new, current, Recorded(old, before, after)


def test_variables_and_trailers(lab):
    new, current, recorded = small_case(lab)
    done = replay(new, current, recorded, message="step: succeeded", trailers={"Flow-Cached-Run": "r"})
    assert new.variables(done) == {"A": "2", "NEW": "n", "KEPT": "other", "MINE": "m"}
    assert new.change_counts(current, done) == {"A": 2}
    commit = new.commit(done)
    assert (commit.parents, commit.subject) == ((current,), "step: succeeded")
    assert commit.trailers == {"Flow-Cached-Run": "r"}
    assert new.layout(done).lfs == (b"large", b"out-large")
    assert git.run(new.path, "show", f"{done}:.gitattributes").stdout.count(b"filter=lfs") == 2


@pytest.mark.parametrize("now", [{"A": "3"}, {"NEW": "n"}, {"NEW": "other"}])
def test_a_variable_that_is_not_what_it_was(lab, now):
    new, current, recorded = small_case(lab, variables=now)
    with pytest.raises(Misfit, match="variable"):
        replay(new, current, recorded, message="m", trailers={})


def test_the_new_repository_stands_alone(lab):
    new, current, recorded = small_case(lab)
    done = replay(new, current, recorded, message="m", trailers={})
    shutil.rmtree(recorded.repository.path)
    again = RunRepository.open(new.path)
    assert b"out" in lab.contents(again, done)
    lab.fsck(again, done)


@pytest.mark.parametrize("share", [1, 10**9])
def test_objects_come_by_shared_packs_or_by_copying(lab, monkeypatch, share):
    monkeypatch.setattr(repo_module, "BORROWED_FROM", share)
    new, current, recorded = small_case(lab)
    packs = {path.name for path in recorded.repository.path.glob("objects/pack/*.pack")}
    done = replay(new, current, recorded, message="m", trailers={})
    shared = packs & {path.name for path in new.path.glob("objects/pack/*.pack")}
    assert bool(shared) == (share == 1)
    assert all((new.path / "objects/pack" / name).stat().st_nlink == 2 for name in shared)
    assert b"out" in lab.contents(new, done)
    lab.fsck(new, done)


def test_what_is_there_already_is_not_written_again(lab):
    new, current, recorded = small_case(lab)
    done = replay(new, current, recorded, message="m", trailers={})
    packs = set(new.path.glob("objects/pack/*"))
    assert replay(RunRepository.open(new.path), current, recorded, message="m", trailers={}) == done
    assert set(new.path.glob("objects/pack/*")) == packs


@pytest.mark.parametrize("share", [1, 10**9])
@pytest.mark.parametrize("damage", ["no repository", "no pack", "cut pack", "flipped bit", "flipped index", "no large"])
def test_a_damaged_recording_is_noticed_and_does_no_harm(lab, monkeypatch, damage, share):
    monkeypatch.setattr(repo_module, "BORROWED_FROM", share)
    text = "recognisable"
    new, current, recorded = small_case(lab, text)
    path = recorded.repository.path
    (pack,) = (one for one in path.glob("objects/pack/*.pack") if text.encode() in one.read_bytes())
    match damage:
        case "no repository":
            shutil.rmtree(path)
        case "no pack":
            pack.unlink()
        case "cut pack":
            rewrite(pack, lambda data: data[: len(data) // 2])
        case "flipped bit":
            rewrite(pack, lambda data: data.replace(text.encode(), b"r" + text.encode()[1:].upper()))
        case "flipped index":
            rewrite(pack.with_suffix(".idx"), lambda data: data[:1100] + bytes([data[1100] ^ 1]) + data[1101:])
        case "no large":
            shutil.rmtree(lab.top / "lfs" / "objects")
    with pytest.raises((FlowError, OSError)):
        replay_from(path, new, current, recorded)
    if damage != "no large":
        lab.fsck(new, current)
    assert not list(new.path.glob("objects/pack/tmp*"))


def replay_from(path, new, current, recorded):
    opened = RunRepository.open(path)
    replay(new, current, Recorded(opened, recorded.input, recorded.result), message="m", trailers={})


def rewrite(path, change):
    data = change(path.read_bytes())
    path.chmod(0o644)
    path.write_bytes(data)


def test_a_checksum_of_zlib_alone_would_not_do(lab, monkeypatch):
    """A damaged object whose pack was made to look whole (as a faulty disk or a bug of ours might) is found by its id."""
    monkeypatch.setattr(repo_module, "BORROWED_FROM", 10**9)
    new, current, recorded = small_case(lab, "recognisable")
    real = recorded.repository.db.read

    def read(oid):
        kind, data = real(oid)
        return kind, data.replace(b"recognisable", b"damaged")

    monkeypatch.setattr(recorded.repository.db, "read", read)
    with pytest.raises(Misfit, match="damaged"):
        replay(new, current, recorded, message="m", trailers={})


def test_too_deep_is_a_misfit(lab):
    old, new = lab.repository(), lab.repository()
    tree = lab.directory()
    deep = tree.joinpath(*["d"] * 600)
    deep.mkdir(parents=True)
    current, before = lab.commit(new, tree), lab.commit(old, tree)
    (deep / "file").write_text("x")
    recorded = Recorded(old, before, lab.commit(old, tree, parent=before))
    with pytest.raises(Misfit, match="deep"):
        replay(new, current, recorded, message="m", trailers={})
