"""The laboratory of engines: nodes are apart from each other and from this machine, break as told, and go without a trace."""

import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flowbuild.testing.forward import enter
from flowbuild.testing.lab import Lab, missing

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.xdist_group("lab")]
IMAGE = "flow-demo/busybox"
PORT = 4000


@pytest.fixture(scope="module")
def lab():
    with Lab() as lab:
        lab.up(managers=1, workers=1, heartbeat=1)
        lab.load(IMAGE)
        yield lab


def in_network(place, function):
    """Return what a function returns in the network of a node; its sockets stay there."""

    def there():
        enter(place.network)
        return function()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(there).result()


def udp():
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    made.bind(("", PORT))
    made.settimeout(0.5)
    return made


def hears(receiver, sender):
    """Whether what a node says to all reaches another one."""
    with in_network(receiver.place, udp) as ear, in_network(sender.place, udp) as mouth:
        with contextlib.suppress(OSError):  # the cable is out
            mouth.sendto(b"hello", ("192.168.77.255", PORT))
        try:
            return ear.recv(100) == b"hello"
        except TimeoutError:
            return False


def left(folder):
    groups = [Path("/sys/fs/cgroup") / folder.name, *Path("/sys/fs/cgroup").glob(f"*/{folder.name}")]
    processes = [each for each in Path("/proc").glob("[0-9]*/cmdline") if str(folder).encode() in _read(each)]
    mounts = [line for line in Path("/proc/mounts").read_text().splitlines() if str(folder) in line]
    return [*(each for each in [folder, *groups] if each.exists()), *processes, *mounts]


def _read(path):
    with contextlib.suppress(OSError):
        return path.read_bytes()
    return b""


def test_nodes_have_an_engine_each_and_this_machine_another(lab):
    lab["n2"].docker("run", "--detach", "--name", "lonely", IMAGE, "sleep", "1000")
    names = ["ps", "--all", "--format", "{{.Names}}"]
    assert lab["n2"].docker(*names).split() == ["lonely"]
    assert lab["n1"].docker(*names).split() == []
    assert "lonely" not in subprocess.run(["docker", *names], check=True, capture_output=True, text=True).stdout
    assert [node.docker("info", "--format", "{{.Name}}").strip() for node in lab.nodes.values()] == ["n1", "n2"]
    lab["n2"].docker("rm", "--force", "lonely")


def test_a_node_without_power_has_only_its_disk(lab):
    lab["n2"].docker("run", "--detach", "--name", "worker", "--volume", "kept:/kept", IMAGE, "sleep", "1000")
    lab["n2"].docker("exec", "worker", "touch", "/kept/file")
    lab["n2"].off()
    with pytest.raises(RuntimeError, match="Cannot connect"):
        lab["n2"].docker("version")
    lab.until(lambda: lab.states()["n2"] == "down", "the Swarm misses the node")
    lab["n2"].on()
    lab.until(lambda: lab.states()["n2"] == "ready", "the Swarm has the node again")
    assert lab["n2"].docker("ps", "--all", "--format", "{{.Status}}").startswith("Exited")
    assert lab["n2"].docker("run", "--rm", "--volume", "kept:/kept", IMAGE, "ls", "/kept") == "file\n"
    lab["n2"].docker("rm", "worker")


def test_containers_outlive_their_engine_until_it_is_back(lab):
    lab["n2"].docker("run", "--detach", "--name", "orphan", "--stop-signal", "KILL", IMAGE, "sleep", "1000")
    process = lab["n2"].docker("inspect", "--format", "{{.State.Pid}}", "orphan").strip()
    lab["n2"].kill_engine()
    lab["n2"].place.run("nsenter", f"--target={lab['n2'].place.process}", "--pid", "--mount", "kill", "-0", process)
    with pytest.raises(RuntimeError, match="Cannot connect"):
        lab["n2"].docker("version")
    lab["n2"].start_engine()
    assert "orphan" in lab["n2"].docker("ps", "--all")
    lab["n2"].docker("rm", "--force", "orphan")


@pytest.mark.parametrize(
    ("fault", "hears_others", "is_heard"), [("cut", False, False), ("deafen", False, True), ("mute", True, False)]
)
def test_a_network_breaks_both_ways_or_one(lab, fault, hears_others, is_heard):
    one, other = lab["n1"], lab["n2"]
    assert hears(one, other)
    assert hears(other, one)
    getattr(other, fault)()
    assert (hears(other, one), hears(one, other)) == (hears_others, is_heard)
    other.heal()
    assert hears(one, other)
    assert hears(other, one)


def test_services_move_and_nodes_are_drained(lab):
    lab.until(lambda: set(lab.states().values()) == {"ready"}, "all nodes are ready")
    quick = ("--stop-grace-period", "0s", "--update-monitor", "100ms")
    lab["n1"].docker("service", "create", "--quiet", "--name", "moved", *quick, IMAGE, "sleep", "1000")

    def where():
        placed = [
            "service",
            "ps",
            "--filter",
            "desired-state=running",
            "--format",
            "{{.Node}} {{.CurrentState}}",
            "moved",
        ]
        return [line.split()[:2] for line in lab["n1"].docker(*placed).splitlines()]

    for name in ("n1", "n2"):
        lab.move("moved", name)
        assert where() == [[name, "Running"]]
    lab.drain("n2")
    lab.until(lambda: ["n2", "Running"] not in where(), "the drained node has no service")
    lab.activate("n2")
    lab.until(lambda: where() == [["n2", "Running"]], "the node has its service again")
    lab["n1"].docker("service", "rm", "moved")


def test_a_port_of_a_node_can_be_reached(lab):
    with in_network(lab["n2"].place, lambda: socket.create_server(("", PORT))) as listening:

        def answer():
            there, _ = listening.accept()
            with there:
                there.sendall(b"you said " + there.makefile("rb").read())

        answering = threading.Thread(target=answer)
        answering.start()
        with socket.create_connection(("127.0.0.1", lab.forward("n2", PORT).port), 10) as here:
            here.sendall(b"hello")
            here.shutdown(socket.SHUT_WR)
            assert here.makefile("rb").read() == b"you said hello"
        answering.join()


MAKER = """
import signal
from flowbuild.testing.lab import Lab
lab = Lab()
lab.up(managers=1, workers=0)
print(lab.folder, flush=True)
{end}
"""


@pytest.mark.parametrize("end", ["signal.pause()", "lab.down()"])
def test_nothing_is_left_also_when_the_test_is_killed(lab, end):
    code = MAKER.format(end=end)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as maker:
        folder = Path(maker.stdout.readline().strip())
        if end == "lab.down()":
            assert maker.wait(60) == 0
            assert left(folder) == []
        else:
            assert left(folder) != []
            maker.send_signal(signal.SIGKILL)
            lab.until(lambda: left(folder) == [], "the laboratory is gone")
    assert json.loads(lab["n1"].docker("info", "--format", "{{json .Swarm.Nodes}}")) == 2, (
        "the other laboratory is as it was"
    )


def test_it_says_what_it_needs(monkeypatch):
    assert missing() == []
    monkeypatch.setattr("flowbuild.testing.lab.PROGRAMS", ("ip", "no-such-program"))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(RuntimeError, match="needs the program no-such-program, the rights of root"):
        Lab()
