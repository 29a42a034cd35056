"""A run repository as a run uses it: results, fencing, merges, refs, forks; stock git agrees on all of it."""

import os
import signal
import subprocess
import sys
import threading
import time
from itertools import permutations

import pytest

from flowbuild.core.errors import Conflict, InvalidRequest, NotFound, WorkspaceError
from flowbuild.core.ids import StepKey
from flowbuild.core.model import MergePolicy, MergeRule
from flowbuild.workspace import git, repo
from flowbuild.workspace.refs import Refs, StaleRef
from flowbuild.workspace.repo import MAIN, RunRepository
from flowbuild.workspace.slots import Slots


class Run:
    """A run with its repository and slots; `step` is what a runner and the server do for one step."""

    def __init__(self, tmp_path):
        self.top = tmp_path
        self.repo = RunRepository.create(tmp_path / "run.git", lfs=tmp_path / "lfs")
        self.slots = Slots(tmp_path / "work")
        self.start = self.repo.initial(source=None, variables={"A": "1"}, trailers={"Flow-Run": "r1"})

    def step(self, name, parents, do, *, attempt=1, epoch=1, accept=True, rules=()):
        merged = self.repo.merge([(StepKey(str(i)), p) for i, p in enumerate(parents)], rules=rules, variable_rules=())
        assert merged.commit, merged.conflicts
        slot = self.slots.acquire(self.repo, "r1", merged.commit, self.top / "work" / "r1" / f"{name}.{attempt}")
        do(slot.workspace, slot.variables)
        trailers = {"Flow-Step": name, "Flow-Attempt": str(attempt), "Flow-Outcome": "succeeded"}
        done = self.slots.commit(slot, self.repo, message=f"{name}: succeeded", trailers=trailers)
        self.repo.write_attempt_ref(name, attempt, epoch, done.commit)
        if accept:
            self.repo.accept(name, done.commit, rules=rules, variable_rules=())
        self.slots.release(slot)
        return done.commit

    def merge(self, *commits, rules=(), variable_rules=()):
        parents = [(StepKey("abcdef"[i]), commit) for i, commit in enumerate(commits)]
        return self.repo.merge(parents, rules=rules, variable_rules=variable_rules)

    def text(self, commit, path):
        return git.run(self.repo.path, "cat-file", "blob", f"{commit}:workspace/{path}").stdout.decode()


@pytest.fixture
def run(tmp_path):
    run = Run(tmp_path)
    yield run
    git.fsck(run.repo.path)


def writes(path, text):
    def do(workspace, _):
        (workspace / path).parent.mkdir(parents=True, exist_ok=True)
        (workspace / path).write_text(text)

    return do


def test_parallel_steps_are_merged_and_a_conflict_names_path_and_both_steps(run):
    first = run.step("build", [run.start], writes("src/a", "base"))
    one = run.step("one", [first], writes("src/one", "1"))
    two = run.step("two", [first], writes("src/two", "2"))
    three = run.step("three", [first], lambda w, v: ((w / "empty").mkdir(), (v / "B").write_text("from three\n")))
    merged = run.merge(one, two, three)
    assert merged.commit
    assert merged.variables == {"A": "1", "B": "from three"}
    assert run.text(merged.commit, "src/one") + run.text(merged.commit, "src/two") == "12"
    entries = git.run(run.repo.path, "ls-tree", "--name-only", f"{merged.commit}:workspace").stdout.split()
    assert entries == [b"empty", b"src"]
    assert run.merge(one, two, three) == merged  # the same parents give the same commit
    clash = run.step("clash", [first], writes("src/one", "other"))
    refused = run.merge(one, two, clash)
    assert refused.commit is None
    ((conflict),) = refused.conflicts
    assert (conflict.path, conflict.steps, conflict.kind) == ("src/one", ("a", "c"), "add/add")


def test_policies(run):
    base = run.step("base", [run.start], writes("n.md", "1\n2\n3\n4\n5\n"))
    one = run.step("one", [base], writes("n.md", "one\n2\n3\n4\n5\n"))
    two = run.step("two", [base], writes("n.md", "1\n2\n3\n4\ntwo\n"))
    expected = {
        MergePolicy.OURS: "one\n2\n3\n4\n5\n",
        MergePolicy.THEIRS: "1\n2\n3\n4\ntwo\n",
        MergePolicy.TEXT: "one\n2\n3\n4\ntwo\n",
        MergePolicy.UNION: "one\n2\n3\n4\ntwo\n",
    }
    for policy, text in expected.items():
        rules = (MergeRule("**", MergePolicy.FAIL), MergeRule("*.md", policy))
        assert run.text(run.merge(one, two, rules=rules).commit, "n.md") == text
    assert not run.merge(one, two, rules=(MergeRule("*.txt", MergePolicy.OURS),)).commit
    same_line = run.step("three", [base], writes("n.md", "three\n2\n3\n4\n5\n"))
    assert not run.merge(one, same_line, rules=(MergeRule("n.md", MergePolicy.TEXT),)).commit
    union = run.merge(one, same_line, rules=(MergeRule("n.md", MergePolicy.UNION),)).commit
    assert run.text(union, "n.md") == "one\nthree\n2\n3\n4\n5\n"


