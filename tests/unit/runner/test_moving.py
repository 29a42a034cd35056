"""What travels between a server and a runner, counted in objects, bytes and requests: nothing that the other side has."""

import asyncio
import gc
import itertools
from collections import Counter
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from flowbuild.client.runner import Lease
from flowbuild.core.errors import WorkspaceError
from flowbuild.core.ids import attempt_ref
from flowbuild.runner.kept import GONE
from flowbuild.runner.repositories import FarRepositories
from flowbuild.runner.servers import Servers
from flowbuild.testing.serving import serving
from flowbuild.workspace import git, slots
from flowbuild.workspace.incoming import Incoming, LargeFiles
from flowbuild.workspace.repo import RunRepository
from flowbuild.workspace.serve import RECEIVE, UPLOAD, GitServer
from flowbuild.workspace.slots import Slots

RUN = "01JZ0000000000000000000000"
FILES = 100
TEXT = b"a line that any compressor likes\n" * 1000


class Served:
    """The repository of a run, as a server offers it to attempts; counts what goes over the wire."""

    def __init__(self, top):
        top.mkdir(exist_ok=True)
        self.repository = RunRepository.create(top / "server.git", lfs=top / "server-lfs")
        self.slots = Slots(top / "server-work")
        self.git = GitServer()
        self.start = self.repository.initial(source=None, variables={}, trailers={})
        self.attempts = {}  # inputs of those that may push, by their ref
        self.paths, self.taken, self.given = [], 0, 0

    def result(self, step, base, files):
        """Return a commit that follows from another one and has some more files."""
        slot = self.slots.acquire(self.repository, RUN, base, self.slots.root / RUN / step)
        for name, content in files.items():
            (slot.workspace / name).write_bytes(content)
        commit = self.slots.commit(slot, self.repository, message=step, trailers={}).commit
        self.slots.release(slot)
        self.repository.write_attempt_ref(step, 1, 1, commit)
        return commit

    def merge(self, *results):
        return self.repository.merge(results, rules=(), variable_rules=()).commit

    def door(self, ref):
        _, _, step, attempt, epoch = ref.split("/")
        large = LargeFiles(self.repository, (), {})
        return Incoming(self.repository, (step, int(attempt), int(epoch)), parent=self.attempts[ref], large=large)

    async def __call__(self, scope, receive, send):
        async def counted():
            message = await receive()
            self.taken += len(message.get("body", b""))
            return message

        async def counting(message):
            self.given += len(message.get("body", b""))
            await send(message)

        path, query = scope["path"], scope["query_string"].decode()
        self.paths.append(path.rpartition("/")[2])
        (ref,) = self.attempts or ("",)
        if path.endswith("/refs"):
            service = query.partition("=")[2]
            base = self.door(ref).base if service == RECEIVE else ""
            answer = self.git.advertise(self.repository.path, service, base)
        elif path.endswith(UPLOAD):
            answer = self.git.fetch(self.repository.path)
        else:
            answer = self.git.push(self.repository.path, self.door(ref))
        await answer(scope, counted, counting)

    def counted(self):
        """Return what was asked for since the last time, and how many bytes came and went."""
        found = self.paths, self.taken, self.given
        self.paths, self.taken, self.given = [], 0, 0
        return found


@pytest.fixture
def served(tmp_path):
    return Served(tmp_path)


@asynccontextmanager
async def machine(served, top, limit=0):
    async with serving(served) as url:
        places = top / "far/runs", top / "far/lfs"
        repositories = FarRepositories(Servers([url]), *places, limit=limit, patience=0.0)
        try:
            yield repositories
        finally:
            await repositories.close()


def assignment(commit, step="x", run=RUN, source=""):
    return SimpleNamespace(
        lease=Lease(run, step, 1, 1),
        state="leased",
        input_commit=commit,
        repository=f"/git/runs/{RUN}.git",
        token="any",
        source=source,
    )


def reachable(path, commit, *without):
    """Return the objects that belong to a commit and not to some others, as git sees it."""
    lines = git.run(path, "rev-list", "--objects", commit, *(f"^{each}" for each in without)).stdout.split(b"\n")
    return {line.split(b" ")[0].decode() for line in lines if line}


