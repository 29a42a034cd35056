"""Which pipelines an event starts. Triggers are written as in a pipeline file, and read by the real reader."""

import json

import pytest

from flowbuild.core.match import judge, needs_paths
from flowbuild.core.sources import (
    PullRequest,
    PullRequestChange,
    SourceEvent,
    SourceKind,
    Trust,
    asks_to_skip,
    is_commit,
    is_ref_name,
    trust_of,
)
from flowbuild.spec.load import load_pipelines
from flowbuild.spec.source import MemoryRepository

STEP = {"compose": {"services": {"main": {"image": "busybox"}}}}


def pipelines(inputs=None, **triggers):
    """Return pipelines named after their only trigger, and one with all of them."""
    written = {
        name: {"on": {name: trigger}, "inputs": inputs or {}, "steps": {"a": STEP}}
        for name, trigger in triggers.items()
    }
    written["all"] = {"on": triggers, "inputs": inputs or {}, "steps": {"a": STEP}}
    written["by hand"] = {"steps": {"a": STEP}}
    loaded = load_pipelines(MemoryRepository({".flow.yml": json.dumps({"pipelines": written})}))
    assert not loaded.findings
    return list(loaded.pipelines.values())


def started(event, changed=None, **triggers):
    verdicts = judge(event, pipelines(**triggers), changed)
    assert all(verdict.why for verdict in verdicts)
    return [verdict.pipeline for verdict in verdicts if verdict.starts and verdict.pipeline != "all"]


def push(branch="main", **more):
    return SourceEvent(SourceKind.PUSH, branch=branch, commit="b" * 40, **more)


def tag(name="v1", **more):
    return SourceEvent(SourceKind.TAG, tag=name, commit="b" * 40, **more)


def request(base="main", change=PullRequestChange.OPENED, *, fork=False, **more):
    asked = PullRequest(7, change, "topic", base, fork=fork)
    return SourceEvent(SourceKind.PULL_REQUEST, branch="topic", commit="c" * 40, pull_request=asked, **more)


EVERYTHING = {
    "push": None,
    "tag": None,
    "pull_request": None,
    "webhook": "nightly",
    "after": [],
}


@pytest.mark.parametrize(
    ("event", "name"),
    [
        (push(), "push"),
        (tag(), "tag"),
        (request(), "pull_request"),
        (SourceEvent(SourceKind.WEBHOOK, hook="nightly"), "webhook"),
    ],
)
def test_each_event_has_its_trigger(event, name):
    assert started(event, **EVERYTHING) == [name]


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (push(deleted=True), "deleted"),
        (tag(deleted=True), "deleted"),
        (push(skip=True), "no runs"),
        (request(change=PullRequestChange.CLOSED), "closed"),
        (request(change=PullRequestChange.OTHER), "neither"),
    ],
)
def test_what_starts_nothing_at_all(event, why):
    verdicts = judge(event, pipelines(**EVERYTHING), [])
    assert not any(verdict.starts for verdict in verdicts)
    assert all(why in verdict.why for verdict in verdicts)


@pytest.mark.parametrize(
    ("trigger", "branch", "starts"),
    [
        ({}, "any/thing", True),
        ({"branches": ["main", "release/*"]}, "main", True),
        ({"branches": ["main", "release/*"]}, "release/1", True),
        ({"branches": ["main", "release/*"]}, "release/1/x", False),
        ({"branches": ["release/**"]}, "release/1/x", True),
        ({"branches": "main"}, "maintenance", False),
        ({"branches_ignore": ["wip/**"]}, "wip/x/y", False),
        ({"branches_ignore": ["wip/**"]}, "main", True),
        ({"branches": ["**"], "branches_ignore": ["wip"]}, "wip", False),
        ({"tags": ["v*"]}, "main", True),
    ],
)
def test_branches_of_a_push(trigger, branch, starts):
    assert started(push(branch), push=trigger) == (["push"] if starts else [])


@pytest.mark.parametrize(
    ("triggers", "starts"),
    [
        ({"tag": {}}, ["tag"]),
        ({"tag": {"tags": ["v*"]}}, ["tag"]),
        ({"tag": {"tags": ["w*"]}}, []),
        ({"tag": {"tags_ignore": ["v1"]}}, []),
        ({"push": {}}, []),
        ({"push": {"tags": ["v*"]}}, ["push"]),
        ({"push": {"tags": ["w*"]}}, []),
        ({"push": {"tags_ignore": ["w*"]}}, ["push"]),
        ({"push": {"branches": ["main"], "tags": ["v*"], "paths": ["src/**"]}}, ["push"]),
    ],
)
def test_tags(triggers, starts):
    assert started(tag("v1"), [], **triggers) == starts


def test_one_of_two_triggers_for_tags_is_enough():
    verdicts = judge(tag("v1"), pipelines(tag={"tags": ["w*"]}, push={"tags": ["v*"]}), None)
    assert [verdict.starts for verdict in verdicts] == [False, True, True, False]


