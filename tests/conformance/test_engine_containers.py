"""A container made by one call of the Engine API is the one that compose makes of the same file."""

import json
import re
import secrets
from collections.abc import Iterable
from pathlib import Path

import pytest

from flowbuild.engine import compose as engine_module
from flowbuild.engine.base import Labels, UnitSpec
from flowbuild.engine.compose import ComposeEngine
from flowbuild.engine.container import container_body
from flowbuild.spec import compose
from flowbuild.testing.engine_suite import Names, quiet
from flowbuild.testing.images import BUSYBOX, ensure_busybox

pytestmark = pytest.mark.docker

CORPUS = Path(__file__).parents[1] / "unit/spec/test_compose_ordinary"
VARIABLES = {"DB_PASSWORD": "s3cr$t", "NAME": "n", "BUILD": "7", "PGPASSWORD": "x y", "AIRFLOW_UID": "1"}

# One key after another, and values that are easily got wrong. Written as a user writes them.
SERVICES = {
    "least": {},
    "command": {"command": 'sh -c "echo $$HOME | cat"'},
    "words": {"command": ["sh", "-c", "echo '$$A' ${NAME}", ""]},
    "entrypoint": {"entrypoint": ["sh", "-c"], "command": "true"},
    "entrypoint only": {"entrypoint": "sh -c true"},
    "environment": {"environment": {"A": "$$x ${NAME}", "B": "", "C": "é\n\"'", "PATH": "/x", "FLOW_STEP": "mine"}},
    "environment list": {"environment": ["NAME", "EMPTY=", "MISSING"]},
    "labels": {"labels": {"org.example.a": "1", "org.example.b": ""}},
    "terminal": {"tty": True, "stdin_open": True},
    "no terminal": {"tty": False, "stdin_open": False},
    "user": {"user": "1000:1000", "working_dir": "/tmp/x"},
    "number of a user": {"user": 1000},
    "limits": {"mem_limit": "64m", "cpus": 0.5, "pids_limit": 100},
    "amounts": {"deploy": {"resources": {"limits": {"cpus": "1.25", "memory": "100M", "pids": 7}}}},
    "reserved": {"deploy": {"resources": {"reservations": {"memory": "20M"}}}},
    "tenths": {"cpus": 0.1},
    "read only": {"read_only": True},
    "stop": {"stop_signal": "SIGINT", "stop_grace_period": "1m"},
    "short grace": {"stop_grace_period": "3s"},
    "capabilities": {"cap_drop": ["ALL", "NET_RAW"]},
    "host name": {"hostname": "builder"},
    "no network": {"network_mode": "none"},
    "its own networks": {"networks": {"back": {"aliases": ["other"]}}},
    "binds": {"volumes": [".:/code", "./src:/src:ro", {"type": "bind", "source": ".", "target": "/workspace"}]},
    "no restart": {"restart": "no"},
}
# What compose has to do: more than the table above translates.
ELSEWHERE = {
    "volume": {"volumes": ["data:/data"]},
    "anonymous volume": {"volumes": ["/data"]},
    "tmpfs": {"tmpfs": ["/tmp/x"]},
    "ports": {"ports": ["80"]},
    "healthcheck": {"healthcheck": {"test": "true"}},
    "part of a second": {"stop_grace_period": "1500ms"},
    "ulimits": {"ulimits": {"nofile": 100}},
    "build": {"build": "."},
    "no command": {"command": []},
    "extra hosts": {"extra_hosts": ["a:10.0.0.1"]},
    "swap": {"mem_limit": "64m", "memswap_limit": "64m"},
}


@pytest.fixture
def names():
    return Names(f"flowcont{secrets.token_hex(4)}")


@pytest.fixture
async def engine(names):
    ensure_busybox()
    async with ComposeEngine() as engine:
        await engine.network(f"{names.instance}-net", Labels(names.instance, "r1"))
        yield engine
        await engine.sweep(names.instance)


