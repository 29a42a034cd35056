"""Gitea and Forgejo: https://docs.gitea.com/usage/webhooks. Bodies are those of GitHub, with few differences."""

from __future__ import annotations

from flowbuild.forges.base import Headers, Parsed, check_signature, digest, nothing_from
from flowbuild.forges.github import pull_requested, pushed
from flowbuild.forges.payload import read_payload

_PULL_REQUESTS = ("pull_request", "pull_request_sync")


class Gitea:
    """See forges.base.Forge."""

    def verify(self, headers: Headers, body: bytes, secret: str) -> None:
        """See Forge. A wrong signature of Forgejo is not made good by another one."""
        given = headers.get("x-forgejo-signature", headers.get("x-gitea-signature", ""))
        check_signature(given, body, secret)

    def delivery(self, headers: Headers, body: bytes) -> str:  # noqa: ARG002 (see Forge: headers are not signed)
        """See Forge."""
        return digest(body)

    def event(self, headers: Headers) -> str:
        """See Forge."""
        return headers.get("x-gitea-event", headers.get("x-forgejo-event", ""))

    def parse(self, headers: Headers, body: bytes) -> Parsed:
        """See Forge. Tags are told by `push`; `create` and `delete` say the same again."""
        event = self.event(headers)
        if event == "push":
            return pushed(read_payload(headers, body))
        if event in _PULL_REQUESTS:
            return pull_requested(read_payload(headers, body))
        return Parsed(note=nothing_from(event))
