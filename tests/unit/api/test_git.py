"""Repositories of runs with real git and git-lfs clients: who may clone, and the little that an attempt may push."""

import asyncio
import hashlib
import os
import socket
import subprocess
import threading
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import httpx2
import pytest

from flowbuild.client.runner import Lease
from flowbuild.core.errors import InvalidRequest
from flowbuild.core.giturl import Policy, parse
from flowbuild.core.ids import RunId
from flowbuild.services.attempt_tokens import AttemptTokens
from flowbuild.testing.home import step
from flowbuild.workspace import git as own_git
from flowbuild.workspace.mirror import Mirror
from flowbuild.workspace.remote import Credential, reach
from flowbuild.workspace.repo import RunRepository
from flowbuild.workspace.serve import Bounds, GitServer
from flowbuild.workspace.source_commit import CommitSource

BIG = bytes(range(256)) * 8192  # 2 MiB
REF = "refs/attempts/a/1/1"
CONFIG = """\
[user]
\tname = u
\temail = u@localhost
[filter "lfs"]
\tprocess = git-lfs filter-process
\tsmudge = git-lfs smudge -- %f
\tclean = git-lfs clean -- %f
\trequired = true
[lfs]
\tlocksverify = false
[credential]
\thelper =
"""


@dataclass
class Client:
    """A stock client with nothing of this machine's settings."""

    home: Path

    def __post_init__(self):
        self.home.mkdir(exist_ok=True)
        (self.home / "config").write_text(CONFIG)

    async def git(self, *args, cwd=None, **env):
        """Return exit code and output, both streams together."""
        whole = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "GIT_CONFIG_GLOBAL": str(self.home / "config"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "LC_ALL": "C",
        }
        run = partial(
            subprocess.run,
            ["git", *args],
            cwd=cwd or self.home,
            env=whole | env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=120,
            check=False,
        )
        done = await asyncio.to_thread(run)
        return done.returncode, done.stdout.decode("utf-8", "replace").strip()

    async def done(self, *args, **options):
        code, output = await self.git(*args, **options)
        assert code == 0, output
        return output


@pytest.fixture
def client(tmp_path):
    return Client(tmp_path / "client")


def address(site, run, token="", path=""):
    user = f"x:{token}@" if token else ""
    return f"http://{user}{site.url.removeprefix('http://')}/git/runs/{run}.git{path}"


def prepared(home):
    """Make a project with a large file whose only step goes on until it is stopped."""
    home.write({"a": step(sleep=1e6)}, variables={"V": "1"})  # a client of git drops directories that are empty
    (home.project / "big.bin").write_bytes(BIG)
    (home.project / "small").write_text("small\n")


@asynccontextmanager
async def working(home, open_site, client):
    """Give a site, a run whose step `a` goes on, the token of its attempt, and a clone of its input."""
    prepared(home)
    async with open_site() as site:
        run = (await site.life.start(home)).id
        await site.life.until(run, "a", "run")
        token = await asyncio.to_thread(AttemptTokens(site.life.local.database).make, Lease(run, "a", 1, 1))
        await client.done("clone", "--quiet", address(site, run, token), "clone")
        try:
            yield site, run, token, client.home / "clone"
        finally:
            await site.life.client.cancel(run, force=True)
            await site.life.finished(run)


async def refs(site, run):
    def read():
        with site.life.local.database.read() as tx:
            repository = RunRepository.open(Path(tx.runs.get(RunId(run)).repository))
        return repository, repository.refs.list("refs/")

    return await asyncio.to_thread(read)


async def commit(client, clone, files, message="result"):
    for name, content in files.items():
        (clone / name).write_bytes(content)
    await client.done("add", "--all", cwd=clone)
    await client.done("commit", "--quiet", "-m", message, cwd=clone)
    return await client.done("rev-parse", "HEAD", cwd=clone)


