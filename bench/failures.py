"""(m) What failures make of runs: machines, networks, engines, the server and PostgreSQL of a real stack on a real Swarm.

    python -m bench.failures [--quick] [--power 30] [--partition 30] [--drain 10] [--engine 10] [--move 5] [--postgres 5]
                             [--workers 6] [--at-once 4] [--minutes M] [--logs DIR] [--json FILE] [--dir DIR]

Each round starts a run with a step for each worker, and in turns with a background service or with a step that holds an
environment; when all of them work, something happens to as many nodes as said, at once. First attempts work until they are
let go, later ones end by themselves. Steps on nodes with which nothing happened are let go at once.

* power: nodes lose power; when their steps go on elsewhere they get it back.
* partition: by turns a cable is pulled, a node hears nothing, nothing of it is heard. When its steps go on elsewhere, a third of
  the old attempts are let go, so that they have a result that is too late; then the network is made whole.
* drain: `docker node update --availability drain`; afterwards the nodes are activated.
* engine: kill -9, and started again at once. Containers die with it: dockerd restores none without live-restore, which Swarm forbids.
* move: the server goes to the other manager; its home is on storage that both reach.
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
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench.counts import Count, table

from flowbuild.testing.cluster import STACK, STEPS, Cluster, deployed
from flowbuild.testing.outcomes import Committed, begun_twice, double_commits, left, outcome
from flowbuild.testing.program import git

COUNTS = {"power": 30, "partition": 30, "drain": 10, "engine": 10, "move": 5, "postgres": 5}
SINGLE = ("move", "postgres")  # one at a time, for all steps
MANAGERS = ("n1", "n2")
SHAPES = ("plain", "exclusive", "service")
EXCLUSIVE, SERVICE = "x", "service"
PATIENCE = 180.0  # seconds until steps go on; the aim is 90
WHOLE = 120.0  # seconds until what is whole again has cleared away
LINE = "$$FLOW_ATTEMPT $$(cat /proc/sys/kernel/random/uuid)"
AGAIN = '[ "$$FLOW_ATTEMPT" -gt 1 ] || until [ -e /tmp/go ]; do sleep 0.2; done'
Found = dict[str, dict[str, list[str]]]


def _step(key: str, command: str, **more: object) -> dict[str, Any]:
    main = {"image": STEPS, "init": True, "command": ["sh", "-c", command]}
    return {"compose": {"services": {key: main}}, "retry": {"max": 3, "on": ["infra_lost"]}, **more}


def pipelines(workers: int) -> dict[str, Any]:
    """Return the pipelines: a step for each worker, that write a line each, and one that follows all of them."""

    def work(key: str, **more: object) -> dict[str, Any]:
        said = f'line="{LINE}"; {AGAIN}; mkdir -p results; echo "$$line" >> results/{key}; echo "$$line"'
        return _step(key, said, **more)

    keys = [f"s{number}" for number in range(workers)]
    steps = {key: work(key, success=["all"]) for key in keys} | {"all": _step("all", "cat results/*")}
    exclusive = work(EXCLUSIVE, environment="shop")
    del exclusive["retry"]
    service = _step(SERVICE, "touch /tmp/up; exec sleep 100000", background=True, success=keys)
    service["compose"]["services"][SERVICE]["healthcheck"] = {
        "test": ["CMD", "test", "-e", "/tmp/up"],
        "interval": "1s",
    }
    made = {"plain": steps, "exclusive": {**steps, EXCLUSIVE: exclusive}, "service": {SERVICE: service, **steps}}
    return {"pipelines": {name: {"steps": found} for name, found in made.items()}}


def together(calls: Iterable[Callable[[], object]]) -> None:
    with ThreadPoolExecutor(16) as pool:
        for result in [pool.submit(call) for call in calls]:
            result.result()


class Round:
    """One run, and what happens to it. `nodes`: those that it happens to; `hit`: steps there, with their node."""

    def __init__(self, cluster: Cluster, count: Count, shape: str, number: int) -> None:
        self.cluster, self.count, self.shape, self.number = cluster, count, shape, number
        self.lab = cluster.lab
        self.workers = [name for name in self.lab.nodes if name not in MANAGERS]
        self.nodes: list[str] = []
        self.hit: dict[str, str] = {}
        self.began = 0.0

    def begin(self, nodes: int) -> None:
        """Start the run; returns when its steps work, and it is known whom something is to happen to."""
        self.run = self.cluster.start("shop", self.shape)
        found = self.wait(self._working, "all steps work")
        crowded = sorted(self.workers, key=lambda node: node not in found.values())
        first = [found[key] for key in (EXCLUSIVE, SERVICE) if key in found]
        self.nodes = list(dict.fromkeys([*first, *crowded]))[: nodes or None]
        self.hit = {key: node for key, node in found.items() if node in self.nodes}
        if not left(self.left()):
            raise AssertionError("the check for leftovers sees nothing of a run that goes on")
        self.began = time.time()

    def _working(self) -> dict[str, str]:
        """Return the nodes of all steps that work from the beginning on, when all of them do."""
        steps = {each["key"]: each["attempts"] for each in self.steps() if each["key"] != "all"}
        if all(tries and tries[-1]["started_at"] and tries[-1]["node"] for tries in steps.values()):
            return {key: tries[-1]["node"] for key, tries in steps.items()}
        return {}

    def show(self) -> dict[str, Any]:
        return dict(self.cluster.json("show", self.run))

    def steps(self) -> list[Any]:
        return list(self.show()["steps"])

    def wait(self, look: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
        """Return what is found as soon as something is; the server may be away meanwhile."""
        deadline = time.monotonic() + seconds
        while True:
            with contextlib.suppress(AssertionError, RuntimeError):
                if found := look():
                    return found
            if time.monotonic() > deadline:
                raise AssertionError(f"never came true: {what}")
            time.sleep(0.5)

    def each(self, do: Callable[[str], object], nodes: Iterable[str] = ()) -> None:
        together([lambda node=node: do(node) for node in nodes or self.nodes])

    def let_go(self, nodes: Iterable[str]) -> None:
        """Let what works on nodes go on."""
        for node in nodes:
            for container in self.containers(node):
                with contextlib.suppress(RuntimeError):  # it has just ended
                    self.lab[node].docker("exec", container, "touch", "/tmp/go")

    def containers(self, node: str, *more: str) -> list[str]:
        return self.cluster.containers(node, f"label=flow.run={self.run}", "status=running", *more)

    def others(self) -> list[str]:
        return [node for node in self.workers if node not in self.nodes]

    def moved_on(self) -> bool:
        """Whether all steps that may be retried have been, or are over."""
        steps = {each["key"]: each for each in self.steps()}
        for key in self.hit.keys() - {EXCLUSIVE, SERVICE}:
            last = steps[key]["attempts"][-1]
            new = (last["attempt"], last["epoch"]) != (1, 1) and last["started_at"] is not None
            if not new and steps[key]["state"] != "done":
                return False
        return True

    # What happens.

    def power(self) -> None:
        self.each(lambda node: self.lab[node].off())
        self.let_go(self.others())
        self.wait(self.moved_on, "steps go on elsewhere")
        self.each(lambda node: self.lab[node].on())

    def partition(self) -> None:
        for position, node in enumerate(self.nodes):
            machine = self.lab[node]
            (machine.cut, machine.deafen, machine.mute)[(position + self.number) % 3]()
        try:
            self.let_go(self.others())
            self.wait(self.moved_on, "steps go on elsewhere")
            late, zombies = self.nodes[::3], [node for node in self.nodes if node not in self.nodes[::3]]
            for node in late:
                self.let_go([node])
            alive = {node: self.zombies(node) for node in zombies}
        finally:
            self.each(lambda node: self.lab[node].heal())
        healed = time.time()
        for _ in self.zombies_gone(alive):
            self.count.zombies.append(time.time() - healed)

    def zombies(self, node: str) -> list[str]:
        """Return the containers of attempts on a node that are not to count any more."""
        steps = [key for key, where in self.hit.items() if where == node and key not in (EXCLUSIVE, SERVICE)]
        return [each for key in steps for each in self.containers(node, f"label=flow.step={key}")]

    def zombies_gone(self, alive: dict[str, list[str]]) -> Iterable[str]:
        """Yield the nodes whose zombies were ended, when they are."""
        waiting = {node: {*found} for node, found in alive.items() if found}

        def gone() -> set[str]:
            return {node for node, found in waiting.items() if not found & {*self.zombies(node)}}

        while waiting:
            for node in self.wait(gone, "zombies end"):
                del waiting[node]
                yield node

    def drain(self) -> None:
        self.each(self.lab.drain)
        self.let_go(self.workers)
        self.finish()
        self.each(self.lab.activate)

    def engine(self) -> None:
        self.each(lambda node: self.lab[node].kill_engine())
        self.each(lambda node: self.lab[node].start_engine())
        self.let_go(self.workers)

    def move(self) -> None:
        (here,) = (name for name in MANAGERS if self.cluster.tasks("server", name))
        (there,) = {*MANAGERS} - {here}
        self.cluster.reach(there)
        moving = threading.Thread(target=self.lab.move, args=(f"{STACK}_server", there))
        moving.start()
        self.let_go(self.workers)
        moving.join()

    def postgres(self) -> None:
        (container,) = self.cluster.tasks("postgres", MANAGERS[0])
        self.lab[MANAGERS[0]].docker("kill", container)
        self.let_go(self.workers)

    # What came of it.

    def finish(self) -> dict[str, Any]:
        """Return the run when it is final; whatever works on nodes is let go meanwhile."""

        def over() -> dict[str, Any] | None:
            self.let_go(node for node in self.workers if self.lab[node].is_on)
            view = self.show()
            return view if view["finished_at"] else None

        return dict(self.wait(over, "the run is final", WHOLE))

    def left(self) -> Found:
        """Return what nodes have of runs."""
        found: Found = {}
        for name, node in self.lab.nodes.items():
            listed = {"container": ("ps", "--all"), "network": ("network", "ls"), "volume": ("volume", "ls")}
            here = {}
            for kind, words in listed.items():
                here[kind] = node.docker(*words, "--quiet", "--filter", "label=flow.run").split()
            for kind in ("work", "runs", "spool"):
                folder = node.folder / f"data/volumes/{STACK}_runner/_data/runner/{kind}"
                names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
                here[f"directory {kind}"] = [each for each in names if each != ".trash"]
            found[name] = here
        return found

    def committed(self, steps: list[Any]) -> Committed:
        """Read the repository of the run, where it lies."""
        (head,) = self.cluster.home.glob(f"**/{self.run}*/**/HEAD")
        place = ("--git-dir", str(head.parent))

        def asked(*words: str) -> str:
            return git(self.cluster.top, *place, *words)

        trailers = asked("log", "--format=%(trailers:key=Flow-Step,valueonly,separator=)", "refs/heads/main").split()
        heads = asked("for-each-ref", "--format=%(refname:lstrip=3) %(objectname)", "refs/heads/step/").splitlines()
        files = asked("ls-tree", "-r", "--name-only", "refs/heads/main", "workspace/results/").split()
        lines = {Path(each).name: asked("show", f"refs/heads/main:{each}").splitlines() for each in files}
        words = {}
        for step in steps:
            good = [each["attempt"] for each in step["attempts"] if each["outcome"] == "succeeded"]
            if good and step["key"] in lines:
                said = self.cluster.flow("logs", self.run, step["key"], "--attempt", str(good[-1]))
                words[step["key"]] = " ".join(said.split()[-2:])
        counted = {key: trailers.count(key) for key in {*trailers}}
        return Committed(counted, lines, dict(each.split() for each in heads), words)

    def judge(self) -> None:
        """Wait for the end of the run and of what it left, and count."""
        count = self.count
        try:
            view = self.finish()
        except AssertionError:
            count.lost.append(self.run)
            raise
        steps = view["steps"]
        for step in steps:
            if step["key"] not in self.hit:
                continue
            was = outcome(step, self.hit[step["key"]], exclusive=step["key"] == EXCLUSIVE)
            count.outcomes.append(was)
            if step["key"] not in (EXCLUSIVE, SERVICE):
                last, first = step["attempts"][-1], len(step["attempts"]) == 1
                count.seconds.append(last["finished_at" if first else "started_at"] - self.began)
        judged = [step for step in steps if step["key"] not in ("all", SERVICE)]
        count.double += [f"{self.run} {each}" for each in double_commits(judged, self.committed(steps))]
        count.twice += [f"{self.run} {each}" for each in begun_twice(steps, [EXCLUSIVE])]
        count.states.append(view["state"])
        self.cluster.complete()
        with contextlib.suppress(AssertionError):
            self.wait(lambda: not left(self.left()), "nothing is left", WHOLE)
        count.left += [f"{self.run} {each}" for each in left(self.left())]

    def heal(self) -> None:
        """Make everything whole again, wherever the round failed."""
        for name, node in self.lab.nodes.items():
            with contextlib.suppress(RuntimeError):
                node.heal() if node.is_on else node.on()
            with contextlib.suppress(RuntimeError):
                if name not in MANAGERS:
                    self.lab.activate(name)


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
    """Do all rounds; print the table after each."""
    ends = time.monotonic() + options.minutes * 60
    counts = [Count(kind) for kind in COUNTS if getattr(options, kind)]
    number = 0
    for count in counts:
        wanted = (
            1
            if options.quick and count.kind in SINGLE
            else options.at_once
            if options.quick
            else getattr(options, count.kind)
        )
        while count.events < wanted and time.monotonic() < ends:
            single = count.kind in SINGLE
            nodes = 0 if single else min(options.at_once, wanted - count.events)
            shape = SHAPES[count.rounds % len(SHAPES)] if not options.quick else SHAPES[number % len(SHAPES)]
            number += 1
            one_round(cluster, Round(cluster, count, shape, number), nodes, options.logs)
            count.rounds += 1
            count.events += 1 if single else nodes
            print(table(counts), flush=True)
    return counts


def one_round(cluster: Cluster, turn: Round, nodes: int, logs: Path) -> None:
    """Do one round. What fails is counted and kept, and the next one begins with everything whole."""
    count, began = turn.count, time.monotonic()
    before = len(count.wrong())
    try:
        turn.begin(nodes)
        getattr(turn, count.kind)()
        turn.judge()
    except Exception:  # noqa: BLE001 (whatever it was, the campaign goes on and says so)
        count.failed.append(f"{getattr(turn, 'run', 'no run')}: {traceback.format_exc(limit=-3)}")
        turn.heal()
    run = getattr(turn, "run", "")
    print(f"{count.kind} {turn.shape} {turn.nodes} run {run}: {time.monotonic() - began:.0f} s", flush=True)
    if wrong := count.wrong()[before:]:
        place = logs / f"{count.kind}-{count.rounds}"
        keep(cluster, place, run)
        print("\n".join([*wrong, f"logs: {place}"]), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.failures", description=__doc__.splitlines()[0])
    for kind, number in COUNTS.items():
        parser.add_argument(f"--{kind}", type=int, default=number, metavar="N")
    parser.add_argument("--quick", action="store_true", help="one round of each")
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