def packed(path):
    """Return how often which object is in the packs of a repository; nothing may be outside of them, or be a delta."""
    objects = path / "objects"
    assert [each.name for each in objects.iterdir() if len(each.name) == 2] == []
    found = Counter()
    for index in objects.glob("pack/pack-*.idx"):
        lines = git.run(path, "verify-pack", "-v", str(index)).stdout.decode().splitlines()
        words = [line.split() for line in lines if line[64:65] == " "]
        assert {len(each) for each in words} == {5}, "there are deltas"  # they name their depth and base, too
        found.update(each[0] for each in words)
    return found


def still_open(name):
    """Return which removed files take room as long as this program has them."""
    return [line for line in Path("/proc/self/maps").read_text().splitlines() if name in line]


def whole(path):
    git.run(path, "fsck", "--strict", "--full", "--no-dangling", "--no-progress")


def size_of(path, oids):
    told = git.run(path, "cat-file", "--batch-check=%(objectsize)", stdin="\n".join(oids).encode()).stdout
    return sum(map(int, told.split()))


async def test_a_fetch_brings_what_is_missing_as_it_is(served, tmp_path):
    """One request each; not compressed, no deltas, no loose objects, nothing twice."""
    base = served.result("a", served.start, {f"f{number}": b"%d\n" % number + TEXT for number in range(FILES)})
    after = served.result("b", base, {"f1": b"changed\n" + TEXT, "one more": TEXT})
    async with machine(served, tmp_path) as repositories:
        for commit, known in ((base, ()), (after, (base,))):
            expected = reachable(served.repository.path, commit, *known)
            before = packed(tmp_path / "far/runs" / RUN / "repository.git") if known else Counter()
            repository = await repositories.fetch(assignment(commit))
            assert packed(repository.path) - before == Counter(expected)
            paths, _, given = served.counted()
            assert paths == [UPLOAD]
            size = size_of(served.repository.path, expected)
            assert size < given < size * 1.01 + 100 * len(expected) + 1000
        await repositories.fetch(assignment(after))
        assert served.counted() == ([], 0, 0)
        whole(repository.path)
    async with machine(
        served, tmp_path / "another"
    ) as repositories:  # what gets both packs at once has no deltas, either
        repository = await repositories.fetch(assignment(after))
        expected = reachable(served.repository.path, after)
        assert packed(repository.path) == Counter(expected)
        assert served.counted()[2] > size_of(served.repository.path, expected)


async def test_a_merge_brings_nothing_that_is_here_however_much_that_is(served, tmp_path, monkeypatch):
    """git itself tells what it has until the server has heard of something that will do: the control gets more."""
    monkeypatch.setattr(slots, "time", SimpleNamespace(time=itertools.count(2_000_000_000).__next__))  # newest first
    long, other = [served.start], [served.start]
    for number in range(18):
        long.append(served.result(f"l{number}", long[-1], {f"l{number}": b"l %d" % number + TEXT}))
    for number in range(20):
        other.append(served.result(f"o{number}", other[-1], {f"o{number}": b"o %d" % number + TEXT}))
    wanted = served.merge(("l17", long[-1]), ("o19", other[-1]))
    known = (*long[1:-1], *other[1:])
    expected = reachable(served.repository.path, wanted, *known)
    control = RunRepository.create(tmp_path / "control.git", lfs=tmp_path / "control-lfs")
    async with serving(served) as url:
        words = ("fetch", "--quiet", "--no-tags", f"{url}/r.git")
        config = {"protocol.http.allow": "always", "fetch.unpackLimit": "1"}
        for specs in ([f"+{each}:refs/have/{each}" for each in known], [f"+{wanted}:refs/have/{wanted}"]):
            await asyncio.to_thread(git.run, control.path, *words, *specs, config=config)
    assert len(list(control.path.glob("objects/pack/*.idx"))) == 2
    served.counted()
    async with machine(served, tmp_path) as repositories:
        for each in known:
            repository = await repositories.fetch(assignment(each))
        before = packed(repository.path)
        await repositories.fetch(assignment(wanted))
        assert packed(repository.path) - before == Counter(expected)
    assert max(before.values()) == 1
    control.db.refresh()
    again = sum(packed(control.path).values()) - len(reachable(control.path, wanted, served.start))
    assert again > 10, "git has become better: this code can go"