async def test_anybody_with_a_token_clones_all_of_a_run(home, open_site, client):
    home.write({"a": step(write="made=by a")})
    (home.project / "big.bin").write_bytes(BIG)
    async with open_site() as site:
        run = (await site.life.finished((await site.life.start(home)).id)).id
        await client.done("clone", "--quiet", address(site, run, "viewer"), "clone")
        clone = client.home / "clone"
        assert (clone / "workspace/big.bin").read_bytes() == BIG
        assert (clone / "workspace/made").read_text() == "by a"
        await client.done("lfs", "fsck", cwd=clone)
        await client.done("fsck", "--strict", cwd=clone)
        branches = await client.done("branch", "--remotes", "--format=%(refname:short)", cwd=clone)
        assert {"origin/main", "origin/step/a"} <= set(branches.split())
        assert await client.done("log", "--format=%s%n", "-1", cwd=clone)
        # What there is on one machine with `flow clone`, there is here.
        await asyncio.to_thread(own_git.clone, (await refs(site, run))[0].path, client.home / "own")
        assert await client.done("rev-parse", "HEAD", cwd=client.home / "own") == await client.done(
            "rev-parse", "HEAD", cwd=clone
        )
        # Depth, protocol of old clients, and fetching a commit by its id.
        await client.done("clone", "--quiet", "--depth=1", address(site, run, "viewer"), "shallow")
        await client.done("-c", "protocol.version=0", "clone", "--quiet", address(site, run, "viewer"), "old")
        await client.done("init", "--quiet", "--object-format=sha256", "one")
        head = await client.done("rev-parse", "HEAD", cwd=clone)
        await client.done("fetch", "--quiet", address(site, run, "viewer"), head, cwd=client.home / "one")


async def test_who_may_not(home, open_site, client, public):
    home.write({"a": step()})
    async with open_site() as site:
        run = (await site.life.finished((await site.life.start(home)).id)).id

        async def refused(url):
            code, output = await client.git("ls-remote", url)
            assert code != 0
            return output

        assert "could not read Username" in await refused(address(site, run))
        assert "Authentication failed" in await refused(address(site, run, "nonsense"))
        assert "not found" in await refused(address(site, run, "stranger"))
        assert "not found" in await refused(address(site, "0" * 26, "viewer"))
        for token in ("viewer", "maintainer", "admin"):  # no person pushes
            code, _ = await client.git("push", address(site, run, token), "HEAD:refs/heads/main", cwd=home.project)
            assert code != 0
            answer = await site.http.post(f"/git/runs/{run}.git/git-receive-pack", headers=site.as_(token))
            assert answer.status_code in (403, 404)
        public.add("project")
        await client.done("ls-remote", address(site, run))
        answer = await site.http.post(f"/git/runs/{run}.git/git-receive-pack")
        assert answer.status_code == 401
        for path in (
            "HEAD",
            "objects/info/packs",
            "config",
            "info/refs",
            "info/refs?service=git-upload-archive",
            "../x",
        ):
            answer = await site.http.get(f"/git/runs/{run}.git/{path}", headers=site.as_("viewer"))
            assert answer.status_code in (403, 404), path


async def test_an_attempt_pushes_its_result_with_large_files(home, open_site, client):
    async with working(home, open_site, client) as (site, run, token, clone):
        parent = await client.done("rev-parse", "HEAD", cwd=clone)
        assert (clone / "workspace/big.bin").read_bytes() == BIG
        await client.done("lfs", "install", "--local", cwd=clone)
        changed = BIG[::-1]
        made = await commit(client, clone, {"workspace/big.bin": changed, "workspace/small": b"new\n"})
        await client.done("push", "--quiet", "origin", f"HEAD:{REF}", cwd=clone)
        repository, found = await refs(site, run)
        assert found[REF] == made
        assert not any("namespaces" in name for name in found)
        assert repository.commit(made).parents == (parent,)
        own_git.fsck(repository.path)
        assert hashlib.sha256(changed).hexdigest() in {each.oid for each in repository.large_files(made)}
        assert all(repository.lfs.verify(each) for each in repository.large_files(made))
        await client.done("push", "--quiet", "origin", f"HEAD:{REF}", cwd=clone)  # the answer was lost: again
        await client.done("clone", "--quiet", address(site, run, token), "again")
        await client.done("fetch", "--quiet", "origin", REF, cwd=client.home / "again")
        await client.done("checkout", "--quiet", "FETCH_HEAD", cwd=client.home / "again")
        assert (client.home / "again/workspace/big.bin").read_bytes() == changed
        other = await commit(client, clone, {"workspace/small": b"something else\n"})
        await client.done("commit", "--quiet", "--amend", "-m", "x", cwd=clone)
        assert other
        code, _ = await client.git("push", "--force", "origin", f"HEAD:{REF}", cwd=clone)
        assert code != 0
        assert (await refs(site, run))[1][REF] == made


