"""The stack on a real Swarm: three engines, each as on a machine of its own, server and runners out of the built image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flowbuild.testing.cluster import MINUTES, STACK, Cluster, deployed
from flowbuild.testing.program import make_repository

# What the background service of the run answers; the names on networks are those that Docker's own server knows.
ASK = (
    "address=$$(nslookup -type=a db.db 127.0.0.11 | sed -n '/^Name/,$$s/^Address: //p' | head -n 1);"
    " printf 'GET /who HTTP/1.0\\\\r\\\\n\\\\r\\\\n' | nc -w 5 $$address 80 | tail -n 1"
)
PIPELINES = """
x-box: &box {image: flow-demo/busybox}
pipelines:
  fan:
    steps:
      make:
        compose: {services: {make: {<<: *box, command: [sh, -c, "mkdir parts; echo made > parts/base; head -c 3000000 /dev/urandom > large"]}}}
        success: [left, right, built]
      left:
        compose: {services: {left: {<<: *box, volumes: ["./parts:/parts"], command: [sh, -c, "cat /parts/base; echo left > /parts/left"]}}}
        success: [both]
      right:
        compose: {services: {right: {<<: *box, volumes: [".:/code"], command: [sh, -c, "wc -c < /code/large; echo right > right"]}}}
        success: [both]
      built:
        compose: {services: {built: {build: ., command: [cat, /seen]}}}
        success: [both]
      both:
        compose: {services: {both: {<<: *box, command: [sh, -c, "cat parts/base parts/left right; test -d .git"]}}}
  across:
    steps:
      db:
        background: true
        compose:
          services:
            db:
              <<: *box
              command: [sh, -c, "echo $$FLOW_RUN_ID >who; exec httpd -f -p 80 -h /workspace"]
              healthcheck: {test: [CMD, test, -e, /workspace/who], interval: 200ms}
              deploy: &here {placement: {constraints: [node.hostname == n2]}}
        success: [left, right]
      left:
        compose: {services: {ask: {<<: *box, command: [sh, -c, "ASK > left"], deploy: *here}}}
        success: [both]
      right:
        compose: {services: {ask: {<<: *box, command: [sh, -c, "ASK > right"], deploy: {placement: {constraints: [node.hostname == n3]}}}}}
        success: [both]
      both:
        compose: {services: {both: {<<: *box, command: [cat, left, right]}}}
  slow:
    steps:
      wait:
        compose: {services: {wait: {<<: *box, init: true, command: [sh, -c, "echo working; until [ -e /tmp/go ]; do sleep 0.1; done; echo over > result; exit 7"]}}}
        fail: [after]
      after:
        compose: {services: {after: {<<: *box, command: [echo, went on]}}}
"""

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.xdist_group("cluster"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Machines n1 (a manager), n2 and n3, of which n3 came when the stack was there; with a project "shop"."""
    top = tmp_path_factory.mktemp("cluster")
    source = top / "source"
    source.mkdir()
    (source / ".flow.yml").write_text(PIPELINES.replace("ASK", ASK))
    (source / "Dockerfile").write_text("FROM flow-demo/busybox\nCOPY parts/base /seen\n")
    with deployed(top, workers=1) as cluster:
        assert cluster.add() == "n3"
        repository = make_repository(source, cluster.shared / "shop", message="Cluster", tag="v1")
        cluster.flow("projects", "add", "shop", str(repository))
        yield cluster


def working_directories(cluster: Cluster, node: str) -> list[str]:
    (volume,) = cluster.lab[node].docker("volume", "ls", "--quiet", "--filter", f"name={STACK}_runner").split()
    place = Path(cluster.lab[node].docker("volume", "inspect", "--format", "{{.Mountpoint}}", volume).strip())
    return [path.name for path in (place / "runner/work").iterdir() if path.name != ".trash"]


def working_step(cluster: Cluster) -> tuple[str, str, str]:
    """Return a run whose first step works, the node that has it, and its container there."""
    run = cluster.start("shop", "slow")
    cluster.lab.until(lambda: "working" in cluster.flow("logs", run, "wait"), "the step works")
    (node,) = (each for each in ("n2", "n3") if cluster.containers(each, f"label=flow.run={run}", "status=running"))
    (container,) = cluster.containers(node, f"label=flow.run={run}", "label=flow.step=wait", "status=running")
    return run, node, container


def went_on(cluster: Cluster, run: str) -> bool:
    """Whether the run ended as it would have with nothing happening to it: with one attempt of each step."""
    wait, after = cluster.ended(run)["steps"]
    assert [(each["outcome"], each["exit_code"], each["epoch"]) for each in wait["attempts"]] == [("failed", 7, 1)]
    assert [each["outcome"] for each in after["attempts"]] == ["succeeded"]
    return "went on" in cluster.flow("logs", run, "after")


def test_every_worker_has_a_runner_that_joined_by_itself(cluster):
    runners = cluster.runners()
    info = ("info", "--format", "{{.Swarm.NodeID}}")
    nodes = {name: cluster.lab[name].docker(*info).strip() for name in ("n2", "n3")}
    assert {name: each["facts"]["node"] for name, each in runners.items()} == nodes
    assert {each["facts"]["role"] for each in runners.values()} == {"worker"}
    assert [len(cluster.tasks("runner", node)) for node in ("n1", "n2", "n3")] == [0, 1, 1]


