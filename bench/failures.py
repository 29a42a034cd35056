"""(m) What failures make of runs: machines, networks, engines, the server and PostgreSQL of a real stack on a real Swarm.

    python -m bench.failures [--quick] [--power 30] [--partition 30] [--drain 10] [--engine 10] [--move 5] [--postgres 5]
                             [--manager 5] [--workers 6] [--at-once 4] [--minutes M] [--logs DIR] [--json FILE] [--dir DIR]

Each round starts a run with a step for each worker, and in turns with a background service or with a step that holds an
environment; when all of them work, something happens to as many nodes as said, at once. First attempts work until they are
let go, later ones end by themselves. Steps on nodes with which nothing happened are let go at once.

* power: nodes lose power; when their steps go on elsewhere they get it back.
* partition: by turns a cable is pulled, a node hears nothing, nothing of it is heard. When its steps go on elsewhere, a third of
  the old attempts are let go, so that they have a result that is too late; then the network is made whole.
* drain: `docker node update --availability drain`; afterwards the nodes are activated.
* engine: kill -9, and started again at once. Containers die with it: dockerd restores none without live-restore, which Swarm forbids.
* move: the server goes to the other manager; its home is on storage that both reach.
* manager: the manager that the server runs on loses its power, and gets it back when the steps went on; the database is on another one.
* postgres: its container is killed.

What is counted is looked at when the run is over and all nodes are back: `flow show`, the repository of the run, engines and
directories of all nodes. "continue" is the time from the event until a step was launched again, or until its old attempt had
its result accepted (it was let go when the event was over). A run is lost that is not final two minutes after everything was
whole again. The check for leftovers has to find something while a run goes on. Logs of all services and engines are kept
when something is wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from bench.counts import Count, table
from bench.failing import MANAGERS, Round, pipelines

from flowbuild.testing.cluster import STACK, Cluster, deployed
from flowbuild.testing.program import git

COUNTS = {"power": 30, "partition": 30, "drain": 10, "engine": 10, "move": 5, "manager": 5, "postgres": 5}
SINGLE = ("move", "manager", "postgres")  # one at a time, for all steps
SHAPES = ("plain", "exclusive", "service")


def keep(cluster: Cluster, place: Path, run: str) -> None:
    """Keep what services and engines said, and what the server knows of a run."""
    place.mkdir(parents=True, exist_ok=True)
    for service in ("server", "postgres", "runner"):
        with contextlib.suppress(RuntimeError, subprocess.TimeoutExpired):
            said = cluster.lab.manager.docker("service", "logs", "--timestamps", f"{STACK}_{service}")
            (place / f"{service}.log").write_text(said)
    for name, node in cluster.lab.nodes.items():
        shutil.copy(node.folder / "dockerd.log", place / f"engine-{name}.log")
    for file, words in {
        "run.json": ("show", run, "--json"),
        "run.log": ("logs", run),
        "runners": ("runners", "list"),
    }.items():
        with contextlib.suppress(AssertionError):
            (place / file).write_text(cluster.flow(*words))


def campaign(cluster: Cluster, options: argparse.Namespace) -> list[Count]:
    """Do all rounds, of each kind by turns; print the table after each."""
    ends = time.monotonic() + options.minutes * 60
    counts = [Count(kind) for kind in COUNTS if getattr(options, kind)]
    wanted = {kind: getattr(options, kind) for kind in COUNTS}
    if options.quick:
        wanted = {kind: 1 if kind in SINGLE else options.at_once for kind in COUNTS}
    while going := [count for count in counts if count.events < wanted[count.kind]]:
        for position, count in enumerate(going):
            if time.monotonic() > ends:
                return counts
            nodes = 0 if count.kind in SINGLE else min(options.at_once, wanted[count.kind] - count.events)
            shape = SHAPES[(count.rounds + position) % len(SHAPES)]
            one_round(cluster, Round(cluster, count, shape, count.rounds), nodes, options.logs)
            count.rounds += 1
            count.events += nodes or 1
            print(table(counts), flush=True)
    return counts


def one_round(cluster: Cluster, turn: Round, nodes: int, logs: Path) -> None:
    """Do one round. What fails is counted and kept, and the next one begins with everything whole."""
    count, began = turn.count, time.monotonic()
    before = Counter(count.wrong())
    try:
        turn.begin(nodes)
        getattr(turn, count.kind)()
        turn.judge()
    except Exception:  # noqa: BLE001 (whatever it was, the campaign goes on and says so)
        count.failed.append(f"{getattr(turn, 'run', 'no run')}: {traceback.format_exc(limit=-3)}")
        turn.heal()
    run = getattr(turn, "run", "")
    print(f"{count.kind} {turn.shape} {turn.nodes} run {run}: {time.monotonic() - began:.0f} s", flush=True)
    if wrong := [*(Counter(count.wrong()) - before).elements()]:
        place = logs / f"{count.kind}-{count.rounds}"
        keep(cluster, place, run)
        print("\n".join([*wrong, f"logs: {place}"]), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.failures", description=__doc__.splitlines()[0])
    for kind, number in COUNTS.items():
        parser.add_argument(f"--{kind}", type=int, default=number, metavar="N")
    parser.add_argument("--quick", action="store_true", help="one round of each, some eight minutes")
    parser.add_argument("--workers", type=int, default=6)
    parser.add_argument("--at-once", type=int, default=4, help="how many nodes something happens to in a round")
    parser.add_argument("--minutes", type=float, default=1e6, help="begin no round after that")
    parser.add_argument("--logs", type=Path, default=Path(tempfile.gettempdir()) / f"flow-failures-{os.getpid()}")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--dir", type=Path)
    options = parser.parse_args()
    if not 0 < options.at_once < options.workers:
        parser.error("--at-once has to leave a worker")
    os.environ["FLOW_SERVER_CONSTRAINT"] = f"node.hostname == {MANAGERS[0]}"
    top = Path(tempfile.mkdtemp(prefix="bench-failures-", dir=options.dir)).resolve()
    try:
        with deployed(top, managers=len(MANAGERS), workers=options.workers) as cluster:
            source = cluster.shared / "shop"
            source.mkdir()
            (source / ".flow.yml").write_text(json.dumps(pipelines(options.workers)))
            git(source, "init", "--quiet", "--initial-branch=main")
            git(source, "add", "--all")
            git(source, "commit", "--quiet", "--message", "Failures")
            cluster.flow("projects", "add", "shop", str(source))
            counts = campaign(cluster, options)
    finally:
        shutil.rmtree(top, ignore_errors=True)
    if options.json:
        options.json.write_text(json.dumps({count.kind: count.as_dict() for count in counts}, indent=1))
    sys.exit(any(count.wrong() for count in counts))


if __name__ == "__main__":
    main()