async def test_an_attempt_pushes_nothing_else(home, open_site, client):
    async with working(home, open_site, client) as (site, run, _token, clone):
        before = (await refs(site, run))[1]
        parent = await client.done("rev-parse", "HEAD", cwd=clone)
        await commit(client, clone, {"workspace/small": b"new\n"})
        for specs in (
            ["HEAD:refs/heads/main"],
            ["HEAD:refs/heads/step/a"],
            ["HEAD:refs/attempts/a/1/2"],
            ["HEAD:refs/attempts/a/2/1"],
            ["HEAD:refs/attempts/b/1/1"],
            ["HEAD:refs/namespaces/incoming/" + REF],
            [f"HEAD:{REF}", "HEAD:refs/heads/main"],
            [f":{REF}"],
            [":refs/heads/main"],
            [f"{parent}:{REF}"],  # its own input is no result
            ["--force", "HEAD~0:refs/heads/main"],
        ):
            code, output = await client.git("push", "origin", *specs, cwd=clone)
            assert code != 0, (specs, output)
        tree = await client.done("write-tree", cwd=clone)
        for arguments in (["-p", "HEAD"], []):  # does not follow from the input
            odd = await client.done("commit-tree", "-m", "odd", *arguments, tree, cwd=clone)
            code, output = await client.git("push", "origin", f"{odd}:{REF}", cwd=clone)
            assert code != 0, output
        empty = await client.done("hash-object", "-t", "tree", "-w", "--stdin", cwd=clone)
        odd = await client.done("commit-tree", "-m", "no workspace", "-p", parent, empty, cwd=clone)
        code, output = await client.git("push", "origin", f"{odd}:{REF}", cwd=clone)
        assert code != 0, output
        assert (await refs(site, run))[1] == before
        await client.done("push", "--quiet", "origin", f"HEAD:{REF}", cwd=clone)  # the control: what is right goes


async def test_the_token_dies_with_the_attempt(home, open_site, client):
    async with working(home, open_site, client) as (site, run, token, clone):
        await commit(client, clone, {"workspace/small": b"late\n"})
        await site.life.client.cancel(run, force=True)
        await site.life.finished(run)
        code, output = await client.git("push", "origin", f"HEAD:{REF}", cwd=clone)
        assert (code != 0, "Authentication failed" in output) == (True, True)
        assert await client.git("ls-remote", address(site, run, token)) != (0, "")
        other = (await site.life.start(home)).id
        code, _ = await client.git("ls-remote", address(site, other, token))
        assert code != 0
        await site.life.client.cancel(other, force=True)
        await site.life.finished(other)


async def test_a_token_opens_no_other_run(home, open_site, client):
    async with working(home, open_site, client) as (site, _run, token, clone):
        other = (await site.life.start(home)).id
        await site.life.until(other, "a", "run")
        code, output = await client.git("ls-remote", address(site, other, token))
        assert (code, "not found" in output) == (128, True)
        code, _ = await client.git("push", address(site, other, token), f"HEAD:{REF}", cwd=clone)
        assert code != 0
        await site.life.client.cancel(other, force=True)
        await site.life.finished(other)


async def test_the_id_of_a_large_file_opens_nothing(home, open_site, client):
    """Another run has the file; a pointer to it that this run never had or sent does not make it this run's."""
    secret = b"of another run" * 100_000
    async with working(home, open_site, client) as (site, run, token, clone):
        repository, _ = await refs(site, run)
        pointer = repository.lfs.put_bytes(secret)
        text = pointer.blob()
        wanted = {"operation": "download", "objects": [{"oid": pointer.oid, "size": pointer.size}]}
        base = address(site, run, path="/info/lfs/objects")
        header = site.as_(token)

        async def closed():
            answer = await site.http.post(f"{base}/batch", headers=header, json=wanted)
            assert answer.json()["objects"][0]["error"]["code"] == 404
            assert (await site.http.get(f"{base}/{pointer.oid}", headers=header)).status_code == 404

        await closed()
        await commit(client, clone, {"workspace/stolen": text})
        code, output = await client.git("push", "origin", f"HEAD:{REF}", cwd=clone, GIT_LFS_SKIP_PUSH="1")
        assert code != 0, output
        await closed()
        answer = await site.http.put(f"{base}/{pointer.oid}?size={pointer.size}", headers=header, content=b"guess")
        assert answer.status_code == 400
        await closed()
        # Whoever has the content may send it: then it is this run's, too.
        ask = wanted | {"operation": "upload"}
        told = (await site.http.post(f"{base}/batch", headers=header, json=ask)).json()["objects"][0]["actions"]
        answer = await site.http.put(told["upload"]["href"], headers=told["upload"]["header"], content=secret)
        assert answer.status_code == 200
        answer = await site.http.post(told["verify"]["href"], headers=header, json=wanted["objects"][0])
        assert answer.status_code == 200
        assert (await site.http.get(f"{base}/{pointer.oid}", headers=header)).content == secret
        part = await site.http.get(f"{base}/{pointer.oid}", headers={**header, "Range": "bytes=3-9"})
        assert (part.status_code, part.content) == (206, secret[3:10])
        await client.done("push", "--quiet", "origin", f"HEAD:{REF}", cwd=clone, GIT_LFS_SKIP_PUSH="1")


