"""Who somebody is, as a provider elsewhere says; without the libraries that asking one takes (see `auth.oidc`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Begun:
    """An attempt to log in: where the browser goes, and what only we and that browser know until it comes back."""

    url: str
    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True, slots=True)
class Identity:
    """Who it is, as the provider says. `email` is "" unless the provider has verified it."""

    subject: str
    name: str = ""
    display_name: str = ""
    email: str = ""


class Provider(Protocol):
    """Says who people are; see `auth.oidc.OidcProvider`. Blocking."""

    def begin(self) -> Begun:
        """Begin an attempt to log in."""
        ...

    def finish(self, begun: Begun, answer: Mapping[str, str]) -> Identity:
        """Return who came back."""
        ...
