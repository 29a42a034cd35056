"""(o) From the end of a step to the beginning of the next: in one process, on one machine of a cluster, from machine to machine.

    python -m bench.handoff [--rounds 5] [--json FILE] [--dir DIR]

Chains of steps that hardly work, one file changed by each; of every pair of steps the time from the moment when the containers
of the first had ended to the moment when those of the second were about to begin: commit, push, claim, fetch, checkout and
creation are in it. `flow run` on this machine's engine stands for one process; the others are the stack on a real Swarm in the
laboratory, each node with an engine of its own on the same processors. Needs root.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.figures import Figures

from flowbuild.testing.cluster import STEPS, Cluster, deployed
from flowbuild.testing.program import Program, git

LENGTH = 8
HERE, THERE = "n2", "n3"
KINDS = {"on one machine": (HERE, HERE), "from machine to machine": (HERE, THERE)}


def chain(nodes: tuple[str, str], *, placed: bool) -> dict[str, Any]:
    """Return a pipeline whose steps are on these nodes by turns."""
    steps: dict[str, Any] = {}
    for number in range(LENGTH):
        service: dict[str, Any] = {"image": STEPS, "command": ["sh", "-c", f"echo {number} > last"]}
        if placed:
            service["deploy"] = {"placement": {"constraints": [f"node.hostname == {nodes[number % 2]}"]}}
        steps[f"s{number}"] = {"compose": {"services": {"step": service}}}
        if number + 1 < LENGTH:
            steps[f"s{number}"]["success"] = [f"s{number + 1}"]
    return {"steps": steps}


def project(place: Path) -> Path:
    """Make the repository of the chains."""
    place.mkdir()
    pipelines = {"near": chain((HERE, HERE), placed=False)}
    pipelines |= {name.replace(" ", "-"): chain(nodes, placed=True) for name, nodes in KINDS.items()}
    (place / ".flow.yml").write_text(json.dumps({"pipelines": pipelines}))
    git(place, "init", "--quiet", "--initial-branch=main")
    git(place, "add", "--all")
    git(place, "commit", "--quiet", "--message", "Chains")
    return place


def gaps(view: Mapping[str, Any]) -> list[float]:
    """Return the seconds between the steps of a chain that ran."""
    if view["state"] != "succeeded":
        raise RuntimeError(f"the run is {view['state']}: {view}")
    found = []
    attempts = [step["attempts"][0] for step in view["steps"]]
    for before, after in pairwise(attempts):
        ended = before["started_at"] + before["phases"]["run"]
        found.append(after["started_at"] - ended)
    return found


def measure(top: Path, rounds: int) -> Figures:
    """Measure all of it."""
    figures = Figures("handoff", f"(o) from step to step, {LENGTH} steps, {rounds} runs of each kind")
    with deployed(top, workers=2) as cluster:
        source = project(cluster.shared / "chain")
        cluster.flow("projects", "add", "chain", str(source))
        alone = Program(top / "alone", source, {})
        for number in range(rounds + 1):  # the first of each is not counted: images and sources are not there yet
            found = {"in one process": gaps(near(alone)), **{name: far(cluster, name) for name in KINDS}}
            for name, seconds in found.items() if number else ():
                for each in seconds:
                    figures.add(name, each)
    figures.ratio("on one machine", "in one process")
    figures.ratio("from machine to machine", "on one machine")
    return figures


def near(program: Program) -> Mapping[str, Any]:
    """Run a chain without a server."""
    program.call("run", "near", "--plain")
    view: dict[str, Any] = program.call("show", "last", "--json").json()
    return view


def far(cluster: Cluster, kind: str) -> list[float]:
    """Run a chain in the cluster."""
    return gaps(cluster.ended(cluster.start("chain", kind.replace(" ", "-"))))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.handoff", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--dir", type=Path)
    options = parser.parse_args()
    top = Path(tempfile.mkdtemp(prefix="bench-handoff-", dir=options.dir)).resolve()
    try:
        figures = measure(top, options.rounds)
    finally:
        shutil.rmtree(top, ignore_errors=True)
    print(figures.table())
    if options.json:
        options.json.write_text(json.dumps(figures.as_dict(), indent=1))


if __name__ == "__main__":
    main()