def test_variable_policies(run):
    one = run.repo.with_variables(run.start, {"N": "9", "L": "x"})
    two = run.repo.with_variables(run.start, {"N": "10", "L": "y", "A": None})
    assert [c.path for c in run.merge(one, two).conflicts] == ["/variables/L", "/variables/N"]
    rules = (MergeRule("N", MergePolicy.MAX), MergeRule("L", MergePolicy.APPEND))
    assert run.merge(one, two, variable_rules=rules).variables == {"N": "10", "L": "x\ny"}
    assert run.repo.with_variables(run.start, {"A": "1"}) == run.start


def test_criss_cross_merges_through_a_virtual_base(run):
    a = run.step("a", [run.start], writes("a", "1"))
    b = run.step("b", [run.start], writes("b", "1"))
    x = run.step("x", [run.start], writes("x", "1"))
    c = run.step("c", [a, b], writes("c", "1"))
    d = run.step("d", [a, b, x], writes("a", "changed"))
    merged = run.merge(c, d)
    assert run.text(merged.commit, "a") == "changed"
    assert run.text(merged.commit, "c") == "1"
    both = run.step("both", [b, a], writes("a", "also changed"))
    assert [conflict.path for conflict in run.merge(d, both).conflicts] == ["a"]


def test_metadata_follows_the_winner(run, tmp_path):
    def old(workspace, _):
        for name in ("one", "two", "same"):
            (workspace / name).write_text("x")
            os.utime(workspace / name, ns=(1, 1_000_000_001))

    def touch(name, time_ns):
        def do(workspace, _):
            (workspace / name).write_text(f"by {name}")
            (workspace / name).chmod(0o640)
            os.utime(workspace / name, ns=(1, time_ns))

        return do

    base = run.step("base", [run.start], old)
    one, two = run.step("one", [base], touch("one", 7)), run.step("two", [base], touch("two", 8))
    slot = run.slots.acquire(run.repo, "other", run.merge(one, two).commit, tmp_path / "work" / "other" / "x")
    times = {path.name: path.stat().st_mtime_ns for path in slot.workspace.iterdir()}
    assert times == {"one": 7, "two": 8, "same": 1_000_000_001}
    assert {path.stat().st_mode & 0o777 for path in slot.workspace.iterdir() if path.name != "same"} == {0o640}


def test_main_has_everything_and_later_wins_there(run):
    a = run.step("a", [run.start], writes("f", "a"))
    assert run.repo.refs.read(MAIN) == a
    b = run.step("b", [run.start], writes("f", "b"))
    main = run.repo.refs.read(MAIN)
    assert run.text(main, "f") == "b"
    assert run.repo.commit(main).trailers["Flow-Conflicts"] == "f"
    for commit, step in ((a, "a"), (b, "b")):
        run.repo.accept(step, commit, rules=(), variable_rules=())
    assert run.repo.refs.read(MAIN) == main
    assert [(one.step, one.accepted) for one in run.repo.log()] == [("a", True), ("b", True)]


POLICIES = tuple(map(MergeRule, ("list", "first", "last"), (MergePolicy.UNION, MergePolicy.OURS, MergePolicy.THEIRS)))


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("came", list(permutations("abc")))
def test_main_does_not_depend_on_the_order_in_which_results_come(run, came, joined):
    """Policies speak of steps in the order of the file; a step that saw both sides of a dispute has settled it."""
    order = [StepKey(name) for name in "abcj"]

    def accept(step, commit):
        before = run.repo.refs.read(MAIN)
        run.repo.accept(step, commit, rules=POLICIES, variable_rules=(), order=order)
        assert before is None or before in run.repo.ancestors(run.repo.refs.read(MAIN)), "a clone cannot follow"

    def writes_all(name):
        return lambda w, _: [(w / file).write_text(f"{name}\n") for file in ("list", "first", "last", name)]

    made = {name: run.step(name, [run.start], writes_all(name), accept=False) for name in "abc"}
    for name in came:
        accept(name, made[name])
    if joined:
        accept("j", run.step("j", [made["a"], made["b"]], writes("j", "j"), accept=False, rules=POLICIES))
    main = run.repo.refs.read(MAIN)
    texts = {file: run.text(main, file) for file in ("list", "first", "last", "a", "b", "c")}
    # The sides are a, b, c; or c and j, which has settled what a and b disputed.
    settled = ("c\na\nb\n", "c\n", "b\n") if joined else ("a\nb\nc\n", "a\n", "c\n")
    assert texts == {**dict(zip(("list", "first", "last"), settled, strict=True)), "a": "a\n", "b": "b\n", "c": "c\n"}
    assert "Flow-Conflicts" not in run.repo.commit(main).trailers
    git.fsck(run.repo.path)


