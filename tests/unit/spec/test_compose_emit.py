"""The file that the engine gets: what is forced, what is added, what a variable may not do; and names on real networks."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest

from flowbuild.engine import base
from flowbuild.spec import compose
from flowbuild.spec.compose.emit import SERVICE_LABEL
from flowbuild.spec.findings import InvalidFile
from flowbuild.testing.images import ensure_busybox

CONTEXT = compose.EmitContext(
    project="P-1",
    step="build",
    labels={"flow.run": "r"},
    network="run-net",
    workspace="/srv/w",
    variables_dir="/srv/v",
    files="/srv/f",
    mounts=(compose.Mount("/srv/git", "/git"),),
    main_environment={"A": "variable", "FLOW_STEP": "liar", "SECRET": "$x"},
    flow_environment={"FLOW_STEP": "build"},
    trusted=True,
)
EVERYTHING = """
services:
  app:
    image: app:${TAG:-1}
    command: run ${ARGS}
    environment: {A: own, FLOW_STEP: mine, PASSED: , MISSING: }
    hostname: box
    depends_on: {db: {condition: service_healthy}}
    links: ["db:store"]
    volumes: [".:/workspace", "./src:/src:ro", "data:/data", /anon]
    configs: [inline, {source: file, target: /etc/file}]
    secrets: [key]
    cap_drop: [CHOWN, MKNOD]
    restart: always
    stop_grace_period: 5m
    gpus: all
    ports: ["${PORT:-80}:80"]
  db: {image: db, networks: [inner], deploy: {resources: {limits: {memory: 1g, pids: 99}}}, labels: {a: $$b}}
  side: {image: db, network_mode: "service:app", pids_limit: 10, working_dir: /x}
  alone: {image: "${OTHER:-db}", network_mode: none, stop_grace_period: 0}
  built: {build: {context: ./ctx, additional_contexts: {l: ./lib}, args: [V]}, image: mine}
  user: {image: mine}
