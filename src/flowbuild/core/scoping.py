"""Which secrets a step gets. Pure; whatever does not fit is not given.

A secret may have several values, each for some steps only: those that act on an environment, runs of some branches, some
steps by name. Of the values that fit, the most narrow one counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from flowbuild.core.globs import matches
from flowbuild.core.sources import Trust

TRUSTED = frozenset({Trust.TRUSTED, Trust.INTERNAL})  # runs that may have secrets at all
TAGS = "tags/"  # stands before the name of a tag where branches are meant


@dataclass(frozen=True, slots=True)
class SecretScope:
    """For which steps a value is: of one environment, of branches that match a pattern, by name. Empty: for all."""

    environment: str = ""
    branches: str = ""
    steps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Asking:
    """A step that asks for secrets. `names`: its own and the one in the file; `environment` "" when it acts on none."""

    names: tuple[str, ...]
    environment: str
    branch: str
    tag: str
    trust: str


class Scoped(Protocol):
    """A value with its scope."""

    @property
    def name(self) -> str:
        """Return the name of the secret."""

    @property
    def scope(self) -> SecretScope:
        """Return for which steps it is."""


S = TypeVar("S", bound=Scoped)


def fits(scope: SecretScope, asking: Asking) -> bool:
    """Whether a step may have what has this scope; of a run that is not known to be trusted none may."""
    if asking.trust not in TRUSTED:
        return False
    if scope.environment and scope.environment != asking.environment:
        return False
    if scope.steps and not set(scope.steps) & set(asking.names):
        return False
    return not scope.branches or matches(scope.branches, f"{TAGS}{asking.tag}" if asking.tag else asking.branch)


def choose(values: Iterable[S], asking: Asking) -> Mapping[str, S]:
    """Return by name the most narrow value that a step may have."""
    found: dict[str, S] = {}
    for value in values:
        best = found.get(value.name)
        if fits(value.scope, asking) and (best is None or _narrow(value.scope) > _narrow(best.scope)):
            found[value.name] = value
    return found


def _narrow(scope: SecretScope) -> tuple[bool, int, bool, int, str]:
    """Return how narrow a scope is; no two of one secret are the same, for environment and pattern differ."""
    plain = sum(char not in "*?" for char in scope.branches)
    return (
        bool(scope.environment),
        plain if scope.branches else -1,
        bool(scope.steps),
        -len(scope.steps),
        scope.branches,
    )