def test_a_stale_epoch_never_moves_a_step(run):
    zombie = run.step("a", [run.start], writes("f", "zombie"), epoch=1, accept=False)
    good = run.step("a", [run.start], writes("f", "good"), epoch=2)
    run.repo.write_attempt_ref("a", 1, 1, zombie)  # the zombie says it again, late
    assert run.repo.refs.read("refs/heads/step/a") == good == run.repo.refs.read(MAIN)
    with pytest.raises(Conflict, match="already has the result"):
        run.repo.write_attempt_ref("a", 1, 2, zombie)
    with pytest.raises(InvalidRequest):
        run.repo.write_attempt_ref("../../heads/main", 1, 1, zombie)
    with pytest.raises(WorkspaceError):
        run.repo.write_attempt_ref("a", 2, 1, "0" * 64)


def test_concurrent_accepts_lose_nothing(run):
    results = {f"s{i}": run.step(f"s{i}", [run.start], writes(f"f{i}", str(i)), accept=False) for i in range(8)}
    others = [RunRepository.open(run.repo.path), run.repo]
    failures = []

    def accept(number, step, commit):
        try:
            others[number % 2].accept(step, commit, rules=(), variable_rules=())
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a failure
            failures.append(error)

    threads = [threading.Thread(target=accept, args=(i, *item)) for i, item in enumerate(results.items())]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    main = run.repo.refs.read(MAIN)
    listing = git.run(run.repo.path, "ls-tree", "-r", "--name-only", f"{main}:workspace").stdout.split()
    assert listing == [b"f%d" % i for i in range(8)]
    assert set(results.values()) <= run.repo.ancestors(main)


def test_refs_compare_and_swap(tmp_path):
    refs = Refs(tmp_path)
    one, two = "1" * 64, "2" * 64
    refs.update("refs/heads/x", one, old=None)
    with pytest.raises(StaleRef):
        refs.update("refs/heads/x", two, old=None)
    lock = tmp_path / "refs/heads/x.lock"
    lock.write_text("")  # left over by something that was killed
    os.utime(lock, (0, 0))
    refs.update("refs/heads/x", two, old=one)
    assert (refs.read("refs/heads/x"), refs.list("refs/heads/")) == (two, {"refs/heads/x": two})
    (tmp_path / "packed-refs").write_text(f"# pack-refs\n{one} refs/heads/y\n^{two}\n")
    assert refs.read("refs/heads/y") == one
    (tmp_path / "refs/heads/x").write_text("")
    with pytest.raises(WorkspaceError, match="damaged"):
        refs.read("refs/heads/x")
    for name in ("refs/heads/../x", "refs/heads/x.lock", "HEAD", "refs/heads/a\nb"):
        with pytest.raises(InvalidRequest):
            refs.read(name)


def test_stock_git_moves_what_we_read_and_back(run):
    a = run.step("a", [run.start], writes("f", "a"))
    git.run(run.repo.path, "pack-refs", "--all")
    assert run.repo.refs.read("refs/heads/step/a") == a
    b = run.step("a", [a], writes("f", "b"), attempt=2)
    assert git.run(run.repo.path, "rev-parse", "refs/heads/step/a").stdout.decode().strip() == b
    changed = git.run(run.repo.path, "diff", "--name-status", a, b, "--", "workspace").stdout
    assert changed == b"M\tworkspace/f\n"
    trailers = git.run(run.repo.path, "log", "-1", "--format=%(trailers:key=Flow-Step,valueonly)", b).stdout
    assert trailers.strip() == b"a"


