"""A project: a source repository and what the server knows about it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum

from flowbuild.core.errors import InvalidRequest
from flowbuild.core.retention import Retention

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")  # stands in addresses, so no slash


class Visibility(StrEnum):
    """Who may look at a project: its members, or everybody."""

    PRIVATE = "private"
    PUBLIC = "public"


@dataclass(frozen=True, slots=True)
class ProjectSettings:
    """What maintainers decide.

    `protected`, `protected_tags`: patterns of the branches and tags whose commits are trusted; no branch pattern means the
    default branch. `poll`: seconds between looks for what changed at a remote that sends no webhooks; None: nobody looks.
    `retention`: which runs are kept. `cancel_closed`: runs of a pull request are cancelled when that is closed or merged.
    `four_eyes`: nobody approves what they started or have written. `any_variables`: who starts runs may set any, see `core.steering`.
    """

    protected: tuple[str, ...] = ()
    protected_tags: tuple[str, ...] = ("*",)
    retention: Retention = field(default_factory=Retention)
    poll: float | None = None
    cancel_closed: bool = True
    four_eyes: bool = False
    any_variables: bool = False


def check_name(name: str) -> None:
    """Raise InvalidRequest unless a text can name a project."""
    if not _NAME.fullmatch(name) or ".." in name:
        hint = "lower-case letters, digits, dot, dash and underscore, at most 64, a letter or digit first"
        raise InvalidRequest(f"{name[:80]!r} cannot be the name of a project", hint=hint, about="name")
