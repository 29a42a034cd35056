"""GitHub: https://docs.github.com/webhooks. Gitea and Forgejo speak nearly the same."""

from __future__ import annotations

from flowbuild.core.sources import PullRequest, PullRequestChange, SourceEvent, SourceKind, asks_to_skip
from flowbuild.forges.base import Headers, Parsed, check_signature, digest, nothing_from
from flowbuild.forges.payload import Payload, branch_of, read_payload, shown_branch, tag_of

_CHANGES = {
    "opened": PullRequestChange.OPENED,
    "reopened": PullRequestChange.OPENED,
    "synchronize": PullRequestChange.UPDATED,
    "synchronized": PullRequestChange.UPDATED,  # as Gitea has it
    "closed": PullRequestChange.CLOSED,
}


class GitHub:
    """See forges.base.Forge."""

    def verify(self, headers: Headers, body: bytes, secret: str) -> None:
        """See Forge. The older signature, with SHA-1, is not looked at."""
        check_signature(headers.get("x-hub-signature-256", ""), body, secret, prefix="sha256=")

    def delivery(self, headers: Headers, body: bytes) -> str:  # noqa: ARG002 (see Forge: headers are not signed)
        """See Forge."""
        return digest(body)

    def event(self, headers: Headers) -> str:
        """See Forge."""
        return headers.get("x-github-event", "")

    def parse(self, headers: Headers, body: bytes) -> Parsed:
        """See Forge."""
        event = self.event(headers)
        match event:
            case "ping":
                return Parsed(note="ping: the webhook works")
            case "push":
                return pushed(read_payload(headers, body))
            case "pull_request":
                return pull_requested(read_payload(headers, body))
        return Parsed(note=nothing_from(event))


def pushed(payload: Payload) -> Parsed:
    """Return what a push says: one ref was created, moved or deleted."""
    ref = payload.ref("ref")
    branch, tag = branch_of(ref), tag_of(ref)
    if not branch and not tag:
        return Parsed(note=f"{ref} is neither a branch nor a tag")
    after = payload.commit("after")
    # An annotated tag is an object of its own; the commit that it names is told apart.
    commit = payload.commit("head_commit", "id", default="") if tag else after
    event = SourceEvent(
        SourceKind.TAG if tag else SourceKind.PUSH,
        branch=branch,
        tag=tag,
        commit=commit or after,
        before=payload.commit("before", default=""),
        deleted=not after,
        skip=asks_to_skip(payload.text("head_commit", "message", default="")),
        actor=actor(payload),
        title=payload.title("head_commit", "message"),
        url=payload.text("compare", default=payload.text("compare_url", default="")),
        repository=payload.text("repository", "full_name"),
    )
    return Parsed((event,))


def pull_requested(payload: Payload) -> Parsed:
    """Return what became of a pull request."""
    request, action = payload.part("pull_request"), payload.text("action")
    change = _CHANGES.get(action, PullRequestChange.OTHER)
    if action == "edited" and (payload.find("changes", "base") or payload.find("changes", "ref")):
        change = PullRequestChange.UPDATED  # wanted in another branch than before
    return Parsed((requested(request, change, actor(payload), payload.text("repository", "full_name")),))


def requested(request: Payload, change: PullRequestChange, by: str, repository: str) -> SourceEvent:
    """Return what became of a pull request that a delivery or a list describes."""
    fork, source = origin(request)
    branch = request.ref("head", "ref")
    return SourceEvent(
        SourceKind.PULL_REQUEST,
        branch=shown_branch(branch, fork=fork, repository=source),
        commit=request.commit("head", "sha"),
        actor=by,
        title=request.title("title"),
        url=request.text("html_url", default=""),
        repository=repository,
        pull_request=PullRequest(
            number=request.number("number"),
            change=change,
            head_branch=branch,
            base_branch=request.ref("base", "ref"),
            base_commit=request.commit("base", "sha", default=""),
            fork=fork,
            author=request.text("user", "login", default=""),
        ),
    )


def origin(request: Payload) -> tuple[bool, str]:
    """Return whether a pull request comes from another repository, and its name. A fork that is gone is a fork."""
    ours, theirs = request.number("base", "repo", "id"), request.find("head", "repo", "id")
    return theirs != ours, request.text("head", "repo", "full_name", default="")


def actor(payload: Payload) -> str:
    """Return who did it: a login name, which says nothing about rights."""
    return payload.text("sender", "login", default=payload.text("pusher", "name", default=""))
