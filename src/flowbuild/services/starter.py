"""What begins runs when nobody does by hand. `triggers` ask for it; it is a Protocol because they need not know git."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from flowbuild.core.ids import RunId
from flowbuild.core.model import Pipeline
from flowbuild.core.sources import SourceEvent, Trust


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a run begins. The same `key` never begins two runs; `about` is kept with the run, for people."""

    key: str
    about: Mapping[str, Any] = field(default_factory=dict)


class Starter(Protocol):
    """Begins runs of projects, named by `projects.name`. Blocking: call from threads, also from several at once.

    Every call may be repeated after a crash. All raise NotFound for what is not there (any more), UserError for what will
    not get better by itself, and SystemFailed for what may: the remote does not answer, the disk is full.
    """

    def pipelines(self, project: str, event: SourceEvent) -> Sequence[Pipeline]:
        """Return the pipelines at the commit of an event, which is fetched when it is not here; none without a file."""
        ...

    def trust(self, project: str, event: SourceEvent) -> Trust:
        """Return how far the commit of an event is trusted, which is fetched when it is not here."""
        ...

    def message(self, project: str, event: SourceEvent) -> str:
        """Return the message of the commit of an event, which is fetched when it is not here."""
        ...

    def changed(self, project: str, event: SourceEvent) -> Sequence[str] | None:
        """Return the paths that an event changed: since `before`, or of a pull request since it left its target.

        None when that cannot be known: the commit before is gone, or the branch is new.
        """
        ...

    def start(
        self, project: str, pipeline: str, event: SourceEvent, inputs: Mapping[str, str], cause: Cause
    ) -> RunId | None:
        """Begin a run at the commit of an event and return it; the same one when the key of its cause is known.

        The key becomes known in the transaction that stores the run (`Transaction.starts`). None: the project takes none.
        Raises Held when somebody holds the pipeline.
        """
        ...


def start_key(kind: str, *parts: str | float) -> str:
    """Return a key for what began a run: different parts give different keys."""
    text = json.dumps(parts, separators=(",", ":"))
    return f"{kind}:{hashlib.sha256(text.encode()).hexdigest()}"
