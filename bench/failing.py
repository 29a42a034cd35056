"""One round of a campaign of failures: a run, what happens to it, and what came of it. See `bench/failures.py`."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from bench.counts import Count

from flowbuild.testing.cluster import STACK, STEPS, Cluster
from flowbuild.testing.outcomes import OTHER, Committed, begun_twice, double_commits, left, outcome
from flowbuild.testing.program import git

MANAGERS = ("n1", "n2", "n3")  # the first has the database
SERVER = f"{STACK}_server"
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
    service = _step(SERVICE, "touch /tmp/up; exec httpd -f -p 80 -h /tmp", background=True, success=keys)
    service["compose"]["services"][SERVICE]["healthcheck"] = {
        "test": ["CMD", "test", "-e", "/tmp/up"],
        "interval": "1s",
    }
    asks = _step(
        "all", f"until wget -q -O- http://{SERVICE}.{SERVICE}/up; do sleep 0.2; done; cat results/*", timeout="5m"
    )
    served = {SERVICE: service, **steps, "all": asks}
    made = {"plain": steps, "exclusive": {**steps, EXCLUSIVE: exclusive}, "service": served}
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
        together([partial(do, node) for node in nodes or self.nodes])

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
        for key in self.hit.keys() - {EXCLUSIVE}:
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
            self.count.late += sum(len(self.zombies(node)) for node in late)
            self.let_go(late)
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
        self.wait(
            lambda: all(map(self.is_finishing, self.nodes)), "runners have been told to end, and finish what they have"
        )
        self.let_go(self.workers)
        self.finish()
        self.each(self.lab.activate)

    def is_finishing(self, node: str) -> bool:
        lines = (self.home(node) / "flow.log").read_text().splitlines()
        events = [json.loads(line) for line in lines[-50:]]
        began = datetime.fromtimestamp(self.began, UTC).isoformat()
        return any(each["event"] == "finishing" and each["timestamp"] > began for each in events)

    def engine(self) -> None:
        self.each(lambda node: self.lab[node].kill_engine())
        self.each(lambda node: self.lab[node].start_engine())
        self.let_go(self.workers)

    def move(self) -> None:
        (here,) = self.servers()
        there = next(name for name in MANAGERS if name != here)
        self.cluster.reach(there)
        moving = threading.Thread(target=self.lab.move, args=(SERVER, there))
        moving.start()
        self.wait(lambda: not self.cluster.tasks("server", here), "the server is gone")
        self.let_go(self.workers)
        moving.join()

    def servers(self) -> list[str]:
        """Return the managers that the server runs on; of one without power nobody knows."""
        return [name for name in MANAGERS if self.lab[name].is_on and self.cluster.tasks("server", name)]

    def manager(self) -> None:
        self.lab.keep_off(SERVER, MANAGERS[0])
        (here,) = self.servers()
        self.cluster.reach(here)
        self.wait(self.cluster.is_ready, "the server is on a manager without the database")
        self.began = time.time()
        self.lab[here].off()
        self.let_go(self.workers)
        (there,) = self.wait(self.servers, "the server is on another manager")
        self.cluster.reach(there)
        self.wait(self.moved_on, "steps go on")
        self.lab[here].on()
        self.cluster.reach(MANAGERS[0])
        self.lab.move(SERVER, MANAGERS[0])

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
                folder = self.home(name) / kind
                names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
                here[f"directory {kind}"] = [each for each in names if each != ".trash"]
            found[name] = here
        return found

    def home(self, node: str) -> Path:
        """Return where the runner of a node keeps its things."""
        return self.lab[node].folder / f"data/volumes/{STACK}_runner/_data/runner"

    def committed(self, steps: list[Any]) -> Committed:
        """Read the repository of the run, where it lies."""
        (head,) = self.cluster.home.glob(f"**/{self.run}*/**/HEAD")
        place = ("--git-dir", str(head.parent))

        def asked(*words: str) -> str:
            return git(self.cluster.top, *place, *words)

        trailer = "%H %(trailers:key=Flow-Step,valueonly,separator=)"
        made = [each.split() for each in asked("log", f"--format={trailer}", "refs/heads/main").splitlines()]
        heads = asked("for-each-ref", "--format=%(refname:lstrip=3) %(objectname)", "refs/heads/step/").splitlines()
        files = asked("ls-tree", "-r", "--name-only", "refs/heads/main", "workspace/results/").split()
        lines = {Path(each).name: asked("show", f"refs/heads/main:{each}").splitlines() for each in files}
        words = {}
        for step in steps:
            good = [each["attempt"] for each in step["attempts"] if each["outcome"] == "succeeded"]
            if good and step["key"] in lines:
                said = self.cluster.flow("logs", self.run, step["key"], "--attempt", str(good[-1]))
                words[step["key"]] = " ".join(said.split()[-2:])
        commits = {step["key"]: [each[0] for each in made if each[1:] == [step["key"]]] for step in steps}
        return Committed(commits, lines, dict(each.split() for each in heads), words)

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
            kinds = {"exclusive": step["key"] == EXCLUSIVE, "serving": step["key"] == SERVICE}
            was = outcome(step, self.hit[step["key"]], **kinds)
            count.outcomes.append(was)
            if was == OTHER:
                tries = [(each["node"], each["outcome"], each["reason"], each["message"]) for each in step["attempts"]]
                count.other.append(f"{self.run} {step['key']}: {tries}")
            if step["key"] not in (EXCLUSIVE, SERVICE) or (step["key"] == SERVICE and len(step["attempts"]) > 1):
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
