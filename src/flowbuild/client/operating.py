"""What one does with a server, a runner or a bot on its own machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from flowbuild.client.base import Check, RunnerRequest


class Operator(Protocol):
    """What one does with a server on its own machine, with the options of the environment. Raises the errors of `core.errors`."""

    def serve(self) -> None:
        """Run it until it is told to stop."""
        ...

    def work(self, request: RunnerRequest) -> None:
        """Execute attempts for a server elsewhere until told to stop."""
        ...

    def speak(self) -> None:
        """Be a bot on a chat network for a server elsewhere until told to stop."""
        ...

    def backup(self, directory: str, *, keys: bool) -> str:
        """Write a backup, also while it runs; return what it holds in words."""
        ...

    def restore(self, directory: str) -> str:
        """Make a server of a backup; return what it held in words."""
        ...

    def keys(self, *, change: bool, prune: bool) -> str:
        """Seal all secrets with a new key, or drop the keys that seal nothing any more; return in words which key seals what."""
        ...

    def examine(self) -> Sequence[Check]:
        """Look at its database, its keys, its disk and its engine."""
        ...
