"""All benchmarks of the product: `python -m bench`. Needs Docker, git, curl, PostgreSQL and a static busybox; no registry.

Prints tables with ratios measured within this run and writes them to bench/results/bench.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from bench.api import api
from bench.chain import Ground, chain, parallel, run
from bench.figures import Figures
from bench.idle import idle
from bench.large import large
from bench.logs import logs
from bench.queue import queue
from bench.runs import runs
from bench.store import store
from bench.web import build, web
from bench.webhooks import webhooks

HERE = Path(__file__).parent
NAMES = (
    "chain",
    "parallel",
    "large",
    "workspace",
    "store",
    "webhooks",
    "api",
    "runs",
    "queue",
    "logs",
    "idle",
    "web",
    "transfer",
    "failures",
)
ASKED = ("failures",)  # takes more than an hour: only when it is named


def machine() -> dict[str, object]:
    """Return what the figures depend on."""
    engine = run(["docker", "version", "--format", "{{.Server.Version}}"]).strip()
    compose = run(["docker", "compose", "version", "--short"]).strip()
    return {
        "cpus": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_average": os.getloadavg()[0],
        "kernel": platform.release(),
        "python": platform.python_version(),
        "engine": engine,
        "compose": compose,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"which (default: all but failures): {', '.join(NAMES)}"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=100_000, help="how many the server of `web` knows of")
    parser.add_argument("--dir", type=Path, help="where to work (default: the temporary directory)")
    parser.add_argument("--json", type=Path, default=HERE / "results" / "bench.json")
    options = parser.parse_args()
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    names = options.names or [name for name in NAMES if name not in ASKED]
    if "web" in names:
        build()
    options.json.parent.mkdir(parents=True, exist_ok=True)
    results: dict[str, object] = {"machine": machine()}
    print(json.dumps(results["machine"]))
    if options.dir is not None:
        Path(options.dir).mkdir(parents=True, exist_ok=True)
    top = Path(tempfile.mkdtemp(prefix="flow-bench-", dir=options.dir))
    try:
        ground = Ground(top)
        work = {
            "chain": lambda: chain(ground, length=10, rounds=options.rounds),
            "parallel": lambda: parallel(ground, width=20, rounds=options.rounds),
            "large": lambda: large(ground, steps=500, rounds=options.rounds),
            "idle": lambda: idle(top, rounds=options.rounds),
        }
        for name in (name for name in work if name in names):
            figures = work[name]()
            print(figures.table(), flush=True)
            results[name] = figures.as_dict()
        several: dict[str, Callable[[Path], Iterable[Figures]]] = {
            "store": store,
            "webhooks": webhooks,
            "api": api,
            "runs": runs,
            "queue": queue,
            "logs": logs,
        }
        several["web"] = lambda top: web(top / "web", rounds=options.rounds, number=options.runs)
        for name in (name for name in several if name in names):
            for figures in several[name](top):
                print(figures.table(), flush=True)
                results[figures.name] = figures.as_dict()
    finally:
        shutil.rmtree(top, ignore_errors=True)
    if "workspace" in names:
        command = [str(HERE / "workspace.py")]
        results["workspace"] = program(command, options.json.with_name("workspace.json"), options.dir, options.rounds)
    if "transfer" in names:
        command = ["-m", "bench.transfer"]
        results["transfer"] = program(command, options.json.with_name("transfer.json"), options.dir, options.rounds)
    if "failures" in names:
        results["failures"] = program(["-m", "bench.failures"], options.json.with_name("failures.json"), options.dir)
    options.json.write_text(json.dumps(results, indent=1))
    print(f"\nwritten: {options.json}")


def program(command: list[str], file: Path, where: Path | None, rounds: int | None = None) -> object:
    """(b) needs a fresh process, its memory is measured by nobody else; (l) goes into a network of its own; (m) has own counts."""
    arguments = ["--json", str(file), *(() if where is None else ("--dir", str(where)))]
    arguments += () if rounds is None else ("--rounds", str(rounds))
    subprocess.run([sys.executable, *command, *arguments], check=True)
    return json.loads(file.read_text())


if __name__ == "__main__":
    main()
