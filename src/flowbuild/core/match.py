"""Which pipelines an event at the source starts, and why not the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flowbuild.core.globs import matches
from flowbuild.core.model import Pipeline
from flowbuild.core.sources import PullRequestChange, SourceEvent, SourceKind

_REFS = {SourceKind.PUSH: "push", SourceKind.TAG: "tag", SourceKind.PULL_REQUEST: "pull_request"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a pipeline starts, and the reason in words for people. `inputs`: those values of the event that it takes."""

    pipeline: str
    starts: bool
    why: str
    inputs: Mapping[str, str]


def judge(event: SourceEvent, pipelines: Iterable[Pipeline], changed: Sequence[str] | None) -> list[Verdict]:
    """Return the verdict on each pipeline. `changed`: the paths that differ, None when nobody knows.

    What cannot be known holds nothing back: a run too many is seen, one too few is not.
    """
    return [_judge(event, pipeline, changed) for pipeline in pipelines]


def held_back(event: SourceEvent) -> str:
    """Return why an event starts nothing at all, whatever the pipelines say; empty when it may."""
    if event.deleted:
        return "the branch or tag was deleted"
    if event.skip:
        return "its commit message asks for no runs"
    change = event.pull_request.change if event.pull_request else None
    if change is PullRequestChange.CLOSED:
        return "the pull request was closed"
    if change is PullRequestChange.OTHER:
        return "neither the commits nor the target of the pull request changed"
    return ""


def needs_paths(event: SourceEvent, pipelines: Iterable[Pipeline]) -> bool:
    """Whether the changed paths could matter to any verdict: finding them out costs time."""
    name = _REFS.get(event.kind)
    if name is None or event.tag or held_back(event):
        return False
    written = [pipeline.triggers.get(name) or {} for pipeline in pipelines]
    return any(trigger.get("paths") or trigger.get("paths_ignore") for trigger in written)


def _judge(event: SourceEvent, pipeline: Pipeline, changed: Sequence[str] | None) -> Verdict:
    reason = held_back(event)
    if not reason:
        match event.kind:
            case SourceKind.PUSH:
                reason = _push(event, pipeline.triggers, changed)
            case SourceKind.TAG:
                reason = _tag(event, pipeline.triggers)
            case SourceKind.PULL_REQUEST:
                reason = _pull_request(event, pipeline.triggers, changed)
            case SourceKind.WEBHOOK:
                written = pipeline.triggers.get("webhook")
                reason = "" if written and written["name"] == event.hook else f"no trigger `webhook: {event.hook}`"
            case SourceKind.AFTER:
                reason = _after(event, pipeline.triggers)
            case SourceKind.SCHEDULE:
                reason = "" if pipeline.name == event.pipeline else "another pipeline's schedule"
    known = {declared.name for declared in pipeline.inputs}
    inputs = {name: value for name, value in event.inputs.items() if name in known}
    return Verdict(pipeline.name, not reason, reason or _because(event), {} if reason else inputs)


def _because(event: SourceEvent) -> str:
    match event.kind:
        case SourceKind.TAG:
            return f"tag {event.tag}"
        case SourceKind.PULL_REQUEST if event.pull_request:
            return f"pull request {event.pull_request.number} {event.pull_request.change}"
        case SourceKind.WEBHOOK:
            return f"webhook {event.hook}"
        case SourceKind.AFTER:
            return f"pipeline {event.pipeline} {event.outcome}"
        case SourceKind.SCHEDULE:
            return "schedule"
    return f"push to {event.branch}"


def _push(event: SourceEvent, triggers: Mapping[str, Any], changed: Sequence[str] | None) -> str:
    written = triggers.get("push")
    if written is None:
        return "no trigger `push`"
    return _name("branch", event.branch, written, "branches") or _paths(written, changed)


def _tag(event: SourceEvent, triggers: Mapping[str, Any]) -> str:
    """A pushed tag starts what says `tag`, and what names tags in `push`."""
    reasons = []
    for name in ("tag", "push"):
        written = triggers.get(name)
        if written is not None and (name == "tag" or written.get("tags") or written.get("tags_ignore")):
            reasons.append(_name("tag", event.tag, written, "tags"))
    if not reasons:
        return "no trigger `tag`"
    return "" if "" in reasons else reasons[0]


def _pull_request(event: SourceEvent, triggers: Mapping[str, Any], changed: Sequence[str] | None) -> str:
    written = triggers.get("pull_request")
    if written is None:
        return "no trigger `pull_request`"
    target = event.pull_request.base_branch if event.pull_request else ""
    return _name("target branch", target, written, "branches") or _paths(written, changed)


def _after(event: SourceEvent, triggers: Mapping[str, Any]) -> str:
    reasons = [_follows(event, written) for written in triggers.get("after", ())]
    if not reasons:
        return "no trigger `after`"
    return "" if "" in reasons else reasons[0]


def _follows(event: SourceEvent, written: Mapping[str, Any]) -> str:
    if written["pipeline"] != event.pipeline:
        return f"it follows {written['pipeline']}, not {event.pipeline}"
    if event.outcome not in written["outcome"]:
        return f"it follows when {event.pipeline} {' or '.join(written['outcome'])}, not when {event.outcome}"
    return _name("branch", event.branch, written, "branches")


def _name(what: str, name: str, written: Mapping[str, Any], key: str) -> str:
    """Return why a branch or tag does not count; empty when it does."""
    wanted, ignored = written.get(key) or [], written.get(f"{key}_ignore") or []
    if wanted and not _any(wanted, name):
        return f"{what} {name} is none of {', '.join(wanted)}"
    if _any(ignored, name):
        return f"{what} {name} is ignored: {', '.join(ignored)}"
    return ""


def _paths(written: Mapping[str, Any], changed: Sequence[str] | None) -> str:
    """Return why the changed files do not count: at least one has to be wanted and not ignored."""
    wanted, ignored = written.get("paths") or [], written.get("paths_ignore") or []
    if changed is None or not (wanted or ignored):
        return ""
    if any((not wanted or _any(wanted, path)) and not _any(ignored, path) for path in changed):
        return ""
    if wanted:
        return f"no changed file is one of {', '.join(wanted)}" + (" that counts" if ignored else "")
    return f"all changed files are ignored: {', '.join(ignored)}"


def _any(patterns: Iterable[str], name: str) -> bool:
    return any(matches(pattern, name) for pattern in patterns)
