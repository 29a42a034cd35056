"""`flow runners` over a real server; `flow runner` says what it is to be."""

import asyncio
from functools import partial

import pytest

from flowbuild.cli.main import run_program
from flowbuild.client.base import RunnerRequest
from flowbuild.testing import site
from flowbuild.testing.far import FarMachine
from flowbuild.testing.home import Home
from flowbuild.wiring.remote import dial


@pytest.fixture
def open_site(tmp_path):
    (tmp_path / "server").mkdir()
    return partial(site.open_site, Home(tmp_path / "server"), embedded=False)


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
        assert await flow(served, "list") == (0, "far  active  2 at once  never heard of  disk=fast\n")
        async with far.life() as worker:
            _, printed = await flow(served, "list")
            assert "heard of 0 s ago" in printed
            assert await flow(served, "drain", "far") == (0, "")
            await worker._drained.wait()
        assert "draining" in (await flow(served, "list"))[1]
        assert await flow(served, "activate", "far") == (0, "")
        assert await flow(served, "revoke", "far") == (0, "")
        assert "revoked" in (await flow(served, "list", "--json"))[1]
        assert (await flow(served, "drain", "far"))[0] == 2
        assert (await flow(served, "drain", "nobody"))[0] == 2


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
