"""What forges tell is understood the same way, whichever forge it was."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowbuild.core.errors import InvalidRequest
from flowbuild.core.sources import PullRequestChange, SourceKind
from flowbuild.forges import KINDS, Mapped, forge_of
from flowbuild.testing.payloads import FORGES, ZERO, Delivery, Push, Request

KIND = pytest.mark.parametrize("kind", FORGES)
OPENED = {"github": "opened", "gitea": "opened", "gitlab": "open", "bitbucket": "created"}
UPDATED = {"github": "synchronize", "gitea": "synchronized", "gitlab": "update", "bitbucket": "updated"}
CLOSED = {"github": "closed", "gitea": "closed", "gitlab": "merge", "bitbucket": "fulfilled"}


def parse(kind, what):
    delivery = FORGES[kind](what)
    return forge_of(kind, "hook").parse(delivery.headers, delivery.body)


def only(kind, what):
    (event,) = parse(kind, what).events
    return event


@KIND
def test_a_push_to_a_branch(kind):
    event = only(kind, Push("refs/heads/feature/x"))
    assert (event.kind, event.branch, event.tag) == (SourceKind.PUSH, "feature/x", "")
    assert (event.before, event.commit) == ("a" * 40, "b" * 40)
    assert (event.actor, event.title, event.repository) == ("ann", "Make it work", "team/app")
    assert event.url.startswith("https://forge.invalid/")
    assert not event.deleted
    assert not event.skip


@KIND
def test_a_branch_that_is_new_or_gone(kind):
    new, gone = only(kind, Push(before=ZERO)), only(kind, Push(after=ZERO))
    assert (new.before, new.commit, new.deleted) == ("", "b" * 40, False)
    assert (gone.before, gone.commit, gone.deleted, gone.branch) == ("a" * 40, "", True, "main")


@KIND
def test_a_pushed_tag_means_its_commit(kind):
    event = only(kind, Push("refs/tags/v1", before=ZERO, tag_object="e" * 40))
    assert (event.kind, event.branch, event.tag, event.commit) == (SourceKind.TAG, "", "v1", "b" * 40)


@KIND
def test_a_commit_message_can_ask_for_no_runs(kind):
    assert only(kind, Push(message="docs\n\n[skip ci]")).skip


@KIND
@pytest.mark.parametrize(
    ("actions", "change"),
    [
        (OPENED, PullRequestChange.OPENED),
        (UPDATED, PullRequestChange.UPDATED),
        (CLOSED, PullRequestChange.CLOSED),
    ],
)
def test_a_pull_request_of_the_same_repository(kind, actions, change):
    event = only(kind, Request(actions[kind], changes={"oldrev": "f" * 40}))
    assert (event.kind, event.branch, event.title) == (SourceKind.PULL_REQUEST, "topic", "Add a thing")
    assert event.commit == "c" * 40 or (kind == "bitbucket" and event.commit == "c" * 12)
    request = event.pull_request
    assert (request.number, request.change, request.fork, request.author) == (7, change, False, "bob")
    assert (request.head_branch, request.base_branch) == ("topic", "main")


@KIND
def test_the_branch_of_a_fork_never_looks_like_one_of_ours(kind):
    event = only(kind, Request(OPENED[kind], head="main", source="mallory/app"))
    assert event.pull_request.fork
    assert event.pull_request.head_branch == "main"
    assert event.branch == "mallory:main"


@pytest.mark.parametrize("kind", ["github", "gitea"])
def test_a_fork_that_is_gone_is_a_fork(kind):
    delivery = FORGES[kind](Request("opened"))
    body = json.loads(delivery.body)
    body["pull_request"]["head"]["repo"] = None
    (event,) = forge_of(kind, "hook").parse(delivery.headers, json.dumps(body).encode()).events
    assert event.pull_request.fork
    assert event.branch == "fork:topic"


def test_gitlab_tells_a_fork_that_is_gone_and_a_request_without_commits():
    delivery = FORGES["gitlab"](Request("close"))
    body = json.loads(delivery.body)
    body["object_attributes"] |= {"source_project_id": None, "source": None, "last_commit": None}
    (event,) = forge_of("gitlab", "hook").parse(delivery.headers, json.dumps(body).encode()).events
    assert (event.pull_request.fork, event.branch, event.commit) == (True, "fork:topic", "")


def test_a_push_of_very_many_refs_says_which_were_looked_at():
    delivery = FORGES["bitbucket"](Push())
    body = json.loads(delivery.body)
    body["push"]["changes"] *= 150
    parsed = forge_of("bitbucket", "hook").parse(delivery.headers, json.dumps(body).encode())
    assert (len(parsed.events), parsed.note) == (100, "only the first 100 of 150 refs were looked at")


@pytest.mark.parametrize(
    ("kind", "request_", "change"),
    [
        ("github", Request("labeled"), PullRequestChange.OTHER),
        ("github", Request("edited"), PullRequestChange.OTHER),
        ("github", Request("edited", changes={"base": {"ref": {"from": "old"}}}), PullRequestChange.UPDATED),
        ("gitea", Request("edited", changes={"ref": {"from": "old"}}), PullRequestChange.UPDATED),
        ("gitlab", Request("approved"), PullRequestChange.OTHER),
        ("gitlab", Request("update"), PullRequestChange.OTHER),  # a new title: no commits came
        ("gitlab", Request("close"), PullRequestChange.CLOSED),
    ],
)
def test_what_changes_no_commit_is_told_apart(kind, request_, change):
    assert only(kind, request_).pull_request.change is change


def test_bitbucket_tells_several_refs_at_once():
    delivery = FORGES["bitbucket"](Push())
    body = json.loads(delivery.body)
    body["push"]["changes"] *= 2
    body["push"]["changes"][1] = {"old": None, "new": {**body["push"]["changes"][0]["new"], "type": "annotated_tag"}}
    events = forge_of("bitbucket", "hook").parse(delivery.headers, json.dumps(body).encode()).events
    assert [event.kind for event in events] == [SourceKind.PUSH, SourceKind.TAG]


def test_forms_are_read_as_json_is():
    delivery = FORGES["github"](Push())
    from urllib.parse import urlencode

    form = urlencode({"payload": delivery.body.decode()}).encode()
    headers = {**delivery.headers, "content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    parsed = forge_of("github", "hook").parse(headers, form)
    assert parsed == forge_of("github", "hook").parse(delivery.headers, delivery.body)
    with pytest.raises(InvalidRequest):  # the control: the same bytes, called JSON
        forge_of("github", "hook").parse(delivery.headers, form)


@pytest.mark.parametrize(
    ("kind", "headers", "body"),
    [
        ("github", {"x-github-event": "ping"}, b"{}"),
        ("github", {"x-github-event": "star"}, b"{}"),
        ("gitea", {"x-gitea-event": "create"}, b"{}"),
        ("gitlab", {"x-gitlab-event": "Note Hook"}, b'{"object_kind": "note"}'),
        ("bitbucket", {"x-event-key": "repo:fork"}, b"{}"),
        ("github", {"x-github-event": "push"}, FORGES["github"](Push("refs/notes/x")).body),
    ],
)
def test_what_starts_nothing_says_why(kind, headers, body):
    parsed = forge_of(kind, "hook").parse(headers, body)
    assert parsed.events == ()
    assert parsed.note


@KIND
@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"a": ' + b"9" * 10_000 + b"}", b"null"])
def test_a_body_that_is_no_json_is_refused(kind, body):
    headers = FORGES[kind](Push()).headers
    with pytest.raises(InvalidRequest, match="body"):
        forge_of(kind, "hook").parse(headers, body)


@KIND
@pytest.mark.parametrize("name", ["-h", "--upload-pack=x", "a b", "a\nb", "a..b", "x.lock", "@{u}", "", "a\0b", "/x"])
def test_hostile_names_of_branches_are_refused(kind, name):
    with pytest.raises(InvalidRequest, match=r"branch or tag|text"):
        parse(kind, Request(OPENED[kind], head=name))


@KIND
@pytest.mark.parametrize("commit", ["HEAD", "--all", "b" * 41 + "/", "B" * 40])
def test_what_is_no_commit_is_refused(kind, commit):
    with pytest.raises(InvalidRequest, match="commit"):
        parse(kind, Push(after=commit))


@KIND
@pytest.mark.parametrize("what", [Push(), Push("refs/tags/v1"), "request"])
def test_any_value_in_any_place_is_understood_or_refused(kind, what):
    """Each field in turn is missing or of another type; the answer is never another error."""
    delivery = FORGES[kind](Request(OPENED[kind]) if what == "request" else what)
    forge, refused, tried = forge_of(kind, "hook"), 0, 0
    for body in _spoilt(json.loads(delivery.body)):
        tried += 1
        try:
            forge.parse(delivery.headers, json.dumps(body).encode())
        except InvalidRequest:
            refused += 1
    assert tried > refused > 5


def _spoilt(value):
    """Yield copies of a JSON value in each of which one part is replaced."""
    yield from (None, True, -1, "", "\ud800", [], [1], {})
    if isinstance(value, dict):
        for key, part in value.items():
            yield {name: other for name, other in value.items() if name != key}
            yield from ({**value, key: spoilt} for spoilt in _spoilt(part))
    if isinstance(value, list) and value:
        yield from ([spoilt, *value[1:]] for spoilt in _spoilt(value[0]))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(kind=st.sampled_from(sorted(KINDS)), body=JSON.map(json.dumps).map(str.encode) | st.binary())
def test_no_body_is_an_error_of_ours(kind, body):
    headers = FORGES[kind](Push()).headers if kind in FORGES else {}
    try:
        parsed = forge_of(kind, "hook").parse(headers, body)
    except InvalidRequest:
        return
    assert parsed.events or parsed.note


class TestGeneric:
    def parse(self, body, mapped=None):
        return forge_of("generic", "nightly", mapped).parse({}, body).events[0]

    def test_what_is_at_the_top_becomes_inputs(self):
        event = self.parse(b'{"target": "prod", "n": 3, "dry": true, "list": [], "none": null, "sub": {"x": 1}}')
        assert (event.kind, event.hook) == (SourceKind.WEBHOOK, "nightly")
        assert event.inputs == {"target": "prod", "n": "3", "dry": "true"}

    def test_no_body_is_needed(self):
        assert self.parse(b"").inputs == {}
        assert self.parse(b"{}").branch == ""

    def test_a_mapping_finds_what_lies_deeper(self):
        mapped = Mapped({"target": "deploy.to.0.name"}, branch="ref", commit="sha")
        body = {"deploy": {"to": [{"name": "qa"}]}, "ref": "refs/heads/next", "sha": "ABCDEF1", "other": "x"}
        event = self.parse(json.dumps(body).encode(), mapped)
        assert (event.inputs, event.branch, event.commit) == ({"target": "qa"}, "next", "abcdef1")

    @pytest.mark.parametrize(
        "body",
        [{}, {"deploy": []}, {"deploy": {"to": {}}}, {"deploy": {"to": "x" * 20_000}}, {"deploy": {"to": "a\0"}}],
    )
    def test_a_field_that_is_mapped_must_be_there(self, body):
        with pytest.raises(InvalidRequest, match=r"deploy\.to"):
            self.parse(json.dumps(body).encode(), Mapped({"target": "deploy.to"}))

    def test_a_branch_of_a_stranger_is_looked_at(self):
        with pytest.raises(InvalidRequest, match="branch"):
            self.parse(b'{"ref": "--help"}', Mapped(branch="ref"))
        with pytest.raises(InvalidRequest, match="commit"):
            self.parse(b'{"sha": "HEAD"}', Mapped(commit="sha"))


def test_each_kind_has_a_reader():
    assert sorted([*FORGES, "generic"]) == sorted(KINDS)
    with pytest.raises(KeyError):
        forge_of("sourcehut", "hook")
    assert isinstance(replace(FORGES["github"](Push()), body=b""), Delivery)
