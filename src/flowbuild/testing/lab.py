"""A laboratory: several real Docker engines on one machine, each as on a machine of its own, that form a real Swarm. Needs root.

Every node has net, mount, pid, uts and ipc namespaces, an engine with data of its own and one wire to a switch, which is in
another net namespace: nothing of this machine's network, engine or mounts is touched, and two laboratories do not meet.
Nodes have no way out; images come by `Lab.load`. All of it lives as long as the process that made it (see `lab_init.sh`).

    with Lab() as lab:
        lab.up(managers=1, workers=2)
        lab.load("flow-demo/busybox")
        lab["n2"].cut()
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Self

from flowbuild.testing.forward import Forward

PROGRAMS = ("containerd", "dockerd", "docker", "ip", "iptables", "nsenter", "tc", "unshare")
INIT = Path(__file__).with_name("lab_init.sh")
WIRES = "192.168.77"  # only inside of the laboratory's own network
SWITCH = 1
FIRST = 11
SECONDS = 60.0  # for what takes two on an idle machine
LONG = 300.0  # for what docker's command line does: to load an image, or to wait for a service
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def missing() -> list[str]:
    """Return what this machine lacks for a laboratory, in words."""
    lacks = [f"the program {name}" for name in PROGRAMS if shutil.which(name, path=PATH) is None]
    return [*lacks, *(["the rights of root"] if os.geteuid() != 0 else [])]


class Place:
    """The first process of a node or of the switch: `lab_init.sh` in new namespaces, which obeys what is written to it."""

    def __init__(self, namespaces: Sequence[str], *arguments: str, log: Path) -> None:
        with log.open("ab") as said:
            self._outer = subprocess.Popen(
                ["unshare", *namespaces, "--fork", "--kill-child=KILL", "bash", str(INIT), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                start_new_session=True,
            )
        try:
            self._heard(log)
            (self.process,) = (int(pid) for pid in _children(self._outer.pid))
        except BaseException:
            self.kill()
            raise
        self._log = log

    def order(self, word: str) -> None:
        """Have it done. Raises RuntimeError with what it said when that fails."""
        assert self._outer.stdin is not None  # noqa: S101 (made so above)
        with contextlib.suppress(BrokenPipeError):
            self._outer.stdin.write(f"{word}\n".encode())
            self._outer.stdin.flush()
        self._heard(self._log)

    def kill(self) -> None:
        """End it and all that runs in it at once; return when that is so."""
        for child in _children(self._outer.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
        self.close()

    def close(self, seconds: float = SECONDS) -> None:
        """End it by the end of its input; return when it is gone."""
        for stream in (self._outer.stdin, self._outer.stdout):
            if stream is not None:
                stream.close()
        try:
            self._outer.wait(seconds)
        finally:
            self._outer.kill()  # no process any more, unless it hung
            self._outer.wait()

    def run(self, *argv: str) -> None:
        """Run a program in its network. Raises RuntimeError."""
        _run("nsenter", f"--net={self.network}", *argv)

    @property
    def network(self) -> Path:
        """Return the file that stands for its network."""
        return Path(f"/proc/{self.process}/ns/net")

    def _heard(self, log: Path) -> None:
        """Wait for its next line."""
        assert self._outer.stdout is not None  # noqa: S101 (made so above)
        ready, _, _ = select.select([self._outer.stdout], [], [], SECONDS)
        if not ready or not self._outer.stdout.readline():
            raise RuntimeError(f"a machine of the laboratory does not come up: {_tail(log)}")


class Node:
    """One machine of a laboratory: what it is called there, its address, and `host`, where its engine listens."""

    def __init__(self, lab: Lab, number: int) -> None:
        self.name = f"n{number}"
        self.address = f"{WIRES}.{FIRST - 1 + number}"
        self.folder = lab.folder / self.name
        self.host = f"unix://{self.folder}/docker.sock"
        self._lab = lab
        self._place: Place | None = None
        self.folder.mkdir()
        settings = {
            "hosts": ["unix:///var/run/docker.sock", self.host],
            "containerd": "/run/containerd/containerd.sock",
            "data-root": str(self.folder / "data"),
            "exec-root": "/run/docker",
            "pidfile": "/run/docker.pid",
            "cgroup-parent": f"/{lab.name}/{self.name}",
            "exec-opts": ["native.cgroupdriver=cgroupfs"],
        }
        (self.folder / "daemon.json").write_text(json.dumps(settings))

    @property
    def is_on(self) -> bool:
        """Return whether it has power."""
        return self._place is not None

    @property
    def place(self) -> Place:
        """Return its first process. Raises RuntimeError when it is off."""
        if self._place is None:
            raise RuntimeError(f"{self.name} is off")
        return self._place

    def on(self) -> None:
        """Give it power: it starts with what is on its disk. Returns when its engine answers."""
        alone = ("--net", "--mount", "--propagation=private", "--uts", "--ipc", "--pid")
        place = Place(alone, "node", str(self.folder), self.name, self.address, log=self.folder / "init.log")
        self._place = place
        port = self._port
        wire = ("type", "veth", "peer", "name", "eth0", "netns", str(place.process))
        self._lab.switch.run("ip", "link", "add", port, *wire)
        self._lab.switch.run("ip", "link", "set", port, "master", "bridge0", "up")
        place.order("wired")
        self.start_engine()

    def off(self) -> None:
        """Take its power away: all that runs there ends at once, what is on its disk stays."""
        place, self._place = self.place, None
        place.kill()
        # The kernel takes its network down some time later; not the wire of the next time.
        with contextlib.suppress(RuntimeError):
            self._lab.switch.run("ip", "link", "delete", self._port)

    def start_engine(self) -> None:
        """Start the engine; returns when it answers. Raises RuntimeError with its log when it does not."""
        ready = self.folder / "ready"
        ready.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
            told.bind(str(ready))
            told.settimeout(SECONDS)
            self.place.order("start")
            try:
                while b"READY=1" not in told.recv(4096):
                    pass
            except TimeoutError:
                raise RuntimeError(f"the engine of {self.name} does not start: {self.log}") from None

    def kill_engine(self) -> None:
        """Kill the engine (-9); its containers go on until it starts again."""
        self.place.order("kill")

    def cut(self) -> None:
        """Pull its network cable."""
        self._lab.switch.run("ip", "link", "set", self._port, "down")

    def deafen(self) -> None:
        """Let nothing reach it, while what it says is heard."""
        self._lab.switch.run("tc", "qdisc", "add", "dev", self._port, "root", "blackhole")

    def mute(self) -> None:
        """Let nothing of what it says be heard, while everything reaches it."""
        self.place.run("tc", "qdisc", "add", "dev", "eth0", "root", "blackhole")

    def heal(self) -> None:
        """Make its network whole again."""
        self._lab.switch.run("ip", "link", "set", self._port, "up")
        for run, device in ((self._lab.switch.run, self._port), (self.place.run, "eth0")):
            with contextlib.suppress(RuntimeError):  # there is nothing to take away
                run("tc", "qdisc", "delete", "dev", device, "root")

    def docker(self, *arguments: str, stdin: bytes = b"", environment: Mapping[str, str] | None = None) -> str:
        """Ask its engine with docker's command line; return what it printed. Raises RuntimeError."""
        return _run("docker", "--host", self.host, *arguments, stdin=stdin, environment=environment)

    @property
    def log(self) -> str:
        """Return the end of what its engine said."""
        return _tail(self.folder / "dockerd.log")

    @property
    def _port(self) -> str:
        return f"port-{self.name}"


