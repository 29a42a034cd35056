"""`flow runners` over a real server; `flow runner` says what it is to be."""

import asyncio
import json
import re
from functools import partial
from importlib.metadata import version

import pytest

from flowbuild.cli import machines
from flowbuild.cli.main import run_program
from flowbuild.client.base import RunnerRequest
from flowbuild.testing import site
from flowbuild.testing.far import FarMachine
from flowbuild.testing.home import Home, step
from flowbuild.wiring.remote import dial

KEY = {"embedded": False, "key_made_at": 0.0, "key_ends_at": None, "key_wanted": False}


@pytest.fixture
def home(tmp_path):
    (tmp_path / "server").mkdir()
    return Home(tmp_path / "server")


@pytest.fixture
def open_site(home):
    return partial(site.open_site, home, embedded=False)


@pytest.fixture
def flow(monkeypatch, capsys, tmp_path):
    """Calls the program as an admin of a server; returns its code and what it printed."""
    monkeypatch.setenv("FLOW_TOKEN", "admin")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    async def call(served, *arguments):
        code = await asyncio.to_thread(run_program, None, ["--server", served.url, "runners", *arguments], dial=dial)
        return code, capsys.readouterr().out

    return call


async def test_a_runner_from_its_code_to_its_end(open_site, flow, tmp_path):
    async with open_site() as served:
        assert await flow(served, "list") == (0, "")
        code, printed = await flow(served, "add")
        words = printed.split()
        assert (code, words[:4]) == (0, ["flow", "runner", "--server", served.url])
        far = FarMachine(tmp_path / "far")
        await far.register(served, RunnerRequest((served.url,), words[-1], "far", {"disk": "fast"}))
        assert await flow(served, "list") == (
            0,
            f"far  active  0 of 2 busy  never heard of  key 0 days old  {version('flow-build-server')}  disk=fast\n",
        )
        async with far.life() as worker:
            _, printed = await flow(served, "list")
            assert re.search(r"heard of \d+ s ago", printed)
            assert await flow(served, "drain", "far") == (0, "")
            await worker._drained.wait()
        assert "draining" in (await flow(served, "list"))[1]
        assert await flow(served, "activate", "far") == (0, "")
        assert await flow(served, "revoke", "far") == (0, "")
        assert "revoked" in (await flow(served, "list", "--json"))[1]
        assert (await flow(served, "drain", "far"))[0] == 2
        assert (await flow(served, "drain", "nobody"))[0] == 2


async def test_what_runners_work_on(home, open_site, flow, tmp_path):
    home.write({"a": step(log="first\n", sleep=100_000)})
    async with open_site() as served:
        far = FarMachine(tmp_path / "far")
        await far.register(served)
        async with far.life():
            run = (await served.life.start(home)).id
            await served.life.speaks(run, "a")
            first, second = (await flow(served, "list"))[1].splitlines()
            assert first.split("  ")[:3] == ["far", "active", "1 of 2 busy"]
            assert first.endswith(f"  {version('flow-build-server')}")
            assert re.fullmatch(r" {4}project 1  a  for \d+ s", second)
            (told,) = json.loads((await flow(served, "list", "--json"))[1])
            assert (told["busy"], told["heard"], told["facts"]["version"]) == (1, True, version("flow-build-server"))
            await served.life.client.cancel(run, force=True)
            await served.life.updates(run)


@pytest.mark.parametrize(
    ("state", "heard", "seen_at", "shown"),
    [
        ("active", True, 97.0, "m  active  0 of 2 busy  heard of 3 s ago  key 0 days old"),
        ("active", False, 0.0, "m  active, silent  0 of 2 busy  heard of 100 s ago  key 0 days old"),
        ("draining", False, 0.0, "m  draining, silent  0 of 2 busy  heard of 100 s ago  key 0 days old"),
        ("revoked", False, 0.0, "m  revoked  0 of 2 busy  heard of 100 s ago"),
        ("active", False, None, "m  active  0 of 2 busy  never heard of  key 0 days old"),
    ],
)
def test_how_a_runner_is_shown(state, heard, seen_at, shown):
    told = {"name": "m", "state": state, "heard": heard, "seen_at": seen_at, "busy": 0, "capacity": 2, **KEY}
    assert machines._line({**told, "facts": {}, "labels": {}}, 100.0) == shown


def test_how_the_runner_inside_the_server_is_shown():
    told = {"name": "local", "state": "draining", "heard": True, "seen_at": 1.0, "busy": 1, "capacity": 2}
    told |= {"embedded": True, "key_made_at": None, "key_ends_at": None, "key_wanted": False}
    shown = "local  draining  1 of 2 busy  inside the server  1.0"
    assert machines._line({**told, "facts": {"version": "1.0"}, "labels": {}}, 100.0) == shown


@pytest.mark.parametrize(
    ("days", "ends", "wanted", "shown"),
    [
        (1, None, False, "key 1 day old"),
        (5, 10, True, "key 5 days old, ends in 5 days, a new one is to come"),
        (9, 10, False, "key 9 days old, ends in 1 day"),
        (10, 10, True, "key 10 days old, over, a new one is to come"),
    ],
)
def test_how_the_key_of_a_runner_is_shown(days, ends, wanted, shown):
    told = {"key_made_at": 0.0, "key_ends_at": None if ends is None else ends * 86_400.0, "key_wanted": wanted}
    assert machines._key(told, days * 86_400.0) == shown


async def test_a_key_that_is_to_change(open_site, flow, tmp_path):
    async with open_site() as served:
        await FarMachine(tmp_path / "far").register(served)
        assert await flow(served, "rotate", "far") == (0, "")
        assert "key 0 days old, a new one is to come" in (await flow(served, "list"))[1]
        assert (await flow(served, "rotate", "nobody"))[0] == 2


class Operator:
    def work(self, request):
        self.request = request


@pytest.mark.parametrize(
    ("arguments", "request_made"),
    [
        ([], RunnerRequest()),
        (
            ["--server", "https://flow.example/", "--code", "c", "--name", "n", "--label", "a=b"],
            RunnerRequest(("https://flow.example",), "c", "n", {"a": "b"}),
        ),
        (
            ["--server", "https://one.example/", "--server", "https://two.example", "--server", "https://one.example"],
            RunnerRequest(("https://one.example", "https://two.example")),
        ),
    ],
)
def test_being_one(arguments, request_made):
    operator = Operator()
    assert run_program(None, ["runner", *arguments], operator=operator) == 0
    assert operator.request == request_made


@pytest.mark.parametrize("arguments", [["--label", "a"], ["--server", "ftp://x"]])
def test_being_one_in_a_way_that_cannot_be(arguments):
    assert run_program(None, ["runner", *arguments], operator=Operator()) == 2
