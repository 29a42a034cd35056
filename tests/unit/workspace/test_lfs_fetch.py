"""Large files of a source over HTTP: from where they are to come, and from nowhere that the policy refuses."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from flowbuild.core.errors import InvalidRequest, WorkspaceError
from flowbuild.core.giturl import Policy, parse
from flowbuild.testing.git_remote import Source, served
from flowbuild.testing.lfs_server import DATA, POINTER, serving
from flowbuild.workspace.git import Children
from flowbuild.workspace.lfs_fetch import TRIES
from flowbuild.workspace.mirror import Mirror
from flowbuild.workspace.remote import Credential, Remote, Unreachable, reach
from flowbuild.workspace.source_commit import CommitSource

BY_NAME = Policy(
    plain_http=True, internal=("localhost",)
)  # the name is allowed, the address 127.0.0.1 by itself is not
ALL = Policy(plain_http=True, internal=("localhost", "127.0.0.0/8"))


def fetch(tmp_path, lfs, policy, *, credential=None, children=None):
    """Fetch the file from a remote whose git repository is already there."""
    mirror = Mirror(tmp_path / "mirror", children)
    (tmp_path / "mirror/source.git").mkdir(parents=True, exist_ok=True)
    remote = reach(parse(f"{lfs.url}/shop.git"), policy, credential)
    mirror.fetch_large(remote, "0" * 40, [POINTER], seconds=60)
    place = tmp_path / "mirror/source.git/lfs/objects" / POINTER.oid[:2] / POINTER.oid[2:4] / POINTER.oid
    return place.read_bytes()


def test_a_large_file_comes_with_the_credential_of_the_remote(tmp_path):
    with serving("localhost") as lfs:
        lfs.offers(f"{lfs.url}/file?signature=1")
        lfs.answers["GET /file"] = (200, {}, DATA)
        assert fetch(tmp_path, lfs, BY_NAME, credential=Credential("ada", "hunter2")) == DATA
        (_, batch, body), (line, got, _) = lfs.asked
    assert json.loads(body)["objects"] == [{"oid": POINTER.oid, "size": POINTER.size}]
    assert line == "GET /file?signature=1"
    assert batch["Authorization"] == got["Authorization"] == "Basic YWRhOmh1bnRlcjI="


@pytest.mark.parametrize("more", [{"authenticated": True}, {"header": {"Authorization": "Bearer x"}}, {"other": True}])
def test_the_credential_goes_no_further_than_it_must(tmp_path, more):
    with serving("localhost", "127.0.0.1") as (lfs, other):
        place = other if more.pop("other", False) else lfs
        download = {"href": f"{place.url}/file", "header": more.pop("header", {})}
        lfs.offers("", actions={"download": download}, **more)
        place.answers["GET /file"] = (200, {}, DATA)
        fetch(tmp_path, lfs, ALL, credential=Credential("ada", "hunter2"))
        assert place.asked[-1][1].get("Authorization", "Bearer x") == "Bearer x"


def at_once(victim):
    return {"href": f"{victim.url}/secret"}


def by_redirect(victim):
    return {"redirect": f"{victim.url}/secret"}


def by_another_name(victim):
    return {"href": f"{victim.url}/secret".replace("127.0.0.1", "0x7f.1")}


@pytest.mark.parametrize("way", [at_once, by_redirect, by_another_name])
@pytest.mark.parametrize("policy", [BY_NAME, ALL], ids=["refused", "control: allowed"])
def test_a_server_that_names_an_address_inside(tmp_path, way, policy):
    """It makes the server ask nobody there; where the policy allows it, the same answers do."""
    with serving("localhost", "127.0.0.1") as (lfs, victim):
        named = way(victim)
        lfs.offers(named.get("href", f"{lfs.url}/file"))
        lfs.answers["GET /file"] = (302, {"Location": named.get("redirect", "")}, b"")
        victim.answers["GET /secret"] = (200, {}, DATA)
        if policy is ALL:
            assert fetch(tmp_path, lfs, policy) == DATA
            assert victim.paths() == ["GET /secret"]
        else:
            with pytest.raises(InvalidRequest, match="is not a public one"):
                fetch(tmp_path, lfs, policy)
            assert victim.asked == []


@pytest.mark.parametrize("href", ["file:///etc/passwd", "ftp://example.org/x", "http://[", "//nowhere", "http://a\nb/"])
def test_an_address_that_is_none(tmp_path, href):
    with serving("localhost") as lfs:
        lfs.offers(href)
        with pytest.raises((InvalidRequest, WorkspaceError)):
            fetch(tmp_path, lfs, ALL)
        assert len(lfs.asked) == 1


def test_http_where_only_https_is_allowed(tmp_path):
    with serving("localhost") as lfs:
        remote = Remote(parse(f"{lfs.url}/shop.git"), policy=Policy(internal=("*",)))
        (tmp_path / "source.git").mkdir()
        with pytest.raises(InvalidRequest, match="http is not encrypted"):
            Mirror(tmp_path).fetch_large(remote, "0" * 40, [POINTER])
        assert lfs.asked == []


@pytest.mark.parametrize(
    ("code", "error", "times"), [(401, InvalidRequest, 1), (404, WorkspaceError, 1), (503, Unreachable, TRIES)]
)
def test_what_a_server_refuses(tmp_path, code, error, times):
    with serving("localhost") as lfs:
        lfs.answers["POST /"] = (code, {}, b"no")
        with pytest.raises(error, match=str(code)):
            fetch(tmp_path, lfs, BY_NAME)
        assert len(lfs.asked) == times


def test_content_that_is_not_what_its_name_says(tmp_path):
    with serving("localhost") as lfs:
        lfs.offers(f"{lfs.url}/file")
        for content in (DATA[:-1] + b"?", DATA[:-1], DATA + b"x"):
            lfs.answers["GET /file"] = (200, {}, content)
            with pytest.raises(InvalidRequest, match=POINTER.oid):
                fetch(tmp_path, lfs, BY_NAME)
        lfs.answers["POST /"] = (200, {}, b"{]")
        lfs.answers.pop("POST /shop.git/info/lfs/objects/batch")
        with pytest.raises(WorkspaceError, match="no answer of an LFS server"):
            fetch(tmp_path, lfs, BY_NAME)


def test_what_is_under_way_can_be_ended(tmp_path):
    children = Children()
    with serving("localhost") as lfs, ThreadPoolExecutor(1) as pool:
        lfs.gate.clear()
        fetching = pool.submit(fetch, tmp_path, lfs, BY_NAME, children=children)
        lfs.waiting.wait(60)
        children.end()
        with pytest.raises(Unreachable, match="did not come"):
            fetching.result(60)


def test_what_a_commit_says_of_lfs_servers_does_not_count(tmp_path):
    """`.lfsconfig` may come from a pull request."""
    source = Source(tmp_path / "shop")
    with serving("127.0.0.1") as victim, served(tmp_path / "shop") as forge:
        text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{POINTER.oid}\nsize {POINTER.size}\n"
        config = f"[lfs]\n\turl = {victim.url}/shop.git/info/lfs\n"
        commit = source.commit({".gitattributes": "*.bin filter=lfs\n", ".lfsconfig": config, "x.bin": text})
        mirror = Mirror(tmp_path / "mirror")
        remote = reach(parse(f"{forge.url}/source.git"), ALL)
        mirror.fetch(remote)
        missing = CommitSource(mirror, commit).missing_large()
        assert missing == {POINTER}
        with pytest.raises(WorkspaceError):
            mirror.fetch_large(remote, commit, missing)
        assert victim.asked == []
        assert any("source.git/info/lfs/objects/batch" in line for line in forge.requests)