async def test_a_push_sends_what_is_new_since_its_input(served, tmp_path):
    """Though no ref of the server names that: inputs are merges. What the server says first does not grow with the run."""
    one = served.result("a", served.start, {f"a{number}": b"%d\n" % number + TEXT for number in range(FILES)})
    two = served.result("b", served.start, {f"b{number}": b"%d\n" % number + TEXT for number in range(FILES)})
    wanted = served.merge(("a", one), ("b", two))
    told = []
    async with machine(served, tmp_path) as repositories:
        for step in ("x", "y"):
            work = assignment(wanted, step)
            served.attempts = {attempt_ref(step, 1, 1): wanted}
            repository = await repositories.fetch(work)
            places = Slots(tmp_path / "far/work")
            slot = places.acquire(repository, RUN, wanted, places.root / RUN / step)
            (slot.workspace / "a1").write_bytes(step.encode() + TEXT)
            made = places.commit(slot, repository, message="x", trailers={}).commit
            before = packed(served.repository.path)
            served.counted()
            await repositories.push(work, repository, made)
            paths, taken, given = served.counted()
            new = packed(served.repository.path) - before
            assert new == Counter(reachable(served.repository.path, made, wanted))
            assert taken > size_of(served.repository.path, new)
            assert paths == ["refs", RECEIVE]
            told.append(given)
            for number in range(20):
                served.result(f"more-{step}-{number}", one, {"m": b"%d" % number})
    assert told[0] == told[1]
    whole(served.repository.path)


async def test_what_the_server_does_not_have(served, tmp_path):
    async with machine(served, tmp_path) as repositories:
        with pytest.raises(WorkspaceError, match="not our ref"):
            await repositories.fetch(assignment("ab" * 32))
    assert list((tmp_path / "far").glob("runs/*/repository.git/objects/pack/*")) == []


async def test_what_nobody_works_with_goes_and_comes_again(served, tmp_path):
    """Directories of the run stay warm meanwhile, though nothing is known any more of what was in them."""
    base = served.result("a", served.start, {f"f{number}": b"%d\n" % number + TEXT for number in range(FILES)})
    after = served.result("b", base, {"f1": b"changed\n" + TEXT})
    beside = served.result("c", served.start, {f"f{number}": b"c %d\n" % number + TEXT for number in range(FILES)})
    work, other = assignment(base), assignment(base, run="other")
    far = Slots(tmp_path / "far/work")

    def used(repository, commit, step):
        slot = far.acquire(repository, RUN, commit, far.root / RUN / step)
        far.release(slot)
        return slot

    async with machine(served, tmp_path, limit=4_000_000) as repositories:  # enough for one of them
        repository = await repositories.fetch(work)
        await asyncio.to_thread(used, repository, base, "x")
        await repositories.fetch(other)
        assert repositories.kept_bytes > 6_000_000  # both are in use
        assert await repositories.fetch(work) is repository
        repositories.release(work.lease)
        await repositories.fetch(assignment(after, run="other"))
        assert [path.name for path in (tmp_path / "far/runs").iterdir()] == ["other"]
        assert 3_000_000 < repositories.kept_bytes < 4_000_000
        del repository
        gc.collect()
        assert not still_open("far/runs/.gone")
        served.counted()
        again = await repositories.fetch(assignment(beside))
        assert served.counted()[2] > size_of(served.repository.path, reachable(served.repository.path, beside))
        slot = await asyncio.to_thread(used, again, beside, "y")
        assert slot.warm
        await repositories.forget(RUN)
        await repositories.forget("other")
        assert repositories.kept_bytes == 0
    assert list((tmp_path / "far/runs").iterdir()) == []