def test_kill_nine_between_any_two_moments_leaves_a_sound_repository(tmp_path):
    """A program that commits and accepts in a loop is killed at odd moments; what it had said is there."""
    program = """
import sys
from pathlib import Path
from flowbuild.workspace.repo import RunRepository
from flowbuild.workspace.slots import Slots
top, n = Path(sys.argv[1]), int(sys.argv[2])
repo, slots = RunRepository.open(top / "run.git"), Slots(top / "work")
slots.sweep(())
commit = repo.refs.read("refs/heads/main")
for i in range(10_000):
    slot = slots.acquire(repo, "r", commit, top / "work" / "r" / f"{n}-{i}")
    (slot.workspace / f"f{n}-{i}").write_text("x")
    commit = slots.commit(slot, repo, message="x", trailers={}).commit
    repo.accept("a", commit, rules=(), variable_rules=())
    slots.release(slot)
    print(commit, flush=True)
"""
    repo = RunRepository.create(tmp_path / "run.git", lfs=tmp_path / "lfs")
    repo.initial(source=None, variables={}, trailers={})
    last = ""
    for number in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path), str(number)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(number + 1):
            last = child.stdout.readline().strip() or last
        deadline = time.monotonic() + number * 0.0037
        while time.monotonic() < deadline:
            pass
        os.kill(child.pid, signal.SIGKILL)
        said = [line.strip() for line in child.stdout if len(line) == 65]
        child.wait()
        child.stdout.close()
        last = (said or [last])[-1]
        fresh = RunRepository.open(repo.path)
        assert last in fresh.ancestors(fresh.refs.read(MAIN))
    git.fsck(repo.path)


def test_fork_shares_objects_but_not_fate(run, tmp_path):
    commit = run.step("a", [run.start], writes("f", "kept"))
    fork = run.repo.fork(tmp_path / "fork.git")
    assert fork.refs.list("refs/") == {}
    packs = [path.stat().st_ino for path in (run.repo.path / "objects/pack").iterdir()]
    assert {path.stat().st_ino for path in (fork.path / "objects/pack").iterdir()} == set(packs)
    fork.accept("a", commit, rules=(), variable_rules=())
    assert fork.variables(commit) == {"A": "1"}
    git.fsck(fork.path)
    with pytest.raises(Conflict):
        run.repo.fork(tmp_path / "fork.git")


def test_tidy_keeps_every_object_and_every_reader(run, monkeypatch):
    commits = [run.start]
    for number in range(12):
        commits.append(run.step("a", [commits[-1]], writes("f", str(number)), attempt=number + 1))
    reader, before = RunRepository.open(run.repo.path), len(list((run.repo.path / "objects/pack").iterdir()))
    assert not run.repo.tidy()
    monkeypatch.setattr(repo, "MANY_PACKS", 10)
    assert run.repo.tidy()
    assert len(list((run.repo.path / "objects/pack").iterdir())) == 2 < before
    for found in (reader, run.repo, RunRepository.open(run.repo.path)):
        assert [len(found.changes(None, commit)) for commit in commits] == [0] + [1] * 12


def test_changes_and_patch_show_real_names_and_sizes(run):
    def messy(workspace, _):
        (workspace / ".git").mkdir()
        (workspace / ".git" / "config").write_text("[core]\n\tfsmonitor = touch /never\n")
        (workspace / "link").symlink_to("nowhere")
        with (workspace / os.fsdecode(b"\xff\n")).open("wb") as file:
            file.write(bytes(3 << 20))

    old = run.step("a", [run.start], writes("link", "a file"))
    new = run.step("b", [old], lambda w, v: ((w / "link").unlink(), messy(w, v)))
    changes = [(str(c.status), c.path, c.size_before, c.size_after) for c in run.repo.changes(old, new)]
    assert changes == [("A", b".git/config", None, 33), ("T", b"link", 6, 7), ("A", b"\xff\n", None, 3 << 20)]
    patch = b"".join(run.repo.patch(old, new))
    assert b"+++ b/%.git/config" in patch
    assert b"fsmonitor" in patch
    assert list(run.repo.patch(new, new)) == []


def test_unknown_things_are_clear_errors(run, tmp_path):
    with pytest.raises(NotFound):
        RunRepository.open(tmp_path / "nothing")
    with pytest.raises(InvalidRequest):
        run.repo.commit("main; rm -rf /")
    with pytest.raises(InvalidRequest, match="not a commit"):
        run.repo.commit(run.repo.commit(run.start).tree)
    with pytest.raises(InvalidRequest):
        run.repo.merge([], rules=(), variable_rules=())
    odd = RunRepository.create(tmp_path / 'od"d\\n.git', lfs=tmp_path / 'l"f\\s x\n')
    assert RunRepository.open(odd.path).lfs.root == odd.lfs.root
    assert git.run(odd.path, "config", "lfs.storage").stdout == os.fsencode(odd.lfs.root) + b"\n"
