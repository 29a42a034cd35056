"""(j) A server that has nothing to do: how soon it listens, and its memory; with SQLite, the second time at the same home."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from bench.figures import Figures
from bench.serving import admin, serving

SECONDS = 5  # in which it has nothing to do


def idle(top: Path, *, rounds: int) -> Figures:
    """Measure so many starts."""
    figures, home = Figures("idle", "(j) an idle server without a runner of its own"), top / "idle"
    admin(home)
    memory, used, starting = [], [], []
    for _ in range(rounds):
        with serving(home) as server:
            figures.add("until it listens", server.seconds)
            starting.append(server.cpu())
            time.sleep(SECONDS)
            memory.append(server.memory())
            used.append((server.cpu() - starting[-1]) / SECONDS)
    figures.note("processor until it listens, s", min(starting))
    figures.note("resident memory, MB", min(memory))
    figures.note("processor while it has nothing to do, share of one", min(used))
    shutil.rmtree(home, ignore_errors=True)
    return figures