async def test_the_next_life_knows_how_much_there_is(served, tmp_path):
    """And evicts nothing before it knows what the attempts that it takes over need."""
    base = served.result("a", served.start, {f"f{number}": b"%d\n" % number + TEXT for number in range(FILES)})
    async with machine(served, tmp_path) as repositories:
        for run in (RUN, "other", "gone"):
            await repositories.fetch(assignment(base, run=run))
        before = repositories.kept_bytes
    (tmp_path / "far/lfs/tmp/half").write_bytes(b"half")
    half = tmp_path / "far/runs" / RUN / "repository.git/objects/pack/tmp_pack_1"
    half.write_bytes(b"half")
    (tmp_path / "far/sources" / f"{GONE}1" / "objects").mkdir(parents=True)
    (tmp_path / "far/runs" / f"{GONE}2" / "repository.git").mkdir(parents=True)
    async with machine(served, tmp_path, limit=1) as repositories:
        await asyncio.to_thread(repositories.sweep, {RUN, "other"})
        assert repositories.kept_bytes == before * 2 // 3
        assert [list((tmp_path / "far" / name).iterdir()) for name in ("lfs/tmp", "sources")] == [[], []]
        await repositories.fetch(assignment(base))
        assert not half.exists()
        assert sorted(path.name for path in (tmp_path / "far/runs").iterdir()) == sorted([RUN, "other"])
        await repositories.fetch(assignment(base, run="other"))
        assert len(list((tmp_path / "far/runs").iterdir())) == 2
        repositories.release(assignment(base, run="other").lease)
        await repositories.fetch(assignment(base, "y"))
        assert [path.name for path in (tmp_path / "far/runs").iterdir()] == [RUN]


def blobs(path, oids):
    told = git.run(path, "cat-file", "--batch-check=%(objecttype)", stdin="\n".join(oids).encode()).stdout
    return {oid for oid, kind in zip(oids, told.split(), strict=True) if kind == b"blob"}


@pytest.mark.parametrize(("ended", "damaged"), [(False, False), (True, False), (True, True)])
async def test_what_runs_of_a_source_have_in_common_comes_once(tmp_path, ended, damaged):
    files = {f"f{number}": b"%d\n" % number + TEXT for number in range(2 * FILES)}
    there = [Served(tmp_path / name) for name in ("one", "two", "other")]
    commits = [each.result("a", each.start, {**files, "f1": b"%d" % at}) for at, each in enumerate(there)]
    commits = [each.result("b", commit, {"f2": b"of b"}) for each, commit in zip(there, commits, strict=True)]
    repositories, far = None, tmp_path / "far"
    for served, commit, run, source in zip(there, commits, (RUN, "two", "other"), ("s", "s", "t"), strict=True):
        work = assignment(commit, run=run, source=source)
        async with serving(served) as url:
            repositories = repositories or FarRepositories(Servers([url]), far / "runs", far / "lfs", patience=0.0)
            repositories._transfer._servers = Servers([url])
            repository = await repositories.fetch(work)
            paths, _, given = served.counted()
            whole(repository.path)
            expected = reachable(served.repository.path, commit)
            assert expected <= set(packed(repository.path))
            size = size_of(served.repository.path, expected)
            if run == "two" and not damaged:
                assert paths == [UPLOAD, UPLOAD]
                new = blobs(served.repository.path, sorted(expected)) - set(packed(there[0].repository.path))
                assert given < size_of(served.repository.path, new) + 0.05 * size
            else:
                assert given > size
            repositories.release(work.lease)
            if ended:
                await repositories.forget(run)
                assert not (far / "runs" / run).exists()
        if damaged:
            for pack in far.glob("**/pack-*.pack"):
                content = bytearray(pack.read_bytes())
                for at in range(100, len(content), 1000):
                    content[at] ^= 1
                pack.unlink()
                pack.write_bytes(content)
    assert sorted(path.name for path in far.glob("past/*")) == (["s", "t"] if ended else [])
    await repositories.close()


@pytest.mark.parametrize(("what", "allowed"), [("blob:none", True), ("tree:0", False), ("blob:limit=1", False)])
async def test_what_may_be_left_out_of_an_answer(served, tmp_path, what, allowed):
    """Other filters cost the server more than they save."""
    control = RunRepository.create(tmp_path / "control.git", lfs=tmp_path / "control-lfs")
    async with serving(served) as url:
        words = ("fetch", "--quiet", "--no-tags", f"--filter={what}", f"{url}/r.git", served.start)
        with nullcontext() if allowed else pytest.raises(git.GitError, match="not supported"):
            await asyncio.to_thread(git.run, control.path, *words, config={"protocol.http.allow": "always"})
