"""The mirror of a remote: incremental, behind passwords, and no way around what was judged."""

import os
import signal
import socket
import subprocess
import threading

import pytest

from flowbuild.core.errors import InvalidRequest, NotFound
from flowbuild.core.giturl import Policy, parse
from flowbuild.testing.git_remote import PASSWORD, USER, Source, served
from flowbuild.workspace import git
from flowbuild.workspace.git import GitError, GitFailure
from flowbuild.workspace.mirror import Mirror
from flowbuild.workspace.remote import Credential, Unreachable, access, reach

OPEN = Policy(plain_http=True, internal=("localhost", "127.0.0.0/8"))
BOTH = Credential(USER, PASSWORD)


@pytest.fixture
def source(tmp_path):
    return Source(tmp_path / "remote")


@pytest.fixture
def mirror(tmp_path):
    return Mirror(tmp_path / "mirror")


def local(source):
    return reach(parse(str(source.path)), Policy(local=(str(source.path.parent),)))


def over_http(server, credential=None):
    return reach(parse(f"{server.url}/source.git"), OPEN, credential)


def packs(mirror):
    return len(list(mirror.path.glob("objects/pack/*.pack")))


def test_branches_and_tags_follow_the_remote(source, mirror):
    one = source.commit({"a": "1"})
    two = source.commit({"b": "2"}, branch="topic")
    source.git("tag", "light", one)
    source.git("tag", "-m", "x", "heavy", two)
    source.push("--tags")
    listing = mirror.fetch(local(source))
    assert listing.default_branch == mirror.default_branch == "main"
    assert mirror.branches() == {"main": one, "topic": two}
    assert mirror.tags() == {"heavy": two, "light": one}
    source.push(":topic")
    three = source.commit({"a": "3"}, branch="topic/below")  # in the place of a branch that is gone
    source.push(":refs/tags/light", "+HEAD:refs/heads/main")
    mirror.fetch(local(source))
    assert mirror.branches() == {"main": three, "topic/below": three}
    assert mirror.tags() == {"heavy": two}
    git.fsck(mirror.path)


def test_nothing_is_transferred_when_nothing_changed(source, mirror):
    source.commit({"a": "1"})
    with served(source.path.parent) as server:
        mirror.fetch(over_http(server))
        assert any("POST" in request for request in server.requests)
        first = len(server.requests)
        mirror.fetch(over_http(server))
        again = len(server.requests) - first
        before = packs(mirror)
        source.commit({"b": "2"})
        mirror.fetch(over_http(server))
        assert packs(mirror) == before + 1
        assert again < first


def test_only_what_is_new_is_transferred(source, mirror):
    source.commit({"large": os.urandom(1 << 20)})
    mirror.fetch(local(source))
    source.commit({"small": "x"})
    mirror.fetch(local(source))
    sizes = sorted(path.stat().st_size for path in mirror.path.glob("objects/pack/*.pack"))
    assert sizes[0] < 2000 < 1 << 20 < sizes[-1]


def test_many_packs_are_put_together(source, mirror):
    for number in range(22):
        source.commit({"a": str(number)})
        mirror.fetch(local(source))
    assert packs(mirror) < 20
    git.fsck(mirror.path)


def test_a_sha256_source(tmp_path, mirror):
    source = Source(tmp_path / "remote", object_format="sha256")
    commit = source.commit({"a": "1"})
    mirror.fetch(local(source))
    assert len(commit) == 64
    assert mirror.commit_of("refs/heads/main") == commit


def test_an_empty_repository_is_one(source, mirror):
    listing = mirror.fetch(local(source))
    assert (listing.refs, mirror.branches()) == ({}, {})


