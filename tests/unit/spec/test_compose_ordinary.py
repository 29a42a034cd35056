"""Compose files as real projects have them: nearly all are accepted as they are, and compose accepts what we write."""

from __future__ import annotations

import json
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flowbuild.spec import compose
from flowbuild.spec.compose import interpolate
from flowbuild.spec.findings import Severity

CORPUS = Path(__file__).with_suffix("")
REPOSITORY = {
    "app.env": b'# settings\nAPP_ENV=ci\nexport LOG_LEVEL=info\nDSN="postgres://${DB_USER:-app}@db/app"\n',
    "db.env": b"MYSQL_PASSWORD='pa$$w0rd'\nMYSQL_DATABASE=nextcloud # name\nMYSQL_USER=nextcloud\n",
    "lib/common.yml": b"services:\n  app:\n    image: app\n    command: serve\n    environment: {DEBUG: 0, A: b}\n"
    b"    volumes: ['./conf:/conf:ro', 'shared:/shared']\n    env_file: common.env\n",
    "lib/common.env": b"COMMON=1\n",
    "lib/db.yml": b"services:\n  db:\n    image: postgres:16\n    volumes: ['data:/var/lib/postgresql/data', './init:/i']\n"
    b"    healthcheck: {test: pg_isready}\nvolumes: {data: }\n",
    "lib/cache.yml": b"services:\n  cache: {image: redis}\n",
}
VARIABLES = {"DB_PASSWORD": "s3cr$t", "NAME": "n", "BUILD": "7", "PGPASSWORD": "x y", "AIRFLOW_UID": "1"}
# what these have is never allowed, however ordinary it is
REFUSED = {"named container", "host network", "external network", "localstack without the socket"}


def corpus() -> dict[str, bytes]:
    files = {}
    for path in sorted(CORPUS.glob("*.yml")):
        for document in re.split(r"^---$\n", path.read_text(), flags=re.MULTILINE):
            title = document.partition("\n")[0].removeprefix("# ")
            assert title not in files
            files[title] = document.encode()
    return files


FILES = corpus()


def load(title: str) -> tuple[dict | None, list]:
    return compose.load(text=FILES[title], file="docker-compose.yml", read=REPOSITORY.get, trusted=True)


def context(model: dict, *, trusted: bool = True) -> compose.EmitContext:
    return compose.EmitContext(
        project="flow-0123-build-1",
        step="build",
        labels={"flow.run": "0123", "flow.step": "build"},
        network="flow-0123",
        workspace="/srv/run/workspace",
        variables_dir="/srv/run/variables",
        files="/srv/run/files",
        main=compose.main_services(model),
        mounts=(compose.Mount("/srv/run/secrets", "/run/flow"),),
        variables=VARIABLES,
        main_environment={"TOKEN": "a$b${c}$$d", "COLOUR": "red"},
        flow_environment={"FLOW_STEP": "build"},
        image_digests={name: f"sha256:{index:064x}" for index, name in enumerate(compose.images(model, VARIABLES))},
        trusted=trusted,
    )


@pytest.mark.parametrize("title", sorted(FILES.keys() - REFUSED))
def test_ordinary_file_is_accepted(title: str):
    model, findings = load(title)
    assert model is not None, "\n".join(map(str, findings))
    assert all(finding.severity is Severity.WARNING for finding in findings)
    assert json.loads(json.dumps(model)) == model
    compose.emit(model, context(model))


@pytest.mark.parametrize("title", sorted(REFUSED))
def test_ordinary_file_with_something_never_allowed_is_refused_with_advice(title: str):
    model, findings = load(title)
    assert model is None
    assert all(finding.hint for finding in findings)


def test_nearly_all_ordinary_files_are_accepted():
    assert len(FILES) >= 100
    assert len(REFUSED) <= 0.05 * len(FILES)


def literal(emitted: dict) -> dict:
    """As the engine hands the file to compose: nothing in it is a variable."""
    return interpolate.map_strings(emitted, interpolate.escape)


@pytest.mark.docker
def test_compose_accepts_every_file_we_write():
    """All accepted files, as one call each to the real program; it sees no environment and no other file."""
    written = {}
    for title in sorted(FILES.keys() - REFUSED):
        model, _ = load(title)
        assert model is not None
        written[title] = compose.emit(model, context(model))
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda emitted: config(literal(emitted), "--format", "json"), written.values()))
    accepted = 0
    for (title, emitted), shown in zip(written.items(), answers, strict=True):
        assert shown.returncode == 0, f"{title}: {shown.stderr.decode()}"
        read = json.loads(shown.stdout)
        assert read["services"].keys() == emitted["services"].keys()
        for key, service in read["services"].items():
            wanted = emitted["services"][key]["environment"]
            have = {name: value.replace("$$", "$") for name, value in service["environment"].items()}
            assert have == wanted, f"{title}: {key}"
        accepted += 1
    assert accepted >= 100


@pytest.mark.docker
def test_compose_refuses_a_broken_file():
    """Negative control of the test above."""
    model, _ = load("python unit tests")
    assert model is not None
    emitted = compose.emit(model, context(model))
    emitted["services"]["unit.build"]["imagee"] = "x"
    assert config(emitted).returncode != 0


def config(emitted: dict, *options: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["docker", "compose", "-f", "-", "config", *(options or ("-q",))],
        input=json.dumps(emitted).encode(),
        capture_output=True,
        timeout=30,
        check=False,
        cwd="/",
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent"},
    )
