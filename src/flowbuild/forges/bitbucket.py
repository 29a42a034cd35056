"""Bitbucket Cloud: https://support.atlassian.com/bitbucket-cloud/docs/event-payloads."""

from __future__ import annotations

from flowbuild.core.sources import PullRequest, PullRequestChange, SourceEvent, SourceKind, asks_to_skip
from flowbuild.forges.base import Headers, Parsed, check_signature, digest, nothing_from
from flowbuild.forges.payload import Payload, read_payload, shown_branch

MAX_CHANGES = 100  # refs of one push that are looked at
_CHANGES = {
    "pullrequest:created": PullRequestChange.OPENED,
    "pullrequest:updated": PullRequestChange.UPDATED,  # also for a new title: what changed is not told
    "pullrequest:fulfilled": PullRequestChange.CLOSED,
    "pullrequest:rejected": PullRequestChange.CLOSED,
}


class Bitbucket:
    """See forges.base.Forge."""

    def verify(self, headers: Headers, body: bytes, secret: str) -> None:
        """See Forge."""
        check_signature(headers.get("x-hub-signature", ""), body, secret, prefix="sha256=")

    def delivery(self, headers: Headers, body: bytes) -> str:  # noqa: ARG002 (see Forge: headers are not signed)
        """See Forge."""
        return digest(body)

    def event(self, headers: Headers) -> str:
        """See Forge."""
        return headers.get("x-event-key", "")

    def parse(self, headers: Headers, body: bytes) -> Parsed:
        """See Forge."""
        event = self.event(headers)
        if event == "repo:push":
            payload = read_payload(headers, body)
            changes = payload.items("push", "changes")
            note = "" if changes else "an empty push"
            if len(changes) > MAX_CHANGES:
                note = f"only the first {MAX_CHANGES} of {len(changes)} refs were looked at"
            return Parsed(tuple(_pushed(payload, change) for change in changes[:MAX_CHANGES]), note)
        if event in _CHANGES:
            return _pull_requested(read_payload(headers, body), _CHANGES[event])
        return Parsed(note=nothing_from(event))


def _pushed(payload: Payload, change: Payload) -> SourceEvent:
    deleted = change.find("new") is None
    side = change.part("old" if deleted else "new")
    name, tag = side.ref("name"), side.text("type") in ("tag", "annotated_tag")
    head = Payload(side.find("target") or {})
    return SourceEvent(
        SourceKind.TAG if tag else SourceKind.PUSH,
        branch="" if tag else name,
        tag=name if tag else "",
        commit="" if deleted else side.commit("target", "hash"),
        before=change.commit("old", "target", "hash", default=""),
        deleted=deleted,
        skip=asks_to_skip(head.text("message", default="")),
        actor=_actor(payload),
        title=head.title("message"),
        url=head.text("links", "html", "href", default=""),
        repository=payload.text("repository", "full_name"),
    )


def _pull_requested(payload: Payload, change: PullRequestChange) -> Parsed:
    request, repository = payload.part("pullrequest"), payload.text("repository", "full_name")
    return Parsed((requested(request, change, _actor(payload), repository),))


def requested(request: Payload, change: PullRequestChange, by: str, repository: str) -> SourceEvent:
    """Return what became of a pull request that a delivery or a list describes; ids of commits are shortened there."""
    target = request.text("destination", "repository", "uuid")
    fork = request.text("source", "repository", "uuid", default="") != target
    branch = request.ref("source", "branch", "name")
    source = request.text("source", "repository", "full_name", default="")
    return SourceEvent(
        SourceKind.PULL_REQUEST,
        branch=shown_branch(branch, fork=fork, repository=source),
        commit=request.commit("source", "commit", "hash"),
        actor=by,
        title=request.title("title"),
        url=request.text("links", "html", "href", default=""),
        repository=repository,
        pull_request=PullRequest(
            number=request.number("id"),
            change=change,
            head_branch=branch,
            base_branch=request.ref("destination", "branch", "name"),
            base_commit=request.commit("destination", "commit", "hash", default=""),
            fork=fork,
            author=request.text("author", "nickname", default=request.text("author", "display_name", default="")),
        ),
    )


def _actor(payload: Payload) -> str:
    return payload.text("actor", "nickname", default=payload.text("actor", "display_name", default=""))
