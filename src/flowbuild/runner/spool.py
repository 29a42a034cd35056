"""Results that are not yet accepted, on disk: a runner that dies after the work and before the answer hands them in later."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from pydantic import TypeAdapter

from flowbuild.client.runner import AttemptResult, Lease

_result: TypeAdapter[AttemptResult] = TypeAdapter(AttemptResult)


class Spool:
    """One file per attempt below `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True)

    def put(self, lease: Lease, result: AttemptResult) -> None:
        """Keep a result; it is on the disk when this returns."""
        path = self._path(lease)
        temporary = path.with_suffix(".tmp")
        with temporary.open("wb") as file:
            file.write(_result.dump_json(result))
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)

    def holds(self, lease: Lease) -> bool:
        """Whether there is a kept result of an attempt. Quick: one look at the directory."""
        return self._path(lease).exists()

    def get(self, lease: Lease) -> AttemptResult | None:
        """Return the kept result of an attempt."""
        try:
            return _result.validate_json(self._path(lease).read_bytes())
        except FileNotFoundError:
            return None

    def drop(self, lease: Lease) -> None:
        """Forget a result that was accepted or fenced."""
        self._path(lease).unlink(missing_ok=True)

    def drop_run(self, run: str) -> None:
        """Forget the results of a run that is over: accepted or fenced, and its runner died before it knew."""
        for path in self._root.glob(f"{run}.*"):
            path.unlink(missing_ok=True)

    def sweep(self, keep: Collection[str]) -> None:
        """Forget the results of all runs but `keep`: they were accepted, or nobody waits for them any more."""
        for path in self._root.iterdir():
            if path.name.partition(".")[0] not in keep:
                path.unlink(missing_ok=True)

    def _path(self, lease: Lease) -> Path:
        return self._root / f"{lease.run}.{lease.step}.{lease.attempt}.{lease.epoch}.json"
