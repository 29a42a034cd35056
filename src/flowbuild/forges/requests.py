"""The open pull (or merge) requests of a repository, as the APIs of forges list them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from flowbuild.core.sources import PullRequest, PullRequestChange, SourceEvent, SourceKind
from flowbuild.forges import bitbucket, github
from flowbuild.forges.payload import Payload, shown_branch

MOST = 50  # requests that are asked for, the ones that changed last; what Bitbucket gives at once


@dataclass(frozen=True, slots=True)
class Listed:
    """Where the list is, below the address of the API, and how one request of it is read."""

    path: Callable[[str], str]
    read: Callable[[Payload, str], SourceEvent]


def _github(request: Payload, repository: str) -> SourceEvent:
    return github.requested(request, PullRequestChange.OPENED, request.text("user", "login", default=""), repository)


def _bitbucket(request: Payload, repository: str) -> SourceEvent:
    by = request.text("author", "nickname", default="")
    return bitbucket.requested(request, PullRequestChange.OPENED, by, repository)


def _gitlab(request: Payload, repository: str) -> SourceEvent:
    """Return a merge request; of a fork the list has the number and not the name."""
    fork = request.find("source_project_id") != request.number("target_project_id")
    branch, author = request.ref("source_branch"), request.text("author", "username", default="")
    return SourceEvent(
        SourceKind.PULL_REQUEST,
        branch=shown_branch(branch, fork=fork, repository=""),
        commit=request.commit("sha", default=""),
        actor=author,
        title=request.title("title"),
        url=request.text("web_url", default=""),
        repository=repository,
        pull_request=PullRequest(
            number=request.number("iid"),
            change=PullRequestChange.OPENED,
            head_branch=branch,
            base_branch=request.ref("target_branch"),
            fork=fork,
            author=author,
        ),
    )


LISTS: Mapping[str, Listed] = {
    "github": Listed(
        lambda name: f"/repos/{name}/pulls?state=open&sort=updated&direction=desc&per_page={MOST}", _github
    ),
    "gitea": Listed(lambda name: f"/repos/{name}/pulls?state=open&sort=recentupdate&limit={MOST}", _github),
    "gitlab": Listed(
        lambda name: (
            f"/projects/{quote(name, safe='')}/merge_requests?state=opened&order_by=updated_at&per_page={MOST}"
        ),
        _gitlab,
    ),
    "bitbucket": Listed(lambda name: f"/repositories/{name}/pullrequests?state=OPEN&pagelen={MOST}", _bitbucket),
}