class Lab:
    """The laboratory. `folder` is its place on the disk, the same path on all nodes; what is in `shared` all of them see."""

    def __init__(self) -> None:
        lacking = missing()
        if lacking:
            raise RuntimeError(f"a laboratory of engines needs {', '.join(lacking)}")
        # The path has to be short, since sockets have 108 bytes for theirs, and on a real disk.
        self.folder = Path(tempfile.mkdtemp(prefix="flow-lab-", dir="/var/tmp"))
        self.name = self.folder.name
        self.shared = self.folder / "shared"
        self.shared.mkdir()
        self.nodes: dict[str, Node] = {}
        self._forwards: list[Forward] = []
        log = self.folder / "switch.log"
        arguments = ("switch", str(self.folder), f"{WIRES}.{SWITCH}", self.name)
        try:
            self.switch = Place(("--net",), *arguments, log=log)
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.down()

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    def up(self, managers: int = 1, workers: int = 2, *, heartbeat: float = 5) -> None:
        """Start nodes n1, n2, …, managers first, and make a Swarm of them; a node is down some heartbeats (in seconds) after its last."""
        self.nodes = {node.name: node for node in (Node(self, each + 1) for each in range(managers + workers))}
        first, *others = self.nodes.values()
        _together([node.on for node in self.nodes.values()])
        options = ("--dispatcher-heartbeat", f"{heartbeat}s", "--task-history-limit", "1")
        first.docker("swarm", "init", "--advertise-addr", first.address, *options)
        for position, node in enumerate(others, 1):  # one after the other: the quorum changes with each manager
            self._join(node, "manager" if position < managers else "worker")
        self.until(lambda: set(self.states().values()) == {"ready"}, "all nodes are ready")

    def add(self, *images: str) -> Node:
        """Start one more node, give it images and have it join as a worker; return it."""
        node = Node(self, len(self.nodes) + 1)
        self.nodes[node.name] = node
        node.on()
        self.load(*images, nodes=[node.name])
        self._join(node, "worker")
        return node

    def _join(self, node: Node, role: str) -> None:
        manager = self.manager
        token = manager.docker("swarm", "join-token", "--quiet", role).strip()
        node.docker("swarm", "join", "--token", token, "--advertise-addr", node.address, manager.address)

    def down(self) -> None:
        """End everything and remove what it left."""
        for forward in self._forwards:
            forward.close()
        _together([node.off for node in self.nodes.values() if node.is_on])
        self.switch.close(LONG)

    @property
    def manager(self) -> Node:
        """Return a manager whose engine answers. Raises RuntimeError when there is none."""
        for node in self.nodes.values():
            with contextlib.suppress(RuntimeError):
                if node.is_on and node.docker("info", "--format", "{{.Swarm.ControlAvailable}}").strip() == "true":
                    return node
        raise RuntimeError("no manager answers")

    def states(self) -> dict[str, str]:
        """Return what the Swarm thinks of each node: "ready", "down", …, by its name."""
        listed = self.manager.docker("node", "ls", "--format", "{{.Hostname}} {{.Status}}")
        return {name: state.lower() for name, _, state in (line.partition(" ") for line in listed.splitlines())}

    def drain(self, name: str) -> None:
        """Have the Swarm take all services from a node."""
        self.manager.docker("node", "update", "--availability", "drain", name)

    def activate(self, name: str) -> None:
        """Let a node have services again."""
        self.manager.docker("node", "update", "--availability", "active", name)

    def move(self, service: str, name: str) -> None:
        """Have a service of the Swarm run on a certain node; returns when it does."""
        self._constrain(service, f"node.hostname=={name}")

    def keep_off(self, service: str, name: str) -> None:
        """Have a service run on any manager but a certain one; returns when it does."""
        self._constrain(service, "node.role==manager", f"node.hostname!={name}")

    def _constrain(self, service: str, *constraints: str) -> None:
        """Have a service run where constraints say, and no others about roles and names of nodes."""
        kept = "{{range .Spec.TaskTemplate.Placement.Constraints}}{{println .}}{{end}}"
        found = self.manager.docker("service", "inspect", "--format", kept, service).splitlines()
        earlier = [each for each in found if each.startswith(("node.hostname", "node.role"))]
        options = [word for each in earlier for word in ("--constraint-rm", each)]
        options += [word for each in constraints for word in ("--constraint-add", each)]
        options += ["--update-monitor", "1s"]  # docker waits for that, too
        self.manager.docker("service", "update", "--quiet", "--detach=false", *options, service)

    def load(self, *images: str, nodes: Sequence[str] = ()) -> None:
        """Give nodes, or all, images of this machine's engine."""
        archive = self.folder / "images.tar"
        _run("docker", "save", "--output", str(archive), *images)
        chosen = [self.nodes[name] for name in nodes] or [*self.nodes.values()]
        _together([partial(node.docker, "load", "--quiet", "--input", str(archive)) for node in chosen])
        archive.unlink()

    def forward(self, name: str, port: int) -> Forward:
        """Return what listens on this machine's loopback and leads to a port of a node, over the switch."""
        forward = Forward(self.switch.network, (self.nodes[name].address, port))
        self._forwards.append(forward)
        return forward

    def until(self, holds: Callable[[], bool], what: str, seconds: float = SECONDS) -> None:
        """Return when something holds that nobody tells of. Raises AssertionError when it takes longer."""
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                raise AssertionError(f"never came true: {what}")
            time.sleep(0.1)


def _together(calls: Sequence[Callable[[], object]]) -> None:
    with ThreadPoolExecutor(max(1, len(calls))) as pool:
        for result in [pool.submit(call) for call in calls]:
            result.result()


def _children(process: int) -> Iterator[str]:
    with contextlib.suppress(OSError):
        yield from Path(f"/proc/{process}/task/{process}/children").read_text().split()


def _run(*argv: str, stdin: bytes = b"", environment: Mapping[str, str] | None = None) -> str:
    own = {**os.environ, "PATH": PATH, **(environment or {})}
    done = subprocess.run(argv, input=stdin, check=False, capture_output=True, timeout=LONG, env=own)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout.decode()


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-3000:] if log.exists() else ""
