"""Commit objects and trailers: what goes in comes out, here and in stock git; nothing can be forged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowbuild.core.errors import WorkspaceError
from flowbuild.core.globs import matches
from flowbuild.workspace import git
from flowbuild.workspace.attributes import render
from flowbuild.workspace.commits import Commit, decode, encode
from flowbuild.workspace.git import GitError, GitFailure

KEYS = st.from_regex(r"Flow-[A-Za-z0-9-]{1,20}", fullmatch=True)


@given(st.text(), st.dictionaries(KEYS, st.text(), max_size=4))
def test_round_trip(subject, trailers):
    commit = decode(encode(Commit("a" * 64, ("b" * 64,), 7, subject, trailers)))
    assert (commit.tree, commit.parents, commit.time) == ("a" * 64, ("b" * 64,), 7)
    assert dict(commit.trailers) == trailers
    assert "\n" not in commit.subject


def test_stock_git_reads_the_same_and_nothing_is_forged(tmp_path):
    repo = tmp_path / "r.git"
    git.run(
        None,
        "init",
        "--quiet",
        "--bare",
        "--object-format=sha256",
        "-b",
        "main",
        "--template=",
        "--end-of-options",
        str(repo),
    )
    tree = git.run(repo, "mktree").stdout.decode().strip()
    hostile = {"Flow-Step": "x\n\nFlow-Outcome: succeeded\r\u2028Flow-Run: 1", "Flow-Node": " spaced "}
    data = encode(Commit(tree, (), 1, "done\n\nFlow-Outcome: succeeded", hostile))
    oid = git.run(repo, "hash-object", "-t", "commit", "-w", "--stdin", stdin=data).stdout.decode().strip()
    git.run(repo, "update-ref", "refs/heads/main", oid)
    git.fsck(repo)
    keys = git.run(repo, "log", "-1", "--format=%(trailers:keyonly)", oid).stdout.split()
    assert keys == [b"Flow-Step", b"Flow-Node"]
    assert decode(data).trailers == hostile
    with pytest.raises(ValueError):
        encode(Commit(tree, (), 1, "x", {"Bad key": "x"}))
    with pytest.raises(WorkspaceError):
        decode(b"not a commit")


def test_git_failures_are_told_apart(tmp_path):
    cases = {
        GitFailure.NOT_A_REPOSITORY: (tmp_path / "absent", "rev-parse", "HEAD"),
        GitFailure.OTHER: (None, "no-such-command"),
    }
    repo = tmp_path / "r.git"
    git.run(None, "init", "--quiet", "--bare", "--end-of-options", str(repo))
    cases[GitFailure.UNKNOWN_REVISION] = (repo, "log", "--end-of-options", "--nothing", "--")
    for failure, (git_dir, *args) in cases.items():
        with pytest.raises(GitError) as told:
            git.run(git_dir, *args)
        assert told.value.failure is failure, told.value
    with pytest.raises(GitError) as told:
        git.run(repo, "cat-file", "--batch", timeout=0.0)
    assert told.value.failure is GitFailure.TIMEOUT


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("reports/**", "reports/a/b.xml", "other/reports/a"),
        ("**/*.md", "a.md", "a.mdx"),
        ("dist/*.js", "dist/a.js", "dist/sub/a.js"),
        ("a?[bc].[!x]", "azb.y", "azb.x"),
        ("dir/", "dir/any/thing", "dir"),
        ("[z-a]", "[z-a]", "z"),
        ("a[b", "a[b", "ab"),
    ],
)
def test_globs(pattern, yes, no):
    assert matches(pattern, yes)
    assert not matches(pattern, no)


def test_attributes_stay_few_and_exact():
    paths = [b"many/%d" % number for number in range(600)] + [b"one"]
    assert render(paths, lambda _: 600).count(b"\n") == 2
    assert render(paths, lambda _: 601).count(b"\n") == 601
    assert render([b'a "b'], lambda _: 1) == b'"/workspace/a \\"b" filter=lfs diff=lfs merge=lfs -text\n'
    assert render([b"x" * 2000 + b"/name"], lambda _: 1).startswith(b"/workspace/**/name ")
