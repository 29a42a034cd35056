"""Nothing begins of a pipeline that somebody holds; see `services.holds`."""

from __future__ import annotations

from datetime import UTC, datetime

from flowbuild.core.errors import Held
from flowbuild.store.database import Transaction


def refuse_held(tx: Transaction, project: str, pipeline: str) -> None:
    """Raise Held when somebody holds a pipeline, with who, since when, why.

    It counts in the transaction that begins a run, once that has its number: from then on holds wait for its end.
    """
    row = tx.holds.get(project, pipeline) if pipeline.isprintable() else None
    if row is not None:
        since = datetime.fromtimestamp(row.at, UTC).strftime("%Y-%m-%d %H:%M UTC")
        why = f": {row.reason}" if row.reason else ""
        raise Held(
            f"{pipeline} is held by {row.held_by} since {since}{why}",
            hint=f"whoever may start it may let it go: flow unhold {project} {pipeline}",
        )
