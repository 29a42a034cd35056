"""What happened to the source of a project, whoever told it: a forge, a poll, a clock, another run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from flowbuild.core.globs import matches

_REF_NAME = re.compile(r"(?![-/.])(?!.*(?:\.\.|//|@\{|/\.|\.lock(?:/|$)))[^\x00-\x20\x7f~^:?*\[\\]{1,512}(?<![/.])")
_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_SKIP = re.compile(r"\[(?:skip (?:ci|flow)|(?:ci|flow) skip)\]", re.IGNORECASE)


class SourceKind(StrEnum):
    """Kinds of events; the same words as in `on:` of a pipeline, and as `event` in conditions."""

    PUSH = "push"
    TAG = "tag"
    PULL_REQUEST = "pull_request"
    WEBHOOK = "webhook"
    SCHEDULE = "schedule"
    AFTER = "after"


class Trust(StrEnum):
    """How far the author of a commit is trusted. Only the server decides; nothing in the commit does.

    TRUSTED: on a protected branch or tag. INTERNAL: by somebody who may write to the repository. UNTRUSTED: anybody.
    """

    TRUSTED = "trusted"
    INTERNAL = "internal"
    UNTRUSTED = "untrusted"


class PullRequestChange(StrEnum):
    """What became of a pull request. OTHER: something that changes neither its commits nor its target."""

    OPENED = "opened"
    UPDATED = "updated"
    CLOSED = "closed"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class PullRequest:
    """A pull (or merge) request: `head_branch` is wanted in `base_branch`. `fork`: its commits are in another repository."""

    number: int
    change: PullRequestChange
    head_branch: str
    base_branch: str
    base_commit: str = ""
    fork: bool = True
    author: str = ""


@dataclass(frozen=True, slots=True)
class SourceEvent:
    """One thing that happened to one ref.

    `commit` is what is to be built, as hexadecimal object id; some forges shorten it, empty means the head of `branch`.
    `before` is what the ref was until then, empty when it is new. `branch` of a pull request is what conditions see: the
    branch of its author, with the owner of the fork before it (`ann:main`), so that it never looks like one of ours.
    `hook` names the generic webhook of a WEBHOOK. `pipeline` and `outcome` of an AFTER tell which run has ended how.
    `trust` is set when it was decided before: by the run that has ended.
    """

    kind: SourceKind
    branch: str = ""
    tag: str = ""
    commit: str = ""
    before: str = ""
    deleted: bool = False
    skip: bool = False  # its author asked for no runs
    actor: str = ""
    title: str = ""
    url: str = ""
    repository: str = ""  # as the forge calls it: "group/name"
    pull_request: PullRequest | None = None
    hook: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    pipeline: str = ""
    outcome: str = ""
    trust: Trust | None = None


def trust_of(event: SourceEvent, *, branches: Sequence[str], tags: Sequence[str] = ()) -> Trust:
    """Return the trust class of an event, by the patterns of protected branches and tags."""
    if event.trust is not None:
        return event.trust
    if event.pull_request is not None:
        return Trust.UNTRUSTED if event.pull_request.fork else Trust.INTERNAL
    patterns, name = (tags, event.tag) if event.tag else (branches, event.branch)
    protected = any(matches(pattern, name) for pattern in patterns)
    return Trust.TRUSTED if protected else Trust.INTERNAL


def asks_to_skip(message: str) -> bool:
    """Whether a commit message asks for no runs: `[skip ci]`, `[ci skip]`, `[skip flow]`, `[flow skip]`."""
    return _SKIP.search(message) is not None


def is_ref_name(name: str) -> bool:
    """Whether a text can be the name of a branch or tag: what git itself refuses, and a leading `-`, is none."""
    return _REF_NAME.fullmatch(name) is not None


def is_commit(text: str) -> bool:
    """Whether a text can be the id of a commit, perhaps shortened; the id that is all zeros names none."""
    return _COMMIT.fullmatch(text) is not None and text.strip("0") != ""
