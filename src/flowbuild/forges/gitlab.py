"""GitLab: https://docs.gitlab.com/user/project/integrations/webhook_events."""

from __future__ import annotations

import base64
import binascii
import hmac

from flowbuild.core.errors import Unauthenticated
from flowbuild.core.sources import PullRequest, PullRequestChange, SourceEvent, SourceKind, asks_to_skip
from flowbuild.forges.base import Headers, Parsed, check_token, digest, nothing_from
from flowbuild.forges.payload import Payload, branch_of, read_payload, shown_branch, tag_of

_SIGNING = "whsec_"  # of signing tokens, https://www.standardwebhooks.com
_CHANGES = {
    "open": PullRequestChange.OPENED,
    "reopen": PullRequestChange.OPENED,
    "close": PullRequestChange.CLOSED,
    "merge": PullRequestChange.CLOSED,
}


class GitLab:
    """See forges.base.Forge."""

    def verify(self, headers: Headers, body: bytes, secret: str) -> None:
        """See Forge. The secret is a signing token when it looks like one, otherwise a token that is sent along."""
        if secret.startswith(_SIGNING):
            _check_signing_token(headers, body, secret)
        else:
            check_token(headers.get("x-gitlab-token", ""), secret)

    def delivery(self, headers: Headers, body: bytes) -> str:
        """See Forge. `webhook-id` is signed where anything is; it is the idempotency key of all tries."""
        given = headers.get("webhook-id") or headers.get("idempotency-key", "")
        return f"id:{given[:100]}" if given else digest(body)

    def event(self, headers: Headers) -> str:
        """See Forge."""
        return headers.get("x-gitlab-event", "")

    def parse(self, headers: Headers, body: bytes) -> Parsed:
        """See Forge."""
        payload = read_payload(headers, body)
        kind = payload.text("object_kind", default="")
        match kind:
            case "push" | "tag_push":
                return _pushed(payload)
            case "merge_request":
                return _merge_requested(payload)
        return Parsed(note=nothing_from(kind or self.event(headers)))


def _check_signing_token(headers: Headers, body: bytes, secret: str) -> None:
    """Check the signature over id, time and body; several may be given while tokens are changed."""
    try:
        key = base64.b64decode(secret.removeprefix(_SIGNING), validate=True)
    except binascii.Error:
        raise Unauthenticated("the secret of the webhook is not a signing token", hint="copy it again") from None
    signed = f"{headers.get('webhook-id', '')}.{headers.get('webhook-timestamp', '')}.".encode() + body
    expected = f"v1,{base64.b64encode(hmac.digest(key, signed, 'sha256')).decode()}".encode()
    given = headers.get("webhook-signature", "").encode("utf-8", "surrogateescape").split()
    if not key or not any(hmac.compare_digest(each, expected) for each in given):
        raise Unauthenticated("the signature of the delivery is missing or wrong", hint="compare the signing tokens")


def _pushed(payload: Payload) -> Parsed:
    ref = payload.ref("ref")
    branch, tag = branch_of(ref), tag_of(ref)
    if not branch and not tag:
        return Parsed(note=f"{ref} is neither a branch nor a tag")
    after = payload.commit("after")
    # Of an annotated tag `after` is the tag itself; `checkout_sha` is always a commit.
    commit = payload.commit("checkout_sha", default="") or after
    messages = {each.text("id"): each for each in payload.items("commits")}
    head = messages.get(commit, Payload({}))
    event = SourceEvent(
        SourceKind.TAG if tag else SourceKind.PUSH,
        branch=branch,
        tag=tag,
        commit=commit,
        before=payload.commit("before", default=""),
        deleted=not after,
        skip=asks_to_skip(head.text("message", default="")),
        actor=payload.text("user_username", default=""),
        title=head.title("message"),
        url=head.text("url", default=payload.text("project", "web_url", default="")),
        repository=payload.text("project", "path_with_namespace"),
    )
    return Parsed((event,))


def _merge_requested(payload: Payload) -> Parsed:
    request = payload.part("object_attributes")
    fork = request.find("source_project_id") != request.number("target_project_id")  # none: the fork is gone
    branch = request.ref("source_branch")
    source = request.text("source", "path_with_namespace", default="")
    event = SourceEvent(
        SourceKind.PULL_REQUEST,
        branch=shown_branch(branch, fork=fork, repository=source),
        commit=request.commit("last_commit", "id", default=""),
        actor=payload.text("user", "username", default=""),
        title=request.title("title"),
        url=request.text("url", default=""),
        repository=payload.text("project", "path_with_namespace"),
        pull_request=PullRequest(
            number=request.number("iid"),
            change=_change(payload, request),
            head_branch=branch,
            base_branch=request.ref("target_branch"),
            fork=fork,
            author=payload.text("user", "username", default=""),
        ),
    )
    return Parsed((event,))


def _change(payload: Payload, request: Payload) -> PullRequestChange:
    """Return what changed: an update has `oldrev` when it brought commits, and says so when the target is another one."""
    action = request.text("action", default="")
    if action == "update" and (request.find("oldrev") or payload.find("changes", "target_branch")):
        return PullRequestChange.UPDATED
    return _CHANGES.get(action, PullRequestChange.OTHER)
