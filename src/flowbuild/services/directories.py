"""Projects of those who run pipelines without a server: one for each source directory."""

from __future__ import annotations

from pathlib import Path

from flowbuild.store.database import Transaction


def project_of(tx: Transaction, source: Path) -> str:
    """Return the project at a source directory: as its last run says, else the shortest end of its path that is free.

    Two repositories in directories of one name must not share runs: `flow rerun last --from deploy` would deploy the other
    one. A directory that is gone leaves its name, and its runs, to the next of that name: it was probably moved.
    """
    known = tx.runs.projects()
    if str(source) in known:
        return known[str(source)]
    taken = {project for directory, project in known.items() if Path(directory).is_dir()}
    taken.update(row.name for row in tx.projects.list(archived=True))
    parts = source.parts[1:] or ("root",)
    names = ["/".join(parts[-count:]) for count in range(1, len(parts) + 1)]
    return next((name for name in names if name not in taken), str(source))