async def test_people_upload_nothing(home, open_site):
    home.write({"a": step()})
    async with open_site() as site:
        run = (await site.life.finished((await site.life.start(home)).id)).id
        base = f"/git/runs/{run}.git/info/lfs"
        oid = hashlib.sha256(b"x").hexdigest()
        header = site.as_("maintainer")
        ask = {"operation": "upload", "objects": [{"oid": oid, "size": 1}]}
        for answer in (
            await site.http.post(f"{base}/objects/batch", headers=header, json=ask),
            await site.http.put(f"{base}/objects/{oid}?size=1", headers=header, content=b"x"),
            await site.http.post(f"{base}/verify", headers=header, json=ask["objects"][0]),
        ):
            assert answer.status_code in (403, 404)
        for bad in (b"", b"[", b"{}", b'{"operation": "delete", "objects": []}', b'{"objects": [{"oid": "../x"}]}'):
            answer = await site.http.post(f"{base}/objects/batch", headers=header, content=bad)
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request"), bad
        answer = await site.http.post(f"{base}/objects/batch", headers=header, content=b" " * (2 << 20))
        assert answer.status_code == 413
        for path in ("../../config", "x" * 64, oid.upper(), "%2e%2e"):
            assert (await site.http.get(f"{base}/objects/{path}", headers=header)).status_code in (404, 422)


async def test_a_push_that_is_too_large_leaves_nothing(home, open_site, client):
    async with working(home, open_site, client) as (site, run, _token, clone):
        site.backend.git.bounds = replace(site.backend.git.bounds, push_bytes=100_000)
        before = await refs(site, run)
        await commit(client, clone, {"workspace/small": os.urandom(500_000)})
        code, output = await client.git("push", "origin", f"HEAD:{REF}", cwd=clone)
        assert (code != 0, "413" in output) == (True, True)
        repository, after = await refs(site, run)
        assert after == before[1]
        assert not list(repository.path.glob("objects/*incoming*"))


async def test_clients_that_go_away_leave_no_child(home, open_site, client, monkeypatch):
    home.write({"a": step()})
    (home.project / "data").write_bytes(os.urandom(900_000))
    async with open_site() as site:
        run = (await site.life.finished((await site.life.start(home)).id)).id
        site.backend.git = GitServer(Bounds(children=1))
        started, begun = [], threading.Event()
        original = asyncio.create_subprocess_exec

        async def noted(*args, **options):
            started.append(await original(*args, **options))
            begun.set()
            return started[-1]

        monkeypatch.setattr(asyncio, "create_subprocess_exec", noted)
        host, port = site.url.removeprefix("http://").split(":")
        head = f"POST /git/runs/{run}.git/git-upload-pack HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer viewer\r\n"
        head += "Content-Type: application/x-git-upload-pack-request\r\nContent-Length: 1000\r\n\r\n0011command=fetch"

        def leave():
            with socket.create_connection((host, int(port))) as connection:
                connection.sendall(head.encode())
                assert begun.wait(30)

        await asyncio.to_thread(leave)
        await asyncio.wait_for(started[0].wait(), 30)
        await client.done("clone", "--quiet", address(site, run, "viewer"), "clone")  # there is only one place for all