def test_a_password_opens_and_nobody_sees_it(source, mirror):
    commit = source.commit({"a": "1"})
    with served(source.path.parent, password=PASSWORD) as server:
        remote = over_http(server, BOTH)
        with access(remote, mirror.path) as config:
            assert PASSWORD not in str(config)
        assert PASSWORD not in repr(remote)
        mirror.fetch(remote)
        assert mirror.commit_of("refs/heads/main") == commit
        with pytest.raises(InvalidRequest, match="does not let the server in") as refused:
            mirror.fetch(over_http(server, Credential(USER, "wrong")))
        assert "wrong" not in str(refused.value)
        with pytest.raises(InvalidRequest, match="does not let the server in"):
            mirror.fetch(over_http(server))
    kept = [path.read_bytes() for path in mirror.path.rglob("*") if path.is_file()]
    assert not any(PASSWORD.encode() in content for content in kept)


def test_a_redirect_is_not_followed(source, mirror):
    source.commit({"a": "1"})
    with served(source.path.parent) as inside, served(source.path.parent, redirect=inside.url) as outside:
        with pytest.raises(InvalidRequest, match="moved"):
            mirror.fetch(over_http(outside))
        assert inside.requests == []
        assert outside.requests  # it was asked indeed


def test_the_connection_goes_to_the_address_that_was_judged(source, mirror):
    """The name may resolve to another address a moment later; this one does not resolve at all."""
    commit = source.commit({"a": "1"})
    with served(source.path.parent) as server:
        judged = over_http(server)
        url = parse(f"http://git.invalid:{server.port}/source.git")
        mirror.fetch(type(judged)(url, ("127.0.0.1",)))
        assert mirror.branches() == {"main": commit}
    with pytest.raises(Unreachable, match="not known"):
        reach(url, OPEN)


def test_internal_hosts_are_refused_before_anything_is_sent(source):
    with served(source.path.parent) as server:
        with pytest.raises(InvalidRequest, match="not a public one"):
            reach(parse(f"{server.url}/source.git"), Policy(plain_http=True))
        assert server.requests == []


def test_paths_are_judged_by_where_they_lead(tmp_path, source):
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    (allowed / "link").symlink_to(source.path)
    with pytest.raises(InvalidRequest, match="not allowed there"):
        reach(parse(str(allowed / "link")), Policy(local=(str(allowed),)))


@pytest.mark.parametrize(("path", "words"), [("nowhere.git", "no git repository"), ("", "no git repository")])
def test_what_is_no_repository(source, mirror, path, words):
    with pytest.raises(InvalidRequest, match=words):
        mirror.fetch(reach(parse(f"{source.path.parent}/{path}"), Policy(local=(str(source.path.parent),))))
    with served(source.path.parent) as server, pytest.raises(InvalidRequest, match=words):
        mirror.fetch(reach(parse(f"{server.url}/{path or 'x'}"), OPEN))


def test_a_host_that_is_not_there(mirror):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = parse(f"http://localhost:{closed.getsockname()[1]}/p.git")
        with pytest.raises(Unreachable, match="cannot be reached"):
            mirror.fetch(reach(url, OPEN))


def test_a_host_that_never_answers_is_given_up_with_all_that_was_started(mirror):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = parse(f"http://localhost:{silent.getsockname()[1]}/p.git")
        with access(reach(url, OPEN), mirror.path) as config, pytest.raises(GitError) as late:
            git.run(None, "ls-remote", "--quiet", "--end-of-options", url.text, config=config, timeout=1)
        assert late.value.failure is GitFailure.TIMEOUT
        connection, _ = silent.accept()
        with connection:
            while connection.recv(4096):  # ends only when git's transport is gone
                pass


def test_refs_of_pull_requests(source, mirror):
    source.commit({"a": "1"})
    commit = source.commit({"a": "2"}, branch="proposal")
    source.push("HEAD:refs/pull/7/head", ":proposal")
    remote = local(source)
    assert mirror.fetch_ref(remote, "refs/pull/7/head") == commit
    assert mirror.commit_of(commit[:12]) == commit
    assert not mirror.contains(commit)
    assert mirror.contains(mirror.commit_of("refs/heads/main"))
    mirror.fetch(remote)  # does not prune it
    assert mirror.commit_of("refs/asked/pull/7/head") == commit
    with pytest.raises(NotFound, match="has no refs/pull/8/head"):
        mirror.fetch_ref(remote, "refs/pull/8/head")
    for bad in ("main", "refs/../x", "refs/a b", "-x", "refs/heads/*", "refs/x:refs/heads/main", "+refs/pull/7/head"):
        with pytest.raises(InvalidRequest):
            mirror.fetch_ref(remote, bad)


