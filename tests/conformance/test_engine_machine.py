"""What only the real engine can show: networks, bytes, labels, builds, foreign objects, a lost engine."""

import asyncio
import hashlib
import json
import secrets
import signal
import subprocess
import tempfile
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path

import pytest

from flowbuild.core.errors import EngineError
from flowbuild.core.states import Outcome, Reason
from flowbuild.engine.base import SERVICE_LABEL, Attachment, BuildFailed, EngineUnreachable, Labels, UnitSpec
from flowbuild.engine.compose import ComposeEngine
from flowbuild.testing.engine_suite import FOREVER, Names, finish, joined, output, quiet, service
from flowbuild.testing.images import BUSYBOX, ensure_busybox
from flowbuild.testing.nested import Nested

pytestmark = pytest.mark.docker


def program(*argv, stdin=None):
    """Run a program to its end. It blocks the loop of the test, in which nothing else has to happen meanwhile."""
    return subprocess.run(argv, input=stdin, capture_output=True, timeout=60, check=False)


def docker(*arguments):
    done = program("docker", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode().strip()


@pytest.fixture
def names():
    return Names(f"flowreal{secrets.token_hex(4)}")


@pytest.fixture
async def engine(names):
    ensure_busybox()
    async with ComposeEngine(patience=5) as engine:
        yield engine
        await engine.sweep(names.instance)


def shell(script, **extra):
    return {"image": BUSYBOX, "command": ["sh", "-c", script], "network_mode": "none"} | extra


def on_run_network(script, name, step, *networks, **extra):
    """A service as the product emits it: keyed `<service>.<step>`, on the run's network and perhaps a private one."""
    return {
        "image": BUSYBOX,
        "command": ["sh", "-c", script],
        "labels": {SERVICE_LABEL: name},
        "networks": {"run": {}} | dict(networks),
    } | extra


SERVE = "echo $WHO >/tmp/index.html; exec httpd -f -p 80 -h /tmp"


GET = "printf 'GET / HTTP/1.0\\r\\n\\r\\n'"
# Static busybox cannot resolve names outside nslookup (no NSS modules), and its wget crashes. A server's own address
# comes before the answer.
ADDRESS = "address() { nslookup -type=a $1 127.0.0.11 | sed -n '/^Name/,$s/^Address: //p' | head -n 1; };"
ASK = "until get db | grep -v unreachable; do sleep 0.1; done; get db.two; exec sleep 600"


async def test_names_on_networks(engine, names):
    """Two parallel steps have a `db` each: the own one by its name, the other's as `<service>.<step>`; runs are apart."""
    private = ("private", {"aliases": ["db"]})
    specs = {}
    for run, step in (("r1", "one"), ("r1", "two"), ("r2", "one")):
        network = f"{names.instance}-{run}"
        await engine.network(network, Labels(names.instance, run))
        ask = f"{ADDRESS} get() {{ ip=$(address $1); [ $ip ] && {GET} | nc -w 2 $ip 80 | tail -n 1 || echo unreachable; }}; {ASK}"
        services = {
            f"db.{step}": on_run_network(SERVE, "db", step, private, environment={"WHO": f"{run}-{step}"}),
            f"ask.{step}": on_run_network(ask, "ask", step, ("private", {}), depends_on=[f"db.{step}"]),
        }
        networks = {"run": {"external": True, "name": network}, "private": {"internal": True}}
        labels = Labels(names.instance, run, step, 1, 1)
        compose = {"services": services, "networks": networks}
        specs[run, step] = UnitSpec(f"{names.instance}-{run}-{step}", labels, compose, ("ask",))
    units = {key: await engine.create(spec, quiet) for key, spec in specs.items()}
    await asyncio.gather(*(engine.start(unit) for key, unit in units.items() if key[1] == "two"))
    await asyncio.gather(*(engine.start(unit) for key, unit in units.items() if key[1] == "one"))

    async def said(key, lines):
        records = []
        async with aclosing(engine.logs(units[key], {})) as log:
            async for record in log:
                records += [record] if record.service == "ask" and record.stream == "stdout" else []
                if len(records) == lines:
                    break
        return b"".join(record.data for record in records)

    assert await said(("r1", "one"), 2) == b"r1-one\nr1-two\n"
    assert await said(("r1", "two"), 2) == b"r1-two\nr1-two\n"
    assert await said(("r2", "one"), 2) == b"r2-one\nunreachable\n"

    # Not only by name: the address in another run's network is unreachable too, in both directions.
    container = units["r1", "two"].containers["db"]
    networks = json.loads(docker("inspect", container))[0]["NetworkSettings"]["Networks"]
    address = networks[f"{names.instance}-r1"]["IPAddress"]
    fetch = ["sh", "-c", f"{GET} | nc -w 2 {address} 80 | tail -n 1 | grep ."]
    near, far = (units[run, "one"].containers["ask"] for run in ("r1", "r2"))
    assert docker("exec", near, *fetch) == "r1-two"
    assert program("docker", "exec", far, *fetch).returncode != 0
    private_network = json.loads(docker("network", "inspect", f"{names.instance}-r1-one_private"))[0]
    assert private_network["IPAM"]["Config"][0]["Subnet"].endswith("/26")
    await asyncio.gather(*(engine.stop(unit, grace=0, force=True) for unit in units.values()))


async def test_attachments_are_joined_with_their_aliases_only(engine, names):
    network = f"{names.instance}-r1"
    await engine.network(network, Labels(names.instance, "r1"))
    spec = names.spec({"db": service(sleep=FOREVER)}, step="one")
    spec = UnitSpec(spec.project, spec.labels, spec.compose, spec.main, {"db": (Attachment(network, ("db.one",)),)})
    unit = await engine.create(spec, quiet)
    await engine.start(unit)
    ask = {"image": BUSYBOX, "command": ["sh", "-c", "nslookup db.one 127.0.0.11 && ! nslookup db 127.0.0.11"]}
    compose = {
        "services": {"ask": ask | {"networks": ["run"]}},
        "networks": {"run": {"external": True, "name": network}},
    }
    verdict = await finish(
        engine, UnitSpec(f"{names.instance}-ask", Labels(names.instance, "r1", "ask", 1, 1), compose, ("ask",))
    )
    assert verdict.outcome is Outcome.SUCCEEDED, verdict
    await engine.stop(unit, grace=0, force=True)


async def test_steps_that_begin_together_look_for_their_network_once_or_twice(engine, names, monkeypatch):
    asked, call = [], engine._api.call

    async def counted(method, path, **options):
        asked.append((method, path))
        return await call(method, path, **options)

    monkeypatch.setattr(engine._api, "call", counted)
    network = f"{names.instance}-r1"
    await asyncio.gather(*(engine.network(network, Labels(names.instance, "r1")) for _ in range(20)))
    assert asked.count(("POST", "networks/create")) == 1
    assert asked.count(("GET", "networks")) <= 4
    docker("network", "rm", network)
    await engine.network(network, Labels(names.instance, "r1"))  # somebody removed it in between
    assert asked.count(("POST", "networks/create")) == 2


@pytest.mark.parametrize("pool", ["10.253.0.0/25"])
async def test_network_pool_is_exhausted(names, pool):
    async with ComposeEngine(network_pool=pool, network_prefix=26) as engine:
        await asyncio.gather(*(engine.network(f"{names.instance}-{n}", Labels(names.instance, "r")) for n in range(2)))
        with pytest.raises(EngineError, match=r"no free subnet /26 in 10\.253\.0\.0/25") as caught:
            await engine.network(f"{names.instance}-3", Labels(names.instance, "r"))
        assert caught.value.hint
        assert len((await engine.sweep(names.instance)).networks) == 2


async def test_output_is_exact(engine, names):
    """10 MB of random bytes on stdout, interleaved with stderr; also a line of 100 kB and no line end at the end."""
    script = """
    for n in $(seq 1 160); do head -c 65536 /dev/urandom | tee -a /tmp/sum; echo "err $n" >&2; done
    head -c 100000 /dev/zero | tr '\\0' x | tee -a /tmp/sum
    md5sum </tmp/sum >&2
    """
    unit = await engine.create(names.spec({"a": shell(script)}), quiet)
    reading = asyncio.create_task(output(engine, unit))
    await engine.start(unit)
    records = await reading
    out, err = joined(records, "stdout"), joined(records, "stderr").decode().splitlines()
    assert len(out) == 160 * 65536 + 100000
    assert err[:-1] == [f"err {n}" for n in range(1, 161)]
    assert hashlib.md5(out).hexdigest() == err[-1].split()[0]
    times = [record.time_ns for record in records]
    assert all(before < after for before, after in pairwise(times))
    for at in (0, 1, len(records) // 3, len(records) - 2):  # as after a crash: nothing twice, nothing lost
        rest = await output(engine, unit, {"a": records[at].time_ns})
        assert rest == records[at + 1 :]


async def test_output_of_a_terminal(engine, names):
    script = "printf 'one\\r\\n'; head -c 40000 /dev/zero | tr '\\0' y; printf '\\ntwo\\033[0m'"
    unit = await engine.create(names.spec({"a": shell(script, tty=True)}), quiet)
    reading = asyncio.create_task(output(engine, unit))
    await engine.start(unit)
    assert joined(await reading, "stdout") == b"one\r\r\n" + b"y" * 40000 + b"\r\ntwo\x1b[0m"


async def test_all_that_a_unit_makes_is_labelled_and_removed_and_foreign_things_stay(engine, names, tmp_path):
    (tmp_path / "Dockerfile").write_text(f"FROM {BUSYBOX}\nRUN echo built >/built\n")
    foreign = f"{names.instance}-foreign"
    own = shell("cat /built", build={"context": str(tmp_path)}, network_mode=None)
    del own["network_mode"], own["image"]
    services = {"a": own | {"volumes": ["data:/data", "/anonymous"]}}
    spec = names.spec(services)
    spec = UnitSpec(spec.project, spec.labels, {"services": services, "volumes": {"data": {}}}, ("a",))
    lines = []
    unit = await engine.create(spec, lines.append)
    assert any("built" in line for line in lines)
    of_ours = ("--filter", f"label=flow.instance={names.instance}", "--format", "{{.ID}}")
    counts = {kind: docker(kind, "ls", *of_ours) for kind in ("network", "image")}
    counts["volume"] = docker("volume", "ls", *of_ours[:2], "-q")
    assert all(len(found.splitlines()) == 1 for found in counts.values()), counts
    await engine.start(unit)
    assert joined(await output(engine, unit), "stdout") == b"built\n"
    anonymous = json.loads(docker("inspect", unit.containers["a"]))[0]["Mounts"]
    assert len(anonymous) == 2
    # Foreign: a container of our image (it inherits labels), an image made from ours, a network, a volume.
    image = f"{spec.project}-a"
    docker("run", "-d", "--name", foreign, "--network", "none", image, "sleep", "600")
    docker("commit", "-m", "derived", foreign, f"{foreign}:1")
    docker("network", "create", "--subnet", "10.254.77.0/28", foreign)
    docker("volume", "create", foreign)
    try:
        await engine.remove(unit)
        await engine.sweep(names.instance)
        left = docker("ps", "-a", "--filter", f"name={foreign}", "--format", "{{.Names}}")
        assert left == foreign
        docker("image", "inspect", f"{foreign}:1")
        docker("network", "inspect", foreign)
        docker("volume", "inspect", foreign)
        for mount in anonymous:
            assert program("docker", "volume", "inspect", mount["Name"]).returncode
        assert not docker("network", "ls", *of_ours)
    finally:
        docker("rm", "-fv", foreign)
        docker("image", "rm", f"{foreign}:1")
        docker("network", "rm", foreign)
        docker("volume", "rm", foreign)
        program("docker", "image", "rm", image)


async def test_failing_build_is_the_steps_fault(engine, names, tmp_path):
    (tmp_path / "Dockerfile").write_text(f"FROM {BUSYBOX}\nRUN echo why; exit 9\n")
    lines = []
    with pytest.raises(BuildFailed, match=r"^the build failed: .*9$") as caught:
        await engine.create(names.spec({"a": {"build": {"context": str(tmp_path)}}}), lines.append)
    assert any(line.endswith("why") for line in lines)
    assert "\n" not in caught.value.message + caught.value.hint


PLANTED = """\
[core]
\trepositoryformatversion = 1
\tsshCommand = touch {marker};
[extensions]
\tpartialClone = origin
[remote "origin"]
\turl = ssh://localhost/nowhere
\tpromisor = true
"""


async def test_a_build_does_not_obey_the_git_configuration_of_its_context(engine, names, tmp_path):
    """Any git command that looks for the commit of this repository runs a program of the step's choice."""
    context, marker = tmp_path / "context", tmp_path / "marker"
    context.mkdir()
    (context / "Dockerfile").write_text(f"FROM {BUSYBOX}\n")
    assert program("git", "init", "-q", "-b", "main", str(context)).returncode == 0
    (context / ".git/refs/heads/main").write_text("1" * 40 + "\n")
    (context / ".git/config").write_text(PLANTED.format(marker=marker))
    lines = []
    await engine.create(names.spec({"a": {"build": {"context": str(context)}}}), lines.append)
    assert any("load build definition" in line for line in lines)
    assert not any("commit information" in line for line in lines)
    assert not marker.exists()
    program("git", "-C", str(context), "show", "HEAD")
    assert marker.exists()  # so it is dangerous


async def test_nothing_is_interpolated_and_no_environment_leaks(engine, names, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_SERVER", "leak")
    values = {"A": "$SECRET_OF_THE_SERVER ${SECRET_OF_THE_SERVER:-x} $$ $", "SECRET_OF_THE_SERVER": None}
    spec = names.spec({"a": shell('echo "$A|$SECRET_OF_THE_SERVER"', environment=values)})
    unit = await engine.create(spec, quiet)
    await engine.start(unit)
    wanted = b"$SECRET_OF_THE_SERVER ${SECRET_OF_THE_SERVER:-x} $$ $|\n"
    assert joined(await output(engine, unit), "stdout") == wanted


async def test_any_text_reaches_the_container_as_it_is(engine, names):
    low = "".join(map(chr, [*range(1, 0x20), 0x7F, *range(0x80, 0xA0)]))
    text = f"{low} \x85 \u2028\u2029 \ufeff\ufffe \U0001f600\U0010ffff \\ud83d\\n\\ 'single' \"double\" #: - {{}} end "
    spec = names.spec({"a": shell('printf %s "$A"', environment={"A": text}, labels={"a": text})})
    unit = await engine.create(spec, quiet)
    await engine.start(unit)
    assert joined(await output(engine, unit), "stdout").decode() == text
    assert json.loads(docker("inspect", unit.containers["a"]))[0]["Config"]["Labels"]["a"] == text


async def test_cancelled_creation_leaves_nothing(engine, names):
    spec = names.spec({f"s{number}": service() for number in range(4)})
    creating = asyncio.create_task(engine.create(spec, quiet))
    await asyncio.sleep(0.05)  # somewhere in the middle
    creating.cancel()
    with pytest.raises(asyncio.CancelledError):
        await creating
    unit = await engine.adopt(spec)
    await engine.sweep(names.instance)
    assert unit is None or len(unit.containers) == 4
    assert not await engine.found(names.instance)


async def test_no_engine(tmp_path):
    async with ComposeEngine(host=f"unix://{tmp_path}/none.sock") as engine:
        for look in (engine.info, engine.ready):
            with pytest.raises(EngineUnreachable, match="cannot be reached") as caught:
                await look()
            assert "does not exist" in caught.value.hint


async def test_compose_missing_and_too_old(engine, names, tmp_path):
    """It is told where it is needed; a service that needs no compose runs without."""
    simple = names.spec({"a": service()}, step="simple")
    two = names.spec({"a": service(), "b": service()}, step="two")
    (tmp_path / "cli-plugins").mkdir()
    plugin = tmp_path / "cli-plugins/docker-compose"
    for text, message in (("1.29.2", "too old"), ("", "does not work")):
        plugin.write_text(f"#!/bin/sh\necho {text}\n")
        plugin.chmod(0o755)
        async with ComposeEngine(docker_config=str(tmp_path)) as other:
            with pytest.raises(EngineError, match=message) as caught:
                await other.info()
            assert "compose" in caught.value.hint
            await other.ready()
            with pytest.raises(EngineError, match=message):
                await other.create(two, quiet)
            assert (await finish(other, simple)).outcome is Outcome.SUCCEEDED
    assert (await engine.info()).compose_version
    assert (await finish(engine, two)).outcome is Outcome.SUCCEEDED


@pytest.fixture
def short_path():
    """A directory whose sockets fit into a socket address (108 bytes), which those of tmp_path may not."""
    with tempfile.TemporaryDirectory(prefix="flow-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_engine_restarted_under_a_step(names, short_path, number):
    """An engine of its own, in a network namespace of its own, goes away while a step runs and comes back."""
    nested = Nested(short_path)
    nested.start()
    try:
        async with ComposeEngine(host=nested.host, patience=30) as engine:
            await asyncio.to_thread(nested.ready)
            nested.load(BUSYBOX)
            quick = await engine.create(names.spec({"a": service(exit=3)}, step="quick"), quiet)
            await engine.start(quick)
            assert (await engine.wait(quick)).reason is Reason.EXIT_CODE
            unit = await engine.create(names.spec({"a": service(log="up\n", sleep=FOREVER)}), quiet)
            await engine.start(unit)
            waiting = asyncio.create_task(engine.wait(unit))
            logging = asyncio.create_task(output(engine, unit))
            await anext(aiter(engine.logs(unit, {})))
            nested.stop(number)
            nested.start()
            verdict = await waiting
            assert (verdict.outcome, verdict.reason) == (Outcome.ERRORED, Reason.INFRA_LOST), verdict
            assert joined(await logging, "stdout") == b"up\n"
            nested.stop(signal.SIGTERM)  # and for good: what is not known is not called failed
            await engine.close()
        async with ComposeEngine(host=nested.host, patience=0.5) as engine:
            verdict = await engine.wait(unit)
            assert (verdict.outcome, verdict.reason) == (Outcome.ERRORED, Reason.INFRA_LOST)
            assert "did not come back" in verdict.message
    except Exception:
        print((short_path / "log").read_text()[-3000:])  # shown with the failure
        raise
    finally:
        nested.clean()