def specification(names: Names, step: str, model: dict, workspace: Path) -> UnitSpec:
    """Return what the product makes of a model: this goes to the engine, whoever creates the container."""
    labels = Labels(names.instance, "r1", step, 1, 1)
    references = compose.images(model, VARIABLES)
    context = compose.EmitContext(
        project=f"{names.instance}-{step}",
        step=step,
        labels=labels.as_dict(),
        network=f"{names.instance}-net",
        workspace=str(workspace),
        variables_dir=str(workspace),
        files=str(workspace),
        main=compose.main_services(model),
        mounts=(compose.Mount(str(workspace), "/.flow/source/0"),),
        variables=VARIABLES,
        main_environment={"TOKEN": "a$b${c}$$d", "COLOUR": "red"},
        flow_environment={"FLOW_STEP": step},
        image_digests=dict.fromkeys(references, BUSYBOX),
        trusted=True,
    )
    return UnitSpec(context.project, labels, compose.emit(model, context), compose.main_services(model))


def load(services: dict, **top: object) -> dict:
    text = json.dumps({"services": services, **top}).encode()
    model, findings = compose.load(text=text, file="compose.yml", read=lambda _path: b"", trusted=True)
    assert model is not None, findings
    return model


def alone(definition: dict) -> dict:
    return load({"s": {"image": BUSYBOX, **definition}}, volumes={"data": {}}, networks={"back": {}})


def ordinary_services() -> list[dict]:
    """Return services of the ordinary files as models of their own: one for each set of keys, the others are alike."""
    found = {}
    for path in sorted(CORPUS.glob("*.yml")):
        for document in re.split(r"^---$\n", path.read_text(), flags=re.MULTILINE):
            model, _ = compose.load(
                text=document.encode(), file="compose.yml", read=lambda _path: b"A=b\n", trusted=True
            )
            for name, service in (model or {"services": {}})["services"].items():
                if not str(service.get("network_mode", "")).startswith("service:"):
                    kept = {key: value for key, value in service.items() if key != "depends_on"}
                    found.setdefault(frozenset(kept), {**model, "services": {name: kept}})
    return list(found.values())


async def made(engine: ComposeEngine, spec: UnitSpec) -> dict:
    """Create a unit, return what the engine says about its container, and remove it."""
    unit = await engine.create(spec, quiet)
    [container] = unit.containers.values()
    inspection = await engine._api.inspect(container)
    names = {network["Id"]: network["Name"] for network in await engine._api.call("GET", "networks")}
    [image] = unit.images.values()
    assert image == inspection["Image"]
    await engine.remove(unit)
    assert await engine._api.inspect(container) is None
    return comparable(inspection, names)


def comparable(inspection: dict, networks: dict[str, str]) -> dict:
    """Leave out what no two containers share, and what compose says about itself."""
    short = inspection["Id"][:12]
    for key in ("Id", "Created", "ResolvConfPath", "HostnamePath", "HostsPath", "GraphDriver"):
        inspection.pop(key, None)
    config, host = inspection["Config"], inspection["HostConfig"]
    for label in ("config-hash", "version", "project.environment_file"):
        config["Labels"].pop(f"com.docker.compose.{label}", None)
    config["Env"] = sorted(config["Env"])
    host["Mounts"] = sorted(host["Mounts"], key=lambda mount: mount["Target"])  # compose keeps no order
    inspection["Mounts"] = sorted(inspection["Mounts"], key=lambda mount: mount["Destination"])
    if config["Hostname"] == short:
        config["Hostname"] = "of the container"
    host["NetworkMode"] = networks.get(host["NetworkMode"], host["NetworkMode"])  # compose says its id
    for network in inspection["NetworkSettings"]["Networks"].values():
        network["Aliases"] = [alias.replace(short, "id") for alias in network["Aliases"] or ()]
    return without_nothing(inspection)


def without_nothing(value: object) -> object:
    """Make no difference between null, empty and absent: the engine does not, either."""
    if isinstance(value, dict):
        filled = {key: without_nothing(item) for key, item in value.items()}
        return {key: item for key, item in filled.items() if item not in (None, [], {}, "", 0, False)}
    return [without_nothing(item) for item in value] if isinstance(value, list) else value


async def both(engine: ComposeEngine, spec: UnitSpec, monkeypatch) -> tuple[dict, dict]:
    assert container_body(spec) is not None
    ours = await made(engine, spec)
    with monkeypatch.context() as patch:
        patch.setattr(engine_module, "container_body", lambda _spec: None)
        return ours, await made(engine, spec)