async def test_clients_that_do_not_read_are_given_up(home, open_site, client):
    home.write({"a": step()})
    for number in range(30):
        (home.project / f"data{number}").write_bytes(os.urandom(1_000_000))
    async with open_site() as site:
        run = (await site.life.finished((await site.life.start(home)).id)).id
        head = (await refs(site, run))[1]["refs/heads/main"]
        site.backend.git = GitServer(Bounds(children=1, slow=0.5))
        lines = ["command=fetch", "object-format=sha256", None, "no-progress", f"want {head}", "done"]
        body = "".join("0001" if line is None else f"{len(line) + 4:04x}{line}" for line in lines) + "0000"
        host, port = site.url.removeprefix("http://").split(":")
        request = (
            f"POST /git/runs/{run}.git/git-upload-pack HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer viewer\r\n"
        )
        request += f"Git-Protocol: version=2\r\nContent-Type: application/x-git-upload-pack-request\r\nContent-Length: {len(body)}"
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await asyncio.to_thread(connection.connect, (host, int(port)))
            connection.sendall(f"{request}\r\n\r\n{body}".encode())
            assert (await asyncio.to_thread(connection.recv, 12)) == b"HTTP/1.1 200"
            await client.done(
                "clone", "--quiet", "--no-checkout", address(site, run, "viewer"), "clone"
            )  # needs its place


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"0000",
        b"0001",
        b"zzzz",
        b"ffff" + b"x" * 100,
        b"0004",
        b"00ff",
        b"0014push-cert\0x\n00000000",
        b"000dshallow x0000",
        pytest.param(b"fff0" * 40000, id="long"),  # programs get the name of the test in their environment
    ],
)
async def test_what_is_no_push_is_refused(home, open_site, client, body):
    async with working(home, open_site, client) as (site, run, token, _clone):
        before = (await refs(site, run))[1]
        url = address(site, run, path="/git-receive-pack")
        type_ = {"Content-Type": "application/x-git-receive-pack-request"}
        answer = await site.http.post(url, headers=site.as_(token) | type_, content=body)
        assert answer.status_code in ((200,) if body == b"0000" else (400, 403)), answer.text
        compressed = {"Content-Encoding": "gzip"}
        answer = await site.http.post(url, headers=site.as_(token) | type_ | compressed, content=body)
        assert answer.status_code == 400
        assert (await refs(site, run))[1] == before


async def test_many_at_once_wait_for_a_place_and_some_are_sent_away(home, open_site):
    home.write({"a": step()})
    async with open_site() as site:
        run = (await site.life.finished((await site.life.start(home)).id)).id
        site.backend.git = GitServer(Bounds(children=1, wait=0))
        url = f"/git/runs/{run}.git/info/refs?service=git-upload-pack"
        async with site.backend.git.child({"PATH": os.environ["PATH"]}):
            answer = await site.http.get(url, headers=site.as_("viewer"))
        assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
        site.backend.git = GitServer(Bounds(children=1))
        answers = await asyncio.gather(*(site.http.get(url, headers=site.as_("viewer")) for _ in range(8)))
        assert {answer.status_code for answer in answers} == {200}


async def test_addresses_are_those_that_clients_know(home, open_site):
    home.write({"a": step()})
    (home.project / "big.bin").write_bytes(BIG)
    async with open_site() as site:
        run = (await site.life.finished((await site.life.start(home)).id)).id
        oid = hashlib.sha256(BIG).hexdigest()
        ask = {"operation": "download", "objects": [{"oid": oid, "size": len(BIG)}]}

        async def href(**headers):
            answer = await site.http.post(
                f"/git/runs/{run}.git/info/lfs/objects/batch", headers=site.as_("viewer", **headers), json=ask
            )
            return answer.json()["objects"][0]["actions"]["download"]["href"]

        assert await href() == f"{site.url}/git/runs/{run}.git/info/lfs/objects/{oid}"
        assert await href(Host="flow.example") == f"https://flow.example/git/runs/{run}.git/info/lfs/objects/{oid}"
        async with httpx2.AsyncClient() as plain:
            answer = await plain.get(await href(), headers=site.as_("viewer"))
        assert answer.content == BIG


async def test_a_run_can_be_the_source_of_a_project(home, open_site, tmp_path):
    """A source over HTTP with LFS and a password: who serves it is this server, who fetches it is the mirror."""
    home.write({"a": step()})
    (home.project / "big.bin").write_bytes(BIG)
    async with open_site() as site:
        run = (await site.life.finished((await site.life.start(home)).id)).id
        policy = Policy(plain_http=True, internal=("127.0.0.1",))

        def fetch(token):
            url = parse(address(site, run))
            mirror = Mirror(tmp_path / "mirror")
            remote = reach(url, policy, Credential("x", token))
            listing = mirror.fetch(remote)
            source = CommitSource(mirror, f"refs/heads/{listing.default_branch}")
            assert source.missing_large()
            mirror.fetch_large(remote, source.commit, source.missing_large())
            return source

        with pytest.raises(InvalidRequest, match="does not let the server in"):
            await asyncio.to_thread(fetch, "nonsense")
        source = await asyncio.to_thread(fetch, "viewer")
        made = await asyncio.to_thread(lambda: {each.path: each.content for each in source.made() if each.content})
        assert made[b"workspace/big.bin"].read_bytes() == BIG
    config = (tmp_path / "mirror/source.git/config").read_text()
    assert "viewer" not in config