networks: {inner: {internal: true}}
volumes: {data: }
configs: {inline: {content: x}, file: {file: ./conf}}
secrets: {key: {file: ./key}}
"""


def model_of(text: str, *, trusted: bool = True) -> dict:
    model, findings = compose.load(text=text.encode(), file="c.yml", read={}.get, trusted=trusted)
    assert model is not None, findings
    return model


def emitted(**changes: object) -> dict:
    return compose.emit(model_of(EVERYTHING), replace(CONTEXT, **changes))


def test_names_and_networks():
    file = emitted()
    assert file["name"] == "P-1"
    assert list(file["services"]) == [f"{name}.build" for name in ("app", "db", "side", "alone", "built", "user")]
    assert file["networks"] == {
        "flow.run": {"external": True, "name": "run-net"},
        "default": {"labels": {"flow.run": "r"}},
        "inner": {"internal": True, "labels": {"flow.run": "r"}},
    }
    app, db, side, alone = (file["services"][f"{name}.build"] for name in ("app", "db", "side", "alone"))
    assert app["networks"] == {"flow.run": {}, "default": {"aliases": ["app", "box"]}}
    assert db["networks"] == {"flow.run": {}, "inner": {"aliases": ["db", "store"]}}
    assert (app["hostname"], db["hostname"]) == ("box.build", "db.build")
    assert side["network_mode"] == "service:app.build"
    assert alone["network_mode"] == "none"
    assert "networks" not in side
    assert app["depends_on"] == {"db.build": {"condition": "service_healthy"}}
    assert app["labels"] == {"flow.run": "r", "flow.service": "app"}
    assert file["volumes"] == {"data": {"labels": {"flow.run": "r"}}}
    assert SERVICE_LABEL == base.SERVICE_LABEL


def test_one_service_is_on_the_network_of_the_run_only():
    file = compose.emit(model_of("services: {s: {image: i, networks: [n]}}\nnetworks: {n: }"), CONTEXT)
    assert file["services"]["s.build"]["networks"] == {"flow.run": {}}
    assert list(file["networks"]) == ["flow.run"]
    long = replace(CONTEXT, step="b" * 62)
    service = compose.emit(model_of("services: {s: {image: i}}"), long)["services"][f"s.{'b' * 62}"]
    assert "hostname" not in service
    assert service["extra_hosts"] == ["s=127.0.0.1"]


def test_a_network_across_machines_is_joined_later():
    file = emitted(across=True)
    services = {name.removesuffix(".build"): service for name, service in file["services"].items()}
    assert set(file["networks"]) == {"default", "inner"}
    assert services["app"]["networks"] == {"default": {"aliases": ["app", "box"]}}
    assert services["db"]["networks"] == {"inner": {"aliases": ["db", "store"]}}
    assert (services["side"]["network_mode"], services["alone"]["network_mode"]) == ("service:app.build", "none")
    joining = {name: f"{name}.build" for name in ("app", "db", "built", "user")}
    assert compose.joining(model_of(EVERYTHING), "build") == joining
    one = compose.emit(
        model_of("services: {s: {image: i, networks: [n]}}\nnetworks: {n: }"), replace(CONTEXT, across=True)
    )
    assert one["networks"] == {}
    assert (one["services"]["s.build"]["network_mode"], one["services"]["s.build"]["hostname"]) == ("none", "s.build")
    named = ("networks", "network_mode")  # nothing else is different
    for name, service in emitted()["services"].items():
        others = {key: value for key, value in file["services"][name].items() if key not in named}
        assert others == {key: value for key, value in service.items() if key not in named}


def test_environment():
    file = emitted(main=("app",), variables={"PASSED": "p$"})
    assert file["services"]["app.build"]["environment"] == {
        "A": "own",
        "FLOW_STEP": "build",
        "SECRET": "$x",
        "PASSED": "p$",
    }
    assert file["services"]["db.build"]["environment"] == {"FLOW_STEP": "build"}
    assert file["services"]["app.build"]["working_dir"] == "/workspace"
    assert "working_dir" not in file["services"]["db.build"]
    assert emitted()["services"]["side.build"]["working_dir"] == "/x"


def test_mounts():
    mounts = emitted()["services"]["app.build"]["volumes"]
    bind = {"type": "bind", "bind": {"create_host_path": False}}
    assert mounts == [
        {**bind, "source": "/srv/w", "target": "/workspace"},
        {**bind, "source": "/srv/v", "target": "/variables"},
        {**bind, "source": "/srv/git", "target": "/git", "read_only": True},
        {**bind, "source": "/srv/w/src", "target": "/src", "read_only": True},
        {"type": "volume", "source": "data", "target": "/data"},
        {"type": "volume", "target": "/anon"},
        {**bind, "source": "/srv/f/inline", "target": "/inline", "read_only": True},
        {**bind, "source": "/srv/w/conf", "target": "/etc/file", "read_only": True},
        {**bind, "source": "/srv/w/key", "target": "/run/secrets/key", "read_only": True},
    ]


def test_images():
    services = emitted(image_digests={"app:2": "sha256:abc"}, variables={"TAG": "2", "V": "3"})["services"]
    assert services["app.build"]["image"] == "sha256:abc"
    assert services["app.build"]["pull_policy"] == "never"
    assert services["db.build"]["image"] == "db"
    assert services["built.build"]["image"] == services["user.build"]["image"] == "flow-built/p-1:built"
    assert services["built.build"]["build"] == {
        "context": "/srv/w/ctx",
        "additional_contexts": {"l": "/srv/w/lib"},
        "args": {"V": "3"},
        "labels": {"flow.run": "r"},
    }


def test_what_is_always_forced():
    services = emitted()["services"]
    for service in services.values():
        assert service["init"] is True
        assert service["restart"] == "no"
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "logging" not in service, "the engine chooses how output is kept until the runner has read it"
        assert {"NET_RAW", "MKNOD", "AUDIT_WRITE"} <= set(service["cap_drop"])
    assert services["app.build"]["cap_drop"] == ["NET_RAW", "MKNOD", "AUDIT_WRITE", "CHOWN"]
    assert [service["pids_limit"] for service in services.values()] == [512, 99, 10, 512, 512, 512]
    assert [service["stop_grace_period"] for service in services.values()][:4] == ["30s", "10s", "10s", "0s"]
    assert services["db.build"]["mem_limit"] == 1 << 30
    assert services["app.build"]["deploy"]["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"]
    plain = compose.emit(model_of("services: {s: {image: i}}", trusted=False), replace(CONTEXT, trusted=False))
    assert plain["services"]["s.build"]["cap_drop"] == ["ALL"]


@pytest.mark.parametrize(
    ("service", "value"),
    [
        ("{image: '${X}'}", "flow-built/other:web"),
        ("{image: '${X}'}", "-v/:/x"),
        ("{image: i, ports: ['${X}']}", "80:80:80:80"),
        ("{image: i, pids_limit: '${X}'}", "-1"),
        ("{image: i, mem_limit: '${X}'}", "much"),
        ("{image: i, command: '${X}'}", "'open"),
        ("{image: i, stop_grace_period: '${X}'}", "1 year"),
        ("{build: {context: ., network: '${X}'}}", "host"),
        ("{build: {context: ., dockerfile_inline: '${X}'}}", "# syntax=evil/x"),
        ("{image: i, hostname: '${X}'}", "a b"),
        ("{image: i, deploy: {resources: {limits: {pids: '${X}'}}}}", "99999"),
        ("{image: i, environment: {A: '${X:?needed}'}}", ""),
    ],
)
def test_a_variable_cannot_bring_in_what_the_file_may_not_say(service: str, value: str):
    model = model_of(f"services: {{s: {service}}}")
    with pytest.raises(InvalidFile) as caught:
        compose.emit(model, replace(CONTEXT, variables={"X": value}))
    assert all(finding.code.startswith("compose_") for finding in caught.value.findings)


def test_a_variable_is_text_and_nothing_else():
    """Neither its dollar signs nor its expressions are read again, by us or by compose."""
    model = model_of("services: {s: {image: i, command: [echo, $X], environment: {A: '${X:-}'}}}")
    value = "$HOME ${PATH} $$ ${{ secrets.x }} 'q"
    service = compose.emit(model, replace(CONTEXT, variables={"X": value}))["services"]["s.build"]
    assert service["command"][1] == service["environment"]["A"] == value


def test_a_trusted_model_is_not_emitted_for_an_untrusted_run():
    model = model_of("services: {s: {image: i, dns: [1.1.1.1]}, t: {build: .}}")
    with pytest.raises(InvalidFile) as caught:
        compose.emit(model, replace(CONTEXT, trusted=False))
    assert [finding.code for finding in caught.value.findings] == [
        "compose_untrusted",
        "compose_untrusted",
        "compose_value",
    ]


@pytest.fixture(name="network")
def _network() -> Iterator[str]:
    name = f"flow-test-compose-{uuid.uuid4().hex[:12]}"
    docker("network", "create", "--label", "flow-test=compose", name)
    yield name
    for container in docker("ps", "-aq", "--filter", f"network={name}").split():
        docker("rm", "-f", "-v", container)
    docker("network", "rm", name)


def docker(*words: str, stdin: str = "") -> str:
    done = subprocess.run(["docker", *words], input=stdin, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.docker
def test_names_of_services_on_real_networks(network: str, tmp_path):
    """Two parallel steps with a `db` each, and a step of one service: every plain name is the step's own."""
    image = ensure_busybox()
    service = f'{{image: "{image}", command: sleep 600, stop_grace_period: 0}}'
    pair = model_of(f"services: {{app: {service}, db: {service}}}")
    single = model_of(f"services: {{db: {service}}}")
    projects = {}
    try:
        for step, model in (("a", pair), ("b", pair), ("c", single)):
            project = projects[step] = f"{network}-{step}"
            place = {"workspace": str(tmp_path), "variables_dir": str(tmp_path)}
            context = replace(CONTEXT, project=project, step=step, network=network, mounts=(), **place)
            docker("compose", "-f", "-", "up", "-d", stdin=json.dumps(compose.emit(model, context)))
        address = {}
        for step, project in projects.items():
            found = json.loads(docker("inspect", f"{project}-db.{step}-1"))[0]["NetworkSettings"]["Networks"]
            address[step] = {network["IPAddress"] for network in found.values()}
        for step, project in projects.items():
            asker = f"{project}-{'db' if step == 'c' else 'app'}.{step}-1"
            for _again in range(4):  # a shared name is answered in turn
                assert resolve(asker, "db") in address[step]
                assert all(resolve(asker, f"db.{other}") in address[other] for other in projects)
    finally:
        for step, project in projects.items():
            containers = docker("ps", "-aq", "--filter", f"label=com.docker.compose.project={project}").split()
            docker("rm", "-f", "-v", *containers)
            if step != "c":
                docker("network", "rm", f"{project}_default")


def resolve(container: str, name: str) -> str:
    """Return the address that a program in the container connects to."""
    command = ["docker", "exec", container, "ping", "-c", "1", "-W", "2", name]
    # it names the address, then fails: the right to send raw packets is dropped
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
    return shown.partition("(")[2].partition(")")[0]
