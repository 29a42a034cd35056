"""A container of a step cannot make the engine mount a place of the machine into another one."""

import secrets
import subprocess

import pytest

from flowbuild.core.states import Outcome, Reason
from flowbuild.engine import binds
from flowbuild.engine.compose import ComposeEngine
from flowbuild.testing.engine_suite import Names, finish, quiet
from flowbuild.testing.images import BUSYBOX, ensure_busybox

pytestmark = pytest.mark.docker
DONE, STARTED = "service_completed_successfully", "service_started"
REDIRECT = "cd /workspace && mv sub old && ln -s {outside} sub"
SWING = "cd /workspace; while :; do mv sub old; ln -s {outside} sub; rm sub; mv old sub; done"


def program(*argv):
    """Run a program to its end and return what it said. Nothing else of a test has to happen meanwhile."""
    return subprocess.run(argv, check=True, capture_output=True, timeout=60).stdout


@pytest.fixture
def names():
    return Names(f"flowbind{secrets.token_hex(4)}")


@pytest.fixture
async def engine(names):
    ensure_busybox()
    async with ComposeEngine(patience=5) as engine:
        yield engine
        await engine.sweep(names.instance)


@pytest.fixture
def outside(tmp_path):
    """A directory of the machine that no step may reach."""
    (tmp_path / "outside").mkdir()
    return tmp_path / "outside"


def attack(names, outside, script, condition):
    """A unit whose first service redirects the directory that its second one mounts, and writes to."""
    workspace = outside.parent / "workspace"
    (workspace / "sub").mkdir(parents=True)
    whole = {"type": "bind", "source": str(workspace), "target": "/workspace"}
    part = {"type": "bind", "source": f"{workspace}/sub", "target": "/mounted", "bind": {"create_host_path": False}}

    def service(text, *mounts, **extra):
        command = ["sh", "-c", text]
        return {"image": BUSYBOX, "command": command, "network_mode": "none", "volumes": list(mounts)} | extra

    first = service(script.format(outside=outside), whole)
    second = service("touch /mounted/written", whole, part, depends_on={"first": {"condition": condition}})
    return names.spec({"first": first, "second": second}, "second")


async def test_a_mount_that_was_redirected_is_refused(engine, names, outside):
    verdict = await finish(engine, attack(names, outside, REDIRECT, DONE))
    assert (verdict.outcome, verdict.reason) == (Outcome.FAILED, Reason.REFUSED)
    assert verdict.message.startswith("sub: was made a link out of the workspace")
    assert list(outside.iterdir()) == []


async def test_without_a_look_at_it_the_engine_follows_the_link(engine, names, outside, monkeypatch):
    async def believe(_binds):
        pass

    monkeypatch.setattr(binds, "confine", believe)
    verdict = await finish(engine, attack(names, outside, REDIRECT, DONE))
    assert verdict.outcome is Outcome.SUCCEEDED
    assert [path.name for path in outside.iterdir()] == ["written"]


async def test_nothing_moves_between_the_look_and_the_mount(engine, names, outside, monkeypatch):
    look, moved = binds.confine, []

    async def look_for_long(found):
        before = (outside.parent / "workspace").stat().st_mtime_ns
        for _ in range(3):  # each takes a process: long for who renames all the time
            program("true")
            moved.append((outside.parent / "workspace").stat().st_mtime_ns != before)
        await look(found)

    monkeypatch.setattr(binds, "confine", look_for_long)
    unit = await engine.create(attack(names, outside, SWING, STARTED), quiet)
    await engine.start(unit)
    assert moved
    assert not any(moved)
    assert list(outside.iterdir()) == []


async def test_a_container_that_was_left_paused_goes_on(engine, names):
    service = {"image": BUSYBOX, "command": ["sleep", "600"], "network_mode": "none"}
    spec = names.spec({"a": service})
    unit = await engine.create(spec, quiet)
    await engine.start(unit)
    program("docker", "pause", unit.containers["a"])
    adopted = await engine.adopt(spec)
    assert program("docker", "inspect", "-f", "{{.State.Status}}", adopted.containers["a"]) == b"running\n"
    await engine.stop(adopted, grace=0, force=True)
