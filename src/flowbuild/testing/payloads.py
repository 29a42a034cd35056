"""Deliveries as forges send them: bodies with the fields that each documents, signed as each signs.

A `Delivery` is what arrives at the server. The bodies are made here from a few facts; no real one was copied.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

ZERO = "0" * 40


@dataclass(frozen=True, slots=True)
class Delivery:
    """Headers (names in lower case) and body."""

    headers: Mapping[str, str]
    body: bytes

    def signed(self, kind: str, secret: str) -> Delivery:
        """Return the delivery as the forge would sign it."""
        mac = hmac.new(secret.encode(), self.body, hashlib.sha256).hexdigest()
        headers = {
            "github": {"x-hub-signature-256": f"sha256={mac}"},
            "gitea": {"x-gitea-signature": mac, "x-forgejo-signature": mac, "x-hub-signature-256": f"sha256={mac}"},
            "bitbucket": {"x-hub-signature": f"sha256={mac}"},
            "gitlab": {"x-gitlab-token": secret},
            "generic": {"authorization": f"Bearer {secret}"},
        }[kind]
        return replace(self, headers={**self.headers, **headers})


@dataclass(frozen=True, slots=True)
class Push:
    """A ref that was pushed: `refs/heads/…` or `refs/tags/…`. `tag_object`: the tag is an object of its own."""

    ref: str = "refs/heads/main"
    before: str = "a" * 40
    after: str = "b" * 40
    message: str = "Make it work\n\nand more"
    repository: str = "team/app"
    actor: str = "ann"
    tag_object: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """A pull request; `action` as the forge calls it. `source` is the repository that its commits are in."""

    action: str
    number: int = 7
    head: str = "topic"
    base: str = "main"
    commit: str = "c" * 40
    repository: str = "team/app"
    source: str = "team/app"
    title: str = "Add a thing"
    author: str = "bob"
    changes: Mapping[str, Any] | None = None


def _delivery(headers: Mapping[str, str], body: Mapping[str, Any]) -> Delivery:
    return Delivery({"content-type": "application/json", **headers}, json.dumps(body).encode())


def _github_repository(name: str) -> dict[str, Any]:
    known = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16)
    return {"id": known, "full_name": name, "html_url": f"https://forge.invalid/{name}"}


def _github_push(push: Push) -> dict[str, Any]:
    commit = {"id": push.after, "message": push.message, "added": [], "removed": [], "modified": ["README"]}
    gone = push.after == ZERO
    return {
        "ref": push.ref,
        "before": push.before,
        "after": push.tag_object or push.after,
        "created": push.before == ZERO,
        "deleted": gone,
        "forced": False,
        "compare": f"https://forge.invalid/{push.repository}/compare/x",
        "commits": [] if gone else [commit],
        "head_commit": None if gone else commit,
        "repository": _github_repository(push.repository),
        "pusher": {"name": push.actor},
        "sender": {"login": push.actor, "id": 1},
    }


def _github_request(request: Request) -> dict[str, Any]:
    ours, theirs = _github_repository(request.repository), _github_repository(request.source)
    return {
        "action": request.action,
        "number": request.number,
        "pull_request": {
            "number": request.number,
            "title": request.title,
            "html_url": f"https://forge.invalid/{request.repository}/pull/{request.number}",
            "user": {"login": request.author},
            "head": {"ref": request.head, "sha": request.commit, "repo": theirs},
            "base": {"ref": request.base, "sha": "d" * 40, "repo": ours},
        },
        "changes": dict(request.changes or {}),
        "repository": ours,
        "sender": {"login": request.author, "id": 2},
    }


def github(what: Push | Request) -> Delivery:
    """Return a delivery of GitHub."""
    name, body = ("push", _github_push(what)) if isinstance(what, Push) else ("pull_request", _github_request(what))
    return _delivery({"x-github-event": name, "x-github-delivery": str(uuid.uuid4())}, body)


def gitea(what: Push | Request) -> Delivery:
    """Return a delivery of Gitea or Forgejo."""
    name, body = ("push", _github_push(what)) if isinstance(what, Push) else ("pull_request", _github_request(what))
    body["compare_url"] = body.pop("compare", "")
    return _delivery({"x-gitea-event": name, "x-gitea-delivery": str(uuid.uuid4())}, body)


def _gitlab_push(push: Push) -> dict[str, Any]:
    tag, gone = push.ref.startswith("refs/tags/"), push.after == ZERO
    commit = {"id": push.after, "message": push.message, "url": f"https://forge.invalid/{push.repository}/-/commit/x"}
    return {
        "object_kind": "tag_push" if tag else "push",
        "ref": push.ref,
        "before": push.before,
        "after": push.tag_object or push.after,
        "checkout_sha": None if gone else push.after,
        "user_username": push.actor,
        "project": {
            "path_with_namespace": push.repository,
            "web_url": f"https://forge.invalid/{push.repository}",
        },
        "commits": [] if gone else [commit],
        "total_commits_count": 0 if gone else 1,
    }


def _gitlab_request(request: Request) -> dict[str, Any]:
    ids = {request.repository: 11, request.source: 11 if request.source == request.repository else 12}
    return {
        "object_kind": "merge_request",
        "user": {"username": request.author},
        "project": {"path_with_namespace": request.repository},
        "object_attributes": {
            "iid": request.number,
            "title": request.title,
            "url": f"https://forge.invalid/{request.repository}/-/merge_requests/{request.number}",
            "action": request.action,
            "source_branch": request.head,
            "target_branch": request.base,
            "source_project_id": ids[request.source],
            "target_project_id": ids[request.repository],
            "source": {"path_with_namespace": request.source},
            "last_commit": {"id": request.commit},
            **dict(request.changes or {}),
        },
    }


def gitlab(what: Push | Request) -> Delivery:
    """Return a delivery of GitLab."""
    body = _gitlab_push(what) if isinstance(what, Push) else _gitlab_request(what)
    names = {"push": "Push Hook", "tag_push": "Tag Push Hook", "merge_request": "Merge Request Hook"}
    return _delivery({"x-gitlab-event": names[body["object_kind"]], "idempotency-key": str(uuid.uuid4())}, body)


def _bitbucket_push(push: Push) -> dict[str, Any]:
    tag = push.ref.startswith("refs/tags/")
    name = push.ref.split("/", 2)[2]

    def side(commit: str) -> dict[str, Any] | None:
        target = {"hash": commit, "message": push.message, "links": {"html": {"href": "https://forge.invalid/c"}}}
        return None if commit == ZERO else {"type": "tag" if tag else "branch", "name": name, "target": target}

    return {
        "actor": {"nickname": push.actor, "display_name": push.actor.title()},
        "repository": {"full_name": push.repository, "uuid": f"{{{push.repository}}}"},
        "push": {"changes": [{"old": side(push.before), "new": side(push.after), "forced": False}]},
    }


def _bitbucket_request(request: Request) -> dict[str, Any]:
    def side(repository: str, branch: str, commit: str) -> dict[str, Any]:
        return {
            "branch": {"name": branch},
            "commit": {"hash": commit[:12]},
            "repository": {"full_name": repository, "uuid": f"{{{repository}}}"},
        }

    return {
        "actor": {"nickname": request.author},
        "repository": {"full_name": request.repository, "uuid": f"{{{request.repository}}}"},
        "pullrequest": {
            "id": request.number,
            "title": request.title,
            "author": {"nickname": request.author},
            "links": {"html": {"href": f"https://forge.invalid/{request.repository}/pull-requests/{request.number}"}},
            "source": side(request.source, request.head, request.commit),
            "destination": side(request.repository, request.base, "d" * 40),
        },
    }


def bitbucket(what: Push | Request) -> Delivery:
    """Return a delivery of Bitbucket Cloud; the `action` of a request is what follows `pullrequest:`."""
    if isinstance(what, Push):
        return _delivery({"x-event-key": "repo:push", "x-request-uuid": str(uuid.uuid4())}, _bitbucket_push(what))
    key = f"pullrequest:{what.action}"
    return _delivery({"x-event-key": key, "x-request-uuid": str(uuid.uuid4())}, _bitbucket_request(what))


def listed(kind: str, request: Request) -> dict[str, Any]:
    """Return an open request as the API of a forge lists it."""
    if kind == "bitbucket":
        found: dict[str, Any] = _bitbucket_request(request)["pullrequest"]
    elif kind == "gitlab":
        told = _gitlab_request(request)["object_attributes"]
        known = ("iid", "title", "source_branch", "target_branch", "source_project_id", "target_project_id")
        found = {name: told[name] for name in known}
        found |= {"sha": request.commit, "web_url": told["url"], "author": {"username": request.author}}
    else:
        found = _github_request(request)["pull_request"]
    return found


FORGES: Mapping[str, Callable[[Push | Request], Delivery]] = {
    "github": github,
    "gitlab": gitlab,
    "gitea": gitea,
    "bitbucket": bitbucket,
}