def test_a_run_goes_through_and_leaves_nothing(cluster):
    run = cluster.start("shop", "fan")
    view = cluster.ended(run)
    assert view["state"] == "succeeded", cluster.flow("logs", run)
    assert {step["attempts"][0]["node"] for step in view["steps"]} <= {"n2", "n3"}
    assert cluster.flow("logs", run, "right").split()[-1] == "3000000"
    assert cluster.flow("logs", run, "built").split()[-1] == "made"
    assert cluster.flow("logs", run, "both").split()[-3:] == ["made", "left", "right"]
    networks = ("network", "ls", "--quiet", "--filter", "label=flow.run")
    for name in ("n2", "n3"):

        def left(name: str = name) -> list[str]:
            here = [*cluster.containers(name, "label=flow.run"), *cluster.lab[name].docker(*networks).split()]
            return here + working_directories(cluster, name)

        cluster.lab.until(lambda left=left: left() == [], f"nothing is left on {name}")


def test_runs_over_two_machines_have_a_workspace_and_a_network_each(cluster):
    """Two at the same time, with services of the same name: each hears its own, on both machines, and nothing is left."""
    for run in [cluster.start("shop", "across") for _ in range(2)]:
        view = cluster.ended(run)
        assert view["state"] == "succeeded", cluster.flow("logs", run)
        where = {step["key"]: step["attempts"][0]["node"] for step in view["steps"]}
        assert (where["db"], where["left"], where["right"]) == ("n2", "n2", "n3")
        assert cluster.flow("logs", run, "both").split()[-2:] == [view["id"], view["id"]]
    overlays = ("network", "ls", "--quiet", "--filter", "label=flow.run")
    cluster.lab.until(lambda: cluster.lab["n1"].docker(*overlays).split() == [], "no network is left")


def test_a_step_goes_on_while_its_runner_is_replaced(cluster):
    run, node, step = working_step(cluster)
    (before,) = cluster.tasks("runner", node)
    cluster.lab[node].docker("kill", before)
    cluster.lab.until(lambda: cluster.tasks("runner", node) not in ([], [before]), "Swarm starts another runner")
    cluster.lab[node].docker("exec", step, "touch", "/tmp/go")
    assert went_on(cluster, run)


def test_steps_go_on_while_everything_is_replaced(cluster):
    run, node, step = working_step(cluster)
    before = [*cluster.tasks("server", "n1"), *cluster.tasks("runner", "n2"), *cluster.tasks("runner", "n3")]
    cluster.deploy(FLOW_LOG_LEVEL="debug")

    def replaced() -> bool:
        now = [*cluster.tasks("server", "n1"), *cluster.tasks("runner", "n2"), *cluster.tasks("runner", "n3")]
        return len(now) == len(before) and not {*now} & {*before}

    cluster.lab.until(replaced, "server and runners are others", MINUTES)
    cluster.lab.until(cluster.is_ready, "the server is ready", MINUTES)
    cluster.lab[node].docker("exec", step, "touch", "/tmp/go")
    assert went_on(cluster, run)


def test_steps_go_on_while_there_is_no_database(cluster):
    run, node, step = working_step(cluster)
    (before,) = cluster.tasks("postgres", "n1")
    cluster.lab["n1"].docker("kill", before)
    cluster.lab[node].docker("exec", step, "touch", "/tmp/go")
    cluster.lab.until(lambda: cluster.tasks("postgres", "n1") not in ([], [before]), "Swarm starts another PostgreSQL")
    cluster.lab.until(cluster.is_ready, "the server is ready", MINUTES)
    assert went_on(cluster, run)


def test_steps_go_on_while_the_server_moves_to_another_manager(cluster):
    cluster.lab["n1"].docker("node", "promote", "n2")
    cluster.lab.until(lambda: cluster.tasks("runner", "n2") == [], "a manager has no runner", MINUTES)
    run, node, step = working_step(cluster)
    assert node == "n3"
    cluster.lab.move(f"{STACK}_server", "n2")
    cluster.reach("n2")
    cluster.lab.until(cluster.is_ready, "the server is ready", MINUTES)
    assert [len(cluster.tasks("server", name)) for name in ("n1", "n2")] == [0, 1]
    cluster.lab[node].docker("exec", step, "touch", "/tmp/go")
    assert went_on(cluster, run)
    cluster.lab.move(f"{STACK}_server", "n1")
    cluster.reach("n1")
    cluster.lab.until(cluster.is_ready, "the server is ready", MINUTES)
    cluster.lab["n1"].docker("node", "demote", "n2")
    cluster.lab.until(lambda: {*cluster.runners()} == {"n2", "n3"}, "a worker has a runner", MINUTES)


def test_a_backup_is_made_in_the_container_of_the_server(cluster):
    (server,) = cluster.tasks("server", "n1")
    said = cluster.lab["n1"].docker("exec", server, "flow", "server", "backup", f"{cluster.shared}/backup")
    assert said.startswith("backup of")
    assert any((cluster.shared / "backup").iterdir())
