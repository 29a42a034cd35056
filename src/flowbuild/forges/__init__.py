"""The forges by name, and what each is called where people choose one."""

from __future__ import annotations

from flowbuild.forges.base import Forge
from flowbuild.forges.bitbucket import Bitbucket
from flowbuild.forges.generic import Generic, Mapped
from flowbuild.forges.gitea import Gitea
from flowbuild.forges.github import GitHub
from flowbuild.forges.gitlab import GitLab

GENERIC = "generic"
KINDS = {
    "github": "GitHub",
    "gitlab": "GitLab",
    "gitea": "Gitea or Forgejo",
    "bitbucket": "Bitbucket",
    GENERIC: "other",
}

_FORGES: dict[str, Forge] = {"github": GitHub(), "gitlab": GitLab(), "gitea": Gitea(), "bitbucket": Bitbucket()}


def forge_of(kind: str, name: str, mapped: Mapped | None = None) -> Forge:
    """Return who reads the deliveries of a webhook; `name` and `mapped` matter to generic ones. Raises KeyError."""
    return Generic(name, mapped or Mapped()) if kind == GENERIC else _FORGES[kind]