@pytest.mark.parametrize("title", sorted(SERVICES))
async def test_same_container_as_by_compose(engine, names, tmp_path, monkeypatch, title):
    (tmp_path / "src").mkdir()
    ours, theirs = await both(engine, specification(names, "step", alone(SERVICES[title]), tmp_path), monkeypatch)
    assert ours == theirs


@pytest.mark.parametrize("title", sorted(ELSEWHERE))
def test_what_compose_has_to_do(names, tmp_path, title):
    assert container_body(specification(names, "step", alone(ELSEWHERE[title]), tmp_path)) is None


def make_sources(bodies: Iterable[dict]) -> None:
    for body in bodies:
        for mount in body["HostConfig"]["Mounts"]:
            Path(mount["Source"]).mkdir(parents=True, exist_ok=True)


async def test_services_of_ordinary_files_are_the_same(engine, names, tmp_path, monkeypatch):
    specs = [specification(names, f"s{n}", model, tmp_path) for n, model in enumerate(ordinary_services())]
    bodies = {spec.project: container_body(spec) for spec in specs}
    alike = [spec for spec in specs if bodies[spec.project] is not None]
    assert len(alike) >= 20
    make_sources(bodies[spec.project] for spec in alike)
    for spec in alike:
        ours, theirs = await both(engine, spec, monkeypatch)
        assert ours == theirs, spec.compose


async def test_a_difference_is_seen(engine, names, tmp_path, monkeypatch):
    """The comparison is no better than what it looks at: each of these changes shows."""
    spec = specification(names, "step", alone({}), tmp_path)
    _, theirs = await both(engine, spec, monkeypatch)
    changes = [
        lambda body: body.update(Env=[*body["Env"], "A=b"]),
        lambda body: body.update(StopTimeout=9),
        lambda body: body["Labels"].pop("com.docker.compose.oneoff"),
        lambda body: body["HostConfig"].update(PidsLimit=511),
        lambda body: body["HostConfig"]["Mounts"].pop(),
        lambda body: body["HostConfig"].pop("Init"),
        lambda body: next(iter(body["NetworkingConfig"]["EndpointsConfig"].values()))["Aliases"].pop(),
    ]
    for change in changes:
        body = container_body(spec)
        change(body)
        with monkeypatch.context() as patch:
            patch.setattr(engine_module, "container_body", lambda _spec, body=body: body)
            assert await made(engine, spec) != theirs


async def test_compose_sees_it(engine, names, tmp_path):
    """`docker compose ls` and `ps` show a container that compose did not make."""
    spec = specification(names, "step", alone({}), tmp_path)
    assert container_body(spec) is not None
    await engine.create(spec, quiet)
    listed = await compose_says(engine, "ls", "--all", "--format", "json")
    assert spec.project in {project["Name"] for project in json.loads(listed)}
    shown = await compose_says(engine, "-p", spec.project, "ps", "--all", "--format", "{{.Service}} {{.State}}")
    assert shown.split() == ["s.step", "created"]


async def compose_says(engine: ComposeEngine, *arguments: str) -> str:
    done = await engine_module.process.run([*engine._compose, *arguments], env=engine._env, seconds=60)
    assert done.code == 0, done.text
    return done.text


async def test_left_by_an_earlier_life(engine, names, tmp_path):
    """A creation whose answer was lost is found again; a container of somebody else is not touched."""
    spec = specification(names, "step", alone({}), tmp_path)
    first = await engine.create(spec, quiet)
    assert (await engine.create(spec, quiet)).containers == first.containers
    foreign = UnitSpec(spec.project, Labels(names.instance, "r2", "step", 1, 1), spec.compose, spec.main)
    with pytest.raises(engine_module.EngineError, match="is not ours"):
        await engine.create(foreign, quiet)
    assert (await engine.adopt(spec)).containers == first.containers


async def test_image_that_is_gone(engine, names, tmp_path):
    spec = specification(names, "step", alone({}), tmp_path)
    compose_file = {**spec.compose, "services": {"s.step": {**spec.compose["services"]["s.step"]}}}
    for image in ("flow-test/gone:1", f"sha256:{'0' * 64}"):
        compose_file["services"]["s.step"]["image"] = image
        with pytest.raises(engine_module.ImageUnavailable, match="missing"):
            await engine.create(UnitSpec(spec.project, spec.labels, compose_file, spec.main), quiet)