@pytest.mark.parametrize(
    ("trigger", "changed", "starts"),
    [
        ({"paths": ["src/**"]}, ["src/a/b.py"], True),
        ({"paths": ["src/**"]}, ["docs/x", "src/a"], True),
        ({"paths": ["src/**"]}, ["docs/x"], False),
        ({"paths": ["src/**"]}, [], False),
        ({"paths": ["src/**"]}, None, True),  # nobody knows: rather a run too many
        ({"paths_ignore": ["docs/**"]}, ["docs/x"], False),
        ({"paths_ignore": ["docs/**"]}, ["docs/x", "a"], True),
        ({"paths_ignore": ["docs/**"]}, [], False),
        ({"paths": ["src/**"], "paths_ignore": ["src/docs/**"]}, ["src/docs/x", "b"], False),
        ({"paths": ["src/**"], "paths_ignore": ["src/docs/**"]}, ["src/docs/x", "src/b"], True),
        ({}, [], True),
    ],
)
@pytest.mark.parametrize(("event", "name"), [(push(), "push"), (request(), "pull_request")])
def test_changed_files(event, name, trigger, changed, starts):
    assert started(event, changed, **{name: trigger}) == ([name] if starts else [])


def test_who_asks_for_changed_files():
    filtered, free = pipelines(push={"paths": ["a"]}), pipelines(push={}, pull_request={"paths_ignore": ["a"]})
    assert needs_paths(push(), filtered)
    assert not needs_paths(push(), free)
    assert needs_paths(request(), free)
    assert not needs_paths(push(deleted=True), filtered)
    assert not needs_paths(SourceEvent(SourceKind.WEBHOOK, hook="x"), filtered)


@pytest.mark.parametrize(
    ("trigger", "base", "starts"),
    [
        ({"branches": ["main"]}, "main", True),
        ({"branches": ["main"]}, "next", False),
        ({"branches_ignore": ["main"]}, "main", False),
    ],
)
def test_a_pull_request_is_judged_by_its_target(trigger, base, starts):
    assert started(request(base), pull_request=trigger) == (["pull_request"] if starts else [])


def test_inputs_that_the_pipeline_has():
    event = SourceEvent(SourceKind.WEBHOOK, hook="nightly", inputs={"target": "qa", "other": "x"})
    found = judge(event, pipelines({"target": {"default": "dev"}}, webhook="nightly"), None)
    assert [(verdict.starts, verdict.inputs) for verdict in found] == [
        (True, {"target": "qa"}),
        (True, {"target": "qa"}),
        (False, {}),
    ]
    assert started(SourceEvent(SourceKind.WEBHOOK, hook="other"), webhook="nightly") == []


@pytest.mark.parametrize(
    ("trigger", "outcome", "branch", "starts"),
    [
        ("push", "succeeded", "main", True),
        ("push", "failed", "main", False),
        ({"pipeline": "push", "outcome": ["failed", "errored"]}, "errored", "main", True),
        ({"pipeline": "push", "branches": ["main"]}, "succeeded", "main", True),
        ({"pipeline": "push", "branches": ["main"]}, "succeeded", "next", False),
        ({"pipeline": "by hand"}, "succeeded", "main", False),
        ([{"pipeline": "by hand"}, {"pipeline": "push"}], "succeeded", "main", True),
    ],
)
def test_after_another_pipeline(trigger, outcome, branch, starts):
    event = SourceEvent(SourceKind.AFTER, branch=branch, pipeline="push", outcome=outcome)
    assert started(event, push={}, after=trigger) == (["after"] if starts else [])


def test_a_schedule_is_of_one_pipeline():
    event = SourceEvent(SourceKind.SCHEDULE, branch="main", pipeline="push")
    assert started(event, push={}, tag={}) == ["push"]


@pytest.mark.parametrize(
    ("event", "trust"),
    [
        (push("main"), Trust.TRUSTED),
        (push("release/1"), Trust.TRUSTED),
        (push("topic"), Trust.INTERNAL),
        (tag("v1"), Trust.TRUSTED),
        (tag("main"), Trust.INTERNAL),
        (request(), Trust.INTERNAL),
        (request(fork=True), Trust.UNTRUSTED),
        (SourceEvent(SourceKind.AFTER, branch="main", trust=Trust.UNTRUSTED), Trust.UNTRUSTED),
        (SourceEvent(SourceKind.SCHEDULE, branch="main"), Trust.TRUSTED),
        (SourceEvent(SourceKind.WEBHOOK, branch="topic"), Trust.INTERNAL),
    ],
)
def test_trust(event, trust):
    assert trust_of(event, branches=["main", "release/*"], tags=["v*"]) is trust


def test_a_pull_request_is_a_fork_s_until_the_contrary_is_known():
    assert PullRequest(1, PullRequestChange.OPENED, "a", "b").fork


@pytest.mark.parametrize(
    ("message", "asks"),
    [("x [skip ci]", True), ("[CI skip] x", True), ("x\n\n[flow skip]", True), ("skip ci", False), ("[skip]", False)],
)
def test_messages_that_ask_for_no_runs(message, asks):
    assert asks_to_skip(message) is asks


@pytest.mark.parametrize("name", ["main", "release/1.0", "a-b_c", "é", "x@y", "v1.2", "a{b}", "refs/heads/main"])
def test_names_of_refs(name):
    assert is_ref_name(name)


@pytest.mark.parametrize(
    "name",
    ["", "-x", "/x", "x/", ".x", "a/.x", "x.", "a..b", "a b", "a~1", "a^", "a:b", "a?", "a*", "a[b", "a\\b", "a@{1}",
     "x.lock", "x.lock/y", "a//b", "a\x7f", "a\n", "x" * 513],
)  # fmt: skip
def test_names_that_git_refuses(name):
    assert not is_ref_name(name)


def test_ids_of_commits():
    assert is_commit("0" * 39 + "1")
    assert is_commit("abcdef1")
    assert is_commit("a" * 64)
    assert not any(map(is_commit, ["0" * 40, "abcdef", "A" * 40, "a" * 65, "", "g" * 40, "HEAD"]))