@pytest.mark.parametrize("bad", ["", "--all", "HEAD", "main", "-x", "abc", "a..b", "0" * 65, "@{u}"])
def test_what_is_no_commit(source, mirror, bad):
    source.commit({"a": "1"})
    mirror.fetch(local(source))
    with pytest.raises((InvalidRequest, NotFound)):
        mirror.commit_of(bad)


def test_changed_paths(source, mirror):
    one = source.commit({"a": "1", "b": "1"})
    two = source.commit({"a": "2", "ü": "2"}, branch="topic")
    source.git("checkout", "--quiet", one)
    three = source.commit({"b": "3"})
    mirror.fetch(local(source))
    assert mirror.changed(one, two) == ["a", "ü"]
    assert sorted(mirror.changed(three, two)) == ["a", "b", "ü"]
    assert mirror.changed(three, two, since_fork=True) == ["a", "ü"]
    assert mirror.changed("0" * 40, two) is None


def test_commits_since_another_one(source, mirror):
    one = source.commit({"a": "1"})
    two = source.commit({"a": "2"})
    three = source.commit({"a": "3"})
    mirror.fetch(local(source))
    assert [each.commit for each in mirror.since(one, three, 10)] == [three, two]
    assert [each.commit for each in mirror.since(one, three, 1)] == [three]
    assert mirror.since(three, one, 10) == []
    assert all(each.author and each.subject and each.at > 0 for each in mirror.since(one, three, 10))
    with pytest.raises(NotFound):
        mirror.since("0" * 40, three, 10)


def test_configuration_of_the_remote_runs_nothing_here(source, mirror, tmp_path):
    source.commit({"a": "1"})
    mark = tmp_path / "ran"
    for hook in ("post-upload-pack", "pre-receive", "reference-transaction"):
        path = source.path / "hooks" / hook
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\ntouch {mark}\n")
        path.chmod(0o755)
    source.git("--git-dir", str(source.path), "config", "uploadpack.packObjectsHook", f"touch {mark};")
    mirror.fetch(local(source))
    assert not mark.exists()


def test_broken_objects_are_refused(source, mirror):
    source.commit({"a": "1"})
    tree = subprocess.run(
        ["git", "mktree"],
        cwd=source.tree,
        input=b"100644 blob " + source.git("rev-parse", "HEAD:a").encode() + b"\t.git\n",
        capture_output=True,
        check=True,
    ).stdout
    evil = source.git("commit-tree", "-m", "evil", tree.decode().strip())
    source.push(f"{evil}:refs/heads/evil")
    with pytest.raises(GitError, match="git"):
        mirror.fetch(local(source))
    assert "evil" not in mirror.branches()


def test_two_fetches_at_once_wait_for_one_another(source, mirror):
    source.commit({"a": os.urandom(1 << 16)})
    remote, errors = local(source), []

    def fetch():
        try:
            Mirror(mirror.path.parent).fetch(remote)
        except Exception as error:  # noqa: BLE001 (whatever it is, the test fails)
            errors.append(error)

    threads = [threading.Thread(target=fetch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    git.fsck(mirror.path)


def test_a_fetch_that_was_killed_leaves_a_mirror_that_works(source, mirror):
    """Killed by SIGKILL as soon as objects arrive; the next fetch completes it."""
    source.commit({"a": os.urandom(1 << 20)})
    mirror.fetch(local(source))
    source.commit({"b": os.urandom(4 << 20)})
    command = ["git", "fetch", "--quiet", str(source.path), "+refs/heads/*:refs/heads/*"]
    env = git.environment(mirror.path, {"protocol.file.allow": "always", "fetch.unpackLimit": "1"})
    child = subprocess.Popen(command, env=env, process_group=0)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    mirror.fetch(local(source))
    assert mirror.branches() == {"main": source.git("rev-parse", "HEAD")}
    git.fsck(mirror.path)
